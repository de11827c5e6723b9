"""Checksums that Ceph 20 stores, and that Ceph 16 and 18 ignore."""

import base64
import io
import zlib

import pytest
from live.oracle import MIB, PART, expected_etag, noise, stored_body
from servers import plan
from servers.backend import store_parts

from libcloud_aurora import errors

SIZES = [0, 1, PART, 2 * PART + MIB]


@pytest.fixture
def stored_crc32(s3, cluster, bucket):
    """Check the CRC32 that the server has of an object: none before Ceph 20."""

    def check(key, body, **asked):
        head = s3.head_object(Bucket=bucket.name, Key=key, ChecksumMode="ENABLED", **asked)
        expected = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
        found = head.get("ChecksumCRC32"), head.get("ChecksumType")
        assert found == ((expected, "FULL_OBJECT") if cluster.version >= (20,) else (None, None))

    return check


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["file", "stream"])
def test_uploads_have_a_crc32_of_the_whole(driver, s3, bucket, tmp_path, stored_crc32, size, kind):
    """An object has one CRC32, whether it is sent whole or in parts; Ceph 16 and 18 have none."""
    body = noise(size)
    if kind == "file":
        (tmp_path / "source").write_bytes(body)
        obj = driver.upload_object(tmp_path / "source", bucket, "key")
    else:
        obj = driver.upload_object_via_stream(io.BytesIO(body), bucket, "key")
    assert obj.hash == expected_etag(body)
    assert stored_body(s3, bucket, "key") == body
    stored_crc32("key", body)


def test_a_resumed_upload_has_a_crc32_too(driver, bucket, tmp_path, stored_crc32):
    """The parts of an earlier call count."""
    body = noise(3 * PART)
    (tmp_path / "source").write_bytes(body)

    def stop(done, size):
        if done >= PART:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        driver.upload_object(tmp_path / "source", bucket, "key", ex_resume=True, ex_progress=stop)
    driver.upload_object(tmp_path / "source", bucket, "key", ex_resume=True)
    stored_crc32("key", body)


def test_an_unsigned_part_that_is_damaged_is_sent_again(
    s3, cluster, proxy, make_driver, bucket, tmp_path
):
    """Nothing but the CRC32 finds a bit that is wrong there, so before Ceph 20 nothing does."""
    s3.put_bucket_acl(Bucket=bucket.name, ACL="public-read-write")
    nobody = cluster.owner._replace(access_key="", secret_key="")
    container = make_driver(nobody, ex_anonymous=True, port=proxy.port).get_container(bucket.name)
    body = noise(2 * PART + MIB)
    (tmp_path / "source").write_bytes(body)
    proxy.plan = plan.once(plan.FLIP_UP, plan.is_any("part"))
    container.upload_object(tmp_path / "source", "key", {"acl": "public-read"})
    assert (stored_body(s3, bucket, "key") == body) == (cluster.version >= (20,))
    sent = [seen.operation for seen in proxy.requests].count("part")
    assert sent == 3 + (cluster.version >= (20,))


@pytest.mark.parametrize("size", [MIB, PART + MIB])
def test_a_copy_keeps_the_crc32(driver, bucket, stored_crc32, size):
    """The copy that the server makes of an object has its CRC32."""
    body = noise(size)
    obj = driver.upload_object_via_stream(io.BytesIO(body), bucket, "key")
    driver.ex_copy_object(obj, bucket, "copy")
    stored_crc32("copy", body)


# Downloads

ODD = [noise(6 * MIB, 1), noise(PART, 2), noise(PART + 7, 3), noise(99, 4)]
ALGORITHMS = ["CRC32", "SHA1", "SHA256", "CRC32C", "CRC64NVME", None]


@pytest.fixture(params=["file", "stream"])
def download(request, counted, remote, tmp_path):
    """Download an object through the proxy as a file or as a stream, and return its bytes."""

    def fetch(key, **arguments):
        obj = counted.get_object(remote.name, key, **arguments)
        if request.param == "file":
            counted.download_object(obj, tmp_path / "file", overwrite_existing=True, **arguments)
            return (tmp_path / "file").read_bytes()
        return b"".join(counted.download_object_as_stream(obj, **arguments))

    return fetch


