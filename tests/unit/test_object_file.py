"""Objects as files: read where a program goes, written in parts while it writes."""

import contextlib
import csv
import gc
import gzip
import inspect
import io
import os
import shutil
import tarfile
import threading
import tracemalloc
import zipfile
from functools import partial
from itertools import pairwise, product

import pytest
import requests_mock
from child import in_a_child
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from libcloud.storage.base import Object
from unit.ctrl_c import PACKAGE, calls_of, lines_of, pressed_after, pressed_at
from unit.memory_ceph20 import Ceph20
from unit.memory_s3 import Answer, composite, error, md5

from libcloud_aurora import errors
from libcloud_aurora._transfer.object_file import ObjectWriter
from libcloud_aurora._transfer.workers import Outcome

KIB = 1024
MIB = 1024 * KIB
PART = MIB + 1  # one chunk and a byte
LARGE = os.urandom(21 * MIB + 12_345)  # more than a reader keeps
MEDIUM = LARGE[: 6 * MIB]  # read ahead in some ranges by who reads on
DATA = LARGE[: 2 * PART + 777]
MEMBER = os.urandom(MIB)

pytestmark = [
    pytest.mark.usefixtures("no_thread_left"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]


@pytest.fixture
def new_driver(new_driver, tiny_parts):
    """Make drivers whose parts are small."""
    return partial(new_driver, ex_part_size=PART)


@pytest.fixture(params=[1, 10], ids=["sequential", "parallel"])
def any_driver(s3, request, new_driver):
    return new_driver(ex_max_concurrency=request.param)


@pytest.fixture
def stored(s3, container, driver):
    """Store bytes, return the object, and forget the requests so far."""

    def store(data, *etag, name="k"):
        s3.put(name, data, *etag)
        s3.requests.clear()
        return Object(name, None, None, None, None, container, driver)

    return store


@pytest.fixture
def opened(stored, driver):
    """Return a file that reads what is given."""
    return lambda data, *etag: driver.ex_open(stored(data, *etag))


@pytest.fixture
def new_file(s3, driver, container):
    """Open an object for writing."""
    return lambda **options: driver.ex_open(container, "wb", object_name="k", **options)


def ranges(s3):
    """Return the ranges that were fetched, their ends exclusive."""
    spans = [sent.headers["range"][6:].split("-") for sent in s3.requests]
    return [(int(first), int(last) + 1) for first, last in spans]


# Reading


sizes = st.one_of(st.integers(0, 1000), st.integers(0, 3 * MIB))
steps = st.one_of(
    st.tuples(st.just("seek"), st.tuples(st.integers(0, len(MEDIUM) + 9), st.just(0))),
    st.tuples(st.just("seek"), st.tuples(st.integers(-99_999, 99_999), st.just(1))),
    st.tuples(st.just("seek"), st.tuples(st.integers(-400_000, 9), st.just(2))),
    st.tuples(st.just("read"), st.tuples(sizes)),
    st.tuples(st.just("read1"), st.tuples(sizes)),
    st.tuples(st.just("readline"), st.tuples()),
    st.tuples(st.just("readinto"), st.tuples(sizes)),
    st.tuples(st.just("peek"), st.tuples(st.just(1))),
    st.tuples(st.just("tell"), st.tuples()),
)


def taken(file, step, arguments):
    """Take a step in a file, and return what can be compared with that of another file."""
    if step == "readinto":
        space = bytearray(*arguments)
        return space[: file.readinto(space)]
    if step == "read1":  # as many as it likes
        got = file.read1(*arguments)
        file.seek(-len(got), 1)
        return got[:0] + file.read(*arguments)
    return getattr(file, step)(*arguments)


@given(st.lists(steps, max_size=20))
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_way_of_reading_gives_what_a_file_gives(opened, taken_steps):
    """Whatever a program reads, wherever it goes, it gets the bytes that are there."""
    with opened(MEDIUM) as file:
        expected = io.BufferedReader(io.BytesIO(MEDIUM))
        for step, arguments in taken_steps:
            if step == "seek" and arguments[1] == 1:
                arguments = max(0, expected.tell() + arguments[0]), 0
            if step == "peek":
                found = file.peek()
                assert MEDIUM[expected.tell() :].startswith(found)
                assert bool(found) == (expected.tell() < len(MEDIUM))
                continue
            assert taken(file, step, arguments) == taken(expected, step, arguments)


@pytest.mark.parametrize(
    ("size", "step"),
    [
        *product([0, 1, 64 * KIB, 64 * KIB + 1], [None, 50_000]),
        *product([len(MEDIUM)], [50_000, 3 * MIB]),
        (len(LARGE), None),
    ],
)
def test_any_size_is_read_to_its_end(any_driver, stored, size, step):
    """An object of any size is read completely, at once and piece by piece."""
    with any_driver.ex_open(stored(LARGE[:size])) as file:
        assert file.size == size
        pieces = [file.read()] if step is None else list(iter(lambda: file.read(step), b""))
        assert b"".join(pieces) == LARGE[:size]
        assert file.read() == b""


def test_a_file_knows_what_it_is(opened):
    """It has a name and a size, is readable and seekable, and has no descriptor."""
    file = opened(b"content")
    assert (file.name, file.size, file.mode) == ("k", 7, "rb")
    assert file.readable()
    assert file.seekable()
    assert not file.writable()
    assert not file.isatty()
    with pytest.raises(io.UnsupportedOperation):
        file.fileno()
    with pytest.raises(io.UnsupportedOperation):
        file.write(b"")
    file.close()
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.read()
    with pytest.raises(ValueError, match="closed"):
        file.raw.readinto(bytearray(1))


@pytest.mark.parametrize(
    ("place", "kind"), [((-1, 0), OSError), ((0, os.SEEK_DATA), OSError), ((0, 7), ValueError)]
)
def test_no_file_goes_before_its_first_byte(opened, place, kind):
    """What no file has as a place is refused as files do, and the file stays where it is."""
    with opened(b"content") as file:
        file.seek(2)
        with pytest.raises(kind):
            file.seek(*place)
        assert file.read() == b"ntent"


def test_text_is_read_by_a_wrapper(opened):
    """A text wrapper reads lines, and goes back to where it was."""
    with io.TextIOWrapper(opened("żółw\nkot\n".encode() * 99_999), encoding="utf-8") as text:
        assert next(iter(text)) == "żółw\n"
        text.seek(0)
        assert sum(1 for _ in text) == 2 * 99_999


@pytest.mark.parametrize("size", [1, 64 * KIB])
def test_a_small_object_is_one_request(s3, opened, size):
    """What fits into the first block is fetched, and verified, by opening it."""
    with opened(LARGE[:size]) as file:
        assert len(s3.requests) == 1
        assert file.read() == LARGE[:size]
        file.seek(0)
        assert file.read() == LARGE[:size]
    assert len(s3.requests) == 1


def test_a_member_of_an_archive_takes_few_requests(s3, stored, driver):
    """One member of 1 MiB of 200 costs at most 6 requests, and 512 KiB more than it has."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        for number in range(200):
            packed.writestr(f"member-{number:03d}", MEMBER if number == 99 else LARGE[: 64 * KIB])
    obj = stored(archive.getvalue())
    for read in (lambda member: member.read(), lambda member: copied(member)):
        s3.requests.clear()
        with driver.ex_open(obj) as file, zipfile.ZipFile(file) as packed:
            assert read(packed.open("member-099")) == MEMBER
        assert len(s3.requests) <= 6
        assert sum(stop - start for start, stop in ranges(s3)) <= MIB + 512 * KIB


def copied(file):
    """Return what a file holds, copied as programs do."""
    sink = io.BytesIO()
    shutil.copyfileobj(file, sink, 64 * KIB)
    return sink.getvalue()


def test_columns_take_a_request_each(s3, opened):
    """Spans that are far apart cost a request each, whatever their size up to 16 MiB."""
    with opened(LARGE) as file:
        file.seek(-64 * KIB, io.SEEK_END)
        file.read()
        for start in range(MIB, 19 * MIB, 2 * MIB):
            file.seek(start)
            assert file.read(300_000) == LARGE[start : start + 300_000]
    assert len(s3.requests) == 2 + 9


def test_reading_on_fetches_more_at_once(s3, opened):
    """Blocks grow while a program reads on, and from 2 MiB on ranges are read ahead."""
    with opened(LARGE) as file:
        assert copied(file) == LARGE
    fetched = sorted(ranges(s3))
    assert [stop - start for start, stop in fetched[:4]] == [
        size * KIB for size in (64, 128, 384, 640)
    ]
    assert max(stop - start for start, stop in fetched) >= 2 * MIB
    assert all(stop == start for (_, stop), (start, _) in pairwise(fetched))


def test_a_large_read_is_not_read_beyond(s3, opened):
    """A read of more than 16 MiB comes in ranges, and nothing that was not asked for."""
    with opened(LARGE) as file:
        file.seek(MIB)
        assert file.read(18 * MIB) == LARGE[MIB : 19 * MIB]
        assert file.read(100) == LARGE[19 * MIB : 19 * MIB + 100]
    assert max(stop for _, stop in ranges(s3)) <= 19 * MIB + 64 * KIB


def test_reading_on_after_a_large_read(opened):
    """What follows a large read is read ahead to the end."""
    with opened(LARGE) as file:
        assert file.read(18 * MIB) + copied(file) == LARGE


def test_a_block_is_fetched_once(s3, opened):
    """Going back and forth between places costs nothing, as long as their blocks are kept."""
    with opened(LARGE) as file:
        for start in [5 * MIB, 10 * MIB, 15 * MIB] * 3:
            file.seek(start)
            assert file.read(1000) == LARGE[start : start + 1000]
    assert len(s3.requests) == 1 + 3


def test_blocks_are_kept_up_to_a_limit(s3, opened):
    """Of blocks of 16 MiB in all, those stay that were used last."""
    with opened(LARGE) as file:
        for start in range(MIB, 19 * MIB, 9 * MIB // 4):
            file.seek(start)
            assert file.read(2 * MIB) == LARGE[start : start + 2 * MIB]
        held = sum(map(len, file.raw._blocks.values()))
        seen = len(s3.requests)
        file.seek(start)
        file.read(100)
        assert len(s3.requests) == seen
        file.seek(MIB)
        file.read(100)
    assert held <= 16 * MIB
    assert len(s3.requests) == seen + 1


def test_a_block_that_is_used_again_stays(s3, opened):
    """The block that makes room is the one that was used longest ago, not the oldest."""
    places = list(range(MIB, 19 * MIB, 9 * MIB // 4))
    with opened(LARGE) as file:
        for start in [*places[:7], places[0], places[7]]:
            file.seek(start)
            file.read(2 * MIB)
        seen = len(s3.requests)
        file.seek(places[0])
        assert file.read(100) == LARGE[MIB : MIB + 100]
    assert len(s3.requests) == seen


def test_a_block_comes_into_the_place_of_others(s3, opened):
    """What is kept and what comes are 16 MiB together, while it comes."""
    with opened(bytes(60 * MIB)) as file:
        file.seek(4 * MIB)
        file.read(15 * MIB)
        seen = []
        s3.faults.append(lambda request: seen.append(tracemalloc.get_traced_memory()[0]))
        tracemalloc.start()
        try:
            for start in (24, 44):
                file.seek(start * MIB)
                file.read(15 * MIB)
        finally:
            tracemalloc.stop()
    assert seen[1] - seen[0] < 17 * MIB  # the block before was not seen


def test_a_large_size_takes_no_memory(opened):
    """Asking for more than there is takes no memory for it."""
    with opened(LARGE) as file:
        assert file.read(2**40) == LARGE


def test_small_gaps_are_read_through(s3, opened):
    """Who skips less than a block reads on, as tar does with small members."""
    with opened(LARGE) as file:
        for start in range(0, len(LARGE), 120_000):
            file.seek(start)
            assert file.read(512) == LARGE[start : start + 512]
    assert len(s3.requests) < 20


def read_on(file):
    """Read on until threads read ahead."""
    assert file.read(3 * MIB) + file.read(MIB) == MEDIUM[: 4 * MIB]


def test_leaving_ends_the_reading_ahead(opened, working, still_working):
    """Who goes elsewhere while ranges are read ahead gets what is there, and the threads end."""
    with opened(MEDIUM) as file:
        read_on(file)
        assert working()
        file.seek(-10, io.SEEK_END)
        assert file.read() == MEDIUM[-10:]
        assert still_working() == []
        file.seek(3 * MIB)
        assert file.read(MIB) == MEDIUM[3 * MIB : 4 * MIB]


def test_ctrl_c_while_a_file_is_read_on_moves_no_bytes(opened):
    """Wherever Ctrl-C comes while a file is read, what is read afterwards is what is there."""

    def reading(file, got):
        return lambda: got.extend(file.read(MIB // 2) for _ in range(11))

    with opened(MEDIUM) as file:
        here = [at for at in lines_of(reading(file, [])) if at[0].endswith("object_file.py")]
    assert len(here) > 30
    for line in here:
        got = []
        with opened(MEDIUM) as file:
            with contextlib.suppress(KeyboardInterrupt):
                pressed_at(line, reading(file, got))
            file.seek(sum(map(len, got)))
            assert b"".join(got) + file.read() == MEDIUM, line


# What is read is one version, and right


def test_an_object_that_is_verified_by_opening_it(s3, opened):
    """Damage of a small object on the way is repaired without a word."""
    head = {"etag": f'"{md5(b"content")}"', "content-range": "bytes 0-6/7"}
    s3.fail(1, Answer(206, b"damaged", head), method="GET")
    with opened(b"content") as file:
        assert file.read() == b"content"
    with pytest.raises(errors.HashMismatchError, match=md5(b"content")):
        opened(b"content", "0" * 32)


@pytest.mark.parametrize("step", [100_000, len(MEDIUM)])
def test_an_object_is_verified_with_its_last_byte(any_driver, stored, step):
    """Who reads all in order gets no last byte of an object that differs from its ETag."""
    with any_driver.ex_open(stored(MEDIUM, "0" * 32)) as file:
        received = 0
        with pytest.raises(errors.HashMismatchError, match=md5(MEDIUM)):  # noqa: PT012
            while received < len(MEDIUM):
                received += len(file.read(step))
        assert received < len(MEDIUM)
        file.seek(received)
        with pytest.raises(errors.HashMismatchError):
            file.read()


@pytest.mark.parametrize("switched", [True, False])
def test_what_is_not_read_in_order_is_not_verified(s3, stored, new_driver, switched):
    """Nothing is compared where a part was left out, or where ex_verify=False says so."""
    with new_driver(ex_verify=switched).ex_open(stored(MEDIUM, "0" * 32)) as file:
        start = 5_000_000 if switched else 0
        file.read(1000 if switched else 0)
        file.seek(start)
        assert file.read() == MEDIUM[start:]


def test_going_back_does_no_harm_to_the_comparison(opened):
    """An object is verified also where its beginning is read again, or its end first."""
    with opened(MEDIUM, "0" * 32) as file:
        file.seek(-100, io.SEEK_END)
        file.read(50)
        file.seek(0)
        file.read(100_000)
        file.seek(10)
        file.read(500_000)
        with pytest.raises(errors.HashMismatchError):
            file.read()


def test_an_object_little_larger_than_its_first_block(opened):
    """An object whose last block comes first is verified, and each of its bytes counts once."""
    data = MEDIUM[: 100 * KIB]
    for etag, outcome in ((md5(data), contextlib.nullcontext()), ("0" * 32, None)):
        with opened(data, etag) as file:
            file.seek(99 * KIB)
            file.read(1)
            file.seek(0)
            with outcome or pytest.raises(errors.HashMismatchError):
                assert file.read() == data


def test_unequal_parts_are_read_twice(opened):
    """Where the ETag cannot be recomputed, a second download that agrees is the proof."""
    pieces = [MEDIUM[: 3 * MIB], MEDIUM[3 * MIB :]]
    with opened(MEDIUM, composite(pieces)) as file:
        assert file.read() == MEDIUM


def test_an_interrupted_read_is_not_verified_any_more(opened, monkeypatch):
    """After Ctrl-C within the hashing, a program that goes on gets the bytes, but no comparison."""
    with opened(MEDIUM, "0" * 32) as file:
        file.read(MIB)
        verifier = file.raw._verifier
        monkeypatch.setattr(file.raw, "_verifier", None)
        monkeypatch.setattr(file.raw._reader, "verifier", lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            file.read(MIB)
        monkeypatch.setattr(file.raw, "_verifier", verifier)
        file.seek(0)
        assert file.read() == MEDIUM


def test_only_reading_on_asks_how_parts_are_cut(wire, driver):
    """Where one more request tells checksum and parts, random access does not send it."""
    server = Ceph20()
    server.buckets["photos"] = {}
    wire.register_uri(requests_mock.ANY, requests_mock.ANY, raw=server)
    parts = [MEDIUM[: 3 * MIB], MEDIUM[3 * MIB :]]
    server.put_parts("k", parts, composite(parts), algorithm="sha256")
    with driver.ex_open(driver.get_object("photos", "k")) as file:
        file.read(100)
        file.seek(-100, io.SEEK_END)
        file.read()
        assert not any("attributes" in sent.params for sent in server.requests)
        file.seek(0)
        assert file.read() == MEDIUM
        assert sum("attributes" in sent.params for sent in server.requests) == 1


def test_an_object_replaced_meanwhile_is_an_error(s3, opened):
    """A file never mixes two versions of an object."""
    with opened(MEDIUM) as file:
        assert file.read(1000) == MEDIUM[:1000]
        s3.put("k", MEDIUM[::-1])
        file.seek(5 * MIB)
        with pytest.raises(errors.ObjectChangedError):
            file.read(1000)


def test_a_missing_object_cannot_be_opened(stored, s3, driver):
    """Opening raises, as that of a file does."""
    obj = stored(b"")
    s3.buckets["photos"].clear()
    with pytest.raises(errors.ObjectNotFoundError):
        driver.ex_open(obj)


def test_an_object_without_a_version_is_refused(s3, stored, driver):
    """Where no ETag pins a version, only what one response brings can be read."""
    obj = stored(MEDIUM)
    whole = Answer(200, MEDIUM)
    first = Answer(206, MEDIUM[:65536], {"content-range": f"bytes 0-65535/{len(MEDIUM)}"})
    s3.faults.append(lambda request: first if "range" in request.headers else whole)
    with pytest.raises(errors.AuroraObjectsError, match="download_object_as_stream"):
        driver.ex_open(obj)
    whole = first = Answer(200, b"tiny")
    with driver.ex_open(obj) as file:
        assert file.read() == b"tiny"


def test_a_server_without_ranges_gives_no_wrong_bytes(s3, stored, driver):
    """The whole object where a range was asked for is not taken for that range."""
    obj = stored(MEDIUM)
    whole = Answer(200, MEDIUM, {"etag": f'"{md5(MEDIUM)}"'})
    s3.faults.append(lambda request: whole if request.key else None)
    with contextlib.suppress(errors.MalformedAnswerError), driver.ex_open(obj) as file:
        assert file.read() == MEDIUM


def test_a_stale_size_does_no_harm(container, driver, stored):
    """An object that has another size than the program believes is read as it is."""
    stored(MEDIUM)
    for wrong in (0, 5, len(MEDIUM) + 9):
        with driver.ex_open(Object("k", wrong, None, None, None, container, driver)) as file:
            assert (file.size, file.read()) == (len(MEDIUM), MEDIUM)


def test_failures_on_the_way_are_survived(s3, any_driver, stored):
    """Blocks and ranges that fail are fetched again."""
    with any_driver.ex_open(stored(MEDIUM)) as file:
        s3.fail(4, error(503, "SlowDown"), method="GET")
        start = file.read(3 * MIB)
        s3.fail(4, error(503, "SlowDown"), method="GET")
        assert start + copied(file) == MEDIUM


def test_a_file_survives_a_failure_that_stays(s3, any_driver, stored):
    """A read that fails for good raises; when the server is back, the file can be read on."""
    with any_driver.ex_open(stored(MEDIUM)) as file:
        assert file.read(3 * MIB) == MEDIUM[: 3 * MIB]
        s3.faults.append(lambda request: error(503, "SlowDown"))
        with pytest.raises(errors.AuroraObjectsError, match="SlowDown"):
            copied(file)
        s3.faults.clear()
        file.seek(3 * MIB)
        assert file.read() == MEDIUM[3 * MIB :]


def test_a_forgotten_reader_ends(opened, working, still_working):
    """A file that is read ahead and collected unclosed leaves no thread."""
    file = opened(MEDIUM)
    read_on(file)
    assert working()
    gc.disable()
    try:
        del file
        assert still_working() == []
    finally:
        gc.enable()


def test_threads_may_share_a_reader(opened):
    """Each read of one thread is whole, also while others read and seek."""
    with opened(MEDIUM) as file:
        size, found = 10_000, []

        def read():
            while piece := file.read(size):
                found.append(piece)

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    whole = [MEDIUM[at : at + size] for at in range(0, len(MEDIUM), size)]
    assert sorted(found) == sorted(whole)


def test_a_reader_goes_on_in_a_forked_child(s3, opened):
    """A child of a fork reads on; what the parent's threads fetch just then is an error, once."""
    fetching, forked = threading.Event(), threading.Event()

    def hold(request):
        if request.headers["range"].endswith(f"-{len(MEDIUM) - 1}"):
            fetching.set()
            assert forked.wait(10)

    def read():
        s3.faults.clear()
        file.seek(-1000, io.SEEK_END)
        return file.read() == MEDIUM[-1000:]

    def fail_and_read():
        with pytest.raises(errors.AuroraObjectsError, match="before a fork"):
            file.read()
        return read()

    with opened(MEDIUM) as file:
        assert in_a_child(read) == "True"
        s3.faults.append(hold)
        read_on(file)
        assert fetching.wait(10)
        assert in_a_child(read) == "True"
        assert in_a_child(fail_and_read) == "True"
        forked.set()
        assert file.read() == MEDIUM[4 * MIB :]


# What cannot be opened


@pytest.mark.parametrize("mode", ["r", "w", "r+b", "ab", "xb", "", None])
def test_other_modes_are_refused(stored, driver, mode):
    """Another mode than rb and wb is a ValueError that says how text is read."""
    with pytest.raises(ValueError, match=r"'rb' or 'wb', not .*TextIOWrapper"):
        driver.ex_open(stored(b""), mode)


def test_containers_are_written_and_objects_are_read(s3, container, driver, stored):
    """What does not go with the mode is refused with what does, before anything is sent."""
    obj = stored(b"")
    for wrong in ((obj, "wb"), (container, "rb"), ("k", "rb")):
        with pytest.raises(TypeError, match="an Object to read"):
            driver.ex_open(*wrong)
    options = ["object_name", "extra", "headers", "ex_storage_class", "ex_size", "ex_progress"]
    for name in [*options, "ex_check_condition"]:
        with pytest.raises(ValueError, match=f"{name} only applies to writing"):
            driver.ex_open(obj, **{name: True})
    with pytest.raises(errors.InvalidObjectNameError):
        driver.ex_open(container, "wb")
    assert s3.requests == []


# Writing


def cut(data, size):
    """Return data in pieces of a size."""
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize(
    ("size", "step"),
    [
        *product([0, 1, PART, PART + 1, 2 * PART, len(DATA)], [len(DATA)]),
        *product([2 * PART, len(DATA)], [1000, 300_000, PART]),
    ],
)
def test_what_is_written_is_stored(s3, any_driver, container, size, step):
    """Bytes of any number, written piece by piece, become the object when the file is closed."""
    s3.requests.clear()
    with any_driver.ex_open(container, "wb", object_name="k") as file:
        for piece in cut(DATA[:size], step):
            assert file.write(piece) == len(piece)
        assert file.tell() == size
        assert "k" not in s3.buckets["photos"]
    assert s3.buckets["photos"]["k"].data == DATA[:size]
    parts = -(-size // PART)
    assert len(s3.requests) == (1 if parts < 2 else parts + 2)
    assert (file.obj.size, file.obj.hash) == (size, s3.buckets["photos"]["k"].etag)


@given(st.lists(st.integers(0, 40), max_size=12))
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_way_of_writing_stores_what_is_written(s3, container, new_driver, lengths):
    """However bytes come, their parts are those of a stream, and the object is what came."""
    driver = new_driver(ex_part_size=20, ex_max_concurrency=1)
    with driver.ex_open(container, "wb", object_name="k") as file:
        for number, length in enumerate(lengths):
            file.write(bytearray([number]) * length)
    driver.upload_object_via_stream(s3.buckets["photos"]["k"].data, container, "other")
    assert s3.buckets["photos"]["k"].data == b"".join(
        bytes([number]) * length for number, length in enumerate(lengths)
    )
    assert file.obj.hash == s3.buckets["photos"]["other"].etag


@pytest.mark.parametrize("size", [100, PART + 100])
def test_it_asks_for_what_a_stream_asks_for(s3, driver, container, size):
    """Both ways of uploading take the same arguments, and send the same with them."""
    options = {
        "extra": {
            "content_type": "text/x-odd",
            "acl": "public-read",
            "meta_data": {"colour": "żółty"},
            "tags": {"a": "b"},
        },
        "headers": {"Cache-Control": "no-store", "If-None-Match": "*"},
        "ex_storage_class": "COLD",
        "ex_size": size,
        "ex_customer_key": bytes(32),
        "ex_check_condition": True,
    }
    seen = {}
    for way in ("stream", "file"):
        s3.buckets["photos"].clear()
        s3.requests.clear()
        if way == "stream":
            obj = driver.upload_object_via_stream([DATA[:size]], container, "k", **options)
        else:
            with driver.ex_open(container, "wb", object_name="k", **options) as file:
                file.write(DATA[:size])
            obj = file.obj
        sent = [
            {
                **{name: value for name, value in each.headers.items() if name in named(each)},
                "request": f"{each.method} {each.path} {sorted(each.params)}",
            }
            for each in s3.requests
        ]
        seen[way] = sorted(sent, key=str), obj.extra, obj.meta_data, obj.hash, obj.size
    assert seen["file"] == seen["stream"]


def named(request):
    """Return a request's headers, but for those that differ from second to second."""
    changing = {"authorization", "x-amz-date", "date"}
    return request.headers.keys() - changing


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"headers": {"If-None-Match": "*"}}, "ex_check_condition=True"),
        ({"headers": {"x-amz-copy-source": "a/b"}}, "the driver sets it itself"),
        ({"extra": {"meta_data": {"a b": "c"}}}, "meta_data"),
        ({"ex_size": -1}, "ex_size"),
        ({"ex_storage_class": "no class"}, "ex_storage_class"),
        ({"ex_customer_key": b"short"}, "ex_customer_key"),
    ],
)
def test_what_cannot_be_done_is_refused_first(s3, new_file, options, says):
    """An option that is wrong, or would not be heeded for many parts, is refused by opening."""
    s3.requests.clear()
    with pytest.raises(ValueError, match=says):
        new_file(**options)
    assert s3.requests == []


