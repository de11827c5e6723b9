"""Objects coming down to a file, verified."""

import os
import threading
from itertools import pairwise

import pytest
from libcloud.storage.base import Object
from unit.memory_s3 import Answer, composite, error, md5

from libcloud_aurora import errors
from libcloud_aurora._wire.connection import AuroraObjectsConnection

MIB = 1_048_576
LARGE = os.urandom(21 * MIB + 12_345)
#: The ETag of three parts whose sizes nobody can guess.
UNEQUAL = composite([LARGE[: 9 * MIB], LARGE[9 * MIB : 15 * MIB], LARGE[15 * MIB :]])


def leftovers(directory):
    return sorted(path.name for path in directory.iterdir())


def handle(container, driver, name="k", size=None):
    """An object as a program may build it itself."""
    return Object(name, size, None, None, None, container, driver)


@pytest.fixture(params=[1, 10], ids=["sequential", "parallel"])
def any_driver(request, new_driver):
    return new_driver(ex_max_concurrency=request.param)


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize("size", [0, 1, 4 * MIB - 1, 4 * MIB, 4 * MIB + 1, 8 * MIB, len(LARGE)])
def test_any_size_arrives(s3, container, any_driver, tmp_path, size, known):
    """Objects of any size, known or not, arrive complete, and progress ends at the size."""
    s3.put("k", LARGE[:size])
    seen = []
    obj = handle(container, any_driver, size=size if known else None)

    def progress(*numbers):
        assert threading.current_thread() is threading.main_thread()
        seen.append(numbers)

    assert any_driver.download_object(obj, str(tmp_path / "f"), ex_progress=progress) is True
    assert (tmp_path / "f").read_bytes() == LARGE[:size]
    assert leftovers(tmp_path) == ["f"]
    assert seen == sorted(set(seen))
    assert seen[-1] == (size, size)


def test_a_small_object_of_known_size_is_one_get(s3, container, driver, tmp_path):
    """A small object costs one GET without a range."""
    s3.put("k", b"small")
    s3.requests.clear()
    driver.download_object(handle(container, driver, size=5), str(tmp_path / "f"))
    (sent,) = s3.requests
    assert (sent.method, "range" in sent.headers) == ("GET", False)


def test_large_objects_come_in_ranges_of_one_version(s3, container, driver, tmp_path):
    """A large object comes in ranges that cover it once, all but the first pinned by If-Match."""
    s3.put("k", LARGE)
    s3.requests.clear()
    driver.download_object(handle(container, driver, size=len(LARGE)), str(tmp_path / "f"))
    spans = sorted(tuple(map(int, sent.headers["range"][6:].split("-"))) for sent in s3.requests)
    assert spans[0][0] == 0
    assert spans[-1][1] == len(LARGE) - 1
    assert all(one[1] + 1 == two[0] for one, two in pairwise(spans))
    assert len(spans) == 5
    pinned = [sent.headers.get("if-match") for sent in s3.requests]
    assert pinned.count(f'"{md5(LARGE)}"') == 4


@pytest.mark.parametrize("wrong", [0, 3, 10 * MIB])
def test_a_stale_size_does_no_harm(s3, container, driver, tmp_path, wrong):
    """An object that has another size than the program believes arrives as it is."""
    s3.put("k", b"0123456789")
    driver.download_object(handle(container, driver, size=wrong), str(tmp_path / "f"))
    assert (tmp_path / "f").read_bytes() == b"0123456789"


@pytest.mark.parametrize(
    ("start", "end"),
    [(0, None), (0, 1), (5, 10), (5, None), (5 * MIB, 15 * MIB), (100, 10**12), (25_000, 25_001)],
)
def test_a_range_is_exactly_that(s3, container, any_driver, tmp_path, start, end):
    """A range arrives exactly, its end exclusive, cut at the end of the object."""
    s3.put("k", LARGE)
    obj = handle(container, any_driver)
    assert any_driver.download_object_range(obj, str(tmp_path / "f"), start, end) is True
    assert (tmp_path / "f").read_bytes() == LARGE[start:end]


