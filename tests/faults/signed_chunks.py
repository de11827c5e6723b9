"""Bodies in signed chunks, taken apart and verified as radosgw does it."""

from __future__ import annotations

import hashlib
import hmac
import re

STREAMING = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
_HEAD = re.compile(rb"(?:\r\n)?([0-9a-f]+);chunk-signature=([0-9a-f]{64})\r\n")


class RefusedError(Exception):
    """The server's code for a body that is not what was signed."""


def decode(body: bytes, authorization: str, stamp: str, secret: str) -> bytes:
    """
    Return what a body in signed chunks holds.

    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
    """
    scope = re.search(r"Credential=[^/]+/([^,]+)", authorization)[1]
    key = b"AWS4" + secret.encode()
    for step in scope.split("/"):
        key = hmac.digest(key, step.encode(), "sha256")
    signature = authorization.rpartition("=")[2]
    data, position, size = [], 0, -1
    while size:
        head = _HEAD.match(body, position)
        if head is None:
            raise RefusedError("InvalidArgument")
        size = int(head[1], 16)
        chunk = body[head.end() : head.end() + size]
        position = head.end() + size
        hashes = hashlib.sha256().hexdigest(), hashlib.sha256(chunk).hexdigest()
        text = "\n".join(["AWS4-HMAC-SHA256-PAYLOAD", stamp, scope, signature, *hashes])
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        if signature != head[2].decode():
            raise RefusedError("SignatureDoesNotMatch")
        data.append(chunk)
    return b"".join(data)
