"""Rolling restarts: radosgw ends by SIGKILL and SIGTERM in turn and is back within seconds.

Meanwhile threads upload, download, list and delete. Every call returns what is right or raises a
LibcloudError, and what a call has stored is there, whole, until another replaces or deletes it,
even after radosgw has collected its garbage. Half of the restarts come just as an upload is
completed.
"""

import itertools
import random
import signal
import threading
import time
from collections import Counter

from campaigns.site import BUCKET, MIB, noise, running
from libcloud.common.types import LibcloudError
from libcloud.storage.base import Object
from libcloud.storage.types import ObjectDoesNotExistError
from servers import plan
from servers.proxy import Proxy

KEYS = 4
SIZES = {"file": 12 * MIB, "stream": 12 * MIB, "small file": 60_000, "small stream": 3000}
#: Most seconds from one restart to the next, and fewest.
LONGEST, SHORTEST = 20, 4
#: Longer than a call may take that waits for a completion in progress.
PATIENCE_SECONDS = 900


class Shelf:
    """
    The objects that one thread stores and reads.

    :ivar possible: What each may be: indices of bodies, and None for no object. A call that has
        failed may have been carried out all the same.
    """

    def __init__(self, site, driver, kind):
        self.kind = kind
        self.driver = driver
        self.container = driver.get_container(BUCKET)
        self.path = site.directory / kind
        self.bodies = [noise(SIZES[kind]) for _ in range(3)]
        self.possible = {f"{kind}/{number}": {None} for number in range(KEYS)}

    def item(self, key):
        return Object(key, None, None, None, None, self.container, self.driver)

    def upload(self, key):
        """Replace an object."""
        index = random.randrange(len(self.bodies))
        body = self.bodies[index]
        self.possible[key].add(index)
        if "file" in self.kind:
            self.path.write_bytes(body)
            self.driver.upload_object(str(self.path), self.container, key)
        else:
            pieces = (body[at : at + MIB] for at in range(0, len(body), MIB))
            self.driver.upload_object_via_stream(pieces, self.container, key)
        self.possible[key] = {index}

    def download(self, key):
        """Read an object."""
        try:
            if "file" in self.kind:
                self.driver.download_object(self.item(key), self.path, True)
                body = self.path.read_bytes()
            else:
                body = b"".join(self.driver.download_object_as_stream(self.item(key)))
        except ObjectDoesNotExistError:
            body = None
        self.compare(key, body)

    def delete(self, key):
        """Delete an object."""
        self.possible[key].add(None)
        self.driver.delete_object(self.item(key))
        self.possible[key] = {None}

    def list(self, key):
        """List all objects of this thread."""
        found = self.driver.iterate_container_objects(self.container, prefix=f"{self.kind}/")
        names = {item.name for item in found}
        for key, possible in self.possible.items():
            assert possible != {None} if key in names else None in possible, f"{key} in a listing"

    def compare(self, key, body):
        """Compare an object with what it may be."""
        index = self.bodies.index(body) if body in self.bodies else None
        assert (body is None) == (index is None), f"{key} is damaged"
        assert index in self.possible[key], f"{key} is {index}, not {self.possible[key]}"


class Load:
    """Threads at work, each on a shelf of its own, until they are told to stop."""

    def __init__(self, shelves, counts):
        self.counts = counts
        self.wrong = []
        self.over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._work, args=[shelf]) for shelf in shelves]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)
        assert not any(thread.is_alive() for thread in self._threads), "a call hangs"

    def _work(self, shelf):
        calls = [shelf.upload] * 4 + [shelf.download] * 3 + [shelf.list] * 2 + [shelf.delete]
        while not self.over.wait(0.05):
            call, key = random.choice(calls), random.choice(list(shelf.possible))
            try:
                call(key)
                said = "right"
            except LibcloudError as error:
                said = " ".join(filter(None, [type(error).__name__, getattr(error, "code", None)]))
            except BaseException as error:
                self.wrong.append(error)
                raise
            with self._lock:
                self.counts[f"{call.__name__}, {shelf.kind}: {said}"] += 1


def run(minutes):
    """Restart radosgw for so many minutes."""
    counts = Counter()
    completing = threading.Event()
    hook = plan.hook("head", lambda request: completing.set())
    with (
        running() as site,
        Proxy(
            site.cluster.host, site.cluster.port, plan.always(hook, plan.is_any("complete"))
        ) as proxy,
    ):
        settings = {"timeout": 20, "ex_part_size": 5 * MIB}
        shelves = [Shelf(site, site.connect(**settings, port=proxy.port), kind) for kind in SIZES]
        signals = itertools.cycle([signal.SIGKILL, signal.SIGTERM])
        end = time.monotonic() + 60 * minutes
        with Load(shelves, counts) as load:
            while time.monotonic() < end and not load.wrong:
                load.over.wait(random.uniform(SHORTEST, LONGEST))
                when = "at any moment"
                if random.random() < 0.5:
                    completing.clear()
                    completing.wait(LONGEST)
                    load.over.wait(random.uniform(0, 0.02))
                    when = "while an upload is completed"
                number = next(signals)
                site.cluster.restart_radosgw(number)
                counts[f"restarts by {number.name} {when}"] += 1
        assert not load.wrong, load.wrong
        shelves[0].driver.ex_cleanup_all_multipart_uploads(shelves[0].container)
        assert site.parts_left() == []
        site.cluster.admin("gc", "process", "--include-all")
        for shelf in shelves:
            for key in shelf.possible:
                shelf.compare(key, site.stored(key))
                counts["objects compared in the end"] += 1
    return counts
