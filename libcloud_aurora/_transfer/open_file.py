"""A file that threads read and write by offset, also where a system lacks some of Linux's calls."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from libcloud_aurora.config import MIB

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

_FLAGS = sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_BINARY", "O_NOINHERIT"))
#: Bytes of a file to reserve first, and most seconds of CPU time that this takes if the file system
#: does it: ext4 takes 0.04 ms for them, while 4,096 writes take 12 ms or more.
TRIED_SIZE, TRIED_SECONDS = 16 * MIB, 0.005
#: For files that this package makes: a symbolic link in their place is not followed.
OWN = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)


class OpenFile:
    """An open file; once it is closed, nothing goes to the file that gets its number next."""

    def __init__(self, path: str | Path, flags: int = os.O_RDONLY, mode: int = 0o666) -> None:
        self._path = path
        kind = "r+" if flags & os.O_RDWR else "r"
        # Unlike a number, it is closed with this object. Ctrl-C cannot come between these calls.
        [self._file] = map(io.FileIO, map(os.open, [path], [_FLAGS | flags], [mode]), [kind])
        self._lock = threading.Lock()
        self._locked_by = 0

    def __enter__(self) -> OpenFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        try:
            if self._locked_by == os.getpid():  # or a forked child would keep the lock as well
                fcntl.flock(self._number, fcntl.LOCK_UN)
        finally:
            self._file.close()

    @property
    def _number(self) -> int:
        return self._file.fileno()

    def status(self) -> os.stat_result:
        return os.fstat(self._number)

    def read_into(self, view: memoryview, offset: int) -> int:
        """Read some bytes at an offset into a buffer, and return how many."""
        if hasattr(os, "preadv"):
            return os.preadv(self._number, [view], offset)
        with self._lock:
            os.lseek(self._number, offset, os.SEEK_SET)
            data = os.read(self._number, len(view))
        view[: len(data)] = data
        return len(data)

    def write(self, view: memoryview, offset: int) -> None:
        """Write all of a buffer at an offset; an error names the file."""
        try:
            while view:
                count = self._write_some(view, offset)
                view, offset = view[count:], offset + count
        except OSError as exc:
            exc.filename = str(self._path)
            raise

    def _write_some(self, view: memoryview, offset: int) -> int:
        if hasattr(os, "pwrite"):
            return os.pwrite(self._number, view, offset)
        with self._lock:
            os.lseek(self._number, offset, os.SEEK_SET)
            return os.write(self._number, view)

    def pieces(self, start: int, stop: int, buffer: memoryview) -> Iterator[tuple[int, memoryview]]:
        """Yield offset and bytes of a span, in a buffer that is used again."""
        while start < stop:
            count = self.read_into(buffer[: stop - start], start)
            if not count:
                return
            yield start, buffer[:count]
            start += count

    def append(self, line: bytes) -> None:
        """Write a line at the end of a file opened for appending, in one step."""
        os.write(self._number, line)

    def truncate(self, size: int) -> None:
        os.ftruncate(self._number, size)

    def set_mode(self, mode: int) -> None:
        if hasattr(os, "fchmod"):
            os.fchmod(self._number, mode)

    def reserve(self, size: int) -> None:
        """
        Allocate space where the system can, so that a full disk shows at once, and keep none then.

        Where a file system cannot, as NFS before 4.2, the C library writes to each block instead.
        That would double the work, and Ctrl-C would wait for its end.
        """
        if size and hasattr(os, "posix_fallocate"):
            try:
                began = time.thread_time()
                os.posix_fallocate(self._number, 0, min(size, TRIED_SIZE))
                if time.thread_time() - began < TRIED_SECONDS:
                    os.posix_fallocate(self._number, 0, size)
            except OSError as exc:
                if exc.errno is None:  # a signal's handler has raised it
                    raise
                if exc.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
                    self.truncate(0)
                    exc.filename = str(self._path)
                    raise

    def sync(self) -> None:
        """Let the bytes reach the disk."""
        getattr(os, "fdatasync", os.fsync)(self._number)

    def lock(self) -> None:
        """Lock the file, where the system can, until it is closed; or raise ``OSError``."""
        if fcntl is not None:
            fcntl.flock(self._number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._locked_by = os.getpid()


def sync_directory(directory: Path) -> None:
    """Let the names in a directory reach the disk, where the system can."""
    with contextlib.suppress(OSError):
        numbers: list[int] = []
        try:
            numbers.extend(map(os.open, [directory], [os.O_RDONLY]))  # known here despite Ctrl-C
            os.fsync(*numbers)
        finally:
            for number in numbers:
                os.close(number)


def is_ours(status: os.stat_result) -> bool:
    """Tell whether a file is this user's and no other may write to it, where the system says it."""
    if not hasattr(os, "geteuid"):
        return True
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022
