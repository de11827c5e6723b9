"""One upload on the wire: a single PUT, and how an upload of parts begins and ends."""

import contextlib
import io
import logging
import math
import os
import re
import threading
import time
from contextlib import nullcontext
from email.utils import formatdate
from functools import partial

import pytest
import requests
from libcloud.storage.drivers.s3 import S3StorageDriver
from unit.memory_s3 import Answer, composite, error, md5

from libcloud_aurora import AuroraObjectsStorageDriver, errors
from libcloud_aurora._transfer import upload as uploading
from libcloud_aurora._transfer import workers
from libcloud_aurora._wire.connection import AuroraObjectsConnection
from libcloud_aurora._wire.retry import Retrier

PARTS = [b"a" * 10, b"b" * 10, b"c"]
DATA = b"".join(PARTS)
ETAGS = [(number, md5(part)) for number, part in enumerate(PARTS, 1)]
NO_ETAG = Answer(
    200, b"<CompleteMultipartUploadResult><ETag></ETag></CompleteMultipartUploadResult>"
)
IN_PROGRESS = error(500, "InternalError", "This multipart completion is already in progress")
LOST = requests.ConnectionError("lost")
#: Of a router whose server is away.
NOBODY = Answer(404, b"404 page not found", {"content-type": "text/plain"})
#: What may come in place of an answer, while the server acts.
UNANSWERED = {
    "late": requests.Timeout("late"),
    "lost": LOST,
    "no TLS": requests.exceptions.SSLError("[SSL: WRONG_VERSION_NUMBER] wrong version number"),
    "502": error(502, ""),
    "503 of a proxy": Answer(503),
    "504": error(504, ""),
    "520": Answer(520),
}


@pytest.fixture
def pauses():
    """The seconds that nobody waits, because time passes at once."""
    return []


@pytest.fixture(params=[1, 10], ids=["sequential", "parallel"])
def driver(request, tiny_parts, pauses):
    """A driver with parts of ten bytes."""

    class Connection(AuroraObjectsConnection):
        def __init__(self, *args, retry, **kwargs):
            super().__init__(*args, retry=retry, **kwargs)
            self.retrier = Retrier(retry, sleep=lambda stop, seconds: pauses.append(seconds))

    kind = type("Driver", (AuroraObjectsStorageDriver,), {"connectionCls": Connection})
    with kind(
        "key", "secret", retry_delay=0, ex_max_concurrency=request.param, ex_part_size=10
    ) as driver:
        yield driver


def after(s3, outcome, times=1, **wanted):
    """Let the server act, and then lose or replace its answer."""
    left = iter(range(times))

    def fault(request):
        matches = all(getattr(request, name) == wanted[name] for name in wanted)
        if matches and next(left, None) is not None:
            with s3.lock:
                s3._checked(request)
            return outcome
        return None

    s3.faults.append(fault)


def warnings(caplog):
    return [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]


def test_a_put_stores(s3, driver, container):
    """One PUT stores the object with its headers."""
    s3.requests.clear()
    obj = driver.upload_object_via_stream(b"data", container, "k", {"content_type": "text/x"})
    assert obj.hash == md5(b"data")
    assert s3.buckets["photos"]["k"].headers["content-type"] == "text/x"
    assert [sent.method for sent in s3.requests] == ["PUT"]


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("page.html", "text/html"),
        ("page.html.gz", "text/html"),
        ("photos.tar.gz", "application/x-tar"),
        ("photos.tgz", "application/x-tar"),
        ("dump.gz", "application/octet-stream"),
        ("no extension", "application/octet-stream"),
    ],
)
@pytest.mark.parametrize("is_file", [True, False], ids=["file", "stream"])
def test_a_type_is_guessed_as_libcloud_does(
    s3, driver, container, tmp_path, name, content_type, is_file
):
    """Without a type the name tells it, and not how it is packed; no encoding is made of that."""
    if is_file:
        (tmp_path / name).write_bytes(b"data")
        obj = driver.upload_object(tmp_path / name, container, "k")
    else:
        obj = driver.upload_object_via_stream(b"data", container, name)
    stored = s3.buckets["photos"][obj.name].headers
    assert stored["content-type"] == obj.extra["content_type"] == content_type
    assert S3StorageDriver("key", "secret")._determine_content_type(None, name) == content_type
    assert "content-encoding" not in stored


def test_a_body_damaged_on_the_way_is_sent_again(s3, driver, container):
    """XAmzContentSHA256Mismatch and BadDigest re-send the body from the source bytes."""
    s3.fail(1, error(400, "XAmzContentSHA256Mismatch"))
    s3.fail(1, error(400, "BadDigest"))
    driver.upload_object_via_stream(b"data", container, "k")
    assert [sent.body for sent in s3.sent("PUT")] == [b"data"] * 3


def test_a_conditional_put_whose_answer_was_lost_succeeds(s3, driver, container):
    """A second try that is refused because of the first is a success if the bytes are ours."""
    after(s3, LOST, method="PUT")
    condition = {"If-None-Match": "*"}
    obj = driver.upload_object_via_stream(b"data", container, "k", headers=condition)
    assert obj.hash == md5(b"data")


def test_a_conditional_put_that_is_refused_is_an_error(s3, driver, container):
    """Another object under the key is PreconditionFailed, after a lost answer as well."""
    s3.put("k", b"theirs")
    condition = {"If-None-Match": "*"}
    with pytest.raises(errors.AuroraObjectsError, match="PreconditionFailed"):
        driver.upload_object_via_stream(b"data", container, "k", headers=condition)
    assert s3.sent()[-1].method == "PUT"
    s3.fail(1, LOST)
    with pytest.raises(errors.AuroraObjectsError, match="PreconditionFailed"):
        driver.upload_object_via_stream(b"data", container, "k", headers=condition)
    assert s3.buckets["photos"]["k"].data == b"theirs"


def test_a_conditional_put_that_may_have_been_stored(s3, driver, container):
    """If nobody may look whether the first attempt has stored it, the refusal says so."""
    after(s3, LOST, method="PUT")
    s3.faults.append(lambda request: Answer(403) if is_look(request) else None)
    with pytest.raises(
        errors.AuroraObjectsError, match=r"PreconditionFailed.*not known whether an earlier"
    ) as caught:
        driver.upload_object_via_stream(b"data", container, "k", headers={"If-None-Match": "*"})
    assert len(caught.value.history) == 2


# How it begins


def test_an_upload_begins_with_one_request(s3, driver, container):
    """Initiate is one POST with an empty body."""
    s3.requests.clear()
    assert driver._initiate_multipart(container, "k", {"x-amz-acl": "private"}) == "2~upload1"
    (sent,) = s3.requests
    assert (sent.query, sent.body, sent.headers["content-length"]) == ("uploads=", b"", "0")
    assert sent.headers["x-amz-acl"] == "private"


def test_an_initiate_whose_answer_is_lost_aborts_nobodys_upload(s3, driver, container, caplog):
    """
    Another client's upload of the same name survives a lost answer to Initiate.

    It looks the same as one that nobody remembers: as fresh, and without parts.
    """
    theirs = s3.begin("k", initiated="2026-07-01T12:00:01.000Z")
    after(s3, LOST, method="POST", query="uploads=")
    obj = driver.upload_object_via_stream(DATA, container, "k")
    assert obj.hash == s3.buckets["photos"]["k"].etag == composite(PARTS)
    assert s3.sent("DELETE") == []
    assert theirs in s3.uploads
    (message,) = warnings(caplog)
    assert "'k' in container 'photos' may have begun" in message
    assert "ex_cleanup_all_multipart_uploads(older_than=...)" in message
    (lost,) = set(s3.uploads) - {theirs}
    assert s3.uploads[lost]["parts"] == {}
    for number, part in enumerate(PARTS, 1):  # theirs goes on and ends
        s3.uploads[theirs]["parts"][number] = part
    assert driver._commit_multipart(container, "k", theirs, ETAGS) == composite(PARTS)


def test_an_upload_that_cannot_begin_leaves_no_parts(s3, driver, container, caplog):
    """When every answer to Initiate is lost, each is a warning, and what is left has no parts."""
    after(s3, LOST, times=9, method="POST", query="uploads=")
    with pytest.raises(errors.NetworkError) as caught:
        driver.upload_object_via_stream(DATA, container, "k")
    assert len(caught.value.history) == len(warnings(caplog)) == 5
    assert [upload["parts"] for upload in s3.uploads.values()] == [{}] * 5
    assert {sent.method for sent in s3.requests} == {"HEAD", "POST"}