@pytest.mark.parametrize(("start", "end"), [(10, None), (10, 20), (99, 100)])
def test_a_range_after_the_end_is_an_error(s3, container, driver, tmp_path, start, end):
    """A range that starts at or after the end says so and leaves no file."""
    s3.put("k", b"0123456789")
    for size in (10, None):
        with pytest.raises(errors.AuroraObjectsError, match="starts at or after the end"):
            driver.download_object_range(
                handle(container, driver, size=size), str(tmp_path / "f"), start, end
            )
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("size", [0, None])
@pytest.mark.parametrize("end", [None, 1, 10])
def test_a_range_from_the_start_of_an_empty_object_is_empty(
    s3, container, any_driver, tmp_path, end, size
):
    """Nothing has no first byte to ask for, but its beginning can be had: it is empty."""
    s3.put("k", b"")
    obj = handle(container, any_driver, size=size)
    assert any_driver.download_object_range(obj, str(tmp_path / "f"), 0, end) is True
    assert (tmp_path / "f").read_bytes() == b""
    assert list(any_driver.download_object_range_as_stream(obj, 0, end)) == [b""]
    with pytest.raises(errors.AuroraObjectsError, match="starts at or after the end"):
        any_driver.download_object_range(obj, str(tmp_path / "g"), 1, end and end + 1)


def test_an_empty_object_that_grows_gives_no_wrong_bytes(s3, container, driver, tmp_path):
    """What is longer than the range when an empty object is asked for again is not taken for it."""
    s3.put("k", LARGE[:1000])
    s3.fail(1, error(416, "InvalidRange"))
    with pytest.raises(errors.MalformedAnswerError):
        driver.download_object_range(handle(container, driver), str(tmp_path / "f"), 0, 999)
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(("start", "end"), [(-1, None), (5, 4), (5, 5)])
def test_impossible_ranges_are_refused(s3, container, driver, tmp_path, start, end):
    """A negative start, or an end before it, is a ValueError before anything is sent."""
    s3.requests.clear()
    with pytest.raises(ValueError, match="start_bytes"):
        driver.download_object_range(handle(container, driver), str(tmp_path / "f"), start, end)
    with pytest.raises(ValueError, match="start_bytes"):
        driver.download_object_range_as_stream(handle(container, driver), start, end)
    assert s3.requests == []


class Index:
    def __index__(self):
        return 5


@pytest.mark.parametrize(("start", "end"), [(1.0, 4), (0, 4.5), ("1", "4")])
def test_what_is_no_integer_is_refused(s3, container, driver, tmp_path, start, end):
    """A range of anything but integers is a TypeError that says so, before anything is sent."""
    s3.requests.clear()
    with pytest.raises(TypeError, match="start_bytes and end_bytes must be integers"):
        driver.download_object_range(handle(container, driver), str(tmp_path / "f"), start, end)
    with pytest.raises(TypeError, match="start_bytes and end_bytes must be integers"):
        driver.download_object_range_as_stream(handle(container, driver), start, end)
    assert s3.requests == []


@pytest.mark.parametrize(("start", "end"), [(Index(), 9), (True, Index()), (False, None)])
def test_any_kind_of_integer_is_sent_as_its_number(s3, container, driver, start, end):
    """Integers of other kinds, such as those of arrays, are what they stand for."""
    s3.put("k", b"0123456789")
    got = driver.download_object_range_as_stream(handle(container, driver), start, end)
    assert b"".join(got) == b"0123456789"[start:end]


@pytest.mark.parametrize(("start", "end"), [(0, 10), (5, 10), (5, None)])
def test_a_server_without_ranges_gives_no_wrong_bytes(s3, container, driver, tmp_path, start, end):
    """A proxy that answers a range with the whole object gives the range or an error."""
    s3.put("k", LARGE[:1000])
    s3.faults.append(
        lambda request: Answer(200, LARGE[:1000], {"etag": "x"}) if request.key else None
    )
    try:
        driver.download_object_range(handle(container, driver), str(tmp_path / "f"), start, end)
    except errors.MalformedAnswerError:
        assert leftovers(tmp_path) == []
    else:
        assert (tmp_path / "f").read_bytes() == LARGE[start : 1000 if end is None else end]


