"""Data to send: files, streams and small bodies that are cheap to make and do not compress."""

import io
import random
from pathlib import Path

BLOCK = random.Random(1).randbytes(8 * 1024**2)
CHUNK = 1024**2


class Source:
    """A stream of a size that the receiver does not know, in chunks of one size."""

    def __init__(self, size, chunk=CHUNK):
        self.size = size
        self.chunk = chunk

    def __iter__(self):
        step = self.chunk
        offsets = len(BLOCK) // step
        pieces = [BLOCK[index * step : (index + 1) * step] for index in range(offsets)]
        left = self.size
        while left:
            for piece in pieces:
                taken = piece if left >= step else piece[:left]
                left -= len(taken)
                yield taken
                if not left:
                    return

    def file(self):
        """Return the same as a file object without a position, for clients that only take these."""
        return io.BufferedReader(_Pipe(iter(self)), buffer_size=self.chunk)


class _Pipe(io.RawIOBase):
    """Gives one chunk per read at most, as a pipe does."""

    def __init__(self, chunks):
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self):
        return True

    def readinto(self, buffer):
        if not self._rest:
            self._rest = memoryview(next(self._chunks, b""))
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def memory_directory():
    """Return a directory in memory, where there is one, so that no disk is measured."""
    return next((path for path in ("/dev/shm",) if Path(path).is_dir()), None)  # noqa: S108


def write_file(path, size):
    """Write a file of a size."""
    with open(path, "wb") as file:
        for chunk in Source(size):
            file.write(chunk)


def small_body(key, size):
    """Return the bytes that belong under a key: no two keys have the same, none has fewer."""
    start = key.encode()
    return start + BLOCK[: max(0, size - len(start))]
