"""What radosgw has beyond libcloud: copies, deletion in bulk, directories."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from live.keys import KEYS
from live.oracle import (
    MIB,
    begin_upload,
    noise,
    stored_body,
    stored_etag,
    stored_head,
    stored_keys,
)

each_key = pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)


@each_key
def test_copy(driver, s3, bucket, new_bucket, key):
    """A copy has the original's bytes and metadata, whatever the key."""
    other = driver.get_container(new_bucket())
    s3.put_object(
        Bucket=bucket.name, Key=key, Body=b"original", ContentType="text/x-a", Metadata={"a": "b"}
    )
    copy = driver.ex_copy_object(driver.get_object(bucket.name, key), other)
    assert (copy.name, copy.size) == (key, 8)
    assert stored_keys(s3, other.name) == [key]
    assert stored_body(s3, other, key) == b"original"
    head = stored_head(s3, other, key)
    assert (head["ContentType"], head["Metadata"]) == ("text/x-a", {"a": "b"})


def test_copy_with_new_metadata(driver, s3, bucket):
    """A copy can be given another type and other metadata, onto itself too."""
    item = driver.upload_object_via_stream(iter([noise(6 * MIB)]), bucket, "key")
    extra = {"content_type": "text/x-new", "meta_data": {"new": "yes"}}
    copy = driver.ex_copy_object(item, bucket, "key", extra=extra)
    head = stored_head(s3, bucket, "key")
    assert (head["ContentType"], head["Metadata"]) == ("text/x-new", {"new": "yes"})
    assert copy.hash == stored_etag(s3, bucket, "key")
    assert stored_body(s3, bucket, "key") == noise(6 * MIB)


def test_copy_with_new_access_only(driver, s3, bucket):
    """A copy onto itself may change nothing but who can read the object."""
    item = driver.upload_object_via_stream(
        iter([b"data"]), bucket, "key", extra={"meta_data": {"a": "b"}, "content_type": "text/x-a"}
    )
    driver.ex_copy_object(item, bucket, "key", extra={"acl": "public-read"})
    head = stored_head(s3, bucket, "key")
    assert (head["ContentType"], head["Metadata"]) == ("text/x-a", {"a": "b"})
    grants = s3.get_object_acl(Bucket=bucket.name, Key="key")["Grants"]
    assert "READ" in [grant["Permission"] for grant in grants]


def test_deleting_every_kind_of_key(driver, s3, bucket):
    """Keys that XML can carry and keys that it cannot go together, and neighbours stay."""
    for key in (*KEYS.values(), "stays"):
        s3.put_object(Bucket=bucket.name, Key=key, Body=b"-")
    driver.ex_delete_objects(bucket, [*KEYS.values(), "never existed"])
    assert stored_keys(s3, bucket.name) == ["stays"]


@pytest.fixture
def many(s3, new_bucket):
    """The name of a bucket with 1,203 objects."""
    name = new_bucket()
    with ThreadPoolExecutor(4) as pool:
        keys = [f"{'even' if i % 2 == 0 else 'odd'}/{i}" for i in range(1203)]
        list(pool.map(lambda key: s3.put_object(Bucket=name, Key=key, Body=b"-"), keys))
    return name


def test_emptying(counted, proxy, s3, many):
    """A container is emptied by prefix or wholly, a thousand objects with a request."""
    container = counted.get_container(many)
    counted.ex_empty_container(container, prefix="odd/")
    assert {key.split("/")[0] for key in stored_keys(s3, many)} == {"even"}
    counted.ex_empty_container(container)
    assert stored_keys(s3, many) == []
    assert len(proxy.seen("delete-objects")) == 2


def test_common_prefixes(driver, s3, bucket):
    """The directories below a prefix are listed once each."""
    for key in ("a/1", "a/2", "b/c/1", "top", "\x01x/1", "ü b/1"):
        s3.put_object(Bucket=bucket.name, Key=key, Body=b"-")
    assert list(driver.ex_iterate_common_prefixes(bucket)) == ["\x01x/", "a/", "b/", "ü b/"]
    assert list(driver.ex_iterate_common_prefixes(bucket, "b/")) == ["b/c/"]


def test_cleaning_up_old_uploads_only(driver, s3, bucket):
    """``older_than`` spares the uploads that began just now."""
    begin_upload(s3, bucket.name, "key")
    driver.ex_cleanup_all_multipart_uploads(bucket, older_than=timedelta(minutes=1))
    assert [upload.key for upload in driver.ex_iterate_multipart_uploads(bucket)] == ["key"]
    driver.ex_cleanup_all_multipart_uploads(bucket, older_than=timedelta(0))


@pytest.mark.parametrize("letter", ["&", "k", "ż"])
def test_deleting_long_keys(driver, s3, bucket, letter):
    """A thousand keys of 1,000 bytes are deleted, however long XML makes them."""
    keys = [f"{number:04d}" + letter * (1000 // len(letter.encode())) for number in range(1000)]
    for key in keys[:2] + keys[-2:]:
        s3.put_object(Bucket=bucket.name, Key=key, Body=b"-")
    s3.put_object(Bucket=bucket.name, Key="stays", Body=b"-")
    driver.ex_delete_objects(bucket, keys)
    assert stored_keys(s3, bucket.name) == ["stays"]


def test_a_key_named_many_times_is_deleted_once(driver, s3, bucket):
    """A name that comes 50 times goes once: radosgw 16 crashes when one request repeats a key."""
    s3.put_object(Bucket=bucket.name, Key="key")
    for _ in range(5):
        driver.ex_delete_objects(bucket, ["key"] * 50)
    assert stored_keys(s3, bucket.name) == []
