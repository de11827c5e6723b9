"""Complete may succeed without saying so: what is stored decides, not what was answered."""

from __future__ import annotations

import pytest
from faults.scene import ATTEMPTS, LARGE, MIB, content
from libcloud.common.types import LibcloudError
from servers import plan

from libcloud_aurora.errors import HashMismatchError

IN_PROGRESS = plan.error_answer("in progress", 500, "InternalError")
EMPTY_ETAG = plan.document(
    "empty ETag",
    b'<?xml version="1.0" encoding="UTF-8"?><CompleteMultipartUploadResult '
    b'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Location>x</Location><Bucket>b</Bucket>'
    b"<Key>key</Key><ETag></ETag></CompleteMultipartUploadResult>",
)
ANSWERS = [
    plan.LOSE,
    IN_PROGRESS,
    plan.COMPLETE_ERROR,
    plan.HTML_502,
    plan.CUT_DOWN,
    plan.FIN_DOWN,
    plan.document("no body", b""),
    plan.document("not XML", b"done"),
    plan.document("HTML with 200", b"<html><body>Welcome to our hotel's WLAN</body></html>"),
    plan.document("half a document", EMPTY_ETAG.body[:150]),
    plan.document("204", b"", status=204),
]


def upload(scene, driver, extra=None):
    """Upload 12 MiB in three parts."""
    pieces = (content(LARGE)[start : start + MIB] for start in range(0, LARGE, MIB))
    return driver.upload_object_via_stream(pieces, scene.container(driver), "key", extra)


def test_said_without_an_etag(scene, driver):
    """A success without an ETag, as radosgw gives it, is a success: nobody looks at the object."""
    scene.proxy.plan = plan.once(EMPTY_ETAG.masking(), plan.is_any("complete"))
    stored = upload(scene, driver)
    assert stored.hash == scene.backend.etag(scene.bucket, "key")
    assert scene.backend.get(scene.bucket, "key") == content(LARGE)
    operations = [request.operation for request in scene.proxy.requests]
    assert operations == ["initiate", "part", "part", "part", "complete"]


def test_said_and_replaced_since(scene, driver):
    """A success stays one, whoever replaces the object before the response is read."""

    def replace(request):
        scene.backend.put(scene.bucket, "key", b"theirs")

    scene.proxy.plan = plan.once(plan.hook("answer", replace), plan.is_any("complete"))
    assert upload(scene, driver).size == LARGE
    assert scene.backend.get(scene.bucket, "key") == b"theirs"


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda fault: fault.name)
def test_acted_but_not_said(scene, driver, answer):
    """Whatever came instead of the answer, an object that is stored is a success."""
    fault = answer.masking() if answer.kind == "answer" else answer
    scene.proxy.plan = plan.once(fault, plan.is_any("complete"))
    stored = upload(scene, driver)
    assert scene.backend.get(scene.bucket, "key") == content(LARGE)
    assert stored.hash == scene.backend.etag(scene.bucket, "key")
    assert len(scene.proxy.seen("complete")) == 1
    assert len(scene.proxy.seen("head")) == 1


@pytest.mark.parametrize(
    "answer",
    [each for each in ANSWERS if each.kind == "answer"],
    ids=lambda fault: fault.name,
)
def test_said_but_not_acted(scene, driver, answer):
    """Whatever was answered, an object that is not stored is completed again."""
    scene.proxy.plan = plan.once(answer, plan.is_any("complete"))
    assert upload(scene, driver).size == LARGE
    assert scene.backend.get(scene.bucket, "key") == content(LARGE)
    assert len(scene.proxy.seen("complete")) == 2


def test_never_acted(scene, driver):
    """A Complete that never works ends after all attempts; the upload is aborted."""
    scene.proxy.plan = plan.always(IN_PROGRESS, plan.is_any("complete"))
    with pytest.raises(LibcloudError, match="InternalError") as caught:
        upload(scene, driver)
    assert len(scene.proxy.seen("complete")) == ATTEMPTS
    assert len(caught.value.history) == ATTEMPTS
    assert scene.backend.keys(scene.bucket) == []


@pytest.mark.parametrize(
    "answer",
    [plan.ANSWER_503, IN_PROGRESS, plan.document("not XML", b"done")],
    ids=lambda fault: fault.name,
)
def test_an_older_object_of_the_same_bytes(scene, driver, answer):
    """An equal object that was there before is no success: the new one is completed again."""
    old = upload(scene, driver, {"meta_data": {"v": "old"}})
    scene.proxy.plan = plan.once(answer, plan.is_any("complete"))
    before = len(scene.proxy.seen("complete"))
    assert upload(scene, driver, {"meta_data": {"v": "new"}}).hash == old.hash
    assert driver.get_object(scene.bucket, "key").meta_data == {"v": "new"}
    assert len(scene.proxy.seen("complete")) == before + 2


def test_upload_gone_before_complete(scene, driver):
    """An upload that somebody aborted is an error at once, not a loop."""
    gone = plan.hook("head", lambda request: scene.backend.abort_all(scene.bucket))
    scene.proxy.plan = plan.once(gone, plan.is_any("complete"))
    with pytest.raises(LibcloudError):
        upload(scene, driver)
    assert len(scene.proxy.seen("complete")) <= 2
    assert scene.backend.keys(scene.bucket) == []


def test_upload_gone_and_in_progress(scene, driver):
    """radosgw's answer for an upload that is gone, 500, ends once ListParts says so."""
    gone = plan.hook("head", lambda request: scene.backend.abort_all(scene.bucket))
    scene.proxy.plan = plan.in_turn(
        plan.once(gone, plan.is_any("list-parts")),
        plan.always(IN_PROGRESS, plan.is_any("complete")),
    )
    with pytest.raises(LibcloudError):
        upload(scene, driver)
    assert len(scene.proxy.seen("complete")) == 1


def test_somebody_else_wrote_the_key(scene, driver):
    """An object that is not made of our parts is never taken for ours."""

    def replace(request):
        scene.backend.put(scene.bucket, "key", b"other")

    lost = plan.Fault("replaced, then lost", "lose", stage="answer", call=replace)
    scene.proxy.plan = plan.once(lost, plan.is_any("complete"))
    with pytest.raises(LibcloudError):
        upload(scene, driver)
    assert scene.backend.get(scene.bucket, "key") == b"other"


def test_a_failed_look_is_no_mismatch(scene, driver):
    """When nothing can be learnt about the outcome, the error is not one of a damaged object."""
    scene.proxy.plan = plan.in_turn(
        plan.always(IN_PROGRESS.masking(), plan.is_any("complete")),
        plan.always(plan.ANSWER_503, plan.is_any("head")),
    )
    with pytest.raises(LibcloudError, match="InternalError") as caught:
        upload(scene, driver)
    assert not isinstance(caught.value, HashMismatchError)
    assert scene.backend.get(scene.bucket, "key") == content(LARGE)


def test_another_etag_is_a_mismatch(scene, driver):
    """An object whose ETag is not the one of its parts is reported with both."""
    body = EMPTY_ETAG.body.replace(b"<ETag></ETag>", b"<ETag>" + b"0" * 32 + b"-3</ETag>")
    wrong = plan.document("wrong ETag", body).masking()
    scene.proxy.plan = plan.always(wrong, plan.is_any("complete"))
    with pytest.raises(HashMismatchError) as caught:
        upload(scene, driver)
    for etag in ("0" * 32 + "-3", scene.backend.etag(scene.bucket, "key")):
        assert etag in str(caught.value)
    assert len(scene.proxy.seen("complete")) == 1
