"""Users whom a policy gives part of a container only, and those who are shut out."""

import json
import os

import pytest
from libcloud.common.types import InvalidCredsError
from libcloud.storage.types import ContainerDoesNotExistError

from libcloud_aurora import errors


@pytest.fixture
def allow(s3, bucket, cluster):
    """Return a function that allows the stranger one more thing."""
    principal = {"AWS": [f"arn:aws:iam:::user/{cluster.stranger.name}"]}
    statements = []

    def allow(actions, resource, **more):
        allowed = {"Effect": "Allow", "Principal": principal, **more}
        statements.append({**allowed, "Action": actions, "Resource": resource})
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        s3.put_bucket_policy(Bucket=bucket.name, Policy=policy)

    return allow


@pytest.fixture
def shared(s3, bucket, allow):
    """A container of whose objects the stranger may read, write and list those of one prefix."""
    whole = f"arn:aws:s3:::{bucket.name}"
    allow(["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], f"{whole}/theirs/*")
    allow("s3:ListBucket", whole, Condition={"StringLike": {"s3:prefix": ["theirs/*"]}})
    s3.put_object(Bucket=bucket.name, Key="theirs/old", Body=b"shared")
    s3.put_object(Bucket=bucket.name, Key="ours", Body=b"private")
    return bucket.name


def test_a_user_of_a_prefix_works_there(stranger, shared):
    """Where HEAD of the container is denied, it is returned, and what the policy allows works."""
    container = stranger.get_container(shared)
    obj = container.upload_object_via_stream(iter([b"new"]), "theirs/new")
    assert b"".join(obj.as_stream()) == b"new"
    assert [each.name for each in container.list_objects("theirs/")] == ["theirs/new", "theirs/old"]
    assert b"".join(container.get_object("theirs/old").as_stream()) == b"shared"
    assert obj.delete() is True


def test_a_user_of_short_lists_has_the_container(stranger, bucket, allow):
    """HEAD has no number of rows to compare with the policy's, and so is denied; it is returned."""
    limit = {"NumericLessThanEquals": {"s3:max-keys": "1000"}}
    allow("s3:ListBucket", f"arn:aws:s3:::{bucket.name}", Condition=limit)
    container = stranger.get_container(bucket.name)
    assert container.list_objects() == []


def test_many_objects_are_deleted_at_once_where_the_policy_lets_them(
    cluster, stranger, shared, allow
):
    """Before Ceph 20 the container itself must be allowed, too, and the error says what helps."""
    container = stranger.get_container(shared)
    if cluster.version < (20,):
        with pytest.raises(errors.DeleteFailedError) as caught:
            stranger.ex_delete_objects(container, ["theirs/old"])
        assert f"arn:aws:s3:::{shared};" in str(caught.value)
        assert "delete_object() works" in str(caught.value)
        assert container.get_object("theirs/old").delete() is True
        allow("s3:DeleteObject", f"arn:aws:s3:::{shared}")
    obj = container.upload_object_via_stream(iter([b"new"]), "theirs/new")
    with pytest.raises(errors.DeleteFailedError) as caught:
        stranger.ex_delete_objects(container, [obj, "ours"])
    assert caught.value.failures == {"ours": "AccessDenied"}
    assert obj.name not in [each.name for each in container.list_objects("theirs/")]


def test_what_the_policy_does_not_allow_is_denied(stranger, shared):
    """The rest of the container is access denied, call by call."""
    container = stranger.get_container(shared)
    for call in (
        container.list_objects,
        lambda: container.get_object("ours"),
        lambda: container.upload_object_via_stream(iter([b"new"]), "new"),
    ):
        with pytest.raises(errors.AccessDeniedError) as caught:
            call()
        assert caught.value.code == "AccessDenied"


def test_wrong_keys_and_missing_containers_are_told_apart(make_driver, cluster, stranger, shared):
    """A wrong key, a wrong secret and a missing container are none of a policy's refusals."""
    for field in ("access_key", "secret_key"):
        wrong = make_driver(cluster.stranger._replace(**{field: "WRONG"}))
        with pytest.raises(InvalidCredsError):
            wrong.get_container(shared)
    with pytest.raises(ContainerDoesNotExistError):
        stranger.get_container("nowhere")


def test_a_suspended_user_is_told(cluster, stranger, shared):
    """A suspended account is refused as such, also by ``get_container``."""
    cluster.admin("user", "suspend", "--uid", cluster.stranger.name)
    try:
        with pytest.raises(errors.AccessDeniedError) as caught:
            stranger.get_container(shared)
    finally:
        cluster.admin("user", "enable", "--uid", cluster.stranger.name)
    assert caught.value.code == "UserSuspended"
    assert stranger.get_container(shared).name == shared


def test_the_owner_removes_what_others_have_begun(driver, stranger, bucket, tmp_path):
    """Uploads of another account are aborted, and one of the same key is not continued."""
    content = os.urandom(6_000_000)
    driver.ex_set_container_acl(bucket, "public-read-write")
    uploads = [stranger._initiate_multipart(bucket, key) for key in ("theirs", "k")]
    stranger._upload_multipart_chunks(bucket, "k", uploads[1], iter([content[:1000]]))
    (tmp_path / "file").write_bytes(content)
    driver.upload_object(tmp_path / "file", bucket, "k", ex_resume=True)
    assert b"".join(driver.get_object(bucket.name, "k").as_stream()) == content
    left = {upload.id for upload in driver.ex_iterate_multipart_uploads(bucket)}
    assert left == set(uploads)
    driver.delete_object(driver.get_object(bucket.name, "k"))
    driver.ex_cleanup_all_multipart_uploads(bucket)
    assert list(driver.ex_iterate_multipart_uploads(bucket)) == []