def test_damage_is_noticed_and_fetched_again(s3, container, any_driver, tmp_path, caplog):
    """Bytes that differ from the ETag are fetched again, until they do not; the log says so."""
    caplog.set_level("INFO")
    s3.put("k", LARGE)
    s3.requests.clear()
    damaged = [True]

    def damage(request):
        if request.method == "GET" and request.key and damaged:
            damaged.clear()
            start, stop = map(int, request.headers["range"][6:].split("-"))
            data = bytearray(LARGE[start : stop + 1])
            data[7] ^= 1
            place = f"bytes {start}-{stop}/{len(LARGE)}"
            return Answer(206, bytes(data), {"etag": f'"{md5(LARGE)}"', "content-range": place})
        return None

    s3.faults[:] = [damage]
    obj = handle(container, any_driver, size=len(LARGE))
    seen = []
    any_driver.download_object(
        obj, str(tmp_path / "f"), ex_progress=lambda *numbers: seen.append(numbers)
    )
    assert (tmp_path / "f").read_bytes() == LARGE
    assert seen == sorted(set(seen))
    assert seen[-1] == (len(LARGE), len(LARGE))
    assert "GET of object 'k' in container 'photos': attempt 1 does not match" in caplog.text


@pytest.mark.parametrize("etag", ["0" * 32, "0" * 32 + "-1"], ids=["plain", "one part"])
@pytest.mark.parametrize("size", [0, 10, 9 * MIB])
def test_damage_that_stays_is_an_error(s3, container, driver, tmp_path, etag, size):
    """Bytes that never match the ETag are HashMismatchError naming both; the old file stays."""
    s3.put("k", LARGE[:size], etag)
    (tmp_path / "f").write_bytes(b"old")
    with pytest.raises(errors.HashMismatchError) as caught:
        driver.download_object(
            handle(container, driver, size=size), str(tmp_path / "f"), overwrite_existing=True
        )
    found = md5(LARGE[:size]) if "-" not in etag else composite([LARGE[:size]])
    assert etag in str(caught.value)
    assert found in str(caught.value)
    assert (tmp_path / "f").read_bytes() == b"old"
    assert leftovers(tmp_path) == ["f"]


@pytest.mark.parametrize("part_size", [5 * MIB, 8 * MIB, 16 * MIB, 7 * MIB])
def test_objects_of_equal_parts_are_verified(s3, container, any_driver, tmp_path, part_size):
    """Composite ETags of our own and of other clients' part sizes are recomputed."""
    pieces = [LARGE[at : at + part_size] for at in range(0, len(LARGE), part_size)]
    s3.put("k", LARGE, composite(pieces))
    s3.requests.clear()
    any_driver.download_object(handle(container, any_driver, size=len(LARGE)), str(tmp_path / "f"))
    assert (tmp_path / "f").read_bytes() == LARGE
    assert sum("range" in sent.headers for sent in s3.requests) <= 5


def test_objects_of_unequal_parts_are_fetched_twice(s3, container, driver, tmp_path, caplog):
    """Where the ETag cannot be recomputed, two downloads that agree are right; the log says so."""
    caplog.set_level("INFO")
    s3.put("k", LARGE, UNEQUAL)
    driver.download_object(handle(container, driver, size=len(LARGE)), str(tmp_path / "f"))
    assert (tmp_path / "f").read_bytes() == LARGE
    assert s3.bytes_sent == 2 * len(LARGE)
    assert (
        "GET of object 'k' in container 'photos': its parts are unknown, but two downloads agree"
        in caplog.text
    )


def test_each_guess_is_tried_once(s3, container, new_driver, tmp_path, readings):
    """The file is read once for each way to cut it that was not tried as its bytes came."""
    s3.put("k", LARGE, UNEQUAL)
    driver = new_driver(ex_max_concurrency=1)
    driver.download_object(handle(container, driver, size=len(LARGE)), str(tmp_path / "f"))
    assert sum(readings) == 2 * len(LARGE)  # in three parts of 9 and of 10 MiB; of 8 is known


