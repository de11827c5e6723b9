"""Files appear by rename: the destination is the old file or the complete new one."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from libcloud_aurora.errors import AuroraObjectsError, InvalidKeyError


def destination(path: str | os.PathLike[str], key: str, *, overwrite: bool) -> Path:
    """
    Return the file an object is to be saved as.

    A directory takes the object under its own name, sub-directories included.

    :raises InvalidKeyError: if the name leads out of the directory.
    :raises AuroraObjectsError: if the file exists and must not be overwritten, is no regular file,
        or lies in a directory that does not exist.
    """
    text = os.fsdecode(path)
    if not text:
        raise ValueError("destination_path must not be empty")
    if "\0" in text:
        raise ValueError(f"destination_path must not hold a NUL character: {text!r}")
    if not os.path.basename(text) or os.path.isdir(text):
        target = _inside(Path(text), key)
    else:
        target = Path(os.path.realpath(text))
        if not target.parent.is_dir():
            raise AuroraObjectsError(f"directory {str(target.parent)!r} does not exist.", key=key)
    if target.exists():
        if not overwrite:
            raise AuroraObjectsError(
                f"file {str(target)!r} already exists, and overwrite_existing is False.", key=key
            )
        if not stat.S_ISREG(target.stat().st_mode):
            raise AuroraObjectsError(f"{str(target)!r} is not a regular file.", key=key)
    return target


def _inside(directory: Path, key: str) -> Path:
    if not directory.is_dir():
        raise AuroraObjectsError(f"directory {str(directory)!r} does not exist.", key=key)
    root = Path(os.path.realpath(directory))
    target = Path(os.path.realpath(root / key)) if "\0" not in key else root
    if root not in target.parents or ".." in key.split("/") or key.endswith("/"):
        raise InvalidKeyError(
            f"object {key!r} cannot be saved under its own name in {str(directory)!r}; "
            "give the path of a file.",
            key=key,
        )
    return target


@contextlib.contextmanager
def appearing(target: Path, size: int | None) -> Iterator[int]:
    """
    Give the descriptor of a temporary file beside the target, which it becomes at the end.

    Nothing is left of it if the block fails, directories made for it included.
    """
    made = make_parents(target.parent)
    temporary = hidden(target, f"{os.urandom(8).hex()}.part")
    try:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            keep_mode(target, descriptor)
            reserve(descriptor, size or 0)
            yield descriptor
        finally:
            os.close(descriptor)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        for directory in made:
            with contextlib.suppress(OSError):
                directory.rmdir()
        raise


def hidden(target: Path, suffix: str) -> Path:
    """Return the path of a hidden file beside a target, whose name may be as long as can be."""
    stem = os.fsencode(target.name)[:100].decode("utf-8", "ignore")
    return target.with_name(f".{stem}.{suffix}")


def make_parents(directory: Path) -> list[Path]:
    """Make missing directories, and return them, the innermost first."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    directory.mkdir(parents=True, exist_ok=True)
    return missing


def keep_mode(target: Path, descriptor: int, *, more: int = 0) -> None:
    """Give a new file the permissions of the one it replaces, and perhaps more."""
    if target.exists():
        os.fchmod(descriptor, stat.S_IMODE(target.stat().st_mode) | more)


def reserve(descriptor: int, size: int) -> None:
    """Allocate a file's space where the system can, so that a full disk shows at once."""
    if size and hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, 0, size)
        except OSError as exc:
            if exc.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
                raise


def write_all(descriptor: int, view: memoryview, offset: int) -> None:
    """Write all of a buffer at an offset."""
    while view:
        count = os.pwrite(descriptor, view, offset)
        view, offset = view[count:], offset + count


def read_pieces(descriptor: int, start: int, stop: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield ``(offset, bytes)`` of a span of a file."""
    while start < stop:
        piece = os.pread(descriptor, min(size, stop - start), start)
        if not piece:
            return
        yield start, piece
        start += len(piece)