@pytest.mark.parametrize("status", [503, 429])
def test_a_busy_server_has_not_begun_anything(s3, driver, container, caplog, status):
    """A busy server that refuses Initiate has begun nothing, so that there is no warning."""
    s3.fail(2, error(status, "SlowDown"), method="POST")
    assert driver._initiate_multipart(container, "k") == "2~upload1"
    assert warnings(caplog) == []


def test_a_final_refusal_to_begin_warns_of_nothing(s3, driver, container, caplog):
    """When Initiate is refused for good, nothing was begun: there is no warning and no look."""
    s3.requests.clear()
    s3.fail(1, error(403, "AccessDenied"))
    with pytest.raises(errors.AccessDeniedError):
        driver.upload_object_via_stream(DATA, container, "k")
    assert len(s3.requests) == 1
    assert warnings(caplog) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<R/>",
        b"<Error><Code>InternalError</Code></Error>",
        b"<InitiateMultipartUploadResult><UploadId/></InitiateMultipartUploadResult>",
    ],
    ids=["empty", "no id", "error", "empty id"],
)
def test_an_answer_without_an_id_is_an_error(s3, driver, container, body, caplog):
    """An answer to Initiate without an upload id is an error, not an upload called None."""
    s3.fail(1, Answer(200, body), method="POST")
    assert driver._initiate_multipart(container, "k") == "2~upload1"
    assert len(warnings(caplog)) == 1
    s3.fail(9, Answer(200, body), method="POST")
    with pytest.raises(errors.AuroraObjectsError) as caught:
        driver._initiate_multipart(container, "k")
    assert len(caught.value.history) == 5


# How it is completed


@pytest.fixture
def upload_id(s3, container):
    """An upload with three parts on the server, which another program has sent."""
    upload_id = s3.begin("k", dict(enumerate(PARTS, 1)))
    s3.requests.clear()
    return upload_id


@pytest.fixture
def complete(driver, container, upload_id):
    """Complete the upload with these parts, all of them if not told otherwise."""
    return lambda etags=ETAGS: driver._commit_multipart(container, "k", upload_id, etags)


def test_complete_assembles(s3, complete):
    """Complete with the right parts gives the object's ETag, with one request."""
    assert complete() == composite(PARTS)
    assert s3.buckets["photos"]["k"].data == DATA
    assert len(s3.requests) == 1


def test_quoted_etags_are_taken(s3, complete):
    """ETags as the server sends them, in quotes, complete an upload as well."""
    assert complete([(number, f'"{etag}"') for number, etag in ETAGS]) == composite(PARTS)


def test_a_success_without_an_etag_is_a_success(s3, complete):
    """radosgw may leave the ETag empty: nothing is looked up, whoever writes the object next."""

    def replaced(request):
        with s3.lock:
            s3._checked(request)
        s3.put("k", b"theirs")
        return NO_ETAG

    s3.faults.append(replaced)
    assert complete() == composite(PARTS)
    assert [sent.method for sent in s3.requests] == ["POST"]


@pytest.mark.parametrize("answer", [LOST, IN_PROGRESS, Answer(200, b"<html/>")])
def test_an_answer_to_complete_that_says_nothing_is_settled_by_a_look(s3, complete, answer):
    """A lost answer, a crossing one or rubbish: what is stored decides."""
    after(s3, answer, method="POST")
    assert complete() == composite(PARTS)
    assert [sent.method for sent in s3.requests] == ["POST", "GET", "HEAD"]


@pytest.mark.parametrize(
    "failure", [error(503, "SlowDown"), IN_PROGRESS, LOST, Answer(200, b"<html/>")]
)
def test_an_older_object_of_the_same_bytes_is_no_success(s3, complete, failure):
    """While the upload is there, Complete is sent again, though the object's ETag is right."""
    s3.put("k", DATA, composite(PARTS), age="old")
    s3.fail(1, failure, method="POST")
    assert complete() == composite(PARTS)
    assert len(s3.sent("POST")) == 2
    assert "age" not in s3.buckets["photos"]["k"].headers
    assert s3.uploads == {}


@pytest.fixture
def interrupted(s3):
    """Make radosgw end when it has stored the next object, before it removes the upload."""

    def interrupted(failure=LOST):
        def act(request):
            if request.method != "POST" or "uploadId" not in request.params:
                return None
            s3.faults.remove(act)
            with s3.lock:
                kept = dict(s3.uploads)
                assert s3._checked(request).status == 200
                s3.uploads.update(kept)
            return failure

        s3.faults.append(act)

    return interrupted


@pytest.mark.parametrize(
    "failure", [error(503, "SlowDown"), IN_PROGRESS, LOST, Answer(200, b"<html/>")]
)
def test_an_object_that_shares_its_data_with_its_upload_is_copied(
    s3, driver, container, caplog, interrupted, failure
):
    """Completing such an upload again or aborting it would delete the data: it is aborted last."""
    interrupted(failure)
    extra = {"meta_data": {"v": "1"}, "acl": "public-read"}
    obj = driver.upload_object_via_stream(iter([DATA]), container, "k", extra)
    assert s3.buckets["photos"]["k"].data == DATA
    assert s3.buckets["photos"]["k"].headers["x-amz-meta-v"] == "1"
    assert obj.hash == s3.buckets["photos"]["k"].etag == composite(PARTS)
    copied = [sent.headers["x-amz-copy-source-range"] for sent in copies(s3)]
    assert sorted(copied) == ["bytes=0-9", "bytes=10-19", "bytes=20-20"]
    assert [sent.params.get("uploadId") for sent in s3.sent("POST")] == [
        None,
        "2~upload1",
        None,
        "2~upload2",
    ]
    assert s3.sent("DELETE")[0].params == {"uploadId": "2~upload1"}
    assert s3.uploads == {}
    assert (
        "upload 2~upload1 of object 'k' in container 'photos' has been completed, but not removed"
        in caplog.text
    )


def copies(s3):
    """Return the requests that copy something."""
    return [sent for sent in s3.sent("PUT") if "x-amz-copy-source" in sent.headers]


def test_an_upload_that_is_being_completed_is_aborted_later(
    s3, driver, container, interrupted, monkeypatch
):
    """A radosgw that ends leaves a lock, for ten minutes: until then it refuses to abort."""
    slept = []
    monkeypatch.setattr(uploading.time, "sleep", slept.append)
    interrupted()
    s3.fail(12, error(409, "BucketAlreadyExists"), method="DELETE")
    driver.upload_object_via_stream(iter([DATA]), container, "k")
    assert s3.uploads == {}
    assert slept == [1, 1]


@pytest.mark.parametrize("refusal", [error(403, "AccessDenied"), error(503, "SlowDown")])
def test_an_upload_that_cannot_be_aborted_is_named(
    s3, driver, container, interrupted, monkeypatch, caplog, refusal
):
    """The object is stored and shares nothing: what is left is a matter for the log."""
    monkeypatch.setattr(uploading, "COMPLETE_SECONDS", -1)
    interrupted()
    s3.faults.append(lambda request: refusal if request.method == "DELETE" else None)
    assert driver.upload_object_via_stream(iter([DATA]), container, "k").hash == composite(PARTS)
    assert (
        "upload 2~upload1 of object 'k' in container 'photos' could not be aborted" in caplog.text
    )


def test_a_version_keeps_the_upload_whose_data_it_shares(
    s3, driver, container, interrupted, caplog
):
    """The copy is the latest version, and what was copied stays a version with its data."""
    interrupted()

    def version(request):
        if request.method != "HEAD":
            return None
        found = s3._checked(request)
        more = {"x-amz-version-id": "v1", "content-length": str(len(found.body))}
        return Answer(found.status, b"", found.headers | more)

    s3.faults.append(version)
    assert driver.upload_object_via_stream(iter([DATA]), container, "k").hash == composite(PARTS)
    assert {sent.headers["x-amz-copy-source"] for sent in copies(s3)} == {"/photos/k?versionId=v1"}
    assert list(s3.uploads) == ["2~upload1"]
    assert "upload 2~upload1 is kept" in caplog.text


