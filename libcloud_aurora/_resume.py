"""A download that survives a crash: the bytes so far, and a journal that says which are good."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import stat
import threading
import zlib
from pathlib import Path
from typing import Any

from libcloud_aurora._files import hidden, keep_mode, make_parents, read_pieces, reserve
from libcloud_aurora._version import BUFFER_SIZE
from libcloud_aurora.errors import AuroraObjectsError

#: Bytes after which a range notes how far it has come.
NOTE_SIZE = BUFFER_SIZE

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class Partial:
    """
    The unfinished file beside a destination, and its journal.

    The journal's first line names the object's version; each further one is a span with its CRC-32,
    so that what a crash has not let reach the disk is fetched again. Both files are kept until
    :meth:`finish` or :meth:`discard`.

    :param target: The destination.
    :param path: Percent-encoded path of the object.
    :raises AuroraObjectsError: if another process is at it.
    """

    def __init__(self, target: Path, path: str) -> None:
        self._target = target
        self._path = path
        self._data_path, self._journal_path = _paths(target)
        self._lock = threading.Lock()
        self._open = contextlib.ExitStack()
        try:
            self._made = make_parents(target.parent)
            self._journal = _locked(self._journal_path)
            self._open.callback(os.close, self._journal)
            self.descriptor = os.open(self._data_path, _FLAGS, 0o666)
            self._open.callback(os.close, self.descriptor)
            # As private as the target, but writable: the next call has to open it again.
            keep_mode(target, self.descriptor, more=stat.S_IRUSR | stat.S_IWUSR)
            self.identity, self._spans = self._load()
        except OSError as exc:
            self._open.close()
            raise AuroraObjectsError(
                f"download to {str(target)!r} cannot be resumed: {exc.strerror}; "
                "another process may be at it."
            ) from exc

    def __enter__(self) -> Partial:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _load(self) -> tuple[list[Any], list[tuple[int, int]]]:
        """Return the version the journal is about, and the spans whose bytes are on the disk."""
        size = os.fstat(self._journal).st_size
        lines = os.pread(self._journal, size, 0).decode("utf-8", "replace").splitlines()
        notes = [_parsed(line) for line in lines]
        if not notes or notes[0][:1] != [self._path]:
            return [], []
        good = [note for note in notes[1:] if self._is_good(note)]
        return notes[0], sorted((start, stop) for start, stop, _ in good)

    def _is_good(self, note: list[Any]) -> bool:
        """Tell whether a note is one, and its bytes are on the disk."""
        if [type(each) for each in note] != [int, int, int]:
            return False
        start, stop, crc = note
        whole = 0 <= start < stop <= os.fstat(self.descriptor).st_size
        return whole and bool(self._crc(start, stop) == crc)

    def _crc(self, start: int, stop: int) -> int:
        crc = 0
        for _, piece in read_pieces(self.descriptor, start, stop, BUFFER_SIZE):
            crc = zlib.crc32(piece, crc)
        return crc

    def begin(self, etag: str, size: int) -> None:
        """Start afresh, unless the journal is about this version already."""
        if self.identity == self._identity(etag, size):
            return
        self.identity, self._spans = self._identity(etag, size), []
        os.ftruncate(self._journal, 0)
        os.ftruncate(self.descriptor, 0)
        os.write(self._journal, json.dumps(self.identity).encode() + b"\n")
        reserve(self.descriptor, size)

    def _identity(self, etag: str, size: int) -> list[Any]:
        return [self._path, etag, size]

    def missing(self, size: int) -> list[tuple[int, int]]:
        """Return the spans still to be fetched."""
        position, gaps = 0, []
        for start, stop in [*self._spans, (size, size)]:
            if start > position:
                gaps.append((position, start))
            position = max(position, stop)
        return gaps

    def recorder(self) -> _Notes:
        """Return what notes the bytes of one range."""
        return _Notes(self._journal, self._lock)

    def finish(self) -> None:
        """Let the file appear, and remove the journal."""
        os.ftruncate(self.descriptor, self.identity[2])
        keep_mode(self._target, self.descriptor)
        os.replace(self._data_path, self._target)
        os.unlink(self._journal_path)

    def discard(self) -> None:
        """Remove both files, and the directories that were made for them."""
        _unlink(self._data_path, self._journal_path)
        for directory in self._made:
            with contextlib.suppress(OSError):
                directory.rmdir()


def remove_partial(target: Path) -> None:
    """Remove partial file and journal beside a file that is complete, if nobody is at them."""
    data_path, journal_path = _paths(target)
    if journal_path.exists():
        with contextlib.suppress(OSError):
            journal = _locked(journal_path)
            try:
                _unlink(data_path, journal_path)
            finally:
                os.close(journal)


def _paths(target: Path) -> tuple[Path, Path]:
    """Return the paths of a target's partial file and journal."""
    mark = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:8]
    return hidden(target, f"{mark}.resume.part"), hidden(target, f"{mark}.resume.journal")


def _unlink(*paths: Path) -> None:
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def _locked(path: Path) -> int:
    """
    Open a file and lock it.

    :raises OSError: if somebody else has locked it.
    """
    while True:
        descriptor = os.open(path, _FLAGS | os.O_APPEND, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its last owner has removed it meanwhile


def _parsed(line: str) -> list[Any]:
    """Return a line of the journal; nothing for one that a crash has cut off."""
    try:
        note = json.loads(line)
    except ValueError:
        return []
    return note if isinstance(note, list) else []


class _Notes:
    """Notes in the journal how far one range has come."""

    def __init__(self, journal: int, lock: threading.Lock) -> None:
        self._journal = journal
        self._lock = lock
        self._start = self._stop = -1
        self._crc = 0

    def __call__(self, offset: int, view: memoryview) -> None:
        if offset != self._stop:
            self._start, self._crc = offset, 0
        self._crc = zlib.crc32(view, self._crc)
        self._stop = offset + len(view)
        if self._stop - self._start >= NOTE_SIZE:
            line = json.dumps([self._start, self._stop, self._crc]).encode() + b"\n"
            with self._lock:
                os.write(self._journal, line)
            self._start, self._crc = self._stop, 0
