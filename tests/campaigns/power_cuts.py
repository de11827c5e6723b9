"""Power cuts: a file is the old one or the new one, and the new one once its call has returned.

The files are on an ext4 in an image. A copy of the image, made while nothing is written to it, is
what a disk holds whose power goes at that moment: it is mounted, so that the journal is replayed,
and looked at. Needs root.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path

from campaigns.site import BUCKET, MIB, noise, running
from live import program

SIZE = 12 * MIB
IMAGE_SIZE = 128 * MIB
OLD = noise(SIZE)
#: Longer than ext4 waits until it commits what has changed.
LONGEST_SECONDS = 7
PROGRAM = """
import json
item = driver.get_object(container.name, "key")
print("begun", flush=True)
driver.download_object(item, sys.argv[1], **json.loads(sys.argv[2]))
print("ended", flush=True)
"""
WAYS = {
    "a file replaced": {"overwrite_existing": True},
    "a file that is new": {},
    "a file replaced with ex_resume": {"overwrite_existing": True, "ex_resume": True},
}


@contextlib.contextmanager
def mounted(image, place):
    """Mount an image, and give the name of its block device."""
    place.mkdir(exist_ok=True)
    losetup = ["losetup", "--find", "--show", image]
    device = subprocess.check_output(losetup, text=True).strip()
    try:
        subprocess.run(["mount", device, place], check=True)
        yield Path(device).name
    finally:
        subprocess.run(["umount", place], check=True)
        subprocess.run(["losetup", "--detach", device], check=True)


def writes(device):
    """Return how many writes a block device has completed, or None while any is under way."""
    fields = Path(f"/sys/block/{device}/stat").read_text().split()
    return fields[4] if fields[8] == "0" else None


def cut(image, device):
    """Return a copy of an image, of one moment."""
    copy = image.with_suffix(".copy")
    while True:
        before = writes(device)
        subprocess.run(["cp", "--sparse=always", image, copy], check=True)
        if before is not None and before == writes(device):
            return copy


def clear(directory, old):
    """Let a directory hold the old file, or nothing, for sure."""
    for path in directory.glob("*target*"):
        path.unlink()
    if old is not None:
        (directory / "target").write_bytes(old)
    os.sync()


def found(directory):
    """Return what is in the place of the file, and the names of what is beside it."""
    target = directory / "target"
    names = {path.name for path in directory.iterdir()} - {"target", "lost+found"}
    return (target.read_bytes() if target.exists() else None), names


def run(count):
    """Cut so many times, half of the times after the call has returned, else in the midst of it."""
    counts = Counter()
    with running() as site, tempfile.TemporaryDirectory() as top:
        image, disk, replayed = (Path(top) / name for name in ("image", "disk", "replayed"))
        with image.open("wb") as file:
            file.truncate(IMAGE_SIZE)
        subprocess.run(["mkfs.ext4", "-q", image], check=True)
        new = noise(SIZE)
        site.witness.put_parts(BUCKET, "key", new)
        driver = site.connect()
        item = driver.get_object(BUCKET, "key")
        cluster = site.cluster
        account = {"user": cluster.owner, "port": cluster.port, "bucket": BUCKET}

        def once(way, *, returned, durable=True):
            old = None if way == "a file that is new" else OLD
            clear(disk, old)
            settings = {**WAYS[way], "ex_durable": durable}
            arguments = (disk / "target", json.dumps(settings))
            with program.running(PROGRAM, arguments=arguments, **account) as process:
                assert process.stdout.readline() == "begun\n"
                if returned:
                    assert process.stdout.readline() == "ended\n"
                    time.sleep(random.uniform(0, LONGEST_SECONDS))
                else:
                    time.sleep(random.uniform(0, usual))
                    process.send_signal(signal.SIGSTOP)  # so that the disk comes to rest
                copy = cut(image, device)
                process.kill()
                returned = returned or process.stdout.read() == "ended\n"
            with mounted(copy, replayed):
                body, names = found(replayed)
                said = {old: "old", new: "new"}.get(body, "damaged")
                if durable:
                    assert said in (["new"] if returned else ["new", "old"]), (way, said)
                    assert all(name.startswith(".target.") for name in names), names
                if "ex_resume" in settings:
                    driver.download_object(item, replayed / "target", **settings)
                    assert found(replayed) == (new, set())
            when = "after the call" if returned else "during the call"
            counts[f"{way}, {'' if durable else 'not durable, '}cut {when}: {said}"] += 1

        with mounted(image, disk) as device:
            began = time.monotonic()
            driver.download_object(item, disk / "target", **WAYS["a file replaced"])
            usual = time.monotonic() - began
            for number in range(count):
                once(list(WAYS)[number % len(WAYS)], returned=number % 2 == 0)
            for _ in range(count // 5):  # shows that these cuts do harm what is not synced
                once("a file replaced", returned=True, durable=False)
    return counts
