"""Containers and listings."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from libcloud.storage.base import Container, Object
from libcloud.storage.types import ContainerDoesNotExistError
from live.oracle import stored_keys

from libcloud_aurora._s3 import xml
from libcloud_aurora.errors import AuroraObjectsError

CONTROL = {998: "\x01", 999: "\x1f", 1000: "\ufffe", 1001: "\n", 1998: "\x02", 2000: " "}
CROWD = sorted((f"{i:05}{CONTROL.get(i, '')}" for i in range(2300)), key=str.encode)

#: By libcloud, which warns; programs use it.
ex_prefix_is_deprecated = pytest.mark.filterwarnings("ignore:The ``ex_prefix`` argument")


@pytest.fixture(scope="module")
def crowd(s3):
    """A bucket of 2,300 keys, with control characters where its pages end."""
    s3.create_bucket(Bucket="crowd")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: s3.put_object(Bucket="crowd", Key=key, Body=b"1"), CROWD))
    return "crowd"  # it goes with the cluster: deleting it takes seconds


def names(objects):
    """Return the names of objects."""
    return [item.name for item in objects]


def test_life_of_a_container(driver, s3):
    """A container is created, found, listed and deleted."""
    created = driver.create_container("live-life")
    assert isinstance(created, Container)
    assert created.name == driver.get_container("live-life").name == "live-life"
    assert "live-life" in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    assert "live-life" in names(driver.list_containers())
    assert "live-life" in names(driver.iterate_containers())
    assert driver.delete_container(created) is True
    assert "live-life" not in names(driver.list_containers())
    with pytest.raises(ContainerDoesNotExistError):
        driver.get_container("live-life")


def test_a_container_is_placed_where_the_driver_says(driver, s3):
    """radosgw knows its own zone group, and refuses a place that it does not have."""
    driver.ex_location_name = "elsewhere"
    with pytest.raises(AuroraObjectsError, match="LocationConstraint"):
        driver.create_container("live-place")
    driver.ex_location_name = "default"
    container = driver.create_container("live-place")
    assert s3.get_bucket_location(Bucket=container.name)["LocationConstraint"] == "default"
    container.delete()


def test_containers_of_an_account_only(stranger, bucket):
    """An account sees its own containers and no others."""
    assert bucket.name not in names(stranger.list_containers())


def test_listed_objects(driver, s3, bucket):
    """A listed object carries size, hash and time as HEAD tells them."""
    s3.put_object(Bucket=bucket.name, Key="key", Body=b"12345", ContentType="text/x-test")
    (listed,) = driver.list_container_objects(bucket)
    found = driver.get_object(bucket.name, "key")
    assert isinstance(listed, Object)
    etag = s3.head_object(Bucket=bucket.name, Key="key")["ETag"].strip('"')
    assert (listed.size, listed.hash) == (found.size, found.hash) == (5, etag)
    assert listed.container.name == found.container.name == bucket.name
    assert listed.driver is driver
    assert listed.extra["last_modified"]
    assert found.extra["last_modified"].endswith(" GMT")
    assert found.extra["content_type"] == "text/x-test"


def test_empty_listing(driver, bucket):
    """An empty container lists as nothing."""
    assert driver.list_container_objects(bucket) == []
    assert list(driver.iterate_container_objects(bucket, prefix="x")) == []


def test_thousands_of_keys(driver, crowd):
    """2,300 keys are listed once each, in order, control characters and all."""
    container = driver.get_container(crowd)
    assert names(driver.iterate_container_objects(container)) == CROWD
    assert names(container.list_objects()) == CROWD


def test_a_page_has_the_form_that_is_read_at_once(driver, crowd):
    """The rows of this radosgw's page are cut off at once, and little is left to the parser."""
    answer = driver.connection.request(f"/{crowd}", params={"encoding-type": "url"})
    rows, rest = xml._cut_rows(answer.content.decode())
    assert len(rows) == 1000
    assert len(rest) < 1000


@ex_prefix_is_deprecated
@pytest.mark.parametrize("prefix", ["", "0", "01", "010", "00998", "00998\x01", "02299", "x"])
def test_prefix(driver, crowd, prefix):
    """``prefix`` and ``ex_prefix``, by keyword or position, list the keys that begin with it."""
    container = driver.get_container(crowd)
    expected = [key for key in CROWD if key.startswith(prefix)]
    assert names(driver.list_container_objects(container, prefix)) == expected
    assert names(driver.list_container_objects(container, prefix=prefix)) == expected
    assert names(driver.list_container_objects(container, ex_prefix=prefix)) == expected
    assert names(container.list_objects(prefix)) == expected


