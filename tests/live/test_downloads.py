"""What is downloaded is what the server stores; the destination is the old file or the new one."""

import gzip
import io

import pytest
from libcloud.common.types import LibcloudError
from live.operations import foreign_object
from live.oracle import MIB, PART, noise
from live.program import output

SIZES = {
    "empty": 0,
    "one byte": 1,
    "below 1 MiB": MIB - 1,
    "1 MiB": MIB,
    "above 1 MiB": MIB + 1,
    "below one part": PART - 1,
    "one part": PART,
    "above one part": PART + 1,
    "24 MiB": 24 * MIB,
}
each_size = pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)


@pytest.fixture
def stored(driver, s3, bucket):
    """Store bytes with boto3 and return them as the driver's object."""

    def store(body, key="key", **extra):
        s3.put_object(Bucket=bucket.name, Key=key, Body=body, **extra)
        return driver.get_object(bucket.name, key)

    return store


@each_size
def test_to_a_file(driver, stored, size, tmp_path):
    """Every size arrives whole and leaves no other file behind."""
    item = stored(noise(size))
    assert driver.download_object(item, str(tmp_path / "copy")) is True
    assert (tmp_path / "copy").read_bytes() == noise(size)
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


@each_size
def test_as_a_stream(driver, stored, size):
    """Every size streams whole; an empty object yields one empty chunk."""
    chunks = list(driver.download_object_as_stream(stored(noise(size))))
    assert b"".join(chunks) == noise(size)
    assert all(type(chunk) is bytes for chunk in chunks)
    assert len(chunks) == max(1, -(-size // MIB))


@pytest.mark.parametrize("size", [1, 10, MIB + 1, 3 * MIB])
@pytest.mark.parametrize("chunk_size", [1, 7, 65_536, MIB, 2 * MIB + 1, 10 * MIB])
def test_chunk_size_is_exact(driver, stored, size, chunk_size):
    """All chunks but the last have exactly the size that was asked for."""
    if size // chunk_size > 10_000:
        size = 10_000 * chunk_size + 1
    item = stored(noise(size))
    lengths = [len(chunk) for chunk in driver.download_object_as_stream(item, chunk_size)]
    assert sum(lengths) == size
    assert set(lengths[:-1]) <= {chunk_size}
    assert 0 < lengths[-1] <= chunk_size


def test_first_chunk_of_the_objects_size(driver, stored):
    """One chunk of the object's size is the whole object, as django-storages reads it."""
    item = stored(noise(3 * MIB))
    stream = driver.download_object_as_stream(item, item.size)
    assert next(stream) == noise(3 * MIB)
    assert list(stream) == []
    empty = stored(b"", "empty")
    assert next(driver.download_object_as_stream(empty, empty.size)) == b""


RANGES = [(0, 1), (0, None), (5, None), (5, 6), (MIB - 1, MIB + 1), (9 * MIB, None), (0, 99 * MIB)]


@pytest.mark.parametrize(("start", "end"), RANGES)
def test_ranges(driver, stored, start, end, tmp_path):
    """A range has the bytes from its start to before its end, clipped at the object's end."""
    body = noise(10 * MIB)
    item = stored(body)
    assert b"".join(driver.download_object_range_as_stream(item, start, end)) == body[start:end]
    target = tmp_path / "copy"
    assert driver.download_object_range(item, str(target), start, end) is True
    assert target.read_bytes() == body[start:end]
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


@pytest.mark.parametrize("end", [None, 5])
def test_range_of_an_empty_object(driver, stored, end, tmp_path):
    """A range from the start of an empty object is empty, as with libcloud's local driver."""
    item = stored(b"")
    assert list(driver.download_object_range_as_stream(item, 0, end)) == [b""]
    driver.download_object_range(item, str(tmp_path / "copy"), 0, end)
    assert (tmp_path / "copy").read_bytes() == b""


def test_range_chunk_size(driver, stored):
    """Range streams keep the chunk size too."""
    item = stored(noise(3 * MIB))
    chunks = list(driver.download_object_range_as_stream(item, 7, 2 * MIB + 7, 400_000))
    assert [len(chunk) for chunk in chunks] == [400_000] * 5 + [2 * MIB - 2_000_000]
    assert b"".join(chunks) == noise(3 * MIB)[7 : 2 * MIB + 7]


@pytest.mark.parametrize("size", [1000, 6 * MIB])
def test_content_encoding_is_left_alone(driver, stored, size, tmp_path):
    """An object stored with ``Content-Encoding: gzip`` comes back as stored, every way."""
    body = gzip.compress(noise(size))
    item = stored(body, ContentEncoding="gzip")
    assert item.size == len(body)
    driver.download_object(item, str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_bytes() == body
    assert b"".join(driver.download_object_as_stream(item)) == body
    assert b"".join(driver.download_object_range_as_stream(item, 3, 50)) == body[3:50]


def test_uploaded_content_encoding(driver, s3, bucket):
    """A gzip stream uploaded with its header comes back as the same gzip stream."""
    body = gzip.compress(b"text" * 1000)
    item = driver.upload_object_via_stream(
        iter([body]), bucket, "key", headers={"Content-Encoding": "gzip"}
    )
    assert s3.head_object(Bucket=bucket.name, Key="key")["ContentEncoding"] == "gzip"
    assert b"".join(item.as_stream()) == body


def test_into_a_directory(driver, stored, tmp_path):
    """A directory as destination receives the object under its own name."""
    item = stored(b"inside", "some/where/name.txt")
    assert driver.download_object(item, str(tmp_path)) is True
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files == [tmp_path / "some" / "where" / "name.txt"]
    assert files[0].read_bytes() == b"inside"


MOUNTED = """
import subprocess
mounted, target = sys.argv[1:]
subprocess.run(["mount", "--bind", mounted, target], check=True)
try:
    driver.download_object(container.get_object("key"), target, overwrite_existing=True)
except libcloud_aurora.errors.AuroraObjectsError as error:
    print(error)
print(open(target).read())
"""


def test_onto_a_mounted_file(stored, cluster, bucket, tmp_path):
    """A file that is a mount, as Docker makes it, is refused at once: no rename replaces it."""
    stored(b"new")
    for name in ("mounted", "target"):
        (tmp_path / name).write_text(f"old {name}")
    refused, left = output(
        MOUNTED,
        user=cluster.owner,
        port=cluster.port,
        bucket=bucket.name,
        arguments=[tmp_path / "mounted", tmp_path / "target"],
        within=["unshare", "--map-root-user", "--mount"],
    ).splitlines()
    assert "mount its directory instead, or write the chunks of" in refused
    assert left == "old mounted"


def test_overwriting(driver, stored, tmp_path):
    """``overwrite_existing=True`` replaces the file, positionally too."""
    item = stored(b"new")
    (tmp_path / "copy").write_bytes(b"older and longer")
    assert driver.download_object(item, str(tmp_path / "copy"), True) is True
    assert (tmp_path / "copy").read_bytes() == b"new"
    assert driver.download_object_range(item, str(tmp_path / "copy"), 1, 2, True) is True
    assert (tmp_path / "copy").read_bytes() == b"e"


@pytest.mark.parametrize("delete_on_failure", [True, False])
def test_failure_leaves_the_destination(driver, bucket, delete_on_failure, tmp_path):
    """A failed download leaves the destination as it was, and nothing beside it."""
    (tmp_path / "copy").write_bytes(b"precious")
    for call in (
        lambda o, p: driver.download_object(o, p, True, delete_on_failure),
        lambda o, p: driver.download_object_range(o, p, 0, 5, True, delete_on_failure),
    ):
        with pytest.raises(LibcloudError):
            call(foreign_object(bucket, "absent"), str(tmp_path / "copy"))
        assert (tmp_path / "copy").read_bytes() == b"precious"
        assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_two_drivers_share_an_object(make_driver, stored, tmp_path):
    """An object that one driver found downloads with another driver."""
    item = stored(noise(2 * MIB))
    assert make_driver().download_object(item, str(tmp_path / "copy")) is True
    assert (tmp_path / "copy").read_bytes() == noise(2 * MIB)


def test_objects_built_elsewhere(driver, stored, bucket, tmp_path):
    """An object of which nothing is known but its name works everywhere."""
    stored(noise(6 * MIB))
    item = foreign_object(bucket, "key")
    assert driver.download_object(item, str(tmp_path / "copy")) is True
    assert (tmp_path / "copy").read_bytes() == noise(6 * MIB)
    assert b"".join(driver.download_object_as_stream(item)) == noise(6 * MIB)
    assert b"".join(driver.download_object_range_as_stream(item, 1, 5)) == noise(6 * MIB)[1:5]
    assert driver.delete_object(item) is True


@pytest.mark.parametrize(("size", "hash_"), [(0, None), (0, ""), (3, "0" * 32)])
def test_objects_built_wrongly(driver, stored, bucket, size, hash_, tmp_path):
    """What somebody else wrote into an object does not truncate its download."""
    stored(noise(2 * MIB))
    item = foreign_object(bucket, "key")
    item.size, item.hash = size, hash_
    assert driver.download_object(item, str(tmp_path / "copy")) is True
    assert (tmp_path / "copy").read_bytes() == noise(2 * MIB)
    assert b"".join(driver.download_object_as_stream(item)) == noise(2 * MIB)


@pytest.mark.parametrize("size", [9 * MIB, 14 * MIB])
def test_large_objects_of_boto3_are_read(driver, s3, bucket, tmp_path, size):
    """What boto3 uploads in parts of 8 MiB, even if ours were as many, is read in each way."""
    body = noise(size)
    s3.upload_fileobj(io.BytesIO(body), bucket.name, "key")
    item = driver.get_object(bucket.name, "key")
    assert item.hash.endswith("-2")
    assert b"".join(driver.download_object_as_stream(item)) == body
    assert next(driver.download_object_as_stream(item, item.size)) == body
    driver.download_object(item, str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_bytes() == body


def test_versions_are_named(driver, s3, bucket):
    """In a versioned container an upload of one request and HEAD say which version it is."""
    s3.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": "Enabled"})
    stored = driver.upload_object_via_stream([b"1"], bucket, "key")
    found = driver.get_object(bucket.name, "key")
    version = s3.head_object(Bucket=bucket.name, Key="key")["VersionId"]
    assert stored.extra["version_id"] == found.extra["version_id"] == version
    assert found.extra.keys() >= stored.extra.keys() - {"acl"}
    s3.delete_object(Bucket=bucket.name, Key="key", VersionId=version)