def test_progress_is_told(s3, new_file):
    """Progress is told in the thread that writes, and ends at the size."""
    for size in (1000, 2 * PART + 5):
        seen = []
        with new_file(ex_progress=lambda *numbers, seen=seen: seen.append(numbers)) as file:
            file.write(DATA[:size])
        assert seen == sorted(seen)
        assert seen[-1] == (size, None)


@pytest.mark.parametrize("size", [1000, PART + 1000])
@pytest.mark.parametrize("promised", [-1, 1])
def test_another_size_than_promised_stores_nothing(s3, new_file, size, promised):
    """More or fewer bytes than ex_size are an error, and no object."""
    with pytest.raises(ValueError, match="ex_size"), new_file(ex_size=size + promised) as file:
        file.write(DATA[:size])
    assert not s3.buckets["photos"]
    assert not s3.uploads


@pytest.mark.parametrize("size", [1000, PART + 1000])
def test_a_digest_is_compared(s3, new_file, size):
    """A Content-MD5 that is not that of what was written stores nothing."""
    with (
        pytest.raises(errors.HashMismatchError, match="Content-MD5 says"),
        new_file(headers={"Content-MD5": "A" * 22 + "=="}) as file,
    ):
        file.write(DATA[:size])
    assert not s3.buckets["photos"]
    assert not s3.uploads


