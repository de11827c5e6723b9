"""What an upload sends, part by part."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain, count
from typing import Any, NamedTuple

from libcloud_aurora._s3.names import ObjectPath
from libcloud_aurora._s3.signing import Body, ChunkedBody, Pieces, views_of
from libcloud_aurora._transfer.open_file import OpenFile
from libcloud_aurora._transfer.workers import Buffers
from libcloud_aurora.config import BUFFER_SIZE, MAX_OBJECT_SIZE, check_number
from libcloud_aurora.errors import FileChangedError, HashMismatchError
from libcloud_aurora.parts import plan_part_sizes

#: Gets the bytes moved and the total, which is ``None`` for a stream of unknown size.
Progress = Callable[[int, Any], object]

#: Bytes up to which a stream is sent without a part-sized buffer.
SMALL_SIZE = 64 * 1024
#: Seconds after which no further part of a stream is read before its upload begins.
AHEAD_SECONDS = 0.05
#: Bytes from which a chunk is sent as it is; copying a smaller one costs less than a send.
KEPT_SIZE = 256 * 1024

_END = object()


class Part(NamedTuple):
    """
    One part of an upload.

    :ivar body: Its bytes, or how to read them.
    :ivar memory: Bytes of memory that it holds until it is sent.
    :ivar buffer: The buffer that holds them, if it is to be reused.
    """

    number: int
    size: int
    body: Body
    memory: int
    buffer: bytearray | None = None


class Parts(Iterable[Part]):
    """
    What an upload sends, and a count of what has been sent.

    :ivar ready: How many can be sent as soon as an upload has begun.
    """

    ready = 0

    def __init__(self, size: int | None, progress: Progress | None) -> None:
        if size is not None:
            check_number("ex_size", size, low=0, high=MAX_OBJECT_SIZE, integer=True)
        self.size = size
        self.sent = 0
        self._reported = -1
        self._progress = progress
        self._buffers = Buffers()

    def moved(self, count: int) -> None:
        """Count bytes that the server has."""
        self.sent += count
        if self._progress is not None and self.sent > self._reported:
            self._reported = self.sent
            self._progress(self.sent, self.size)

    @abstractmethod
    def only_part(self) -> Part | None:
        """Return the first part if it is the only one; otherwise keep it for later."""

    def release(self, part: Part) -> None:
        """Take back the memory of a part that is sent."""
        if part.buffer is not None:
            self._buffers.give(part.buffer)

    def check_unchanged(self) -> None:
        """Check that a file is as it was when it was opened."""


def as_bytes(chunk: Any) -> Any:
    """Return a chunk of a stream as bytes-like."""
    if isinstance(chunk, str):
        return chunk.encode()
    try:
        view = memoryview(chunk)
        return view.cast("B") if view.c_contiguous and view.nbytes else view.tobytes()
    except TypeError:
        kind = type(chunk).__name__
        raise TypeError(f"iterator must yield bytes or text, not {kind}") from None


def chunks_of(stream: Any) -> Iterator[Any]:
    """Yield the contents of a stream piece by piece: a file, an iterable of chunks, or bytes."""
    if isinstance(stream, (bytes, bytearray, memoryview, str)):
        yield stream
    elif hasattr(stream, "read"):
        while True:
            chunk = stream.read(BUFFER_SIZE)
            if chunk is None:
                raise TypeError("iterator must be a blocking file, its read() returned None")
            if not chunk:
                return
            yield chunk
    elif hasattr(stream, "__iter__"):
        yield from stream
    elif hasattr(stream, "__next__"):
        while (chunk := next(stream, _END)) is not _END:
            yield chunk
    else:
        raise TypeError(f"iterator must be a file or an iterable, not {type(stream).__name__}")


class _Cutter:
    """
    Cuts parts out of chunks of any size, in linear time; an empty chunk is not the end.

    Large immutable chunks are kept as they are, others are copied.
    """

    def __init__(self, stream: Any, buffers: Buffers) -> None:
        self._chunks = chunks_of(stream)
        self._rest: Any = b""
        self._buffers = buffers

    def parts(self, sizes: Iterator[int], promised: int | None) -> Iterator[Part]:
        """Yield parts of the planned sizes; an empty stream is one part."""
        total, ended = 0, False
        for number in count(1):  # pragma: no branch - it does not end
            planned = next(sizes, 0)
            if number > 1 and not planned:
                raise too_long(MAX_OBJECT_SIZE)
            part = self._cut(number, planned)
            total += part.size
            ended = self.ended()
            if ended and promised not in (None, total):
                raise ValueError(f"the stream has {total} bytes, not {promised} (ex_size)")
            if not ended and total == promised:
                raise too_long(total)
            yield part
            if ended:
                return

    def _cut(self, number: int, size: int) -> Part:
        """Cut a part; a small stream would waste a whole buffer."""
        head = self._head(min(SMALL_SIZE, size)) if number == 1 else None
        if head is not None:
            return Part(number, len(head), memoryview(head), len(head))
        views: list[memoryview] = []
        buffer, have = None, 0
        while have < size and not self.ended():
            if len(self._rest) >= KEPT_SIZE and type(self._rest.obj) is bytes:
                view = self._rest[: size - have]
                self._rest = self._rest[len(view) :]
            else:
                buffer = buffer or self._buffers.take(size)
                view = self._copy(memoryview(buffer)[have:size])
            views.append(view)
            have += len(view)
        return Part(number, have, Pieces(have, views), have, buffer)

    def _copy(self, space: memoryview) -> memoryview:
        """Copy chunks until the space is full, the stream ends, or a chunk comes that is kept."""
        size, position = len(space), 0
        chunk, self._rest = self._rest, b""
        while True:
            end = position + len(chunk)
            if end >= size:
                taken = size - position
                space[position:] = chunk[:taken]
                self._rest = memoryview(chunk)[taken:] if end > size else b""
                return space
            space[position:end] = chunk
            position = end
            chunk = b""  # a view must not outlive its turn: the stream may reuse the memory
            chunk = next(self._chunks, _END)
            if chunk is _END:
                return space[:position]
            if type(chunk) is not bytes:
                chunk = as_bytes(chunk)
            elif len(chunk) >= KEPT_SIZE:
                self._rest = memoryview(chunk)
                return space[:position]

    def _head(self, size: int) -> bytearray | None:
        """Return the whole stream if it is no larger than this; otherwise leave it as it was."""
        head = bytearray()
        for chunk in self._chunks:
            if len(head) + len(as_bytes(chunk)) > size:
                self._chunks = chain([head, chunk], self._chunks)
                return None
            head += as_bytes(chunk)
        return head

    def ended(self) -> bool:
        """Tell whether the stream has ended, looking at the next chunk if necessary."""
        while not self._rest:
            self._rest = b""
            chunk = next(self._chunks, _END)
            if chunk is _END:
                return True
            self._rest = memoryview(as_bytes(chunk))
        return False


class StreamParts(Parts):
    """
    The parts of a stream, maybe of a given size, cut in the thread that asks for them.

    :param memory: Bytes that may be held before an upload begins.
    """

    def __init__(
        self,
        stream: Any,
        part_size: int,
        size: int | None = None,
        progress: Progress | None = None,
        *,
        memory: int = 0,
    ) -> None:
        super().__init__(size, progress)
        self._memory = memory
        self._ahead: deque[Part] = deque()
        self._cutter = _Cutter(stream, self._buffers)
        self._parts = self._cutter.parts(plan_part_sizes(size, part_size), size)

    def only_part(self) -> Part | None:
        until = time.monotonic() + AHEAD_SECONDS
        first = next(self._parts)
        if self._cutter.ended():
            return first
        self._ahead.append(first)
        most = self._memory // first.size
        while len(self._ahead) < most and time.monotonic() < until and not self._cutter.ended():
            self._ahead.append(next(self._parts))
        self.ready = len(self._ahead)
        return None

    def __iter__(self) -> Iterator[Part]:
        while self._ahead:
            yield self._ahead.popleft()
        yield from self._parts


def too_long(size: int) -> ValueError:
    return ValueError(f"the stream is longer than {size} bytes (ex_size)")


def checked(parts: Iterable[Part], md5: str, path: ObjectPath) -> Iterator[Part]:
    """Yield the parts of an object, and compare the MD5 of all their bytes, if one is given."""
    if not md5:
        yield from parts
        return
    digest = hashlib.md5(usedforsecurity=False)
    for part in parts:
        for view in views_of(part.body):
            digest.update(view)
        yield part
    if digest.hexdigest() != md5:
        raise HashMismatchError(
            f"{path} was not stored: its bytes have the MD5 {digest.hexdigest()}, but "
            f"Content-MD5 says {md5}.",
            bucket=path.bucket,
            key=path.key,
        )


class UnreadableError(Exception):
    """A file could not be read while being sent, which is not a failure to send it."""

    def __init__(self, reason: OSError) -> None:
        self.reason = reason


class FileParts(Parts):
    """The parts of a file, read by offset and chunk by chunk in the thread that sends them."""

    def __init__(self, path: str, part_size: int, progress: Progress | None = None) -> None:
        self._path = path
        mode = os.stat(path).st_mode
        if stat.S_ISFIFO(mode):  # opening it would wait for a writer
            raise self._irregular()
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        self._file = OpenFile(path)
        try:
            self._before = self._file.status()
            size = self._before.st_size
            regular = stat.S_ISREG(self._before.st_mode)
            if not regular or (size == 0 and self._file.read_into(memoryview(bytearray(1)), 0)):
                raise self._irregular()
            self.sizes = dict(enumerate(plan_part_sizes(size, part_size), 1))
        except BaseException:
            self._file.close()
            raise
        super().__init__(size, progress)
        self.ready = len(self.sizes)

    def __enter__(self) -> FileParts:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def only_part(self) -> Part | None:
        if len(self.sizes) > 1:
            return None
        size = self._before.st_size
        return Part(1, size, self._read_into(memoryview(bytearray(size)), 0), size)

    def __iter__(self) -> Iterator[Part]:
        start = 0
        for number, size in self.sizes.items():
            body = ChunkedBody(size, partial(self._chunks, start, start + size))
            yield Part(number, size, body, BUFFER_SIZE)
            start += size

    def _chunks(self, start: int, stop: int) -> Iterator[tuple[memoryview]]:
        """Read a span of the file into one buffer, chunk after chunk."""
        buffer = self._buffers.take(BUFFER_SIZE)
        try:
            for offset in range(start, stop, BUFFER_SIZE):
                yield (self._read_into(memoryview(buffer)[: stop - offset], offset),)
        except OSError as exc:
            raise UnreadableError(exc) from exc
        finally:
            self._buffers.give(buffer)

    def _read_into(self, view: memoryview, offset: int) -> memoryview:
        """Fill a buffer from the file, which may have become shorter."""
        done = 0
        while done < len(view):
            count = self._file.read_into(view[done:], offset + done)
            if count == 0:
                raise self._changed()
            done += count
        return view

    def check_unchanged(self) -> None:
        if _version_of(self._file.status()) != _version_of(self._before):
            raise self._changed()

    def _irregular(self) -> ValueError:
        return ValueError(
            f"file_path must be a regular file of known size, not {self._path!r}: "
            "open it and use upload_object_via_stream()."
        )

    def _changed(self) -> FileChangedError:
        return FileChangedError(
            f"file {self._path!r} changed while it was sent; no object was stored."
        )


def _version_of(status: os.stat_result) -> tuple[int, ...]:
    """Return what changes when a file does; its mtime can be put back, but not its ctime."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
