"""Redirects never carry credentials to another host."""

from __future__ import annotations

import pytest
from faults.scene import content
from libcloud.common.types import LibcloudError
from servers import plan
from servers.proxy import Proxy

STATUSES = [301, 302, 303, 307, 308]


@pytest.fixture
def elsewhere(backend):
    """Another host that would answer everything."""
    with Proxy(backend.host, backend.port) as proxy:
        yield proxy


def redirect(proxy, status):
    """Send everybody to the other host."""
    location = f"http://localhost:{proxy.port}/bucket/key"
    fault = plan.error_answer("redirect", status, "PermanentRedirect")
    return plan.always(fault.saying("Location", location))


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("method", ["list", "head", "get", "put", "delete"])
def test_not_followed(scene, driver, elsewhere, status, method):
    """A redirect is an error that says so; the other host hears nothing."""
    obj = scene.store(driver, "key", b"x")
    container = scene.container(driver)
    operations = {
        "list": lambda: driver.list_container_objects(container),
        "head": lambda: driver.get_object(scene.bucket, "key"),
        "get": lambda: b"".join(driver.download_object_as_stream(obj)),
        "put": lambda: driver.upload_object_via_stream(iter([content(9)]), container, "key"),
        "delete": lambda: driver.delete_object(obj),
    }
    scene.proxy.plan = redirect(elsewhere, status)
    with pytest.raises(LibcloudError, match=str(status)) as caught:
        operations[method]()
    assert elsewhere.requests == []
    assert elsewhere.connections == 0
    assert caught.value.http_status == status
    assert len(scene.proxy.requests) <= 2
