"""_target and _upload: a single PUT, the parts of an upload, and how it ends."""

import logging

import pytest
import requests
from libcloud.storage.base import Container
from unit.memory_s3 import Answer, composite, error, md5

from libcloud_aurora import errors
from libcloud_aurora._retry import Retrier
from libcloud_aurora._target import Target
from libcloud_aurora._upload import Upload, unfinished
from libcloud_aurora.config import RetryPolicy

RETRIER = Retrier(RetryPolicy(delay_seconds=0))
PARTS = [b"a" * 10, b"b" * 10, b"c"]
NO_BODY = Answer(
    200, b"<CompleteMultipartUploadResult><ETag></ETag></CompleteMultipartUploadResult>"
)
IN_PROGRESS = error(500, "InternalError", "This multipart completion is already in progress")
LOST = requests.ConnectionError("lost")


@pytest.fixture
def target(s3, driver):
    return driver._target(Container("photos", {}, driver), "k")


@pytest.fixture
def upload(s3, target):
    """An upload with three parts on the server."""
    upload_id = target.initiate({}, RETRIER)
    for number, part in enumerate(PARTS, 1):
        s3.uploads[upload_id]["parts"][number] = part
    s3.requests.clear()
    return Upload(target, upload_id)


@pytest.fixture
def etags():
    return [(number, md5(part)) for number, part in enumerate(PARTS, 1)]


def after(s3, outcome, **wanted):
    """Let the server act, and then lose or replace its answer, once."""
    left = [1]

    def fault(request):
        if left[0] and all(getattr(request, name) == wanted[name] for name in wanted):
            left[0] = 0
            with s3.lock:
                s3._checked(request)
            return outcome
        return None

    s3.faults.append(fault)


def test_a_put_stores(s3, target):
    """One PUT stores the object with its headers."""
    answer = target.put(memoryview(b"data"), {"Content-Type": "text/plain"})
    assert answer.headers["etag"] == f'"{md5(b"data")}"'
    assert s3.buckets["photos"]["k"].headers["content-type"] == "text/plain"


def test_a_body_damaged_on_the_way_is_sent_again(s3, target):
    """XAmzContentSHA256Mismatch and BadDigest re-send the body from the source bytes."""
    s3.fail(1, error(400, "XAmzContentSHA256Mismatch"))
    s3.fail(1, error(400, "BadDigest"))
    target.put(memoryview(b"data"), {})
    assert [sent.body for sent in s3.requests] == [b"data"] * 3


def test_a_conditional_put_whose_answer_was_lost_succeeds(s3, target):
    """A second try that is refused because of the first is a success if the bytes are ours."""
    after(s3, LOST, method="PUT")
    answer = target.put(memoryview(b"data"), {"If-None-Match": "*"})
    assert answer.headers["etag"] == f'"{md5(b"data")}"'


def test_a_conditional_put_that_is_refused_is_an_error(s3, target):
    """Another object under the key is PreconditionFailed, after a lost answer as well."""
    s3.put("k", b"theirs")
    with pytest.raises(errors.AuroraObjectsError, match="PreconditionFailed"):
        target.put(memoryview(b"data"), {"If-None-Match": "*"})
    s3.fail(1, LOST)
    with pytest.raises(errors.AuroraObjectsError, match="PreconditionFailed"):
        target.put(memoryview(b"data"), {"If-None-Match": "*"})
    assert s3.buckets["photos"]["k"].data == b"theirs"


def test_an_upload_begins_with_one_request(s3, target):
    """Initiate is one POST with an empty body."""
    assert target.initiate({"x-amz-acl": "private"}, RETRIER) == "2~upload1"
    (sent,) = s3.requests
    assert (sent.query, sent.body, sent.headers["content-length"]) == ("uploads=", b"", "0")


def test_an_upload_whose_answer_was_lost_is_aborted(s3, target, caplog):
    """When the answer to Initiate is lost, the upload nobody knows of is aborted."""
    caplog.set_level(logging.INFO, "libcloud_aurora")
    after(s3, LOST, method="POST")
    assert target.initiate({}, RETRIER) == "2~upload2"
    assert list(s3.uploads) == ["2~upload2"]
    assert "aborting upload 2~upload1" in caplog.text


