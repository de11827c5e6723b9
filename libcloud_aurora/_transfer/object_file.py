"""An object as a file: ranges read as they are needed, parts sent as they are written."""

from __future__ import annotations

import errno
import io
import os
import warnings
import weakref
from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import chain, count
from typing import TYPE_CHECKING, Any

from libcloud.storage.base import Object

from libcloud_aurora._s3.objects import Wanted
from libcloud_aurora._transfer.reader import Reader, Reading
from libcloud_aurora._transfer.sources import Part, Parts, Progress, as_bytes, too_long
from libcloud_aurora._transfer.stream import NEXT_RANGE, Stream
from libcloud_aurora._transfer.upload import Upload, Uploads, Whole
from libcloud_aurora._transfer.verify import Verifier
from libcloud_aurora._transfer.workers import Task, Window
from libcloud_aurora._wire.retry import Stop
from libcloud_aurora.config import MAX_OBJECT_SIZE, MIB
from libcloud_aurora.errors import AuroraObjectsError
from libcloud_aurora.parts import plan_part_sizes

if TYPE_CHECKING:
    from typing_extensions import Buffer

#: Bytes that opening fetches, and that a buffered reader asks for at once.
FIRST_SIZE = 64 * 1024
#: Bytes of the first block at another place, and most that are skipped to go on reading there.
BLOCK_SIZE = 128 * 1024
#: Bytes by which each further block is larger; after 2 MiB, ranges are read ahead.
BLOCK_STEP = 256 * 1024
#: Most bytes that one request brings, and that all kept blocks have together.
KEPT_SIZE = 16 * MIB

_NOTHING = 0, memoryview(b"")


