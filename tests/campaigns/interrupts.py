"""Ctrl-C at random moments of calls in the main thread, caught, and one driver for all of them.

After each one the next request must do its work: a hang ends the program with the stacks of all
threads. No call returns wrong data, and no thread, connection or part is left. Python itself loses
a Ctrl-C that comes while it runs a callback of a weak reference, and, without a word, one that
comes in what the finalizer of ``io`` calls: each response of urllib3 has a ``closed`` in Python,
and one of ``http.client`` a ``close``. Those are counted.
"""

import faulthandler
import os
import random
import signal
import statistics
import subprocess
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

from campaigns.site import BUCKET, MIB, noise, running
from workers import wait_for_workers

SIZE = 18 * MIB
#: Longer than anything takes here that does not hang.
HANG_SECONDS = 120
#: What the finalizer of a response runs: module and function.
FINALIZERS = {
    ("urllib3/response.py", "closed"),
    ("http/client.py", "isclosed"),
    ("http/client.py", "close"),
}
#: Sends one SIGINT for each line, after so many seconds.
KEYBOARD = """
import os, signal, sys, time
for line in sys.stdin:
    time.sleep(float(line))
    os.kill(os.getppid(), signal.SIGINT)
"""


class Keyboard:
    """A process that presses Ctrl-C."""

    def __init__(self):
        command = [sys.executable, "-c", KEYBOARD]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
        signal.signal(signal.SIGINT, self.note)

    def press_after(self, seconds):
        """Send this process one SIGINT after some seconds."""
        self.came = traceback.StackSummary()
        os.write(self._process.stdin.fileno(), f"{seconds:f}\n".encode())

    def note(self, number, frame):
        """Handle SIGINT as Python does, and keep the place where it came."""
        self.came = traceback.extract_stack(frame)
        raise KeyboardInterrupt

    def close(self):
        self._process.stdin.close()
        self._process.wait()


class Calls:
    """The calls that are interrupted; each checks what it gets."""

    def __init__(self, site, driver):
        self.site = site
        self.driver = driver
        self.container = driver.get_container(BUCKET)
        self.large, self.small = noise(SIZE), noise(1000)
        self.source = site.file("source", self.large)
        self.copy = site.directory / "copy"
        for key, body in (("large", self.large), ("small", self.small)):
            driver.upload_object_via_stream(iter([body]), self.container, key)
        self.item = driver.get_object(BUCKET, "large")

    def get_object(self):
        assert self.driver.get_object(BUCKET, "small").size == len(self.small)

    def put_small(self):
        self.driver.upload_object_via_stream(iter([self.small]), self.container, "put")

    def list_objects(self):
        names = [item.name for item in self.driver.iterate_container_objects(self.container)]
        assert {"large", "small"} <= set(names)

    def upload_file(self):
        self.driver.upload_object(self.source, self.container, "up")

    def upload_stream(self):
        pieces = (self.large[at : at + MIB] for at in range(0, SIZE, MIB))
        self.driver.upload_object_via_stream(pieces, self.container, "up")

    def download_file(self):
        self.driver.download_object(self.item, self.copy, True)
        assert self.copy.read_bytes() == self.large

    def download_stream(self):
        assert b"".join(self.driver.download_object_as_stream(self.item)) == self.large

    def check(self):
        """After an interrupt, the next request is answered, and what there is is right."""
        self.get_object()
        if self.copy.exists():
            assert self.copy.read_bytes() == self.large
        for name in ("up", "put"):
            body = self.site.stored(name)
            assert body in (None, self.large, self.small), f"{name} is damaged"
        left = [path.name for path in self.site.directory.iterdir()]
        assert set(left) <= {"source", "copy"}, left
        assert not any(self.site.parts_left()), "parts are left"


def interrupted(keyboard, call, seconds, lost):
    """Make a call, press Ctrl-C meanwhile or just after, and tell when it came."""
    ended = False
    lost.clear()
    try:
        keyboard.press_after(seconds)
        call()
        ended = True
        for _ in range(100):  # one long sleep does not end if Ctrl-C comes just before it
            if not lost:
                time.sleep(0.1)
    except KeyboardInterrupt:
        return "after its end" if ended else "during the call"
    if lost:
        return f"lost in {lost.pop()}"
    where = f"Ctrl-C got lost where it came here:\n{''.join(keyboard.came.format())}"
    places = {("/".join(Path(at.filename).parts[-2:]), at.name) for at in keyboard.came[-1:]}
    assert places & FINALIZERS, where
    return "lost in the finalizer of a response"


def usual_seconds(call):
    """Return how long a call takes."""
    seconds = []
    for _ in range(5):
        began = time.monotonic()
        call()
        seconds.append(time.monotonic() - began)
    return statistics.median(seconds)


def open_sockets():
    """Return the sockets of this process."""
    links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    targets = [os.readlink(link) for link in links if os.path.islink(link)]
    return [target for target in targets if target.startswith("socket:")]


def run(count):
    """Interrupt so many calls."""
    counts, lost = Counter(), []

    def note(ignored):
        at = ignored.object  # on Python 3.14 the message may name it instead
        lost.append(f"{at.__module__}.{at.__qualname__}" if at else str(ignored.err_msg))

    sys.unraisablehook = note
    keyboard = Keyboard()
    with running() as site:
        driver = site.connect()
        calls = Calls(site, driver)
        ways = [
            calls.get_object,
            calls.put_small,
            calls.list_objects,
            calls.upload_file,
            calls.upload_stream,
            calls.download_file,
            calls.download_stream,
        ]
        usual = {way: usual_seconds(way) for way in ways}
        for number in range(count):
            faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
            way = ways[number % len(ways)]
            said = interrupted(keyboard, way, random.uniform(0, 1.1 * usual[way]), lost)
            assert "libcloud_aurora" not in said, said
            counts[f"{way.__name__}, Ctrl-C {said}"] += 1
            usual[way] *= 0.8 if "after" in said else 1.05  # depends on what else runs here
            calls.check()
            wait_for_workers()
            faulthandler.cancel_dump_traceback_later()
        driver.ex_cleanup_all_multipart_uploads(calls.container)
        assert site.parts_left() == []
    site.witness.client.close()
    assert open_sockets() == [], "connections are left"
    keyboard.close()
    return counts
