"""Objects coming down to an iterator: read ahead while the consumer keeps up."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import Any

from libcloud_aurora._buffers import Buffers
from libcloud_aurora._download import Download, may_be_unequal
from libcloud_aurora._parallel import Gate
from libcloud_aurora._threads import Outcome, Stop
from libcloud_aurora._verify import PartHashes
from libcloud_aurora._version import Version
from libcloud_aurora.config import MIB, check_number

#: Bytes of the first range, which is alone until the consumer asks for more.
FIRST_RANGE = MIB
#: Bytes of each further range, held in memory until the consumer takes them.
NEXT_RANGE = 2 * MIB


class Stream(Download):
    """
    One object, or a span of it, coming down as an iterator.

    Memory: ``stream_concurrency`` ranges of 2 MiB, the one being consumed, and one chunk.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._buffers = Buffers()

    def chunks(self, chunk_size: int) -> Iterator[bytes]:
        """
        Yield the bytes in chunks of exactly the given size, the last one excepted; ``b""`` once
        for an empty object.

        :raises HashMismatchError: at the end, or before the first byte of an object that fits in
            the first range.
        """
        hint = FIRST_RANGE if self._size_hint is None else self._size_hint
        version = self._begin(max(1, min(FIRST_RANGE, hint)))
        try:
            total = self._stop(version) - self._start
            done = 0
            for chunk in rechunk(self._pieces(version), chunk_size):
                done += len(chunk)
                self._progress(done, total)
                yield chunk
            if total == 0:
                self._progress(0, 0)
                yield b""
        finally:
            version.release()

    def _pieces(self, version: Version) -> Iterator[memoryview]:
        """Yield the bytes as they come, after checking them as far as that is possible."""
        stop = self._stop(version)
        if version.first_stop == stop and stop - self._start <= FIRST_RANGE:
            yield self._at_once(version, stop)
            return
        hashes = self._hashes(version)
        offset = self._start
        for piece in self._ranges_in_order(version, stop):
            if hashes is not None:
                hashes.update(offset, piece)
            offset += len(piece)
            if offset == stop and hashes is not None:
                self._check(version, hashes)
            yield piece

    def _at_once(self, version: Version, stop: int) -> memoryview:
        """Return a small object, read again while it differs from its ETag."""
        for _ in range(self._retrier.policy.max_attempts):
            content = self._collect(version, self._start, stop, Stop())
            hashes = self._hashes(version)
            if hashes is None:
                return content
            hashes.update(0, content)
            if hashes.match(version.etag):
                return content
        raise self._mismatch(version, hashes)

    def _check(self, version: Version, hashes: PartHashes) -> None:
        """
        Compare what was handed out with the ETag.

        An ETag of parts that does not match may be due to parts of other sizes. Then the object is
        read once more: two downloads that agree are right.
        """
        if hashes.match(version.etag):
            return
        if may_be_unequal(version.etag):
            again = PartHashes(hashes.ends)
            version.read(0, version.size, again.update, stop_event=Stop())
            if again.part_etags() == hashes.part_etags():
                return
        raise self._mismatch(version, hashes)

    def _ranges_in_order(self, version: Version, stop: int) -> Iterator[memoryview]:
        start = self._start
        if version.first_stop - start <= FIRST_RANGE:
            yield self._collect(version, start, version.first_stop, Stop())
            start = version.first_stop
        if self._config.stream_concurrency > 1:
            yield from self._read_ahead(version, start, stop)
            return
        for position in range(start, stop, NEXT_RANGE):
            end = min(position + NEXT_RANGE, stop)
            yield self._collect(version, position, end, Stop())

    def _collect(self, version: Version, start: int, stop: int, stop_event: Stop) -> memoryview:
        space = memoryview(self._buffers.take(stop - start))[: stop - start]
        version.read_into(space, start, stop_event=stop_event)
        return space

    def _read_ahead(self, version: Version, start: int, stop: int) -> Iterator[memoryview]:
        """Fetch ranges ahead of the consumer: two at first, twice as many when it has to wait."""
        halt, gate = Stop(), Gate()
        ahead: deque[Outcome[memoryview]] = deque()
        position, width = start, 2

        def extend() -> None:
            nonlocal position
            while position < stop and len(ahead) < width:
                end = min(position + NEXT_RANGE, stop)
                fetch = partial(self._collect, version, position, end, halt)
                ahead.append(self._workers.submit(gate.guard(fetch)))
                position = end

        try:
            while position < stop or ahead:
                extend()
                if not ahead[0].done():
                    width = min(2 * width, self._config.stream_concurrency)
                    extend()
                space = gate.result(ahead.popleft())
                yield space
                self._buffers.give(space.obj)
        finally:
            halt.set()
            gate.close()


def rechunk(pieces: Iterator[memoryview], size: int) -> Iterator[bytes]:
    """Yield the same bytes in chunks of exactly one size, the last one excepted."""
    pending: list[memoryview] = []
    have = 0
    for piece in pieces:
        view = piece
        while have + len(view) >= size:
            taken = view[: size - have]
            pending.append(taken)
            yield b"".join(pending)
            pending, have, view = [], 0, view[len(taken) :]
        if view:
            pending.append(memoryview(bytes(view)))  # the piece's memory is used again
            have += len(view)
    if pending:
        yield b"".join(pending)


def chunk_size_of(chunk_size: int | None) -> int:
    """
    Return the size of a stream's chunks: 1 MiB for ``None``, and for 0, an empty object's size.

    :raises ValueError: if it is no number of bytes.
    """
    if chunk_size is None:
        return FIRST_RANGE
    check_number("chunk_size", chunk_size, low=0, integer=True)
    return chunk_size or FIRST_RANGE
