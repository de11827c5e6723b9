"""Objects coming down to an iterator."""

import contextlib
import os
import threading
import time
from collections import Counter
from itertools import count, islice

import pytest
from libcloud.storage.base import Object
from unit.memory_s3 import Answer, composite, error, md5
from workers import wait_for_workers

from libcloud_aurora import errors
from libcloud_aurora._transfer.stream import Stream

MIB = 1_048_576
LARGE = os.urandom(21 * MIB + 12_345)


def handle(container, driver, size=None):
    return Object("k", size, None, None, None, container, driver)


@pytest.fixture(params=[1, 10], ids=["sequential", "parallel"])
def any_driver(request, new_driver):
    return new_driver(ex_max_concurrency=request.param)


@pytest.mark.parametrize("given_size", [-1, 1.5, "1", True])
def test_impossible_chunk_sizes_are_refused(s3, container, driver, given_size):
    """A chunk size that is no number of bytes is a ValueError that names it; nothing is sent."""
    s3.requests.clear()
    with pytest.raises(ValueError, match="chunk_size"):
        driver.download_object_as_stream(handle(container, driver), given_size)
    with pytest.raises(ValueError, match="chunk_size"):
        driver.download_object_range_as_stream(handle(container, driver), 0, 5, given_size)
    assert s3.requests == []


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB, len(LARGE)])
def test_any_size_arrives(s3, container, any_driver, size, known):
    """Objects of any size arrive completely and in order; an empty one gives one empty chunk."""
    s3.put("k", LARGE[:size])
    seen = []
    chunks = list(
        any_driver.download_object_as_stream(
            handle(container, any_driver, size if known else None),
            ex_progress=lambda *numbers: seen.append(numbers),
        )
    )
    assert b"".join(chunks) == LARGE[:size]
    assert [len(chunk) for chunk in chunks[:-1]] == [MIB] * (len(chunks) - 1)
    assert chunks
    assert seen == sorted(set(seen))
    assert seen[-1] == (size, size)


@pytest.mark.parametrize(
    "chunk_size", [1, 1000, MIB - 1, MIB, MIB + 1, 2 * MIB, 3 * MIB + 1, 6 * MIB, 10**9]
)
@pytest.mark.parametrize("size", [5000, 7 * MIB + 9])
def test_chunks_have_exactly_the_size(s3, container, driver, chunk_size, size):
    """However the bytes come, each chunk but the last has exactly the size asked for."""
    size = 5000 if chunk_size == 1 else size
    s3.put("k", LARGE[:size])
    chunks = list(driver.download_object_as_stream(handle(container, driver), chunk_size))
    assert chunks == [LARGE[at : min(at + chunk_size, size)] for at in range(0, size, chunk_size)]
    assert {type(chunk) for chunk in chunks} == {bytes}


@pytest.mark.parametrize("given_size", [None, 0])
def test_chunks_are_1_mib_by_default(s3, container, driver, given_size):
    """Without a chunk size, or with an empty object's, chunks are 1 MiB."""
    s3.put("k", LARGE)
    chunks = driver.download_object_as_stream(handle(container, driver), given_size)
    assert [len(chunk) for chunk in chunks] == [*[MIB] * 21, 12_345]


@pytest.mark.parametrize("wrong", [0, 5, len(LARGE) + 9])
def test_a_stale_size_does_no_harm(s3, container, any_driver, wrong):
    """An object that has another size than the program believes arrives as it is."""
    s3.put("k", LARGE)
    stream = any_driver.download_object_as_stream(handle(container, any_driver, wrong))
    assert b"".join(stream) == LARGE


def test_the_call_sends_the_first_request_and_no_other(s3, container, driver):
    """As with libcloud's driver, a missing object is an error of the call, which starts no more."""
    with pytest.raises(errors.ObjectNotFoundError):
        driver.download_object_as_stream(handle(container, driver))
    with pytest.raises(errors.ObjectNotFoundError):
        driver.download_object_range_as_stream(handle(container, driver), 0, 5)
    s3.put("k", LARGE)
    s3.requests.clear()
    stream = driver.download_object_as_stream(handle(container, driver))
    assert [sent.headers["range"] for sent in s3.requests] == [f"bytes=0-{MIB - 1}"]
    assert b"".join(stream) == LARGE
    ranges = [sent.headers["range"] for sent in s3.requests]
    assert len(ranges) == len(set(ranges))


