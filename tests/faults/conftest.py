"""A real S3 server, the proxy before it, drivers through the proxy, and what no test may leave."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.scene import Scene
from servers.backend import Backend
from servers.certificates import Authority
from servers.moto_backend import running_moto
from servers.proxy import Proxy

numbers = itertools.count(1)


@pytest.fixture(scope="session")
def backend() -> Iterator[Backend]:
    """moto's server, in this process, on a free port."""
    with running_moto() as backend:
        yield backend


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority for this session."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def bucket(backend: Backend) -> Iterator[str]:
    """A bucket of this test's own."""
    name = backend.create_bucket(f"faults-{next(numbers)}")
    yield name
    backend.remove_bucket(name)


@pytest.fixture
def proxy(backend: Backend) -> Iterator[Proxy]:
    """A proxy that breaks nothing until the test gives it a plan."""
    with Proxy(backend.host, backend.port) as proxy:
        yield proxy


@pytest.fixture
def scene(backend: Backend, proxy: Proxy, bucket: str, tmp_path: Path) -> Iterator[Scene]:
    """A bucket behind the proxy; in the end, nothing may be left of what the drivers did."""
    scene = Scene(backend, proxy, bucket, tmp_path)
    yield scene
    scene.close()


@pytest.fixture
def driver(scene: Scene):
    """A driver through the proxy."""
    return scene.driver()
