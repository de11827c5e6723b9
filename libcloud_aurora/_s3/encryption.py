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

from libcloud_aurora._s3.signing import as_text

ALGORITHM = "AES256"
#: Bytes of a key.
KEY_SIZE = 32
#: Beginnings of the headers that carry an object's key, and the key of a copy's source.
PREFIX = "x-amz-server-side-encryption-customer-"
SOURCE_PREFIX = "x-amz-copy-source-server-side-encryption-customer-"
PREFIXES = PREFIX, SOURCE_PREFIX

#: How radosgw and AWS say that a key is missing, wrong or not wanted.
_COMPLAINT = re.compile(
    r"server[ -]side encryption|hash of the key|encryption parameters", re.IGNORECASE
)
MISSING = "The object is encrypted with its owner's key: pass the key as ex_customer_key."
WRONG = "The object or the unfinished upload was begun with another key, or without one."
INSECURE = "Servers accept a key only over https, unless configured not to (rgw crypt require ssl)."


class Hidden(str):
    """Text that is sent like any other, but that no ``repr`` shows, not even its container's."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'...'"


class CustomerKey(NamedTuple):
    """A key and its MD5, both in base64 and shown by no ``repr``."""

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
        """Tell whether the headers of a response say that the object has this key."""
        return answer.get(f"{PREFIX}key-md5") == self.md5


def customer_key(argument: str, value: Any) -> CustomerKey | None:
    """Return the key that an argument holds."""
    if value is None:
        return None
    binary = isinstance(value, (bytes, bytearray, memoryview))
    size = len(bytes(value)) if binary else type(value).__name__
    if size != KEY_SIZE:
        raise ValueError(f"{argument} must be {KEY_SIZE} bytes, not {size}")
    return CustomerKey.of(bytes(value))


def only_key(
    argument: str, value: Any, headers: Mapping[str, Any], prefix: str = PREFIX
) -> tuple[dict[str, Any], CustomerKey | None]:
    """Return headers without those that carry a key, and the key they or the argument give."""
    key = customer_key(argument, value)
    given = {
        as_text(name).lower(): as_text(value)
        for name, value in headers.items()
        if as_text(name).lower().startswith(prefix)
    }
    if not given:
        return dict(headers), key
    try:
        raw = base64.b64decode(given.get(f"{prefix}key", ""), validate=True)
    except ValueError:
        raw = b""
    carried = CustomerKey.of(raw)
    if len(raw) != KEY_SIZE or not given.items() <= carried.headers(prefix).items():
        raise ValueError(
            f"headers: {prefix}algorithm must be {ALGORITHM}, ...-key {KEY_SIZE} bytes in base64, "
            "and ...-key-MD5 their MD5 in base64"
        )
    if key and key != carried:
        raise ValueError(f"{argument} and the headers contain different keys")
    return {name: headers[name] for name in headers if as_text(name).lower() not in given}, carried


def trouble(code: str, said: str, *, keyed: bool) -> str:
    """Return what to do about an error response, or nothing if it is not about a key."""
    if keyed and code == "InvalidRequest" and (not said or "secure connection" in said):
        return INSECURE  # radosgw has no message there
    if not _COMPLAINT.search(said):
        return ""
    return WRONG if keyed else MISSING
