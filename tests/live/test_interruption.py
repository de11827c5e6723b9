"""A radosgw that ends while it completes an upload: the object is whole, and stays so."""

import json
from contextlib import nullcontext

import pytest
from libcloud.storage.base import Container
from live.interruption import UPLOADS, Interruption
from live.oracle import (
    PART,
    begin_upload,
    listed_uploads,
    noise,
    stored_body,
    stored_etag,
    stored_head,
)
from servers import plan

from libcloud_aurora.errors import AuroraObjectsError

BODY = noise(2 * PART + 9)
#: What whoever uploads, resumes and cleans up may be allowed to do with objects, and with buckets.
OBJECT_ACTIONS = ("PutObject", "GetObject", "AbortMultipartUpload", "ListMultipartUploadParts")
BUCKET_ACTIONS = (
    *("ListBucket", "ListBucketMultipartUploads", "ListBucketVersions"),
    "GetBucketVersioning",
)
EXTRA = {"meta_data": {"v": "new"}, "acl": "public-read"}


@pytest.fixture
def interruption(cluster, tmp_path_factory):
    """Keeps the upload that is under way, and brings it back after its end."""
    return Interruption(cluster, tmp_path_factory.mktemp("kept"))


@pytest.fixture
def interrupted(s3, remote, interruption):
    """The id of an upload of another client's, which radosgw was completing when it ended."""
    begun = {"Bucket": remote.name, "Key": "key"}
    begun["UploadId"] = begin_upload(s3, remote.name, "key")
    pieces = BODY[:PART], BODY[PART : 2 * PART], BODY[2 * PART :]
    sent = [
        {"PartNumber": n, "ETag": s3.upload_part(**begun, PartNumber=n, Body=piece)["ETag"]}
        for n, piece in enumerate(pieces, 1)
    ]
    interruption.keep()
    s3.complete_multipart_upload(**begun, MultipartUpload={"Parts": sent})
    interruption.undo()
    assert list(listed_uploads(s3, remote.name)) == [begun["UploadId"]]
    return begun["UploadId"]


def stream(container, path):
    """Upload a stream."""
    return container.driver.upload_object_via_stream(iter([BODY]), container, "key", EXTRA)


def file(container, path, **more):
    """Upload a file."""
    path.write_bytes(BODY)
    return container.driver.upload_object(str(path), container, "key", EXTRA, **more)


def resumed(container, path):
    """Upload a file in a way that can be resumed."""
    return file(container, path, ex_resume=True)


def continued(container, path):
    """Continue the upload of a file."""
    with pytest.raises(InterruptedError):
        file(container, path, ex_resume=True, ex_progress=stop)
    return file(container, path, ex_resume=True)


def stop(done, total):
    """End an upload once a part is on the server."""
    if done:
        raise InterruptedError


def opened(container, path):
    """Write an object as a file."""
    with container.driver.ex_open(container, "wb", object_name="key", extra=EXTRA) as writer:
        writer.write(BODY)
    return container.get_object("key")


@pytest.mark.parametrize(
    "upload", [stream, file, resumed, continued, opened], ids=lambda each: each.__name__
)
def test_the_object_stays(remote, proxy, s3, tmp_path, interruption, caplog, upload):
    """It is copied, so that the upload can be removed, and has what was asked for."""
    proxy.plan = interruption.plan()
    obj = upload(remote, tmp_path / "file")
    interruption.collect()
    assert stored_body(s3, remote, "key") == BODY
    assert obj.hash == stored_etag(s3, remote, "key")
    assert stored_head(s3, remote, "key")["Metadata"] == {"v": "new"}
    grants = s3.get_object_acl(Bucket=remote.name, Key="key")["Grants"]
    assert sorted(each["Permission"] for each in grants) == ["FULL_CONTROL", "READ"]
    assert listed_uploads(s3, remote.name) == {}
    assert "has been completed, but not removed" in caplog.text


def set_versioning(s3, container, status):
    """Let a bucket keep versions from now on, or no more."""
    s3.put_bucket_versioning(Bucket=container.name, VersioningConfiguration={"Status": status})


def versions_of(s3, container):
    """Return the versions of the objects, as boto3 lists them."""
    return s3.list_object_versions(Bucket=container.name)["Versions"]


def bodies(s3, container):
    """Return the bytes of each version."""
    place = {"Bucket": container.name, "Key": "key"}
    ids = [version["VersionId"] for version in versions_of(s3, container)]
    return [s3.get_object(**place, VersionId=each)["Body"].read() for each in ids]