def test_a_forked_child_asks_for_itself(s3, container, driver, monkeypatch):
    """Of a stream that was made before a fork, the open response is left to the parent."""
    s3.put("k", LARGE)
    stream = driver.download_object_as_stream(handle(container, driver))
    monkeypatch.setattr(os, "getpid", lambda: -1)
    s3.requests.clear()
    assert next(stream) == LARGE[:MIB]
    assert [sent.headers["range"] for sent in s3.requests] == [f"bytes=0-{MIB - 1}"]


def test_a_consumer_that_stops_early_has_cost_one_range(s3, container, driver):
    """Who takes the first chunk only has fetched the first range only, and left no thread busy."""
    s3.put("k", LARGE)
    s3.requests.clear()
    stream = driver.download_object_as_stream(handle(container, driver))
    assert next(stream) == LARGE[:MIB]
    stream.close()
    assert [sent.headers["range"] for sent in s3.requests] == [f"bytes=0-{MIB - 1}"]


def test_closing_in_the_middle_ends_the_read_ahead(s3, container, driver):
    """After closing, no range is fetched any more."""
    s3.put("k", LARGE)
    stream = driver.download_object_as_stream(handle(container, driver))
    taken = list(islice(stream, 4))
    stream.close()
    count = len(s3.requests)
    wait_for_workers()
    assert b"".join(taken) == LARGE[: 4 * MIB]
    assert len(s3.requests) == count


@pytest.fixture
def at_pace(monkeypatch):
    """Lets a clock go forward by so many seconds whenever somebody looks at it."""

    def patch(seconds):
        ticks = count()
        monkeypatch.setattr(time, "monotonic", lambda: next(ticks) * seconds)

    return patch


def read_ahead(s3):
    """Return the lengths of the ranges after the first, in the object's order."""
    spans = sorted([*map(int, sent.headers["range"][6:].split("-"))] for sent in s3.requests[1:])
    return [last - first + 1 for first, last in spans]


def test_a_server_that_is_far_gets_many_short_requests(s3, container, new_driver, at_pace):
    """Where connections are slow, as many are used as the driver may, for 2 MiB each."""
    driver = new_driver(ex_max_concurrency=5)
    s3.put("k", LARGE)
    s3.requests.clear()
    lock, waiting, crowded = threading.Lock(), [], threading.Event()

    def slow(request):
        if "if-match" not in request.headers or request.headers["range"].startswith(f"bytes={MIB}"):
            return
        with lock:
            waiting.append(request)
            if len(waiting) == 5:
                crowded.set()
        assert crowded.wait(30)

    s3.faults.append(slow)
    at_pace(1.0)
    assert b"".join(driver.download_object_as_stream(handle(container, driver))) == LARGE
    assert read_ahead(s3) == [*[2 * MIB] * 10, 12_345]


@pytest.fixture
def waiting_consumer(s3, monkeypatch):
    """Lets ranges after the first arrive once the consumer has waited for one."""
    planned, plan = threading.Event(), Stream._plan
    monkeypatch.setattr(Stream, "_plan", lambda stream: planned.set() or plan(stream))

    def wait(request):
        if "if-match" in request.headers:
            assert planned.wait(10)

    s3.faults.append(wait)


@pytest.mark.usefixtures("waiting_consumer")
def test_a_server_that_is_near_gets_few_long_requests(s3, container, driver, at_pace):
    """Where a connection is fast, one brings all the rest as soon as that is known."""
    s3.put("k", LARGE)
    s3.requests.clear()
    at_pace(1e-6)
    assert b"".join(driver.download_object_as_stream(handle(container, driver))) == LARGE
    lengths = read_ahead(s3)
    assert sum(lengths) == len(LARGE) - MIB
    assert {*lengths[:-1]} == {2 * MIB}
    assert len(lengths) < 6


@pytest.mark.usefixtures("waiting_consumer")
def test_a_long_range_waits_for_the_consumer(s3, container, new_driver, at_pace, monkeypatch):
    """What is longer than its share of memory comes whole, however long the consumer pauses."""
    monkeypatch.setattr("libcloud_aurora._transfer.stream.PLACE_SECONDS", 0.01)
    monkeypatch.setattr("libcloud_aurora._transfer.stream.ALONE_RANGE", 8 * MIB)
    driver = new_driver(ex_max_concurrency=2)
    s3.put("k", LARGE)
    s3.requests.clear()
    at_pace(1e-6)
    chunks = driver.download_object_as_stream(handle(container, driver))
    begun = b"".join(islice(chunks, 9))
    time.sleep(0.05)
    assert begun + b"".join(chunks) == LARGE
    assert max(read_ahead(s3)) == 8 * MIB