@pytest.mark.parametrize("answer", [error(404, "NoSuchKey"), error(412, "PreconditionFailed")])
def test_an_object_that_was_replaced_is_not_copied(s3, driver, container, interrupted, answer):
    """What another program has stored or deleted since is left alone, and nothing is shared."""
    interrupted()

    def replaced(request):
        if "x-amz-copy-source" not in request.headers:
            return None
        s3.put("k", b"theirs")
        return answer

    s3.faults.append(replaced)
    obj = driver.upload_object_via_stream(iter([DATA]), container, "k")
    assert (obj.hash, obj.size) == (composite(PARTS), len(DATA))
    assert s3.buckets["photos"]["k"].data == b"theirs"
    assert s3.uploads == {}


def test_a_copy_that_fails_is_an_error(s3, driver, container, interrupted):
    """The object is there, but an upload has its data, which somebody may abort."""
    interrupted()
    s3.faults.append(
        lambda request: (
            error(403, "QuotaExceeded") if "x-amz-copy-source" in request.headers else None
        )
    )
    with pytest.raises(errors.AuroraObjectsError, match=r"share their data.*QuotaExceeded"):
        driver.upload_object_via_stream(iter([DATA]), container, "k")
    assert s3.buckets["photos"]["k"].data == DATA
    assert list(s3.uploads) == ["2~upload1"]


def press_at_a_look(s3, keyboard, answer):
    """Press a key as soon as somebody looks what has become of a Complete; answer all looks."""
    pressed = []

    def look(request):
        if request.method not in ("GET", "HEAD") or not completions(s3):
            return None
        if not pressed:
            pressed.append(request)
            if threading.current_thread() is threading.main_thread():
                raise keyboard.error
            keyboard.press()
        return answer

    s3.faults.append(look)


def completions(s3):
    """Return the requests to complete an upload."""
    return [sent for sent in s3.sent("POST") if "uploadId" in sent.params]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("failure", [LOST, error(503, "SlowDown")], ids=["lost", "503"])
@pytest.mark.parametrize("look", [None, LOST], ids=["looks", "lost looks"])
def test_a_signal_before_it_is_known_what_has_become_of_a_complete(
    s3, driver, container, keyboard, interrupted, caplog, look, failure, error
):
    """An upload that may share its data is neither aborted then nor completed again."""
    caplog.set_level(logging.INFO, "libcloud_aurora")
    keyboard.error = error
    interrupted(failure)
    press_at_a_look(s3, keyboard, look)
    with pytest.raises(error):
        driver.upload_object_via_stream(iter([DATA]), container, "k")
    assert s3.buckets["photos"]["k"].data == DATA
    assert list(s3.uploads) == ["2~upload1"]
    assert (len(completions(s3)), s3.sent("DELETE")) == (1, [])
    assert re.search(
        "upload 2~upload1 (is|of object 'k' in container 'photos' are) kept", caplog.text
    )


@pytest.mark.parametrize("attempts", [1, 5])
@pytest.mark.parametrize("workers", [1, 10])
def test_ctrl_c_while_a_server_is_completing(
    s3, tiny_parts, container, keyboard, caplog, workers, attempts
):
    """An upload of which radosgw has said that it is being completed is not aborted."""
    caplog.set_level(logging.INFO, "libcloud_aurora")
    driver = AuroraObjectsStorageDriver(
        *("key", "secret"),
        timeout=1,
        ex_part_size=10,
        ex_max_concurrency=workers,
        ex_max_attempts=attempts,
    )
    press_at_a_look(s3, keyboard, None)
    s3.faults.append(
        lambda request: (
            IN_PROGRESS if request.method == "POST" and "uploadId" in request.params else None
        )
    )
    with pytest.raises(KeyboardInterrupt):
        driver.upload_object_via_stream(iter([DATA]), container, "k")
    assert (list(s3.uploads), s3.sent("DELETE")) == (["2~upload1"], [])
    assert (
        "the parts of upload 2~upload1 of object 'k' in container 'photos' are kept" in caplog.text
    )


@pytest.mark.parametrize("first", [LOST, IN_PROGRESS], ids=["lost", "in progress"])
def test_a_completion_that_may_be_under_way_before_others_are_refused(s3, driver, container, first):
    """Who is busy says nothing of the first Complete, which the server may still be at."""
    answers = iter([first])
    s3.faults.append(
        lambda request: (
            next(answers, error(503, "SlowDown"))
            if request.method == "POST" and "uploadId" in request.params
            else None
        )
    )
    with pytest.raises(errors.AuroraObjectsError, match="may still complete upload 2~upload1"):
        driver.upload_object_via_stream(iter([DATA]), container, "k")
    assert (list(s3.uploads), s3.sent("DELETE")) == (["2~upload1"], [])


def test_what_has_been_seen_to_share_its_data_is_not_completed_again(
    s3, driver, container, interrupted
):
    """An object that is replaced before the next look changes nothing about that."""
    interrupted()
    looks = []

    def replace(request):
        if request.method != "HEAD" or not completions(s3):
            return
        looks.append(request)
        if len(looks) == 2:
            s3.put("k", b"theirs")

    s3.faults.append(replace)
    with pytest.raises(errors.AuroraObjectsError, match="may still complete upload 2~upload1"):
        driver.upload_object_via_stream(iter([DATA]), container, "k")
    assert s3.buckets["photos"]["k"].data == b"theirs"
    assert (list(s3.uploads), s3.sent("DELETE"), len(completions(s3))) == (["2~upload1"], [], 1)


@pytest.mark.parametrize("lost", ["parts", "object", "both"])
def test_a_proxy_does_not_know_what_is_gone(s3, driver, container, interrupted, lost):
    """A 404 that is no S3 server's says nothing: nothing is completed or aborted because of it."""
    interrupted()
    s3.faults.append(
        lambda request: (
            NOBODY
            if completions(s3)
            and (
                (lost != "object" and request.method == "GET" and "uploadId" in request.params)
                or (lost != "parts" and is_look(request))
            )
            else None
        )
    )
    with pytest.raises(errors.AuroraObjectsError, match="may still complete upload 2~upload1"):
        driver.upload_object_via_stream(iter([DATA]), container, "k")
    assert (list(s3.uploads), s3.sent("DELETE"), len(completions(s3))) == (["2~upload1"], [], 1)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_cleaning_up_behind_a_proxy_that_does_not_know_its_server(s3, driver, container, method):
    """It is an error, and not a clean container."""
    kept = s3.begin("k", {1: PARTS[0]})
    s3.faults.append(
        lambda request: (
            NOBODY if request.method == method and "uploadId" in request.params else None
        )
    )
    with pytest.raises(errors.MalformedAnswerError, match="404 page not found"):
        driver.ex_cleanup_all_multipart_uploads(container)
    assert list(s3.uploads) == [kept]


@pytest.mark.parametrize("failure", UNANSWERED.values(), ids=UNANSWERED)
def test_a_completion_that_was_waited_for_in_vain_keeps_the_parts(s3, driver, container, failure):
    """The server may still be completing an upload of which the last answer did not come."""
    s3.faults.append(
        lambda request: (
            failure if request.method == "POST" and "uploadId" in request.params else None
        )
    )
    with pytest.raises(errors.AuroraObjectsError, match="may still complete upload 2~upload1"):
        driver.upload_object_via_stream(iter([DATA]), container, "k")
    assert (list(s3.uploads), s3.sent("DELETE")) == (["2~upload1"], [])


@pytest.mark.parametrize("kind", [KeyboardInterrupt, RuntimeError])
def test_a_proxy_that_answers_for_a_server_when_ctrl_c_comes(
    s3, driver, container, keyboard, interrupted, kind
):
    """What a proxy says of a server that has ended says nothing of the upload."""
    keyboard.error = kind
    interrupted(Answer(503, b"upstream connect error"))
    act = s3.faults[-1]

    def press(request):
        if request.method == "POST" and "uploadId" in request.params and act in s3.faults:
            if threading.current_thread() is threading.main_thread():
                act(request)
                raise keyboard.error
            keyboard.press()

    s3.faults.insert(0, press)
    with pytest.raises(kind):
        driver.upload_object_via_stream(iter([DATA]), container, "k")
    assert (list(s3.uploads), s3.sent("DELETE")) == (["2~upload1"], [])


def test_ctrl_c_while_an_upload_begins_is_logged(s3, container, new_driver, caplog):
    """Where no thread waits for its id, the log says that an upload may be left."""
    driver = new_driver(ex_part_size=10, ex_max_concurrency=1)
    s3.faults.append(lambda seen: KeyboardInterrupt() if seen.query == "uploads=" else None)
    with pytest.raises(KeyboardInterrupt):
        driver.upload_object_via_stream([DATA], container, "k")
    (message,) = warnings(caplog)
    assert "'k' in container 'photos' may have begun" in message
    assert message.endswith(": KeyboardInterrupt")