def test_listing_is_lazy(counted, proxy, crowd):
    """Iterating fetches nothing before its first step, and then at most one page ahead."""
    container = counted.get_container(crowd)
    before = len(proxy.requests)
    objects = counted.iterate_container_objects(container)
    assert len(proxy.requests) == before
    next(objects)
    assert len(proxy.requests) <= before + 2
    assert len(list(objects)) == 2299
    assert len(proxy.requests) == before + 3


@pytest.mark.parametrize("after", ["00998\x01", "01000\ufffe", "02299", "zzz"])
def test_start_after(driver, crowd, after):
    """``ex_start_after`` lists the keys behind one."""
    listed = driver.list_container_objects(driver.get_container(crowd), ex_start_after=after)
    assert names(listed) == [key for key in CROWD if key.encode() > after.encode()]


@pytest.mark.parametrize("limit", [1, 10, 1000, 1001, 2300, 5000])
def test_limit(counted, proxy, crowd, limit):
    """``ex_limit`` lists that many keys and fetches no page more than it needs."""
    container = counted.get_container(crowd)
    before = len(proxy.requests)
    assert names(counted.list_container_objects(container, ex_limit=limit)) == CROWD[:limit]
    assert len(proxy.requests) - before == min(3, -(-limit // 1000))


def test_delimiter(driver, s3, bucket):
    """``ex_delimiter`` lists one level: the keys on it, and not those below."""
    for key in ("a/1", "a/2", "b/c/1", "top", "\x01x/1"):
        s3.put_object(Bucket=bucket.name, Key=key, Body=b"-")
    listed = names(driver.list_container_objects(bucket, ex_delimiter="/"))
    assert [name for name in listed if not name.endswith("/")] == ["top"]
    below = names(driver.list_container_objects(bucket, prefix="a/", ex_delimiter="/"))
    assert below == ["a/1", "a/2"]


def test_through_container_and_object(driver, s3, bucket, tmp_path):
    """Everything works through ``Container`` and ``Object`` as well."""
    (tmp_path / "file").write_bytes(b"from a file")
    one = bucket.upload_object(str(tmp_path / "file"), "one", {"content_type": "text/x-test"})
    two = bucket.upload_object_via_stream(iter([b"0123456789"]), "two", {"meta_data": {"a": "b"}})
    assert stored_keys(s3, bucket.name) == names(bucket.list_objects()) == ["one", "two"]
    assert names(bucket.iterate_objects("o")) == ["one"]
    assert names(bucket.list_objects(prefix="t")) == ["two"]
    assert bucket.get_object("two").meta_data["a"] == "b"
    assert one.download(str(tmp_path / "copy")) is True
    assert bucket.download_object(two, str(tmp_path / "copy"), overwrite_existing=True) is True
    assert (tmp_path / "copy").read_bytes() == b"0123456789"
    assert b"".join(two.as_stream()) == b"0123456789"
    assert list(two.as_stream(chunk_size=6)) == [b"012345", b"6789"]
    assert b"".join(bucket.download_object_as_stream(two, 4)) == b"0123456789"
    assert b"".join(two.range_as_stream(2, 5)) == b"234"
    assert two.download_range(str(tmp_path / "part"), 2, 5) is True
    assert (tmp_path / "part").read_bytes() == b"234"
    assert one.delete() is True
    assert bucket.delete_object(two) is True
    assert stored_keys(s3, bucket.name) == []


def test_delete_through_container(driver, s3):
    """``Container.delete`` deletes the container."""
    s3.create_bucket(Bucket="live-short")
    assert driver.get_container("live-short").delete() is True
    assert "live-short" not in names(driver.list_containers())


@ex_prefix_is_deprecated
def test_container_of_another_driver(make_driver, bucket, tmp_path):
    """A container that one driver made works with another, as cassandra-medusa does it."""
    other = make_driver()
    other.upload_object_via_stream(iter([b"x"]), bucket, "key")
    assert names(other.list_container_objects(bucket, ex_prefix="k")) == ["key"]
    assert names(other.list_container_objects(Container(bucket.name, {}, None))) == ["key"]


def test_requests_per_call(counted, proxy, s3, new_bucket):
    """Finding a container or an object costs one request."""
    bucket = counted.get_container(new_bucket())
    s3.put_object(Bucket=bucket.name, Key="key", Body=b"-")
    counted.get_object(bucket.name, "key")
    assert [request.method for request in proxy.requests] == ["HEAD", "HEAD"]
