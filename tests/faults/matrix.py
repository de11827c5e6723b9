"""The operations of the fault matrix, how each is judged, and the table of what came out."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from faults.scene import ATTEMPTS, LARGE, MIB, SMALL, Scene, content
from libcloud.common.types import LibcloudError
from libcloud.storage.base import Container, Object
from servers import plan
from servers.plan import FAULTS, Fault

LISTED_KEYS = 2300
RANGE = (MIB, 9 * MIB)
ROUNDS = 16
ONE_IN_EIGHT, EVERY = "one request in eight", "every request"
NOT_TOUCHED = "not touched"
RIGHT = "right"
ALTERED = "altered bytes"
#: Where a timeout is what the fault is about.
TIMEOUTS = {ONE_IN_EIGHT: 1.0, EVERY: 0.1}


class Altered(Exception):
    """Bytes came out that are not those that went in, and nobody noticed."""


def expect(actual: bytes, expected: bytes) -> None:
    """Compare without printing megabytes."""
    if actual != expected:
        raise Altered(f"{len(actual)} bytes instead of {len(expected)}, or other bytes")


def upload_file(scene: Scene, driver, number: int) -> None:
    """Upload a file of 12 MiB."""
    path = scene.file("large", content(LARGE))
    stored = driver.upload_object(path, scene.container(driver), f"file-{number}")
    assert stored.size == LARGE
    expect(scene.backend.get(scene.bucket, stored.name), content(LARGE))


def upload_stream(scene: Scene, driver, number: int) -> None:
    """Upload an iterator of 12 MiB."""
    body = content(LARGE)
    pieces = (body[start : start + MIB] for start in range(0, LARGE, MIB))
    stored = driver.upload_object_via_stream(pieces, scene.container(driver), f"stream-{number}")
    assert stored.size == LARGE
    expect(scene.backend.get(scene.bucket, stored.name), body)


def upload_small(scene: Scene, driver, number: int) -> None:
    """Upload a file of 64 KiB."""
    path = scene.file("small", content(SMALL))
    stored = driver.upload_object(path, scene.container(driver), f"small-{number}")
    expect(scene.backend.get(scene.bucket, stored.name), content(SMALL))


def write_file(scene: Scene, driver, number: int) -> None:
    """Write 12 MiB to an object that is open as a file."""
    body, name = content(LARGE), f"written-{number}"
    with driver.ex_open(scene.container(driver), "wb", object_name=name) as file:
        for start in range(0, LARGE, 100_000):
            file.write(body[start : start + 100_000])
    expect(scene.backend.get(scene.bucket, name), body)


def large_object(scene: Scene, driver) -> Object:
    """Return an object of 12 MiB in parts, stored once in a session."""

    def fill(bucket: str) -> None:
        scene.backend.put_parts(bucket, "large", content(LARGE))

    container = scene.container(driver, scene.backend.shared("source", fill))
    return Object("large", LARGE, None, {}, {}, container, driver)


def listed_bucket(scene: Scene) -> str:
    """Return a bucket of 2,300 keys, filled once in a session."""
    return scene.backend.shared("listed", lambda bucket: scene.backend.fill(bucket, LISTED_KEYS))


def download_file(scene: Scene, driver, number: int) -> None:
    """Download 12 MiB to a file."""
    target = Path(scene.file(f"target-{number}", b"old"))
    assert driver.download_object(large_object(scene, driver), str(target), True) is True
    expect(target.read_bytes(), content(LARGE))


def download_stream(scene: Scene, driver, number: int) -> None:
    """Download 12 MiB as an iterator."""
    pieces = driver.download_object_as_stream(large_object(scene, driver), chunk_size=100_000)
    expect(b"".join(pieces), content(LARGE))


def download_range(scene: Scene, driver, number: int) -> None:
    """Download 8 MiB out of 12 to a file."""
    target = Path(scene.file(f"target-{number}", b"old"))
    source = large_object(scene, driver)
    assert driver.download_object_range(source, str(target), *RANGE, True) is True
    expect(target.read_bytes(), content(LARGE)[slice(*RANGE)])


def read_file(scene: Scene, driver, number: int) -> None:
    """Read 12 MiB from an object that is open as a file."""
    with driver.ex_open(large_object(scene, driver)) as file:
        expect(file.read(), content(LARGE))


def list_keys(scene: Scene, driver, number: int) -> None:
    """List 2,300 keys."""
    found = driver.list_container_objects(scene.container(driver, listed_bucket(scene)))
    assert [each.name for each in found] == [f"key-{n:05d}" for n in range(LISTED_KEYS)]


def delete(scene: Scene, driver, number: int) -> None:
    """Delete an object."""
    key = f"deleted-{number}"
    scene.backend.put(scene.bucket, key, b"x")
    assert driver.delete_object(scene.object(driver, key, 1)) is True
    assert not scene.backend.exists(scene.bucket, key)


def create_container(scene: Scene, driver, number: int) -> None:
    """Create a container."""
    name = f"{scene.bucket}-new-{number}"
    try:
        assert driver.create_container(name).name == name
        assert name in scene.backend.buckets()
    finally:
        scene.backend.remove_bucket(name)


def delete_container(scene: Scene, driver, number: int) -> None:
    """Delete a container."""
    name = scene.backend.create_bucket(f"{scene.bucket}-old-{number}")
    try:
        assert driver.delete_container(Container(name, {}, driver)) is True
        assert name not in scene.backend.buckets()
    finally:
        scene.backend.remove_bucket(name)


OPERATIONS: dict[str, Callable[[Scene, object, int], None]] = {
    "upload file": upload_file,
    "upload stream": upload_stream,
    "upload small file": upload_small,
    "write to open object": write_file,
    "download to file": download_file,
    "download as stream": download_stream,
    "download range": download_range,
    "read from open object": read_file,
    "list 2,300 keys": list_keys,
    "delete object": delete,
    "create container": create_container,
    "delete container": delete_container,
}

#: What the text of the error must say when every request is broken.
CAUSES = {
    plan.ANSWER_503.name: "503|SlowDown",
    plan.ANSWER_500.name: "500|InternalError",
    plan.ANSWER_429.name: "429|TooManyRequests",
    plan.EARLY_503.name: "503|SlowDown",
    plan.RESET.name: "reset|broken|closed",
    plan.CUT_UP.name: "reset|broken|closed",
    plan.CUT_DOWN.name: "reset|broken|closed",
    plan.FIN_DOWN.name: "ended|bytes|short|closed",
    plan.LOSE.name: "reset|broken|closed",
    plan.FLIP_UP.name: "SHA-?256",
    plan.FLIP_DOWN.name: "hash|MD5|ETag|CRC32|not S3",
    plan.STALL.name: "time",
    plan.TRICKLE.name: "time",
    plan.RESTART.name: "reset|broken|closed",
    plan.COMPLETE_ERROR.name: "InternalError",
    plan.HTML_502.name: "502",
}


#: What cannot be noticed, or is survived, beside what :func:`allowed` says of all others.
EXCEPTIONS: dict[tuple[str, str, str], str] = {
    (ONE_IN_EIGHT, plan.FLIP_DOWN.name, "download as stream"): "HashMismatchError",
    (ONE_IN_EIGHT, plan.FLIP_DOWN.name, "read from open object"): "HashMismatchError",
    (ONE_IN_EIGHT, plan.FLIP_DOWN.name, "download range"): ALTERED,
    (EVERY, plan.FLIP_DOWN.name, "download range"): ALTERED,
    # Only the question why HEAD said 404 is broken, and 404 alone says enough.
    (EVERY, plan.FLIP_DOWN.name, "create container"): RIGHT,
}


@dataclass(frozen=True)
class Cell:
    """One fault in one operation in one share, and what came out."""

    share: str
    fault: Fault
    operation: str

    def run(self, scene: Scene) -> str:
        """Run the operation, judge the end, and say in a few words what came out."""
        timeout = TIMEOUTS[self.share] if self.fault in (plan.STALL, plan.TRICKLE) else 10
        driver = scene.driver(timeout=timeout, ex_max_attempts=ATTEMPTS)
        scene.may_leave_empty_uploads = True
        if self.share == EVERY:
            return self.run_every(scene, driver)
        return self.run_eighth(scene, driver)

    def run_eighth(self, scene: Scene, driver) -> str:
        """Repeat the operation until the seeded plan has broken a request of it."""
        scene.proxy.plan = plan.every_eighth(self.fault, seed=len(self.operation))
        for number in range(ROUNDS):
            outcome = self.attempt(scene, driver, number)
            if outcome != RIGHT or scene.proxy.plan.fired or not self.touches(scene):
                break
        return outcome if scene.proxy.plan.fired or outcome != RIGHT else NOT_TOUCHED

    def touches(self, scene: Scene) -> bool:
        """Whether the fault could have broken any request so far."""
        return any(self.fault.applies(request) for request in scene.proxy.requests)

    def run_every(self, scene: Scene, driver) -> str:
        """Run the operation once with every request broken."""
        scene.proxy.plan = plan.always(self.fault)
        outcome = self.attempt(scene, driver, 0)
        assert most_repeats(scene) <= ATTEMPTS
        return outcome if scene.proxy.plan.fired else NOT_TOUCHED

    def attempt(self, scene: Scene, driver, number: int) -> str:
        """Run the operation once and name its end."""
        try:
            OPERATIONS[self.operation](scene, driver, number)
        except LibcloudError as error:
            self.judge(error)
            assert_whole(scene)
            return " ".join(filter(None, [type(error).__name__, getattr(error, "code", None)]))
        except Altered:
            return ALTERED
        return RIGHT

    def judge(self, error: LibcloudError) -> None:
        """The error names the cause."""
        assert re.search(CAUSES[self.fault.name], str(error), re.IGNORECASE), str(error)


def most_repeats(scene: Scene) -> int:
    """Return how often the most frequent request was sent."""
    sent = [(r.method, r.target, r.byte_range) for r in scene.proxy.requests]
    return max(map(sent.count, sent), default=0)


def assert_whole(scene: Scene) -> None:
    """After a failure, files are the old ones and objects are complete or absent."""
    for path in scene.directory.glob("target-*"):
        assert path.read_bytes() == b"old", f"{path} is neither the old nor the new file"
    for key in scene.backend.keys(scene.bucket):
        if key.startswith(("file-", "stream-", "written-")):
            expect(scene.backend.get(scene.bucket, key), content(LARGE))


def allowed(cell: Cell) -> set[str]:
    """Return the outcomes a cell may have; with every request broken, any error beside them."""
    exception = EXCEPTIONS.get((cell.share, cell.fault.name, cell.operation))
    if exception:
        return {exception}
    if cell.fault is plan.SLOW:
        return {RIGHT}
    return {RIGHT, NOT_TOUCHED} if cell.share == ONE_IN_EIGHT else {NOT_TOUCHED}


def cells(share: str) -> list[Cell]:
    """Return every fault in every operation."""
    return [Cell(share, fault, operation) for fault in FAULTS for operation in OPERATIONS]


def name(cell: Cell) -> str:
    """Name a cell in test ids."""
    return f"{cell.fault.name}-{cell.operation}".replace(" ", "_")
