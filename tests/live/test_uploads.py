"""What is uploaded, from whatever it comes, is what the server stores."""

import io
import tempfile
import zlib

import pytest
import requests
from live.ceph import STORAGE_CLASS
from live.oracle import (
    MIB,
    PART,
    expected_etag,
    noise,
    stored_body,
    stored_etag,
    stored_head,
    stored_keys,
)

from libcloud_aurora import errors

SIZES = {
    "empty": 0,
    "one byte": 1,
    "below one part": PART - 1,
    "one part": PART,
    "above one part": PART + 1,
    "12 MiB": 12 * MIB,
}
each_size = pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
BODY = noise(6 * MIB + 123)


def check(s3, uploaded, container, key, body):
    """Compare what the driver says of an upload with what the server stored."""
    assert stored_body(s3, container, key) == body
    assert uploaded.hash == stored_etag(s3, container, key) == expected_etag(body)
    assert (uploaded.name, uploaded.size) == (key, len(body))
    assert uploaded.container.name == container.name


@each_size
def test_file_sizes(driver, s3, bucket, size, tmp_path):
    """Files of no byte, one byte and around the part size arrive whole; ``hash`` is the ETag."""
    (tmp_path / "file").write_bytes(noise(size))
    uploaded = driver.upload_object(str(tmp_path / "file"), bucket, "key")
    check(s3, uploaded, bucket, "key", noise(size))


@each_size
def test_stream_sizes(driver, s3, bucket, size):
    """Streams of no byte, one byte and around the part size arrive whole; ``hash`` is the ETag."""
    body = noise(size)
    chunks = (body[start : start + 70_000] for start in range(0, size, 70_000))
    uploaded = driver.upload_object_via_stream(chunks, bucket, "key")
    check(s3, uploaded, bucket, "key", body)


@pytest.mark.parametrize(("size", "sent"), [(0, 1), (PART, 1), (PART + 1, 4)])
def test_requests_of_a_stream(counted, proxy, new_bucket, size, sent):
    """A stream that ends within its first part is one PUT; else initiate, parts, complete."""
    bucket = counted.get_container(new_bucket())
    before = len(proxy.requests)
    counted.upload_object_via_stream(iter([noise(size)]), bucket, "key")
    writes = [request for request in proxy.requests[before:] if request.method != "HEAD"]
    assert [request.method for request in writes] == {1: ["PUT"]}.get(
        sent, ["POST", "PUT", "PUT", "POST"]
    )


class Lines:
    """An iterator whose length counts chunks, as Django's uploaded files have it."""

    def __init__(self, chunks):
        self._chunks = iter(chunks)
        self._length = len(chunks)

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._chunks)

    def __len__(self):
        return self._length


def pieces(body, size=1_000_003):
    """Return a body in chunks."""
    return [body[start : start + size] for start in range(0, len(body), size)]


@pytest.mark.parametrize("body", [BODY, b"short\nand\n"], ids=["parts", "one PUT"])
@pytest.mark.parametrize(
    "make",
    [
        lambda body: body,
        lambda body: bytearray(body),
        lambda body: memoryview(body),
        lambda body: pieces(body),
        lambda body: iter(pieces(body)),
        lambda body: iter([bytearray(piece) for piece in pieces(body)]),
        lambda body: iter([memoryview(piece) for piece in pieces(body)]),
        lambda body: (piece for piece in [b"", *pieces(body), b""]),
        lambda body: (piece for some in pieces(body) for piece in (b"", some, bytearray(), "")),
        lambda body: Lines(pieces(body)),
        lambda body: io.BytesIO(body),
        lambda body: iter(io.BytesIO(body)),
        lambda body: io.BufferedReader(io.BytesIO(body)),
    ],
    ids=[
        *("bytes", "bytearray", "memoryview", "list", "iterator", "bytearrays", "memoryviews"),
        *("empty ends", "empty chunks", "len of chunks", "BytesIO", "lines", "BufferedReader"),
    ],
)
def test_stream_kinds(driver, s3, bucket, make, body):
    """Every kind of input that programs use is stored byte for byte."""
    uploaded = driver.upload_object_via_stream(make(body), bucket, "key")
    check(s3, uploaded, bucket, "key", body)


def test_stream_of_text(driver, s3, bucket):
    """Text is stored as UTF-8, and in the same stream as bytes."""
    text = "gr\u00fc\u00dfe\n" * 700_000
    uploaded = driver.upload_object_via_stream(iter([text, b"end"]), bucket, "key")
    check(s3, uploaded, bucket, "key", text.encode() + b"end")


@pytest.mark.parametrize("limit", [1, 100 * MIB])
def test_stream_of_a_spooled_file(driver, s3, bucket, limit):
    """A spooled file is stored whole, whether it is on disk or not."""
    with tempfile.SpooledTemporaryFile(max_size=limit) as file:
        file.write(BODY)
        file.seek(0)
        uploaded = driver.upload_object_via_stream(file, bucket, "key")
    check(s3, uploaded, bucket, "key", BODY)


