"""An object to an iterator: read ahead while the consumer keeps up."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing
from functools import partial
from itertools import islice

from libcloud_aurora._transfer.reader import Reader, Reading
from libcloud_aurora._transfer.verify import PartHashes, Verifier
from libcloud_aurora._transfer.workers import Buffers, Crew, Outcome
from libcloud_aurora._wire.retry import Stop, logger
from libcloud_aurora.config import MIB, check_number

#: Bytes of the first range, which is alone until the consumer asks for more.
FIRST_RANGE = MIB
#: Bytes of each further range, held in memory until the consumer takes them.
NEXT_RANGE = 2 * MIB


class Stream:
    """
    One object, or a span of it, coming down as an iterator.

    Memory: ``stream_concurrency`` ranges of 2 MiB, the one being consumed, and one chunk.
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._concurrency = reading.config.stream_concurrency
        self._buffers = Buffers()

    def chunks(self, chunk_size: int) -> Iterator[bytes]:
        """Yield the bytes in chunks of one size, except for the last, and at least ``b""``."""
        hint = self._reading.size_hint
        first_size = FIRST_RANGE if hint is None else max(1, min(FIRST_RANGE, hint))
        with closing(Reader(self._reading, first_size)) as reader:
            total, done = reader.stop - reader.start, 0
            for chunk in rechunk(self._pieces(reader), chunk_size):
                done += len(chunk)
                self._reading.report(done, total)
                yield chunk
            if total == 0:
                self._reading.report(0, 0)
                yield b""

    def _pieces(self, reader: Reader) -> Iterator[memoryview]:
        """Yield the bytes as they come, checked as far as possible."""
        if reader.first_stop == reader.stop and reader.stop - reader.start <= FIRST_RANGE:
            yield self.at_once(reader)
            return
        verifier = reader.verifier()
        offset = reader.start
        for piece in self._ranges_in_order(reader):
            if verifier is not None:
                verifier.update(offset, piece)
            offset += len(piece)
            if offset == reader.stop and verifier is not None:
                self.check(reader, verifier)
            yield piece

    def at_once(self, reader: Reader) -> memoryview:
        """Return a small object, reading it again while it differs from its ETag."""
        for _ in range(self._reading.client.max_attempts):
            content = self._collect(reader, reader.start, reader.stop, Stop())
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
            logger.info(
                "GET of %s: its parts are unknown, so it is read twice", self._reading.path.key
            )
            again = PartHashes(verifier.expected, verifier.ends)
            reader.read(0, reader.size, again.update, stop_sign=Stop())
            if again.digests() == verifier.digests():
                return
        raise reader.mismatch(verifier)

    def _ranges_in_order(self, reader: Reader) -> Iterator[memoryview]:
        start = reader.start
        if not reader.etag:
            yield from reader.once()
            return
        if reader.first_stop - start <= FIRST_RANGE:
            yield self._collect(reader, start, reader.first_stop, Stop())
            start = reader.first_stop
        yield from self.ranges(reader, start, reader.stop)

    def ranges(self, reader: Reader, start: int, stop: int) -> Generator[memoryview, None, None]:
        """Yield the bytes of a span, in pieces whose memory is used again."""
        starts = range(start, stop, NEXT_RANGE)
        spans = ((each, min(each + NEXT_RANGE, stop)) for each in starts)
        if self._concurrency > 1:
            yield from self._read_ahead(reader, spans)
            return
        for span in spans:
            yield self._collect(reader, *span, Stop())

    def _collect(self, reader: Reader, start: int, stop: int, stop_sign: Stop) -> memoryview:
        space = memoryview(self._buffers.take(stop - start))[: stop - start]
        reader.read(start, stop, space=space, stop_sign=stop_sign)
        return space

    def _read_ahead(self, reader: Reader, spans: Iterator[tuple[int, int]]) -> Iterator[memoryview]:
        """Fetch ranges ahead of the consumer: two at first, twice as many when it has to wait."""
        stop_sign = Stop()
        crew = Crew(self._concurrency, self._reading.client.interrupt, stop=stop_sign)
        ahead: deque[Outcome[memoryview]] = deque()
        width = 2

        def extend() -> None:
            for span in islice(spans, width - len(ahead)):
                ahead.append(crew.submit(partial(self._collect, reader, *span, stop_sign)))

        with crew, crew:
            extend()
            while ahead:
                if not ahead[0].done():
                    width = min(2 * width, self._concurrency)
                    extend()
                space = crew.result(ahead.popleft())
                yield space
                self._buffers.give(space.obj)
                extend()


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
