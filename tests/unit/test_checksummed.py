"""Uploads and downloads where the server stores checksums, as Ceph 20 does."""

import io
import os
import re
from random import Random

import pytest
import requests_mock
from unit.memory_ceph20 import Ceph20, checksum, of_parts
from unit.memory_s3 import Answer, Stored, composite, error, md5

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
    """A whole object has its CRC32 with it, and parts have the whole's when they are completed."""
    data = DATA[:size]
    s3.requests.clear()
    upload(data)
    whole, parts = checksum("crc32", data), -(-size // PART)
    assert crc32_of(s3.sent("PUT")) == ([whole] if size <= PART else [None] * parts)
    assert crc32_of(s3.sent("POST")) == ([] if size <= PART else [None, whole])
    assert s3.sums["k"]["x-amz-checksum-crc32"] == whole
    assert len(s3.requests) == (1 if size <= PART else 2 + parts)


@pytest.mark.parametrize("name", ["x-amz-checksum-sha256", "X-Amz-Sdk-Checksum-Algorithm"])
def test_a_checksum_of_the_callers_own_is_refused(s3, upload, name):
    """A server may ignore it; the driver's own is sent wherever one is stored."""
    before = len(s3.requests)
    with pytest.raises(ValueError, match="the driver itself sends a CRC32"):
        upload(b"x", headers={name: "s"})
    assert len(s3.requests) == before


def test_a_server_that_says_nothing_of_the_whole_is_not_told(s3, upload):
    """A server may have checksums of parts only: it is not given one of the object to compare."""

    def composite(request):
        answer = s3._keyed(request) if request.method == "PUT" else None
        return answer and answer._replace(headers={"etag": answer.headers["etag"]})

    s3.faults.append(composite)
    upload(DATA)
    assert crc32_of(s3.sent("POST")) == [None, None]


def flipped(data):
    """Return bytes with one bit that is wrong."""
    return bytes([data[0] ^ 1]) + data[1:]


def damaging_part(s3, times):
    """Let the first part arrive with a bit that is wrong, some times."""
    left = iter(range(times))

    def fault(request):
        if request.params.get("partNumber") == "1" and next(left, None) is not None:
            request.body = flipped(request.body)

    s3.faults.append(fault)


def test_a_part_damaged_on_the_way_is_sent_again(s3, upload):
    """What the server says of a part is compared with what was sent; it is read and sent anew."""
    damaging_part(s3, 1)
    upload(DATA)
    assert s3.buckets["photos"]["k"].data == DATA
    assert len(s3.sent("PUT")) == 4


def test_a_part_that_is_damaged_each_time_leaves_nothing(s3, upload):
    """What the server never finds to be what was sent is an error."""
    damaging_part(s3, 99)
    damaged = checksum("crc32", flipped(DATA[:PART]))
    with pytest.raises(errors.HashMismatchError, match=re.escape(damaged)):
        upload(DATA)
    assert s3.uploads == {}


def test_a_part_that_the_server_refuses_is_sent_again(s3, upload):
    """What is signed is compared by the server, too."""
    s3.fail(1, error(400, "BadDigest"), method="PUT")
    upload(DATA)
    assert s3.buckets["photos"]["k"].data == DATA


def test_a_damaged_object_is_not_stored(s3, upload):
    """An object that the server does not find to be its parts is an error, and leaves nothing."""
    s3.fail(9, error(400, "BadDigest"), method="POST", query="uploadId=2~upload1")
    with pytest.raises(errors.HashMismatchError, match="BadDigest"):
        upload(DATA)
    assert s3.uploads == {}


def test_a_file_that_changes_while_it_is_sent_is_named(s3, driver, container, tmp_path):
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
    complete = [seen for seen in s3.sent("POST") if "uploadId" in seen.params]
    assert crc32_of(complete) == [checksum("crc32", DATA)]
    assert s3.buckets["photos"]["k"].data == DATA


def test_a_part_that_is_kept_is_read_once(s3, new_driver, container, tmp_path, readings):
    """CRC32 and MD5 of a part that the server holds come of the same reading of the file."""
    (tmp_path / "source").write_bytes(DATA)
    s3.begin("k", {1: DATA[:PART], 2: DATA[PART : 2 * PART]}, {"x-amz-checksum-algorithm": "CRC32"})
    new_driver().upload_object(tmp_path / "source", container, "k", ex_resume=True)
    assert sum(readings) == len(DATA)


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


# Downloads

ODD = [DATA[: 6 * MIB], DATA[6 * MIB : 6 * MIB + PART], DATA[6 * MIB + PART :]]


@pytest.fixture(params=["file", "stream"])
def download(request, tmp_path, driver):
    """Download the object ``k`` as a file or as a stream, and return its bytes."""

    def fetch():
        obj = driver.get_object("photos", "k")
        if request.param == "file":
            driver.download_object(obj, tmp_path / "file", overwrite_existing=True)
            return (tmp_path / "file").read_bytes()
        return b"".join(driver.download_object_as_stream(obj))

    return fetch


def asked(s3):
    """Return the requests for checksum and parts of an object."""
    return [seen for seen in s3.requests if "attributes" in seen.params]


def damaging(s3, at, times=99, bit=0):
    """Flip a bit of the object on its way, wherever its byte is asked for."""
    left = iter(range(times))

    def fault(request):
        if request.method != "GET" or request.key != "k" or "attributes" in request.params:
            return None
        answer = s3._keyed(request)
        start = int(answer.headers.get("content-range", "bytes 0-").split()[1].split("-")[0])
        if not start <= at < start + len(answer.body) or next(left, None) is None:
            return answer
        body = bytearray(answer.body)
        body[at - start] ^= 1 << bit
        return answer._replace(body=bytes(body))

    s3.faults.append(fault)


def stored(s3, name, parts=ODD):
    """Store the object ``k`` as some client would, and return its bytes."""
    data = b"".join(parts)
    if name in ("small", "sha1", "plain ETag"):
        data = data[:1000]
        s3.put("k", data)
        algorithm = {"small": "crc32", "sha1": "sha1"}.get(name)
        if algorithm:
            s3.sums["k"] = {f"x-amz-checksum-{algorithm}": checksum(algorithm, data)}
    elif name == "crc32 of all":
        s3.put_parts("k", parts, composite(parts))
        s3.sums["k"] = {"x-amz-checksum-crc32": checksum("crc32", data)}
    else:
        s3.put_parts("k", parts, composite(parts), algorithm=name.partition(" ")[0] or None)
    return data


KINDS = ["small", "sha1", "crc32 of all", "crc32 of parts", "sha256 of parts", ""]


@pytest.mark.parametrize("kind", KINDS)
def test_objects_of_any_client_are_verified(s3, download, kind):
    """By the checksum the server has, else by the ETag of the parts that it tells; no guess."""
    data = stored(s3, kind)
    s3.requests.clear()
    assert download() == data
    assert len(asked(s3)) == (len(data) == len(DATA))
    whole = [seen for seen in s3.sent("GET") if not seen.params and "range" not in seen.headers]
    assert {seen.headers["x-amz-checksum-mode"] for seen in whole} <= {"ENABLED"}


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_found_by_any_checksum(s3, download, kind):
    """A bit that is wrong each time is an error that names what differs."""
    damaging(s3, len(stored(s3, kind)) // 2)
    with pytest.raises(errors.HashMismatchError, match=r"has (CRC32|SHA1|SHA256|ETag) '"):
        download()


@pytest.mark.parametrize("kind", ["crc32 of all", "", "plain ETag"])
def test_one_bit_is_found_in_a_hundred_of_a_hundred_tries(s3, driver, kind):
    """By CRC32 and by MD5, wherever it is in the object, and whichever part has it."""
    parts = [DATA[:700], DATA[700:1900], DATA[1900:2000]]
    stored(s3, kind, parts)
    obj, random = driver.get_object("photos", "k"), Random(kind)
    for _ in range(100):
        s3.faults.clear()
        damaging(s3, random.randrange(obj.size), bit=random.randrange(8))
        with pytest.raises(errors.HashMismatchError):
            list(driver.download_object_as_stream(obj))


@pytest.mark.parametrize("kind", KINDS)
def test_damage_that_passes_is_fetched_again(s3, driver, tmp_path, kind):
    """A file is right in the end; what the server says of it is asked for again, too."""
    data = stored(s3, kind)
    damaging(s3, len(data) // 2, times=1)
    driver.download_object(driver.get_object("photos", "k"), tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == data
    assert len(asked(s3)) in (0, 2)


def test_a_resumed_download_is_verified_by_its_crc32(s3, driver, tmp_path):
    """What an earlier call has fetched is read from the file."""
    stored(s3, "crc32 of all")
    obj = driver.get_object("photos", "k")

    def stop(done, size):
        if done >= 4 * MIB:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        driver.download_object(obj, tmp_path / "file", ex_resume=True, ex_progress=stop)
    driver.download_object(obj, tmp_path / "file", ex_resume=True)
    assert (tmp_path / "file").read_bytes() == DATA


@pytest.mark.parametrize(
    "answer",
    [
        error(403, "AccessDenied"),
        Answer(200, b"<Other/>"),
        Answer(200, b"<GetObjectAttributes><ETag>another</ETag></GetObjectAttributes>"),
        Answer(
            200,
            b"<GetObjectAttributes><ETag>%s</ETag><ObjectParts><Part><PartNumber>1</PartNumber>"
            b"<Size>7</Size></Part></ObjectParts></GetObjectAttributes>"
            % composite([DATA[:PART], DATA[PART : 2 * PART], DATA[2 * PART :]]).encode(),
        ),
    ],
    ids=["refused", "another document", "another version", "parts of another size"],
)
def test_where_the_server_does_not_tell_the_parts_they_are_guessed(s3, download, answer):
    """As with servers that never tell: the ETag of equal parts is found."""
    parts = [DATA[:PART], DATA[PART : 2 * PART], DATA[2 * PART :]]
    s3.put_parts("k", parts, composite(parts))
    s3.fail(99, answer, query="attributes=")
    assert download() == DATA
    assert asked(s3)


def test_a_checksum_of_other_parts_does_not_count(s3, download):
    """Where the number of parts is another one, the ETag decides."""
    stored(s3, "")
    s3.sums["k"] = {"x-amz-checksum-sha256": of_parts("sha256", [DATA, DATA])}
    assert download() == DATA


def test_a_checksum_of_digests_is_not_taken_for_that_of_bytes(s3, download):
    """Ceph 20 leaves out the number of parts as it copies an object of one: the ETag decides."""
    data = DATA[:1000]
    s3.put_parts("k", [data], composite([data]))
    s3.sums["k"] = {"x-amz-checksum-sha256": of_parts("sha256", [data]).removesuffix("-1")}
    assert download() == data


@pytest.mark.usefixtures("tiny_parts")
def test_any_number_of_parts_is_asked_for_page_by_page(s3, driver, tmp_path):
    """A thousand parts come with one request."""
    parts = [bytes([number % 251]) * (1 + number % 3) for number in range(2500)]
    s3.put_parts("k", parts, composite(parts), algorithm="sha256")
    driver.download_object(driver.get_object("photos", "k"), tmp_path / "file")
    markers = [seen.headers["x-amz-part-number-marker"] for seen in asked(s3)]
    assert markers == ["0", "1000", "2000"]


def test_only_what_is_verified_is_asked_about(s3, driver, new_driver, tmp_path):
    """A range is not verified, and nothing is with ``ex_verify=False``: no request asks."""
    stored(s3, "")
    obj = driver.get_object("photos", "k")
    driver.download_object_range(obj, tmp_path / "range", 5, 9 * MIB)
    new_driver(ex_verify=False).download_object(obj, tmp_path / "file")
    assert asked(s3) == []


def test_an_encrypted_object_is_asked_about_with_its_key(s3, driver, container, tmp_path):
    """radosgw tells the parts of an encrypted object only to who has its key."""
    key = bytes(range(32))
    driver.upload_object_via_stream(io.BytesIO(DATA), container, "k", ex_customer_key=key)
    obj = driver.get_object("photos", "k", ex_customer_key=key)
    driver.download_object(obj, tmp_path / "file", ex_customer_key=key)
    assert (tmp_path / "file").read_bytes() == DATA
    (request,) = asked(s3)
    assert "x-amz-server-side-encryption-customer-key" in request.headers


def test_an_object_without_an_etag_is_not_verified(s3, driver, tmp_path):
    """What cannot be pinned to a version may be two of them."""
    s3.buckets["photos"]["k"] = Stored(b"data", "", {})
    s3.sums["k"] = {"x-amz-checksum-crc32": "AAAAAA=="}
    driver.download_object(driver.get_object("photos", "k"), tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"data"


def test_a_plain_etag_counts_where_there_is_no_checksum(s3, download):
    """Objects stored before the server had checksums are verified as ever."""
    s3.put("k", DATA, md5(DATA))
    assert download() == DATA
    damaging(s3, 7)
    with pytest.raises(errors.HashMismatchError, match="has ETag"):
        download()
