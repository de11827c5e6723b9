"""A file as the source of an upload: read by offset in the threads that send it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from typing import Any

from libcloud_aurora._bodies import CHUNK_SIZE, ChunkedBody
from libcloud_aurora._buffers import Buffers
from libcloud_aurora._sources import Part
from libcloud_aurora.errors import FileChangedError


class UnreadableError(Exception):
    """A file could not be read while it was sent; not to be taken for a failure to send."""

    def __init__(self, reason: OSError) -> None:
        self.reason = reason


class FileParts(Iterator[Part]):
    """
    The parts of a file, read by offset and chunk by chunk in the thread that sends them.

    :param path: Path of the file.
    :param plan: Returns the sizes of the parts of an object of a given size.
    :raises OSError: if the file cannot be opened.
    """

    def __init__(self, path: Any, plan: Callable[[int], Iterator[int]]) -> None:
        self._path = path
        self._before = os.stat(path)
        self.size = self._before.st_size
        self.sizes = dict(enumerate(plan(self.size), 1))
        if stat.S_ISFIFO(self._before.st_mode):
            raise self._irregular()
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed by __exit__
        if not stat.S_ISREG(self._before.st_mode) or (self.size == 0 and self._file.read(1)):
            self._file.close()
            raise self._irregular()
        self._left = iter(self.sizes.items())
        self._offset = 0
        self._buffers = Buffers()

    def __enter__(self) -> FileParts:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def only_part(self) -> Part | None:
        """Return the only part of a small file, or ``None`` for a larger one."""
        if len(self.sizes) > 1:
            return None
        size = self.size
        return Part(
            1, size, lambda: self._read_into(memoryview(bytearray(size)), 0), lambda: None, size
        )

    def __next__(self) -> Part:
        number, size = next(self._left)
        offset, self._offset = self._offset, self._offset + size
        body = ChunkedBody(size, lambda: self._chunks(offset, offset + size))
        return Part(number, size, lambda: body, lambda: None, CHUNK_SIZE)

    def _chunks(self, start: int, stop: int) -> Iterator[tuple[memoryview]]:
        """Read a span of the file into one buffer, again and again."""
        buffer = self._buffers.take(CHUNK_SIZE)
        try:
            for offset in range(start, stop, CHUNK_SIZE):
                yield (self._read_into(memoryview(buffer)[: stop - offset], offset),)
        except OSError as exc:
            raise UnreadableError(exc) from exc
        finally:
            self._buffers.give(buffer)

    def _read_into(self, view: memoryview, offset: int) -> memoryview:
        """
        Read bytes of the file into a buffer.

        :raises FileChangedError: if the file has become too short.
        """
        done = 0
        while done < len(view):
            count = os.preadv(self._file.fileno(), [view[done:]], offset + done)
            if count == 0:
                raise self._changed()
            done += count
        return view

    def check_unchanged(self) -> None:
        """
        Compare the file's size and time with those when it was opened.

        :raises FileChangedError: if they differ.
        """
        now = os.fstat(self._file.fileno())
        before = self._before
        if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            raise self._changed()

    def _irregular(self) -> ValueError:
        return ValueError(
            f"file_path must name a regular file that knows its size, not {self._path!r}: "
            "open it and use upload_object_via_stream()."
        )

    def _changed(self) -> FileChangedError:
        return FileChangedError(
            f"file {os.fspath(self._path)!r} changed while it was sent; no object was stored."
        )