def test_stream_of_an_open_file(driver, s3, bucket, tmp_path):
    """An open file is stored from its position on, and as an iterator of lines too."""
    (tmp_path / "file").write_bytes(BODY)
    with open(tmp_path / "file", "rb") as file:
        file.seek(100)
        uploaded = driver.upload_object_via_stream(file, bucket, "file")
        check(s3, uploaded, bucket, "file", BODY[100:])
        file.seek(0)
        uploaded = driver.upload_object_via_stream(iter(file), bucket, "lines")
        check(s3, uploaded, bucket, "lines", BODY)


def test_compressor_with_empty_chunks(driver, s3, bucket):
    """A compressor, which yields nothing most of the time, is stored to its end."""

    def compressed():
        compressor = zlib.compressobj()
        for piece in pieces(BODY, 1000):
            yield compressor.compress(piece)
        yield compressor.flush()

    driver.upload_object_via_stream(compressed(), bucket, "key")
    assert zlib.decompress(stored_body(s3, bucket, "key")) == BODY


@pytest.mark.parametrize("body", [b"plain", noise(6 * MIB)], ids=["one PUT", "parts"])
@pytest.mark.parametrize("way", ["file", "stream"])
def test_extra(cluster, driver, s3, bucket, body, way, tmp_path):
    """Content type and metadata - underscores, numbers, other alphabets - arrive and come back.

    Ceph 16 makes a hyphen of an underscore in a name; 18 and 20 keep it.
    """
    values = {
        "file_name": "a b.txt",
        "count": 5,
        "title": "Gr\u00fc\u00dfe \u65e5\u672c",
        "empty": "",
    }
    extra = {"content_type": "text/x-test", "meta_data": dict(values)}
    if way == "file":
        (tmp_path / "file").write_bytes(body)
        driver.upload_object(str(tmp_path / "file"), bucket, "key", extra=extra)
    else:
        driver.upload_object_via_stream(iter([body]), bucket, "key", extra=extra)
    assert extra == {"content_type": "text/x-test", "meta_data": values}
    head = stored_head(s3, bucket, "key")
    assert head["ContentType"] == "text/x-test"
    name = "file_name" if cluster.version >= (18,) else "file-name"
    assert head["Metadata"][name] == "a b.txt"
    assert head["Metadata"]["count"] == "5"
    found = driver.get_object(bucket.name, "key")
    assert found.meta_data["title"] == values["title"]
    assert found.meta_data["count"] == "5"
    assert found.extra["content_type"] == "text/x-test"


@pytest.mark.parametrize("body", [b"plain", noise(6 * MIB)], ids=["one PUT", "parts"])
@pytest.mark.parametrize(("acl", "allowed"), [("public-read", True), ("private", False)])
def test_acl(driver, cluster, bucket, body, acl, allowed):
    """``extra={"acl": ...}`` decides whether everybody may read the object."""
    driver.upload_object_via_stream(iter([body]), bucket, "key", extra={"acl": acl})
    address = f"{cluster.endpoint}/{bucket.name}/key"
    answer = requests.get(address, timeout=20)
    assert answer.status_code == (200 if allowed else 403)
    assert not allowed or answer.content == body


@pytest.mark.parametrize("size", [10, 6 * MIB], ids=["one PUT", "parts"])
@pytest.mark.parametrize("way", ["file", "stream"])
def test_headers(driver, s3, bucket, size, way, tmp_path):
    """The caller's headers are sent with the object, and the dict stays as it was."""
    given = {"Cache-Control": "max-age=5", "Content-Disposition": 'attachment; filename="x y"'}
    headers = dict(given)
    extra = {"meta_data": {"a": "b"}, "acl": "public-read"}
    if way == "file":
        (tmp_path / "file").write_bytes(noise(size))
        driver.upload_object(str(tmp_path / "file"), bucket, "key", extra, True, headers)
    else:
        driver.upload_object_via_stream(iter([noise(size)]), bucket, "key", extra, headers)
    assert headers == given
    head = stored_head(s3, bucket, "key")
    assert head["CacheControl"] == "max-age=5"
    assert head["ContentDisposition"] == 'attachment; filename="x y"'


@pytest.mark.parametrize("size", [10, 6 * MIB], ids=["one PUT", "parts"])
def test_storage_class(counted, proxy, s3, new_bucket, size):
    """A storage class that the server knows is used; none is sent when none is asked for."""
    bucket = counted.get_container(new_bucket())
    counted.upload_object_via_stream(iter([noise(size)]), bucket, "none")
    assert not any("x-amz-storage-class" in request.headers for request in proxy.requests)
    for name in (STORAGE_CLASS, "standard", "STANDARD"):
        counted.upload_object_via_stream(iter([noise(size)]), bucket, "key", ex_storage_class=name)
        stored = stored_head(s3, bucket, "key").get("StorageClass", "STANDARD")
        assert stored == name.upper()


