"""Whole uploads of files and streams through the driver."""

import contextlib
import errno
import io
import os
import threading
from functools import partial

import pytest
from unit.ctrl_c import lines_of, pressed_at
from unit.memory_s3 import Answer, composite, error, md5

from libcloud_aurora import errors
from libcloud_aurora._transfer.upload import Upload

MIB = 1_048_576
PART = MIB + 1  # one chunk and a byte
DATA = os.urandom(2 * PART + 777)


@pytest.fixture
def new_driver(new_driver, tiny_parts):
    """Make drivers whose parts are small."""
    return partial(new_driver, ex_part_size=PART)


@pytest.fixture(params=[1, 10], ids=["sequential", "parallel"])
def any_driver(request, new_driver):
    return new_driver(ex_max_concurrency=request.param)


def expected_etag(data):
    pieces = [data[at : at + PART] for at in range(0, len(data), PART)]
    return composite(pieces) if len(pieces) > 1 else md5(data)


@pytest.fixture(params=["file", "stream"])
def upload(request, tmp_path, any_driver, container):
    """Upload bytes as a file or as a stream."""

    def send(data, **arguments):
        if request.param == "file":
            (tmp_path / "source").write_bytes(data)
            return any_driver.upload_object(str(tmp_path / "source"), container, "k", **arguments)
        return any_driver.upload_object_via_stream(io.BytesIO(data), container, "k", **arguments)

    send.kind = request.param
    return send


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 2 * PART, len(DATA)])
def test_any_size_is_stored(s3, upload, size):
    """Files and streams of any size are stored, with the server's ETag as hash."""
    s3.requests.clear()
    seen = []
    obj = upload(DATA[:size], ex_progress=lambda *numbers: seen.append(numbers))
    stored = s3.buckets["photos"]["k"]
    assert stored.data == DATA[:size]
    assert (obj.name, obj.size, obj.hash) == ("k", size, expected_etag(DATA[:size]))
    assert obj.hash == stored.etag
    assert obj.extra["etag"] == f'"{obj.hash}"'
    assert s3.uploads == {}
    assert len(s3.requests) == (1 if size <= PART else 2 + -(-size // PART))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (size, size if upload.kind == "file" else None)


def test_extras_and_headers_are_sent_and_not_changed(s3, upload):
    """Type, metadata, ACL, headers and class reach the object, whole or in parts."""
    extra = {"content_type": "text/x", "acl": "public-read", "meta_data": {"a_b": 1}}
    headers = {"Cache-Control": "no-store", "x-amz-meta-c": "ż", "X-Amz-Meta-A_B": "1"}
    before = repr((extra, headers))
    for data in (b"small", DATA):
        s3.requests.clear()
        obj = upload(data, extra=extra, headers=headers, ex_storage_class="cold")
        sent = s3.requests[0].headers
        assert sent["content-type"] == "text/x"
        assert (sent["x-amz-acl"], sent["x-amz-meta-a_b"]) == ("public-read", "1")
        assert sent["cache-control"] == "no-store"
        assert sent["x-amz-storage-class"] == "cold"
        assert sent["x-amz-meta-c"].encode("latin-1").decode() == "ż"
        assert obj.meta_data == {"a_b": "1", "c": "ż"}
        assert obj.extra["content_type"] == "text/x"
    assert repr((extra, headers)) == before


def test_nothing_is_sent_that_was_not_asked_for(s3, upload):
    """Without extras no ACL, class or metadata is sent, and the type is the default."""
    upload(b"x")
    sent = s3.requests[-1].headers
    assert not [name for name in sent if name.startswith("x-amz-meta") or name == "x-amz-acl"]
    assert "x-amz-storage-class" not in sent
    assert sent["content-type"] == "application/octet-stream"


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({"extra": {"meta_data": {"a b": "x"}}}, ValueError),
        ({"extra": "text"}, TypeError),
        ({"extra": {"meta_data": {"a": "x\ny"}}}, ValueError),
        ({"headers": {"x": "a\nb"}}, ValueError),
        ({"ex_storage_class": "a b"}, ValueError),
        ({"ex_storage_class": 7}, ValueError),
    ],
)
def test_wrong_arguments_send_nothing(s3, upload, arguments, kind):
    """A wrong argument is an error before anything is sent."""
    for data in (b"small", DATA):
        s3.requests.clear()
        with pytest.raises(kind):
            upload(data, **arguments)
        assert s3.requests == []


