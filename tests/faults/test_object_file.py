"""Objects as files while connections break, bytes are damaged, and Ctrl-C comes."""

from __future__ import annotations

import pytest
from faults.matrix import large_object
from faults.scene import LARGE, MIB, content
from faults.test_cancel import concurrency, write
from servers import plan

from libcloud_aurora.errors import AuroraObjectsError, HashMismatchError


def read_on(file):
    """Read a file to its end, piece by piece."""
    return b"".join(iter(lambda: file.read(100_000), b""))


def read_about(file):
    """Read a file's pieces, the last one first."""
    pieces = []
    for start in reversed(range(0, LARGE, MIB)):
        file.seek(start)
        pieces.insert(0, file.read(MIB))
    return b"".join(pieces)


each_way = pytest.mark.parametrize("read", [read_on, read_about], ids=lambda f: f.__name__)
breaks = pytest.mark.parametrize(
    "fault", [plan.RESET, plan.CUT_DOWN, plan.FIN_DOWN, plan.ANSWER_503], ids=lambda f: f.name
)


@concurrency
@each_way
@breaks
def test_broken_reading(scene, read, fault, workers):
    """However connections break in the middle of a block, all bytes come, each once."""
    driver = scene.driver(ex_max_concurrency=workers)
    obj = large_object(scene, driver)
    scene.proxy.plan = plan.every_eighth(fault, seed=3)
    with driver.ex_open(obj) as file:
        assert read(file) == content(LARGE)


@concurrency
def test_damaged_reading(scene, workers):
    """A flipped bit is an error before the last byte, where an object is read from its start."""
    driver = scene.driver(ex_max_concurrency=workers)
    obj = large_object(scene, driver)
    with driver.ex_open(obj) as file:
        scene.proxy.plan = plan.once(plan.FLIP_DOWN, plan.is_any("get"))
        with pytest.raises(HashMismatchError):
            read_on(file)


@concurrency
@pytest.mark.parametrize("stage", ["head", "answer", "half"])
@each_way
def test_interrupted_reading(scene, keyboard, read, stage, workers):
    """Ctrl-C while bytes are fetched ends the read, and no more; the file can be read again."""
    driver = scene.driver(ex_max_concurrency=workers)
    obj = large_object(scene, driver)
    with driver.ex_open(obj) as file:
        scene.proxy.plan = plan.once(
            plan.hook(stage, lambda request: keyboard.press()), plan.is_any("get")
        )
        with pytest.raises(KeyboardInterrupt):
            read(file)
        file.seek(0)
        assert read(file) == content(LARGE)


@concurrency
@pytest.mark.parametrize("fault", [plan.RESET, plan.CUT_UP, plan.ANSWER_503, plan.FLIP_UP])
def test_broken_writing(scene, fault, workers):
    """However connections break while a file is written, the object is what was written."""
    driver = scene.driver(ex_max_concurrency=workers)
    scene.proxy.plan = plan.times(2, fault, plan.is_any("part"))
    assert write(scene, driver).size == LARGE
    assert scene.backend.get(scene.bucket, "key") == content(LARGE)


@concurrency
def test_writing_that_fails(scene, workers):
    """Where a part cannot be sent, the file raises that once, and nothing is left."""
    driver = scene.driver(ex_max_concurrency=workers)
    scene.proxy.plan = plan.always(plan.ANSWER_503, plan.is_any("part"))
    with pytest.raises(AuroraObjectsError, match="SlowDown"):
        write(scene, driver)
    assert not scene.backend.exists(scene.bucket, "key")
