"""Files appear by rename, whole and durable: the destination is the old file or the new one."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import TypeVar

from libcloud_aurora._transfer.open_file import OWN, OpenFile, sync_directory
from libcloud_aurora.errors import (
    AuroraObjectsError,
    DirectoryNotFoundError,
    InvalidObjectNameError,
)

T = TypeVar("T")
#: How often to create a file whose directory others remove.
MOST_TRIES = 10
#: Where Linux tells what is mounted; ``\040`` is a space there.
MOUNTS = Path("/proc/self/mountinfo")
_DESCRIPTOR = re.compile(r"/(?:dev|proc/\d+(?:/task/\d+)?)/fd/\d+")


class Destination:
    """
    The file that an object is saved as; in a directory, it is saved under the object's name.

    :param overwrite: Whether to replace an existing file, or one that appears in the meantime.
    :param durable: Whether the file must survive a power cut once it has appeared.
    """

    def __init__(
        self, path: str | os.PathLike[str], key: str, *, overwrite: bool, durable: bool = True
    ) -> None:
        self._key = key
        self._overwrite = overwrite
        self._durable = durable
        text = os.fsdecode(path)
        if not text:
            raise ValueError("destination_path must not be empty")
        if "\0" in text:
            raise ValueError(f"destination_path must not contain a NUL character: {text!r}")
        if not os.path.basename(text) or os.path.isdir(text):
            self.path = self._inside(Path(text))
            text = str(self.path)
        else:
            self.path = Path(os.path.realpath(text))
            if _is_too_long(self.path):
                raise ValueError(f"destination_path must not be too long for a file: {text!r}")
            if not self.path.parent.is_dir():
                raise self._missing(self.path.parent)
        if os.path.exists(text):  # by its own name: what /dev/stdout leads to may have none
            if os.path.isdir(text):
                raise self._error(f"{text!r} is a directory; pass the path of a file.")
            if _leads_to_descriptor(text) or not stat.S_ISREG(os.stat(text).st_mode):
                raise self._error(
                    f"{text!r} is not a regular file: write the chunks of "
                    "download_object_as_stream() to it."
                )
            if not overwrite:
                raise self._exists()
            if _is_mounted(self.path):
                raise self._error(
                    f"file {str(self.path)!r} is mounted, as a container's may be, so no other can "
                    "take its place: mount its directory instead, or write the chunks of "
                    "download_object_as_stream() to it."
                )

    def _inside(self, directory: Path) -> Path:
        if not os.path.isdir(directory):  # unlike Path's, false for a name that is too long
            raise self._missing(directory)
        key = self._key
        root = Path(os.path.realpath(directory))
        target = Path(os.path.realpath(root / key)) if "\0" not in key else root
        names = key.split("/")
        if (
            root not in target.parents
            or ".." in names
            or key.endswith("/")
            or any(_is_too_long(root / name) for name in names)
        ):
            raise InvalidObjectNameError(
                f"object {key!r} cannot be saved under its own name in {str(directory)!r}; "
                "pass the path of a file.",
                key=key,
            )
        return target

    def _error(self, text: str) -> AuroraObjectsError:
        return AuroraObjectsError(text, key=self._key)

    def _missing(self, directory: Path) -> DirectoryNotFoundError:
        error = DirectoryNotFoundError(
            f"directory {str(directory)!r} does not exist.", key=self._key
        )
        error.errno, error.filename = errno.ENOENT, str(directory)
        return error

    def _exists(self) -> AuroraObjectsError:
        return self._error(
            f"file {str(self.path)!r} already exists, and overwrite_existing is False."
        )

    def hidden(self, suffix: str) -> Path:
        """Return the path of a hidden file next to it, whose own name may be of any length."""
        encoding = sys.getfilesystemencoding()
        stem = os.fsencode(self.path.name)[:100].decode(encoding, "ignore")
        return self.path.with_name(f".{stem}.{suffix}")

    @contextlib.contextmanager
    def parents(self) -> Iterator[list[Path]]:
        """Make missing directories, given innermost first; a block that fails leaves none."""
        parent = self.path.parent
        made = [path for path in (parent, *parent.parents) if not path.exists()]
        try:
            made_in(parent, list)
            yield made
        except BaseException:
            for directory in made:
                with contextlib.suppress(OSError):  # not made yet, or not empty
                    directory.rmdir()
            raise

    def permissions(self, otherwise: int) -> int:
        """Return the permission bits of the file that is replaced, if there is one."""
        try:
            return stat.S_IMODE(self.path.stat().st_mode) & 0o777
        except OSError:
            return otherwise

    @contextlib.contextmanager
    def appearing(self, size: int) -> Iterator[OpenFile]:
        """Provide a temporary file that becomes the target; a block that fails leaves nothing."""
        temporary = self.hidden(f"{os.urandom(8).hex()}.part")
        pid, parent = os.getpid(), self.path.parent
        with self.parents() as made:
            try:
                create = partial(OpenFile, temporary, OWN | os.O_CREAT | os.O_EXCL)
                with made_in(parent, create) as file:
                    mode = stat.S_IMODE(file.status().st_mode)
                    if self.permissions(mode) != mode:
                        file.set_mode(self.permissions(mode))
                    self.check_links(temporary, temporary.with_suffix(".link"))
                    file.reserve(size)
                    yield file
                    self.sync(file)
                self.put_in_place(temporary, made)
            except BaseException:
                if pid == os.getpid():  # pragma: no branch - a forked child, unseen here, leaves it
                    with contextlib.suppress(OSError):
                        os.unlink(temporary)
                raise

    def new_mode(self) -> int:
        """Return the permission bits that a new file gets here."""
        probe = self.hidden(f"{os.urandom(8).hex()}.mode")
        try:
            with OpenFile(probe, OWN | os.O_CREAT | os.O_EXCL) as file:
                return stat.S_IMODE(file.status().st_mode)
        finally:
            probe.unlink(missing_ok=True)

    def check_links(self, temporary: Path, probe: Path) -> None:
        """Check, before the first byte, that a file can appear here without replacing another."""
        if self._overwrite:
            return
        try:
            os.link(temporary, probe)
        except OSError as exc:
            raise self._error(
                f"file {str(self.path)!r} cannot be created without the risk of replacing another: "
                f"its file system has no hard links ({exc.strerror}). Use overwrite_existing=True."
            ) from exc
        finally:
            probe.unlink(missing_ok=True)

    def sync(self, file: OpenFile) -> None:
        """Sync a file's bytes to the disk, if that is wanted."""
        if self._durable:
            file.sync()

    def put_in_place(self, temporary: Path, made: list[Path]) -> None:
        """Let a complete file appear under its name, in directories made for it."""
        if self._overwrite:
            os.replace(temporary, self.path)
        else:
            try:
                os.link(temporary, self.path)
            except FileExistsError:
                raise self._exists() from None
            os.unlink(temporary)
        if self._durable:
            for directory in (self.path.parent, *(path.parent for path in made)):
                sync_directory(directory)


