"""_version: one version of an object, read range by range."""

import http.client
import io
from types import SimpleNamespace

import pytest
from unit.memory_s3 import Answer, md5

from libcloud_aurora import errors
from libcloud_aurora._threads import Stop
from libcloud_aurora._version import Version, reader

DATA = bytes(range(256)) * 100
CONTEXT = {"bucket": "photos", "key": "k", "driver": None}


@pytest.fixture
def open_version(s3, driver):
    s3.put("k", DATA)

    def make(start=0, stop=None, ranged=True):
        return Version(
            driver.connection.request,
            driver._retrier,
            path="/photos/k",
            start=start,
            stop=stop,
            ranged=ranged,
            context=CONTEXT,
        )

    return make


def read(version, start, stop):
    found = bytearray(stop - start)
    offsets = []

    def deliver(offset, view):
        offsets.append(offset)
        found[offset - start : offset - start + len(view)] = view

    version.read(start, stop, deliver, stop_event=Stop())
    return bytes(found)


def test_the_first_answer_says_what_the_object_is(s3, open_version):
    """Size, ETag and the end of the first range come from the first answer."""
    version = open_version(0, 100)
    assert (version.size, version.first_stop) == (25_600, 100)
    assert version.etag == md5(DATA)
    assert s3.requests[0].headers["range"] == "bytes=0-99"
    assert "if-match" not in s3.requests[0].headers


def test_the_first_range_is_read_from_the_first_answer(s3, open_version):
    """Reading the first range needs no further request; every later one is pinned by If-Match."""
    version = open_version(0, 100)
    assert read(version, 0, 100) == DATA[:100]
    assert len(s3.requests) == 1
    assert read(version, 100, 25_600) == DATA[100:]
    assert s3.requests[1].headers["if-match"] == f'"{md5(DATA)}"'
    assert s3.requests[1].headers["range"] == "bytes=100-25599"


def test_an_object_can_be_asked_for_whole(s3, open_version):
    """Without a range the whole object is the first answer."""
    version = open_version(0, None, ranged=False)
    assert (version.size, version.first_stop) == (25_600, 25_600)
    assert "range" not in s3.requests[0].headers
    assert read(version, 0, 25_600) == DATA


def test_an_open_end_asks_for_the_rest(s3, open_version):
    """Without an end the range goes to the end of the object."""
    version = open_version(25_000)
    assert s3.requests[0].headers["range"] == "bytes=25000-"
    assert read(version, 25_000, 25_600) == DATA[25_000:]


def test_an_object_without_an_etag_is_not_pinned(s3, open_version):
    """A server that sends no ETag is read all the same."""
    s3.fail(1, Answer(206, b"12", {"content-range": "bytes 0-1/25600"}))
    version = open_version(0, 2)
    assert (version.etag, version.pin) == ("", {})


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (206, {}),
        (206, {"content-range": "bytes 0-99/*"}),
        (206, {"content-range": "bytes 1-99/25600"}),
        (206, {"content-range": "nonsense"}),
        (206, {"content-range": "bytes 0-99/²"}),
        (206, {"content-range": f"bytes 0-99/{'9' * 5000}"}),
        (200, {"content-length": "many"}),
        (200, {"content-length": "²"}),
        (200, {"content-length": "9" * 5000}),
    ],
)
def test_an_answer_that_says_no_place_is_malformed(s3, open_version, status, headers):
    """An answer that does not say where its bytes belong is refused."""
    s3.fail(1, Answer(status, bytes(100), headers))
    with pytest.raises(errors.MalformedAnswerError):
        open_version(0, 100)


@pytest.mark.parametrize("place", ["bytes 0-150/100", "bytes 0-99/50", "bytes 0-300/25600"])
def test_a_range_beyond_the_object_or_the_question_is_malformed(s3, open_version, place):
    """An answer with more than was asked for, or than there is, is refused."""
    s3.fail(1, Answer(206, bytes(301), {"content-range": place}))
    with pytest.raises(errors.MalformedAnswerError):
        open_version(0, 100)


def test_a_server_that_ignores_ranges_is_not_believed(s3, open_version):
    """The whole object where a range was asked for is never taken for the range."""
    s3.fail(9, Answer(200, DATA, {"etag": '"x"'}))
    with pytest.raises(errors.MalformedAnswerError):
        open_version(5, 100)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, DATA),
        Answer(206, DATA[:50], {"content-range": "bytes 0-49/25600"}),
        Answer(206, DATA[100:200], {"content-range": "bytes 100-199/99999"}),
        Answer(206, DATA[100:200]),
    ],
)
def test_a_later_range_from_elsewhere_is_asked_for_again(s3, open_version, answer):
    """A later answer that is not exactly the range asked for is not used, but asked for again."""
    version = open_version(0, 100)
    s3.fail(1, answer)
    assert read(version, 100, 200) == DATA[100:200]
    assert len(s3.requests) == 3


def test_the_whole_object_is_as_good_as_its_only_range(s3, open_version):
    """A 200 with all the bytes serves a range that is the whole object."""
    version = open_version(0, 100)
    s3.fail(1, Answer(200, DATA))
    assert read(version, 0, 25_600) == DATA
    assert len(s3.requests) == 2


def test_an_object_that_was_replaced_is_an_error(s3, open_version):
    """When the object is another one by now, the error says so and what to do."""
    version = open_version(0, 100)
    s3.put("k", b"new" * 10_000)
    with pytest.raises(errors.ObjectChangedError, match="Download it again") as caught:
        read(version, 100, 200)
    assert (caught.value.bucket, caught.value.key) == ("photos", "k")
    assert (caught.value.code, caught.value.http_status) == ("PreconditionFailed", 412)


