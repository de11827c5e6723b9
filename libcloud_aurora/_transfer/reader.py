"""One version of one object, read range by range; never two versions mixed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import NamedTuple

from libcloud_aurora._client import Client, OpenObject, Span
from libcloud_aurora._s3.checksums import Checksum
from libcloud_aurora._s3.names import ObjectPath
from libcloud_aurora._transfer.sources import Progress
from libcloud_aurora._transfer.verify import PartHashes, PieceCrcs, Verifier
from libcloud_aurora._transfer.workers import check_process
from libcloud_aurora._wire.retry import Stop, logger
from libcloud_aurora.config import BUFFER_SIZE, TransferConfig
from libcloud_aurora.errors import AuroraObjectsError, HashMismatchError, ObjectChangedError
from libcloud_aurora.parts import other_layouts, own_layouts, part_count

#: Takes an offset in the object and a buffer, which it must not keep.
Deliver = Callable[[int, memoryview], None]


class Reading(NamedTuple):
    """
    What to read of an object, and how.

    :ivar size_hint: Size of the object as far as the caller knows it.
    :ivar span: First byte and the byte after the last one; ``None`` for a whole object.
    """

    client: Client
    path: ObjectPath
    config: TransferConfig
    size_hint: int | None = None
    span: Span | None = None
    progress: Progress | None = None

    def report(self, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress(done, total)


class Reader:
    """
    One version of an object, or of a span of it, from ``start`` to before ``stop``.

    The first response shows which version it is; every later one is pinned to it by ``If-Match``.
    Without an ETag, one response must do.

    :ivar first_stop: Byte after the last one of the response that is open already.
    """

    def __init__(self, reading: Reading, first_size: int) -> None:
        self._reading = reading
        self.start, end = reading.span or (0, None)
        stop = self.start + first_size if end is None else min(self.start + first_size, end)
        small = reading.size_hint is not None and reading.size_hint <= first_size
        first: Span | None = None if small and reading.span is None else (self.start, stop)
        opens = partial(
            reading.client.get_object, reading.path, lambda body: body, size=reading.size_hint
        )
        try:
            opened = opens(span=lambda: first)
        except AuroraObjectsError as error:
            if error.code != "InvalidRange" or self.start:
                raise
            opened = opens(span=lambda: None)  # an empty object has no range
            if end is not None and opened.size > end:
                opened.release()
                raise opened.subject.malformed("more than was asked for") from error
        if not opened.etag and opened.stop < min(end or opened.size, opened.size):
            # Without a version to pin, one response must do.
            opened.release()
            opened = opens(span=lambda: None if reading.span is None else (self.start, end))
        opened.unclaim()
        self._opened: OpenObject | None = opened
        self._pid = os.getpid()
        self._checksum, self._has_parts = opened.checksum, opened.has_parts
        self.subject = opened.subject
        self.etag = opened.etag
        self.size = opened.size
        self.first_stop = opened.stop
        self.stop = self.size if end is None else min(end, self.size)

    @property
    def is_whole(self) -> bool:
        """Whether the whole object is wanted."""
        return (self.start, self.stop) == (0, self.size)

    def close(self) -> None:
        """Release the first response if no range has been read from it."""
        if self._opened is not None:
            self._opened.release()
            self._opened = None

    def read(
        self,
        start: int,
        stop: int,
        deliver: Deliver | None = None,
        *,
        into: Callable[[int], memoryview] | None = None,
        stop_sign: Stop,
    ) -> None:
        """
        Read a range, resuming where the connection broke.

        :param deliver: Takes its bytes.
        :param into: Returns where to put the bytes at a position; by default into one buffer, which
            is reused.
        """
        if into is None:
            buffer = memoryview(bytearray(min(BUFFER_SIZE, max(1, stop - start))))
            into = lambda _: buffer  # noqa: E731
        position = start

        def take(body: OpenObject) -> None:
            nonlocal position
            try:
                self._check(body, position, stop)
                while position < stop and not stop_sign.is_set():
                    view = into(position)[: stop - position]
                    count = body.readinto(view)
                    if deliver is not None:
                        deliver(position, view[:count])
                    position += count
            except AuroraObjectsError:
                if not self.etag:
                    position = start  # the next response may be of another version
                raise
            finally:
                body.release()

        if self._pid != os.getpid():
            self.close()  # the parent's
        opened = None
        if (start, stop) == (self.start, self.first_stop):
            opened, self._opened = self._opened, None
        if start == stop and opened is None:
            return
        try:
            self._reading.client.get_object(
                self._reading.path,
                take,
                span=lambda: (position, stop),
                etag=self.etag,
                size=self.size,
                opened=opened,
                progress=lambda: position,
                stop=stop_sign,
            )
        except AuroraObjectsError as error:
            if error.code == "PreconditionFailed" and self.etag:
                raise self._changed(error) from error
            raise

    def once(self) -> Iterator[memoryview]:
        """Yield the bytes of the first response, where no other may be asked for."""
        buffer, position = memoryview(bytearray(BUFFER_SIZE)), self.start
        while self._opened is not None and position < self.stop:
            check_process(self._pid)
            count = self._opened.readinto(buffer[: self.stop - position])
            position += count
            yield buffer[:count]
        self.close()

    def _check(self, body: OpenObject, start: int, stop: int) -> None:
        if body.etag not in ("", self.etag):
            raise self._changed()
        if (body.start, body.stop, body.size) != (start, stop, self.size):
            raise body.subject.malformed(
                f"bytes {body.start}-{body.stop - 1}/{body.size} where "
                f"{start}-{stop - 1}/{self.size} belong"
            )

    def _changed(self, refusal: AuroraObjectsError | None = None) -> ObjectChangedError:
        return ObjectChangedError(
            f"{self._reading.path} was replaced while it was read. Download it again.",
            code=getattr(refusal, "code", None),
            http_status=getattr(refusal, "http_status", None),
            request_id=getattr(refusal, "request_id", None),
            **self.subject.fields,
        )

    # What verifies it

    def verifier(self) -> Verifier | None:
        """Return what verifies the object as it arrives, or nothing where that cannot be done."""
        config = self._reading.config
        if not config.verify or not self.is_whole or not self.etag:
            return None
        checksum, ends = self._known()
        if checksum.combines:
            return PieceCrcs(checksum, self.size)
        if ends:
            return PartHashes(checksum, ends)
        own = own_layouts(self.size, self.etag, config.part_size)
        layout = next(chain(own, other_layouts(self.size, self.etag)), None)
        return PartHashes(checksum, layout, is_guess=True) if layout else None

    def _known(self) -> tuple[Checksum, Sequence[int]]:
        """
        Return the best checksum that the server has given, and where the parts end.

        The response to a range has no checksum. From Ceph 20 on, radosgw says in it that an object
        has parts, and one more request then returns checksum and parts.
        """
        checksum, ends = self._checksum, [self.size] * (part_count(self.etag) == 1)
        if self._has_parts and not ends and not (checksum and checksum.combines):
            try:
                said = self._reading.client.object_attributes(self._reading.path, self.size)
            except AuroraObjectsError as error:
                logger.info("GET of %s: its parts are unknown: %s", self._reading.path, error)
                self._has_parts = False
            else:
                if said.etag == self.etag:  # else the next range is refused
                    checksum = said.checksum
                    ends = said.ends if said.ends[-1:] == [self.size] else ends
        # A copy of an object of one part may have the checksum of its parts without their number.
        like_etag = checksum and checksum.is_composite == ("-" in self.etag)
        if checksum and (checksum.combines or (ends and like_etag and checksum.fits(len(ends)))):
            return checksum, ends
        return Checksum("md5", self.etag), ends

    def mismatch(self, verifier: Verifier | None) -> HashMismatchError:
        """Return the exception for bytes that keep differing from what the server says."""
        said, found = (verifier.expected, verifier.found()) if verifier else ("nothing", "")
        return HashMismatchError(
            f"{self._reading.path} has {said}, but what arrived gives {found!r}: "
            "it was damaged in transit or on the server.",
            **self.subject.fields,
        )
