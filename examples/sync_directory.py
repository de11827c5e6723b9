"""Sync a directory with a container, up or down: only what differs is transferred.

    python examples/sync_directory.py up DIRECTORY CONTAINER [NAME] [--delete] [--threads 16]
    python examples/sync_directory.py down DIRECTORY CONTAINER [NAME] [--delete] [--threads 16]

The file ``2025/a.jpg`` of a directory ``photos`` is the object ``photos/2025/a.jpg``. NAME takes
the place of ``photos`` there; if it is empty, the directory is the whole container.

A file with the size and the ETag of its object is left alone, even if the object was sent in parts.
So a second run does nothing, and after a Ctrl-C, a failure or a power cut another one does the
rest. Files are read for that; their times do not matter.

With --delete, up deletes objects that have no file, and down deletes files that have no object, but
only if nothing has failed. Without a file to send or an object to fetch there is an error instead:
perhaps a disk is not mounted, or a name is wrong.

Empty directories, symbolic links, sockets and devices are left out and listed at the end. Nothing
comes down through a link or with a name that leads out of the directory, and objects that would be
one and the same file fail. Failures are listed at the end, when everything else is done, and the
exit code is 1.
"""

import argparse
import sys
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from connect import connect, run
from parallel_upload import find_files, in_parallel, is_right, plan_restore


class Report(NamedTuple):
    """What a run has done, and what it has not and why."""

    changed: list
    unchanged: int
    deleted: list
    left_out: list
    failures: list


def sync_up(driver, directory, container, prefix, threads=16, delete=False):
    """Send the files that differ from their objects, delete objects if asked, and report."""
    found, left_out, unreadable = find_files(directory)
    if not found and not unreadable:
        raise SystemExit(f"there is no file in {str(directory)!r}")
    files = {prefix + path.relative_to(directory).as_posix(): path for path in found}
    objects = {obj.name: obj for obj in container.iterate_objects(prefix)}
    sent, deleted = [], []

    def send(name, progress):
        obj = objects.get(name)
        if obj is None or not is_right(driver, files[name], obj, progress):
            driver.upload_object(files[name], container, name, ex_progress=progress)
            sent.append(name)

    done, failures = in_parallel(send, files, threads, "sending")
    failures += unreadable
    if delete and not failures:
        kept = {
            name  # an empty object such as photos/2025/ marks a directory, which is there
            for name, obj in objects.items()
            if name.endswith("/") and not obj.size and (directory / name[len(prefix) :]).is_dir()
        }
        deleted = [name for name in objects if name not in files and name not in kept]
        driver.ex_delete_objects(container, deleted)
    return Report(sent, done - len(sent), deleted, left_out, failures)


def sync_down(driver, directory, container, prefix, threads=16, delete=False):
    """Fetch the objects that differ from their files, delete files if asked, and report."""
    markers, files, failures = plan_restore(container.iterate_objects(prefix), prefix)
    if not files and not failures:
        raise SystemExit(f"{container.name!r} has no file whose name begins with {prefix!r}")
    fetched, deleted = [], []

    def fetch(path, progress):
        target = directory / path
        if target.resolve() != target:
            raise ValueError("a symbolic link is in its place, or on the way there")
        if path in markers:
            target.mkdir(parents=True, exist_ok=True)
        elif target.is_dir():
            raise IsADirectoryError(f"{str(target)!r} is a directory")
        elif not is_right(driver, target, files[path], progress):
            target.parent.mkdir(parents=True, exist_ok=True)
            driver.download_object(
                files[path],
                target,
                overwrite_existing=True,
                ex_durable=False,  # after a power cut, another run fetches what was lost
                ex_progress=progress,
            )
            fetched.append(path)

    directory.mkdir(parents=True, exist_ok=True)
    done, failed = in_parallel(fetch, [*files, *markers], threads, "fetching")
    failures += [(prefix + str(path), error) for path, error in failed]
    if delete and not failures:
        kept = {directory, *(directory / path for path in markers)}
        for path in find_files(directory)[0]:
            if PurePosixPath(path.relative_to(directory).as_posix()) not in files:
                remove(path, kept)
                deleted.append(path)
    return Report(fetched, done - len(fetched), deleted, [], failures)


def remove(path, kept):
    """Delete a file, and the directories above it that are empty now but need not be kept."""
    path.unlink()
    for parent in path.parents:
        if parent in kept or any(parent.iterdir()):
            return
        parent.rmdir()


def main():
    """Read the command line, sync, and say what was done."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("direction", choices=["up", "down"])
    parser.add_argument("directory", type=Path)
    parser.add_argument("container")
    parser.add_argument("name", nargs="?", help="default: the directory's name")
    parser.add_argument("--delete", action="store_true", help="delete what only the other side has")
    parser.add_argument("--threads", type=int, default=16)
    given = parser.parse_args()
    directory = given.directory.resolve()
    if given.direction == "up" and not directory.is_dir():
        parser.error(f"{given.directory} is not a directory")
    name = directory.name if given.name is None else given.name.rstrip("/")
    prefix = f"{name}/" if name else ""
    sync = sync_up if given.direction == "up" else sync_down
    with connect() as driver:
        container = driver.get_container(given.container)
        report = sync(driver, directory, container, prefix, given.threads, given.delete)
    for path, what in report.left_out:
        print(f"left out: {str(path)!r} is {what}")
    for item in report.deleted:
        print(f"deleted: {str(item)!r}")
    for item, error in report.failures:
        print(f"failed: {str(item)!r}: {type(error).__name__}: {error}", file=sys.stderr)
    if given.delete and report.failures:
        print("nothing was deleted, because of the failures", file=sys.stderr)
    print(
        f"{given.direction}: {len(report.changed):,} transferred, {report.unchanged:,} unchanged, "
        f"{len(report.deleted):,} deleted, {len(report.failures):,} failed"
    )
    return 1 if report.failures else 0


if __name__ == "__main__":
    run(main, interrupted="interrupted: files that are done stay, and none is half done")
