"""https is verified unless a driver says otherwise, and only for that driver."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from faults.scene import LARGE, Scene, content
from libcloud.common.types import LibcloudError
from servers import plan
from servers.proxy import Proxy


@pytest.fixture
def proxy(backend, authority):
    """A proxy that ends TLS with a certificate of a private authority."""
    context = authority.server_context("127.0.0.1", "localhost")
    with Proxy(backend.host, backend.port, tls=context) as proxy:
        yield proxy


@pytest.fixture
def secure(scene: Scene):
    """Make drivers that use https."""
    return lambda **arguments: scene.driver(secure=True, ex_max_attempts=2, **arguments)


def test_an_unknown_authority_is_refused(scene, secure):
    """A certificate that nobody vouches for is an error naming it, before anything is sent."""
    with pytest.raises(LibcloudError, match=r"(?i)certificate"):
        secure().list_containers()
    assert scene.proxy.requests == []


@pytest.mark.parametrize("kind", [str, Path])
def test_a_private_authority(scene, secure, authority, kind):
    """With the path of a CA bundle the private authority is trusted."""
    driver = secure(ex_verify_ssl=kind(authority.bundle))
    assert driver.get_container(scene.bucket).name == scene.bucket


def test_verification_turned_off(scene, secure):
    """With ex_verify_ssl=False any certificate will do."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        driver = secure(ex_verify_ssl=False)
        assert driver.get_container(scene.bucket).name == scene.bucket


def test_one_driver_does_not_decide_for_another(scene, secure, authority):
    """What one driver accepts, another one made before or after it still refuses."""
    before = secure()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        secure(ex_verify_ssl=False).get_container(scene.bucket)
        secure(ex_verify_ssl=str(authority.bundle)).get_container(scene.bucket)
        for driver in (before, secure()):
            with pytest.raises(LibcloudError, match=r"(?i)certificate"):
                driver.get_container(scene.bucket)


def test_a_wrong_name_is_refused(scene, secure, backend, authority):
    """A valid certificate of another host is refused."""
    context = authority.server_context("other.example")
    with Proxy(backend.host, backend.port, tls=context) as proxy:
        driver = secure(port=proxy.port, ex_verify_ssl=str(authority.bundle))
        with pytest.raises(LibcloudError, match=r"(?i)certificate|match"):
            driver.list_containers()
        assert proxy.requests == []
        driver.close()


@pytest.mark.parametrize("path", ["/does/not/exist.pem", ""])
def test_a_missing_bundle_is_named(secure, path):
    """A CA bundle that is not there is an error that names the argument."""
    with pytest.raises(ValueError, match="ex_verify_ssl"):
        secure(ex_verify_ssl=path)


def test_https_to_a_server_without(secure, backend):
    """A server that speaks no TLS is an error."""
    with pytest.raises(LibcloudError, match=r"(?i)ssl|tls"):
        secure(port=backend.port).list_containers()


def test_http_to_a_server_with(scene):
    """A server that speaks only TLS is an error for a driver without."""
    with pytest.raises(LibcloudError):
        scene.driver(ex_max_attempts=2).list_containers()


@pytest.mark.parametrize(
    "fault",
    [plan.CUT_DOWN, plan.FIN_DOWN, plan.RESET, plan.CUT_UP, plan.LOSE, plan.EARLY_503],
    ids=lambda fault: fault.name,
)
def test_transfers_survive_faults(scene, secure, authority, fault):
    """Under TLS too, broken requests are sent again and the bytes are right."""
    driver = secure(ex_verify_ssl=str(authority.bundle))
    scene.proxy.plan = plan.every_eighth(fault, seed=2)
    pieces = iter([content(LARGE)])
    obj = driver.upload_object_via_stream(pieces, scene.container(driver), "key")
    assert b"".join(driver.download_object_as_stream(obj)) == content(LARGE)