@pytest.fixture
def large_file(tmp_path):
    """A file of three parts."""
    path = tmp_path / "large"
    path.write_bytes(DATA[:1] * (2 * PART + 5))
    return path


def test_a_disk_that_fails_ends_an_upload_at_once(
    s3, any_driver, container, large_file, monkeypatch
):
    """An error of the disk comes out as it is, is not retried, and leaves nothing."""
    preadv = os.preadv

    def broken(descriptor, views, offset):
        if offset >= PART:
            raise OSError(errno.EIO, "Input/output error")
        return preadv(descriptor, views, offset)

    monkeypatch.setattr(os, "preadv", broken)
    with pytest.raises(OSError, match="Input/output error") as caught:
        any_driver.upload_object(str(large_file), container, "k")
    assert type(caught.value) is OSError
    assert caught.value.__cause__ is None
    assert s3.uploads == {}
    assert s3.buckets["photos"] == {}


@pytest.mark.parametrize(
    ("status", "code"), [(403, "SignatureDoesNotMatch"), (400, "InvalidArgument")]
)
def test_a_damaged_chunk_is_sent_again(s3, any_driver, container, large_file, status, code):
    """What radosgw says of a chunk that was damaged on its way is not final for a part."""
    s3.fail(2, error(status, code), method="PUT")
    obj = any_driver.upload_object(str(large_file), container, "k")
    assert s3.buckets["photos"]["k"].data == large_file.read_bytes()
    assert obj.size == 2 * PART + 5
    assert len(s3.sent("PUT")) == 5


@pytest.mark.parametrize("name", ["", "k" * 1025, "a\0b", "a\udc80"])
def test_impossible_names_send_nothing(s3, driver, container, tmp_path, name):
    """An impossible object name is an error before anything is read or sent."""
    s3.requests.clear()
    with pytest.raises(errors.InvalidObjectNameError):
        driver.upload_object(__file__, container, name)
    with pytest.raises(errors.InvalidObjectNameError):
        driver.upload_object_via_stream(io.BytesIO(b"x"), container, name)
    assert s3.requests == []


@pytest.mark.parametrize("size", [-1, 5 * 1024**4 + 1, "5", 1.5, True])
def test_impossible_sizes_send_nothing(s3, driver, container, size):
    """An ex_size no object can have is a ValueError that names it, before anything is sent."""
    s3.requests.clear()
    with pytest.raises(ValueError, match="ex_size"):
        driver.upload_object_via_stream(io.BytesIO(b"x"), container, "k", ex_size=size)
    assert s3.requests == []


@pytest.mark.parametrize("promised", [0, 3, PART, 2 * PART])
def test_a_stream_of_another_size_leaves_nothing(s3, any_driver, container, promised):
    """A stream that does not hold ex_size bytes is an error, and no object or part is left."""
    for holds in (promised + 1, max(promised - 1, 0)):
        if holds == promised:
            continue
        with pytest.raises(ValueError, match="ex_size"):
            any_driver.upload_object_via_stream(
                io.BytesIO(DATA[:holds]), container, "k", ex_size=promised
            )
        assert s3.buckets["photos"] == {}
        assert s3.uploads == {}


def test_the_promised_size_is_the_total_of_progress(s3, driver, container):
    """With ex_size progress knows the total."""
    seen = []
    driver.upload_object_via_stream(
        io.BytesIO(DATA),
        container,
        "k",
        ex_size=len(DATA),
        ex_progress=lambda *numbers: seen.append(numbers),
    )
    assert seen[-1] == (len(DATA), len(DATA))


