"""Memory that is used again and again."""

from __future__ import annotations

from collections import deque
from typing import Any


class Buffers:
    """
    Memory for the parts or ranges of one transfer, made once each.

    Fresh memory would be zeroed each time, and freed memory stays with the allocator: glibc keeps
    some for each thread.
    """

    def __init__(self) -> None:
        self._free: deque[bytearray] = deque()

    def take(self, size: int) -> bytearray:
        """Return a buffer of at least a size; where sizes grow, no smaller one is kept."""
        try:
            buffer = self._free.pop()
        except IndexError:
            return bytearray(size)
        if len(buffer) >= size:
            return buffer
        del buffer
        self._free.clear()
        return bytearray(size)

    def give(self, buffer: Any) -> None:
        self._free.append(buffer)