class RawReader(io.RawIOBase):
    """
    One version of an object, read in blocks at random, and ahead where it is read in order.

    Memory: 16 MiB of blocks, and what a stream needs while it reads ahead.
    """

    mode = "rb"
    _ahead: Generator[memoryview, None, None] | None = None

    def __init__(self, reading: Reading) -> None:
        self.name = reading.path.key
        self._stream = Stream(reading)
        self._reader = reader = Reader(reading, FIRST_SIZE)
        self.size = reader.size
        self._verifier: Verifier | None = None
        self._head = memoryview(b"")
        with closing(reader):
            if reader.first_stop == reader.size <= FIRST_SIZE:
                self._head = self._stream.at_once(reader)
            elif not reader.etag:
                raise AuroraObjectsError(
                    f"object {self.name!r} has no ETag that names a version, so its ranges "
                    "may be of several: download_object_as_stream() reads it with one request.",
                    **reader.subject.fields,
                )
            elif reader.first_stop <= FIRST_SIZE:
                self._head = self._block(0, reader.first_stop)
        self._position = 0
        self._current = 0, self._head
        self._blocks = {0: self._head}
        self._begun, self._end, self._block_size = 0, len(self._head), BLOCK_SIZE
        self._verified = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._checkClosed()
        starts = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}
        if whence not in starts or starts[whence] + offset < 0:
            raise OSError(errno.EINVAL, f"{os.strerror(errno.EINVAL)}: {offset} from {whence}")
        self._position = starts[whence] + offset
        return self._position

    def readinto(self, buffer: Buffer) -> int:
        self._checkClosed()
        view, position = memoryview(buffer).cast("B"), self._position
        wanted = min(len(view), self.size - position)
        if wanted <= 0:
            return 0
        while (held := self._held(position)) is None:
            self._fetch(position, wanted)
        piece = held[:wanted]
        self._verify(position, piece)
        view[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def close(self) -> None:
        try:
            self._leave()
        finally:
            self._current, self._blocks = _NOTHING, {}
            super().close()

    def _leave(self) -> None:
        """Stop reading ahead."""
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None

    def _held(self, position: int) -> memoryview | None:
        """Return the bytes from a position on, if some are in memory."""
        for start, piece in chain([self._current], reversed(self._blocks.items())):
            if start <= position < start + len(piece):
                if start in self._blocks:
                    self._blocks[start] = self._blocks.pop(start)  # used last, dropped last
                return piece[position - start :]
        return None

    def _fetch(self, position: int, wanted: int) -> None:
        """Fetch the bytes at a position, or some that come before them."""
        broken_off = not self._current[1]  # by Ctrl-C, which may have taken what was read ahead
        if broken_off or not 0 <= position - self._end <= BLOCK_SIZE:
            self._leave()
            self._begun = self._end = min(position, max(0, self.size - BLOCK_SIZE))
            self._block_size = BLOCK_SIZE
        reads_on = self._end - self._begun >= NEXT_RANGE
        # A buffered reader asks for whole buffers first, and then for the rest.
        stop = max(position + wanted + FIRST_SIZE, self._end + self._block_size)
        stop = self.size if reads_on else min(stop, self.size)
        if self._ahead is None and (reads_on or stop - self._end > KEPT_SIZE):
            self._ahead = self._stream.ranges(self._reader, self._end, stop)
        self._current = _NOTHING  # its memory is used again, or was that of a block
        if self._ahead is None:
            while sum(map(len, self._blocks.values())) + stop - self._end > KEPT_SIZE:
                del self._blocks[next(iter(self._blocks))]
            self._blocks[self._end] = piece = self._block(self._end, stop)
            self._block_size += BLOCK_STEP
        else:
            piece = next(self._ahead, _NOTHING[1])
            if not piece:
                self._ahead = None
        start, self._end = self._end, self._end + len(piece)
        self._current = start, piece

    def _block(self, start: int, stop: int) -> memoryview:
        space = memoryview(bytearray(stop - start))
        self._reader.read(start, stop, into=lambda at: space[at - start :], stop_sign=Stop())
        return space

    def _verify(self, position: int, piece: memoryview) -> None:
        """Hash what is handed out in order from the first byte on, and compare at the last."""
        if not position <= (verified := self._verified) < position + len(piece):
            return
        new, self._verified = piece[verified - position :], self.size  # given up if this is cut off
        if self._verifier is None and verified + len(new) > len(self._head):
            self._verifier = self._reader.verifier()
            if self._verifier is None:
                return
            self._verifier.update(0, self._head[:verified])
        if self._verifier is not None:
            self._verifier.update(verified, new)
            if verified + len(new) == self.size:
                self._verified = verified  # a mismatch comes again
                self._stream.check(self._reader, self._verifier)
        self._verified = verified + len(new)


class ObjectReader(io.BufferedReader):
    """
    An object opened for reading; threads may share it.

    :ivar name: Name of the object.
    :ivar size: Size of the object in bytes.
    """

    def __init__(self, reading: Reading) -> None:
        raw = RawReader(reading)
        super().__init__(raw, FIRST_SIZE)
        self.size = raw.size

    def read(self, size: int | None = -1) -> bytes:
        """Read up to this many bytes, or all that are left."""
        left = max(0, self.size - self.tell())  # given a size, io allocates once
        return super().read(left if size is None or size < 0 else min(size, left))


class Written(Parts):
    """
    What is written to a file, cut into parts and sent; it becomes one object or nothing.

    :ivar total: Bytes written.
    """

    def __init__(
        self, uploads: Uploads, wanted: Wanted, size: int | None, progress: Progress | None
    ) -> None:
        super().__init__(size, progress)
        self._uploads = uploads
        self._wanted = wanted
        self._sizes = plan_part_sizes(size, uploads.config.part_size)
        self._limit = next(self._sizes, 0)
        self._buffer = bytearray()
        self.total = 0
        self._pid = os.getpid()
        self._is_over = False
        self._upload: Upload | None = None
        self._window = Window(limit=1)
        self._tasks: Iterator[Task] = iter(())

    def __iter__(self) -> Iterator[Part]:
        numbers = count(1)
        while self._buffer:
            yield self._part(next(numbers))

    def only_part(self) -> Part | None:
        return self._part(1) if self._upload is None else None

    def _part(self, number: int) -> Part:
        content, self._buffer = self._buffer, bytearray()
        return Part(number, len(content), memoryview(content), len(content))

    def write(self, data: Any) -> None:
        """Take bytes; a full part is sent when more of them arrive."""
        self._check()
        self.total += len(data)
        if self.size is not None and self.total > self.size:
            raise too_long(self.size)
        view = memoryview(data)
        while view:
            if len(self._buffer) == self._limit:
                self._send()
                self._limit = next(self._sizes, 0)
                if not self._limit:
                    raise too_long(MAX_OBJECT_SIZE)
            taken = view[: self._limit - len(self._buffer)]
            self._buffer += taken
            view = view[len(taken) :]

    def _send(self) -> Upload:
        upload = self._upload
        if upload is None:
            with self._uploads.aborting() as begun:  # Ctrl-C may come before it is known here
                upload = self._uploads.begin(self._wanted.path, self._wanted.asked, begun)
                self._upload = upload
            self._window, self._tasks = upload.tasks(self)
        self._window.start(next(self._tasks))
        return upload

    def finish(self, driver: Any) -> Object:
        """Send the rest, and return the object once it is stored."""
        self._check()
        if self.size not in (None, self.total):
            raise ValueError(f"the file has {self.total} bytes, not {self.size} (ex_size)")
        only = self.only_part()
        if only is not None:
            # Conditions need ex_check_condition here.
            whole = Whole(self._uploads.client, self, only, self._wanted, checks_conditions=True)
            stored = whole.send()
        else:
            with self._window, self._window:
                upload = self._send()
                next(self._tasks, None)  # the end, where their MD5 is compared
                self._window.finish()
            stored = upload.complete(upload.sent())
        return self._wanted.object(self.total, stored, driver)

    def abort(self, cause: BaseException | None = None) -> None:
        """Leave nothing behind; a forked child owns nothing of it."""
        if self._pid != os.getpid():
            return
        self._is_over = True  # else a wrapper that the collector closes would store the rest
        try:
            self._buffer, self._tasks = bytearray(), iter(())
            with self._window, self._window:
                pass
        finally:
            if self._upload is not None:
                self._upload.abort(cause)

    def _check(self) -> None:
        """Refuse to go on in a forked child, and after an abort."""
        if self._pid != os.getpid():
            raise AuroraObjectsError(
                "a file that was opened before a fork can only be written by the parent; open "
                "another one in the child."
            )
        if self._is_over:
            raise ValueError("what was written has been discarded")


class ObjectWriter(io.BufferedIOBase):
    """
    An object opened for writing, by one thread at a time.

    :meth:`close` stores it. After an exception in its ``with`` block, after :meth:`abort`, and if
    the file is never closed, nothing is stored and no part is left.

    :ivar name: Name of the object.
    :ivar obj: The object, once it is stored.
    """

    mode = "wb"

    def __init__(self, written: Written, name: str, driver: Any) -> None:
        self.name = name
        self.obj: Object | None = None
        self._driver = driver
        self._written = written
        self._error: BaseException | None = None
        # Unlike __del__, this is also called when Python exits, while threads still run.
        self._forgotten = weakref.finalize(self, written.abort)

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        self._check_open()
        return self._written.total

    def write(self, data: Buffer) -> int:
        """Write bytes; an error may be that of any earlier part, and closes the file."""
        self._check_open()
        content = as_bytes(memoryview(data))
        try:
            self._written.write(content)
        except BaseException as error:
            self._error = error  # first: Ctrl-C may come just as giving up begins
            self._give_up()
            raise
        return len(content)

    def close(self) -> None:
        """Store the object; after a failure there is none, and the file is closed."""
        if self.closed:
            return
        try:
            if self._error is None:
                self.obj = self._written.finish(self._driver)
                self._forgotten.detach()
                super().close()
        except BaseException as error:
            self._error = error
            raise
        finally:
            if self._error is not None:
                self._give_up()

    def abort(self) -> None:
        """Discard what was written: no object is stored, and no part is left."""
        self._error = self._error or ValueError("it was aborted")
        self.close()

    def _give_up(self) -> None:
        try:
            self._written.abort(self._error)
            self._forgotten.detach()  # unless Ctrl-C broke that off: it is done again then
        finally:
            super().close()

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError(f"object {self.name!r}: the file is closed") from self._error

    def __exit__(self, kind: object, error: BaseException | None, *_: object) -> None:
        self._error = self._error or error
        try:
            self.close()
        finally:
            self.close()  # Ctrl-C may have come just as the first call began

    def __del__(self) -> None:
        # io's would close it, and store half an object.
        if not self.closed:
            said = f"object {self.name!r} is not stored: its file was not closed"
            warnings.warn(said, ResourceWarning, stacklevel=2)  # a source would keep it