def test_lines_of_a_file_are_a_stream(s3, driver, container):
    """What django-storages feeds, iter(file), arrives."""
    driver.upload_object_via_stream(iter(io.BytesIO(b"a\nb\nc")), container, "k")
    assert s3.buckets["photos"]["k"].data == b"a\nb\nc"


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("after", [0, PART - 1, PART + 1, 2 * PART + 5])
def test_a_failing_stream_leaves_nothing(s3, any_driver, container, kind, after):
    """An exception of the stream, or Ctrl-C, is what the caller gets, and nothing is left."""

    def failing():
        yield DATA[:after]
        raise kind("stream")

    with pytest.raises(kind, match="stream"):
        any_driver.upload_object_via_stream(failing(), container, "k")
    assert s3.uploads == {}
    assert s3.buckets["photos"] == {}


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("size", [5, len(DATA)])
def test_an_exception_from_progress_leaves_nothing(s3, upload, kind, size):
    """An exception from ex_progress cancels the upload and leaves no part."""

    def progress(done, total):
        assert threading.current_thread() is threading.main_thread()
        raise kind("cancelled")

    with pytest.raises(kind, match="cancelled"):
        upload(DATA[:size], ex_progress=progress)
    assert s3.uploads == {}
    assert s3.buckets["photos"] == {}


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_part_that_is_refused_leaves_nothing(s3, upload, number):
    """A part that fails for good ends the upload: aborted, and the cause is raised."""
    refusal = error(403, "QuotaExceeded")
    s3.faults.append(
        lambda request: refusal if request.params.get("partNumber") == str(number) else None
    )
    with pytest.raises(errors.AuroraObjectsError, match="QuotaExceeded"):
        upload(DATA)
    assert s3.uploads == {}


def test_parts_that_fail_are_sent_again(s3, upload):
    """Each part may fail and is sent again from its first byte."""
    s3.fail(4, error(503, "SlowDown"), method="PUT")
    upload(DATA)
    assert s3.buckets["photos"]["k"].data == DATA


@pytest.mark.parametrize("etag", [None, "", '""', '"zz"', f'"{"z" * 32}"', f'"{"0" * 32}-2"'])
def test_a_part_without_an_etag_is_an_error(s3, upload, etag):
    """A server that stores a part without naming its ETag, an MD5, is not believed."""
    answer = Answer(200, b"", {} if etag is None else {"etag": etag})
    s3.faults.append(lambda request: answer if "partNumber" in request.params else None)
    with pytest.raises(errors.MalformedAnswerError, match="a part with ETag"):
        upload(DATA)
    assert s3.uploads == {}


def test_a_failed_abort_does_not_hide_the_cause(s3, upload, caplog):
    """When the abort fails as well, the cause is raised, and the abort is logged."""
    s3.fail(9, error(403, "QuotaExceeded"), method="PUT")
    s3.fail(9, error(403, "AccessDenied"), method="DELETE")
    with pytest.raises(errors.AuroraObjectsError, match="QuotaExceeded"):
        upload(DATA)
    assert "2~upload1" in caplog.text


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("place", ["partNumber", "complete"])
def test_ctrl_c_leaves_nothing(s3, new_driver, container, kind, place):
    """Ctrl-C while sending aborts the upload, and while completing ends it."""
    driver, left = new_driver(ex_max_concurrency=1), [kind()]

    def interrupt(request):
        complete = request.method == "POST" and "uploadId" in request.params
        meant = place in request.params or (place == "complete" and complete)
        return left.pop() if meant and left else None

    s3.faults.append(interrupt)
    with pytest.raises(kind):
        driver.upload_object_via_stream(io.BytesIO(DATA), container, "k")
    assert s3.uploads == {}


@pytest.mark.parametrize("concurrency", [1, 10])
@pytest.mark.parametrize("step", ["send", "complete"])
def test_ctrl_c_between_the_steps_leaves_nothing(
    s3, new_driver, container, monkeypatch, tiny_parts, concurrency, step
):
    """Ctrl-C just after the upload is begun, or just before it is completed, aborts it."""

    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(Upload, step, interrupted)
    driver = new_driver(ex_max_concurrency=concurrency, ex_part_size=PART)
    with pytest.raises(KeyboardInterrupt):
        driver.upload_object_via_stream(io.BytesIO(DATA), container, "k")
    assert s3.sent("DELETE")
    assert s3.uploads == {}


