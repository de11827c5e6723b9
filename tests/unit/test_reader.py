"""One version of an object, read range by range, and never two versions mixed."""

import pytest
import requests_mock
from child import in_a_child
from libcloud.storage.base import Object
from unit.memory_s3 import Answer, error, md5

from libcloud_aurora import errors

MIB = 1_048_576
DATA = bytes(range(256)) * 100
#: An object of three ranges of a stream: 1 MiB, 2 MiB and the rest.
LARGE = bytes(range(256)) * (MIB // 64)


@pytest.fixture
def driver(new_driver):
    return new_driver(ex_max_concurrency=1)


@pytest.fixture
def read(s3, container, driver):
    """Read an object, or a span of it, as a stream."""
    s3.put("k", DATA)

    def read(start=0, stop=None, *, size=None, driver=driver):
        s3.requests.clear()
        obj = Object("k", size, None, None, None, container, driver)
        if (start, stop) == (0, None):
            return b"".join(driver.download_object_as_stream(obj))
        return b"".join(driver.download_object_range_as_stream(obj, start, stop))

    return read


def ranges(s3):
    return [sent.headers.get("range", "").removeprefix("bytes=") for sent in s3.requests]


def pins(s3):
    return [sent.headers.get("if-match") for sent in s3.requests]


def test_the_first_range_is_read_from_the_first_response(s3, read):
    """What fits in the first range needs one request, which nothing pins."""
    assert read(0, 100) == DATA[:100]
    assert ranges(s3) == ["0-99"]
    assert pins(s3) == [None]


def test_every_later_range_is_pinned_to_the_first_one_s_version(s3, read):
    """Later ranges carry the ETag of the first response as If-Match."""
    s3.put("k", LARGE)
    assert read() == LARGE
    assert ranges(s3) == [f"0-{MIB - 1}", f"{MIB}-{3 * MIB - 1}", f"{3 * MIB}-{len(LARGE) - 1}"]
    assert pins(s3) == [None, f'"{md5(LARGE)}"', f'"{md5(LARGE)}"']


def test_a_small_object_is_asked_for_whole(s3, read):
    """Of an object known to be small everything is asked for, without a range."""
    assert read(size=len(DATA)) == DATA
    assert ranges(s3) == [""]


@pytest.mark.parametrize("start", [25_000, 25_599])
def test_an_open_end_is_the_end_of_the_object(s3, read, start):
    """Without an end a range goes to the end of the object, however much is asked for first."""
    assert read(start) == DATA[start:]
    assert ranges(s3) == [f"{start}-{start + MIB - 1}"]


def unnamed(s3, *cuts):
    """Let the server send the large object without an ETag, its first long responses cut."""
    left = list(reversed(cuts))

    def answer(seen):
        asked = seen.headers.get("range", f"bytes=0-{len(LARGE) - 1}")
        start, last = asked.removeprefix("bytes=").split("-")
        first, last = int(start), min(int(last or len(LARGE)), len(LARGE) - 1)
        upto = left.pop() if left and last - first >= MIB else len(LARGE)
        headers = {
            "content-range": f"bytes {first}-{last}/{len(LARGE)}",
            "content-length": str(last + 1 - first),
        }
        body = LARGE[first : last + 1][:upto]
        return Answer(206 if "range" in seen.headers else 200, body, headers)

    s3.faults.append(answer)


@pytest.mark.parametrize(
    ("span", "asked"),
    [
        ((0, None), [f"0-{MIB - 1}", ""]),
        ((0, MIB), [f"0-{MIB - 1}"]),
        ((5, 2 * MIB), [f"5-{MIB + 4}", f"5-{2 * MIB - 1}"]),
        ((MIB, None), [f"{MIB}-{2 * MIB - 1}", f"{MIB}-"]),
    ],
)
def test_an_object_without_an_etag_is_one_response(s3, read, span, asked):
    """Where no ETag says which version it is, one response must do."""
    unnamed(s3)
    assert read(*span) == LARGE[slice(*span)]
    assert ranges(s3) == asked
    assert set(pins(s3)) == {None}


def test_a_stream_without_an_etag_is_not_pieced_together(s3, read):
    """A response without an ETag that is cut is an error: what comes next may be another object."""
    unnamed(s3, MIB + 5)
    with pytest.raises(errors.NetworkError):
        read()
    assert len(s3.requests) == 2


@pytest.mark.parametrize(("resume", "cuts"), [(False, [2 * MIB]), (True, [MIB, 2 * MIB])])
def test_a_file_without_an_etag_is_begun_anew(s3, container, new_driver, tmp_path, resume, cuts):
    """A response without an ETag that is cut is asked for again from its start, and counted so."""
    unnamed(s3, *cuts)
    driver, seen = new_driver(), []
    obj = Object("k", None, None, None, None, container, driver)
    s3.requests.clear()
    driver.download_object(
        obj, tmp_path / "f", ex_resume=resume, ex_progress=lambda *now: seen.append(now)
    )
    assert (tmp_path / "f").read_bytes() == LARGE
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
    assert ranges(s3)[-1] == f"0-{len(LARGE) - 1}"
    assert seen == sorted(set(seen))
    assert seen[-1] == (len(LARGE), len(LARGE))


def test_a_file_without_an_etag_is_begun_anew_as_often_as_any(s3, container, driver, tmp_path):
    """Bytes that have to be fetched again are no progress: the attempts are used up."""
    unnamed(s3, *[MIB, 3 * MIB] * 5)
    obj = Object("k", None, None, None, None, container, driver)
    s3.requests.clear()
    with pytest.raises(errors.NetworkError) as caught:
        driver.download_object(obj, tmp_path / "f")
    assert len(caught.value.history) == len(s3.requests) == 5


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (206, {}),
        (206, {"content-range": "bytes 0-99/*"}),
        (206, {"content-range": "bytes 1-99/25600"}),
        (206, {"content-range": "nonsense"}),
        (206, {"content-range": "bytes 0-99/²"}),
        (206, {"content-range": f"bytes 0-99/{'9' * 5000}"}),
        (206, {"content-range": "bytes 0-150/100"}),
        (206, {"content-range": "bytes 0-99/50"}),
        (206, {"content-range": "bytes 0-300/25600"}),
        (200, {"content-length": "many"}),
        (200, {"content-length": "²"}),
        (200, {"content-length": "9" * 5000}),
        (200, {"content-length": "101"}),
    ],
)
def test_a_response_that_says_no_place_is_malformed(s3, read, status, headers):
    """A response that does not say where its bytes belong, or is beyond, is never used."""
    answer = Answer(status, bytes(101), headers)
    s3.fail(4, answer, key="k")
    assert read(0, 100) == DATA[:100]
    s3.fail(5, answer, key="k")
    with pytest.raises(errors.MalformedAnswerError, match="the response is not S3") as caught:
        read(0, 100)
    assert len(caught.value.history) == 5


