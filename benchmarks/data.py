"""Data to send: files, streams and small bodies that are cheap to make and do not compress."""

import io
import random

CHUNK = 1024**2
BLOCK = random.Random(1).randbytes(8 * CHUNK)


class Source:
    """A stream of a size that the receiver does not know, in chunks of one size."""

    def __init__(self, size, chunk=CHUNK):
        self._size, self._chunk = size, chunk

    def __iter__(self):
        pieces = [BLOCK[at : at + self._chunk] for at in range(0, len(BLOCK), self._chunk)]
        left = self._size
        while left:
            for piece in pieces:
                yield piece[:left]
                left -= min(left, len(piece))
                if not left:
                    return

    def file(self):
        """Return the same as a file object without a position, for clients that only take these."""
        return io.BufferedReader(_Pipe(iter(self)), buffer_size=self._chunk)


class _Pipe(io.RawIOBase):
    """Gives one chunk per read at most, as a pipe does."""

    def __init__(self, chunks):
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self):
        return True

    def readinto(self, buffer):
        self._rest = self._rest or memoryview(next(self._chunks, b""))
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def write_file(path, size):
    """Write a file of a size."""
    with open(path, "wb") as file:
        file.writelines(Source(size))


def small_body(key, size):
    """Return the bytes that belong under a key: no two keys have the same, none has fewer."""
    start = key.rpartition("/")[2].encode()
    return start + BLOCK[: max(0, size - len(start))]