def test_ctrl_c_just_after_an_upload_aborts_nothing(s3, new_driver, container, monkeypatch, caplog):
    """What is stored has ended: nothing is sent, and nothing is said to remain."""

    def interrupted(*arguments, complete=Upload.complete):
        complete(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(Upload, "complete", interrupted)
    with pytest.raises(KeyboardInterrupt):
        new_driver().upload_object_via_stream(io.BytesIO(DATA), container, "k")
    assert s3.buckets["photos"]["k"].data == DATA
    assert s3.sent("DELETE") == []
    assert caplog.text == ""


@pytest.mark.usefixtures("tiny_parts", "no_thread_left")
@pytest.mark.parametrize("concurrency", [1, 3])
def test_ctrl_c_at_any_line_leaves_no_part(s3, new_driver, container, concurrency):
    """Wherever Ctrl-C comes, no part is left, no lock is held, and no thread is left."""
    driver = new_driver(ex_max_concurrency=concurrency, ex_part_size=10)

    def upload():
        driver.upload_object_via_stream([b"a" * 25], container, "k", ex_progress=lambda *_: None)

    lines = lines_of(upload)
    assert len(lines) > 100
    for line in lines:
        with contextlib.suppress(KeyboardInterrupt):
            pressed_at(line, upload)
        assert [each["parts"] for each in s3.uploads.values() if each["parts"]] == [], line
        s3.uploads.clear()
        s3.buckets["photos"].clear()  # one that is as new would be taken for this upload's
    upload()


def test_ctrl_c_while_an_upload_is_begun_waits_for_its_id(s3, driver, container, keyboard):
    """Ctrl-C before the answer to Initiate is waited out, so that the upload can be aborted."""

    def interrupt(request):
        if request.method == "POST" and "uploads" in request.params:
            keyboard.press()

    s3.faults.append(interrupt)
    with pytest.raises(KeyboardInterrupt):
        driver.upload_object_via_stream(io.BytesIO(DATA), container, "k")
    assert s3.uploads == {}
    assert s3.buckets["photos"] == {}


def test_a_file_that_changes_leaves_nothing(s3, any_driver, container, tmp_path):
    """A file that changes while it is sent is an error, and no object is stored."""
    source = tmp_path / "source"
    source.write_bytes(DATA)

    def touch(request):
        if request.method == "PUT":
            os.utime(source, ns=(1, 1))

    s3.faults.append(touch)
    with pytest.raises(errors.FileChangedError):
        any_driver.upload_object(str(source), container, "k")
    assert s3.uploads == {}
    assert s3.buckets["photos"] == {}


@pytest.mark.parametrize("path", ["/no/such/file", "/"])
def test_a_file_that_cannot_be_read_sends_nothing(s3, driver, container, path):
    """A file that cannot be opened is the system's error, and nothing is sent."""
    s3.requests.clear()
    with pytest.raises(OSError):  # noqa: PT011
        driver.upload_object(path, container, "k")
    assert s3.requests == []


def test_paths_and_positional_arguments_are_taken(s3, driver, container, tmp_path):
    """A pathlib path and libcloud's positional order work; the type comes from the names."""
    (tmp_path / "a.txt").write_bytes(b"x")
    obj = driver.upload_object(tmp_path / "a.txt", container, "k", {}, True, {})
    assert obj.extra["content_type"] == "text/plain"
    assert container.upload_object(str(tmp_path / "a.txt"), "k2").size == 1
    assert container.upload_object_via_stream(iter([b"y"]), "k3.txt").extra["content_type"]


def test_at_most_one_more_part_than_requests_exists(s3, new_driver, container):
    """At most max_concurrency + 1 parts have been read before the first one is stored."""
    driver = new_driver(ex_max_concurrency=2)
    read, stored, most = [0], [0], [0]

    def chunks():
        for _ in range(8):
            read[0] += 1
            most[0] = max(most[0], read[0] - stored[0])
            yield bytes(PART)

    def count(request):
        if "partNumber" in request.params:
            stored[0] += 1

    s3.faults.append(count)
    driver.upload_object_via_stream(chunks(), container, "k")
    assert most[0] <= 5


def test_an_interrupted_upload_is_resumed(s3, any_driver, container, tmp_path):
    """With ex_resume the parts the server holds are kept, and only the rest is sent."""
    (tmp_path / "f").write_bytes(DATA)
    s3.faults.append(
        lambda request: (
            error(403, "QuotaExceeded") if request.params.get("partNumber") == "3" else None
        )
    )
    with pytest.raises(errors.AuroraObjectsError, match="QuotaExceeded"):
        any_driver.upload_object(str(tmp_path / "f"), container, "k", ex_resume=True)
    (upload,) = s3.uploads.values()
    kept = sorted(upload["parts"])
    s3.faults.clear()
    s3.requests.clear()
    seen = []
    obj = any_driver.upload_object(
        str(tmp_path / "f"),
        container,
        "k",
        ex_resume=True,
        ex_progress=lambda *numbers: seen.append(numbers),
    )
    assert s3.buckets["photos"]["k"].data == DATA
    assert obj.hash == expected_etag(DATA)
    numbers = [each.params.get("partNumber") for each in s3.sent("PUT")]
    sent = sorted(int(number) for number in numbers if number)
    assert sent == [number for number in (1, 2, 3) if number not in kept]
    assert seen[-1] == (len(DATA), len(DATA))
    assert s3.uploads == {}


@pytest.fixture
def resume(s3, any_driver, container, tmp_path):
    """Upload DATA as a file with ex_resume."""
    (tmp_path / "f").write_bytes(DATA)

    def send(extra=None, **arguments):
        arguments = {"ex_resume": True, **arguments}
        return any_driver.upload_object(str(tmp_path / "f"), container, "k", extra, **arguments)

    return send


def copies(s3):
    return [sent for sent in s3.sent() if "x-amz-copy-source" in sent.headers]


def test_one_part_of_an_upload_that_is_all_there_is_sent_again(s3, resume):
    """Its answer says whether the parts are what they seem; then the upload is completed."""
    cut = [DATA[at : at + PART] for at in range(0, len(DATA), PART)]
    s3.begin("k", dict(enumerate(cut, 1)))
    s3.requests.clear()
    resume()
    numbers = [each.params.get("partNumber") for each in s3.sent("PUT")]
    assert [number for number in numbers if number] == ["3"]
    assert s3.buckets["photos"]["k"].data == DATA


def test_a_resumed_upload_has_what_this_call_asks_for(s3, resume):
    """Type, access and metadata are this call's, not those the upload was once begun with."""
    s3.begin(
        "k",
        headers={"content-type": "text/old", "x-amz-meta-v": "old", "x-amz-acl": "public-read"},
    )
    extra = {"content_type": "text/new", "acl": "private", "meta_data": {"w": "new"}}
    obj = resume(extra)
    stored = s3.buckets["photos"]["k"]
    assert stored.data == DATA
    assert stored.headers == {"content-type": "text/new", "x-amz-meta-w": "new"}
    (copied,) = copies(s3)
    assert (copied.headers["x-amz-copy-source"], copied.headers["x-amz-acl"]) == (
        "/photos/k",
        "private",
    )
    assert copied.headers["x-amz-metadata-directive"] == "REPLACE"
    assert (obj.hash, obj.meta_data, obj.extra["content_type"]) == (
        stored.etag,
        {"w": "new"},
        "text/new",
    )


SAME = {"content-type": "a/b", "x-amz-meta-a-b": "1", "content-encoding": "x"}


@pytest.mark.parametrize("blank", ["", " "], ids=["as it is sent", "with blanks around"])
def test_a_resumed_upload_that_is_right_is_not_copied(s3, resume, blank):
    """Where HEAD shows what this call asks for, one HEAD is all that resuming costs."""
    s3.begin("k", headers=SAME)
    s3.requests.clear()
    obj = resume(
        {"content_type": "a/b", "meta_data": {"a_b": f"{blank}1{blank}"}},
        headers={"Content-Encoding": f"{blank}x{blank}"},
    )
    assert copies(s3) == []
    assert [sent.method for sent in s3.requests if sent.method != "PUT"] == [
        "GET",  # the uploads of the name
        "GET",  # the parts
        "POST",
        "HEAD",
    ]
    assert obj.hash == s3.buckets["photos"]["k"].etag
    assert s3.buckets["photos"]["k"].headers.items() >= SAME.items()


@pytest.mark.parametrize(
    "arguments",
    [
        {"extra": {"content_type": "a/c", "meta_data": {"a-b": "1"}}},
        {"extra": {"content_type": "a/b", "meta_data": {"a-b": "2"}}},
        {"extra": {"content_type": "a/b"}},
        {"extra": {"content_type": "a/b", "meta_data": {"a-b": "1", "c": "3"}}},
        {"headers": {"Content-Encoding": "y"}},
        {"headers": {}},
        {"headers": {"Content-Encoding": "x", "Cache-Control": "no-store"}},
        {"ex_storage_class": "cold"},
    ],
    ids=[
        "type",
        "metadata",
        "no metadata",
        "more metadata",
        "header",
        "no header",
        "another header",
        "storage class",
    ],
)
def test_a_resumed_upload_that_differs_is_copied(s3, resume, arguments):
    """Where HEAD shows something else, the object is described anew."""
    s3.begin("k", headers=SAME)
    given = {
        "extra": {"content_type": "a/b", "meta_data": {"a-b": "1"}},
        "headers": {"Content-Encoding": "x"},
    } | arguments
    resume(**given)
    (copied,) = copies(s3)
    for name, value in given["headers"].items():
        assert copied.headers[name.lower()] == value
    assert copied.headers["content-type"] == given["extra"]["content_type"]
    assert copied.headers.get("x-amz-storage-class") == given.get("ex_storage_class")
    assert copied.headers.get("x-amz-meta-a-b") == given["extra"].get("meta_data", {}).get("a-b")
    assert s3.buckets["photos"]["k"].data == DATA


def test_a_condition_is_met_before_a_resumed_upload_is_copied(s3, resume):
    """What was a condition of the upload says nothing about the copy onto itself."""
    s3.begin("k", headers={"content-type": "text/old"})
    resume({"content_type": "text/new"}, headers={"If-None-Match": "*"}, ex_check_condition=True)
    (copied,) = copies(s3)
    assert "if-none-match" not in copied.headers
    assert s3.buckets["photos"]["k"].headers["content-type"] == "text/new"


def test_a_resumed_upload_gets_access_and_tags_without_a_copy(s3, resume):
    """What HEAD does not show is set by one request each, once the object is complete."""
    s3.begin("k", headers=SAME)
    extra = {"content_type": "a/b", "meta_data": {"a-b": "1"}, "acl": "private", "tags": {"a": 1}}
    resume(extra=extra, headers={"Content-Encoding": "x"})
    assert copies(s3) == []
    assert [sent.query for sent in s3.sent("PUT")[-2:]] == ["acl=", "tagging="]
    assert s3.properties["photos", "k", "acl", None].headers["x-amz-acl"] == "private"
    assert "<Key>a</Key><Value>1</Value>" in s3.property_of("k", "tagging")


@pytest.mark.parametrize("written", [b"theirs", None])
def test_a_resumed_upload_never_passes_for_anothers(s3, resume, written):
    """An object that somebody else writes, or deletes, as soon as ours was complete is theirs."""
    s3.begin("k", headers={"content-type": "text/old"})

    def replace(request):
        if request.method == "HEAD":
            s3.buckets["photos"].clear()
            if written is not None:
                s3.put("k", written, v="theirs")

    s3.faults.append(replace)
    assert resume({"content_type": "text/new"}).hash == expected_etag(DATA)
    assert copies(s3) == []
    if written is None:
        assert s3.buckets["photos"] == {}
    else:
        assert s3.buckets["photos"]["k"].data == b"theirs"
        assert s3.buckets["photos"]["k"].headers == {"v": "theirs"}


@pytest.mark.parametrize("written", [b"theirs", None])
def test_a_resumed_upload_that_is_replaced_before_it_is_copied_has_succeeded(s3, resume, written):
    """It was stored, whoever overwrites or deletes the object just before it is described anew."""
    s3.begin("k", headers={"content-type": "text/old"})

    def replace(request):
        if "x-amz-copy-source" not in request.headers:
            return None
        s3.buckets["photos"].clear()
        if written is None:
            return error(404, "NoSuchKey")
        s3.put("k", written, v="theirs")
        return error(412, "PreconditionFailed")

    s3.faults.append(replace)
    assert resume({"content_type": "text/new"}).hash == expected_etag(DATA)
    assert [each.data for each in s3.buckets["photos"].values()] == ([written] if written else [])


@pytest.mark.parametrize("method", ["HEAD", "PUT"], ids=["looked at", "copied"])
def test_a_resumed_upload_that_cannot_be_described_anew_says_that_it_is_stored(s3, resume, method):
    """As with keys that may only write: the bytes are there, and the error says what may not be."""
    s3.begin("k", headers={"content-type": "text/old"})
    denied = Answer(403) if method == "HEAD" else error(403, "AccessDenied")

    def refuse(request):
        about_it = request.method in (method, "GET") and "uploadId" not in request.params
        return denied if about_it and request.key == "k" else None

    s3.faults.append(refuse)
    with pytest.raises(errors.AccessDeniedError, match="is stored, but may have the metadata"):
        resume({"content_type": "text/new"})
    assert s3.buckets["photos"]["k"].data == DATA


def test_a_resumed_upload_that_disappears_before_its_end_is_sent_anew(s3, resume):
    """radosgw says that a missing upload is being completed; what it lists says that it is gone."""
    s3.begin("k", {1: DATA[:PART]})

    def abort(request):
        if request.method == "POST" and "uploadId" in request.params and not again:
            again.append(s3.uploads.clear())

    again = []
    s3.faults.append(abort)
    assert resume().hash == expected_etag(DATA)
    assert s3.buckets["photos"]["k"].data == DATA
    assert s3.uploads == {}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (error(500, "InternalError"), None),
        (Answer(504), error(404, "NoSuchUpload")),
    ],
    ids=["carried out", "carried out at last"],
)
def test_a_resumed_upload_that_may_be_stored_is_not_sent_anew(s3, resume, first, second):
    """It would overwrite what somebody has stored under the key since."""
    s3.begin("k", {1: DATA[:PART]})
    answers = [first, second]

    def complete(request):
        if request.method != "POST" or "uploadId" not in request.params or not answers:
            return None
        answer = answers.pop(0)
        if answers[:1] in ([None], []):
            answers.clear()
            s3._keyed(request)  # carried out
            s3.put("k", b"theirs")
        return answer

    s3.faults.append(complete)
    with pytest.raises(errors.AuroraObjectsError, match=r"InternalError|NoSuchUpload"):
        resume()
    assert s3.buckets["photos"]["k"].data == b"theirs"


