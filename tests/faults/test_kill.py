"""kill -9 at random points: object and file are each the old one or the complete new one."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import libcloud
import pytest
from faults.scene import LARGE, SMALL, content
from servers import plan

import libcloud_aurora

TIMES = 50
OLD, NEW = content(SMALL, 1), content(LARGE, 2)
STAGES = {"up": ("head", "body", "answer"), "down": ("head", "answer", "half")}
#: More than a transfer of 12 MiB sends: some are killed after their last request, or not at all.
REQUESTS = {"up": 7, "down": 5}


class Victim:
    """The program to be killed."""

    def __init__(self):
        packages = {str(Path(m.__file__).parents[1]) for m in (libcloud, libcloud_aurora)}
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("victim.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(packages)},
        )

    def start(self, order: dict) -> int:
        """Begin a transfer and return the process id of the child that does it."""
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def wait(self) -> None:
        """Wait until the child is gone."""
        assert self.process.stdout.readline() == "end\n"

    def close(self) -> None:
        """End the program."""
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def victim():
    """The program to be killed."""
    victim = Victim()
    yield victim
    victim.close()


class Killer:
    """A plan that kills the child at one stage of one request."""

    def __init__(self, number: int, stage: str):
        self.number = number
        self.fault = plan.hook(stage, self.kill)
        self.child = 0
        self.known = threading.Event()
        self.requests = 0

    def __call__(self, request):
        self.requests += 1
        return self.fault if self.requests == self.number else None

    def kill(self, request) -> None:
        """Kill the child, once it is known who it is."""
        self.known.wait(10)
        os.kill(self.child, signal.SIGKILL)


def run(scene, victim, direction, draw, path) -> None:
    """Run one transfer and kill it somewhere."""
    killer = Killer(draw.randint(1, REQUESTS[direction]), draw.choice(STAGES[direction]))
    scene.proxy.plan = killer
    order = {
        "key": scene.backend.key,
        "secret": scene.backend.secret,
        "port": scene.proxy.port,
        "bucket": scene.bucket,
        "direction": direction,
        "path": path,
        "name": "key",
        "size": LARGE,
    }
    killer.child = victim.start(order)
    killer.known.set()
    victim.wait()


def test_killed_uploads(scene, victim):
    """After kill -9 in an upload the object is the old or the complete new one, 50 times."""
    draw = random.Random(20)
    path = scene.file("source", NEW)
    outcomes = {OLD: 0, NEW: 0}
    for _ in range(TIMES):
        scene.backend.put(scene.bucket, "key", OLD)
        run(scene, victim, "up", draw, path)
        assert scene.proxy.wait_until_idle()
        outcomes[scene.backend.get(scene.bucket, "key")] += 1
        scene.backend.abort_all(scene.bucket)
    assert min(outcomes.values()) > 0


def test_killed_downloads(scene, victim, tmp_path_factory):
    """After kill -9 in a download the file is the old or the complete new one, 50 times."""
    draw = random.Random(21)
    directory = tmp_path_factory.mktemp("killed")
    target = directory / "target"
    scene.backend.put(scene.bucket, "key", NEW)
    outcomes = {OLD: 0, NEW: 0}
    for _ in range(TIMES):
        target.write_bytes(OLD)
        run(scene, victim, "down", draw, str(target))
        assert scene.proxy.wait_until_idle()
        outcomes[target.read_bytes()] += 1
    assert min(outcomes.values()) > 0
    left = {path.name for path in directory.iterdir()} - {"target"}
    assert all(name.startswith(".target.") and name.endswith(".part") for name in left)
