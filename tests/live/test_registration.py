"""Importing the package is enough: libcloud finds this driver under its usual names."""

import libcloud
import pytest
from libcloud.base import DriverType
from libcloud.storage.providers import DRIVERS, get_driver
from libcloud.storage.types import Provider

import libcloud_aurora

WAYS = {
    "Provider.AURORAOBJECTS": lambda: get_driver(Provider.AURORAOBJECTS),
    "a name": lambda: get_driver("auroraobjects"),
    "a name in capitals": lambda: get_driver("AuroraObjects"),
    "libcloud.get_driver": lambda: libcloud.get_driver(DriverType.STORAGE, "auroraobjects"),
}


@pytest.mark.parametrize("find", WAYS.values(), ids=WAYS)
def test_found_and_used(cluster, find, s3, bucket):
    """Each of libcloud's look-ups finds the driver, and the driver reaches a real radosgw."""
    found = find()
    assert found is libcloud_aurora.AuroraObjectsStorageDriver
    with found(*cluster.owner[1:], secure=False, host=cluster.host, port=cluster.port) as driver:
        container = driver.get_container(bucket.name)
        driver.upload_object_via_stream(iter([b"hello"]), container, "greeting")
    assert s3.get_object(Bucket=bucket.name, Key="greeting")["Body"].read() == b"hello"


def test_registered_under_its_class_name():
    """The registered class name is the one that programs compare."""
    assert DRIVERS["auroraobjects"][1] == "AuroraObjectsStorageDriver"


def test_two_hosts_never_meet(make_driver, cluster):
    """Drivers for different hosts and accounts live side by side."""
    ours, theirs = make_driver(), make_driver(cluster.stranger, host="localhost", port=cluster.port)
    assert (ours.connection.host, theirs.connection.host) == ("127.0.0.1", "localhost")
    assert ours.list_containers() is not None
    assert theirs.list_containers() == []


@pytest.mark.parametrize("host", ["LOCALHOST", "localhost."])
def test_any_spelling_of_the_host(make_driver, cluster, bucket, host):
    """radosgw takes other spellings of its name for that of a container, so it gets one."""
    driver = make_driver(host=host, port=cluster.port)
    assert bucket.name in [each.name for each in driver.list_containers()]


def test_all_of_libclouds_arguments(make_driver, cluster, bucket):
    """libcloud's own constructor arguments are accepted together."""
    driver = make_driver(
        region="anywhere",
        api_version="2006-03-01",
        token=None,
        timeout=20,
        backoff=2,
        proxy_url=None,
    )
    assert driver.get_container(bucket.name).name == bucket.name
    with pytest.warns(UserWarning, match="project"):
        make_driver(project="unknown to this driver").list_containers()