def test_other_uploads_are_left_alone(s3, target):
    """Uploads with parts, of other keys, or from earlier are nobody's orphans."""
    for number, (key, parts, initiated) in enumerate(
        [
            ("k", {1: b"x"}, "2026-07-01T12:00:01.000Z"),
            ("k2", {}, "2026-07-01T12:00:01.000Z"),
            ("k", {}, "2026-07-01T09:00:00.000Z"),
            ("k", {}, "unknown"),
            ("k", {}, "2025-07-01T12:00:01"),
        ]
    ):
        s3.uploads[f"2~other{number}"] = {
            "bucket": "photos",
            "key": key,
            "parts": parts,
            "headers": {},
            "initiated": initiated,
        }
    s3.fail(1, error(503, "SlowDown"))
    assert target.initiate({}, RETRIER) == "2~upload1"
    assert len(s3.uploads) == 6


def test_looking_for_orphans_never_fails_an_upload(s3, target, caplog):
    """When orphans cannot be looked for, the upload goes on, with a warning."""
    after(s3, LOST, method="POST")
    s3.faults.append(
        lambda request: error(403, "AccessDenied") if request.method == "GET" else None
    )
    assert target.initiate({}, RETRIER) == "2~upload2"
    assert "may remain unfinished" in caplog.text


def test_an_upload_that_cannot_begin_leaves_nothing(s3, target):
    """When every answer to Initiate is lost, what was begun is aborted."""
    date = {"date": "Wed, 01 Jul 2026 12:00:10 GMT"}

    def fault(request):
        if request.method == "POST":
            with s3.lock:
                s3._checked(request)
            return LOST
        if "uploads" in request.params:
            with s3.lock:
                answer = s3._checked(request)
            return Answer(200, answer.body, {**answer.headers, **date})
        return None

    s3.faults.append(fault)
    with pytest.raises(errors.NetworkError):
        target.initiate({}, RETRIER)
    recent = {
        name for name, upload in s3.uploads.items() if upload["initiated"] > "2026-07-01T12:00:09"
    }
    assert recent == set()


def test_a_final_refusal_to_begin_looks_for_nothing(s3, target):
    """When Initiate is refused for good, nothing was begun and nothing is looked for."""
    s3.fail(1, error(403, "AccessDenied"))
    with pytest.raises(errors.AccessDeniedError):
        target.initiate({}, RETRIER)
    assert len(s3.requests) == 1


@pytest.mark.parametrize("body", [b"", b"<R/>", b"<Error><Code>InternalError</Code></Error>"])
def test_an_answer_without_an_id_is_an_error(s3, target, body):
    """An answer to Initiate without an upload id is an error, not an upload called None."""
    s3.faults.append(lambda request: Answer(200, body) if request.method == "POST" else None)
    with pytest.raises(errors.AuroraObjectsError):
        target.initiate({}, RETRIER)


def test_parts_are_listed_over_pages(s3, target):
    """All parts the server holds are listed, over several pages."""
    upload_id = target.initiate({}, RETRIER)
    for number in range(1, 2302):
        s3.uploads[upload_id]["parts"][number] = b"x"
    held = target.listed_parts(upload_id)
    assert len(held) == 2301
    assert held[2301] == (1, md5(b"x"))
    assert len(s3.sent("GET")) == 3


@pytest.mark.parametrize(
    "parts", ["", "<Part><PartNumber>1</PartNumber><Size>1</Size><ETag>e</ETag></Part>"]
)
def test_a_list_of_parts_that_leads_nowhere_ends(s3, target, parts):
    """A truncated page of parts without new ones ends the listing."""
    body = f"<ListPartsResult><IsTruncated>true</IsTruncated>{parts}</ListPartsResult>"
    s3.faults.append(lambda request: Answer(200, body.encode()))
    with pytest.raises(errors.MalformedAnswerError):
        target.listed_parts("u")
    assert len(s3.requests) <= 10


@pytest.mark.parametrize(
    "part",
    [
        "<Part/>",
        "<Part><PartNumber>x</PartNumber><Size>1</Size><ETag>e</ETag></Part>",
        "<Part><PartNumber>1</PartNumber><ETag>e</ETag></Part>",
        "<Part><PartNumber>1</PartNumber><Size>1</Size></Part>",
    ],
)
def test_a_list_of_parts_that_is_damaged_is_a_libcloud_error(s3, target, part):
    """A row of parts without number, size or ETag is MalformedAnswerError."""
    s3.faults.append(
        lambda request: Answer(200, f"<ListPartsResult>{part}</ListPartsResult>".encode())
    )
    with pytest.raises(errors.MalformedAnswerError):
        target.listed_parts("u")


