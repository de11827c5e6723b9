"""parts: how an object is cut, and what its ETag must be."""

import hashlib
from itertools import islice, pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from libcloud_aurora import parts

MIB = 1_048_576
GIB = 1_073_741_824
TIB = 1_099_511_627_776
PLAIN = "d41d8cd98f00b204e9800998ecf8427e"

sizes = st.integers(0, 5 * TIB)
part_sizes = st.one_of(st.just(5 * MIB), st.integers(5 * MIB, 5 * GIB))


@given(sizes)
@example(0)
@example(1)
@example(5 * MIB - 1)
@example(5 * MIB)
@example(5 * MIB + 1)
@example(10_000 * 5 * MIB)
@example(10_000 * 5 * MIB + 1)
@example(10_000 * 6 * MIB)
@example(5 * TIB - 1)
@example(5 * TIB)
def test_parts_of_a_known_size_add_up_to_it(size):
    """Any size up to 5 TiB is cut into at most 10,000 equal parts of the fewest whole MiB."""
    plan = list(parts.plan_part_sizes(size))
    assert sum(plan) == size
    assert len(plan) <= 10_000
    if plan:
        first = plan[0]
        assert plan[:-1] == [first] * (len(plan) - 1)
        assert 0 < plan[-1] <= first
    if len(plan) > 1:
        assert first >= 5 * MIB
        assert first % MIB == 0
        assert first == 5 * MIB or 10_000 * (first - MIB) < size


@given(sizes, part_sizes)
def test_a_wanted_part_size_is_kept_while_it_fits(size, part_size):
    """A larger part size is used as given, unless 10,000 such parts are too few."""
    plan = list(islice(parts.plan_part_sizes(size, part_size), 2))
    if size > part_size:
        assert plan[0] >= part_size
    if 10_000 * part_size >= size > part_size:
        assert plan[0] == part_size


@pytest.mark.parametrize(
    ("size", "count", "first", "last"),
    [
        (0, 0, None, None),
        (1, 1, 1, 1),
        (5 * MIB, 1, 5 * MIB, 5 * MIB),
        (5 * MIB + 1, 2, 5 * MIB, 1),
        (52_428_800_000, 10_000, 5_242_880, 5_242_880),
        (52_428_800_001, 8_334, 6_291_456, 2_097_153),
        (5_497_558_138_880, 9_987, 550_502_400, 241_172_480),
    ],
)
def test_plans_written_out(size, count, first, last):
    """The plan of some sizes is exactly this."""
    plan = list(parts.plan_part_sizes(size))
    assert len(plan) == count
    assert (plan[:1], plan[-1:]) == ([first][:count], [last][:count])


@pytest.mark.parametrize("size", [-1, 5 * TIB + 1, 6 * TIB])
def test_sizes_beyond_5_tib_are_refused_at_once(size):
    """A size that no object can have is an error before the first part."""
    with pytest.raises(ValueError, match="5 TiB"):
        parts.plan_part_sizes(size)


@pytest.mark.parametrize("part_size", [0, 5 * MIB - 1, 5 * GIB + 1])
@pytest.mark.parametrize("size", [None, 100])
def test_part_sizes_the_server_refuses_are_refused(size, part_size):
    """A part size below 5 MiB or above 5 GiB is an error that names it."""
    with pytest.raises(ValueError, match="part_size must be from 5 MiB to 5 GiB"):
        parts.plan_part_sizes(size, part_size)


def test_parts_of_an_unknown_size_begin_with_5_mib():
    """The first 1,000 parts of a stream are 5 MiB, and parts never shrink after that."""
    plan = list(parts.plan_part_sizes())
    assert plan[:1_000] == [5 * MIB] * 1_000
    assert plan[1_000] > 5 * MIB
    assert all(one <= two for one, two in pairwise(plan))


def test_parts_of_an_unknown_size_hold_5_tib():
    """10,000 parts of a stream hold 5 TiB, and the last is at most 1.25 GiB."""
    plan = list(parts.plan_part_sizes())
    assert len(plan) == 10_000
    assert sum(plan) >= 5 * TIB
    assert plan[-1] <= 1.25 * GIB
    assert all(size % MIB == 0 for size in plan)


