"""Objects coming down to a file: ranges in parallel, verified."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from libcloud_aurora._files import appearing, read_pieces, write_all
from libcloud_aurora._parallel import Task, Window, Workers
from libcloud_aurora._response import AuroraResponse
from libcloud_aurora._retry import Retrier, logger
from libcloud_aurora._verify import PartHashes
from libcloud_aurora._version import BUFFER_SIZE, Version
from libcloud_aurora.config import MIB, TransferConfig
from libcloud_aurora.errors import AuroraObjectsError, HashMismatchError
from libcloud_aurora.parts import candidate_part_sizes, plan_ranges

#: Fewest bytes worth a request of their own when a file is fetched in ranges.
SMALLEST_RANGE = 4 * MIB
#: Most bytes of one range to a file; larger objects take more rounds.
LARGEST_RANGE = 16 * MIB
Progress = Callable[[int, int | None], object]


class Download:
    """
    One object, or a span of it, coming down.

    Memory: one buffer of 1 MiB per connection.

    :param request: Sends one request.
    :param path: Percent-encoded path of the object.
    :param context: Fields for errors: bucket, key and driver.
    :param size_hint: Size of the object as far as the caller knows, or ``None``.
    :param span: First byte and the byte after the last one wanted, or ``None`` for all to the end.
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
        self._reported = 0

    def to_file(self, target: Path) -> None:
        """
        Save to a file, and fetch it again while it differs from its ETag.

        :raises HashMismatchError: if it still differs after the last attempt.
        """
        version = self._begin(self._range_size(self._size_hint))
        try:
            with appearing(target, self._stop(version) - self._start) as descriptor:
                self._fetch_verified(version, descriptor)
        finally:
            version.release()

    def _range_size(self, size: int | None) -> int:
        """Return the bytes to ask for first: everything, if one request is best."""
        stop = size if self._end is None else min(self._end, size or self._end)
        if stop is None:
            return SMALLEST_RANGE
        start, end = self._ranges(self._start, max(stop, self._start))[0]
        return end - start

    def _ranges(self, start: int, stop: int) -> list[tuple[int, int]]:
        return plan_ranges(
            start,
            stop,
            concurrency=self._config.max_concurrency,
            smallest=SMALLEST_RANGE,
            largest=LARGEST_RANGE,
        )

    def _begin(self, first_size: int) -> Version:
        """Send the first GET; an object that is empty, or wanted whole at once, has no range."""
        size = self._size_hint
        one_request = self._whole and size is not None and size <= first_size
        stop = self._start + first_size
        if self._end is not None:
            stop = min(stop, self._end)
        try:
            return self._version(None if one_request else stop, ranged=not one_request)
        except AuroraObjectsError as error:
            if error.code != "InvalidRange" or not self._whole:
                raise
            return self._version(None, ranged=False)

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

    def _candidates(self, version: Version) -> list[int]:
        """Return how the object may have been cut; nothing where it cannot be verified."""
        if not self._config.verify or self._stop(version) - self._start != version.size:
            return []
        return candidate_part_sizes(version.size, version.etag, self._config.part_size)

    def _fetch_verified(self, version: Version, descriptor: int) -> None:
        layouts = self._candidates(version)
        seen: list[list[str]] = []
        for attempt in range(1, self._retrier.policy.max_attempts + 1):
            hashes = PartHashes(version.size, layouts[0]) if layouts else None
            self._fetch(version, descriptor, hashes, self._pattern(version, attempt))
            if hashes is None or self._matches(version, descriptor, hashes, layouts[1:]):
                return
            parts = hashes.part_etags()
            if "-" in version.etag and parts in seen:
                logger.info(
                    "%s: two downloads agree, but its parts are not equal, so its ETag "
                    "cannot be recomputed",
                    self._path,
                )
                return
            seen.append(parts)
            logger.info("%s: attempt %d did not match its ETag", self._path, attempt)
        raise self._mismatch(version, hashes)

    def _mismatch(self, version: Version, hashes: PartHashes | None) -> HashMismatchError:
        found = hashes.etag(version.etag) if hashes else ""
        return HashMismatchError(
            f"object {self._context['key']!r} has ETag {version.etag!r}, but what arrived makes "
            f"{found!r}: it is damaged on the way or on the server.",
            **self._context,
        )

    def _pattern(self, version: Version, attempt: int) -> list[tuple[int, int]]:
        """Return the ranges of one attempt; each attempt asks differently, see _fetch_verified."""
        stop = self._stop(version)
        if attempt > 1:
            edges = [stop * index // (attempt - 1) for index in range(attempt)]
            return list(pairwise(edges))
        first = (self._start, version.first_stop)
        rest = self._ranges(version.first_stop, stop) if version.first_stop < stop else []
        return [first, *rest]

    def _fetch(
        self,
        version: Version,
        descriptor: int,
        hashes: PartHashes | None,
        ranges: list[tuple[int, int]],
    ) -> None:
        done = 0
        total = self._stop(version) - self._start

        def report(count: int) -> None:
            nonlocal done
            done += count
            if done > self._reported:
                self._reported = done
                self._progress(done, total)

        limit = min(self._config.max_concurrency, len(ranges))
        window = Window(self._workers, limit=limit, on_bytes=report)

        def deliver(offset: int, view: memoryview) -> None:
            write_all(descriptor, view, offset - self._start)
            if hashes is not None:
                hashes.update(offset, view)
            window.moved(len(view))

        def fetch(start: int, end: int) -> None:
            version.read(start, end, deliver, stop_event=window.stop)

        window.run(
            (Task(lambda s=start, e=end: fetch(s, e)) for start, end in ranges),  # type: ignore[misc]
            lambda result: None,
        )
        if total == 0:
            self._progress(0, 0)
        if hashes is not None:
            catch_up(hashes, descriptor, version.size)

    def _matches(
        self, version: Version, descriptor: int, hashes: PartHashes, others: list[int]
    ) -> bool:
        """Compare with the ETag; try other ways to cut by reading the file again."""
        if hashes.etag(version.etag) == version.etag:
            return True
        for part_size in others:
            other = PartHashes(version.size, part_size)
            catch_up(other, descriptor, version.size)
            if other.etag(version.etag) == version.etag:
                return True
        return False


def catch_up(hashes: PartHashes, descriptor: int, stop: int) -> None:
    """Hash from the file what came before its turn."""
    for start, end in list(hashes.gaps(stop)):
        for offset, piece in read_pieces(descriptor, start, end, BUFFER_SIZE):
            hashes.update(offset, memoryview(piece))