def test_no_object_has_more_than_its_parts_hold(s3, container, new_driver, monkeypatch):
    """What is longer than all parts is refused like a stream."""
    monkeypatch.setattr("libcloud_aurora.parts.MAX_PARTS", 3)
    monkeypatch.setattr("libcloud_aurora.parts.MAX_OBJECT_SIZE", 30)
    file = new_driver(ex_part_size=10).ex_open(container, "wb", object_name="k")
    file.write(bytes(30))
    with pytest.raises(ValueError, match="longer than"):
        file.write(b"x")
    assert not s3.uploads


def test_a_new_file_knows_what_it_is(new_file):
    """It has a name, is writable and not seekable, and has no descriptor."""
    file = new_file()
    assert (file.name, file.mode, file.tell(), file.obj) == ("k", "wb", 0, None)
    assert file.writable()
    assert not file.readable()
    assert not file.seekable()
    assert not file.isatty()
    for call in (file.fileno, file.read, file.detach, file.truncate, lambda: file.seek(0)):
        with pytest.raises(io.UnsupportedOperation):
            call()
    for wrong in ("text", 7, None):
        with pytest.raises(TypeError):
            file.write(wrong)
    file.flush()
    file.close()
    file.close()
    for call in (lambda: file.write(b""), file.tell, file.flush):
        with pytest.raises(ValueError, match="closed"):
            call()
    file.abort()
    assert file.obj is not None


