"""The MD5s of an object's parts, computed while its bytes pass, in any order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from libcloud_aurora.parts import composite_etag


class PartHashes:
    """
    Hashes of an object under one assumption of how it was cut.

    Each part is hashed from its start; bytes that come before their turn are left out, and
    :meth:`gaps` says what to read again from the file. One part is only ever fed by one thread at
    a time, because the bytes at its frontier are handed over once.

    :param size: Size of the object in bytes.
    :param part_size: Size of each part but the last, in bytes.
    """

    def __init__(self, size: int, part_size: int) -> None:
        self.part_size = part_size
        self._size = size
        count = max(1, -(-size // part_size))
        self._hashes = [hashlib.md5(usedforsecurity=False) for _ in range(count)]
        self._frontiers = [index * part_size for index in range(count)]

    def update(self, offset: int, view: memoryview) -> None:
        """Hash bytes of the object that begin at the offset, as far as it is their turn."""
        while view:
            index = offset // self.part_size
            piece = view[: self._end(index) - offset]
            if self._frontiers[index] == offset:
                self._hashes[index].update(piece)
                self._frontiers[index] = offset + len(piece)
            offset += len(piece)
            view = view[len(piece) :]

    def gaps(self, stop: int) -> Iterator[tuple[int, int]]:
        """Yield ``(start, stop)`` of what is still to be hashed before the given offset."""
        for index, frontier in enumerate(self._frontiers):
            end = min(self._end(index), stop)
            if frontier < end:
                yield frontier, end

    def _end(self, index: int) -> int:
        return min((index + 1) * self.part_size, self._size)

    def part_etags(self) -> list[str]:
        return [part.hexdigest() for part in self._hashes]

    def etag(self, like: str) -> str:
        """Return the ETag these bytes have, composite if the given one is."""
        return composite_etag(self.part_etags()) if "-" in like else self._hashes[0].hexdigest()
