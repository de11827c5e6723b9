"""A radosgw under the service's own name, and the sections of docs/programs.rst run against it."""

import socket
from pathlib import Path

import libcloud.security
import pytest
from clients.alone import take
from clients.page import run_section
from libcloud.storage.providers import get_driver
from live.ceph import Cluster

import libcloud_aurora

HERE = Path(__file__).parent
HOST = libcloud_aurora.AuroraObjectsStorageDriver.connectionCls.host
# What the programs and their libraries warn of is theirs; what the driver warns of is an error.
WARNINGS = pytest.mark.filterwarnings("ignore", "error:AuroraObjects:UserWarning")


def pytest_collection_modifyitems(items):
    """Judge warnings in this tier, and only here, by whose they are."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(WARNINGS)


@pytest.fixture(scope="session")
def cluster():
    """A running Ceph that knows itself by the service's name; without Ceph this tier fails."""
    with Cluster({"rgw_dns_name": HOST}, tls=True) as running:
        yield running


@pytest.fixture(scope="session", autouse=True)
def _service(cluster):
    """Lead the service's name to the cluster, and trust the cluster's certificate."""
    resolve = socket.getaddrinfo

    def resolve_here(host, port, *args, **kwargs):
        here = (cluster.host, cluster.tls_port) if (host, port) == (HOST, 443) else (host, port)
        return resolve(*here, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", resolve_here)
        patch.setattr(libcloud.security, "CA_CERTS_PATH", str(cluster.ca_file))
        patch.setenv("AURORA_ACCESS_KEY", cluster.owner.access_key)
        patch.setenv("AURORA_SECRET_KEY", cluster.owner.secret_key)
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            patch.delenv(name, raising=False)
            patch.delenv(name.upper(), raising=False)
        yield


@pytest.fixture(scope="session")
def driver(_service, cluster):
    """A driver of the test's own, to set the scene and to look at what a program stored."""
    with get_driver("auroraobjects")(*cluster.owner[1:]) as driver:
        yield driver


@pytest.fixture(scope="module")
def container(request, driver):
    """The module's CONTAINER; at the end it holds no unfinished upload, and is removed."""
    container = driver.create_container(request.module.CONTAINER)
    yield container
    unfinished = list(driver.ex_iterate_multipart_uploads(container))
    driver.ex_empty_container(container)
    driver.ex_cleanup_all_multipart_uploads(container)
    container.delete()
    assert unfinished == []


@pytest.fixture(scope="module")
def alone():
    """The storage modules of programs whose packages would import gigabytes."""
    with pytest.MonkeyPatch.context() as patch:
        take(patch)
        yield


@pytest.fixture(scope="module")
def page(request, container, tmp_path_factory):
    """What the page's section of the module's SECTION defines, after all of its blocks ran."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("page"))
        yield run_section(request.module.SECTION)


@pytest.fixture
def stored(container):
    """Return the bytes of an object of the container, read past the program."""
    return lambda name: b"".join(container.get_object(name).as_stream())