def made_in(directory: Path, make: Callable[[], T]) -> T:
    """Make a directory and what is to be in it, again if a download that fails has removed it."""
    tries = count(1)
    while True:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            return make()
        except (FileNotFoundError, FileExistsError):
            if next(tries) == MOST_TRIES:
                raise


def _is_too_long(path: Path) -> bool:
    """Tell whether a path is too long for the file system, whether or not it exists."""
    try:
        path.lstat()
    except OSError as exc:
        return exc.errno == errno.ENAMETOOLONG
    return False


def _leads_to_descriptor(text: str) -> bool:
    """Tell whether a path that exists names an open file, as /dev/stdout does, and not a place."""
    while True:
        text = os.path.join(os.path.realpath(os.path.dirname(text)), os.path.basename(text))
        if _DESCRIPTOR.fullmatch(text):
            return True
        if not os.path.islink(text):
            return False
        text = os.path.join(os.path.dirname(text), os.readlink(text))


def _is_mounted(path: Path) -> bool:
    """Tell whether something is known to be mounted at a path, even a single file."""
    with contextlib.suppress(OSError):
        name = re.sub(rb"[\t\n \\]", lambda match: b"\\%03o" % ord(match[0]), os.fsencode(path))
        lines = MOUNTS.read_bytes().split(b"\n")
        return any(line.split(b" ")[4:5] == [name] for line in lines)
    return False