def test_ctrl_c_while_a_completion_is_answered(s3, driver, container, keyboard, caplog):
    """What the object lacks is said, because nothing else is done to it."""
    pressed = []

    def press(request):
        if request.method != "POST" or "uploadId" not in request.params or pressed:
            return None
        pressed.append(request)
        with s3.lock:
            answer = s3._checked(request)
        if threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        keyboard.press()
        return answer

    s3.faults.append(press)
    with pytest.raises(KeyboardInterrupt):
        driver.upload_object_via_stream(
            iter([DATA]), container, "k", headers={"x-amz-object-lock-legal-hold": "ON"}
        )
    assert s3.buckets["photos"]["k"].data == DATA
    assert "is stored, but without its legal hold" in caplog.text


def test_an_upload_of_somebody_else_that_is_interrupted_is_kept(
    s3, complete, upload_id, interrupted, caplog
):
    """What its object was to have is not known, so that it cannot be copied."""
    interrupted()
    assert complete() == composite(PARTS)
    assert list(s3.uploads) == [upload_id]
    assert f"upload {upload_id} is kept" in caplog.text


def test_an_upload_whose_object_has_its_data_is_not_cleaned_up(s3, driver, container, caplog):
    """Only the one that has the object's parts is kept, for as long as they are the object's."""
    kept = s3.begin("k", dict(enumerate(PARTS, 1)))
    s3.begin("k", {1: PARTS[0]})
    s3.begin("k", dict(enumerate(PARTS, 1)), initiated="2026-07-01T13:00:00.000Z")
    s3.begin("other", dict(enumerate(PARTS, 1)))
    s3.put("k", DATA, composite(PARTS))
    driver.ex_cleanup_all_multipart_uploads(container)
    assert list(s3.uploads) == [kept]
    assert f"upload {kept} is kept: object 'k'" in caplog.text
    s3.put("k", b"new")
    driver.ex_cleanup_all_multipart_uploads(container)
    assert s3.uploads == {}


def versions_are(s3, answer):
    """Answer whoever asks for versions with this."""
    s3.faults.append(lambda request: answer if "versions" in request.params else None)


UNLISTED = [error(403, "AccessDenied"), error(501, "NotImplemented"), Answer(204)]


@pytest.mark.parametrize("answer", UNLISTED, ids=["403", "501", "204"])
def test_the_object_is_looked_at_where_versions_are_not_listed(s3, driver, container, answer):
    """Who may not ask for versions, or on a server that has none, learns of the latest one."""
    kept = s3.begin("k", dict(enumerate(PARTS, 1)))
    s3.put("k", DATA, composite(PARTS))
    s3.begin("gone", {1: PARTS[0]})
    asked = {"versions", "versioning"}
    s3.faults.append(lambda request: answer if asked & {*request.params} else None)
    driver.ex_cleanup_all_multipart_uploads(container)
    assert list(s3.uploads) == [kept]
    s3.put("k", b"new")
    driver.ex_cleanup_all_multipart_uploads(container)
    assert s3.uploads == {}


def versioning_is(s3, answer):
    """List no versions, and answer this to whoever asks whether there are some."""
    versions_are(s3, UNLISTED[0])
    s3.faults.append(lambda request: answer if "versioning" in request.params else None)


ENABLED = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"


@pytest.mark.parametrize("state", [b"Enabled", b"Suspended"])
def test_a_version_that_is_hidden_keeps_an_upload(s3, driver, container, tmp_path, state):
    """Old versions that cannot be listed may share its data, whatever is there now."""
    kept = s3.begin("k", dict(enumerate(PARTS, 1)))
    versioning_is(s3, Answer(200, ENABLED.replace(b"Enabled", state)))
    driver.ex_cleanup_all_multipart_uploads(container)
    (tmp_path / "f").write_bytes(DATA)
    driver.upload_object(str(tmp_path / "f"), container, "k", ex_resume=True)
    assert (list(s3.uploads), s3.sent("DELETE")) == ([kept], [])
    assert s3.buckets["photos"]["k"].data == DATA


@pytest.mark.parametrize(("made", "is_kept"), [("Thu, 02 Jul", True), ("Mon, 01 Jun", False)])
@pytest.mark.parametrize(
    ("versioning", "version"),
    [(error(403, "AccessDenied"), {"x-amz-version-id": "v2"}), (Answer(200, ENABLED), {})],
    ids=["not said", "enabled"],
)
def test_a_newer_version_may_hide_another(
    s3, driver, container, versioning, version, made, is_kept
):
    """One that is older than the upload hides none that shares its data."""
    kept = s3.begin("k", dict(enumerate(PARTS, 1)), initiated="2026-07-01T12:00:00.000Z")
    versioning_is(s3, versioning)
    head = {"etag": '"0"', "content-length": "1", **version}
    head["last-modified"] = f"{made} 2026 00:00:00 GMT"
    s3.faults.append(lambda request: Answer(200, b"", head) if is_look(request) else None)
    driver.ex_cleanup_all_multipart_uploads(container)
    assert list(s3.uploads) == [kept] * is_kept


def test_an_upload_is_kept_while_it_cannot_be_learnt_whether_there_are_versions(
    s3, driver, container
):
    """A server that is down is an error."""
    kept = s3.begin("k", dict(enumerate(PARTS, 1)))
    versioning_is(s3, error(503, "SlowDown"))
    with pytest.raises(errors.AuroraObjectsError, match="SlowDown"):
        driver.ex_cleanup_all_multipart_uploads(container)
    assert list(s3.uploads) == [kept]


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Answer(403), ""),
        (Answer(200, b"<h1>Back soon</h1>", {"content-type": "text/html"}), "web page"),
        (error(400, "InvalidRequest", "a form of Server Side Encryption"), ""),
    ],
    ids=["403", "web page", "encrypted"],
)
def test_an_upload_is_kept_whose_object_cannot_be_looked_at(
    s3, driver, container, caplog, answer, outcome
):
    """Whether it shares its data is not known: that is an error, or said in the log."""
    kept = s3.begin("k", dict(enumerate(PARTS, 1)))
    versions_are(s3, UNLISTED[0])
    s3.faults.append(lambda request: answer if request.key == "k" and is_look(request) else None)
    with pytest.raises(errors.AuroraObjectsError, match=outcome) if outcome else nullcontext():
        driver.ex_cleanup_all_multipart_uploads(container)
    assert (list(s3.uploads), s3.sent("DELETE")) == ([kept], [])
    assert outcome or f"upload {kept} is kept" in caplog.text


def is_look(request):
    """Tell whether a request asks what an object is."""
    return request.method in ("GET", "HEAD") and not request.params


@pytest.mark.parametrize("page", [b"", b"<h1>Back soon</h1>"], ids=["204", "web page"])
def test_an_upload_whose_parts_are_not_listed(s3, driver, container, page):
    """It is aborted if the server has no such list, and kept if somebody else has answered."""
    kept = s3.begin("k", dict(enumerate(PARTS, 1)))
    answer = Answer(200, page, {"content-type": "text/html"}) if page else Answer(204)
    s3.faults.append(
        lambda request: answer if request.method == "GET" and "uploadId" in request.params else None
    )
    with pytest.raises(errors.MalformedAnswerError) if page else nullcontext():
        driver.ex_cleanup_all_multipart_uploads(container)
    assert list(s3.uploads) == [kept] * bool(page)


def test_all_versions_are_looked_at(s3, driver, container):
    """An old version on a later page keeps an upload, and what begins alike is not listed."""
    kept, asked = s3.begin("k", dict(enumerate(PARTS, 1))), []
    row = (
        "<Version><Key>{}</Key><VersionId>{}</VersionId><ETag>{}</ETag>"
        "<LastModified>2026-11-27T00:00:00.000Z</LastModified></Version>"
    )

    def pages(request):
        if "versions" not in request.params:
            return None
        asked.append(request)
        rows = [row.format("k", f"v{len(asked)}", composite(PARTS) if asked[1:] else md5(b"new"))]
        rows += [row.format("k2", f"v{len(asked)}", composite(PARTS))] * (len(asked) > 1)
        body = f"<R><IsTruncated>true</IsTruncated>{''.join(rows)}</R>"
        return Answer(200, body.replace("R>", "ListVersionsResult>").encode())

    s3.faults.append(pages)
    driver.ex_cleanup_all_multipart_uploads(container)
    assert (list(s3.uploads), len(asked)) == ([kept], 3)


