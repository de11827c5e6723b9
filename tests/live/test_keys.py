"""Every key that S3 allows names its own object, byte for byte, whatever it looks like."""

import pytest
from live.keys import KEYS
from live.oracle import (
    MIB,
    begin_upload,
    expected_etag,
    noise,
    stored_body,
    stored_etag,
    stored_keys,
)

each_key = pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)


@each_key
def test_stream_reaches_exactly_this_key(driver, s3, bucket, key):
    """A streamed upload is stored under the key as given, and under no other."""
    returned = driver.upload_object_via_stream(iter([b"0123456789"]), bucket, key)
    assert stored_keys(s3, bucket.name) == [returned.name] == [key]
    assert stored_body(s3, bucket, key) == b"0123456789"


@each_key
def test_file_reaches_exactly_this_key(driver, s3, bucket, key, tmp_path):
    """An uploaded file is stored under the key as given, and under no other."""
    (tmp_path / "file").write_bytes(b"from a file")
    returned = driver.upload_object(str(tmp_path / "file"), bucket, key)
    assert stored_keys(s3, bucket.name) == [returned.name] == [key]
    assert stored_body(s3, bucket, key) == b"from a file"


@each_key
def test_every_read_finds_exactly_this_key(driver, s3, bucket, key, tmp_path):
    """HEAD, listing, download, stream and range of a key all address the object of that name."""
    s3.put_object(Bucket=bucket.name, Key=key, Body=b"0123456789")
    found = driver.get_object(bucket.name, key)
    assert (
        [listed.name for listed in driver.list_container_objects(bucket)] == [found.name] == [key]
    )
    assert [o.name for o in driver.list_container_objects(bucket, prefix=key)] == [key]
    target = str(tmp_path / "copy")
    assert driver.download_object(found, target) is True
    assert (tmp_path / "copy").read_bytes() == b"0123456789"
    assert b"".join(driver.download_object_as_stream(found)) == b"0123456789"
    assert b"".join(driver.download_object_range_as_stream(found, 2, 5)) == b"234"
    assert driver.download_object_range(found, target, 2, 5, overwrite_existing=True) is True
    assert (tmp_path / "copy").read_bytes() == b"234"


@each_key
def test_delete_removes_exactly_this_key(driver, s3, bucket, key):
    """Deleting a key removes that object and none of its neighbours."""
    neighbours = {"a", "b", "x", "a/b", "other/x"} - {key}
    for name in (key, *neighbours):
        s3.put_object(Bucket=bucket.name, Key=name, Body=b"-")
    assert driver.delete_object(driver.get_object(bucket.name, key)) is True
    assert set(stored_keys(s3, bucket.name)) == neighbours


def test_no_key_leaves_its_bucket(driver, s3, bucket, new_bucket, tmp_path):
    """``../other/x`` is an object of this bucket; the bucket ``other`` is not touched."""
    other = new_bucket()
    s3.put_object(Bucket=other, Key="x", Body=b"theirs")
    ours = driver.upload_object_via_stream(iter([b"ours"]), bucket, f"../{other}/x")
    assert s3.get_object(Bucket=other, Key="x")["Body"].read() == b"theirs"
    assert b"".join(driver.download_object_as_stream(ours)) == b"ours"
    driver.delete_object(ours)
    assert stored_keys(s3, other) == ["x"]
    assert stored_keys(s3, bucket.name) == []


def test_composed_and_decomposed_are_two_objects(driver, s3, bucket):
    """The two Unicode spellings of one letter are two keys."""
    for key in ("\u00e9", "e\u0301"):
        driver.upload_object_via_stream(iter([key.encode()]), bucket, key)
    assert stored_keys(s3, bucket.name) == ["e\u0301", "\u00e9"]
    assert b"".join(driver.get_object(bucket.name, "\u00e9").as_stream()) == "\u00e9".encode()


@pytest.mark.parametrize("key", ["..", "a//b", "a\x01b", "a\nb", "\U0001f600" * 256, "../other/x"])
def test_multipart_reaches_exactly_this_key(driver, s3, bucket, key):
    """A multipart upload is stored under the key as given, even one that XML cannot express."""
    body = noise(6 * MIB)
    returned = driver.upload_object_via_stream(iter([body]), bucket, key)
    assert stored_keys(s3, bucket.name) == [key]
    assert returned.hash == stored_etag(s3, bucket, key) == expected_etag(body)


@pytest.mark.parametrize("key", ["a\x01b", "a\ufffe", "..", "a b+c", "\U0001f600"])
def test_unfinished_uploads_of_odd_keys_are_listed_and_cleaned_up(driver, s3, bucket, key):
    """Unfinished uploads come back with their exact keys and can be aborted."""
    begin_upload(s3, bucket.name, key)
    assert [upload.key for upload in driver.ex_iterate_multipart_uploads(bucket)] == [key]
    driver.ex_cleanup_all_multipart_uploads(bucket)
    assert list(driver.ex_iterate_multipart_uploads(bucket)) == []