def test_any_bytes_are_written(s3, new_file):
    """What has bytes is written as they lie in memory, in whatever form it has them."""
    with new_file() as file:
        assert file.write(memoryview(b"abcdef")[::2]) == 3
        assert file.write(memoryview(b"12345678").cast("I")) == 8
        assert file.write(bytearray(b"z")) == 1
    assert s3.buckets["photos"]["k"].data == b"ace12345678z"


def test_what_writes_files_writes_objects(s3, new_file):
    """zipfile, tarfile, gzip and a text wrapper write an object as they write a file."""
    with new_file() as file, zipfile.ZipFile(file, "w") as packed:
        packed.writestr("a", DATA[:100_000])
    with zipfile.ZipFile(io.BytesIO(s3.buckets["photos"]["k"].data)) as packed:
        assert packed.read("a") == DATA[:100_000]
    for mode in ("w", "w:gz", "w|", "w|gz"):
        with new_file() as file, tarfile.open(fileobj=file, mode=mode) as packed:
            member = tarfile.TarInfo("a")
            member.size = 100_000
            packed.addfile(member, io.BytesIO(DATA))
        with tarfile.open(fileobj=io.BytesIO(s3.buckets["photos"]["k"].data)) as packed:
            assert packed.extractfile("a").read() == DATA[:100_000]
    with new_file() as file, gzip.open(file, "w") as packed:
        packed.write(DATA[:100_000])
    assert gzip.decompress(s3.buckets["photos"]["k"].data) == DATA[:100_000]
    with new_file() as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        csv.writer(text).writerows([["żółw", number] for number in range(3)])
        text.flush()
    assert s3.buckets["photos"]["k"].data.decode() == "żółw,0\r\nżółw,1\r\nżółw,2\r\n"


