"""_transfer.verify: what bytes in any order give."""

import hashlib
import random
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libcloud_aurora._s3.checksums import Checksum, crc32_text
from libcloud_aurora._transfer.verify import PartHashes, PieceCrcs

ETAG = Checksum("md5", "0" * 32)


def md5(data):
    return hashlib.md5(data, usedforsecurity=False)


def digests_of(data, ends):
    """The MD5 of each part."""
    return [md5(data[start:end]).digest() for start, end in pairwise([0, *ends])]


@st.composite
def cut_objects(draw):
    """Bytes, where their parts end, and pieces that cover them in any order."""
    data = draw(st.binary(min_size=1, max_size=200))
    inner = draw(st.sets(st.integers(1, len(data)), max_size=6))
    ends = sorted(inner | {len(data)})
    edges = sorted({0, len(data)} | draw(st.sets(st.integers(0, len(data)), max_size=8)))
    pieces = [(start, data[start:stop]) for start, stop in pairwise(edges)]
    random.Random(draw(st.integers(0, 99))).shuffle(pieces)
    return data, ends, pieces


@given(cut_objects())
def test_bytes_in_any_order_and_the_gaps_give_the_md5_of_each_part(cut):
    """After any order of arrival, filling the gaps from the file gives the MD5 of every part."""
    data, ends, pieces = cut
    hashes = PartHashes(ETAG, ends)
    for offset, piece in pieces:
        hashes.update(offset, memoryview(piece))
    for start, stop in list(hashes.gaps()):
        hashes.update(start, memoryview(data[start:stop]))
    assert hashes.digests() == digests_of(data, ends)
    assert list(hashes.gaps()) == []


@given(cut_objects())
def test_what_is_ready_leaves_no_gap(cut):
    """If what came too early is hashed as soon as it is ready, nothing is left after the last."""
    data, ends, pieces = cut
    hashes = PartHashes(ETAG, ends)
    for offset, piece in pieces:
        hashes.update(offset, memoryview(piece))
        for start, stop in hashes.ready():
            hashes.update(start, memoryview(data[start:stop]))
    assert list(hashes.gaps()) == []
    assert hashes.digests() == digests_of(data, ends)


def test_what_grows_while_it_becomes_ready_is_hashed_whole():
    """A run that another thread makes longer meanwhile is found again, at its new end."""
    data = bytes(range(20))
    hashes = PartHashes(ETAG, [10, 20])
    for start, stop in ((5, 7), (15, 17), (0, 5), (10, 15)):
        hashes.update(start, memoryview(data[start:stop]))
    ready = hashes.ready()
    assert next(ready) == (5, 7)
    hashes.update(5, memoryview(data[5:7]))
    hashes.update(17, memoryview(data[17:18]))
    assert next(ready) == (15, 18)
    hashes.update(15, memoryview(data[15:18]))
    assert list(ready) == []
    assert list(hashes.gaps()) == [(7, 10), (18, 20)]


@given(st.binary(max_size=100))
def test_bytes_in_order_leave_no_gap(data):
    """Bytes that come in order are hashed as they come."""
    hashes = PartHashes(ETAG, [len(data)])
    for offset in range(0, len(data), 7):
        hashes.update(offset, memoryview(data[offset : offset + 7]))
    assert list(hashes.gaps()) == []
    assert hashes.digests() == [md5(data).digest()]


def test_bytes_that_come_twice_count_once():
    """A piece that is delivered again does not change the hash."""
    hashes = PartHashes(ETAG, [4])
    for offset, piece in ((0, b"ab"), (0, b"ab"), (2, b"cd"), (0, b"abcd")):
        hashes.update(offset, memoryview(piece))
    assert hashes.found() == "e2fc714c4727ee9395f324cd2e7f331f"


def test_gaps_say_what_came_too_early():
    """Bytes before their turn are left out, and named as what is to be read again."""
    hashes = PartHashes(ETAG, [4, 8])
    hashes.update(2, memoryview(b"cdef"))
    assert list(hashes.gaps()) == [(0, 4), (6, 8)]


@pytest.mark.parametrize(
    ("ends", "etag"),
    [
        ([2], "187ef4436122d1cc2f40dc2b92f0eba0"),
        ([2], "cf6af10925c0f50d8c2de3c58b692a10-1"),
        ([1, 2], "96e024ba2074fe77e8e965ba43a704be-2"),
    ],
)
def test_etags_match_what_they_were_made_of(ends, etag):
    """b"ab" matches its plain ETag and that of its parts, and no other."""
    for text in (etag, "00000000000000000000000000000000", "00000000000000000000000000000000-2"):
        hashes = PartHashes(Checksum("md5", text), ends)
        hashes.update(0, memoryview(b"ab"))
        assert hashes.matches() == (text == etag)


def test_an_empty_object_has_one_empty_part():
    """An object without bytes matches the MD5 of nothing, without an update."""
    for text in ("d41d8cd98f00b204e9800998ecf8427e", "59adb24ef3cdbe0297f05b395827453f-1"):
        assert PartHashes(Checksum("md5", text), [0]).matches()


@given(cut_objects())
def test_the_crc32_of_an_object_comes_from_pieces_in_any_order(cut):
    """No byte is needed twice: what has not come is a gap, and pieces combine as they lie."""
    data, _, pieces = cut
    crc = PieceCrcs(Checksum("crc32", crc32_text(zlib.crc32(data))), len(data))
    missing = pieces.pop()
    for offset, piece in pieces:
        crc.update(offset, memoryview(piece))
    if pieces:
        gap = missing[0], missing[0] + len(missing[1])
        assert list(crc.gaps()) == ([gap] if missing[1] else [])
    crc.update(missing[0], memoryview(missing[1]))
    assert list(crc.gaps()) == []
    assert crc.matches()


def test_an_empty_object_has_the_crc32_of_nothing():
    """Without a byte there is no gap either."""
    crc = PieceCrcs(Checksum("crc32", "AAAAAA=="), 0)
    assert crc.matches()
    assert list(crc.gaps()) == []
