"""Pure: keys with which the server encrypts an object (SSE-C), and the headers that carry them.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerSideEncryptionCustomerKeys.html and
https://docs.ceph.com/en/latest/radosgw/encryption/
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from libcloud_aurora._secrets import Hidden

ALGORITHM = "AES256"
#: Bytes of a key.
KEY_SIZE = 32
#: What the headers begin with that carry the key of the object a request is about.
PREFIX = "x-amz-server-side-encryption-customer-"
#: The same for the source of a copy.
SOURCE_PREFIX = "x-amz-copy-source-server-side-encryption-customer-"

#: How radosgw and AWS begin to say that a key is missing, wrong, or not wanted.
_COMPLAINT = re.compile(
    r"server[ -]side encryption|hash of the key|encryption parameters", re.IGNORECASE
)
MISSING = "The object is encrypted with a key of its owner: give it (ex_customer_key)."
WRONG = "The object, or the unfinished upload, was begun with another key, or without one."
INSECURE = "Servers take a key over https only, unless told otherwise (rgw crypt require ssl)."


class CustomerKey(NamedTuple):
    """
    A key that no ``repr`` shows.

    :param encoded: The key in base64.
    :param md5: Its MD5 in base64.
    """

    encoded: Hidden
    md5: Hidden

    @classmethod
    def of(cls, raw: bytes) -> CustomerKey:
        """Return the key of 32 bytes."""
        digest = hashlib.md5(raw, usedforsecurity=False).digest()
        return cls(*(Hidden(base64.b64encode(each).decode()) for each in (raw, digest)))

    def headers(self, prefix: str = PREFIX) -> dict[str, str]:
        """Return the headers that carry the key."""
        return {
            f"{prefix}algorithm": ALGORITHM,
            f"{prefix}key": self.encoded,
            f"{prefix}key-md5": self.md5,
        }

    def is_named_by(self, answer: Mapping[str, str]) -> bool:
        """Tell whether the headers of an answer say that the object has this key."""
        return answer.get(f"{PREFIX}key-md5") == self.md5


def customer_key(argument: str, value: Any) -> CustomerKey | None:
    """
    Return the key that an argument holds.

    :raises ValueError: naming the argument, not the key, if it is not 32 bytes.
    """
    if value is None:
        return None
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise ValueError(f"{argument} must be {KEY_SIZE} bytes, not {type(value).__name__}")
    raw = bytes(value)
    if len(raw) != KEY_SIZE:
        raise ValueError(f"{argument} must be {KEY_SIZE} bytes, not {len(raw)}")
    return CustomerKey.of(raw)


def split(
    headers: Mapping[str, Any], prefix: str = PREFIX
) -> tuple[dict[str, Any], CustomerKey | None]:
    """
    Return headers without those that carry a key, and the key.

    :raises ValueError: if they do not carry one as they must; the text does not show it.
    """
    given = {
        str(name).lower(): str(value)
        for name, value in headers.items()
        if str(name).lower().startswith(prefix)
    }
    if not given:
        return dict(headers), None
    try:
        raw = base64.b64decode(given.get(f"{prefix}key", ""), validate=True)
    except ValueError:
        raw = b""
    key = CustomerKey.of(raw)
    if len(raw) != KEY_SIZE or not given.items() <= key.headers(prefix).items():
        raise ValueError(
            f"headers: {prefix}algorithm must be {ALGORITHM}, ...-key {KEY_SIZE} bytes in base64, "
            "and ...-key-MD5 their MD5 in base64"
        )
    return {name: headers[name] for name in headers if str(name).lower() not in given}, key


def only_key(
    argument: str, value: Any, headers: Mapping[str, Any], prefix: str = PREFIX
) -> tuple[dict[str, Any], CustomerKey | None]:
    """
    Return headers without those that carry a key, and the key they or the argument give.

    :raises ValueError: if it cannot be one, or if they give two.
    """
    rest, carried = split(headers, prefix)
    key = customer_key(argument, value)
    if key and carried and key != carried:
        raise ValueError(f"{argument} and the headers give different keys")
    return rest, key or carried


def needs_key(method: str, params: Mapping[str, Any] | None) -> bool:
    """
    Tell whether a request of an encrypted object needs its key.

    The server needs it to read, describe, store or begin the object, and to store or copy a part;
    not to list parts and uploads, to complete, to abort or to delete.
    """
    named = {"uploads", "uploadId"} & set(params or ())
    if method == "POST":
        return "uploads" in named
    return method in ("PUT", "HEAD") or (method == "GET" and not named)


def trouble(code: str, said: str, *, keyed: bool) -> str:
    """
    Return what to do about an answer, if it is about a key, and an empty text if it is not.

    :param code: Error code of the answer.
    :param said: Its message; radosgw has none where it refuses a key over plain http.
    :param keyed: Whether the request carried a key.
    """
    if keyed and code == "InvalidRequest" and (not said or "secure connection" in said):
        return INSECURE
    if not _COMPLAINT.search(said):
        return ""
    return WRONG if keyed else MISSING
