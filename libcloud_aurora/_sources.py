"""A stream as the source of an upload: cut into parts in the thread that asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from libcloud_aurora._bodies import Body, Pieces
from libcloud_aurora._buffers import Buffers
from libcloud_aurora.config import MAX_OBJECT_SIZE

#: Bytes asked of a file-like object at once.
READ_SIZE = 1024**2
#: Bytes up to which a stream is sent without a buffer of the size of a part.
SMALL_SIZE = 64 * 1024
#: Bytes from which on a chunk is sent as it is; a copy of a smaller one costs less than a send.
KEPT_SIZE = 256 * 1024

_END = object()


class Part(NamedTuple):
    """
    One part of an upload.

    :ivar load: Returns its bytes, or how to read them.
    :ivar release: Gives its memory back.
    :ivar memory: Bytes of memory it holds meanwhile.
    """

    number: int
    size: int
    load: Callable[[], Body]
    release: Callable[[], None]
    memory: int


def as_bytes(chunk: Any) -> Any:
    """
    Return a chunk of a stream as bytes-like.

    :raises TypeError: if it is neither bytes-like nor text.
    """
    if isinstance(chunk, str):
        return chunk.encode()
    try:
        view = memoryview(chunk)
        return view.cast("B") if view.c_contiguous else view.tobytes()
    except TypeError:
        kind = type(chunk).__name__
        raise TypeError(f"iterator must give bytes or text, not {kind}") from None


def chunks_of(stream: Any) -> Iterator[Any]:
    """
    Yield what a stream holds, piece by piece: a file, an iterable of chunks, or bytes.

    :raises TypeError: if it is none of these.
    """
    if isinstance(stream, (bytes, bytearray, memoryview, str)):
        yield stream
    elif hasattr(stream, "read"):
        while True:
            chunk = stream.read(READ_SIZE)
            if chunk is None:
                raise TypeError("iterator must be a blocking file, its read() returned None")
            if not chunk:
                return
            yield chunk
    elif hasattr(stream, "__iter__") or hasattr(stream, "__next__"):
        yield from _iterate(stream)
    else:
        raise TypeError(f"iterator must be a file or an iterable, not {type(stream).__name__}")


def _iterate(stream: Any) -> Iterator[Any]:
    if hasattr(stream, "__iter__"):
        yield from stream
    else:
        try:
            while True:
                yield next(stream)
        except StopIteration:
            return


class _Cutter:
    """
    Cuts parts out of chunks of any size, in linear time; empty chunks are no end.

    Large chunks that can never change are kept as they are, others are copied.

    :param buffers: Memory for the copies.
    """

    def __init__(self, stream: Any, buffers: Buffers) -> None:
        self._chunks = chunks_of(stream)
        self._rest: Any = b""
        self._buffers = buffers

    def cut(self, size: int) -> tuple[Pieces, bytearray | None]:
        """Cut as many bytes as the stream goes on, and return the buffer that holds the copies."""
        views: list[memoryview] = []
        buffer, have = None, 0
        while have < size and not self.ended():
            if _lasts(self._rest):
                view = self._rest[: size - have]
                self._rest = self._rest[len(view) :]
            else:
                buffer = buffer or self._buffers.take(size)
                view = self._copy(memoryview(buffer)[have:size])
            views.append(view)
            have += len(view)
        return Pieces(have, views), buffer

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
            chunk = b""  # a view must not outlive its turn: the stream may use the memory again
            chunk = next(self._chunks, _END)
            if chunk is _END:
                return space[:position]
            if type(chunk) is not bytes:
                chunk = as_bytes(chunk)
            elif len(chunk) >= KEPT_SIZE:
                self._rest = memoryview(chunk)
                return space[:position]

    def head(self, size: int) -> Any:
        """Look at the first bytes, a little more than asked for; ``None`` if the stream goes on."""
        pieces, have = [], 0
        for chunk in self._chunks:
            pieces.append(chunk if type(chunk) is bytes else bytes(as_bytes(chunk)))
            have += len(pieces[-1])
            if have > size:
                self._rest = memoryview(b"".join(pieces))
                return None
        return b"".join(pieces)

    def ended(self) -> bool:
        """Tell whether the stream holds nothing more; looks at the next chunk if it must."""
        while not self._rest:
            self._rest = b""
            chunk = next(self._chunks, _END)
            if chunk is _END:
                return True
            self._rest = memoryview(as_bytes(chunk))
        return False


def _lasts(view: memoryview) -> bool:
    """Tell whether a chunk may be kept: it cannot change, and is large enough to be worth it."""
    return len(view) >= KEPT_SIZE and type(view.obj) is bytes


class StreamParts(Iterator[Part]):
    """
    The parts of a stream, cut in the thread that asks for them.

    :param stream: File, iterable of chunks, or bytes.
    :param sizes: Plan of the parts' sizes in bytes.
    :param size: Bytes the stream has to hold, or ``None``.
    :raises ValueError: on the way, if it holds more or fewer.
    """

    def __init__(self, stream: Any, sizes: Iterator[int], size: int | None = None) -> None:
        self.size = size
        self._buffers = Buffers()
        self._cutter = _Cutter(stream, self._buffers)
        self._sizes = sizes
        self._held: Part | None = None
        self._count = 0
        self._cut = 0

    def only_part(self) -> Part | None:
        """Return the first part if the stream ends within it, and keep it for later if not."""
        first = next(self)
        if self._cutter.ended():
            return first
        self._held = first
        return None

    def __next__(self) -> Part:
        if self._held is not None:
            held, self._held = self._held, None
            return held
        if self._count and self._cutter.ended():
            raise StopIteration
        planned = next(self._sizes, 0)
        if self._count and not planned:
            raise _too_long(MAX_OBJECT_SIZE)
        return self._next_part(planned)

    def check_unchanged(self) -> None:
        """Nothing to compare: each byte of a stream is read once."""

    def _small_stream(self, planned: int) -> Part | None:
        """Return the first part of a small stream, for which a whole buffer would be a waste."""
        head = None if self._count else self._cutter.head(min(SMALL_SIZE, planned))
        if head is None:
            return None
        self._count, self._cut = 1, len(head)
        self._check_end()
        return Part(1, len(head), lambda: memoryview(head), lambda: None, len(head))

    def _next_part(self, planned: int) -> Part:
        small = self._small_stream(planned)
        if small is not None:
            return small
        body, buffer = self._cutter.cut(planned)
        self._count += 1
        self._cut += body.size
        if self._cutter.ended():
            self._check_end()
        elif self._cut == self.size:
            raise _too_long(self.size)
        return Part(self._count, body.size, lambda: body, partial(self._give, buffer), body.size)

    def _give(self, buffer: bytearray | None) -> None:
        if buffer is not None:
            self._buffers.give(buffer)

    def _check_end(self) -> None:
        if self.size is not None and self._cut != self.size:
            raise ValueError(f"the stream holds {self._cut} bytes, not {self.size} (ex_size)")


def _too_long(size: int) -> ValueError:
    return ValueError(f"the stream is longer than {size} bytes (ex_size)")
