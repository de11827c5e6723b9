"""An object to an iterator: read ahead while the consumer keeps up."""

from __future__ import annotations

import contextlib
import math
import queue
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing
from functools import partial
from queue import Empty

from libcloud_aurora._transfer.reader import Reader, Reading
from libcloud_aurora._transfer.verify import PartHashes, Verifier
from libcloud_aurora._transfer.workers import ABANDONED_SECONDS, Buffers, Crew, Outcome
from libcloud_aurora._wire.retry import Stop, logger
from libcloud_aurora.config import BUFFER_SIZE, MIB, check_number

#: Bytes of the first range, which is alone until the consumer asks for more.
FIRST_RANGE = MIB
#: Fewest bytes of each further range.
NEXT_RANGE = 2 * MIB
#: Most bytes of a range that is alone, which need not fit into memory, and of one among others.
ALONE_RANGE, SHARED_RANGE = 64 * MIB, 8 * MIB
#: Seconds after which a thread waiting for the consumer checks whether the stream has ended.
PLACE_SECONDS = 1.0
#: Bytes a second that connections must bring together: a process that receives over TLS and
#: verifies takes little more, and each further thread costs it time. Measured on loopback.
ENOUGH_RATE = 256 * MIB


class Stream:
    """
    One object, or a span of it, coming down as an iterator.

    Memory: ``stream_concurrency + 1`` times 2 MiB, and one chunk, which is held twice if it is
    larger than a piece.
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._concurrency = reading.config.stream_concurrency
        self._buffers = Buffers()
        self._room = (self._concurrency + 1) * NEXT_RANGE
        self._pace = 0.0  # bytes a second of the fastest connection

    def chunks(self, chunk_size: int) -> Iterator[bytes]:
        """
        Send the first request, and return an iterator over the bytes.

        Its chunks have one size, except for the last, and there is at least ``b""``. Until it
        begins, it holds a connection, which is closed with it. Closing it also closes what it is
        made of, even if a traceback still holds that.
        """
        hint = self._reading.size_hint
        first_size = FIRST_RANGE if hint is None else max(1, min(FIRST_RANGE, hint))
        chunks = self._chunks(Reader(self._reading, first_size), chunk_size)
        next(chunks)  # once begun, close() ends it
        return chunks

    def _chunks(self, reader: Reader, chunk_size: int) -> Iterator[bytes]:
        with closing(reader), closing(self._pieces(reader)) as pieces:
            yield b""  # for chunks(), which begins it
            total, done = reader.stop - reader.start, 0
            for chunk in rechunk(pieces, chunk_size):
                done += len(chunk)
                self._reading.report(done, total)
                yield chunk
            if total == 0:
                self._reading.report(0, 0)
                yield b""

    def _pieces(self, reader: Reader) -> Generator[memoryview, None, None]:
        """Yield the bytes as they come, checked as far as possible."""
        if reader.first_stop == reader.stop and reader.stop - reader.start <= FIRST_RANGE:
            yield self.at_once(reader)
            return
        verifier = reader.verifier()
        offset, crew = reader.start, Crew(1)  # hashes while the consumer has the piece
        with crew, crew, closing(self._ranges_in_order(reader)) as pieces:
            for piece in pieces:
                hashing = None
                if verifier is not None:
                    update = partial(verifier.update, offset, piece)
                    hashing = crew.submit(update) if self._concurrency > 1 else update()
                offset += len(piece)
                if offset == reader.stop and verifier is not None:
                    _ = hashing and crew.result(hashing)
                    self.check(reader, verifier)
                yield piece
                _ = hashing and crew.result(hashing)

    def at_once(self, reader: Reader) -> memoryview:
        """Return a small object, reading it again while it differs from its ETag."""
        for _ in range(self._reading.client.max_attempts):
            content = self._collect(reader, reader.start, reader.stop)
            verifier = reader.verifier()
            if verifier is None:
                return content
            verifier.update(0, content)
            if verifier.matches():
                return content
        raise reader.mismatch(verifier)

    def check(self, reader: Reader, verifier: Verifier) -> None:
        """Compare with what the server says, or, after a mere guess, with a second download."""
        if verifier.matches():
            return
        if isinstance(verifier, PartHashes) and verifier.is_guess:
            logger.info("GET of %s: its parts are unknown, so it is read twice", self._reading.path)
            again = PartHashes(verifier.expected, verifier.ends)
            reader.read(0, reader.size, again.update, stop_sign=Stop())
            if again.digests() == verifier.digests():
                return
        raise reader.mismatch(verifier)

    def _ranges_in_order(self, reader: Reader) -> Generator[memoryview, None, None]:
        start = reader.start
        if not reader.etag:
            yield from reader.once()
            return
        if reader.first_stop - start <= FIRST_RANGE:
            began = time.monotonic()
            first = self._collect(reader, start, reader.first_stop)
            self._measure(len(first), time.monotonic() - began)
            yield first
            self._buffers.give(first.obj)
            start = reader.first_stop
        yield from self.ranges(reader, start, reader.stop)

    def ranges(self, reader: Reader, start: int, stop: int) -> Generator[memoryview, None, None]:
        """Yield the bytes of a span, in pieces whose memory is used again."""
        if self._concurrency > 1:
            yield from self._read_ahead(reader, start, stop)
            return
        for each in range(start, stop, NEXT_RANGE):
            space = self._collect(reader, each, min(each + NEXT_RANGE, stop))
            yield space
            self._buffers.give(space.obj)

    def _collect(self, reader: Reader, start: int, stop: int) -> memoryview:
        space = memoryview(self._buffers.take(stop - start))[: stop - start]
        reader.read(start, stop, into=lambda position: space[position - start :], stop_sign=Stop())
        return space

    def _read_ahead(self, reader: Reader, start: int, stop: int) -> Iterator[memoryview]:
        """Fetch ranges ahead of the consumer: two at first, and as planned once it has waited."""
        stop_sign = Stop()
        crew = Crew(
            self._concurrency,
            self._reading.client.interrupt,
            stop=stop_sign,
            leaving_seconds=ABANDONED_SECONDS,
        )
        ahead: deque[tuple[_Range, Outcome[None]]] = deque()
        position, width, size, room = start, 2, NEXT_RANGE, NEXT_RANGE

        def extend() -> None:
            nonlocal position
            while position < stop and len(ahead) <= width:
                if sum(each.left for each, _ in ahead) > self._room - room:
                    break
                each = _Range(position, min(position + size, stop), room)
                fetch = partial(each.fetch, reader, self._buffers, stop_sign)
                ahead.append((each, crew.submit(fetch)))
                position = each.stop

        with crew, crew:
            try:
                extend()
                while ahead:
                    each = ahead[0][0]
                    while True:
                        if each.pieces.empty():
                            width, size, room = self._plan()
                            extend()
                        piece = crew.taken(each.pieces)
                        if piece is None:
                            break
                        yield piece
                        self._buffers.give(piece.obj)
                        each.take(len(piece))
                        extend()
                    crew.result(ahead.popleft()[1])
                    self._measure(each.stop - each.start, each.seconds)
            finally:
                stop_sign.set()
                for each, _ in ahead:
                    each.take(0)  # lets it see the sign

    def _measure(self, size: int, seconds: float) -> None:
        self._pace = max(self._pace, size / max(1e-3, seconds))

    def _plan(self) -> tuple[int, int, int]:
        """Return how many ranges to fetch ahead, their size, and how much of one to hold."""
        enough = math.ceil(ENOUGH_RATE / self._pace) if self._pace else 4
        width = min(enough, self._concurrency)
        room = self._room // (width + 1) // MIB * MIB
        return width, ALONE_RANGE if width == 1 else min(room, SHARED_RANGE), room


class _Range:
    """
    A range on its way, handed on piece by piece.

    :param room: Bytes of it that may be held in memory.
    :ivar left: Bytes that the consumer has not taken.
    :ivar pieces: Gets each piece, and ``None`` after the last.
    :ivar seconds: How long it has taken, without waiting for the consumer.
    """

    def __init__(self, start: int, stop: int, room: int) -> None:
        self.start, self.stop = start, stop
        self.pieces: queue.SimpleQueue[memoryview | None] = queue.SimpleQueue()
        self.seconds = 0.0
        self._here = threading.local()
        self._here.consumes = True  # and fetches it, where no thread can be started
        self.left = stop - start
        self._places: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(room // BUFFER_SIZE):
            self._places.put(None)

    def take(self, count: int) -> None:
        """Note that the consumer has taken a piece, so that another may have its place."""
        self.left -= count
        self._places.put(None)

    def fetch(self, reader: Reader, buffers: Buffers, stop_sign: Stop) -> None:
        """Fetch it, in another thread."""
        began, waited = time.monotonic(), 0.0
        buffer: memoryview | None = None  # has a place, which a failed attempt leaves to the next

        def into(position: int) -> memoryview:
            nonlocal buffer, waited
            if buffer is None:
                before = time.monotonic()
                while not (stop_sign.is_set() or hasattr(self._here, "consumes")):
                    with contextlib.suppress(Empty):
                        self._places.get(timeout=PLACE_SECONDS)
                        break
                waited += time.monotonic() - before
                buffer = memoryview(buffers.take(BUFFER_SIZE))
            return buffer

        def deliver(offset: int, piece: memoryview) -> None:
            nonlocal buffer
            buffer = None
            self.pieces.put(piece)

        try:
            reader.read(self.start, self.stop, deliver, into=into, stop_sign=stop_sign)
            self.seconds = time.monotonic() - began - waited
        finally:
            self.pieces.put(None)


def rechunk(pieces: Iterator[memoryview], size: int) -> Iterator[bytes]:
    """Yield the same bytes in chunks of exactly one size, except for the last."""
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
    """Return the size of chunks: 1 MiB for ``None``, and for 0, an empty object's size."""
    if chunk_size is None:
        return FIRST_RANGE
    check_number("chunk_size", chunk_size, low=0, integer=True)
    return chunk_size or FIRST_RANGE
