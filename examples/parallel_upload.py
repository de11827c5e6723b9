"""Upload a directory of many small files, several at a time, and bring it back.

    python examples/parallel_upload.py DIRECTORY CONTAINER [--threads 16]
    python examples/parallel_upload.py DIRECTORY CONTAINER --restore-to OTHER

The first makes ``photos/2025/a.jpg`` of the file ``2025/a.jpg`` in a directory ``photos``. The
second fetches it as ``OTHER/photos/2025/a.jpg``, and never replaces a file. One that is there and
right is left as it is, so that a restore that was interrupted can be run again.

Objects have no directories, links, times or permissions. So empty directories, symbolic links (they
are not followed), sockets and devices are left out and listed at the end; ``backup_directory.py``
keeps more. An empty object such as ``photos/2025/``, with which other programs mark a directory,
becomes one. A file whose name is not UTF-8 cannot be an object, so it fails, and so do objects that
would be one and the same file. Failures are listed at the end, when everything else is done, and
the exit code is 1.
"""

import argparse
import hashlib
import os
import sys
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path, PurePosixPath
from queue import Empty, SimpleQueue

from connect import connect, run
from tqdm import tqdm

from libcloud_aurora.parts import composite_etag, plan_part_sizes

#: Usual sizes of parts in MiB: this driver's, and those of aws, s3cmd, mc and s5cmd.
PART_SIZES = (5, 8, 15, 16, 50)


class Interrupted(Exception):
    """Ctrl-C was pressed."""


def in_parallel(work, items, threads, title):
    """
    Call ``work(item, progress)`` for each item, on threads; show progress.

    ``work`` hands ``progress`` to the driver. After a Ctrl-C it cancels what
    is running: nothing half done is left.

    :return: How many are done, and pairs of a failed item and its exception.
    """
    failures, stop = [], threading.Event()

    def progress(done, total):
        if stop.is_set():
            raise Interrupted

    pool = ThreadPoolExecutor(threads)
    try:
        futures = {pool.submit(work, item, progress): item for item in items}
        shown = {"unit": " files", "disable": None}  # only on a terminal
        for future in tqdm(as_they_end(futures), title, len(futures), **shown):
            if error := future.exception():
                failures.append((futures[future], error))
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
    return len(futures) - len(failures), failures


def as_they_end(futures):
    """
    Yield futures as they end, and look for Ctrl-C twice a second.

    ``as_completed`` sleeps without an end, and while it falls asleep Python
    may miss a Ctrl-C.
    """
    ended = SimpleQueue()
    for future in futures:
        future.add_done_callback(ended.put)
    left = len(futures)
    while left:
        with suppress(Empty):
            yield ended.get(timeout=0.5)
            left -= 1


def find_files(directory):
    """Return the files below a directory, what is left out, and what cannot be read."""
    files, left_out, unreadable = [], [], []
    for parent, directories, names in os.walk(directory, onerror=unreadable.append):
        if not directories and not names:
            left_out.append((parent, "an empty directory"))
        for name in sorted(directories + names):
            path = Path(parent, name)
            if path.is_symlink():
                left_out.append((path, "a symbolic link"))
            elif path.is_file():
                files.append(path)
            elif not path.is_dir():
                left_out.append((path, "not a file"))
    return files, left_out, [(error.filename, error) for error in unreadable]


def upload_directory(driver, directory, container, threads=16):
    """Upload all files below a directory; return how many are done, and what is not and why."""
    directory = directory.resolve()
    files, left_out, unreadable = find_files(directory)

    def upload(path, progress):
        name = path.relative_to(directory.parent).as_posix()
        driver.upload_object(path, container, name, ex_progress=progress)

    done, failures = in_parallel(upload, files, threads, "uploading")
    return done, left_out, unreadable + failures


def plan_restore(objects, prefix=""):
    """Return the directories to make, the objects by path, and what cannot be restored and why."""
    markers, by_path, failures = set(), defaultdict(list), []
    for obj in objects:
        path = PurePosixPath(obj.name.removeprefix(prefix))
        if ".." in path.parts or path.is_absolute():
            failures.append((obj.name, ValueError("its name leads out of the directory")))
        elif not obj.name.endswith("/"):
            by_path[path].append(obj)
        elif obj.size:
            failures.append((obj.name, ValueError("no file has a name that ends in a slash")))
        else:
            markers.add(path)
    directories = markers.union(*(path.parents for path in [*markers, *by_path]))
    for path in [path for path, found in by_path.items() if found[1:] or path in directories]:
        error = FileExistsError(f"another object needs the path {str(path)!r}, too")
        failures += [(obj.name, error) for obj in by_path.pop(path)]
    return markers, {path: obj for path, (obj,) in by_path.items()}, failures


def is_right(driver, path, obj, progress):
    """Tell whether a file is what an object holds: by its ETag, or byte by byte."""
    if not path.is_file() or path.stat().st_size != obj.size:
        return False
    with open(path, "rb") as file:
        if "-" not in obj.hash:
            return md5(file, obj.size, progress) == obj.hash
        for part_size in PART_SIZES:
            sizes = list(plan_part_sizes(obj.size, part_size * 1024**2))
            if obj.hash.endswith(f"-{len(sizes)}"):
                file.seek(0)
                if composite_etag([md5(file, size, progress) for size in sizes]) == obj.hash:
                    return True
        file.seek(0)  # it has changed, or another program has cut it into parts of other sizes
        chunks = driver.download_object_as_stream(obj, ex_progress=progress)
        return all(file.read(len(chunk)) == chunk for chunk in chunks)


def md5(file, size, progress):
    """Return the MD5 of the next bytes of a file, which is the ETag of what is sent as one."""
    digest = hashlib.md5(usedforsecurity=False)
    while data := file.read(min(size, 1024**2)):
        progress(0, size)
        digest.update(data)
        size -= len(data)
    return digest.hexdigest()


def restore_directory(driver, container, name, destination, threads=16):
    """Fetch all objects below a directory's name; return how many are done, and what failed."""
    objects = driver.list_container_objects(container, prefix=f"{name}/")
    if not objects:
        raise SystemExit(f"no object in {container.name!r} begins with {f'{name}/'!r}")
    directories, files, failures = plan_restore(objects)

    def fetch(path, progress):
        if not is_right(driver, destination / path, files[path], progress):
            driver.download_object(files[path], destination, ex_progress=progress)

    destination.mkdir(parents=True, exist_ok=True)
    done, failed = in_parallel(fetch, files, threads, "fetching")
    for directory in directories:
        (destination / directory).mkdir(parents=True, exist_ok=True)
    return done, failures + [(files[path].name, error) for path, error in failed]


def main():
    """Read the command line, and upload or restore."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("container")
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--restore-to", type=Path, metavar="OTHER")
    given = parser.parse_args()
    if given.restore_to is None and not given.directory.is_dir():
        parser.error(f"{given.directory} is not a directory")
    with connect() as driver:
        container = driver.get_container(given.container)
        left_out = []
        if given.restore_to is None:
            done, left_out, failures = upload_directory(
                driver, given.directory, container, given.threads
            )
        else:
            name = given.directory.resolve().name
            done, failures = restore_directory(
                driver, container, name, given.restore_to, given.threads
            )
    for path, what in left_out:
        print(f"left out: {str(path)!r} is {what}")
    for item, error in failures:
        print(f"failed: {str(item)!r}: {type(error).__name__}: {error}", file=sys.stderr)
    print(f"{done:,} files done, {len(failures):,} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    run(main, interrupted="interrupted: files that are done stay, and none is half done")