def test_a_container_that_is_deleted_during_an_upload_is_gone(s3, any_driver, container):
    """The error is that of the container, and not of the upload, which went with it."""

    def delete(request):
        if request.method == "POST" and "uploadId" in request.params:
            s3.uploads.clear()
            s3.buckets.clear()

    s3.faults.append(delete)
    with pytest.raises(errors.ContainerNotFoundError):
        any_driver.upload_object_via_stream(io.BytesIO(DATA), container, "k")


def test_an_old_upload_that_cannot_be_aborted_does_not_keep_a_new_one(s3, resume, caplog):
    """Where the earlier parts are of another file, and are locked or another account's."""
    old = s3.begin("k", {1: b"of another file"})
    s3.fail(1, error(403, "AccessDenied"), method="DELETE", key="k")
    assert resume().hash == expected_etag(DATA)
    assert list(s3.uploads) == [old]
    assert f"upload {old} of object 'k' in container 'photos' could not be aborted" in caplog.text


def test_ctrl_c_keeps_the_parts_of_an_upload_to_be_resumed(s3, resume, caplog):
    """With ex_resume neither a failure nor Ctrl-C aborts: the next call goes on."""
    caplog.set_level("INFO")

    def pressed(done, total):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        resume(ex_progress=pressed)
    ((upload_id, upload),) = s3.uploads.items()
    assert upload["parts"]
    assert s3.sent("DELETE") == []
    assert (
        f"the parts of upload {upload_id} of object 'k' in container 'photos' are kept"
        in caplog.text
    )
    assert resume().hash == expected_etag(DATA)
    assert s3.uploads == {}


