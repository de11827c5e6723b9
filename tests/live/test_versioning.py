"""Containers that keep versions, and what is left in a container that lists no object."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from live.keys import KEYS
from live.oracle import MIB, noise

from libcloud_aurora import errors


@pytest.fixture
def versioned(driver, s3, bucket):
    """A container that keeps versions; at the end the driver deletes them all."""
    s3.put_object(Bucket=bucket.name, Key="before", Body=b"before versioning")
    driver.connection.request(
        f"/{bucket.name}",
        method="PUT",
        params={"versioning": ""},
        data="<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
    )
    yield bucket
    driver.ex_empty_container(bucket, ex_versions=True)
    assert witnessed(s3, bucket) == []


def witnessed(s3, container):
    """Return name and id of each version and delete marker, as boto3 lists them."""
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=container.name)
    return [
        (row["Key"], row["VersionId"])
        for page in pages
        for row in page.get("Versions", []) + page.get("DeleteMarkers", [])
    ]


def versions(driver, container, name):
    """Return the versions of one object that are no delete markers, the newest first."""
    found = driver.ex_iterate_object_versions(container, name)
    return [each for each in found if not each.extra["ex_is_delete_marker"]]


def content(obj):
    """Return the bytes of an object."""
    return b"".join(obj.as_stream())


def test_versions_are_what_another_client_lists(driver, s3, versioned):
    """Names, ids, sizes, ETags and which is the latest are those that boto3 lists."""
    for body in (b"1", b"22"):
        s3.put_object(Bucket=versioned.name, Key="a key", Body=body)
    s3.delete_object(Bucket=versioned.name, Key="a key")
    s3.put_object(Bucket=versioned.name, Key="b", Body=b"333")
    page = s3.list_object_versions(Bucket=versioned.name)
    theirs = {
        (row["Key"], row["VersionId"], row["IsLatest"], row.get("Size", 0), row.get("ETag"))
        for row in page["Versions"] + page["DeleteMarkers"]
    }
    ours = list(driver.ex_iterate_object_versions(versioned))
    assert {
        (
            each.name,
            each.extra["ex_version_id"],
            each.extra["ex_is_latest"],
            each.size,
            each.extra["etag"],
        )
        for each in ours
    } == theirs
    assert [(each.name, each.extra["ex_is_delete_marker"], each.size) for each in ours] == [
        ("a key", True, 0),
        ("a key", False, 2),
        ("a key", False, 1),
        ("b", False, 3),
        ("before", False, 17),
    ]
    assert ours[-1].extra["ex_version_id"] == "null"


def test_uploads_say_which_version_they_are(driver, versioned, tmp_path):
    """``version_id`` is there after an upload at once, in parts, resumed, and after a copy."""
    body = noise(6 * MIB)
    (tmp_path / "file").write_bytes(body)
    for upload in (
        lambda: driver.upload_object_via_stream(b"small", versioned, "small"),
        lambda: driver.upload_object_via_stream(iter([body]), versioned, "stream"),
        lambda: driver.upload_object(tmp_path / "file", versioned, "file"),
        lambda: driver.upload_object(tmp_path / "file", versioned, "resumed", ex_resume=True),
        lambda: driver.ex_copy_object(driver.get_object(versioned.name, "file"), versioned, "copy"),
    ):
        obj = upload()
        (found,) = driver.ex_iterate_object_versions(versioned, obj.name)
        assert obj.extra["version_id"] == found.extra["ex_version_id"]
        assert obj.hash == found.hash


def test_an_old_version_is_read_and_linked(driver, versioned, tmp_path):
    """Downloads, ranges, files and links of an old version are of this one, whatever came since."""
    large = noise(9 * MIB)
    driver.upload_object_via_stream(iter([large]), versioned, "k")
    driver.upload_object_via_stream(b"new", versioned, "k")
    new, old = versions(driver, versioned, "k")
    assert (content(new), content(old)) == (b"new", large)
    assert content(driver.get_object(versioned.name, "k")) == b"new"
    driver.download_object(old, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == large
    driver.delete_object(driver.get_object(versioned.name, "k"))
    assert b"".join(old.range_as_stream(5, 2 * MIB)) == large[5 : 2 * MIB]
    url = driver.ex_get_object_presigned_url(old)
    assert requests.get(url, timeout=20).content == large
    with pytest.raises(errors.ObjectNotFoundError):
        content(next(driver.ex_iterate_object_versions(versioned, "k")))


def test_an_old_version_is_restored(driver, versioned):
    """A copy of a version onto its own name makes it the latest, with its metadata."""
    for body in (b"first", b"second"):
        extra = {"meta_data": {"text": body.decode()}, "content_type": "text/x"}
        driver.upload_object_via_stream(body, versioned, "k", extra=extra)
    _, first = versions(driver, versioned, "k")
    driver.ex_copy_object(first, versioned)
    restored = driver.get_object(versioned.name, "k")
    assert content(restored) == b"first"
    assert (restored.meta_data, restored.extra["content_type"]) == ({"text": "first"}, "text/x")
    assert len(versions(driver, versioned, "k")) == 3


def test_one_version_is_deleted_for_good(driver, s3, versioned):
    """A version that is deleted is gone, and a delete marker that is deleted brings back."""
    kept = driver.upload_object_via_stream(b"kept", versioned, "k")
    driver.upload_object_via_stream(b"gone", versioned, "k")
    driver.delete_object(kept)  # which adds a marker, as it stands for the latest
    marker, gone, old = driver.ex_iterate_object_versions(versioned, "k")
    assert driver.delete_object(gone) is True
    assert driver.delete_object(marker) is True
    assert content(driver.get_object(versioned.name, "k")) == b"kept"
    assert [row for row in witnessed(s3, versioned) if row[0] == "k"] == [
        ("k", old.extra["ex_version_id"])
    ]


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_versions_of_any_key(driver, s3, versioned, key):
    """Versions of exactly this key are listed, read and deleted, with others or alone."""
    for body in (b"1", b"2", b"3"):
        driver.upload_object_via_stream(body, versioned, key)
    driver.upload_object_via_stream(b"neighbour", versioned, "a")
    found = [each for each in driver.ex_iterate_object_versions(versioned) if each.name == key]
    assert [content(each) for each in found] == [b"3", b"2", b"1"]
    driver.delete_object(found[0])
    assert content(driver.get_object(versioned.name, key)) == b"2"
    driver.ex_delete_objects(versioned, found)
    assert [name for name, _ in witnessed(s3, versioned)] == ["a", "before"]


def test_more_versions_than_a_page_are_emptied(driver, s3, versioned):
    """A container with more than 1,000 versions and delete markers is emptied."""
    keys = [f"k{number}" for number in range(520)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda key: s3.put_object(Bucket=versioned.name, Key=key, Body=b"-"), keys))
    driver.ex_delete_objects(versioned, keys)
    s3.put_object(Bucket=versioned.name, Key="z", Body=b"")
    found = [
        (each.name, each.extra["ex_version_id"])
        for each in driver.ex_iterate_object_versions(versioned)
    ]
    assert len(found) == 1042
    assert sorted(found) == sorted(witnessed(s3, versioned))
    driver.ex_empty_container(versioned, "k", ex_versions=True)
    assert [name for name, _ in witnessed(s3, versioned)] == ["before", "z"]


def test_what_is_left_is_said(driver, versioned):
    """A container without objects that keeps versions says what is left, and how to delete it."""
    driver.ex_empty_container(versioned)
    assert driver.list_container_objects(versioned) == []
    with pytest.raises(errors.ContainerNotEmptyError, match="ex_versions=True"):
        driver.delete_container(versioned)


def test_versions_of_a_container_that_keeps_none(driver, s3, bucket):
    """Where versions were never kept, each object is its only version, and can be deleted as it."""
    s3.put_object(Bucket=bucket.name, Key="k", Body=b"only")
    (found,) = driver.ex_iterate_object_versions(bucket)
    assert (content(found), found.extra["ex_version_id"]) == (b"only", "null")
    assert driver.delete_object(found) is True
    assert driver.list_container_objects(bucket) == []