def test_an_upload_is_aborted_until_it_is_gone(s3, upload, target):
    """Abort is repeated until the server says that the upload is gone."""
    target.abort(upload.id)
    assert s3.uploads == {}
    assert len(s3.sent("DELETE")) == 2


def test_an_abort_that_never_ends_is_bounded(s3, upload, target):
    """A server that always says it has aborted is asked three times."""
    s3.faults.append(lambda request: Answer(204))
    target.abort(upload.id)
    assert len(s3.sent("DELETE")) == 3


def test_an_abort_that_fails_is_a_warning_with_the_upload_id(s3, upload, target, caplog):
    """A failed abort hides nothing: it is logged with the upload id."""
    s3.faults.append(lambda request: error(403, "AccessDenied"))
    target.abort_quietly(upload.id)
    (record,) = [each for each in caplog.records if each.levelname == "WARNING"]
    assert upload.id in record.getMessage()
    assert "could not be aborted" in record.getMessage()


def test_ctrl_c_during_the_abort_aborts_first(s3, upload, target):
    """A second Ctrl-C, while the first is being cleaned up after, does not leave parts."""
    s3.fail(1, KeyboardInterrupt(), method="DELETE")
    with pytest.raises(KeyboardInterrupt):
        target.abort_quietly(upload.id)
    assert s3.uploads == {}


def test_complete_assembles(s3, upload, etags, driver):
    """Complete with the right parts gives the object's ETag, with one request."""
    expected = composite(PARTS)
    assert upload.complete(etags, retrier=driver._retrier) == expected
    assert s3.buckets["photos"]["k"].data == b"".join(PARTS)
    assert len(s3.requests) == 1


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize(
    ("answer", "asked"),
    [
        (NO_BODY, ["HEAD"]),
        (LOST, ["GET", "HEAD"]),
        (IN_PROGRESS, ["GET", "HEAD"]),
        (Answer(200, b"<html/>"), ["GET", "HEAD"]),
    ],
)
def test_an_answer_to_complete_that_says_nothing_is_settled_by_a_look(
    s3, upload, etags, driver, answer, asked, verify
):
    """An empty ETag, a lost answer, a crossing one or rubbish: what is stored decides."""
    after(s3, answer, method="POST")
    assert upload.complete(etags, retrier=driver._retrier, verify=verify) == composite(PARTS)
    assert [sent.method for sent in s3.requests] == ["POST", *asked]


@pytest.mark.parametrize(
    "failure", [error(503, "SlowDown"), IN_PROGRESS, LOST, Answer(200, b"<html/>")]
)
def test_an_older_object_of_the_same_bytes_is_no_success(s3, upload, etags, driver, failure):
    """While the upload is there, Complete is sent again, though the object's ETag is right."""
    s3.put("k", b"".join(PARTS), composite(PARTS), age="old")
    s3.fail(1, failure, method="POST")
    assert upload.complete(etags, retrier=driver._retrier) == composite(PARTS)
    assert len(s3.sent("POST")) == 2
    assert "age" not in s3.buckets["photos"]["k"].headers
    assert s3.uploads == {}


def test_a_refusal_is_no_success_because_of_an_older_object(s3, upload, etags, driver):
    """A final error stays one, though an object of the same bytes is there."""
    s3.put("k", b"".join(PARTS), composite(PARTS))
    s3.fail(1, error(403, "QuotaExceeded"), method="POST")
    with pytest.raises(errors.AuroraObjectsError, match="QuotaExceeded"):
        upload.complete(etags, retrier=driver._retrier)
    assert len(s3.sent("POST")) == 1


@pytest.mark.parametrize(
    "failure", [error(503, "SlowDown"), IN_PROGRESS, LOST, error(200, "InternalError")]
)
def test_complete_is_tried_again_while_the_upload_is_there(s3, upload, etags, driver, failure):
    """A Complete that failed without effect is sent again."""
    s3.fail(2, failure, method="POST")
    assert upload.complete(etags, retrier=driver._retrier) == composite(PARTS)
    assert len(s3.sent("POST")) == 3


def test_complete_of_an_upload_that_is_gone_is_an_error(s3, upload, etags, driver):
    """When the upload is gone and the object is not ours, Complete is not repeated."""
    s3.uploads.clear()
    s3.put("k", b"theirs")
    with pytest.raises(errors.AuroraObjectsError, match="already in progress"):
        upload.complete(etags, retrier=driver._retrier)
    assert len(s3.sent("POST")) == 1


