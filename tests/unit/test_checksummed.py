"""Uploads and downloads where the server stores checksums, as Ceph 20 does."""

import io
import os

import pytest
import requests_mock
from unit.memory_ceph20 import Ceph20, checksum
from unit.memory_s3 import error

from libcloud_aurora import errors

MIB = 1_048_576
PART = 5 * MIB
DATA = os.urandom(2 * PART + 777)


@pytest.fixture
def s3(wire):
    """A server in memory that stores checksums, with one container named ``photos``."""
    server = Ceph20()
    server.buckets["photos"] = {}
    wire.register_uri(requests_mock.ANY, requests_mock.ANY, raw=server)
    return server


@pytest.fixture(params=["file", "stream"])
def upload(request, tmp_path, driver, container):
    """Upload bytes as a file or as a stream."""

    def send(data, **arguments):
        if request.param == "file":
            (tmp_path / "source").write_bytes(data)
            return driver.upload_object(str(tmp_path / "source"), container, "k", **arguments)
        return driver.upload_object_via_stream(io.BytesIO(data), container, "k", **arguments)

    return send


def crc32_of(requests):
    return [seen.headers.get("x-amz-checksum-crc32") for seen in requests]


# Uploads


@pytest.mark.parametrize("size", [0, 1, PART, PART + 1, len(DATA)])
def test_every_upload_carries_its_crc32(s3, upload, size):
    """A whole object, each part, and the object that the parts make have their CRC32 with them."""
    data = DATA[:size]
    s3.requests.clear()
    upload(data)
    bodies = [data[at : at + PART] for at in range(0, size, PART)] or [b""]
    sent = {int(seen.params.get("partNumber", 1)): seen for seen in s3.sent("PUT")}
    parts = [checksum("crc32", body) for body in bodies]
    assert crc32_of(sent[number] for number in sorted(sent)) == parts
    if size > PART:
        assert crc32_of(s3.sent("POST")[1:]) == [checksum("crc32", data)]
    assert s3.sums["k"]["x-amz-checksum-crc32"] == checksum("crc32", data)
    assert len(s3.requests) == (1 if size <= PART else 2 + len(bodies))


def test_a_checksum_of_the_callers_own_is_sent_instead(s3, upload):
    """Nothing is added to headers that name a checksum, and parts carry none that was not named."""
    upload(b"x", headers={"x-amz-checksum-sha256": "s"})
    assert crc32_of(s3.sent("PUT")) == [None]
    upload(DATA, headers={"x-amz-checksum-algorithm": "SHA256"})
    assert crc32_of(s3.requests) == [None] * len(s3.requests)


def test_a_server_that_says_nothing_of_the_whole_gets_the_parts_only(s3, upload):
    """Ceph 19 has checksums of parts only: it is not given one of the object to compare."""

    def composite(request):
        answer = s3._keyed(request) if request.method == "PUT" else None
        return answer and answer._replace(headers={"etag": answer.headers["etag"]})

    s3.faults.append(composite)
    upload(DATA)
    assert None not in crc32_of(s3.sent("PUT"))
    assert crc32_of(s3.sent("POST")) == [None, None]


def test_a_part_damaged_on_the_way_is_sent_again(s3, upload):
    """The server compares each part with its CRC32; a refused one is read and sent once more."""
    s3.fail(1, error(400, "BadDigest"), method="PUT")
    upload(DATA)
    assert s3.buckets["photos"]["k"].data == DATA


def test_a_damaged_object_is_not_stored(s3, upload):
    """An object that the server does not find to be its parts is an error, and leaves nothing."""
    s3.fail(9, error(400, "BadDigest"), method="POST", query="uploadId=2~upload1")
    with pytest.raises(errors.HashMismatchError, match="BadDigest"):
        upload(DATA)
    assert s3.uploads == {}


def test_a_file_that_changes_after_its_crc32_was_taken_is_named(s3, driver, container, tmp_path):
    """The server refuses the part, and the file is what has changed."""
    source = tmp_path / "source"
    source.write_bytes(DATA)

    def change(request):
        if request.method == "PUT":
            source.write_bytes(DATA + b"x")
            return error(400, "BadDigest")
        return None

    s3.faults.append(change)
    with pytest.raises(errors.FileChangedError):
        driver.upload_object(source, container, "k")
    assert s3.uploads == {}


@pytest.mark.parametrize("held", [{1: DATA[:PART]}, {1: DATA[:PART], 2: b"x" * PART}])
def test_a_resumed_upload_goes_on_with_checksums(s3, driver, container, tmp_path, held):
    """Parts that are there already count for the CRC32 of the object."""
    (tmp_path / "source").write_bytes(DATA)
    s3.begin("k", held, {"x-amz-checksum-algorithm": "CRC32"})
    driver.upload_object(tmp_path / "source", container, "k", ex_resume=True)
    assert None not in crc32_of(seen for seen in s3.sent("PUT") if "uploadId" in seen.params)
    complete = [seen for seen in s3.sent("POST") if "uploadId" in seen.params]
    assert crc32_of(complete) == [checksum("crc32", DATA)]
    assert s3.buckets["photos"]["k"].data == DATA


def test_a_resumed_upload_without_checksums_goes_on_without(s3, driver, container, tmp_path):
    """An upload that another program has begun without checksums needs no file read for them."""
    (tmp_path / "source").write_bytes(DATA)
    s3.begin("k", {1: DATA[:PART]})
    driver.upload_object(tmp_path / "source", container, "k", ex_resume=True)
    assert set(crc32_of(s3.sent("PUT") + s3.sent("POST"))) == {None}


@pytest.mark.parametrize(
    "text", [checksum("crc32", DATA), "AAAAAA==-3", None], ids=["whole", "composite", "none"]
)
def test_a_copy_in_parts_is_compared_with_the_crc32_of_its_source(s3, driver, container, text):
    """The server is told the CRC32 of the source's bytes, where it has one, and compares."""
    s3.put("source", DATA)
    s3.sums["source"] = {"x-amz-checksum-crc32": text} if text else {}
    source = driver.get_object("photos", "source")
    driver.ex_copy_object(source, container, "copy", ex_customer_key=bytes(32))
    complete = [seen for seen in s3.sent("POST") if "uploadId" in seen.params]
    assert crc32_of(complete) == [text if text and "-" not in text else None]
    assert s3.buckets["photos"]["copy"].data == DATA
