"""Back up a directory, restore it and verify every file: what ``make demo`` runs.

Without an account it starts moto's S3 server in this process. With ``AURORA_ACCESS_KEY`` and
``AURORA_SECRET_KEY`` it runs on AuroraObjects, or on the server that ``AURORA_ENDPOINT`` names;
``AURORA_CONTAINER`` names a container to use, which is kept if it was there before.
"""

import contextlib
import logging
import os
import secrets
import shutil
import sysconfig
import tempfile
import textwrap
import time
from pathlib import Path

from backup_directory import Packer, back_up, copy, restore
from connect import connect, run
from libcloud.common.types import LibcloudError
from libcloud.storage.types import ContainerDoesNotExistError

MIB = 1024**2


def say(label, text):
    """Print a label and what there is to say, in lines that fit a terminal of 80 columns."""
    indents = {"initial_indent": f"{label:<11}", "subsequent_indent": " " * 11}
    print(textwrap.fill(text, 79, **indents, break_long_words=False, break_on_hyphens=False))


@contextlib.contextmanager
def server():
    """Make sure that there is an S3 server to talk to, say which, and yield what to do next."""
    if "AURORA_ACCESS_KEY" in os.environ or "AURORA_SECRET_KEY" in os.environ:
        say("server", os.environ.get("AURORA_ENDPOINT") or "AuroraObjects")
        yield "run the programs in examples/, such as sync_directory.py, on your own files."
        return
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # no line per request
    embedded = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    embedded.start()
    try:
        host, port = embedded.get_host_and_port()
        os.environ["AURORA_ENDPOINT"] = f"http://{host}:{port}"
        os.environ["AURORA_ACCESS_KEY"] = os.environ["AURORA_SECRET_KEY"] = "demo"  # noqa: S105
        say("server", f"moto, a simulated S3, at http://{host}:{port}; no account needed")
        yield "set AURORA_ACCESS_KEY and AURORA_SECRET_KEY, and run this again on AuroraObjects."
    finally:
        embedded.stop()


@contextlib.contextmanager
def demo_container(driver):
    """Yield a container; one that was not there before is removed at the end."""
    name = os.environ.get("AURORA_CONTAINER") or f"libcloud-aurora-demo-{secrets.token_hex(4)}"
    try:
        container, made = driver.get_container(name), False
    except ContainerDoesNotExistError:
        container, made = driver.create_container(name), True
    try:
        yield container
    finally:
        if made:
            driver.delete_container(container)


def make_source(directory):
    """Fill a directory with real files: Python's own library, and one that does not compress."""
    ignored = shutil.ignore_patterns(
        "__pycache__", "site-packages", "dist-packages", "test", "idlelib"
    )
    shutil.copytree(
        sysconfig.get_path("stdlib"), directory / "python", ignore=ignored, symlinks=True
    )
    (directory / "empty directory").mkdir()
    (directory / "empty file").touch()
    photos = directory / "Foto's, żółw, 写真, 📷"
    photos.mkdir()
    (photos / "größtes Bild.raw").write_bytes(secrets.token_bytes(16 * MIB))


@contextlib.contextmanager
def timed(what, size):
    """Print what was done, how much it was and how fast."""
    started = time.perf_counter()
    yield
    seconds = time.perf_counter() - started
    mib = size() / MIB
    say(what, f"{mib:.1f} MiB in {seconds:.1f} s, {mib / seconds:.1f} MiB/s")


def demonstrate(driver, container, source, restored):
    """Back up, restore, verify, list, and show what a CDN call says."""
    packer = Packer(source)
    name = f"backups/{time.strftime('%Y-%m-%d %H:%M')} żółw.tar.gz"
    files = sum(path.is_file() for path in packer.paths)
    what = f"{files:,} files in {len(packer.paths) - files:,} directories"
    say("source", f"{what}: Python's own library, and a photo that does not compress")
    with timed("backed up", lambda: packer.size):
        obj = back_up(driver, packer, container, name)
    try:
        say("stored", f"{obj.size / MIB:.1f} MiB as {obj.name!r}, ETag {obj.hash}")
        with timed("restored", lambda: packer.size):
            restore(driver, obj, restored)
        compare(packer, restored)
        say("verified", f"{len(packer.checksums):,} files: SHA-256 of each is the source's")
        say("listing", f"'backups/' in container {container.name!r}:")
        for found in driver.iterate_container_objects(container, prefix="backups/"):
            say("", f"{found.size / MIB:8.1f} MiB  {found.name}")
        show_cdn_error(container)
    finally:
        driver.delete_object(obj)
    left = list(driver.ex_iterate_multipart_uploads(container, prefix=name))
    if left:
        raise SystemExit(f"{len(left)} unfinished multipart uploads are left")


def compare(packer, restored):
    """Read the restored files from the disk and compare them with what was packed."""
    again = {}
    for path in restored.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                again[path.relative_to(restored).as_posix()] = copy(file, None)
    if again != packer.checksums:
        raise SystemExit("the restored directory is not the source")


def show_cdn_error(container):
    """Show the documented error of every CDN call."""
    say("CDN call", "there is no CDN, so the call is refused, and the error says why:")
    try:
        container.get_cdn_url()
    except LibcloudError as error:
        say("", f"{type(error).__name__}: {error}")
    else:
        raise SystemExit("a CDN call returned")


def main():
    """Run the demonstration in a temporary directory and clean up."""
    with (
        server() as next_step,
        tempfile.TemporaryDirectory(prefix="aurora-demo-") as directory,
    ):
        source, restored = Path(directory, "source"), Path(directory, "restored")
        source.mkdir()
        make_source(source)
        with connect() as driver:
            say("driver", f"{type(driver).__module__}.{type(driver).__name__}")
            with demo_container(driver) as container:
                demonstrate(driver, container, source, restored)
    say("cleanup", "nothing of the demonstration is left")
    say("next", next_step)


if __name__ == "__main__":
    run(main)
