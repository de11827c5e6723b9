"""_s3.checksums: the arithmetic of checksums, and how servers write them."""

import base64
import hashlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libcloud_aurora._s3.checksums import Checksum, checksum_in, combined, crc32_text

ABCD = b"abcd"
SUMS = {
    "crc32": base64.b64encode(zlib.crc32(ABCD).to_bytes(4, "big")).decode(),
    "sha1": base64.b64encode(hashlib.sha1(ABCD).digest()).decode(),  # noqa: S324 - as servers do
    "sha256": base64.b64encode(hashlib.sha256(ABCD).digest()).decode(),
    "md5": hashlib.md5(ABCD, usedforsecurity=False).hexdigest(),
}


@given(st.lists(st.binary(max_size=300), max_size=12))
def test_pieces_combine_to_the_crc32_of_the_whole(pieces):
    """However bytes are cut, empty pieces included, their CRC32s combine to that of all."""
    whole = b"".join(pieces)
    assert combined((zlib.crc32(piece), len(piece)) for piece in pieces) == zlib.crc32(whole)


@given(st.integers(0, 2**32 - 1), st.integers(0, 5 * 2**40), st.integers(0, 5 * 2**40))
def test_sizes_add_up_as_large_as_objects_may_be(crc, one, other):
    """Bytes of any size that follow in two pieces count as those that follow in one."""
    at_once = combined([(crc, 0), (0, one + other)])
    assert combined([(crc, 0), (0, one), (0, other)]) == at_once


@given(st.binary(min_size=1, max_size=100), st.integers(0, 2**20))
def test_zeros_that_follow_are_what_zlib_says(data, size):
    """Long pieces agree with zlib, too."""
    zeros = bytes(size)
    expected = zlib.crc32(zeros, zlib.crc32(data))
    assert combined([(zlib.crc32(data), len(data)), (zlib.crc32(zeros), size)]) == expected


@pytest.mark.parametrize("algorithm", SUMS)
def test_a_checksum_is_written_as_servers_write_it(algorithm):
    """The checksum of a whole object is base64, and an ETag hexadecimal."""
    checksum = Checksum(algorithm, SUMS[algorithm])
    digest = checksum.begin()
    digest.update(b"ab")
    digest.update(b"cd")
    assert checksum.of([digest.digest()]) == SUMS[algorithm]


def test_a_composite_checksum_is_that_of_the_digests_of_its_parts():
    """AWS's documentation: the checksum of the parts' checksums, and their number."""
    digests = [hashlib.sha256(part).digest() for part in (b"ab", b"cd")]
    expected = base64.b64encode(hashlib.sha256(b"".join(digests)).digest()).decode() + "-2"
    assert Checksum("sha256", expected).of(digests) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"x-amz-checksum-crc64nvme": "AAAAAAAAAAA="}, None),
        ({"x-amz-checksum-crc32": "jNwWgw==-1"}, None),
        ({"x-amz-checksum-crc32": "jNwWgw==-12"}, Checksum("crc32", "jNwWgw==-12")),
        ({"x-amz-checksum-sha1": "s", "x-amz-checksum-type": "COMPOSITE"}, Checksum("sha1", "s")),
        ({"x-amz-checksum-sha256": "s", "x-amz-checksum-crc32": "c"}, Checksum("crc32", "c")),
    ],
)
def test_the_quickest_checksum_that_python_can_compute_counts(headers, expected):
    """Of what a response carries, CRC64NVME and CRC32C are left out."""
    assert checksum_in(headers) == expected


def test_only_a_crc32_of_the_whole_combines():
    """CRC32 of parts, or another algorithm, needs the bytes of each part in order."""
    kinds = [("crc32", "4Z9ODQ=="), ("crc32", "4Z9ODQ==-2"), ("sha256", "s"), ("md5", "0" * 32)]
    assert [Checksum(*kind).combines for kind in kinds] == [True, False, False, False]


def test_pieces_that_radosgw_appends_have_a_chained_etag():
    """Each append hashes the hash before it and its own; of two it is the ETag of two parts."""
    one, two, three = (
        hashlib.md5(each, usedforsecurity=False).digest() for each in (b"a", b"b", b"c")
    )
    pair = hashlib.md5(one + two, usedforsecurity=False)
    chain = hashlib.md5(pair.digest() + three, usedforsecurity=False)
    assert Checksum("md5", f"{pair.hexdigest()}-2").is_of([one, two])
    assert Checksum("md5", f"{chain.hexdigest()}-3").is_of([one, two, three])
    assert not Checksum("md5", f"{chain.hexdigest()}-3").is_of([one, three, two])


def test_a_crc32_in_a_header_is_base64_of_four_bytes():
    """Leading zeros are kept."""
    assert crc32_text(zlib.crc32(ABCD)) == SUMS["crc32"]
    assert crc32_text(1) == "AAAAAQ=="
