"""Lost answers: the server may have acted, and the driver looks before it acts or complains."""

from __future__ import annotations

import contextlib
import logging

import pytest
from faults.listener import Listener
from faults.scene import ATTEMPTS, LARGE, content
from libcloud.common.types import LibcloudError
from libcloud.storage.base import Container
from libcloud.storage.types import ContainerAlreadyExistsError, ContainerDoesNotExistError
from servers import plan

from libcloud_aurora import errors

LOST = [plan.LOSE, plan.ANSWER_500.masking(), plan.HTML_502.masking()]
names = pytest.mark.parametrize("lost", LOST, ids=lambda fault: fault.name)


def upload(scene, driver):
    """Upload 12 MiB as a stream."""
    return driver.upload_object_via_stream(iter([content(LARGE)]), scene.container(driver), "key")


@names
def test_a_lost_initiate_leaves_an_empty_upload_at_most(scene, driver, lost, caplog):
    """An upload whose response was lost stays, without a part, and the log says how it goes."""
    scene.proxy.plan = plan.times(2, lost, plan.is_any("initiate"))
    assert upload(scene, driver).size == LARGE
    assert scene.backend.get(scene.bucket, "key") == content(LARGE)
    assert list(scene.backend.uploads(scene.bucket).values()) == [0, 0]
    warnings = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert ["ex_cleanup_all_multipart_uploads" in text for text in warnings] == [True] * 2
    driver.ex_cleanup_all_multipart_uploads(scene.container(driver))


@names
def test_initiate_spares_the_uploads_of_others(scene, driver, lost):
    """Nobody's upload is aborted on suspicion: of another key, or of this one without a part."""
    kept = {
        scene.backend.start_upload(scene.bucket, "key", part=b"x"),
        scene.backend.start_upload(scene.bucket, "key"),
        scene.backend.start_upload(scene.bucket, "key-2"),
        scene.backend.start_upload(scene.bucket, "a/key"),
    }
    scene.proxy.plan = plan.once(lost, plan.is_any("initiate"))
    upload(scene, driver)
    assert kept < set(scene.backend.uploads(scene.bucket))
    assert scene.proxy.seen("abort") == []
    scene.backend.abort_all(scene.bucket)


@pytest.mark.parametrize(
    "settings",
    [
        {"port": 1},
        {"host": "a" * 64},
        {"proxy_url": "http://127.0.0.1:1"},
        {"secure": True},
    ],
    ids=["port", "name", "proxy", "certificate"],
)
def test_initiate_not_sent(scene, authority, settings, caplog):
    """Where no connection comes about nothing was begun, and nothing is said of it."""
    with Listener(tls=authority.server_context("127.0.0.1")) as untrusted:
        driver = scene.driver(**{"port": untrusted.port, "ex_max_attempts": 1, **settings})
        with pytest.raises(errors.NetworkError):
            upload(scene, driver)
    assert untrusted.asked == []
    assert [r for r in caplog.records if r.levelname == "WARNING"] == []


def test_a_lost_initiate_of_a_proxy(scene, backend, caplog):
    """A proxy that breaks a connection has been reached, and so may the server have been."""
    driver = scene.driver(port=backend.port, proxy_url=f"http://127.0.0.1:{scene.proxy.port}")
    scene.proxy.plan = plan.once(plan.LOSE, plan.is_any("initiate"))
    assert upload(scene, driver).size == LARGE
    assert list(scene.backend.uploads(scene.bucket).values()) == [0]
    assert "ex_cleanup_all_multipart_uploads" in caplog.text
    driver.ex_cleanup_all_multipart_uploads(scene.container(driver))


def test_a_lost_completion_of_a_proxy(scene, backend):
    """Parts are kept where a proxy breaks the connection: the server may still complete them."""
    proxy_url = f"http://127.0.0.1:{scene.proxy.port}"
    driver = scene.driver(port=backend.port, proxy_url=proxy_url, ex_max_attempts=2)
    scene.proxy.plan = plan.always(plan.RESET, plan.is_any("complete"))
    with pytest.raises(errors.NetworkError, match="its parts are kept"):
        upload(scene, driver)
    assert scene.proxy.seen("abort") == []
    backend.abort_all(scene.bucket)


def test_initiate_refused(scene, driver, caplog):
    """A refusal of Initiate has begun nothing, and nothing is said of it."""
    scene.proxy.plan = plan.always(
        plan.error_answer("denied", 403, "AccessDenied"), plan.is_any("initiate")
    )
    with pytest.raises(LibcloudError, match="AccessDenied"):
        upload(scene, driver)
    assert [r for r in caplog.records if r.levelname == "WARNING"] == []


@names
def test_delete_container(scene, driver, lost):
    """A container that is gone at the second attempt was deleted by the first."""
    name = scene.backend.create_bucket(f"{scene.bucket}-gone")
    scene.proxy.plan = plan.once(lost, plan.is_any("delete-bucket"))
    assert driver.delete_container(Container(name, {}, driver)) is True
    assert name not in scene.backend.buckets()


def test_delete_missing_container(scene, driver):
    """A container that is missing at the first attempt is an error, as it was."""
    with pytest.raises(ContainerDoesNotExistError):
        driver.delete_container(Container("never-there", {}, driver))


