"""Objects coming down to a file: ranges in parallel, verified."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

from libcloud_aurora._files import appearing, read_pieces, write_all
from libcloud_aurora._parallel import Task, Window
from libcloud_aurora._response import AuroraResponse
from libcloud_aurora._resume import Partial
from libcloud_aurora._retry import Retrier, logger
from libcloud_aurora._threads import Workers
from libcloud_aurora._verify import PartHashes
from libcloud_aurora._version import BUFFER_SIZE, Version
from libcloud_aurora.config import MIB, TransferConfig
from libcloud_aurora.errors import AuroraObjectsError, HashMismatchError
from libcloud_aurora.parts import other_layouts, own_layouts, part_count, plan_ranges

#: Fewest bytes worth a request of their own when a file is fetched in ranges.
SMALLEST_RANGE = 4 * MIB
#: Most bytes of one range to a file; larger objects take more rounds.
LARGEST_RANGE = 16 * MIB
Progress = Callable[[int, int | None], object]
Ranges = list[tuple[int, int]]
Note = Callable[[int, memoryview], None]
Recorder = Callable[[], Note]


def no_record() -> Note:
    """Note nothing of a range that is fetched."""
    return lambda offset, view: None


class Download:
    """
    One object, or a span of it, coming down.

    Memory: one buffer of 1 MiB per connection.

    :param request: Sends one request.
    :param path: Percent-encoded path of the object.
    :param context: Fields for errors: bucket, key and driver.
    :param size_hint: Size of the object as far as the caller knows, or ``None``.
    :param span: First byte and the byte after the last one wanted, or ``None`` for all to the end.
    :param open_ahead: Opens connections for a number of requests.
    """

    def __init__(
        self,
        *,
        request: Callable[..., AuroraResponse],
        retrier: Retrier,
        workers: Workers,
        config: TransferConfig,
        path: str,
        context: dict[str, Any],
        size_hint: int | None,
        span: tuple[int, int | None] | None,
        progress: Progress | None,
        open_ahead: Callable[[int], None],
    ) -> None:
        self._request = request
        self._retrier = retrier
        self._workers = workers
        self._config = config
        self._path = path
        self._context = context
        self._size_hint = size_hint
        self._start, self._end = span or (0, None)
        self._whole = span is None
        self._progress = progress or (lambda done, total: None)
        self._reported = -1
        self._open_ahead = open_ahead

    def to_file(self, target: Path) -> None:
        """
        Save to a file, and fetch it again while it differs from its ETag.

        :raises HashMismatchError: if it still differs after the last attempt.
        """
        version = self._begin(self._first_size())
        try:
            with appearing(target, self._stop(version) - self._start) as descriptor:
                self._fetch_verified(version, descriptor, self._plan(version))
        finally:
            version.release()

    def to_file_resuming(self, target: Path) -> None:
        """
        Save to a file as :meth:`to_file` does, but go on where an earlier call was cut off.

        What has arrived stays beside the target when this fails, until a later call completes it or
        finds that the object is another one.
        """
        version = self._begin(1)
        with Partial(target, self._path) as partial_file:
            try:
                partial_file.begin(version.etag, version.size)
                ranges = [
                    piece
                    for start, stop in partial_file.missing(version.size)
                    for piece in self._ranges(start, stop)
                ]
                self._fetch_verified(
                    version, partial_file.descriptor, ranges, partial_file.recorder
                )
            except HashMismatchError:
                partial_file.discard()
                raise
            finally:
                version.release()
            partial_file.finish()

    def _first_size(self) -> int:
        """Return the bytes to ask for first: everything, if one request is best."""
        size = self._size_hint
        stop = size if self._end is None else min(self._end, size or self._end)
        if stop is None:
            return SMALLEST_RANGE
        ranges = self._ranges(self._start, max(stop, self._start + 1))
        self._open_ahead(len(ranges))
        start, end = ranges[0]
        return end - start

    def _ranges(self, start: int, stop: int) -> Ranges:
        return plan_ranges(
            start,
            stop,
            concurrency=self._config.file_concurrency,
            smallest=SMALLEST_RANGE,
            largest=LARGEST_RANGE,
        )

    def _begin(self, first_size: int) -> Version:
        """Send the first GET; a small object wanted whole, or an empty one, has no range."""
        size = self._size_hint
        one_request = self._whole and size is not None and size <= first_size
        stop = self._start + first_size
        if self._end is not None:
            stop = min(stop, self._end)
        try:
            return self._version(None if one_request else stop, ranged=not one_request)
        except AuroraObjectsError as error:
            if error.code != "InvalidRange" or self._start:
                raise
            return self._version(self._end, ranged=False)

    def _version(self, stop: int | None, *, ranged: bool) -> Version:
        return Version(
            self._request,
            self._retrier,
            path=self._path,
            start=self._start,
            stop=stop,
            ranged=ranged,
            context=self._context,
        )

    def _stop(self, version: Version) -> int:
        return version.size if self._end is None else min(self._end, version.size)

    def _hashes(self, version: Version) -> PartHashes | None:
        """Return what verifies the object on its way; nothing where that cannot be done."""
        whole = (self._start, self._stop(version)) == (0, version.size)
        if not self._config.verify or not whole:
            return None
        own = own_layouts(version.size, version.etag, self._config.part_size)
        layout = next(chain(own, other_layouts(version.size, version.etag)), None)
        return PartHashes(layout) if layout else None

    def _fetch_verified(
        self, version: Version, descriptor: int, ranges: Ranges, record: Recorder = no_record
    ) -> None:
        """
        Fetch until the bytes have the object's ETag.

        Each attempt cuts the object into another number of ranges, so that what is damaged at the
        same place of each answer is not damaged at the same bytes. Where an ETag of parts cannot
        be recomputed, because they may have any sizes, two downloads that agree are right.
        """
        seen: list[list[str]] = []
        begun_with = len(ranges)
        for attempt in range(1, self._retrier.policy.max_attempts + 1):
            hashes = self._hashes(version)
            self._fetch(version, descriptor, hashes, ranges, record)
            if hashes is None or self._matches(version, descriptor, hashes):
                return
            if may_be_unequal(version.etag) and hashes.part_etags() in seen:
                return
            seen.append(hashes.part_etags())
            logger.info("GET of %s: attempt %d does not match its ETag", self._path, attempt)
            count = begun_with + attempt
            edges = [version.size * index // count for index in range(count + 1)]
            ranges = list(pairwise(edges))
        raise self._mismatch(version, hashes)

    def _mismatch(self, version: Version, hashes: PartHashes | None) -> HashMismatchError:
        found = hashes.etag(version.etag) if hashes else ""
        return HashMismatchError(
            f"object {self._context['key']!r} has ETag {version.etag!r}, but what arrived makes "
            f"{found!r}: it is damaged on the way or on the server.",
            **self._context,
        )

    def _plan(self, version: Version) -> Ranges:
        """Return the ranges to fetch: the one whose answer has begun, then the rest."""
        first, stop = (self._start, version.first_stop), self._stop(version)
        planned = self._ranges(self._start, stop)
        if planned[0] == first:
            return planned
        return [first, *(self._ranges(first[1], stop) if first[1] < stop else [])]

    def _fetch(
        self,
        version: Version,
        descriptor: int,
        hashes: PartHashes | None,
        ranges: Ranges,
        record: Recorder,
    ) -> None:
        total = self._stop(version) - self._start
        report = self._reporter(total, total - sum(stop - start for start, stop in ranges))
        limit = min(self._config.file_concurrency, len(ranges))
        window = Window(self._workers, limit=limit, on_bytes=report)

        def fetch(start: int, stop: int) -> None:
            note = record()

            def deliver(offset: int, view: memoryview) -> None:
                write_all(descriptor, view, offset - self._start)
                note(offset, view)
                if hashes is not None:
                    hashes.update(offset, view)
                window.moved(len(view))

            version.read(start, stop, deliver, stop_event=window.stop)

        report(0)
        window.run((Task(partial(fetch, *span)) for span in ranges), lambda result: None)
        if hashes is not None:
            catch_up(hashes, descriptor)

    def _reporter(self, total: int, done: int) -> Callable[[int], None]:
        """Return what reports bytes moved, never less than before."""

        def report(count: int) -> None:
            nonlocal done
            done += count
            if done > self._reported:
                self._reported = done
                self._progress(done, total)

        return report

    def _matches(self, version: Version, descriptor: int, hashes: PartHashes) -> bool:
        """Compare with the ETag; try other ways to cut by reading the file again."""
        if hashes.match(version.etag):
            return True
        for layout in other_layouts(version.size, version.etag):
            other = PartHashes(layout)
            catch_up(other, descriptor)
            if other.match(version.etag):
                return True
        return False


def may_be_unequal(etag: str) -> bool:
    """Tell whether an ETag that does not match may be due to parts of other sizes."""
    return part_count(etag) != 1


def catch_up(hashes: PartHashes, descriptor: int) -> None:
    """Hash from the file what came before its turn."""
    for start, stop in list(hashes.gaps()):
        for offset, piece in read_pieces(descriptor, start, stop, BUFFER_SIZE):
            hashes.update(offset, memoryview(piece))