@pytest.mark.parametrize("stop", [100, None])
def test_a_server_that_ignores_ranges_is_not_believed(s3, read, stop):
    """The whole object where a range was asked for is never taken for the range."""
    s3.fail(9, Answer(200, DATA, {"etag": '"x"'}), key="k")
    with pytest.raises(errors.MalformedAnswerError):
        read(5, stop)


PLACE = f"/{len(LARGE)}"


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, LARGE),
        Answer(206, LARGE[:MIB], {"content-range": f"bytes 0-{MIB - 1}{PLACE}"}),
        Answer(206, LARGE[MIB : 2 * MIB], {"content-range": f"bytes {MIB}-{2 * MIB - 1}{PLACE}"}),
        Answer(206, LARGE[MIB : 3 * MIB], {"content-range": f"bytes {MIB}-{3 * MIB - 1}/9999999"}),
        Answer(206, LARGE[MIB : 3 * MIB]),
    ],
    ids=["whole", "from the start", "shorter", "of another size", "without a place"],
)
def test_a_later_range_from_elsewhere_is_asked_for_again(s3, read, answer):
    """A later response that is not exactly the range asked for is not used."""
    s3.put("k", LARGE)
    left = [answer]
    s3.faults.append(lambda seen: left.pop() if left and "if-match" in seen.headers else None)
    assert read() == LARGE
    assert ranges(s3)[1:3] == [f"{MIB}-{3 * MIB - 1}"] * 2


def test_the_whole_object_is_as_good_as_its_only_range(s3, read):
    """A 200 with all the bytes serves a range that is the whole object."""
    s3.fail(1, Answer(200, DATA, {"etag": f'"{md5(DATA)}"'}), key="k")
    assert read() == DATA
    assert len(s3.requests) == 1


