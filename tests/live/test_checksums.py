"""Checksums that Ceph 20 stores, and that Ceph 16 and 18 ignore."""

import base64
import io
import zlib

import pytest
from live.oracle import MIB, PART, expected_etag, noise, stored_body

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


@pytest.mark.parametrize("size", [MIB, PART + MIB])
def test_a_copy_keeps_the_crc32(driver, bucket, stored_crc32, size):
    """The copy that the server makes of an object has its CRC32."""
    body = noise(size)
    obj = driver.upload_object_via_stream(io.BytesIO(body), bucket, "key")
    driver.ex_copy_object(obj, bucket, "copy")
    stored_crc32("copy", body)
