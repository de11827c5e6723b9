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
        try:
            buffer = self._free.pop()
        except IndexError:
            return bytearray(size)
        return buffer if len(buffer) >= size else bytearray(size)

    def give(self, buffer: Any) -> None:
        self._free.append(buffer)