# How a file that is written ends


@pytest.fixture(params=[1000, PART + 1, len(DATA)])
def size(request):
    """Bytes that are written before the file ends: less than a part, a part, some parts."""
    return request.param


@pytest.fixture
def nothing_stored(s3):
    """After the test there is neither object nor upload."""
    yield
    gc.collect()
    assert not s3.buckets["photos"]
    assert not s3.uploads


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize("kind", [ZeroDivisionError, KeyboardInterrupt])
def test_a_block_that_is_left_by_an_exception_stores_nothing(any_driver, container, size, kind):
    """Whatever ends the block, there is no object, and no part is left."""
    with (  # noqa: PT012
        pytest.raises(kind, match="stop"),
        any_driver.ex_open(container, "wb", object_name="k") as file,
    ):
        file.write(DATA[:size])
        raise kind("stop")
    assert file.closed
    with pytest.raises(ValueError, match="closed") as caught:
        file.write(b"")
    assert isinstance(caught.value.__cause__, kind)


@pytest.mark.usefixtures("nothing_stored")
def test_an_aborted_file_stores_nothing(any_driver, container, size):
    """After abort() the file is closed, also in its block, and nothing is stored."""
    with any_driver.ex_open(container, "wb", object_name="k") as file:
        file.write(DATA[:size])
        file.abort()
        file.abort()
    assert file.obj is None