def test_delete_missing_container_that_was_never_reached(scene, driver):
    """After a first attempt without an answer, nobody can know: 404 to the second is success."""
    scene.proxy.plan = plan.once(plan.RESET, plan.is_any("delete-bucket"))
    assert driver.delete_container(Container("never-there", {}, driver)) is True


def test_delete_missing_container_after_a_refusal(scene, driver):
    """A server that is busy has not deleted a container: if it is missing, it was before."""
    scene.proxy.plan = plan.once(plan.ANSWER_503, plan.is_any("delete-bucket"))
    with pytest.raises(ContainerDoesNotExistError):
        driver.delete_container(Container("never-there", {}, driver))


@names
def test_create_container(scene, driver, lost):
    """A container made by a lost first attempt is a success, not one that already exists."""
    name = f"{scene.bucket}-new"
    scene.proxy.plan = plan.once(lost, plan.is_any("create-bucket"))
    assert driver.create_container(name).name == name
    assert name in scene.backend.buckets()
    scene.backend.remove_bucket(name)


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("BucketAlreadyOwnedByYou", contextlib.nullcontext()),
        ("BucketAlreadyExists", pytest.raises(ContainerAlreadyExistsError)),
    ],
)
def test_create_container_refused_after_a_lost_answer(scene, driver, code, outcome):
    """The first attempt made it if 409 says whose it is; else it is another account's."""
    name = f"{scene.bucket}-new"
    exists = plan.error_answer("exists", 409, code)
    scene.proxy.plan = plan.in_turn(
        plan.once(plan.LOSE, plan.is_any("create-bucket")),
        plan.once(exists, plan.is_any("create-bucket")),
    )
    with outcome:
        assert driver.create_container(name).name == name
    scene.backend.remove_bucket(name)


def test_create_existing_container(scene, driver):
    """A container that was there before is refused, also when an answer is lost."""
    scene.proxy.plan = plan.once(plan.LOSE)
    with pytest.raises(ContainerAlreadyExistsError):
        driver.create_container(scene.bucket)


@names
def test_delete_object(scene, driver, lost):
    """An object deleted by a lost first attempt is deleted."""
    obj = scene.store(driver, "key", b"x")
    scene.proxy.plan = plan.once(lost, plan.is_any("delete"))
    assert driver.delete_object(obj) is True
    assert scene.backend.keys(scene.bucket) == []


@names
def test_upload_of_a_new_key_only(scene, driver, lost):
    """With If-None-Match, a refusal of the second attempt is the driver's own first success."""
    scene.proxy.plan = plan.once(lost, plan.is_any("put"))
    stored = driver.upload_object_via_stream(
        iter([b"mine"]), scene.container(driver), "key", headers={"If-None-Match": "*"}
    )
    assert stored.hash == scene.backend.etag(scene.bucket, "key")
    assert scene.backend.get(scene.bucket, "key") == b"mine"


def test_upload_of_a_new_key_that_is_taken(scene, driver):
    """With If-None-Match, an object that was there is refused and left alone."""
    scene.store(driver, "key", b"theirs")
    scene.proxy.plan = plan.once(plan.RESET, plan.is_any("put"))
    with pytest.raises(LibcloudError, match="PreconditionFailed"):
        driver.upload_object_via_stream(
            iter([b"mine"]), scene.container(driver), "key", headers={"If-None-Match": "*"}
        )
    assert scene.backend.get(scene.bucket, "key") == b"theirs"


def test_upload_of_a_new_key_that_looks_the_same(scene, driver):
    """With If-None-Match, the same bytes are another's unless an attempt may have stored them."""
    scene.store(driver, "lock", b"locked")
    scene.proxy.plan = plan.once(plan.ANSWER_503, plan.is_any("put"))
    with pytest.raises(LibcloudError, match="PreconditionFailed"):
        driver.upload_object_via_stream(
            b"locked", scene.container(driver), "lock", headers={"If-None-Match": "*"}
        )


@names
def test_abort(scene, driver, lost):
    """A lost answer to Abort is asked again; nothing stays and the cause is what is raised."""
    scene.proxy.plan = plan.in_turn(
        plan.once(lost, plan.is_any("abort")),
        plan.always(plan.error_answer("quota", 403, "QuotaExceeded"), plan.is_any("part")),
    )
    with pytest.raises(LibcloudError, match="QuotaExceeded"):
        upload(scene, driver)
    assert scene.backend.uploads(scene.bucket) == {}


def test_a_failed_abort_is_logged(scene, driver, caplog):
    """An abort that fails is a WARNING with the upload's id, and does not hide the cause."""
    caplog.set_level(logging.WARNING, "libcloud_aurora")
    scene.proxy.plan = plan.in_turn(
        plan.always(plan.ANSWER_503, plan.is_any("abort")),
        plan.always(plan.error_answer("quota", 403, "QuotaExceeded"), plan.is_any("part")),
    )
    with pytest.raises(LibcloudError, match="QuotaExceeded"):
        upload(scene, driver)
    (left,) = scene.backend.uploads(scene.bucket)
    warnings = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert [left in text for text in warnings] == [True]
    assert len(scene.proxy.seen("abort")) == ATTEMPTS
    scene.backend.abort_all(scene.bucket)
