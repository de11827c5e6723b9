"""Back up a directory as one compressed tar, packed *while* it is streamed up: no temporary file.

    python examples/backup_directory.py [--keep N] DIRECTORY CONTAINER [NAME]
    python examples/backup_directory.py --restore [--file PATH] DIRECTORY CONTAINER NAME

The first backs up, then streams the archive down and compares every file with the SHA-256 of what
was packed. It replaces a backup of the same name; without one that is the directory's and .tar.gz.
With --keep the time is added to the name, and all but the last N of such backups are deleted.

The second sends nothing: it fetches a backup into a new directory, which must not exist. The
directory appears when all of it is there and verified, or not at all. With --file it has that file
only; the whole archive is read for it, because what verifies it stands at the end.
"""

import argparse
import contextlib
import gzip
import hashlib
import os
import re
import secrets
import shutil
import tarfile
import time
import zlib
from pathlib import Path

from connect import connect, run
from tqdm import tqdm

MIB = CHUNK_SIZE = 1024**2
#: How tqdm counts; without a terminal it shows nothing.
MEBIBYTES = {"unit": "iB", "unit_scale": True, "unit_divisor": 1024, "disable": None}
SUFFIX = ".tar.gz"
DATE = "-0000-00-00T000000Z"  # what --keep adds to a name, any digits for the zeros


class BackupError(Exception):
    """The archive is damaged, or is not what was packed."""


class Packer:
    """
    Pack a directory's files and directories, and remember the SHA-256 of each file as it was read.

    Symbolic links, sockets and devices are not packed; ``skipped`` names them.
    """

    def __init__(self, directory):
        self.directory = Path(directory)
        self.paths, self.skipped = [], []
        for path in sorted(self.directory.rglob("*")):
            plain = not path.is_symlink() and (path.is_file() or path.is_dir())
            (self.paths if plain else self.skipped).append(path)
        self.size = sum(path.stat().st_size for path in self.paths if path.is_file())
        self.checksums = {}
        self.bytes_read = 0

    def write_to(self, sink):
        """Write the whole archive into a file."""
        with (
            gzip.GzipFile(fileobj=sink, mode="wb", compresslevel=4, mtime=0) as zipped,
            tarfile.open(fileobj=zipped, mode="w|") as archive,
        ):
            for path in self.paths:
                self._add(archive, path)

    def _add(self, archive, path):
        name = path.relative_to(self.directory).as_posix()
        member = archive.gettarinfo(path, name)
        if not member.isfile():
            archive.addfile(member)
            return
        member.type, member.linkname = tarfile.REGTYPE, ""  # a hard link is packed as a file
        member.size = path.stat().st_size
        with open(path, "rb") as file:
            hashing = HashingReader(file, self)
            archive.addfile(member, hashing)
        self.checksums[name] = hashing.sha256.hexdigest()


class HashingReader:
    """Hash and count what tarfile reads from a file."""

    def __init__(self, file, packer):
        self.sha256 = hashlib.sha256()
        self._file, self._packer = file, packer

    def read(self, size):
        """Read at most ``size`` bytes."""
        data = self._file.read(size)
        self.sha256.update(data)
        self._packer.bytes_read += len(data)
        return data


def back_up(driver, packer, container, object_name):
    """Pack into an object, under a progress bar, and return it."""
    title = "packing and sending"
    with tqdm(total=packer.size, desc=title, **MEBIBYTES) as bar:

        def show(sent, _total):
            bar.set_postfix_str(f"{sent / MIB:.1f} MiB sent", refresh=False)
            bar.update(packer.bytes_read - bar.n)

        with driver.ex_open(
            container,
            "wb",
            object_name=object_name,
            extra={"content_type": "application/gzip"},
            ex_progress=show,
        ) as sink:
            packer.write_to(sink)
        return sink.obj


def verify(driver, obj, checksums):
    """
    Stream an archive down and compare every file in it.

    :raises BackupError: naming the first file that is missing, strange or different.
    """
    missing = dict(checksums)
    for name, sha256 in fetched(driver, obj, None, "fetching and verifying"):
        if missing.pop(name, None) != sha256:
            raise BackupError(f"{name!r} is not what was packed")
    if missing:
        raise BackupError(f"{len(missing)} files are missing, the first is {min(missing)!r}")


