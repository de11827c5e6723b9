"""What verifies an object: its checksum or its ETag, computed as its bytes pass."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterator, Sequence

from libcloud_aurora._s3.checksums import Checksum, combined


class Verifier(ABC):
    """Computes the digests of an object's bytes, in whatever order they come."""

    def __init__(self, expected: Checksum) -> None:
        self.expected = expected

    @abstractmethod
    def update(self, offset: int, view: memoryview) -> None:
        """Take bytes of the object that begin at the offset."""

    @abstractmethod
    def gaps(self) -> Iterator[tuple[int, int]]:
        """Yield ``(start, stop)`` of what is missing, to be read from the file if need be."""

    @abstractmethod
    def digests(self) -> list[bytes]:
        """Return the digests of the parts."""

    def found(self) -> str:
        """Return what the bytes give, in the form of what is expected."""
        return self.expected.of(self.digests())

    def matches(self) -> bool:
        return self.expected.is_of(self.digests())


class PartHashes(Verifier):
    """
    Hashes of an object under one assumption about how it was cut.

    Each part is hashed from its start; bytes that come before their turn are noted. One part is
    only ever fed by one thread at a time, because the bytes at its frontier are handed over once.

    :ivar early: Start of each run of bytes that came before its turn, by its end.
    :ivar is_guess: Whether nobody has said how the object was cut: then a result other than
        expected does not prove damage.
    """

    def __init__(self, expected: Checksum, ends: Sequence[int], *, is_guess: bool = False) -> None:
        super().__init__(expected)
        self.is_guess = is_guess
        self.ends = ends
        self._hashes = [expected.begin() for _ in ends]
        self._frontiers = [0, *ends[:-1]]
        self.early: dict[int, int] = {}

    def update(self, offset: int, view: memoryview) -> None:
        while view:
            index = bisect_right(self.ends, offset)
            piece = view[: self.ends[index] - offset]
            frontier = self._frontiers[index]  # another thread may move it meanwhile
            if frontier == offset:
                self._hashes[index].update(piece)
                self._frontiers[index] = offset + len(piece)
            elif frontier < offset:
                self.early[offset + len(piece)] = self.early.pop(offset, offset)
            offset += len(piece)
            view = view[len(piece) :]

    def ready(self) -> Iterator[tuple[int, int]]:
        """Yield ``(start, stop)`` of what came before its turn, once its turn has come."""
        found = True
        while found:
            found = False
            for stop, start in list(self.early.items()):
                if self._frontiers[bisect_right(self.ends, start)] == start:
                    found = True
                    if self.early.pop(stop, None) is not None:  # else it has just grown
                        yield start, stop

    def gaps(self) -> Iterator[tuple[int, int]]:
        for frontier, end in zip(self._frontiers, self.ends, strict=True):
            if frontier < end:
                yield frontier, end

    def digests(self) -> list[bytes]:
        return [part.digest() for part in self._hashes]


class PieceCrcs(Verifier):
    """The CRC32 of an object of this size, combined from those of its runs of bytes."""

    def __init__(self, expected: Checksum, size: int) -> None:
        super().__init__(expected)
        self._size = size
        self._runs: dict[int, tuple[int, int]] = {}

    def update(self, offset: int, view: memoryview) -> None:
        start, crc = self._runs.pop(offset, (offset, 0))
        self._runs[offset + len(view)] = start, zlib.crc32(view, crc)

    def gaps(self) -> Iterator[tuple[int, int]]:
        position = 0
        for end, (start, _) in [*sorted(self._runs.items()), (self._size, (self._size, 0))]:
            if position < start:
                yield position, start
            position = end

    def digests(self) -> list[bytes]:
        pieces = ((crc, end - start) for end, (start, crc) in sorted(self._runs.items()))
        return [combined(pieces).to_bytes(4, "big")]