def test_an_upload_is_not_cleaned_up_while_nothing_can_be_learnt(s3, driver, container):
    """A server that is down says nothing about the object."""
    kept = s3.begin("k", dict(enumerate(PARTS, 1)))
    versions_are(s3, error(503, "SlowDown"))
    with pytest.raises(errors.AuroraObjectsError, match="SlowDown"):
        driver.ex_cleanup_all_multipart_uploads(container)
    assert list(s3.uploads) == [kept]


@pytest.mark.parametrize("failure", [LOST, error(503, "SlowDown")])
def test_no_second_attempt_follows_one_of_which_nothing_was_learnt(s3, complete, failure):
    """An upload is completed again only after a look has shown that it has not been."""
    s3.fail(2, failure, method="POST")
    s3.fail(7, error(503, "SlowDown"), method="GET")
    assert complete() == composite(PARTS)
    methods = "".join(sent.method[0] for sent in s3.requests)
    assert methods == "P" + 8 * "G" + "HG" + "P" + "GHG" + "P"


def test_what_an_earlier_attempt_has_stored_is_a_success(s3, complete, interrupted):
    """Whatever the last attempt says: its own object may be what it meets."""
    interrupted()
    s3.fail(5, error(503, "SlowDown"), method="GET")
    s3.faults.append(
        lambda request: error(400, "InvalidPart") if request.method == "POST" else None
    )
    assert complete() == composite(PARTS)


@pytest.mark.parametrize("what", ["parts", "object", "both"])
def test_no_second_completion_by_keys_that_may_not_look(
    s3, complete, upload_id, interrupted, caplog, what
):
    """One whose answer was lost may have made the object: a look would have to show that."""
    interrupted()
    s3.faults.append(
        lambda request: (
            Answer(403)
            if (what != "object" and request.method == "GET" and "uploadId" in request.params)
            or (what != "parts" and is_look(request))
            else None
        )
    )
    if what == "parts":  # and the object is there
        assert complete() == composite(PARTS)
        assert f"upload {upload_id} is kept" in caplog.text
    else:
        with pytest.raises(errors.NetworkError, match=f"may still complete upload {upload_id}"):
            complete()
    assert (len(s3.sent("POST")), list(s3.uploads)) == (1, [upload_id])


def test_an_object_that_may_not_be_looked_at_has_probably_been_stored(s3, complete, upload_id):
    """An upload that is gone after a lost answer has most likely become the object."""
    after(s3, LOST, method="POST")
    s3.faults.append(lambda request: Answer(403) if is_look(request) else None)
    with pytest.raises(errors.NetworkError, match=f"{upload_id} is gone: its object has probably"):
        complete()
    assert len(s3.sent("POST")) == 1


def test_an_upload_that_is_gone_is_not_aborted(s3, driver, container, caplog):
    """Nobody says that its parts remain, and no request waits for a server that is away."""
    after(s3, LOST, method="POST", query="uploadId=2~upload1")
    s3.faults.append(lambda request: Answer(403) if is_look(request) else None)
    with pytest.raises(errors.NetworkError, match="2~upload1 is gone: its object has probably"):
        driver.upload_object_via_stream(iter([DATA]), container, "k")
    assert s3.sent("DELETE") == []
    assert caplog.text == ""


def test_a_copy_is_not_copied_for_its_original(s3, driver, container, caplog):
    """An equal object that was there before the copy is not the copy's own success."""
    driver.upload_object_via_stream(iter([DATA]), container, "k")
    busy = error(503, "SlowDown")
    s3.faults.append(
        lambda request: busy if request.method == "POST" and "uploadId" in request.params else None
    )
    with pytest.raises(errors.AuroraObjectsError, match=r"could not be copied: .*SlowDown"):
        driver.upload_object_via_stream(iter([DATA]), container, "k")
    assert s3.started["uploads"] == 3
    assert list(s3.uploads) == ["2~upload2"]
    assert "upload 2~upload2 is kept" in caplog.text


def test_an_upload_that_is_gone_is_no_success_because_of_an_older_object(s3, complete):
    """A first Complete that is refused has not made what is older."""
    s3.put("k", DATA, composite(PARTS))
    s3.uploads.clear()
    s3.fail(1, error(404, "NoSuchUpload"), method="POST")
    with pytest.raises(errors.UploadNotFoundError):
        complete()
    s3.put("k", DATA, composite(PARTS), **{"last-modified": formatdate(usegmt=True)})
    s3.fail(1, error(404, "NoSuchUpload"), method="POST")
    assert complete() == composite(PARTS)  # which a proxy may have sent twice


def test_an_upload_that_is_completed_while_it_is_looked_at(s3, driver, container, caplog):
    """Parts that were there a moment ago are asked for again: nothing has to be copied."""

    def lose(request):
        if request.method == "POST" and "uploadId" in request.params:
            return LOST
        if request.method == "HEAD" and s3.uploads:
            with s3.lock:
                s3._checked(s3.sent("POST")[-1])
        return None

    s3.faults.append(lose)
    assert driver.upload_object_via_stream(iter([DATA]), container, "k").hash == composite(PARTS)
    assert (s3.started["uploads"], s3.uploads, warnings(caplog)) == (1, {}, [])


def test_a_refusal_is_no_success_because_of_an_older_object(s3, complete):
    """A final error stays one, though an object of the same bytes is there."""
    s3.put("k", DATA, composite(PARTS))
    s3.fail(1, error(403, "QuotaExceeded"), method="POST")
    with pytest.raises(errors.AuroraObjectsError, match="QuotaExceeded"):
        complete()
    assert len(s3.sent("POST")) == 1


@pytest.mark.parametrize(
    "failure", [error(503, "SlowDown"), IN_PROGRESS, LOST, error(200, "InternalError")]
)
def test_complete_is_tried_again_while_the_upload_is_there(s3, complete, failure):
    """A Complete that failed without effect is sent again."""
    s3.fail(2, failure, method="POST")
    assert complete() == composite(PARTS)
    assert len(s3.sent("POST")) == 3


def test_an_object_under_another_key_is_not_what_was_completed(s3, tiny_parts, container):
    """It cannot be looked at with the new key, and is none of ours: Complete is sent again."""
    driver = AuroraObjectsStorageDriver(
        "key", "secret", retry_delay=0, ex_part_size=10, ex_allow_plain_keys=True
    )
    s3.put("k", b"old")
    s3.faults.append(
        lambda request: (
            error(503, "SlowDown")
            if request in completions(s3) and len(completions(s3)) == 1
            else None
        )
    )
    driver.upload_object_via_stream(iter([DATA]), container, "k", ex_customer_key=b"K" * 32)
    assert s3.buckets["photos"]["k"].data == DATA
    assert (s3.uploads, len(completions(s3))) == ({}, 2)


def test_complete_of_an_upload_that_is_gone_is_an_error(s3, complete):
    """When the upload is gone and the object is not ours, Complete is not repeated."""
    s3.uploads.clear()
    s3.put("k", b"theirs")
    with pytest.raises(errors.UploadNotFoundError, match=r"is gone.*lifecycle"):
        complete()
    assert len(s3.sent("POST")) == 1


def test_complete_of_an_upload_that_is_gone_without_a_trace_is_an_error(s3, complete):
    """When the upload is gone and there is no object, Complete is not repeated."""
    s3.uploads.clear()
    with pytest.raises(errors.UploadNotFoundError, match=r"is gone.*lifecycle") as caught:
        complete()
    assert (caught.value.code, caught.value.request_id) == ("NoSuchUpload", "tx1")
    assert [sent.method for sent in s3.requests][:3] == ["POST", "GET", "HEAD"]
    assert len(s3.sent("POST")) == 1


def test_an_objects_name_says_nothing_of_its_completion(s3, driver, container):
    """What the server says is told from the name that a message quotes."""
    s3.faults.append(
        lambda request: error(400, "InvalidPart") if request in completions(s3) else None
    )
    with pytest.raises(errors.AuroraObjectsError, match="InvalidPart"):
        driver.upload_object_via_stream([DATA], container, "completion is already in progress")
    assert (s3.uploads, len(completions(s3))) == ({}, 1)


