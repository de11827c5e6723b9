"""A real Ceph for the session, drivers for two accounts, a container per test, boto3 as witness."""

import itertools
import os
from pathlib import Path

import pytest
from live.ceph import INSTALL, Cluster, missing_programs
from live.oracle import backend, stored_keys, unfinished_uploads
from servers.proxy import Proxy
from workers import wait_for_workers

import libcloud_aurora

numbers = itertools.count(1)
HERE = Path(__file__).parent


def pytest_collection_modifyitems(config, items):
    """Where CI is true and Ceph is missing, keep one test of this tier, which will fail."""
    if missing_programs() and is_ci():
        live = [item for item in items if item.path.is_relative_to(HERE)]
        items[:] = [item for item in items if item not in live[1:]]
        config.hook.pytest_deselected(items=live[1:])


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """Skip the tier without an installed Ceph, in one line of the summary; in CI, fail."""
    missing = missing_programs()
    if missing and is_ci():
        pytest.fail(f"live tier: no {', '.join(missing)} here; {INSTALL}", pytrace=False)
    if missing:
        pytest.skip(f"live tier: no {', '.join(missing)} here; {INSTALL}")


def is_ci():
    """Tell whether this runs where a missing Ceph is a failure."""
    return os.environ.get("CI") == "true"


@pytest.fixture(scope="session")
def cluster():
    """A running Ceph."""
    with Cluster(tls=True, frontend="tcp_nodelay=1") as running:
        yield running


@pytest.fixture(scope="session")
def make_s3(cluster):
    """Return a boto3 client for a user: it sets the scene and checks what the driver did."""
    return lambda user: backend(cluster, user).client


@pytest.fixture(scope="session")
def s3(make_s3, cluster):
    """The owner's account, seen by boto3."""
    return make_s3(cluster.owner)


@pytest.fixture
def make_driver(cluster):
    """Return drivers for the cluster; at the end they are closed and no thread of theirs runs."""
    made = []

    def make(user=cluster.owner, **settings):
        settings = {"secure": False, "port": cluster.port, "retry_delay": 0.01} | settings
        driver = libcloud_aurora.AuroraObjectsStorageDriver(
            user.access_key, user.secret_key, host=settings.pop("host", cluster.host), **settings
        )
        made.append(driver)
        return driver

    yield make
    for driver in made:
        driver.close()
    wait_for_workers()


@pytest.fixture
def driver(make_driver):
    """The owner's driver."""
    return make_driver()


@pytest.fixture
def stranger(make_driver, cluster):
    """A driver for another account."""
    return make_driver(cluster.stranger)


@pytest.fixture
def bucket(driver, new_bucket):
    """A container of this test's own, as the owner's driver knows it."""
    return driver.get_container(new_bucket())


@pytest.fixture
def new_bucket(s3, driver):
    """Make containers; at the end they hold no unfinished upload, and are emptied and removed."""
    made = []

    def make():
        made.append(f"live-{next(numbers)}")
        s3.create_bucket(Bucket=made[-1])
        return made[-1]

    yield make
    for name in made:
        assert list(driver.ex_iterate_multipart_uploads(driver.get_container(name))) == []
        assert unfinished_uploads(s3, name) == []
        for key in stored_keys(s3, name):
            s3.delete_object(Bucket=name, Key=key)
        s3.delete_bucket(Bucket=name)


@pytest.fixture
def proxy(cluster):
    """A proxy before radosgw, which breaks nothing until the test gives it a plan."""
    with Proxy(cluster.host, cluster.port) as running:
        yield running


@pytest.fixture
def counted(make_driver, proxy):
    """The owner's driver, talking through the proxy."""
    return make_driver(port=proxy.port)


@pytest.fixture
def remote(counted, new_bucket):
    """A container of this test's own, as the driver behind the proxy knows it."""
    return counted.get_container(new_bucket())
