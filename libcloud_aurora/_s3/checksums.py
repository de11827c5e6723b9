"""
Pure: the checksums that servers store with an object, and how those of its pieces combine.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import Any, NamedTuple

#: Coefficients of CRC32's polynomial, the highest power in the lowest bit.
_POLYNOMIAL = 0xEDB88320
_ONE, _BYTE = 1 << 31, 1 << 23  # x to the power of 0 and of 8

#: What Python can compute, the quickest first.
ALGORITHMS = ("crc32", "sha1", "sha256")
#: What asks a server for the checksum of an object.
CHECKSUM_MODE = {"x-amz-checksum-mode": "ENABLED"}
#: The header that carries a CRC32.
CRC32 = "x-amz-checksum-crc32"
#: What an upload in parts is begun with, so that the server has a CRC32 of the whole object.
CRC32_WANTED = {"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": "FULL_OBJECT"}


class Crc32:
    """A CRC32 with the methods of :mod:`hashlib`; ``value`` is the number."""

    value = 0

    def update(self, data: Any) -> None:
        self.value = zlib.crc32(data, self.value)

    def digest(self) -> bytes:
        return self.value.to_bytes(4, "big")


class Checksum(NamedTuple):
    """
    What the bytes of an object must match.

    :ivar algorithm: ``md5``, which is that of ETags, or one of :data:`ALGORITHMS`.
    :ivar text: As the server writes it, ending with ``-N`` if it covers the digests of N parts.
    """

    algorithm: str
    text: str

    def __str__(self) -> str:
        name = "ETag" if self.algorithm == "md5" else self.algorithm.upper()
        return f"{name} {self.text!r}"

    @property
    def is_composite(self) -> bool:
        """Whether it covers the digests of parts."""
        return "-" in self.text

    @property
    def combines(self) -> bool:
        """Whether it can be combined from any pieces of the object."""
        return self.algorithm == "crc32" and not self.is_composite

    def fits(self, count: int) -> bool:
        """Tell whether this many parts can have it."""
        return self.text.endswith(f"-{count}") if self.is_composite else count == 1

    def begin(self) -> Any:
        """Return a new digest for a part."""
        if self.algorithm == "crc32":
            return Crc32()
        return hashlib.new(self.algorithm, usedforsecurity=False)

    def of(self, digests: Sequence[bytes]) -> str:
        """Return the text for parts with these digests."""
        digest, count = digests[0], ""
        if self.is_composite:
            whole = self.begin()
            whole.update(b"".join(digests))
            digest, count = whole.digest(), f"-{len(digests)}"
        written = digest.hex() if self.algorithm == "md5" else base64.b64encode(digest).decode()
        return written + count

    def is_of(self, digests: Sequence[bytes]) -> bool:
        """Tell whether parts with these digests have it, or pieces that radosgw appended."""
        chained = reduce(lambda before, each: _md5(before + each), digests)
        return self.text in (self.of(digests), f"{chained.hex()}-{len(digests)}")


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def checksum_in(headers: Mapping[str, str]) -> Checksum | None:
    """Return the checksum in the headers of a response, if Python can compute it."""
    for algorithm in ALGORITHMS:
        text = headers.get(f"x-amz-checksum-{algorithm}", "")
        # For one part, radosgw 20.2.4 marks the CRC32 of all bytes as that of a part's CRC32.
        if text and (algorithm != "crc32" or not text.endswith("-1")):
            return Checksum(algorithm, text)
    return None


def crc32_text(value: int) -> str:
    """Return a CRC32 as it stands in headers."""
    return base64.b64encode(value.to_bytes(4, "big")).decode()


def combined(pieces: Iterable[tuple[int, int]]) -> int:
    """
    Return the CRC32 of bytes from the CRC32 and the size of each of their pieces.

    A CRC is the rest of a division of polynomials over GF(2): bytes that follow multiply it by a
    power of x, and their own CRC is added.
    """
    value, shifts = 0, {0: _ONE}
    for crc, size in pieces:
        if size not in shifts:
            shifts[size] = _power(size)
        value = _product(shifts[size], value) ^ crc
    return value


def _power(size: int) -> int:
    """Return the power of x by which this many bytes multiply."""
    power, square = _ONE, _BYTE
    while size:
        if size & 1:
            power = _product(power, square)
        square = _product(square, square)
        size >>= 1
    return power


def _product(one: int, other: int) -> int:
    product = 0
    for bit in range(31, -1, -1):
        if one >> bit & 1:
            product ^= other
        other = other >> 1 ^ _POLYNOMIAL * (other & 1)
    return product