def test_guesses_cost_no_more_than_a_second_download(s3, container, new_driver, tmp_path, readings):
    """A large object in two parts may have been cut in many ways; only the likeliest are tried."""
    data = bytes(48 * MIB)
    s3.put("k", data, composite([data[:-1], data[-1:]]))
    driver = new_driver(ex_max_concurrency=1)
    driver.download_object(handle(container, driver, size=len(data)), str(tmp_path / "f"))
    assert sum(readings) <= 8 * len(data)


def test_what_came_too_early_is_hashed_while_the_rest_is_under_way(
    s3, container, driver, tmp_path, monkeypatch
):
    """Once a late range is there, those behind it are hashed, and not only after the last."""
    s3.put("k", LARGE)
    edges = [len(LARGE) * index // 5 for index in range(6)]
    three_are_there, two_are_hashed, hashed = threading.Event(), threading.Event(), []

    def counted(number, views, offset, read=os.preadv):
        hashed.append(read(number, views, offset))
        if sum(hashed) == edges[4] - edges[2]:
            two_are_hashed.set()
        return hashed[-1]

    def late(request):
        start = int(request.headers["range"][6:].split("-")[0])
        awaited = {edges[1]: three_are_there, edges[4]: two_are_hashed}.get(start)
        assert awaited is None or awaited.wait(30)

    def progress(done, total):
        if done == edges[1] + edges[4] - edges[2]:
            three_are_there.set()

    monkeypatch.setattr(os, "preadv", counted)
    s3.faults.append(late)
    obj = handle(container, driver, size=len(LARGE))
    driver.download_object(obj, str(tmp_path / "f"), ex_progress=progress)
    assert (tmp_path / "f").read_bytes() == LARGE
    assert two_are_hashed.is_set()


def test_ctrl_c_does_not_wait_for_hashes(s3, container, new_driver, tmp_path, monkeypatch):
    """A download that ends before its time hashes nothing more of what came too early."""
    s3.put("k", LARGE)
    edges = [len(LARGE) * index // 5 for index in range(6)]
    two_are_there, is_hashing, is_ending = (threading.Event() for _ in range(3))
    readings = []

    def counted(number, views, offset, read=os.preadv):
        readings.append(offset)
        is_hashing.set()
        assert is_ending.wait(30)
        return read(number, views, offset)

    def late(request):
        start = int(request.headers["range"][6:].split("-")[0])
        awaited = {edges[1]: two_are_there, edges[4]: is_ending}.get(start)
        assert awaited is None or awaited.wait(30)

    def progress(done, total):
        if done == edges[1] + edges[4] - edges[2]:
            two_are_there.set()
        if done == edges[4]:
            assert is_hashing.wait(30)
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "preadv", counted)
    monkeypatch.setattr(
        AuroraObjectsConnection, "interrupt", lambda self, threads, *, bodies: is_ending.set()
    )
    s3.faults.append(late)
    driver = new_driver()
    obj = handle(container, driver, size=len(LARGE))
    with pytest.raises(KeyboardInterrupt):
        driver.download_object(obj, str(tmp_path / "f"), ex_progress=progress)
    assert readings == [edges[2]]


def test_ranges_end_where_parts_do(s3, container, driver, tmp_path):
    """Of an object in parts, every range but the first is whole parts."""
    pieces = [LARGE[at : at + 5 * MIB] for at in range(0, len(LARGE), 5 * MIB)]
    s3.put("k", LARGE, composite(pieces))
    s3.requests.clear()
    driver.download_object(handle(container, driver, size=len(LARGE)), str(tmp_path / "f"))
    last = sorted(int(sent.headers["range"].split("-")[1]) + 1 for sent in s3.requests)
    assert {stop % (5 * MIB) for stop in last[1:-1]} == {0}


@pytest.mark.parametrize("etag", ["opaque", ""])
def test_other_etags_are_taken_at_their_word(s3, container, driver, tmp_path, caplog, etag):
    """An object whose ETag is no MD5 is compared by length, and the log says so."""
    caplog.set_level("INFO")
    s3.put("k", b"content", etag or " ")
    driver.download_object(handle(container, driver), str(tmp_path / "f"))
    assert (tmp_path / "f").read_bytes() == b"content"
    assert "GET of object 'k' in container 'photos': not verified" in caplog.text


def test_verification_can_be_switched_off(s3, container, new_driver, tmp_path):
    """With ex_verify=False a download is not compared with its ETag."""
    s3.put("k", b"content", "0" * 32)
    driver = new_driver(ex_verify=False)
    driver.download_object(handle(container, driver), str(tmp_path / "f"))
    assert (tmp_path / "f").read_bytes() == b"content"


def test_an_object_replaced_meanwhile_is_an_error(s3, container, driver, tmp_path):
    """When the object is replaced during the download, no mixture is left."""
    s3.put("k", LARGE)

    def replace(request):
        if "if-match" in request.headers:
            s3.put("k", LARGE[::-1])

    s3.faults.append(replace)
    with pytest.raises(errors.ObjectChangedError):
        driver.download_object(handle(container, driver, size=len(LARGE)), str(tmp_path / "f"))
    assert leftovers(tmp_path) == []


def test_a_missing_object_is_an_error(s3, container, driver, tmp_path):
    """A download of nothing leaves nothing."""
    for call in (driver.download_object, lambda *a: driver.download_object_range(*a, 1, 5)):
        with pytest.raises(errors.ObjectNotFoundError):
            call(handle(container, driver), str(tmp_path / "f"))
    assert leftovers(tmp_path) == []


def test_overwriting_is_checked_before_anything_is_fetched(s3, container, driver, tmp_path):
    """An existing file is an error before a request is sent."""
    (tmp_path / "f").write_bytes(b"old")
    s3.requests.clear()
    for call in (driver.download_object, lambda *a: driver.download_object_range(*a, 1, 5)):
        with pytest.raises(errors.AuroraObjectsError, match="overwrite_existing"):
            call(handle(container, driver), str(tmp_path / "f"))
    assert s3.requests == []


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("at", [1, 3])
def test_an_exception_from_progress_cancels(s3, container, any_driver, tmp_path, kind, at):
    """An exception from ex_progress, or Ctrl-C, ends the download and leaves nothing."""
    s3.put("k", LARGE)
    calls = []

    def progress(done, total):
        calls.append(done)
        if len(calls) == at:
            raise kind("cancelled")

    with pytest.raises(kind, match="cancelled"):
        any_driver.download_object(
            handle(container, any_driver, size=len(LARGE)),
            str(tmp_path / "f"),
            ex_progress=progress,
        )
    assert len(calls) == at
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("code", ["SlowDown", "PreconditionFailed"])
@pytest.mark.parametrize("size", [1, len(LARGE)])
def test_an_error_of_the_family_from_progress_is_no_failed_attempt(
    s3, container, any_driver, tmp_path, code, size
):
    """What ex_progress raises comes through as it is, even if it would be retried elsewhere."""
    s3.put("k", LARGE[:size])
    reason = errors.AuroraObjectsError("another transfer failed", code=code)

    def progress(done, total):
        if done:
            calls.append(done)
            raise reason from cause

    calls, cause = [], ValueError()
    obj = handle(container, any_driver, size=size)
    with pytest.raises(errors.AuroraObjectsError) as caught:
        any_driver.download_object(obj, str(tmp_path / "f"), ex_progress=progress)
    assert caught.value is reason
    assert (reason.history, reason.__cause__) == ((), cause)
    assert len(calls) == 1
    assert leftovers(tmp_path) == []


def test_ranges_that_fail_are_tried_again(s3, container, any_driver, tmp_path):
    """A range that fails is fetched again, the others are not."""
    s3.put("k", LARGE)
    s3.fail(3, error(503, "SlowDown"), method="GET")
    any_driver.download_object(handle(container, any_driver, size=len(LARGE)), str(tmp_path / "f"))
    assert (tmp_path / "f").read_bytes() == LARGE
