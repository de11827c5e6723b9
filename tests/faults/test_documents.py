"""Documents that come damaged: read again, or refused with words, never half understood."""

from __future__ import annotations

from dataclasses import replace

import pytest
from faults.matrix import LISTED_KEYS, listed_bucket
from faults.scene import ATTEMPTS, LARGE, content
from libcloud.common.types import LibcloudError
from servers import plan

from libcloud_aurora.errors import MalformedAnswerError

HTML = ("Content-Type", "text/html; charset=utf-8")
DAMAGE = [
    plan.FIN_DOWN,
    plan.CUT_DOWN,
    plan.FLIP_DOWN,
    plan.document("no body", b"").masking(),
    plan.document("204", b"", status=204).masking(),
    plan.document("not XML", b"\x00\xff\xfe").masking(),
    plan.document("login page", b"<html><body>Log in<br></body></html>").masking(),
    plan.document("well-formed page", b"<html><body>Log in</body></html>").masking(),
    plan.document("another document", b"<Tagging/>").masking(),
    plan.document("error in 200", b"<Error><Code>InternalError</Code></Error>").masking(),
]
damage = pytest.mark.parametrize("fault", DAMAGE, ids=lambda fault: fault.name)


@damage
def test_initiate(scene, driver, fault):
    """An upload whose start was answered with a damaged document is started again."""
    scene.proxy.plan = plan.once(fault, plan.is_any("initiate"))
    scene.may_leave_empty_uploads = True
    pieces = iter([content(LARGE)])
    stored = driver.upload_object_via_stream(pieces, scene.container(driver), "key")
    assert stored.size == LARGE
    assert scene.backend.get(scene.bucket, "key") == content(LARGE)


@damage
def test_list_objects(scene, driver, fault):
    """A damaged page of a listing is read again; no key is lost or comes twice."""
    container = scene.container(driver, listed_bucket(scene))
    scene.proxy.plan = plan.once(fault, lambda request: request.number == 1)
    found = [each.name for each in driver.iterate_container_objects(container)]
    assert found == [f"key-{n:05d}" for n in range(LISTED_KEYS)]


@damage
def test_list_containers(scene, driver, fault):
    """A damaged list of containers is read again."""
    scene.proxy.plan = plan.once(fault)
    assert scene.bucket in [each.name for each in driver.list_containers()]


@damage
def test_list_uploads(scene, driver, fault):
    """A damaged list of unfinished uploads is read again."""
    upload = scene.backend.start_upload(scene.bucket, "key")
    scene.proxy.plan = plan.once(fault, plan.is_any("list-uploads"))
    found = list(driver.ex_iterate_multipart_uploads(scene.container(driver)))
    assert [each.id for each in found] == [upload]
    scene.backend.abort_all(scene.bucket)


@pytest.mark.parametrize("fault", DAMAGE, ids=lambda fault: fault.name)
@pytest.mark.parametrize("operation", ["list-buckets", "list", "list-uploads"])
def test_damaged_for_ever(scene, driver, fault, operation):
    """Damage that stays ends after all attempts in an error of libcloud."""
    scene.proxy.plan = plan.always(fault, plan.is_any(operation))
    container = scene.container(driver)
    lists = {
        "list-buckets": driver.list_containers,
        "list": lambda: driver.list_container_objects(container),
        "list-uploads": lambda: list(driver.ex_iterate_multipart_uploads(container)),
    }
    with pytest.raises(LibcloudError):
        lists[operation]()
    assert len(scene.proxy.seen(operation)) == ATTEMPTS


def test_a_page_that_repeats(scene, driver):
    """A server that says there is more, and gives no key, ends in an error, not in a loop."""
    page = (
        b'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>'
        b"<IsTruncated>true</IsTruncated></ListBucketResult>"
    )
    scene.proxy.plan = plan.always(plan.document("endless", page))
    with pytest.raises(LibcloudError):
        driver.list_container_objects(scene.container(driver))
    assert len(scene.proxy.requests) <= ATTEMPTS


def test_the_same_page_for_ever(scene, driver):
    """A server that ignores the marker and repeats its page ends in an error, not in a loop."""
    page = (
        b'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>'
        b"<IsTruncated>true</IsTruncated><Contents><Key>a</Key><Size>1</Size><ETag>x</ETag>"
        b"<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents></ListBucketResult>"
    )
    scene.proxy.plan = plan.always(plan.document("endless", page))
    with pytest.raises(LibcloudError):
        driver.list_container_objects(scene.container(driver))
    assert len(scene.proxy.requests) <= 2 * ATTEMPTS


PORTAL = replace(plan.document("portal", b"<html>Log in</html>"), headers=(HTML,))
CALLS = {
    "get_container": lambda driver, obj, path: driver.get_container(obj.container.name),
    "get_object": lambda driver, obj, path: obj.container.get_object(obj.name),
    "download": lambda driver, obj, path: driver.download_object(obj, path),
    "stream": lambda driver, obj, path: list(obj.as_stream()),
    "range": lambda driver, obj, path: driver.download_object_range(obj, path, 0, 5),
    "delete": lambda driver, obj, path: driver.delete_object(obj),
    "delete container": lambda driver, obj, path: driver.delete_container(obj.container),
    "tag": lambda driver, obj, path: driver.ex_set_object_tags(obj, {"a": "b"}),
    "access": lambda driver, obj, path: driver.ex_set_object_acl(obj, "private"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_web_page_is_no_success(scene, driver, tmp_path, call):
    """A captive portal answers 200 to anything; its page is no object, and nothing was done."""
    obj = scene.store(driver, "key", b"content")
    scene.proxy.plan = plan.always(PORTAL)
    with pytest.raises(MalformedAnswerError, match="a web page"):
        call(driver, obj, tmp_path / "target")
    assert list(tmp_path.iterdir()) == []
    assert scene.backend.get(scene.bucket, "key") == b"content"


@pytest.mark.parametrize("header", [("ETag", '"x"'), ("x-amz-request-id", "tx1")])
def test_an_object_that_is_a_web_page_is_an_object(scene, driver, header):
    """Servers of S3 send an ETag or an x-amz- header, and so do caches before them."""
    scene.proxy.plan = plan.once(replace(PORTAL, headers=(HTML, header)))
    obj = scene.object(driver, "key", 19)
    assert driver.get_object(scene.bucket, obj.name).extra["content_type"] == HTML[1]