def test_an_upload_that_was_not_begun_before_is_not_copied(s3, resume):
    """With ex_resume and nothing to resume, no copy is made."""
    resume({"acl": "private"})
    assert copies(s3) == []


@pytest.mark.parametrize("name", ["If-None-Match", "if-match"])
def test_conditions_are_never_ignored(s3, upload, name):
    """A condition works for an object of one part, and is refused for one of more."""
    s3.put("k", b"old")
    condition = {"If-None-Match": "*"} if name == "If-None-Match" else {name: '"other"'}
    s3.requests.clear()
    with pytest.raises(ValueError, match=f"headers: {name.lower()} is refused"):
        upload(DATA, headers=condition)
    with pytest.raises(ValueError, match=f"headers: {name.lower()} is refused"):
        upload(DATA, headers=condition, **({"ex_resume": True} if upload.kind == "file" else {}))
    assert s3.requests == []
    with pytest.raises(errors.AuroraObjectsError, match="PreconditionFailed"):
        upload(b"new", headers=condition)
    assert s3.buckets["photos"]["k"].data == b"old"


@pytest.mark.parametrize("step", [40_000, 50_000, 70_000, PART])
def test_a_stream_may_use_its_memory_again(s3, driver, container, step):
    """A bytearray that the iterator clears and fills again arrives as it was when yielded."""

    def chunks():
        buffer = bytearray()
        for at in range(0, len(DATA), step):
            buffer += DATA[at : at + step]
            yield buffer
            buffer.clear()

    driver.upload_object_via_stream(chunks(), container, "k")
    assert s3.buckets["photos"]["k"].data == DATA


