"""One version of one object, read range by range; never two versions mixed."""

from __future__ import annotations

import http.client
import re
from collections.abc import Callable, Iterator
from typing import Any

from libcloud_aurora._failures import network_error
from libcloud_aurora._response import AuroraResponse
from libcloud_aurora._retry import Retrier
from libcloud_aurora._threads import Stop
from libcloud_aurora._values import strip_etag
from libcloud_aurora._xml import whole_number
from libcloud_aurora.connection import NETWORK_FAILURES
from libcloud_aurora.errors import AuroraObjectsError, ObjectChangedError

#: Bytes read at once, the size of every buffer of a download.
BUFFER_SIZE = 1024**2

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")

Deliver = Callable[[int, memoryview], None]


class Version:
    """
    What one GET began to read; every later range is pinned to it by ``If-Match``.

    :param request: Sends one request.
    :param path: Percent-encoded path of the object.
    :param start: First byte wanted.
    :param stop: Byte after the last one wanted at first, or ``None`` for all.
    :param ranged: Whether to ask for a range, which an empty object does not have.
    :param context: Fields for errors: bucket, key and driver.
    """

    def __init__(
        self,
        request: Callable[..., AuroraResponse],
        retrier: Retrier,
        *,
        path: str,
        start: int,
        stop: int | None,
        ranged: bool,
        context: dict[str, Any],
    ) -> None:
        self._request = request
        self._path = path
        self._context = context
        self._retrier = retrier
        self.etag = ""
        self.size = 0
        self.pin: dict[str, str] = {}
        self._first: AuroraResponse | None = self._open(start, stop, ranged=ranged)
        self.etag = strip_etag(self._first.headers.get("etag"))
        self.pin = {"If-Match": f'"{self.etag}"'} if self.etag else {}
        self.start = start
        self.first_stop = self._learn_size(self._first, start, stop)

    def _learn_size(self, answer: AuroraResponse, start: int, asked: int | None) -> int:
        """Set the object's size from the first answer, and return where that ends."""
        length = whole_number(answer.headers.get("content-length", ""))
        if answer.status != 206:
            if length is None or start or length > (asked or length):
                self.release()
                raise answer.malformed("no range, or no length, where they were asked for")
            self.size = length
            return self.size
        match = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", ""))
        first, last, size = (int(number) for number in match.groups()) if match else (-1, -1, -1)
        if not start == first <= last < min(size, size if asked is None else asked):
            self.release()
            raise answer.malformed(f"Content-Range {answer.headers.get('content-range')!r}")
        self.size = size
        return last + 1

    def _open(
        self, start: int, stop: int | None, *, ranged: bool = True, once: bool = False
    ) -> AuroraResponse:
        headers = dict(self.pin)
        if ranged:
            headers["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
        try:
            return self._request(
                self._path,
                headers=headers,
                raw=True,
                stream=True,
                retry_failed=False if once else None,
            )
        except AuroraObjectsError as error:
            if error.code == "PreconditionFailed" and self.pin:
                raise self._changed(error) from error
            raise

    def _changed(self, refusal: AuroraObjectsError | None = None) -> ObjectChangedError:
        return ObjectChangedError(
            f"object {self._context['key']!r} was replaced while it was read. Download it again.",
            code=getattr(refusal, "code", None),
            http_status=getattr(refusal, "http_status", None),
            request_id=getattr(refusal, "request_id", None),
            **self._context,
        )

    def release(self) -> None:
        """Close the first answer if nobody has read it."""
        if self._first is not None:
            self._first.raw.close()
            self._first = None

    def read(self, start: int, stop: int, deliver: Deliver, *, stop_event: Stop) -> None:
        """
        Read a range into buffers that are used again, resuming where the connection broke.

        :param deliver: Takes an offset and a buffer, and must not keep it.
        """
        buffer = memoryview(bytearray(min(BUFFER_SIZE, max(1, stop - start))))
        self._read(start, stop, lambda offset: buffer, deliver, stop_event)

    def read_into(self, space: memoryview, start: int, *, stop_event: Stop) -> None:
        """Read a range into memory of its size, resuming where the connection broke."""

        def space_at(offset: int) -> memoryview:
            return space[offset - start :]

        self._read(start, start + len(space), space_at, lambda offset, view: None, stop_event)

    def _read(
        self,
        start: int,
        stop: int,
        space_at: Callable[[int], memoryview],
        deliver: Deliver,
        stop_event: Stop,
    ) -> None:
        position = start

        def attempt() -> None:
            nonlocal position
            if start == stop and self._first is None:
                return
            for view in self._buffers(position, stop, space_at, stop_event):
                deliver(position, view)
                position += len(view)

        self._retrier.stopping_with(stop_event).run(attempt, progress=lambda: position)

    def _buffers(
        self,
        start: int,
        stop: int,
        space_at: Callable[[int], memoryview],
        stop_event: Stop,
    ) -> Iterator[memoryview]:
        """Yield the bytes of one answer, each time in the memory given for their offset."""
        answer = self._answer(start, stop)
        finished = False
        try:
            fill = reader(answer.raw)
            while start < stop and not stop_event.is_set():
                space = space_at(start)[: stop - start]
                count = self._fill(fill, space)
                start += count
                yield space[:count]
            finished = start == stop
        finally:
            (answer.raw.release_conn if finished and _exhausted(answer.raw) else answer.raw.close)()

    def _answer(self, start: int, stop: int) -> AuroraResponse:
        if (start, stop) == (self.start, self.first_stop) and self._first is not None:
            first, self._first = self._first, None
            return first
        answer = self._open(start, stop, once=True)
        expected = f"bytes {start}-{stop - 1}/{self.size}"
        if self.etag and strip_etag(answer.headers.get("etag")) not in ("", self.etag):
            answer.raw.close()
            raise self._changed()
        whole = answer.status == 200 and (start, stop) == (0, self.size)
        if answer.headers.get("content-range") != expected and not whole:
            answer.raw.close()
            raise answer.malformed(
                f"Content-Range {answer.headers.get('content-range')!r} where {expected!r} belongs"
            )
        return answer

    def _fill(self, fill: Callable[[memoryview], int], view: memoryview) -> int:
        try:
            filled = fill(view)
            if not filled:
                raise http.client.IncompleteRead(b"", len(view))
        except NETWORK_FAILURES as exc:
            raise network_error(exc, method="GET", **self._context) from exc
        return filled


def reader(raw: Any) -> Callable[[memoryview], int]:
    """
    Return what fills a buffer from an open answer.

    http.client reads from the socket into the buffer, urllib3 would copy once more.
    """
    original = getattr(raw, "_original_response", None)
    if isinstance(original, http.client.HTTPResponse):
        return original.readinto

    def read_into(view: memoryview) -> int:
        data = raw.read(len(view), decode_content=False)
        view[: len(data)] = data
        return len(data)

    return read_into


def _exhausted(raw: Any) -> bool:
    original = getattr(raw, "_original_response", None)
    return original is None or bool(original.isclosed())