def test_complete_that_is_refused_is_an_error(s3, complete):
    """InvalidPart is final."""
    with pytest.raises(errors.AuroraObjectsError, match="InvalidPart"):
        complete(ETAGS[:2])
    assert len(s3.sent("POST")) == 1


def test_complete_is_bounded(s3, complete):
    """A Complete that keeps failing ends after the policy's attempts, with their history."""
    s3.faults.append(lambda request: error(503, "SlowDown") if request.method == "POST" else None)
    with pytest.raises(errors.AuroraObjectsError) as caught:
        complete()
    assert len(caught.value.history) == 5


def test_a_server_that_is_completing_is_waited_for(s3, complete, pauses):
    """While the server says that it is at it, it is asked every second, using up no attempt."""
    s3.fail(2, error(503, "SlowDown"), method="POST")
    s3.fail(200, IN_PROGRESS, method="POST")
    s3.fail(2, error(503, "SlowDown"), method="POST")
    assert complete() == composite(PARTS)
    assert len(s3.sent("POST")) == 205
    assert pauses == [*[0] * 2, *[1] * 200, *[0] * 2]


@pytest.mark.parametrize("resumes", [False, True])
def test_a_completion_that_is_never_decided_keeps_the_parts(
    s3, driver, container, tmp_path, monkeypatch, caplog, resumes
):
    """When the server has been at it for too long, the parts stay, and the log names the upload."""
    caplog.set_level(logging.INFO, "libcloud_aurora")
    monkeypatch.setattr("libcloud_aurora._transfer.completion.COMPLETE_SECONDS", 0)
    (tmp_path / "f").write_bytes(DATA)
    s3.faults.append(
        lambda request: (
            IN_PROGRESS if request.method == "POST" and "uploadId" in request.params else None
        )
    )
    with pytest.raises(errors.AuroraObjectsError, match="may still complete upload 2~upload1"):
        driver.upload_object(str(tmp_path / "f"), container, "k", ex_resume=resumes)
    assert s3.sent("DELETE") == []
    assert s3.uploads["2~upload1"]["parts"] == dict(enumerate(PARTS, 1))
    assert (
        "the parts of upload 2~upload1 of object 'k' in container 'photos' are kept" in caplog.text
    )


def test_complete_goes_on_when_nothing_can_be_learnt(s3, complete):
    """When neither the object nor the parts can be looked at, Complete is tried again."""
    s3.fail(1, error(503, "SlowDown"), method="POST")
    s3.faults.append(
        lambda request: error(403, "AccessDenied") if request.method in ("GET", "HEAD") else None
    )
    assert complete() == composite(PARTS)


def test_an_object_that_cannot_be_looked_at_is_no_success(s3, complete):
    """When the upload is gone and nothing says what is stored, the failure is raised."""
    after(s3, LOST, method="POST")
    s3.faults.append(
        lambda request: error(403, "AccessDenied") if request.method == "HEAD" else None
    )
    with pytest.raises(errors.NetworkError):
        complete()
    assert len(s3.sent("POST")) == 1


def test_an_upload_with_another_etag_is_not_aborted(s3, driver, container):
    """It is completed: if the server has not removed it, its parts are the object's."""
    other = Answer(200, f"<R><ETag>{md5(b'theirs')}</ETag></R>".encode())
    s3.faults.append(
        lambda request: other if request.method == "POST" and "uploadId" in request.params else None
    )
    with pytest.raises(errors.HashMismatchError):
        driver.upload_object_via_stream(iter([DATA]), container, "k")
    assert s3.sent("DELETE") == []


def test_another_etag_is_a_hash_mismatch(s3, complete):
    """An object that is not made of our parts is an error at once, which names both ETags."""
    s3.fail(1, Answer(200, f"<R><ETag>{md5(b'theirs')}</ETag></R>".encode()), method="POST")
    with pytest.raises(errors.HashMismatchError) as caught:
        complete()
    assert md5(b"theirs") in str(caught.value)
    assert composite(PARTS) in str(caught.value)
    assert (caught.value.bucket, caught.value.key) == ("photos", "k")
    assert [sent.method for sent in s3.requests] == ["POST"]


@pytest.mark.parametrize("resume", [False, True])
def test_verification_of_the_end_can_be_left_out(s3, driver, container, tmp_path, resume):
    """Without verify_hash the ETag the server names is believed."""
    (tmp_path / "f").write_bytes(DATA)
    other = Answer(200, b"<R><ETag>other</ETag></R>")
    s3.faults.append(
        lambda request: other if request.method == "POST" and "uploadId" in request.params else None
    )
    upload = partial(driver.upload_object, str(tmp_path / "f"), container, "k", ex_resume=resume)
    assert upload(verify_hash=False).hash == "other"
    with pytest.raises(errors.HashMismatchError):
        upload()


# How it is aborted


def test_an_upload_is_aborted_until_it_is_gone(s3, driver, container, upload_id):
    """Abort is repeated until the server says that the upload is gone."""
    driver._abort_multipart(container, "k", upload_id)
    assert s3.uploads == {}
    assert len(s3.sent("DELETE")) == 2


def test_an_abort_that_never_ends_is_bounded(s3, driver, container, upload_id):
    """A server that always says it has aborted is asked three times."""
    s3.faults.append(lambda request: Answer(204))
    driver._abort_multipart(container, "k", upload_id)
    assert len(s3.sent("DELETE")) == 3


def test_an_abort_that_takes_long_is_not_repeated(s3, container, tiny_parts):
    """Nobody waits for a second request once the time is up."""

    def delay(request):
        if request.method == "DELETE":
            time.sleep(0.3)
            return Answer(204)
        return None

    def broken():
        yield DATA
        raise OSError("broken")

    s3.faults.append(delay)
    with (
        AuroraObjectsStorageDriver(
            *("key", "secret"), timeout=0.2, ex_part_size=10, ex_max_concurrency=1
        ) as driver,
        pytest.raises(OSError, match="broken"),
    ):
        driver.upload_object_via_stream(broken(), container, "k")
    assert len(s3.sent("DELETE")) == 1


def test_ctrl_c_while_what_has_been_copied_is_removed(
    s3, driver, container, interrupted, monkeypatch, caplog
):
    """The upload that remains is named, and the object is there."""

    def press(seconds):
        raise KeyboardInterrupt

    interrupted()
    monkeypatch.setattr(uploading.time, "sleep", press)
    s3.faults.append(lambda request: error(503, "SlowDown") if request.method == "DELETE" else None)
    with pytest.raises(KeyboardInterrupt):
        driver.upload_object_via_stream(iter([DATA]), container, "k")
    assert (
        "upload 2~upload1 of object 'k' in container 'photos' could not be aborted" in caplog.text
    )
    assert "object 'k' in container 'photos' is stored" in caplog.text


def test_an_abort_that_fails_is_a_warning_with_the_upload_id(
    s3, driver, container, upload_id, caplog
):
    """A failed abort hides nothing: it is logged with the upload id."""
    s3.faults.append(lambda request: error(403, "AccessDenied"))
    driver._abort_multipart(container, "k", upload_id)
    (message,) = warnings(caplog)
    assert f"upload {upload_id} of object 'k' in container 'photos' could not be aborted" in message


@pytest.mark.parametrize("driver", [1], indirect=True)
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_ctrl_c_during_the_abort_aborts_first(s3, driver, container, upload_id, kind):
    """A second Ctrl-C, while the first is being cleaned up after, does not leave parts."""
    s3.fail(1, kind(), method="DELETE")
    with pytest.raises(kind):
        driver._abort_multipart(container, "k", upload_id)
    assert s3.uploads == {}


def test_what_a_signal_raises_while_connections_open_ends_the_upload(
    s3, driver, container, monkeypatch
):
    """A task's time limit is an exception as any other: it is not taken for a failed connection."""

    class TimeLimitError(Exception):
        pass

    def result(outcome, seconds=math.inf, look=None, real=workers.Outcome.result):
        if seconds <= 1.0:  # the wait for connections
            raise TimeLimitError
        return real(outcome, seconds, look)

    monkeypatch.setattr(driver._client, "openers", lambda count: [lambda: None] * count)
    monkeypatch.setattr(workers.Outcome, "result", result)
    with pytest.raises(TimeLimitError):
        driver.upload_object_via_stream(DATA, container, "k")
    assert s3.uploads == {}


