"""SIGKILL in the midst of transfers: all or nothing, and what is resumed is right.

Each transfer is a process of its own, killed at a random moment between its first request and its
end; one that has ended before is not counted.
"""

import random
import re
import time
from collections import Counter

from campaigns.site import BUCKET, MIB, noise, running
from live import program

SIZE = 20 * MIB
PROGRAM = """
path, direction, resume = sys.argv[1], sys.argv[2], sys.argv[3] == "True"
item = None if direction == "up" else driver.get_object(container.name, "key")
print("begun", flush=True)
if direction == "up":
    driver.upload_object(path, container, "key", ex_resume=resume)
else:
    driver.download_object(item, path, True, ex_resume=resume)
print("ended", flush=True)
"""
#: What the documentation says that downloads leave, plain ones and those to be resumed.
LEFT = {
    False: re.compile(r"\.target\.[0-9a-f]{16}\.part"),
    True: re.compile(r"\.target\.[0-9a-f]{8}\.resume\.(part|journal)"),
}


class Executioner:
    """Runs transfers in processes and kills them."""

    def __init__(self, site):
        self._settings = {
            "user": site.cluster.owner,
            "port": site.cluster.port,
            "bucket": BUCKET,
        }

    def kill(self, *arguments, within):
        """Run a transfer, kill it within some seconds, and tell whether that was in time."""
        with program.running(PROGRAM, arguments=arguments, **self._settings) as process:
            assert process.stdout.readline() == "begun\n"
            time.sleep(random.uniform(0, within))
            process.kill()
            return process.stdout.read() == ""

    def seconds(self, *arguments):
        """Return how long a transfer takes that nobody kills."""
        with program.running(PROGRAM, arguments=arguments, **self._settings) as process:
            assert process.stdout.readline() == "begun\n"
            began = time.monotonic()
            assert process.stdout.readline() == "ended\n"
            return time.monotonic() - began


def kill_uploads(site, executioner, resume, count):
    """Kill so many uploads, and count what is stored afterwards."""
    driver, counts = site.connect(), Counter()
    container = driver.get_container(BUCKET)
    order = [str(site.directory / "source"), "up", resume]
    stored = noise(SIZE)
    site.file("source", stored)
    within = executioner.seconds(*order)
    new = noise(SIZE)
    source = site.file("source", new)
    while sum(counts.values()) < count:
        if not executioner.kill(*order, within=within):
            # The next object must be another one: it would be taken for that of an upload that is
            # killed before it is completed, and this upload would be kept.
            stored, new = new, noise(SIZE)
            site.file("source", new)
            within *= 0.8
            continue
        body, left = site.stored("key"), site.parts_left()
        assert body in (stored, new), "neither the old object nor the new one"
        assert len(left) <= 1, left
        said = "the new object" if body == new else "the old object"
        within *= 0.8 if body == new else 1.1  # how long it takes depends on what else runs here
        counts[f"{said}, {'parts' if sum(left) else 'no part'} left"] += 1
        if resume and random.random() < 0.5:
            continue  # to be killed once more before it is completed
        if resume:
            driver.upload_object(source, container, "key", ex_resume=True)
            assert site.stored("key") == new
        else:
            driver.ex_cleanup_all_multipart_uploads(container)
        assert site.parts_left() == []
        body = site.stored("key")
        assert body in (stored, new), "cleaning up has damaged the object"
        stored, new = body, noise(SIZE)
        site.file("source", new)
    driver.ex_cleanup_all_multipart_uploads(container)
    return counts


def kill_downloads(site, executioner, resume, count):
    """Kill so many downloads, and count what is in the file afterwards."""
    driver, counts = site.connect(), Counter()
    directory = site.directory / f"downloads-{resume}"
    directory.mkdir()
    target = directory / "target"
    order = [str(target), "down", resume]
    old, new = noise(SIZE), noise(SIZE)
    site.witness.put_parts(BUCKET, "key", new)
    item = driver.get_object(BUCKET, "key")
    within = executioner.seconds(*order)
    target.write_bytes(old)
    while sum(counts.values()) < count:
        if not executioner.kill(*order, within=within):
            continue
        left = {path.name for path in directory.iterdir()} - {"target"}
        assert all(LEFT[resume].fullmatch(name) for name in left), left
        body = target.read_bytes()
        assert body in (old, new), "neither the old file nor the new one"
        said = "the new file" if body == new else "the old file"
        within *= 0.8 if body == new else 1.1
        counts[f"{said}, {len(left)} hidden files left"] += 1
        if resume and random.random() < 0.5:
            continue
        if resume:
            driver.download_object(item, target, True, ex_resume=True)
            assert [path.name for path in directory.iterdir()] == ["target"]
            assert target.read_bytes() == new
        else:
            for name in left:
                (directory / name).unlink()
        target.write_bytes(old)
    return counts


def run(count):
    """Kill so many transfers of each kind."""
    counts = Counter()
    with running() as site:
        executioner = Executioner(site)
        for way in (kill_uploads, kill_downloads):
            for resume in (False, True):
                found = way(site, executioner, resume, count)
                name = f"{way.__name__}{', ex_resume' if resume else ''}"
                counts.update({f"{name}: {said}": number for said, number in found.items()})
    return counts