@pytest.mark.usefixtures("nothing_stored")
def test_a_forgotten_file_stores_nothing(any_driver, container, size):
    """A file that is collected unclosed stores nothing, and says so."""
    file = any_driver.ex_open(container, "wb", object_name="k")
    file.write(DATA[:size])
    gc.disable()
    try:
        with pytest.warns(ResourceWarning, match="object 'k' is not stored: .* not closed"):
            del file
    finally:
        gc.enable()


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.filterwarnings(
    "ignore:object 'k' is not stored:ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",  # what is left cannot be written
)
@pytest.mark.parametrize("wrap", [io.TextIOWrapper, io.BufferedWriter])
def test_a_wrapper_that_is_forgotten_stores_nothing(any_driver, container, size, wrap):
    """A wrapper that the collector closes does not store what it still has to write."""
    file = any_driver.ex_open(container, "wb", object_name="k")
    file.write(DATA[:size])
    wrapper = wrap(file)
    wrapper.write("tail" if wrap is io.TextIOWrapper else b"tail")
    wrapper.itself = [file, wrapper]
    del file, wrapper
    gc.collect()


def refuse_parts(s3, at=None):
    """Refuse all parts, once an event has come."""

    def refuse(request):
        if "partNumber" not in request.params:
            return None
        assert at is None or at.wait(10)
        return error(403, "AccessDenied")

    s3.faults.append(refuse)