@settings(max_examples=25)
@given(part_sizes)
@example(5 * MIB)
@example(5 * MIB + 1)
@example(500 * MIB)
@example(5 * GIB)
def test_streams_of_any_part_size_hold_5_tib(part_size):
    """From any part size on, 10,000 parts hold 5 TiB, grow only, and none exceeds 5 GiB."""
    plan = list(parts.plan_part_sizes(None, part_size))
    assert len(plan) == 10_000
    assert sum(plan) >= 5 * TIB
    assert plan[:1_000] == [part_size] * 1_000
    assert all(one <= two for one, two in pairwise(plan))
    assert plan[-1] <= 5 * GIB


@given(
    st.integers(0, 2 * TIB),
    st.integers(0, 2 * TIB),
    st.integers(1, 64),
    st.integers(1, 8 * MIB),
    st.integers(8 * MIB, 64 * MIB),
)
@example(0, 0, 10, 4 * MIB, 16 * MIB)
def test_ranges_cover_the_span_once(start, size, concurrency, smallest, largest):
    """Ranges follow each other without gap or overlap, and differ by a byte at most."""
    size %= 20_000 * MIB
    ranges = parts.plan_ranges(
        start, start + size, concurrency=concurrency, smallest=smallest, largest=largest
    )
    assert (ranges[0][0], ranges[-1][1]) == (start, start + size)
    assert all(one[1] == two[0] for one, two in pairwise(ranges))
    lengths = {stop - begin for begin, stop in ranges}
    assert max(lengths) - min(lengths) <= 1
    if len(ranges) > 1:
        assert min(lengths) >= smallest


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, [(7, 7)]),
        (1, [(7, 8)]),
        (8 * MIB - 1, [(7, 8 * MIB + 6)]),
        (8 * MIB, [(7, 4 * MIB + 7), (4 * MIB + 7, 8 * MIB + 7)]),
    ],
)
def test_small_spans_stay_whole(size, expected):
    """A span of less than two smallest ranges is one range."""
    found = parts.plan_ranges(7, 7 + size, concurrency=10, smallest=4 * MIB, largest=16 * MIB)
    assert found == expected


def test_large_spans_are_cut_into_rounds():
    """A large span makes a whole number of rounds of ranges no larger than the largest."""
    ranges = parts.plan_ranges(0, 1000 * MIB, concurrency=10, smallest=MIB, largest=16 * MIB)
    assert len(ranges) == 70
    assert max(stop - start for start, stop in ranges) <= 16 * MIB


def test_the_plan_of_any_size_fits_in_memory():
    """Ranges of very large objects are larger, and so are those of what a server makes up."""
    for size in (5 * TIB, 10**18):
        ranges = parts.plan_ranges(0, size, concurrency=16, smallest=4 * MIB, largest=16 * MIB)
        assert len(ranges) == 10_000
        assert ranges[-1][1] == size
        fitted = parts.fit_ranges(ranges, [size], largest=16 * MIB, step=8 * MIB)
        assert len(fitted) <= 20_001
        assert fitted[-1][1] == size


def test_the_composite_etag_is_the_md5_of_md5s():
    """Two parts, b"a" and b"b", have the ETag that radosgw gives them."""
    etags = ["0cc175b9c0f1b6a831c399e269772661", "92eb5ffee6ae2fec3ad71c777531578f"]
    assert parts.composite_etag(etags) == "96e024ba2074fe77e8e965ba43a704be-2"


def test_the_composite_etag_of_an_empty_part():
    """An upload of one empty part has the ETag seen on Ceph 16.2.15."""
    assert parts.composite_etag([PLAIN]) == "59adb24ef3cdbe0297f05b395827453f-1"


@pytest.mark.parametrize(
    ("etag", "count"),
    [
        (PLAIN, 1),
        (PLAIN + "-1", 1),
        (PLAIN + "-10000", 10_000),
        (PLAIN + "-0", None),
        (PLAIN + "-", None),
        (PLAIN + "-x", None),
        (PLAIN[1:], None),
        (PLAIN.upper(), None),
        ("", None),
        ("not an etag", None),
    ],
)
def test_part_counts(etag, count):
    """An ETag says how many parts an object has, unless it is none of Ceph's."""
    assert parts.part_count(etag) == count