def test_connections_that_cannot_be_opened_are_no_failure(s3, driver, container, monkeypatch):
    """The requests that need them say why."""

    def fail():
        raise ConnectionError("refused")

    monkeypatch.setattr(driver._client, "openers", lambda count: [fail] * count)
    assert driver.upload_object_via_stream(DATA, container, "k").size == len(DATA)


def test_an_upload_whose_container_goes_is_gone(s3, driver, container, caplog):
    """Its parts went with the container, so no warning tells to remove them."""

    def remove(request):
        if "partNumber" in request.params:
            s3.faults.append(lambda seen: error(404, "NoSuchBucket"))
        return

    s3.faults.append(remove)
    with pytest.raises(errors.ContainerNotFoundError):
        driver.upload_object_via_stream(DATA, container, "k")
    assert "remain" not in caplog.text


@pytest.mark.parametrize(
    ("then", "kind"),
    [
        (error(403, "SignatureDoesNotMatch"), errors.InvalidCredentialsError),
        (error(403, "AccessDenied"), errors.HashMismatchError),
        (None, errors.HashMismatchError),
    ],
    ids=["wrong", "not told", "right"],
)
def test_a_secret_that_changes_meanwhile_is_told_from_damage(s3, driver, container, then, kind):
    """To parts, radosgw says the same of a wrong secret and of damage: another request decides."""

    def refuse(request):
        if "partNumber" in request.params:
            return error(403, "SignatureDoesNotMatch")
        return then if request.method == "GET" else None

    s3.faults.append(refuse)
    with pytest.raises(kind, match="SignatureDoesNotMatch"):
        driver.upload_object_via_stream(DATA, container, "k")


# How it is gone on with


@pytest.fixture
def resume(s3, driver, container, tmp_path):
    """Upload a file of three parts, going on with what the server holds of it."""
    (tmp_path / "f").write_bytes(DATA)
    s3.requests.clear()
    return lambda: driver.upload_object(str(tmp_path / "f"), container, "k", ex_resume=True)


def sent_parts(s3):
    """Return the numbers of the parts that were sent."""
    numbers = [sent.params.get("partNumber") for sent in s3.sent("PUT")]
    return sorted(int(number) for number in numbers if number)


def test_an_upload_is_begun_where_none_is_to_be_gone_on_with(s3, resume):
    """Uploads of other names that begin the same are not gone on with."""
    s3.begin("k2", {1: PARTS[0]})
    assert resume().hash == composite(PARTS)
    assert sent_parts(s3) == [1, 2, 3]
    assert len(s3.uploads) == 1


def test_the_newest_unfinished_upload_is_found(s3, resume):
    """Of several uploads of the key the newest is gone on with, and the others stay."""
    newest = s3.begin("k", {1: PARTS[0]}, initiated="2026-07-03T12:00:00.000Z")
    older = s3.begin("k", {2: PARTS[1]}, initiated="2026-07-02T12:00:00.000Z")
    resume()
    assert sent_parts(s3) == [2, 3]
    assert list(s3.uploads) == [older]
    assert {sent.params.get("uploadId") for sent in s3.sent("PUT")} <= {newest, None}


def test_another_account_s_upload_is_not_gone_on_with(s3, resume, caplog):
    """One whose parts these keys may not list is passed over, for the one before it."""
    s3.begin("k", {1: PARTS[0]}, initiated="2026-07-02T12:00:00.000Z")
    theirs = s3.begin("k", {2: PARTS[1]}, initiated="2026-07-03T12:00:00.000Z")
    denied = error(403, "AccessDenied")
    s3.faults.append(
        lambda seen: (
            denied if (seen.method, seen.params.get("uploadId")) == ("GET", theirs) else None
        )
    )
    assert resume().hash == composite(PARTS)
    assert sent_parts(s3) == [2, 3]
    assert list(s3.uploads) == [theirs]
    assert f"upload {theirs} is not continued" in caplog.text


@pytest.mark.parametrize("parts", [{1: b"a" * 9}, {3: b"c" * 2}, {4: b"c"}])
def test_an_upload_with_a_part_of_another_plan_is_aborted(s3, resume, caplog, parts):
    """An upload that can never become this object is aborted, and a new one is made."""
    caplog.set_level("INFO")
    old = s3.begin("k", parts)
    assert resume().hash == composite(PARTS)
    assert sent_parts(s3) == [1, 2, 3]
    assert s3.uploads == {}
    assert f"aborting upload {old} of object 'k' in container 'photos'" in caplog.text


@pytest.mark.parametrize("version", [None, "v2"])
def test_an_upload_whose_object_has_its_data_is_not_gone_on_with(s3, resume, caplog, version):
    """The file is sent anew; the upload goes if its object does, and stays with an old version."""
    old = s3.begin("k", dict(enumerate(PARTS, 1)))
    s3.put("k", DATA, composite(PARTS))

    def complete(request):
        if request.method != "POST" or "uploadId" not in request.params:
            return None
        with s3.lock:
            return s3._checked(request)._replace(headers={"x-amz-version-id": version})

    s3.faults.append(complete)
    assert resume().hash == composite(PARTS)
    assert sent_parts(s3) == [1, 2, 3]
    assert list(s3.uploads) == ([old] if version else [])
    assert (f"upload {old} is kept" in caplog.text) == bool(version)


@pytest.mark.parametrize("held", [{1: PARTS[0]}, dict(enumerate(PARTS, 1))])
@pytest.mark.parametrize("sign", ["max-parts", "partNumber"])
def test_a_new_upload_is_begun_where_the_old_one_ends_meanwhile(s3, resume, caplog, held, sign):
    """Whoever has ended it, and as late as while parts are sent: the file is stored."""
    caplog.set_level("INFO")
    s3.begin("k", held)

    def end(request):
        if sign in request.params:
            s3.faults.remove(end)
            s3.uploads.clear()

    s3.faults.append(end)
    assert resume().hash == composite(PARTS)
    assert s3.buckets["photos"]["k"].data == DATA
    assert s3.uploads == {}
    assert "kept" not in caplog.text


def test_a_new_upload_that_ends_meanwhile_is_an_error(s3, resume):
    """Where somebody ends each upload of the key, the second is the last."""

    def end(request):
        if "partNumber" in request.params:
            s3.uploads.clear()

    s3.begin("k", {1: PARTS[0]})
    s3.faults.append(end)
    with pytest.raises(errors.UploadNotFoundError, match="NoSuchUpload"):
        resume()
    assert len(s3.sent("POST")) == 1


@pytest.mark.parametrize("step", [1, 2])
def test_parts_are_listed_over_pages(s3, resume, step):
    """All parts the server holds are kept, also those on later pages."""
    s3.begin("k", {1: PARTS[0], 2: PARTS[1]})

    def small(request):
        request.params["max-parts"] = str(step)

    s3.faults.append(small)
    resume()
    assert sent_parts(s3) == [3]
    pages = [sent for sent in s3.sent("GET") if "part-number-marker" in sent.params]
    assert len(pages) == 2 // step


def test_a_thousand_parts_are_asked_for_at_once(s3, driver, container, tmp_path):
    """A page of parts is as large as radosgw makes it: 2,301 parts come on three."""
    (tmp_path / "f").write_bytes(bytes(23_015))
    s3.begin("k", dict.fromkeys(range(1, 2302), bytes(10)))
    s3.requests.clear()
    driver.upload_object(tmp_path / "f", container, "k", ex_resume=True)
    assert sent_parts(s3) == [2302]
    pages = [sent for sent in s3.sent("GET") if "part-number-marker" in sent.params]
    assert [sent.params["part-number-marker"] for sent in pages] == ["0", "1000", "2000"]
    assert {sent.params["max-parts"] for sent in pages} == {"1000"}


PART_ROW = "<Part><PartNumber>1</PartNumber><Size>10</Size><ETag>e</ETag></Part>"