def test_complete_of_an_upload_that_is_gone_without_a_trace_is_an_error(s3, upload, etags, driver):
    """When the upload is gone and there is no object, Complete is not repeated."""
    s3.uploads.clear()
    with pytest.raises(errors.AuroraObjectsError, match="already in progress"):
        upload.complete(etags, retrier=driver._retrier)
    assert [sent.method for sent in s3.requests][:3] == ["POST", "GET", "HEAD"]
    assert len(s3.sent("POST")) == 1


def test_complete_that_is_refused_is_an_error(s3, upload, etags, driver):
    """InvalidPart is final."""
    with pytest.raises(errors.AuroraObjectsError, match="InvalidPart"):
        upload.complete(etags[:2], retrier=driver._retrier)
    assert len(s3.sent("POST")) == 1


def test_complete_is_bounded(s3, upload, etags, driver):
    """A Complete that keeps failing ends after the policy's attempts, with their history."""
    s3.faults.append(lambda request: IN_PROGRESS if request.method == "POST" else None)
    with pytest.raises(errors.AuroraObjectsError) as caught:
        upload.complete(etags, retrier=driver._retrier)
    assert len(caught.value.history) == 5


def test_complete_goes_on_when_nothing_can_be_learnt(s3, upload, etags, driver):
    """When neither the object nor the parts can be looked at, Complete is tried again."""
    s3.fail(1, error(503, "SlowDown"), method="POST")
    s3.faults.append(
        lambda request: error(403, "AccessDenied") if request.method in ("GET", "HEAD") else None
    )
    assert upload.complete(etags, retrier=driver._retrier) == composite(PARTS)


def test_another_object_at_once_is_a_hash_mismatch(s3, upload, etags, driver):
    """When the object that is there is not made of our parts, the error names both ETags."""

    def replace(request):
        if request.method == "POST":
            s3.put("k", b"theirs")
            return NO_BODY
        return None

    s3.faults.append(replace)
    with pytest.raises(errors.HashMismatchError) as caught:
        upload.complete(etags, retrier=driver._retrier)
    assert md5(b"theirs") in str(caught.value)
    assert composite(PARTS) in str(caught.value)


def test_verification_of_the_end_can_be_left_out(s3, upload, etags, driver):
    """Without verify_hash the ETag the server names is believed."""
    s3.fail(1, Answer(200, b"<R><ETag>other</ETag></R>"), method="POST")
    assert upload.complete(etags, retrier=driver._retrier, verify=False) == "other"


def test_an_upload_without_an_id_is_no_upload(s3, target):
    """An answer that begins an upload without naming it is not taken for one."""
    empty = Answer(
        200, b"<InitiateMultipartUploadResult><UploadId/></InitiateMultipartUploadResult>"
    )
    s3.fail(1, empty, method="POST")
    assert target.initiate({}, RETRIER) == "2~upload1"
    s3.fail(9, empty, method="POST")
    with pytest.raises(errors.MalformedAnswerError, match="without an id"):
        target.initiate({}, RETRIER)


def test_nothing_unfinished_is_found(s3, target):
    """Without an upload of the key there is nothing to go on with."""
    assert unfinished(target, {1: 10}) is None


def test_the_newest_unfinished_upload_is_found(s3, target):
    """Of several uploads of the key the newest is gone on with."""
    target.initiate({}, RETRIER)
    newest = target.initiate({}, RETRIER)
    s3.uploads[newest]["parts"][1] = PARTS[0]
    assert unfinished(target, {1: 10, 2: 10, 3: 1}) == (newest, {1: (10, md5(PARTS[0]))})


@pytest.mark.parametrize("sizes", [{1: 9}, {2: 10}, {}])
def test_an_upload_with_a_part_of_another_plan_is_aborted(s3, target, sizes):
    """An upload that can never become this object is aborted."""
    upload_id = target.initiate({}, RETRIER)
    s3.uploads[upload_id]["parts"][1] = PARTS[0]
    assert unfinished(target, sizes) is None
    assert s3.uploads == {}


def test_targets_name_what_they_make(driver):
    """A target has the encoded paths of the object and of its container."""
    target = driver._target(Container("photos", {}, driver), "a b")
    assert isinstance(target, Target)
    assert (target.path, target.bucket_path, target.key) == ("/photos/a%20b", "/photos", "a b")