@pytest.mark.parametrize("span", [(0, None), (7, len(LARGE) - 7)])
def test_an_object_that_was_replaced_is_an_error(s3, read, span):
    """When the object is another one by now, the error says so and what to do."""
    s3.put("k", LARGE)
    s3.faults.append(lambda seen: s3.put("k", LARGE[::-1]) if "if-match" in seen.headers else None)
    with pytest.raises(errors.ObjectChangedError, match="Download it again") as caught:
        read(*span)
    assert (caught.value.bucket, caught.value.key) == ("photos", "k")
    assert (caught.value.code, caught.value.http_status) == ("PreconditionFailed", 412)
    assert len(s3.requests) == 2


def test_a_refusal_before_anything_is_pinned_passes_through(s3, read):
    """A 412 to the first request is reported as it is."""
    s3.fail(1, Answer(412), key="k")
    with pytest.raises(errors.AuroraObjectsError) as caught:
        read()
    assert not isinstance(caught.value, errors.ObjectChangedError)


def test_a_refusal_of_what_was_not_pinned_passes_through(s3, read):
    """Nor is a 412 to a range of an object without an ETag taken for a change."""
    s3.faults.append(lambda _: error(412, "PreconditionFailed") if len(s3.requests) > 1 else None)
    unnamed(s3)
    with pytest.raises(errors.AuroraObjectsError, match="PreconditionFailed") as caught:
        read()
    assert not isinstance(caught.value, errors.ObjectChangedError)


def test_a_server_that_ignores_conditions_mixes_no_versions(s3, read):
    """A range whose ETag is another than the first one's is ObjectChangedError, not wrong bytes."""
    s3.put("k", LARGE)
    place = f"bytes {MIB}-{3 * MIB - 1}/{len(LARGE)}"
    other = {"etag": f'"{md5(b"other")}"', "content-range": place}
    s3.faults.append(
        lambda seen: Answer(206, bytes(2 * MIB), other) if "if-match" in seen.headers else None
    )
    with pytest.raises(errors.ObjectChangedError, match="was replaced while it was read"):
        read()


def cut_at(s3, kept, start, stop):
    """Cut the next response with a span of the object."""
    head = {
        "etag": f'"{md5(LARGE)}"',
        "content-range": f"bytes {start}-{stop - 1}/{len(LARGE)}",
        "content-length": str(stop - start),
    }
    left = [Answer(206, LARGE[start : start + kept], head)]
    wanted = f"bytes={start}-{stop - 1}"
    s3.faults.append(
        lambda seen: left.pop() if left and seen.headers.get("range") == wanted else None
    )


@pytest.mark.parametrize("kept", [0, 30, MIB + 1])
def test_a_cut_response_is_resumed_where_it_broke(s3, read, kept):
    """After a cut only the missing bytes are asked for."""
    s3.put("k", LARGE)
    cut_at(s3, kept, MIB, 3 * MIB)
    assert read() == LARGE
    assert ranges(s3)[1:3] == [f"{MIB}-{3 * MIB - 1}", f"{MIB + kept}-{3 * MIB - 1}"]


def test_a_cut_range_of_a_file_is_resumed_too(s3, container, driver, tmp_path):
    """A range that goes to a file is complete after a cut, and its bytes are counted once."""
    s3.put("k", LARGE)
    cut_at(s3, 30, 0, len(LARGE))
    seen = []
    obj = Object("k", None, None, None, None, container, driver)
    driver.download_object(obj, tmp_path / "f", ex_progress=lambda *now: seen.append(now))
    assert (tmp_path / "f").read_bytes() == LARGE
    assert seen[1] == (30, len(LARGE))
    assert seen[-1] == (len(LARGE), len(LARGE))
    assert seen == sorted(set(seen))


def test_a_range_that_never_comes_ends(s3, read):
    """A connection that breaks every time ends in a NetworkError with the history."""
    s3.put("k", LARGE)
    for _ in range(5):
        cut_at(s3, 0, MIB, 3 * MIB)
    with pytest.raises(errors.NetworkError) as caught:
        read()
    assert len(caught.value.history) == 5
    assert len(s3.requests) == 6