def test_a_changed_part_is_sent_again(s3, resume):
    """A part on the server that is not the file's is replaced."""
    s3.begin("k", {1: bytes(PART)})
    resume()
    assert s3.buckets["photos"]["k"].data == DATA


def test_a_new_file_begins_an_upload_to_be_resumed(s3, driver, container, tmp_path):
    """With ex_resume and nothing to resume, an upload is simply made."""
    (tmp_path / "f").write_bytes(DATA)
    driver.upload_object(str(tmp_path / "f"), container, "k", ex_resume=True)
    (tmp_path / "f").write_bytes(b"small")
    obj = driver.upload_object(str(tmp_path / "f"), container, "k", ex_resume=True)
    assert (obj.size, s3.buckets["photos"]["k"].data) == (5, b"small")


def test_uploads_say_what_is_known_of_them(s3, upload):
    """An uploaded object's extra has the fields of a listing and of HEAD."""
    extra = {"content_type": "a/b", "acl": "private"}
    assert upload(b"x", extra=extra, ex_storage_class="cold").extra == {
        "acl": "private",
        "content_type": "a/b",
        "etag": f'"{md5(b"x")}"',
        "last_modified": None,
        "ex_last_modified": None,
        "storage_class": "cold",
        "url": "https://o.auroraobjects.eu/photos/k",
        "version_id": None,
    }
    assert set(upload(DATA).extra) == set(upload(b"x").extra)
    assert upload(DATA).extra["storage_class"] == "STANDARD"


def test_a_content_type_among_the_headers_is_sent_once(s3, upload):
    """Content-Type among the headers of an upload is the object's type."""
    upload(b"x", headers={"content-Type": "a/b"})
    (sent,) = s3.sent("PUT")
    assert sent.headers["content-type"] == "a/b"


def test_a_path_may_be_bytes(s3, driver, container, tmp_path):
    """Any path of a file is taken, bytes and path objects too."""
    (tmp_path / "f").write_bytes(b"x")
    for path in (tmp_path / "f", os.fsencode(tmp_path / "f")):
        assert driver.upload_object(path, container, "k").size == 1
