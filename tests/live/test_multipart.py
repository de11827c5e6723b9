"""Unfinished multipart uploads can be seen and removed; libcloud's low-level way works."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from live.oracle import (
    PART,
    begin_upload,
    expected_etag,
    listed_uploads,
    noise,
    stored_body,
    unfinished_uploads,
)

KEYS = ["a", "a/1", "a/2", "b/1", "\x01"]


@pytest.fixture
def unfinished(s3, bucket):
    """A container with unfinished uploads, one of them with a part."""
    ids = {key: begin_upload(s3, bucket.name, key) for key in KEYS}
    s3.upload_part(
        Bucket=bucket.name, Key="a", UploadId=ids["a"], PartNumber=1, Body=b"left behind"
    )
    yield ids
    for upload_id, key in listed_uploads(s3, bucket.name).items():
        s3.abort_multipart_upload(Bucket=bucket.name, Key=key, UploadId=upload_id)


def test_listing_uploads(driver, bucket, unfinished):
    """Every unfinished upload is listed with its key, id and time."""
    uploads = list(driver.ex_iterate_multipart_uploads(bucket))
    assert {upload.key: upload.id for upload in uploads} == unfinished
    assert all(upload.created_at for upload in uploads)


@pytest.mark.parametrize(("prefix", "keys"), [("a/", ["a/1", "a/2"]), ("b", ["b/1"]), ("x", [])])
def test_listing_uploads_by_prefix(driver, bucket, unfinished, prefix, keys):
    """``prefix``, by keyword or position, chooses among the uploads."""
    found = driver.ex_iterate_multipart_uploads(bucket, prefix)
    assert [upload.key for upload in found] == keys
    found = driver.ex_iterate_multipart_uploads(bucket, prefix=prefix)
    assert [upload.key for upload in found] == keys


def test_listing_uploads_by_delimiter(driver, bucket, unfinished):
    """``delimiter`` keeps to one level."""
    found = driver.ex_iterate_multipart_uploads(bucket, delimiter="/")
    assert sorted(upload.key for upload in found) == ["\x01", "a"]


def test_cleaning_up_by_prefix(driver, s3, bucket, unfinished):
    """Cleaning up with a prefix leaves the other uploads alone."""
    driver.ex_cleanup_all_multipart_uploads(bucket, prefix="a/")
    assert sorted(unfinished_uploads(s3, bucket.name)) == ["\x01", "a", "b/1"]


def test_cleaning_up(driver, s3, bucket, unfinished):
    """Cleaning up removes every unfinished upload, parts included, and no object."""
    s3.put_object(Bucket=bucket.name, Key="a", Body=b"stays")
    driver.ex_cleanup_all_multipart_uploads(bucket)
    assert unfinished_uploads(s3, bucket.name) == []
    assert stored_body(s3, bucket, "a") == b"stays"


def test_more_uploads_than_a_page(driver, s3, bucket):
    """Uploads beyond the first page of 1,000 are listed and removed too."""
    keys = [f"{i % 7}/{i:04}" for i in range(1003)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda key: s3.create_multipart_upload(Bucket=bucket.name, Key=key), keys))
    found = [upload.key for upload in driver.ex_iterate_multipart_uploads(bucket)]
    assert found == sorted(keys)
    driver.ex_cleanup_all_multipart_uploads(bucket)


def test_by_hand(driver, s3, bucket):
    """Programs can drive the multipart requests themselves, as ckanext-cloudstorage does."""
    body = noise(PART + 5)
    answer = driver.connection.request(f"/{bucket.name}/key?uploads", method="POST")
    assert answer.success()
    upload_id = answer.object.find(f"{{{driver.namespace}}}UploadId").text
    chunks = []
    for number, piece in enumerate((body[:PART], body[PART:]), 1):
        answer = driver.connection.request(
            f"/{bucket.name}/key?partNumber={number}&uploadId={upload_id}",
            method="PUT",
            headers={"Content-Length": str(len(piece))},
            data=bytearray(piece),
        )
        assert answer.status == 200
        chunks.append((number, answer.headers["etag"]))
    etag = driver._commit_multipart(bucket, "key", upload_id, chunks)
    assert etag.strip('"') == expected_etag(body)
    assert stored_body(s3, bucket, "key") == body


def test_low_level_requests(driver, s3, bucket):
    """``driver.connection.request`` takes parameters, headers and data as libcloud's does."""
    connection = driver.connection
    assert connection.host == "127.0.0.1"
    put = connection.request(
        f"/{bucket.name}/a%20b", method="PUT", data=b"body", headers={"x-amz-meta-a": "b"}
    )
    assert (put.status, put.success()) == (200, True)
    assert stored_body(s3, bucket, "a b") == b"body"
    listed = connection.request(f"/{bucket.name}", params={"prefix": "a "})
    assert [e.text for e in listed.object.iter(f"{{{driver.namespace}}}Key")] == ["a b"]
    got = connection.request(f"/{bucket.name}/a%20b", headers={"Range": "bytes=1-2"})
    assert (got.status, got.body) in ((206, "od"), (206, b"od"))
