"""The MD5s of an object's parts, computed while its bytes pass, in any order."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence

from libcloud_aurora.parts import composite_etag


class PartHashes:
    """
    Hashes of an object under one assumption of how it was cut.

    Each part is hashed from its start; bytes that come before their turn are left out, and
    :meth:`gaps` says what to read again from the file. One part is only ever fed by one thread at
    a time, because the bytes at its frontier are handed over once.
    """

    def __init__(self, ends: Sequence[int]) -> None:
        self.ends = ends
        self._hashes = [hashlib.md5(usedforsecurity=False) for _ in ends]
        self._frontiers = [0, *ends[:-1]]

    def update(self, offset: int, view: memoryview) -> None:
        """Hash bytes of the object that begin at the offset, as far as it is their turn."""
        while view:
            index = bisect_right(self.ends, offset)
            piece = view[: self.ends[index] - offset]
            if self._frontiers[index] == offset:
                self._hashes[index].update(piece)
                self._frontiers[index] = offset + len(piece)
            offset += len(piece)
            view = view[len(piece) :]

    def gaps(self) -> Iterator[tuple[int, int]]:
        """Yield ``(start, stop)`` of what is still to be hashed."""
        for frontier, end in zip(self._frontiers, self.ends, strict=True):
            if frontier < end:
                yield frontier, end

    def part_etags(self) -> list[str]:
        """Return the MD5 of each part in hexadecimal."""
        return [part.hexdigest() for part in self._hashes]

    def match(self, etag: str) -> bool:
        """Tell whether these bytes have this ETag, composite or plain."""
        return self.etag(etag) == etag

    def etag(self, like: str) -> str:
        """Return the ETag these bytes have, composite if the given one is."""
        return composite_etag(self.part_etags()) if "-" in like else self._hashes[0].hexdigest()
