"""Back up a directory as one compressed tar, packed *while* it is streamed up: no temporary file.

    python examples/backup_directory.py DIRECTORY CONTAINER [NAME]
    python examples/backup_directory.py --restore DIRECTORY CONTAINER NAME

The first backs up, then streams the archive down and compares every file with the SHA-256 of what
was packed. It replaces a backup of the same name; without one that is the directory's and .tar.gz.

The second sends nothing: it fetches a backup into a new directory, which must not exist. The
directory appears when all of it is there and verified, or not at all.
"""

import argparse
import contextlib
import gzip
import hashlib
import io
import os
import secrets
import shutil
import tarfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from connect import connect, run
from tqdm import tqdm

CHUNK_SIZE = 1024**2


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

    def write_to(self, pipe):
        """Write the whole archive into a file or pipe, and close it."""
        with (
            open(pipe, "wb") as sink,
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


def packed(packer):
    """Yield the archive while a thread packs it; a pipe's buffer is all that lies between them."""
    read_end, write_end = os.pipe()
    with ThreadPoolExecutor(1, "packer") as thread, open(read_end, "rb") as pipe:
        packing = thread.submit(packer.write_to, write_end)
        yield from iter(lambda: pipe.read(CHUNK_SIZE), b"")
        packing.result()  # a packer that failed fails the upload instead of ending it early
    # Leaving early closes our end first: the packer's next write fails, and its thread is joined.


def back_up(driver, packer, container, object_name):
    """Stream the archive up under a progress bar and return the new object."""
    with (
        tqdm(
            total=packer.size,
            unit="B",
            unit_scale=True,
            unit_divisor=1024,
            desc="packing and sending",
        ) as bar,
        contextlib.closing(packed(packer)) as archive,
    ):

        def show(sent, _total):
            bar.set_postfix_str(f"{sent / 1024**2:.1f} MiB sent", refresh=False)
            bar.update(packer.bytes_read - bar.n)

        return driver.upload_object_via_stream(
            archive,
            container,
            object_name,
            extra={"content_type": "application/gzip"},
            ex_progress=show,
        )


class ChunkReader(io.RawIOBase):
    """Let gzip and tarfile read what an iterator of chunks yields."""

    def __init__(self, chunks):
        self._chunks, self._rest = iter(chunks), b""

    def readable(self):
        """Return True: this is a source."""
        return True

    def readinto(self, buffer):
        """Copy the next bytes into a buffer and return their number; 0 is the end."""
        if not self._rest:
            self._rest = memoryview(next(self._chunks, b""))
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


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


def restore(driver, obj, directory):
    """
    Stream an archive down into a new directory, which appears when all is there and verified.

    :return: How many files there are.
    :raises BackupError: if it is not an archive or is damaged; no directory is left then.
    """
    directory = Path(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    unfinished = directory.with_name(f".{directory.name}.{secrets.token_hex(4)}")
    unfinished.mkdir()
    try:
        count = len(list(fetched(driver, obj, unfinished, "fetching and restoring")))
        unfinished.rename(directory)
    except BaseException:
        shutil.rmtree(unfinished)
        raise
    return count


def fetched(driver, obj, restore_to, title):
    """Yield name and SHA-256 of every file in an archive that is streamed down under a bar."""
    with tqdm(total=obj.size, unit="B", unit_scale=True, unit_divisor=1024, desc=title) as bar:
        chunks = driver.download_object_as_stream(
            obj, ex_progress=lambda done, total: bar.update(done - bar.n)
        )
        try:
            yield from unpacked(chunks, restore_to)
        except (EOFError, gzip.BadGzipFile, tarfile.TarError, zlib.error) as error:
            raise BackupError(f"{obj.name!r} is not a complete archive: {error}") from error


def unpacked(chunks, restore_to):
    """Yield name and SHA-256 of every file in an archive, restoring it on the way if asked."""
    directories = []
    with (
        gzip.GzipFile(fileobj=io.BufferedReader(ChunkReader(chunks), CHUNK_SIZE)) as zipped,
        tarfile.open(fileobj=zipped, mode="r|") as archive,
    ):
        for member in archive:
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
        "--restore", action="store_true", help="fetch NAME into DIRECTORY, which must not exist"
    )
    given = parser.parse_args()
    directory = given.directory
    if given.restore and given.name is None:
        parser.error("--restore needs the name of the backup")
    if given.restore and os.path.lexists(directory):
        parser.error(f"{directory} is there already: restore into a new directory")
    if not given.restore and not directory.is_dir():
        parser.error(f"{directory} is not a directory")
    work = restore_from if given.restore else save_to
    try:
        with connect() as driver:
            work(driver, directory, given.container, given.name)
    except BackupError as error:
        raise SystemExit(f"BackupError: {error}") from error


def save_to(driver, directory, container_name, name):
    """Back up, verify and say what was done."""
    packer = Packer(directory)
    container = driver.get_container(container_name)
    obj = back_up(driver, packer, container, name or f"{directory.resolve().name}.tar.gz")
    verify(driver, obj, packer.checksums)
    files = f"{len(packer.checksums):,} files of {packer.size:,} bytes"
    print(f"{obj.name}: {files} backed up and verified")
    for path in packer.skipped:
        print(f"not packed: {path} is neither a file nor a directory")


def restore_from(driver, directory, container_name, name):
    """Restore and say what was done."""
    count = restore(driver, driver.get_object(container_name, name), directory)
    print(f"{directory}: {count:,} files restored")


if __name__ == "__main__":
    run(main)
