"""_s3.signing: what is signed for a body, and how long it is."""

import hashlib

import pytest
from unit.memory_s3 import unchunked

from libcloud_aurora._s3.signing import (
    EMPTY_SHA256,
    STREAMING_SHA256,
    ChunkedBody,
    Pieces,
    Signer,
    in_chunks,
    md5,
    payload_sha256,
)
from libcloud_aurora.config import BUFFER_SIZE as CHUNK_SIZE

length_headers = Signer("key", "secret").length_headers


def chunked(data):
    def chunks():
        for at in range(0, len(data), CHUNK_SIZE):
            yield (memoryview(data)[at : at + CHUNK_SIZE],)

    return ChunkedBody(len(data), chunks)


def sent(body):
    added = {"x-amz-date": "20260701T120000Z", "Authorization": "Signature=" + "0" * 64}
    return b"".join(Signer("key", "secret").chunks(body.chunks(), added))


@pytest.mark.parametrize(
    "size", [1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 2 * CHUNK_SIZE, 5 * CHUNK_SIZE + 9]
)
def test_a_chunked_body_has_the_length_it_says(size):
    """The length of a chunked body is known before it is read, and it holds its bytes."""
    data = b"x" * size
    body = chunked(data)
    wire = sent(body)
    assert length_headers(body) == {
        "Content-Length": str(len(wire)),
        "x-amz-decoded-content-length": str(size),
    }
    assert unchunked(wire) == data


def test_what_is_signed():
    """Bytes are signed by their hash, chunks by the name of their way."""
    assert payload_sha256(None) == payload_sha256(b"") == EMPTY_SHA256
    assert payload_sha256(memoryview(b"x")) == hashlib.sha256(b"x").hexdigest()
    assert payload_sha256(chunked(b"x")) == STREAMING_SHA256
    assert length_headers(None) == {"Content-Length": "0"}
    assert length_headers(b"abc") == {"Content-Length": "3"}


def test_pieces_are_signed_as_what_they_are_together():
    """A body in pieces has the hash and the length of its bytes joined."""
    pieces = Pieces(6, [memoryview(b"abc"), memoryview(b"def")])
    assert payload_sha256(pieces) == payload_sha256(b"abcdef")
    assert length_headers(pieces) == length_headers(b"abcdef")
    assert md5(pieces) == md5(memoryview(b"abcdef"))


@pytest.mark.parametrize("cuts", [[], [1], [CHUNK_SIZE], [7, CHUNK_SIZE + 7, 2 * CHUNK_SIZE]])
@pytest.mark.parametrize("size", [0, 5, CHUNK_SIZE + 1, 2 * CHUNK_SIZE, 3 * CHUNK_SIZE + 9])
def test_pieces_in_chunks(size, cuts):
    """However a body was cut into pieces, its chunks on the wire are of one size."""
    data = bytes(range(251)) * (size // 251 + 1)
    view = memoryview(data)[:size]
    ends = [at for at in cuts if at < size] + [size]
    pieces = Pieces(size, [view[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)])
    body = in_chunks(pieces, size)
    chunks = [b"".join(chunk) for chunk in body.chunks()]
    assert b"".join(chunks) == view
    assert {len(chunk) for chunk in chunks[:-1]} <= {CHUNK_SIZE}
    assert payload_sha256(body) == STREAMING_SHA256
    assert length_headers(body) == length_headers(chunked(view))
    assert unchunked(sent(body)) == view
    assert md5(body) == md5(pieces)


def test_both_kinds_have_an_md5():
    """The ETag of a body is the MD5 of its bytes, chunked or not."""
    data = bytes(range(256)) * 2000
    expected = hashlib.md5(data, usedforsecurity=False).hexdigest()
    assert md5(memoryview(data)) == md5(chunked(data)) == expected