def delete_versions(s3, container):
    """Delete all versions."""
    for version in versions_of(s3, container):
        s3.delete_object(Bucket=container.name, Key="key", VersionId=version["VersionId"])


def test_versions(remote, proxy, s3, interruption, caplog):
    """What was copied stays a version with its data, and keeps the upload as long as it lives."""
    set_versioning(s3, remote, "Enabled")
    proxy.plan = interruption.plan()
    obj = stream(remote, None)
    remote.driver.ex_cleanup_all_multipart_uploads(remote)
    interruption.collect()
    assert bodies(s3, remote) == [BODY, BODY]
    assert obj.hash == stored_etag(s3, remote, "key")
    assert caplog.text.count("is kept") == 2
    delete_versions(s3, remote)
    remote.driver.ex_cleanup_all_multipart_uploads(remote)


def test_versions_that_are_no_longer_kept(remote, proxy, s3, interruption):
    """The copy takes the place of what was copied, and the upload can go."""
    set_versioning(s3, remote, "Enabled")
    set_versioning(s3, remote, "Suspended")
    proxy.plan = interruption.plan()
    stream(remote, None)
    interruption.collect()
    assert bodies(s3, remote) == [BODY]
    assert listed_uploads(s3, remote.name) == {}
    delete_versions(s3, remote)


def test_resuming_where_versions_are_kept(remote, s3, tmp_path, interrupted, interruption, caplog):
    """The file is sent anew, and the old version keeps the upload."""
    set_versioning(s3, remote, "Enabled")
    file(remote, tmp_path / "file", ex_resume=True)
    assert f"upload {interrupted} is kept" in caplog.text
    interruption.collect()
    assert bodies(s3, remote) == [BODY, BODY]
    delete_versions(s3, remote)
    remote.driver.ex_cleanup_all_multipart_uploads(remote)


def test_nothing_can_be_learnt(remote, proxy, s3, interruption, caplog):
    """Where nobody can say what has become of it, the upload is not aborted."""
    deaf = plan.always(plan.ANSWER_503, plan.is_any("list-parts", "head", "complete"))
    proxy.plan = plan.in_turn(interruption.plan(), deaf)
    with pytest.raises(AuroraObjectsError, match="may still complete"):
        stream(remote, None)
    proxy.plan = plan.never()
    remote.driver.ex_cleanup_all_multipart_uploads(remote)
    assert "is kept" in caplog.text
    interruption.collect()
    assert stored_body(s3, remote, "key") == BODY
    stream(remote, None)
    s3.put_object(Bucket=remote.name, Key="key", Body=b"other")
    remote.driver.ex_cleanup_all_multipart_uploads(remote)


def test_cleaning_up(remote, s3, interrupted, interruption, caplog):
    """An upload of which an object is made is kept, and the log says what to do."""
    remote.driver.ex_cleanup_all_multipart_uploads(remote)
    assert f"upload {interrupted} is kept" in caplog.text
    interruption.collect()
    assert stored_body(s3, remote, "key") == BODY
    s3.delete_object(Bucket=remote.name, Key="key")
    remote.driver.ex_cleanup_all_multipart_uploads(remote)


def test_cleaning_up_beside_a_locked_upload(cluster, remote, s3):
    """What a dead radosgw was completing is locked for a while, and keeps no other upload."""
    locked, _ = (begin_upload(s3, remote.name, key) for key in ("locked", "other"))
    [place] = (name for name in cluster.rados(UPLOADS, "ls") if locked in name)
    lock, cookie = (place, "RGWCompleteMultipart"), ("--lock-cookie", "dead")
    cluster.rados(UPLOADS, "lock", "get", *lock, *cookie)
    honours_it = cluster.version > (17,)
    refused = pytest.raises(AuroraObjectsError, match=r"'locked'.*locked for ten minutes")
    with refused if honours_it else nullcontext():
        remote.driver.ex_cleanup_all_multipart_uploads(remote)
    assert list(listed_uploads(s3, remote.name)) == [locked] * honours_it
    if honours_it:
        [info] = cluster.rados(UPLOADS, "lock", "info", *lock)
        [holder] = json.loads(info)["lockers"]
        cluster.rados(UPLOADS, "lock", "break", *lock, holder["name"], *cookie)
        remote.driver.ex_cleanup_all_multipart_uploads(remote)