def asked(proxy):
    """Return how many requests ask what the server knows of an object's bytes."""
    return [seen.operation for seen in proxy.requests].count("attributes")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_parts_of_any_size_and_any_checksum(s3, cluster, proxy, remote, download, algorithm):
    """Ceph 20 tells checksum and parts, with one request; before, two downloads must agree."""
    store_parts(s3, remote.name, "key", ODD, algorithm)
    assert download("key") == b"".join(ODD)
    tells = cluster.version >= (20,)
    assert asked(proxy) == tells
    ranges = [seen for seen in proxy.requests if seen.operation == "get"]
    bytes_down = sum(seen.bytes_down for seen in ranges)
    assert bytes_down == len(b"".join(ODD)) * (1 if tells else 2)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_object_of_one_part(s3, proxy, remote, download, algorithm):
    """Its ETag or its checksum is known without a question, and 20.2.4's odd CRC32 left alone."""
    store_parts(s3, remote.name, "key", ODD[:1], algorithm)
    assert download("key") == ODD[0]
    assert asked(proxy) == 0


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_damaged_stream_of_parts_of_any_size(s3, counted, proxy, remote, algorithm):
    """A bit that is wrong is found by every checksum, and by a second download before Ceph 20."""
    store_parts(s3, remote.name, "key", ODD, algorithm)
    obj = counted.get_object(remote.name, "key")
    proxy.plan = plan.once(plan.FLIP_DOWN, plan.is_any("get"))
    with pytest.raises(errors.HashMismatchError):
        list(counted.download_object_as_stream(obj))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_damaged_file_of_parts_of_any_size(s3, counted, proxy, remote, tmp_path, algorithm):
    """A file is fetched again, and is right in the end."""
    store_parts(s3, remote.name, "key", ODD, algorithm)
    obj = counted.get_object(remote.name, "key")
    proxy.plan = plan.once(plan.FLIP_DOWN, plan.is_any("get"))
    counted.download_object(obj, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"".join(ODD)


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256", None])
def test_small_objects_of_any_checksum(s3, proxy, remote, download, algorithm):
    """A whole response has the checksum with it, on Ceph 20; no request more on any server."""
    named = {"ChecksumAlgorithm": algorithm} if algorithm else {}
    s3.put_object(Bucket=remote.name, Key="key", Body=ODD[3], **named)
    before = len(proxy.requests)
    assert download("key") == ODD[3]
    assert [seen.operation for seen in proxy.requests[before:]] == ["head", "get"]


def test_uploads_of_this_driver_come_down_verified(counted, proxy, cluster, remote, download):
    """What is sent in parts is compared with the CRC32 of the whole, found by one request."""
    body = b"".join(ODD)
    counted.upload_object_via_stream(io.BytesIO(body), remote, "key")
    assert download("key") == body
    assert asked(proxy) == (cluster.version >= (20,))
    proxy.plan = plan.once(plan.FLIP_DOWN, plan.is_any("attributes"))
    assert download("key") == body


def test_who_may_read_but_not_ask_still_verifies(s3, cluster, remote, proxy, make_driver, tmp_path):
    """A policy that allows GetObject alone is enough: the parts are guessed as on other servers."""
    body = b"".join(ODD)[: 3 * PART]
    store_parts(s3, remote.name, "key", [body[at : at + PART] for at in range(0, len(body), PART)])
    policy = """{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*",
        "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::%s/*"]}]}"""
    s3.put_bucket_policy(Bucket=remote.name, Policy=policy % remote.name)
    reader = make_driver(cluster.stranger, port=proxy.port)
    obj = reader.get_object(remote.name, "key")
    reader.download_object(obj, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == body


@pytest.mark.parametrize("count", [1, 2, 4])
def test_what_radosgw_has_appended_is_read(driver, bucket, tmp_path, count):
    """An object made of appended pieces, whose ETag is a chain, comes down, and so does a copy."""
    body = b""
    for number in range(1, count + 1):
        place = {"append": "", "position": str(len(body))}
        piece = bytes([number]) * number
        driver.connection.request(f"/{bucket.name}/log", place, piece, method="PUT")
        body += piece
    obj = driver.get_object(bucket.name, "log")
    assert b"".join(driver.download_object_as_stream(obj)) == body
    copy = driver.ex_copy_object(obj, bucket, "copy")
    driver.download_object(copy, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == body