@pytest.mark.usefixtures("nothing_stored")
def test_a_part_that_fails_is_known_with_the_next_one(s3, new_file, monkeypatch):
    """No further part is sent once one has failed."""
    settled = threading.Semaphore(0)

    def settle(outcome, *result, real=Outcome.settle):
        real(outcome, *result)
        settled.release()

    monkeypatch.setattr(Outcome, "settle", settle)
    refuse_parts(s3)
    file = new_file()
    file.write(bytes(PART + 1))
    assert all(settled.acquire(timeout=60) for _ in ("the upload has begun", "the part has failed"))
    with pytest.raises(errors.AccessDeniedError):
        file.write(bytes(PART))
    assert len(s3.sent("PUT")) == 1


@pytest.mark.usefixtures("nothing_stored")
def test_a_file_that_failed_keeps_no_parts(s3, new_file):
    """What was to be sent is let go with the failure, while the file is still there."""
    written = threading.Event()  # else it is raised in write(), and holds what that was given
    refuse_parts(s3, written)
    tracemalloc.start()
    try:
        file = new_file()
        with pytest.raises(errors.AccessDeniedError):  # noqa: PT012
            file.write(bytes(6 * PART))
            written.set()
            file.close()
        s3.requests.clear()
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 3 * PART  # the error holds its own
    finally:
        tracemalloc.stop()
    assert file.closed


@pytest.mark.usefixtures("nothing_stored")
def test_a_part_that_fails_fails_the_file(s3, any_driver, container):
    """A failure is raised by a later write, or by close, once; nothing is left to close then."""
    refuse_parts(s3)
    file = any_driver.ex_open(container, "wb", object_name="k")
    with pytest.raises(errors.AccessDeniedError):  # noqa: PT012
        for piece in cut(DATA, MIB):
            file.write(piece)
        file.close()
    file.close()
    with pytest.raises(ValueError, match="closed") as caught:
        file.write(b"")
    assert isinstance(caught.value.__cause__, errors.AccessDeniedError)


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize("call", ["uploads", "uploadId"])
def test_an_upload_that_cannot_begin_or_end_fails_the_file(s3, any_driver, container, call):
    """Where the server refuses to begin or to complete the upload, that is the file's error."""
    s3.faults.append(
        lambda request: (
            error(403, "AccessDenied")
            if request.method == "POST" and call in request.params
            else None
        )
    )
    with (
        pytest.raises(errors.AccessDeniedError),
        any_driver.ex_open(container, "wb", object_name="k") as file,
    ):
        file.write(DATA)


@pytest.mark.usefixtures("nothing_stored")
def test_a_small_object_that_fails(s3, new_file):
    """A refused PUT is what close raises."""
    s3.fail(1, error(403, "AccessDenied"), method="PUT")
    file = new_file()
    file.write(b"content")
    with pytest.raises(errors.AccessDeniedError):
        file.close()
    file.close()


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize("kind", [ZeroDivisionError, KeyboardInterrupt])
def test_an_exception_from_progress_ends_the_file(any_driver, container, kind):
    """What progress raises ends the upload."""

    def progress(done, total):
        if done > PART:
            raise kind("cancelled")

    with (
        pytest.raises(kind, match="cancelled"),
        any_driver.ex_open(container, "wb", object_name="k", ex_progress=progress) as file,
    ):
        file.write(DATA)


