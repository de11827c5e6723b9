"""Bodies in signed chunks, taken apart and verified as radosgw does it."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator

STREAMING = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
_HEAD = re.compile(rb"([0-9a-f]+);chunk-signature=([0-9a-f]{64})\r\n")


class RefusedError(Exception):
    """The server's code for a body that is not what was signed."""


def chunks(body: bytes) -> Iterator[tuple[bytes, str]]:
    """Yield each chunk of a body and its signature; the last chunk is empty and ends the body."""
    position, size = 0, -1
    while size:
        head = _HEAD.match(body, position)
        if head is None:
            raise RefusedError("InvalidArgument")
        size = int(head[1], 16)
        end = head.end() + size
        if body[end : end + 2] != b"\r\n":
            raise RefusedError("IncompleteBody")
        yield body[head.end() : end], head[2].decode()
        position = end + 2
    if position != len(body):
        raise RefusedError("InvalidArgument")


def unchunked(body: bytes) -> bytes:
    """Return what a body holds, whoever has signed it."""
    return b"".join(chunk for chunk, _ in chunks(body))


def decode(body: bytes, authorization: str, stamp: str, secret: str) -> bytes:
    """
    Return what a body holds, every chunk of which must be signed as the request is.

    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
    """
    scope = re.search(r"Credential=[^/]+/([^,]+)", authorization)[1]
    key = b"AWS4" + secret.encode()
    for step in scope.split("/"):
        key = hmac.digest(key, step.encode(), "sha256")
    signature = authorization.rpartition("=")[2]
    data = []
    for chunk, said in chunks(body):
        hashes = hashlib.sha256().hexdigest(), hashlib.sha256(chunk).hexdigest()
        text = "\n".join(["AWS4-HMAC-SHA256-PAYLOAD", stamp, scope, signature, *hashes])
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        if signature != said:
            raise RefusedError("SignatureDoesNotMatch")
        data.append(chunk)
    return b"".join(data)
