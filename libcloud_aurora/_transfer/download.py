"""An object to a file: ranges in parallel, verified."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from itertools import islice, pairwise

from libcloud_aurora._transfer.files import Destination
from libcloud_aurora._transfer.open_file import OpenFile
from libcloud_aurora._transfer.partial import Partial, remove_partial
from libcloud_aurora._transfer.reader import Reader, Reading
from libcloud_aurora._transfer.verify import PartHashes, Verifier
from libcloud_aurora._transfer.workers import Crew, Task, Window
from libcloud_aurora._wire.retry import Stop, logger
from libcloud_aurora.config import BUFFER_SIZE, MIB
from libcloud_aurora.errors import HashMismatchError
from libcloud_aurora.parts import fit_ranges, other_layouts, plan_ranges

#: Fewest bytes worth a request of their own when a file is fetched in ranges.
SMALLEST_RANGE = 4 * MIB
#: Most bytes of one range to a file; larger objects take more rounds.
LARGEST_RANGE = 16 * MIB
#: Most bytes of one range of a longer part, which can only be hashed from its start on. Measured
#: over 20 ms and 10 MiB/s per connection: 256 MiB in two parts take 2.26 s, not 2.70 s.
FOLLOWED_RANGE = 8 * MIB
#: Ranges at once to begin with where the server is near. Measured on loopback: four take 0.9 of
#: the time of sixteen, whose connections and threads cost CPU time.
NEAR_CONCURRENCY = 4
#: Most guesses at how an object was cut; for each, the file is read anew.
GUESSES = 8

Ranges = list[tuple[int, int]]
#: Takes note of bytes that have arrived.
Recorder = Callable[[int, int], None]


class Download:
    """One object, or a span of it, coming down to a file; 1 MiB of memory per connection."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._reported = -1

    def to_file(self, target: Destination) -> None:
        """Save to a file, and fetch it again while it differs from its ETag."""
        with (
            closing(Reader(self._reading, self._first_size())) as reader,
            target.appearing(reader.stop - reader.start) as file,
        ):
            self._fetch_verified(reader, file, self._plan(reader), fits=True)
        remove_partial(target)

    def to_file_resuming(self, target: Destination) -> None:
        """Save to a file, continuing where an earlier call was cut off; a failure keeps bytes."""
        with closing(Reader(self._reading, 1)) as reader:
            if not reader.etag:  # nothing says whether it is the same object next time
                reader.close()
                self.to_file(target)
                return
            with Partial(target, self._reading.path.quoted) as kept:
                kept.begin(reader.etag, reader.size)
                if reader.first_stop == 1:
                    reader.read(0, 1, stop_sign=Stop())  # frees its connection
                reader.close()  # had its size not been known, it would all come here
                gaps = kept.missing(reader.size)
                ranges = [each for gap in gaps for each in self._ranges(*gap)]
                try:
                    self._fetch_verified(reader, kept.file, ranges, kept.record)
                except HashMismatchError:
                    kept.discard()
                    raise
                kept.finish()

    def _first_size(self) -> int:
        """Return how many bytes to ask for first: all of them, if one request is best."""
        start, end = self._reading.span or (0, None)
        size = self._reading.size_hint
        stop = size if end is None else min(end, size or end)
        if stop is None:
            return SMALLEST_RANGE
        first, last = self._ranges(start, max(stop, start + 1))[0]
        return last - first

    def _ranges(self, start: int, stop: int) -> Ranges:
        return plan_ranges(
            start,
            stop,
            concurrency=self._reading.config.file_concurrency,
            smallest=SMALLEST_RANGE,
            largest=LARGEST_RANGE,
        )

    def _plan(self, reader: Reader) -> Ranges:
        """Return the ranges to fetch: the one whose response has begun, then the rest."""
        first = (reader.start, reader.first_stop)
        planned = self._ranges(reader.start, reader.stop)
        if planned[0] == first:
            return planned
        rest = self._ranges(first[1], reader.stop) if first[1] < reader.stop else []
        return [first, *rest]

    def _fetch_verified(
        self,
        reader: Reader,
        file: OpenFile,
        ranges: Ranges,
        record: Recorder = lambda start, stop: None,
        *,
        fits: bool = False,
    ) -> None:
        """
        Fetch until the bytes are what the server says they are.

        Each attempt cuts different ranges, so that damage at one place of each response hits other
        bytes. If the parts behind an ETag are unknown, two downloads that agree count as right.

        :param fits: Whether to fit the ranges, which adjoin, to the object's parts.
        """
        seen: list[list[bytes]] = []
        path, begun_with = self._reading.path, len(ranges)
        for attempt in range(1, self._reading.client.max_attempts + 1):
            verifier = reader.verifier()
            if fits and attempt == 1 < len(ranges) and isinstance(verifier, PartHashes):
                ranges = fit_ranges(
                    ranges, verifier.ends, largest=LARGEST_RANGE, step=FOLLOWED_RANGE
                )
            self._fetch(reader, file, verifier, ranges, record)
            if verifier is None:
                if self._reading.config.verify and reader.is_whole:
                    logger.info("GET of %s: not verified, its ETag is %r", path, reader.etag)
                return
            if verifier.matches():
                return
            digests = verifier.digests()
            if isinstance(verifier, PartHashes) and verifier.is_guess:
                if digests in seen:
                    logger.info("GET of %s: its parts are unknown, but two downloads agree", path)
                    return
                if _is_cut_otherwise(reader, file, verifier):
                    return
            seen.append(digests)
            logger.info("GET of %s: attempt %d does not match %s", path, attempt, verifier.expected)
            count = begun_with + attempt
            edges = [reader.size * index // count for index in range(count + 1)]
            ranges = list(pairwise(edges))
        raise reader.mismatch(verifier)

    def _fetch(
        self,
        reader: Reader,
        file: OpenFile,
        verifier: Verifier | None,
        ranges: Ranges,
        record: Recorder,
    ) -> None:
        total = reader.stop - reader.start
        done = total - sum(stop - start for start, stop in ranges)

        def report(count: int) -> None:
            nonlocal done
            done += count
            if done > self._reported:  # an earlier attempt may have got further
                self._reported = done
                self._reading.report(done, total)

        limit = min(self._reading.config.file_concurrency, len(ranges))
        interrupt = self._reading.client.interrupt
        hashing = Crew(1)
        first = NEAR_CONCURRENCY if self._reading.client.is_near() else None
        window = Window(limit=limit, first=first, on_bytes=report, interrupt=interrupt)

        def fetch(start: int, stop: int) -> None:
            furthest = start

            def deliver(offset: int, view: memoryview) -> None:
                nonlocal furthest
                file.write(view, offset - reader.start)
                record(offset, offset + len(view))
                if verifier is not None:
                    verifier.update(offset, view)
                if isinstance(verifier, PartHashes) and verifier.early and limit > 1:
                    hashing.submit(partial(_hash, verifier, file, verifier.ready(), window))
                moved = max(0, offset + len(view) - furthest)  # what comes again counts once
                furthest += moved
                window.report(moved)

            reader.read(start, stop, deliver, stop_sign=window)

        report(0)
        with hashing, hashing:
            window.run(Task(partial(fetch, *span)) for span in ranges)
        if verifier is not None:
            _hash(verifier, file, list(verifier.gaps()))


def _is_cut_otherwise(reader: Reader, file: OpenFile, tried: PartHashes) -> bool:
    """Compare once more, reading the file for each other way in which it may have been cut."""
    for layout in islice(other_layouts(reader.size, reader.etag), GUESSES):
        if layout != tried.ends:
            other = PartHashes(tried.expected, layout)
            _hash(other, file, list(other.gaps()))
            if other.matches():
                return True
    return False


def _hash(
    verifier: Verifier,
    file: OpenFile,
    spans: Iterable[tuple[int, int]],
    stop_sign: Stop | None = None,
) -> None:
    """Read from the file what came before its turn, or in an earlier call."""
    buffer = memoryview(bytearray(BUFFER_SIZE))
    for start, stop in spans:
        for offset, piece in file.pieces(start, stop, buffer):
            verifier.update(offset, piece)
            if stop_sign is not None and stop_sign.is_set():
                return