@given(st.integers(0, 200_000 * MIB), part_sizes)
@example(5 * MIB + 1, 5 * MIB)
@example(60_000 * MIB, 5 * MIB)
def test_own_layouts_hold_the_own_plans(size, part_size):
    """What this driver has cut, of known or unknown size, is among the layouts of its ETag."""
    for planned in (size, None):
        ends, position = [], 0
        for length in parts.plan_part_sizes(planned, part_size):
            if position >= size:
                break
            position = min(position + length, size)
            ends.append(position)
        if len(ends) > 1:
            assert ends in parts.own_layouts(size, f"{PLAIN}-{len(ends)}", part_size)


def test_own_layouts_of_plain_and_foreign_etags():
    """A plain ETag is one part; an ETag of no known kind has no layout."""
    assert parts.own_layouts(100, PLAIN, 5 * MIB) == [[100]]
    assert parts.own_layouts(0, PLAIN + "-1", 5 * MIB) == [[0]]
    assert parts.own_layouts(100, "opaque", 5 * MIB) == []
    assert parts.own_layouts(100, PLAIN + "-2", 5 * MIB) == []


@pytest.mark.parametrize("megabytes", [5, 8, 15, 16, 17, 50, 64, 100, 128, 256])
@pytest.mark.parametrize("count", [2, 3, 9])
def test_other_clients_layouts_are_found(megabytes, count):
    """Equal parts of a whole number of MiB, the last one shorter, are among the layouts."""
    size = (count - 1) * megabytes * MIB + 12_345
    expected = [megabytes * MIB * number for number in range(1, count)] + [size]
    assert expected in list(parts.other_layouts(size, f"{PLAIN}-{count}"))


@given(st.integers(0, 60_000 * MIB), st.integers(2, 12_000))
@example(60_000 * MIB, 12_000)
def test_other_layouts_fit_the_etag(size, count):
    """Every layout has the ETag's number of parts and ends with the object."""
    for ends in islice(parts.other_layouts(size, f"{PLAIN}-{count}"), 3):
        assert (len(ends), ends[-1]) == (count, size)


@pytest.mark.parametrize("etag", [PLAIN, PLAIN + "-1", "opaque"])
def test_other_layouts_need_several_parts(etag):
    """An object of one part, or of an unknown kind, has no other layout."""
    assert list(parts.other_layouts(100 * MIB, etag)) == []


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=5))
def test_composite_etags_agree_with_their_definition(pieces):
    """Any parts have the ETag md5(md5(p1) ... md5(pn))-n."""
    digests = [hashlib.md5(piece).digest() for piece in pieces]  # noqa: S324
    expected = hashlib.md5(b"".join(digests)).hexdigest() + f"-{len(pieces)}"  # noqa: S324
    assert parts.composite_etag([digest.hex() for digest in digests]) == expected


@pytest.mark.parametrize("size", [65, 75, 112, 150, 397, 5325])
def test_copies_by_this_driver_are_recognised_first(size):
    """A copy by parts of 64 MiB is verified at the first try."""
    count = -(-size // 64)
    ends = next(parts.other_layouts(size * MIB, f"{PLAIN}-{count}"))
    assert ends[0] == 64 * MIB


@st.composite
def cut_objects(draw):
    """Where the parts of an object end, and ranges that cover it."""
    ends = sorted(draw(st.sets(st.integers(1, 1000), min_size=1, max_size=9)))
    edges = {0, ends[-1], *draw(st.sets(st.integers(1, ends[-1]), max_size=9))}
    return ends, list(pairwise(sorted(edges)))


@given(cut_objects(), st.integers(1, 1000), st.integers(1, 300))
def test_fitted_ranges_cover_the_same_bytes(cut, largest, step):
    """The first range stays; the others end where parts do, or are short where a part is long."""
    ends, ranges = cut
    fitted = parts.fit_ranges(ranges, ends, largest=largest, step=step)
    assert fitted[0] == ranges[0]
    assert fitted[-1][1] == ends[-1]
    assert all(one[1] == two[0] for one, two in pairwise(fitted))
    assert all(start < stop for start, stop in fitted)
    if max(stop - start for start, stop in pairwise([0, *ends])) > largest:
        assert all(stop - start <= step for start, stop in fitted[1:])
        assert {stop for _, stop in ranges} <= {stop for _, stop in fitted}
    else:
        assert all(stop in ends for _, stop in fitted[1:])
        assert len(fitted) <= len(ranges)