@pytest.mark.parametrize(
    ("start", "end"), [(0, None), (0, 1), (5, 10), (5 * MIB, 15 * MIB), (7, 10**12)]
)
def test_a_range_is_exactly_that(s3, container, any_driver, start, end):
    """A range streams exactly, its end exclusive, cut at the end of the object."""
    s3.put("k", LARGE)
    obj = handle(container, any_driver)
    chunks = any_driver.download_object_range_as_stream(obj, start, end, 100_000)
    assert b"".join(chunks) == LARGE[start:end]


@pytest.mark.parametrize(("start", "end"), [(0, 10), (5, 10), (5, None)])
def test_a_server_without_ranges_gives_no_wrong_bytes(s3, container, driver, start, end):
    """A proxy that answers a range with the whole object gives the range or an error."""
    s3.faults.append(
        lambda request: Answer(200, LARGE[:1000], {"etag": "x"}) if request.key else None
    )
    with contextlib.suppress(errors.MalformedAnswerError):
        stream = driver.download_object_range_as_stream(handle(container, driver), start, end)
        assert b"".join(stream) == LARGE[start : 1000 if end is None else end]


def test_a_small_object_is_verified_before_its_first_byte(s3, container, driver):
    """An object that fits in the first range is verified before it is handed out."""
    s3.put("k", b"content", "0" * 32)
    with pytest.raises(errors.HashMismatchError, match=md5(b"content")):
        next(driver.download_object_as_stream(handle(container, driver)))


def test_a_small_object_that_was_damaged_is_fetched_again(s3, container, driver):
    """Damage on the way is repaired without a word."""
    s3.put("k", b"content")
    head = {"etag": f'"{md5(b"content")}"', "content-range": "bytes 0-6/7"}
    s3.fail(1, Answer(206, b"damaged", head), method="GET")
    assert list(driver.download_object_as_stream(handle(container, driver))) == [b"content"]


def test_a_small_object_that_was_cut_is_completed(s3, container, driver):
    """A small object that arrives in two pieces is verified as a whole, and not fetched again."""
    s3.put("k", b"content")
    head = {"etag": f'"{md5(b"content")}"', "content-range": "bytes 0-6/7", "content-length": "7"}
    s3.fail(1, Answer(206, b"con", head), method="GET")
    s3.requests.clear()
    assert list(driver.download_object_as_stream(handle(container, driver))) == [b"content"]
    assert len(s3.requests) == 2


def test_a_large_object_is_verified_at_the_end(s3, container, any_driver):
    """A large object that does not match its ETag is HashMismatchError before the last piece."""
    s3.put("k", LARGE, "0" * 32)
    received = 0
    with pytest.raises(errors.HashMismatchError, match=md5(LARGE)):  # noqa: PT012
        for chunk in any_driver.download_object_as_stream(handle(container, any_driver)):
            received += len(chunk)
    assert received < len(LARGE)


@pytest.mark.parametrize("part_size", [5 * MIB, 8 * MIB])
def test_composite_etags_are_verified(s3, container, driver, part_size):
    """The ETag of an object made of parts is recomputed on the way."""
    pieces = [LARGE[at : at + part_size] for at in range(0, len(LARGE), part_size)]
    s3.put("k", LARGE, composite(pieces))
    assert b"".join(driver.download_object_as_stream(handle(container, driver))) == LARGE


def test_unequal_parts_are_read_twice(s3, container, driver, caplog):
    """Where the ETag cannot be recomputed, a second download that agrees is the proof."""
    caplog.set_level("INFO")
    pieces = [LARGE[: 9 * MIB], LARGE[9 * MIB : 15 * MIB], LARGE[15 * MIB :]]
    s3.put("k", LARGE, composite(pieces))
    assert b"".join(driver.download_object_as_stream(handle(container, driver))) == LARGE
    assert s3.bytes_sent == 2 * len(LARGE)
    assert (
        "GET of object 'k' in container 'photos': its parts are unknown, so it is read twice"
        in caplog.text
    )


@pytest.mark.parametrize("sizes", [(8, 1), (6, 3), (8.5, 0.5), (4, 5)])
def test_parts_of_another_client_that_are_as_many_as_ours(s3, container, any_driver, sizes):
    """An object in as many parts as ours would have, but others, is read twice and is right."""
    size = int(sizes[0] * MIB)
    data = LARGE[: 9 * MIB]
    s3.put("k", data, composite([data[:size], data[size:]]))
    assert b"".join(any_driver.download_object_as_stream(handle(container, any_driver))) == data