def test_cleaning_up_with_a_thousand_versions(remote, s3, interrupted, interruption):
    """An old version is found, however many are newer, and keeps its data."""
    set_versioning(s3, remote, "Enabled")
    for number in range(1001):
        s3.put_object(Bucket=remote.name, Key="key", Body=b"%d" % number)
    remote.driver.ex_cleanup_all_multipart_uploads(remote)
    interruption.collect()
    place = {"Bucket": remote.name, "Key": "key", "VersionId": "null"}
    assert s3.get_object(**place)["Body"].read() == BODY
    remote.driver.ex_empty_container(remote, ex_versions=True)
    remote.driver.ex_cleanup_all_multipart_uploads(remote)


@pytest.fixture
def guest(make_driver, cluster, proxy, s3, remote):
    """Let somebody else do anything but this with the bucket, as their driver knows it."""

    def grant(*but):
        whole, statements = f"arn:aws:s3:::{remote.name}", []
        who = {"AWS": [f"arn:aws:iam:::user/{cluster.stranger.name}"]}
        for resource, names in ((f"{whole}/*", OBJECT_ACTIONS), (whole, BUCKET_ACTIONS)):
            for name in names:  # denied by name: an object belongs to whoever has written it
                said = {"Effect": "Deny" if name in but else "Allow", "Action": [f"s3:{name}"]}
                statements.append(said | {"Principal": who, "Resource": resource})
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        s3.put_bucket_policy(Bucket=remote.name, Policy=policy)
        return Container(remote.name, {}, make_driver(cluster.stranger, port=proxy.port))

    yield grant
    remote.driver.ex_empty_container(remote, ex_versions=True)
    container = grant()
    container.driver.ex_cleanup_all_multipart_uploads(container)


@pytest.mark.parametrize("but", ["ListMultipartUploadParts", "GetObject"])
def test_keys_that_may_not_look(guest, proxy, interruption, caplog, but):
    """They do not complete the upload again: it has the object's data."""
    container = guest(but)
    proxy.plan = interruption.plan()
    if but == "GetObject":
        with pytest.raises(AuroraObjectsError, match="may still complete"):
            container.driver.upload_object_via_stream(iter([BODY]), container, "key")
    else:
        container.driver.upload_object_via_stream(iter([BODY]), container, "key")
    assert "kept" in caplog.text
    assert len(proxy.seen("complete")) == 1
    interruption.collect()
    obj = guest().get_object("key")
    assert b"".join(obj.as_stream()) == BODY


def test_keys_that_may_not_list_versions(guest, s3, remote, interrupted, interruption, caplog):
    """Before they clean up, they look at the object."""
    container = guest("ListBucketVersions")
    container.driver.ex_cleanup_all_multipart_uploads(container)
    assert f"upload {interrupted} is kept" in caplog.text
    interruption.collect()
    assert stored_body(s3, remote, "key") == BODY


@pytest.mark.parametrize("newer", ["version", "marker"])
def test_keys_that_may_not_list_old_versions(
    guest, s3, remote, interrupted, interruption, caplog, newer
):
    """An old version that they cannot see keeps the upload, whatever is the latest."""
    set_versioning(s3, remote, "Enabled")
    if newer == "marker":
        s3.delete_object(Bucket=remote.name, Key="key")
    else:
        s3.put_object(Bucket=remote.name, Key="key", Body=b"newer")
    container = guest("ListBucketVersions", *["GetBucketVersioning"] * (newer == "version"))
    container.driver.ex_cleanup_all_multipart_uploads(container)
    assert f"upload {interrupted} is kept" in caplog.text
    interruption.collect()
    place = {"Bucket": remote.name, "Key": "key", "VersionId": "null"}
    assert s3.get_object(**place)["Body"].read() == BODY


@pytest.mark.parametrize("body", [BODY, BODY[:PART] + noise(PART + 9, seed=1)])
def test_resuming(remote, s3, tmp_path, interrupted, interruption, body):
    """An upload of which an object is made is not continued: the file is sent anew."""
    (tmp_path / "file").write_bytes(body)
    obj = remote.driver.upload_object(str(tmp_path / "file"), remote, "key", ex_resume=True)
    interruption.collect()
    assert stored_body(s3, remote, "key") == body
    assert obj.hash == stored_etag(s3, remote, "key")
    assert listed_uploads(s3, remote.name) == {}
