"""The fault matrix before a real radosgw: the same operations and faults as in ``tests/faults``."""

import itertools

import pytest
from faults import matrix
from faults.matrix import EVERY, ONE_IN_EIGHT
from faults.scene import Scene
from live import oracle
from servers.proxy import Proxy

numbers = itertools.count(1)


@pytest.fixture(scope="module")
def backend(cluster):
    """The cluster's radosgw; what the cells share is removed in the end."""
    found = oracle.backend(cluster, cluster.owner)
    yield found
    for name in found.filled:
        found.remove_bucket(name)


@pytest.fixture
def scene(backend, tmp_path):
    """A bucket behind the fault proxy; in the end, nothing may be left of what the drivers did."""
    name = backend.create_bucket(f"matrix-{next(numbers)}")
    with Proxy(backend.host, backend.port) as proxy:
        scene = Scene(backend, proxy, name, tmp_path)
        yield scene
        scene.close()
    backend.remove_bucket(name)


@pytest.mark.parametrize("cell", matrix.cells(ONE_IN_EIGHT), ids=matrix.name)
def test_one_request_in_eight(cell, scene):
    """With one request in eight broken every operation on a radosgw ends right."""
    assert cell.run(scene) in matrix.allowed(cell)


@pytest.mark.parametrize("cell", matrix.cells(EVERY), ids=matrix.name)
def test_every_request(cell, scene):
    """With every request broken an operation on a radosgw ends soon, in an error with its cause."""
    outcome = cell.run(scene)
    assert outcome in matrix.allowed(cell) or outcome.split()[0].endswith("Error")