@pytest.mark.filterwarnings(
    "ignore:object 'k' is not stored:ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",  # Ctrl-C may come in __del__
)
@pytest.mark.parametrize(
    ("limit", "within", "step"),
    [(1, PACKAGE, 7), (10, f"{PACKAGE}/_transfer", 1)],
    ids=["sequential", "parallel"],
)
def test_ctrl_c_anywhere_stores_all_or_nothing(s3, container, new_driver, limit, within, step):
    """
    Wherever Ctrl-C comes, the object is complete or not there, and no part is left.

    Where no thread waits for the response that begins an upload, one without parts may be left.
    """
    driver = new_driver(ex_part_size=10, ex_max_concurrency=limit)

    def write():
        with driver.ex_open(container, "wb", object_name="k") as file:
            file.write(bytes(15))
            file.write(bytes(15))

    calls = calls_of(write, within)
    assert calls > 100
    for number in range(0, calls + 1, step):
        s3.buckets["photos"].clear()
        with contextlib.suppress(KeyboardInterrupt):
            pressed_after(number, write, within)
        left = [upload["parts"] for upload in s3.uploads.values()]
        assert left == [{}] * (limit == 1 and bool(left)), number
        s3.uploads.clear()
        assert [each.data for each in s3.buckets["photos"].values()] in ([], [bytes(30)]), number


def test_ctrl_c_while_a_file_is_closed_leaves_nothing_to_store(s3, new_file):
    """Wherever Ctrl-C comes while a file is closed, closing it again stores no other bytes."""

    def written():
        file = new_file()
        file.write(b"content")
        return file

    gc.collect()  # what other tests have left comes to lines of its own
    here = [line for line in lines_of(written().close) if line[0].endswith("object_file.py")]
    assert len(here) > 10
    for line in here:
        s3.buckets["photos"].clear()
        file = written()
        with contextlib.suppress(KeyboardInterrupt):
            pressed_at(line, file.close)
        file.close()
        assert [each.data for each in s3.buckets["photos"].values()] in ([], [b"content"]), line


@pytest.mark.filterwarnings(
    "ignore:object 'k' is not stored:ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",  # Ctrl-C may come in a finalizer
)
def test_ctrl_c_while_a_file_is_given_up_leaves_no_part(s3, new_file):
    """Wherever Ctrl-C comes while an exception ends a file, its parts go, at the latest with it."""

    def leaving():
        file = new_file()
        file.write(bytes(2 * PART))
        return lambda: file.__exit__(None, ValueError("stop"), None)

    gc.collect()  # what other tests have left comes to lines of its own
    here = [at for at in lines_of(leaving()) if at[0].endswith("object_file.py")]
    assert len(here) > 10
    for line in here:
        with contextlib.suppress(KeyboardInterrupt):
            pressed_at(line, leaving())
        gc.collect()
        assert not s3.uploads, line


def fail_to_write(s3, file):
    s3.fail(9, error(403, "AccessDenied"), method="PUT")
    while True:
        file.write(bytes(PART))


def fail_in_the_block(s3, file):
    file.__exit__(ValueError, ValueError("stop"), None)


def fail_to_close(s3, file):
    s3.fail(9, error(403, "AccessDenied"), method="PUT")
    file.close()


def abort(s3, file):
    file.abort()


@pytest.mark.parametrize("way", [fail_to_write, fail_in_the_block, fail_to_close, abort])
def test_another_ctrl_c_as_a_file_is_given_up(s3, new_file, way):
    """Where Ctrl-C comes just as a file is given up, its block or the next close() does that."""
    file = new_file()
    file.write(bytes(2 * PART + 1))
    begin = inspect.getsourcelines(ObjectWriter._give_up)[1] + 1
    with pytest.raises(KeyboardInterrupt):
        pressed_at(("_transfer/object_file.py", begin), lambda: way(s3, file))
    if way is not fail_in_the_block:
        assert not file.closed
        file.close()
    assert file.closed
    assert not s3.uploads
    assert not s3.buckets["photos"]


def test_memory_is_bounded(s3, new_driver, container):
    """A writer waits while as many parts are on their way as a stream may have."""
    driver = new_driver(ex_max_concurrency=2)
    going, most, lock, third = 0, 0, threading.Lock(), threading.Event()

    def count(request):
        nonlocal going, most
        if "partNumber" in request.params:
            with lock:
                going += 1
                most = max(most, going)
            if going > 2:
                third.set()
            third.wait(0.05)  # one more than there may be would come meanwhile
            with lock:
                going -= 1

    s3.faults.append(count)
    with driver.ex_open(container, "wb", object_name="k") as file:
        for piece in cut(DATA, MIB):
            file.write(piece)
    assert most <= 2


def test_a_file_that_was_opened_before_a_fork_stays_the_parents(s3, new_file, driver):
    """A child can neither write on nor store, and does not abort what its parent writes."""
    file = new_file()
    file.write(DATA[: PART + 1])

    def write():
        with pytest.raises(errors.AuroraObjectsError, match="before a fork"):
            file.write(b"x")
        return file.closed

    assert in_a_child(write) == "True"
    assert "before a fork" in in_a_child(file.close)
    assert in_a_child(file._forgotten) == "None"
    assert len(s3.uploads) == 1
    file.write(DATA[PART + 1 :])
    file.close()
    assert s3.buckets["photos"]["k"].data == DATA


def test_what_another_process_has_opened_is_let_alone(s3, new_file):
    """In another process than its own a file is neither written nor aborted, but closed."""
    file = new_file()
    file.write(DATA[: PART + 1])
    file._written._pid += 1
    with pytest.raises(errors.AuroraObjectsError, match="open another one in the child"):
        file.write(b"x")
    assert file.closed
    assert len(s3.uploads) == 1
    file._written._pid -= 1
    file._written.abort()
    assert not s3.uploads


def test_a_file_that_is_open_when_python_ends_leaves_no_part(s3, new_file):
    """What the interpreter calls at its end aborts a file that is still open."""
    file = new_file()
    file.write(DATA[: PART + 1])
    assert file._forgotten.atexit
    file._forgotten()
    assert not s3.uploads
    file.abort()