def test_two_downloads_that_differ_are_an_error(s3, container, driver):
    """Where the ETag cannot be recomputed and the second download differs, it is an error."""
    pieces = [LARGE[: 9 * MIB], LARGE[9 * MIB : 15 * MIB], LARGE[15 * MIB :]]
    etag = composite(pieces)
    s3.put("k", LARGE, etag)

    def damage(request):
        if request.headers.get("range") == f"bytes=0-{len(LARGE) - 1}":
            s3.put("k", LARGE[:-1] + bytes([LARGE[-1] ^ 1]), etag)

    s3.faults.append(damage)
    with pytest.raises(errors.HashMismatchError):
        list(driver.download_object_as_stream(handle(container, driver)))


def test_verification_can_be_switched_off(s3, container, new_driver):
    """With ex_verify=False nothing is compared, whatever the size."""
    driver = new_driver(ex_verify=False)
    for size in (7, len(LARGE)):
        s3.put("k", LARGE[:size], "0" * 32)
        chunks = driver.download_object_as_stream(handle(container, driver))
        assert b"".join(chunks) == LARGE[:size]


def test_an_object_replaced_meanwhile_is_an_error(s3, container, any_driver):
    """A stream never mixes two versions of an object."""
    s3.put("k", LARGE)
    stream = any_driver.download_object_as_stream(handle(container, any_driver))
    assert next(stream) == LARGE[:MIB]
    s3.put("k", LARGE[::-1])
    with pytest.raises(errors.ObjectChangedError):
        list(stream)


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt])
def test_an_exception_from_progress_ends_the_stream(s3, container, any_driver, kind):
    """An exception from ex_progress ends the stream."""
    s3.put("k", LARGE)

    def progress(done, total):
        if done > 5 * MIB:
            raise kind("cancelled")

    stream = any_driver.download_object_as_stream(
        handle(container, any_driver), ex_progress=progress
    )
    with pytest.raises(kind, match="cancelled"):
        list(stream)


def test_failures_on_the_way_are_survived(s3, container, any_driver):
    """Ranges that fail are tried again, and the stream is complete."""
    s3.put("k", LARGE)
    s3.fail(4, error(503, "SlowDown"), method="GET")
    stream = any_driver.download_object_as_stream(handle(container, any_driver))
    assert b"".join(stream) == LARGE


@pytest.mark.parametrize("arrived", [0, 100, MIB + 100])
def test_ranges_that_are_cut_again_and_again_are_completed(s3, container, any_driver, arrived):
    """However often a range is cut, and wherever, the rest is asked for and the stream goes on."""
    s3.put("k", LARGE)
    cuts = Counter()

    def cut(request):
        first, last = map(int, request.headers["range"][6:].split("-"))
        cuts[last] += 1
        if first == 0 or cuts[last] > 4:
            return None
        head = {
            "etag": f'"{md5(LARGE)}"',
            "content-length": str(last + 1 - first),
            "content-range": f"bytes {first}-{last}/{len(LARGE)}",
        }
        return Answer(206, LARGE[first : min(first + arrived, last)], head)

    s3.faults.append(cut)
    stream = any_driver.download_object_as_stream(handle(container, any_driver))
    assert b"".join(stream) == LARGE


def test_failures_that_stay_end_the_stream(s3, container, any_driver):
    """When a later range cannot be had, the error comes after the bytes before it."""
    s3.put("k", LARGE)
    s3.faults.append(
        lambda request: error(503, "SlowDown") if "if-match" in request.headers else None
    )
    stream = any_driver.download_object_as_stream(handle(container, any_driver))
    assert next(stream) == LARGE[:MIB]
    with pytest.raises(errors.AuroraObjectsError, match="SlowDown"):
        next(stream)


def test_a_server_that_knows_no_ranges_gives_the_whole_object(s3, container, any_driver):
    """The whole object where its beginning was asked for is used, or refused."""
    s3.faults.append(
        lambda request: Answer(200, LARGE, {"etag": f'"{md5(LARGE)}"'}) if request.key else None
    )
    with contextlib.suppress(errors.MalformedAnswerError):
        stream = any_driver.download_object_as_stream(handle(container, any_driver))
        assert b"".join(stream) == LARGE
