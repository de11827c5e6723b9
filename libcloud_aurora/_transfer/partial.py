"""A download that survives a crash: the bytes so far, and a journal of those that are good."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import threading
from functools import partial
from pathlib import Path
from typing import Any

from libcloud_aurora._transfer.files import Destination, made_in
from libcloud_aurora._transfer.open_file import OWN, OpenFile, is_ours
from libcloud_aurora.config import MIB
from libcloud_aurora.errors import AuroraObjectsError

#: Bytes after which what has arrived is noted; of a large object, a thousandth.
NOTED_SIZE = 8 * MIB


class Partial:
    """
    The unfinished file next to a destination, and its journal.

    The journal's first line names the object's version; each further one is a span whose bytes
    are on the disk. Both files are kept until :meth:`finish` or :meth:`discard`.
    """

    def __init__(self, destination: Destination, path: str) -> None:
        self._destination = destination
        self._path = path
        self._data_path, probe, self._journal_path = _paths(destination)
        self._lock = threading.Lock()
        self._arrived: dict[int, int] = {}  # spans not yet noted: the start of each by its stop
        try:
            with contextlib.ExitStack() as files:
                self._made = files.enter_context(destination.parents())
                journal = made_in(destination.path.parent, partial(_locked, self._journal_path))
                self._journal = files.enter_context(journal)
                probe.unlink(missing_ok=True)  # of a killed call: a second name of the data
                with contextlib.suppress(FileNotFoundError):
                    if os.path.samefile(self._data_path, destination.path):
                        os.unlink(self._data_path)  # complete: a crash has kept its second name
                self.file = files.enter_context(_own(self._data_path))
                self.identity, self._spans = self._load()
                try:
                    destination.check_links(self._data_path, probe)
                except AuroraObjectsError:
                    if not self._spans:
                        self.discard()
                    raise
                self._open = files.pop_all()
        except OSError as exc:
            other = isinstance(exc, BlockingIOError)
            where = f": {exc.filename!r}" if exc.filename else ""
            why = "another process is using it" if other else f"{exc.strerror}{where}"
            raise AuroraObjectsError(
                f"download to {str(destination.path)!r} cannot be resumed: {why}."
            ) from exc

    def __enter__(self) -> Partial:
        return self

    def __exit__(self, *raised: Any) -> None:
        try:
            with contextlib.suppress(OSError):
                self._note(self._arrived)
        finally:
            self._open.__exit__(*raised)

    def _load(self) -> tuple[list[Any], list[tuple[int, int]]]:
        """
        Return the version the journal is about, and the spans whose bytes are on the disk.

        If the file lacks bytes of one span, none counts: once it has grown, nobody could tell.
        """
        content = memoryview(bytearray(self._journal.status().st_size))
        size = self._journal.read_into(content, 0) if content else 0
        lines = bytes(content[:size]).decode("utf-8", "replace").splitlines()
        notes = [_parsed(line) for line in lines]
        if not notes or notes[0][:1] != [self._path]:
            return [], []
        end = self.file.status().st_size
        pairs = [note for note in notes[1:] if [type(each) for each in note] == [int, int]]
        if not all(0 <= start < stop <= end for start, stop in pairs):
            return [], []
        return notes[0], sorted((start, stop) for start, stop in pairs)

    def begin(self, etag: str, size: int) -> None:
        """Start afresh, unless the journal is already about this version."""
        identity = [self._path, etag, size]
        if self.identity == identity:
            return
        self.identity, self._spans = identity, []
        self._journal.truncate(0)
        self.file.truncate(0)
        self._journal.append(json.dumps(self.identity).encode() + b"\n")
        try:
            self.file.reserve(size)
        except OSError:
            self.discard()
            raise

    def missing(self, size: int) -> list[tuple[int, int]]:
        """Return the spans still to be fetched."""
        position, gaps = 0, []
        for start, stop in [*self._spans, (size, size)]:
            if start > position:
                gaps.append((position, start))
            position = max(position, stop)
        return gaps

    def record(self, start: int, stop: int) -> None:
        """Take note of bytes that have arrived, many buffers at a time."""
        with self._lock:
            self._arrived[stop] = self._arrived.pop(start, start)
            size = sum(stop - start for stop, start in self._arrived.items())
            if size < max(NOTED_SIZE, self.identity[2] // 1000):
                return
            arrived, self._arrived = self._arrived, {}
        self._note(arrived)

    def _note(self, arrived: dict[int, int]) -> None:
        """Sync bytes to the disk, and note them in the journal."""
        if arrived:
            self.file.sync()
            lines = [f"[{start}, {stop}]\n" for stop, start in arrived.items()]
            self._journal.append("".join(lines).encode())

    def finish(self) -> None:
        """Let the file appear, and remove the journal."""
        self._arrived.clear()
        self.file.truncate(self.identity[2])
        self.file.set_mode(self._destination.permissions(self._destination.new_mode()))
        self._destination.sync(self.file)
        self._destination.put_in_place(self._data_path, self._made)
        os.unlink(self._journal_path)

    def discard(self) -> None:
        """Remove both files."""
        self._arrived.clear()
        for path in _paths(self._destination):  # the journal last, which is locked
            path.unlink(missing_ok=True)


def remove_partial(destination: Destination) -> None:
    """Remove partial file and journal next to a complete file, unless somebody uses them."""
    paths = _paths(destination)
    if paths[-1].exists():
        with contextlib.suppress(OSError, AuroraObjectsError), _locked(paths[-1]):
            for path in paths:
                path.unlink(missing_ok=True)


def _paths(destination: Destination) -> list[Path]:
    """Return the paths of a destination's partial file, of its probe for links, and its journal."""
    mark = hashlib.sha256(os.fsencode(destination.path.name)).hexdigest()[:8]
    return [destination.hidden(f"{mark}.resume.{kind}") for kind in ("part", "link", "journal")]


def _own(path: Path, flags: int = 0) -> OpenFile:
    """Open a file that only this user can write to, or create one."""
    file = OpenFile(path, OWN | os.O_CREAT | flags, 0o600)
    found = file.status()
    if not stat.S_ISREG(found.st_mode) or not is_ours(found) or found.st_nlink > 1:
        file.close()
        raise AuroraObjectsError(
            f"{str(path)!r} does not belong to this user alone, so it is not trusted. "
            "Remove it and download again."
        )
    return file


def _locked(path: Path) -> OpenFile:
    """Open a file of ours and lock it."""
    while True:
        with contextlib.ExitStack() as opened:
            file = opened.enter_context(_own(path, os.O_APPEND))
            file.lock()
            with contextlib.suppress(FileNotFoundError):  # its last owner has removed it meanwhile
                if os.path.samestat(file.status(), os.stat(path)):
                    opened.pop_all()
                    return file


def _parsed(line: str) -> list[Any]:
    """Return a line of the journal; nothing for one that a crash has cut off."""
    try:
        note = json.loads(line)
    except (ValueError, RecursionError):
        return []
    return note if isinstance(note, list) else []
