"""Requests without a signature, to containers that are public."""

import pickle

import pytest
from live.oracle import MIB, noise, stored_body, stored_keys

from libcloud_aurora import errors


@pytest.fixture
def visitor(make_driver, cluster):
    """A driver without keys."""
    return make_driver(cluster.owner._replace(access_key="", secret_key=""), ex_anonymous=True)


@pytest.fixture
def public(s3, bucket):
    """A container that everybody may list, read and write."""
    s3.put_bucket_acl(Bucket=bucket.name, ACL="public-read-write")
    s3.put_object(Bucket=bucket.name, Key="public", Body=b"hello", ACL="public-read")
    s3.put_object(Bucket=bucket.name, Key="private", Body=b"secret")
    return bucket.name


def test_public_objects_are_read(visitor, public, tmp_path):
    """What is public is found, listed and downloaded, and what is not is denied."""
    container = visitor.get_container(public)
    assert [each.name for each in container.list_objects()] == ["private", "public"]
    obj = container.get_object("public")
    obj.download(str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_bytes() == b"".join(obj.as_stream()) == b"hello"
    with pytest.raises(errors.AccessDeniedError):
        container.get_object("private")
    with pytest.raises(errors.ObjectNotFoundError):
        container.get_object("missing")


def test_a_public_object_of_a_private_container(visitor, s3, bucket):
    """An object is in reach where only it is public, in ranges too; a missing one is denied."""
    body = noise(9 * MIB)
    s3.put_object(Bucket=bucket.name, Key="public", Body=body, ACL="public-read")
    container = visitor.get_container(bucket.name)
    assert b"".join(container.get_object("public").as_stream()) == body
    for call in (container.list_objects, lambda: container.get_object("missing")):
        with pytest.raises(errors.AccessDeniedError):
            call()


def test_everybody_may_write(visitor, s3, public, tmp_path):
    """Whole objects, parts of files and of streams are stored and deleted unsigned."""
    container, body = visitor.get_container(public), noise(11 * MIB)
    (tmp_path / "file").write_bytes(body)
    extra = {"acl": "public-read"}
    container.upload_object_via_stream(iter([b"small"]), "small", extra)
    container.upload_object_via_stream(iter([b""]), "empty", extra)
    container.upload_object_via_stream(iter([body]), "stream", extra)
    container.upload_object(str(tmp_path / "file"), "file", extra)
    for name, expected in (("small", b"small"), ("empty", b""), ("stream", body), ("file", body)):
        assert b"".join(container.get_object(name).as_stream()) == expected
    visitor.ex_delete_objects(container, ["small", "stream"])
    assert container.get_object("empty").delete() is True
    assert stored_keys(s3, public) == ["file", "private", "public"]


def test_a_failed_upload_leaves_no_parts(visitor, public):
    """An upload in parts that fails is aborted, unsigned as well; the fixture looks for parts."""

    def fails():
        yield noise(6 * MIB)
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError):
        visitor.get_container(public).upload_object_via_stream(fails(), "parts")


def test_nothing_else_is_open(visitor, driver, s3, bucket):
    """Without keys a private container is denied, and no container can be made or found."""
    with pytest.raises(errors.AccessDeniedError):
        visitor.get_container(bucket.name).upload_object_via_stream(iter([b"x"]), "x")
    with pytest.raises(errors.AccessDeniedError):
        visitor.create_container("live-of-nobody")
    with pytest.raises(errors.ContainerNotFoundError):
        visitor.get_container("nowhere")
    assert visitor.list_containers() == []
    assert stored_keys(s3, bucket.name) == []


def test_it_survives_pickling(visitor, s3, public):
    """A copy in another process reads what is public, too."""
    with pickle.loads(pickle.dumps(visitor)) as copy:  # noqa: S301 - our own
        obj = copy.get_object(public, "public")
        assert b"".join(obj.as_stream()) == b"hello" == stored_body(s3, obj.container, "public")