def test_a_refusal_before_anything_is_pinned_passes_through(s3, open_version):
    """A 412 to the first request is reported as it is."""
    s3.fail(1, Answer(412))
    with pytest.raises(errors.AuroraObjectsError) as caught:
        open_version(0, 100)
    assert not isinstance(caught.value, errors.ObjectChangedError)


def test_a_cut_answer_is_resumed_where_it_broke(s3, open_version):
    """After a cut only the missing bytes are asked for."""
    version = open_version(0, 10)
    cut = {"content-range": "bytes 100-199/25600", "content-length": "100"}
    s3.fail(1, Answer(206, DATA[100:130], cut))
    try:
        assert read(version, 100, 200) == DATA[100:200]
    finally:
        ranges = [sent.headers["range"] for sent in s3.requests]
    assert ranges == ["bytes=0-9", "bytes=100-199", "bytes=130-199"]


def test_reading_into_memory_resumes_too(s3, open_version):
    """A range read into given memory is complete after a cut."""
    version = open_version(0, 10)
    cut = {"content-range": "bytes 100-199/25600", "content-length": "100"}
    s3.fail(1, Answer(206, DATA[100:130], cut))
    space = memoryview(bytearray(100))
    version.read_into(space, 100, stop_event=Stop())
    assert bytes(space) == DATA[100:200]


def test_a_range_that_never_comes_ends(s3, open_version):
    """A connection that breaks every time ends in a NetworkError with the history."""
    version = open_version(0, 10)
    cut = {"content-range": "bytes 100-199/25600", "content-length": "100"}
    s3.faults.append(lambda request: Answer(206, b"", cut))
    with pytest.raises(errors.NetworkError) as caught:
        read(version, 100, 200)
    assert len(caught.value.history) == 5
    assert len(s3.requests) == 6


def test_reading_ends_with_the_transfer(s3, open_version):
    """Once the transfer is stopped, no more bytes are delivered, and the answer is closed."""
    version = open_version(0, 100)
    stop = Stop()
    stop.set()
    delivered = []
    version.read(0, 100, lambda *piece: delivered.append(piece), stop_event=stop)
    assert delivered == []


def test_an_unread_answer_is_closed(open_version):
    """What nobody reads is closed, once."""
    version = open_version(0, 100)
    raw = version._first.raw
    version.release()
    version.release()
    assert raw.closed


class FakeSocket:
    def __init__(self, data):
        self.data = data

    def makefile(self, mode):
        return io.BytesIO(self.data)


class Raw:
    def __init__(self, data, original=None):
        self.file, self._original_response = io.BytesIO(data), original

    def read(self, size, decode_content):
        assert decode_content is False
        return self.file.read(min(size, 3))


def test_a_buffer_is_filled_from_the_socket():
    """Behind a real connection the bytes go from the socket into the buffer."""
    original = http.client.HTTPResponse(FakeSocket(b"HTTP/1.1 200 OK\r\n\r\nsocket"))
    original.begin()
    view = memoryview(bytearray(10))
    assert reader(Raw(b"copy", original))(view) == 6
    assert bytes(view[:6]) == b"socket"


def test_a_buffer_is_filled_from_any_other_answer():
    """Behind a mock transport the bytes are read and copied."""
    view = memoryview(bytearray(10))
    fill = reader(Raw(b"copied"))
    assert [fill(view), fill(view), fill(view)] == [3, 3, 0]
    assert bytes(view[:3]) == b"ied"


@pytest.mark.parametrize("length", [6, 100])
def test_connections_are_kept_only_when_all_was_read(length):
    """A connection goes back to the pool when its answer is exhausted, else it is closed."""
    head = f"HTTP/1.1 206 X\r\nContent-Length: {length}\r\n\r\n".encode()
    original = http.client.HTTPResponse(FakeSocket(head + b"socket"))
    original.begin()
    ended = []

    class Answered:
        status, headers = 206, {"content-range": "bytes 0-5/6"}

        class raw:
            _original_response = original
            release_conn = staticmethod(lambda: ended.append("kept"))
            close = staticmethod(lambda: ended.append("closed"))

    version = Version(
        lambda *args, **kwargs: Answered,
        _Once(),
        path="/photos/k",
        start=0,
        stop=6,
        ranged=True,
        context=CONTEXT,
    )
    assert read(version, 0, 6) == b"socket"
    assert ended == ["kept" if length == 6 else "closed"]


def test_an_answer_that_ends_early_is_a_network_failure():
    """http.client says nothing when a body ends early; it is noticed all the same."""
    original = http.client.HTTPResponse(
        FakeSocket(b"HTTP/1.1 206 X\r\nContent-Length: 6\r\n\r\nsoc")
    )
    original.begin()
    raw = SimpleNamespace(_original_response=original, close=original.close)
    answer = SimpleNamespace(status=206, headers={"content-range": "bytes 0-5/6"}, raw=raw)
    version = Version(
        lambda *args, **kwargs: answer,
        _Once(),
        path="/photos/k",
        start=0,
        stop=6,
        ranged=True,
        context=CONTEXT,
    )
    with pytest.raises(errors.NetworkError, match="IncompleteRead"):
        read(version, 0, 6)


class _Once:
    def stopping_with(self, event):
        return self

    def run(self, operation, **_):
        return operation(), ()


def test_a_server_that_ignores_conditions_mixes_no_versions(s3, open_version):
    """A range whose ETag is another than the first one's is ObjectChangedError, not wrong bytes."""
    version = open_version(0, 100)
    other = {"etag": f'"{md5(b"other")}"', "content-range": f"bytes 100-199/{len(DATA)}"}
    s3.faults.append(lambda request: Answer(206, bytes(100), other))
    with pytest.raises(errors.ObjectChangedError, match="was replaced while it was read"):
        read(version, 100, 200)
