"""Conditions on objects made of parts: atomic on Ceph 20, with a gap before."""

import io
from concurrent.futures import ThreadPoolExecutor

import pytest
from live.oracle import PART, noise, stored_body
from servers import plan

from libcloud_aurora import errors

BODY = noise(PART + 99)
NONE = {"If-None-Match": "*"}


def upload(driver, container, body=BODY, headers=NONE):
    """Store an object of two parts under a condition."""
    return driver.upload_object_via_stream(
        io.BytesIO(body), container, "key", headers=headers, ex_check_condition=True
    )


def refused(call, *arguments):
    """Return the code with which a call fails."""
    with pytest.raises(errors.AuroraObjectsError) as caught:
        call(*arguments)
    return caught.value.code


def test_an_object_is_made_once(driver, s3, bucket):
    """The second upload finds what the first has stored."""
    upload(driver, bucket)
    assert refused(upload, driver, bucket, noise(PART + 1, 2)) == "PreconditionFailed"
    assert stored_body(s3, bucket, "key") == BODY


@pytest.mark.parametrize("quote", ["", '"'], ids=["bare", "quoted"])
@pytest.mark.parametrize("size", [99, PART + 99], ids=["one part", "parts"])
def test_an_object_is_replaced_if_it_is_the_known_one(driver, s3, bucket, size, quote):
    """If-Match lets a change through that was made of what is there, and no other."""
    old = upload(driver, bucket, noise(size))
    known = {"If-Match": f"{quote}{old.hash}{quote}"}
    new = upload(driver, bucket, noise(size + 1, 2), known)
    stale = refused(upload, driver, bucket, noise(size), known)
    assert stale == "PreconditionFailed"
    assert driver.get_object(bucket.name, "key").hash == new.hash


@pytest.mark.parametrize("versioning", [None, "Enabled", "Suspended"])
@pytest.mark.parametrize("size", [99, PART + 99], ids=["one part", "parts"])
def test_an_object_is_made_once_in_any_container(driver, s3, bucket, size, versioning):
    """Also where the server itself overlooks the condition: in containers that keep versions."""
    if versioning:
        status = {"Status": versioning}
        s3.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration=status)
    body = noise(size)
    upload(driver, bucket, body)
    for name in ("*", f'"{driver.get_object(bucket.name, "key").hash}"'):
        if name == "*" or size < PART:
            code = refused(upload, driver, bucket, noise(size, 2), {"If-None-Match": name})
            assert code == "PreconditionFailed"
    assert stored_body(s3, bucket, "key") == body
    driver.ex_empty_container(bucket, ex_versions=True)


def test_the_server_compares_an_etag_with_or_without_quotes(driver, s3, bucket):
    """Nothing but the one request decides, and the object stays."""
    old = upload(driver, bucket, b"old")
    for etag in (old.hash, f'"{old.hash}"'):
        with pytest.raises(errors.AuroraObjectsError, match="PreconditionFailed"):
            driver.upload_object_via_stream(
                [b"new"], bucket, "key", headers={"If-None-Match": etag}
            )
    assert stored_body(s3, bucket, "key") == b"old"


def test_nothing_to_match(driver, bucket):
    """An object that should be there and is not is not made, in one part or in two."""
    with pytest.raises(errors.ObjectNotFoundError):
        upload(driver, bucket, BODY, {"If-Match": '"0123456789abcdef0123456789abcdef"'})
    code = refused(upload, driver, bucket, b"x", {"If-Match": "0123456789abcdef0123456789abcdef"})
    assert code in ("NoSuchKey", "PreconditionFailed")


def test_a_writer_between_the_look_and_the_end(driver, counted, remote, cluster, s3, proxy):
    """Ceph 20 refuses the later one; before, the other writer is overwritten, as documented."""

    def write(request):
        driver.upload_object_via_stream(iter([b"theirs"]), remote, "key")

    proxy.plan = plan.once(plan.hook("head", write), plan.is_any("complete"))
    if cluster.version >= (20,):
        assert refused(upload, counted, remote) == "PreconditionFailed"
        assert stored_body(s3, remote, "key") == b"theirs"
    else:
        upload(counted, remote)
        assert stored_body(s3, remote, "key") == BODY


def test_of_many_writers_one_succeeds(make_driver, driver, cluster, bucket):
    """On Ceph 20; before, at least one does."""

    def write(number):
        try:
            return upload(make_driver(), bucket, noise(PART + number + 1, number)).hash
        except errors.AuroraObjectsError as error:
            return error.code

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(write, range(4)))
    stored = [each for each in results if each != "PreconditionFailed"]
    assert len(stored) == 1 if cluster.version >= (20,) else stored
    assert driver.get_object(bucket.name, "key").hash in stored


def test_only_the_known_object_is_deleted(driver, s3, bucket):
    """An object that was replaced stays."""
    old = driver.upload_object_via_stream(iter([b"old"]), bucket, "key")
    new = driver.upload_object_via_stream(iter([b"new"]), bucket, "key")
    code = refused(lambda: driver.delete_object(old, ex_check_condition=True))
    assert code == "PreconditionFailed"
    assert stored_body(s3, bucket, "key") == b"new"
    assert driver.delete_object(new, ex_check_condition=True)
    assert driver.delete_object(new, ex_check_condition=True)


def test_an_object_replaced_before_it_is_deleted(driver, counted, remote, cluster, s3, proxy):
    """Ceph 20 leaves the new one; before, it is deleted, as documented."""
    old = counted.upload_object_via_stream(iter([b"old"]), remote, "key")

    def write(request):
        driver.upload_object_via_stream(iter([b"new"]), remote, "key")

    proxy.plan = plan.once(plan.hook("head", write), plan.is_any("delete"))
    if cluster.version >= (20,):
        code = refused(lambda: counted.delete_object(old, ex_check_condition=True))
        assert code == "PreconditionFailed"
        assert stored_body(s3, remote, "key") == b"new"
    else:
        counted.delete_object(old, ex_check_condition=True)
        assert driver.list_container_objects(remote) == []


@pytest.mark.parametrize("versioning", [False, True], ids=["plain", "versioned"])
def test_the_answer_to_a_deletion_is_lost(counted, remote, s3, proxy, versioning):
    """The second attempt finds nothing to delete, and what the first has deleted counts."""
    if versioning:
        status = {"Status": "Enabled"}
        s3.put_bucket_versioning(Bucket=remote.name, VersioningConfiguration=status)
    obj = counted.upload_object_via_stream(iter([b"old"]), remote, "key")
    proxy.plan = plan.once(plan.LOSE, plan.is_any("delete"))
    assert counted.delete_object(obj, ex_check_condition=True)
    assert len(proxy.seen("delete")) == 2
    assert counted.list_container_objects(remote) == []
    counted.ex_empty_container(remote, ex_versions=True)