def restore(driver, obj, directory, only=None):
    """
    Unpack an archive into a new directory, which appears when all is verified.

    :param only: Name of the one file to restore; all if not given.
    :return: How many files there are.
    :raises BackupError: if it is no archive, or damaged; no directory is left.
    """
    directory = Path(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    mark = secrets.token_hex(4)
    unfinished = directory.with_name(f".{directory.name}.{mark}")
    unfinished.mkdir()
    try:
        title = "fetching and restoring"
        count = len(list(fetched(driver, obj, unfinished, title, only)))
        if only is not None and not count:
            raise BackupError(f"{obj.name!r} has no file {only!r}")
        unfinished.rename(directory)
    except BaseException:
        shutil.rmtree(unfinished)
        raise
    return count


def fetched(driver, obj, restore_to, title, only=None):
    """Yield name and SHA-256 of every file in an archive that is streamed down under a bar."""
    bar = {"total": obj.size, "desc": title, "bytes": False, **MEBIBYTES}
    with driver.ex_open(obj) as file, tqdm.wrapattr(file, "read", **bar) as source:
        try:
            yield from unpacked(source, restore_to, only)
        except (EOFError, gzip.BadGzipFile, tarfile.TarError, zlib.error) as error:
            raise BackupError(f"{obj.name!r} is not a complete archive: {error}") from error


def unpacked(source, restore_to, only=None):
    """Yield name and SHA-256 of every file in an archive, restoring it on the way if asked."""
    directories = []
    with (
        gzip.GzipFile(fileobj=source) as zipped,
        tarfile.open(fileobj=zipped, mode="r|") as archive,
    ):
        for member in archive:
            if only not in (None, member.name):
                continue
            target = None if restore_to is None else safe_path(restore_to, member.name)
            if member.isfile():
                yield member.name, copy(archive.extractfile(member), target)
                settle(target, member)
            elif member.isdir():
                make_directory(target)
                directories.append((target, member))
            else:
                raise BackupError(f"{member.name!r} is neither a file nor a directory")
        while zipped.read(CHUNK_SIZE):
            pass  # to the end: the driver compares the ETag with the last byte, gzip its checksum
    for target, member in reversed(directories):  # last: each file in it has changed its time
        settle(target, member)


def prune(container, stem, keep):
    """Delete the backups of a name but for the last ones, and return how many."""
    dated = re.compile(re.escape(stem) + DATE.replace("0", r"\d") + re.escape(SUFFIX))
    backups = [obj for obj in container.iterate_objects(stem) if dated.fullmatch(obj.name)]
    old = sorted(backups, key=lambda obj: obj.name)[:-keep]
    for obj in old:
        obj.delete()
    return len(old)


def make_directory(target):
    """Make a directory and what is above it, if there is one to make."""
    if target is not None:
        target.mkdir(parents=True, exist_ok=True)


def settle(target, member):
    """Give what was restored, if it was, the permissions and time it had."""
    if target is not None:
        os.chmod(target, member.mode & 0o777)
        os.utime(target, (member.mtime, member.mtime))


def copy(source, target):
    """Return the SHA-256 of a stream and write it to a file, if one is given."""
    sha256 = hashlib.sha256()
    with contextlib.ExitStack() as stack:
        sink = None
        if target is not None:
            make_directory(target.parent)
            sink = stack.enter_context(open(target, "xb"))
        while data := source.read(CHUNK_SIZE):
            sha256.update(data)
            if sink is not None:
                sink.write(data)
    return sha256.hexdigest()


def safe_path(directory, name):
    """Return the path of an archive's member inside a directory; it cannot be outside."""
    target = (Path(directory) / name).resolve()
    if not target.is_relative_to(Path(directory).resolve()):
        raise BackupError(f"{name!r} would be restored outside {directory}")
    return target


def main():
    """Back up a directory and verify it, or restore one."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("container")
    parser.add_argument("name", nargs="?", help="default: the directory's name and .tar.gz")
    parser.add_argument(
        "--keep", type=int, metavar="N", help="add the time to the name, and keep the last N"
    )
    parser.add_argument(
        "--restore", action="store_true", help="fetch NAME into DIRECTORY, which must not exist"
    )
    parser.add_argument("--file", help="restore only this file of the backup")
    given = parser.parse_args()
    directory = given.directory
    if given.restore and given.name is None:
        parser.error("--restore needs the name of the backup")
    if given.restore and os.path.lexists(directory):
        parser.error(f"{directory} already exists: restore into a new directory")
    if not given.restore and not directory.is_dir():
        parser.error(f"{directory} is not a directory")
    if given.file is not None and not given.restore:
        parser.error("--file is for --restore")
    if given.keep is not None and (given.restore or given.keep < 1):
        parser.error("--keep needs a number of at least 1, and is not for --restore")
    try:
        with connect() as driver:
            if given.restore:
                restore_from(driver, directory, given.container, given.name, given.file)
            else:
                save_to(driver, directory, given.container, given.name, given.keep)
    except BackupError as error:
        raise SystemExit(f"BackupError: {error}") from error


def save_to(driver, directory, container_name, name, keep):
    """Back up, verify, delete old backups, and say what was done."""
    packer = Packer(directory)
    container = driver.get_container(container_name)
    name = name or directory.resolve().name + SUFFIX
    stem = name.removesuffix(SUFFIX)
    if keep is not None:
        name = stem + time.strftime("-%Y-%m-%dT%H%M%SZ", time.gmtime()) + SUFFIX
    obj = back_up(driver, packer, container, name)
    verify(driver, obj, packer.checksums)
    files = f"{len(packer.checksums):,} files of {packer.size:,} bytes"
    print(f"{obj.name}: {files} backed up and verified")
    if keep is not None:
        print(f"older backups deleted: {prune(container, stem, keep)}")
    for path in packer.skipped:
        print(f"not packed: {path} is neither a file nor a directory")


def restore_from(driver, directory, container_name, name, only):
    """Restore and say what was done."""
    count = restore(driver, driver.get_object(container_name, name), directory, only)
    print(f"{directory}: {count:,} {'file' if count == 1 else 'files'} restored")


if __name__ == "__main__":
    run(main)