def test_a_range_that_gets_on_is_read_to_its_end(s3, read, new_driver):
    """An attempt that has moved a mebibyte was worth it: the attempts are counted anew."""
    s3.put("k", LARGE)
    driver = new_driver(ex_max_concurrency=1, ex_max_attempts=3)
    cut_at(s3, 0, MIB, 3 * MIB)
    cut_at(s3, MIB, MIB, 3 * MIB)
    cut_at(s3, 10, 2 * MIB, 3 * MIB)
    assert read(driver=driver) == LARGE
    assert len(s3.requests) == 6


@pytest.fixture
def opened(s3, wire):
    """The responses to requests for the object, as they were opened."""
    opened = []

    def answer(request, context):
        response = s3(request, context)
        if request.path == "/photos/k":
            opened.append(response)
        return response

    wire.register_uri(requests_mock.ANY, requests_mock.ANY, raw=answer)
    return opened


def test_a_response_that_is_not_used_is_closed(s3, container, driver, opened, tmp_path):
    """A response that nobody reads to its end is closed."""
    s3.put("k", LARGE)
    obj = Object("k", len(LARGE), None, None, None, container, driver)

    def fails(done, total):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        driver.download_object(obj, tmp_path / "f", ex_progress=fails)
    assert [response.closed for response in opened] == [True]


@pytest.mark.parametrize("hint", [None, 5])
def test_a_first_response_that_is_too_long_is_closed(s3, container, driver, opened, hint):
    """A large object that comes whole is not taken into memory, but asked for in ranges."""
    s3.put("k", LARGE)
    s3.fail(1, Answer(200, LARGE, {"etag": f'"{md5(LARGE)}"'}), method="GET")
    obj = Object("k", hint, None, None, None, container, driver)
    assert b"".join(driver.download_object_as_stream(obj)) == LARGE
    assert opened[0].closed


@pytest.fixture(params=["x-object-manifest", "x-object-meta-static-large-object"])
def joined(request, s3):
    """
    An object that a server joins from segments, as radosgw answers.

    Its own ETag meets no condition, and is no MD5; each range says that it starts at 0.
    """
    s3.put("k", DATA, etag=md5(b"the segments"), **{request.param: "x"})

    def answer(seen):
        if "if-match" in seen.headers:
            return error(412, "PreconditionFailed")
        found = s3._keyed(seen)
        if found.status != 206:
            return None
        said = "bytes 0-" + found.headers["content-range"].partition("-")[2]
        return found._replace(headers={**found.headers, "content-range": said})

    s3.faults.append(answer)


@pytest.mark.parametrize("size", [None, 0, len(DATA)])
def test_what_is_joined_from_segments_is_read_with_one_get(
    s3, joined, container, driver, tmp_path, size
):
    """It has no version to pin and nothing to verify it by: no second request may follow."""
    obj = Object("k", size, None, None, None, container, driver)
    assert b"".join(driver.download_object_as_stream(obj)) == DATA
    for resume in (False, True):
        driver.download_object(obj, tmp_path / "f", overwrite_existing=True, ex_resume=resume)
        assert (tmp_path / "f").read_bytes() == DATA
    assert b"".join(driver.download_object_range_as_stream(obj, 5, 99)) == DATA[5:99]
    assert b"".join(driver.download_object_range_as_stream(obj, 5)) == DATA[5:]
    assert set(pins(s3)) == {None}


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_does_not_read_on_in_it(s3, joined, container, driver):
    """Parent and child would share one response."""
    s3.put("k", LARGE, etag=md5(b"the segments"), **s3.buckets["photos"]["k"].headers)
    stream = driver.download_object_as_stream(Object("k", 0, None, None, None, container, driver))
    first = next(stream)
    assert "started before a fork" in in_a_child(lambda: next(stream))
    assert first + b"".join(stream) == LARGE


def test_a_range_of_it_is_as_long_as_the_response(s3, joined, container, driver):
    """A range that truly begins with the first byte is no answer to one that begins later."""
    headers = {"content-range": f"bytes 0-98/{len(DATA)}", "x-object-manifest": "x"}
    s3.faults.insert(0, lambda seen: Answer(206, DATA[:99], headers))
    obj = Object("k", len(DATA), None, None, None, container, driver)
    with pytest.raises(errors.MalformedAnswerError, match="Content-Range"):
        list(driver.download_object_range_as_stream(obj, 5, 99))