@pytest.mark.parametrize(
    "page",
    [
        "<IsTruncated>true</IsTruncated>",
        f"<IsTruncated>true</IsTruncated>{PART_ROW}",
        "<Part/>",
        PART_ROW.replace("<PartNumber>1</PartNumber>", "<PartNumber>x</PartNumber>"),
        PART_ROW.replace("<Size>10</Size>", ""),
        PART_ROW.replace("<ETag>e</ETag>", ""),
    ],
    ids=["nothing new", "the same again", "empty row", "no number", "no size", "no etag"],
)
def test_a_damaged_list_of_parts_is_an_error(s3, resume, page):
    """A list of parts that leads nowhere, or whose rows lack something, is no list of parts."""
    s3.begin("k", {1: PARTS[0]})
    answer = Answer(200, f"<ListPartsResult>{page}</ListPartsResult>".encode())
    s3.faults.append(lambda request: answer if "part-number-marker" in request.params else None)
    with pytest.raises(errors.MalformedAnswerError, match="response is not S3"):
        resume()
    assert len(s3.requests) <= 10
    assert len(s3.uploads) == 1


# Uploads beside each other


@pytest.mark.parametrize("key", ["k", "inner"])
@pytest.mark.parametrize("kind", [None, RuntimeError, KeyboardInterrupt])
def test_uploads_of_one_thread_may_be_nested(s3, driver, container, key, kind):
    """
    An upload may be made while another one's stream is read, of the same name too.

    When it fails, or Ctrl-C ends it, what it has begun is aborted, and the other one goes on.
    """

    def inner():
        yield b"x" * 15
        if kind is not None:
            raise kind("inner")

    def outer():
        yield DATA[:15]
        with pytest.raises(kind) if kind else contextlib.nullcontext():
            driver.upload_object_via_stream(inner(), container, key)
        yield DATA[15:]

    assert driver.upload_object_via_stream(outer(), container, "k").hash == composite(PARTS)
    assert s3.buckets["photos"]["k"].data == DATA
    assert ("inner" in s3.buckets["photos"]) == (key == "inner" and kind is None)
    assert s3.uploads == {}


def test_ctrl_c_in_one_thread_ends_no_upload_of_another(s3, driver, container):
    """Two threads upload to one name; one of them is interrupted, the other one's is stored."""
    begun, interrupted = threading.Event(), threading.Event()

    def slowly():
        yield DATA[:15]
        begun.set()
        assert interrupted.wait(10)
        yield DATA[15:]

    stored = []
    other = threading.Thread(
        target=lambda: stored.append(driver.upload_object_via_stream(slowly(), container, "k"))
    )

    def pressed():
        yield b"x" * 15
        raise KeyboardInterrupt

    other.start()
    assert begun.wait(10)
    with pytest.raises(KeyboardInterrupt):
        driver.upload_object_via_stream(pressed(), container, "k")
    interrupted.set()
    other.join()
    assert stored[0].hash == s3.buckets["photos"]["k"].etag == composite(PARTS)
    assert s3.uploads == {}


# The hooks of libcloud's multipart upload, called by hand


@pytest.mark.parametrize(
    "stream",
    [
        lambda: iter([DATA[:7], b"", DATA[7:]]),
        lambda: io.BytesIO(DATA),
        lambda: [DATA],
        lambda: DATA,
    ],
    ids=["iterator", "file", "list", "bytes"],
)
def test_the_hooks_take_a_plain_stream(s3, driver, container, stream):
    """Programs that call libcloud's hooks begin, send and complete an upload of any stream."""
    upload_id = driver._initiate_multipart(container, "k", {"Content-Type": "a/b"})
    chunks, digest, size = driver._upload_multipart_chunks(container, "k", upload_id, stream())
    assert (chunks, digest, size) == (ETAGS, None, len(DATA))
    assert driver._commit_multipart(container, "k", upload_id, chunks) == composite(PARTS)
    stored = s3.buckets["photos"]["k"]
    assert (stored.data, stored.headers["content-type"]) == (DATA, "a/b")
    assert s3.uploads == {}


def test_the_inherited_method_takes_a_path(s3, driver, container, tmp_path):
    """libcloud's own _put_object stores a file, as programs may use it."""
    (tmp_path / "file").write_bytes(b"content")
    extra = {"content_type": "text/x", "meta_data": {"a": "b"}}
    obj = driver._put_object(container, "k", file_path=str(tmp_path / "file"), extra=extra)
    assert (obj.size, obj.hash) == (7, md5(b"content"))
    assert s3.buckets["photos"]["k"].data == b"content"
    assert s3.buckets["photos"]["k"].headers["x-amz-meta-a"] == "b"


def test_the_inherited_method_takes_a_plain_stream(s3, driver, container):
    """libcloud's own _put_object_multipart works, and aborts what it could not send."""
    obj = driver._put_object_multipart(container, "k", iter([DATA]), headers={"x-amz-meta-a": "1"})
    assert (obj.hash, obj.size) == (composite(PARTS), len(DATA))
    assert s3.buckets["photos"]["k"].headers["x-amz-meta-a"] == "1"
    s3.fail(1, error(403, "QuotaExceeded"), method="PUT")
    with pytest.raises(errors.AuroraObjectsError, match="QuotaExceeded"):
        driver._put_object_multipart(container, "k", iter([DATA]))
    assert s3.uploads == {}


def test_the_abort_hook_removes_what_was_begun(s3, driver, container):
    """_abort_multipart removes an upload with its parts, once it is gone too, and any other's."""
    upload_id = driver._initiate_multipart(container, "k")
    driver._upload_multipart_chunks(container, "k", upload_id, [DATA])
    for each in (upload_id, upload_id, s3.begin("k", {1: b"x"}), "2~unknown"):
        assert driver._abort_multipart(container, "k", each) is None
    assert s3.uploads == {}


def test_an_upload_may_be_completed_by_another_driver(s3, driver, new_driver, container):
    """_commit_multipart needs the id and the ETags only: the parts may be sent by requests."""
    connection = driver.connection
    begun = connection.request("/photos/k?uploads", method="POST")
    namespace = "{http://s3.amazonaws.com/doc/2006-03-01/}"
    upload_id = begun.object.find(f"{namespace}UploadId").text
    chunks = []
    for number, part in enumerate(PARTS, 1):
        sent = connection.request(
            f"/photos/k?partNumber={number}&uploadId={upload_id}",
            method="PUT",
            data=bytearray(part),
        )
        assert sent.success()
        chunks.append((number, sent.headers["etag"]))
    other = new_driver()
    assert other._commit_multipart(container, "k", upload_id, chunks) == composite(PARTS)
    assert s3.buckets["photos"]["k"].data == DATA


def test_an_id_that_nobody_knows_is_an_error(s3, driver, container):
    """Nothing can be sent to or made of an upload that does not exist."""
    with pytest.raises(errors.UploadNotFoundError):
        driver._upload_multipart_chunks(container, "k", "2~unknown", [DATA])
    with pytest.raises(errors.UploadNotFoundError, match="2~unknown"):
        driver._commit_multipart(container, "k", "2~unknown", ETAGS)
    assert s3.buckets["photos"] == {}


def test_each_hook_may_be_called_in_another_thread(s3, driver, container):
    """An upload belongs to no thread: others may send its parts and complete it."""
    done = []
    upload_id = driver._initiate_multipart(container, "k")

    def send():
        done.append(driver._upload_multipart_chunks(container, "k", upload_id, [DATA])[0])

    def commit():
        done.append(driver._commit_multipart(container, "k", upload_id, done[0]))

    for step in (send, commit):
        thread = threading.Thread(target=step)
        thread.start()
        thread.join()
    assert done == [ETAGS, composite(PARTS)]


def test_an_upload_begun_by_hand_survives_ctrl_c_in_another_one(s3, driver, container):
    """Ctrl-C aborts the upload it has interrupted, and none of the same name begun before."""
    by_hand = driver._initiate_multipart(container, "k")
    chunks, _, _ = driver._upload_multipart_chunks(container, "k", by_hand, [DATA])

    def pressed():
        yield os.urandom(15)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        driver.upload_object_via_stream(pressed(), container, "k")
    assert driver._commit_multipart(container, "k", by_hand, chunks) == composite(PARTS)


def test_a_success_without_an_etag_is_none(s3, driver, container):
    """A captive portal answers 200 to anything: an object counts as stored by its ETag only."""
    s3.fail(99, Answer(200, b"<html>"), method="PUT")
    with pytest.raises(errors.MalformedAnswerError, match="an object without an ETag"):
        driver.upload_object_via_stream([b"x"], container, "k")


def test_spaces_around_metadata_are_left_out(s3, driver, container):
    """They would not be there when it is read: no server keeps them."""
    obj = driver.upload_object_via_stream([b"x"], container, "k", {"meta_data": {"k": " a  b "}})
    assert obj.meta_data == driver.get_object("photos", "k").meta_data == {"k": "a  b"}