def test_storage_class_of_a_file(driver, s3, bucket, tmp_path):
    """``upload_object`` takes a storage class too."""
    (tmp_path / "file").write_bytes(b"x")
    driver.upload_object(str(tmp_path / "file"), bucket, "key", ex_storage_class=STORAGE_CLASS)
    assert stored_head(s3, bucket, "key").get("StorageClass") == STORAGE_CLASS


@pytest.mark.parametrize("size", [10, 6 * MIB], ids=["one PUT", "parts"])
def test_storage_class_that_the_server_does_not_know(driver, s3, bucket, size):
    """An unknown storage class is the server's error, and nothing is stored."""
    with pytest.raises(errors.AuroraObjectsError, match="InvalidArgument"):
        driver.upload_object_via_stream(
            iter([noise(size)]), bucket, "key", ex_storage_class="UNKNOWN"
        )
    assert stored_keys(s3, bucket.name) == []


@pytest.mark.parametrize("size", [10, 6 * MIB], ids=["one PUT", "parts"])
@pytest.mark.parametrize("verify_hash", [True, False])
def test_verify_hash(driver, s3, bucket, size, verify_hash, tmp_path):
    """Both values of ``verify_hash`` store the file and return its ETag."""
    (tmp_path / "file").write_bytes(noise(size))
    uploaded = driver.upload_object(str(tmp_path / "file"), bucket, "key", verify_hash=verify_hash)
    check(s3, uploaded, bucket, "key", noise(size))


@pytest.mark.parametrize("body", [b"new", noise(6 * MIB)], ids=["one PUT", "parts"])
def test_overwriting(driver, s3, bucket, body):
    """An upload replaces the object of that name."""
    s3.put_object(Bucket=bucket.name, Key="key", Body=b"old", Metadata={"old": "yes"})
    uploaded = driver.upload_object_via_stream(iter([body]), bucket, "key")
    check(s3, uploaded, bucket, "key", body)
    assert stored_head(s3, bucket, "key")["Metadata"] == {}


def test_default_content_type(driver, s3, bucket, tmp_path):
    """Without a content type a file's name decides."""
    (tmp_path / "page.html").write_bytes(b"<html>")
    driver.upload_object(str(tmp_path / "page.html"), bucket, "page.html")
    assert stored_head(s3, bucket, "page.html")["ContentType"] == "text/html"


@pytest.mark.parametrize("size", [100, 6 * MIB], ids=["one PUT", "parts"])
def test_a_source_that_fails_stores_nothing(driver, s3, bucket, size):
    """When the source fails, its error comes out and nothing is stored."""

    def broken():
        yield noise(size)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        driver.upload_object_via_stream(broken(), bucket, "key")
    assert stored_keys(s3, bucket.name) == []


@pytest.mark.parametrize("text", ["voilà", "Å", "Š", "à"])
@pytest.mark.parametrize("size", [10, 6 * MIB], ids=["one PUT", "parts"])
def test_letters_whose_last_byte_looks_like_a_blank(driver, s3, bucket, size, text):
    """Metadata and types that end in such a letter are signed, stored and copied like others."""
    extra = {"meta_data": {"n": text}, "content_type": f"text/plain; x={text}"}
    obj = driver.upload_object_via_stream(iter([noise(size)]), bucket, "key", extra)
    assert driver.get_object(bucket.name, "key").meta_data == {"n": text}
    copy = driver.ex_copy_object(obj, bucket, "copy", {"content_type": "text/plain"})
    assert copy.meta_data == {"n": text}


@pytest.mark.parametrize("size", [10, 6 * MIB], ids=["one PUT", "parts"])
def test_conditions_protect_an_object(driver, s3, bucket, size):
    """With If-None-Match an object is never overwritten, of however many parts the new one is."""
    s3.put_object(Bucket=bucket.name, Key="key", Body=b"old")
    with pytest.raises((errors.AuroraObjectsError, ValueError)):
        driver.upload_object_via_stream(
            iter([noise(size)]), bucket, "key", headers={"If-None-Match": "*"}
        )
    assert stored_body(s3, bucket, "key") == b"old"


def test_memory_that_is_used_again(driver, s3, bucket):
    """A bytearray that its iterator clears and fills again arrives as it was when yielded."""
    body = noise(6 * MIB)

    def chunks():
        buffer = bytearray()
        for start in range(0, len(body), 100_000):
            buffer += body[start : start + 100_000]
            yield buffer
            buffer.clear()

    check(s3, driver.upload_object_via_stream(chunks(), bucket, "key"), bucket, "key", body)
