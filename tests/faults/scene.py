"""What a fault test works with: a driver through the proxy, known content, and what may stay."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from libcloud.storage.base import Container, Object
from servers.backend import Backend
from servers.proxy import Proxy
from workers import wait_for_workers

MIB = 1024 * 1024
LARGE = 12 * MIB
SMALL = 64 * 1024
ATTEMPTS = 5


@cache
def content(size: int, seed: int = 1) -> bytes:
    """Return reproducible bytes in which no two places are alike."""
    return random.Random(seed).randbytes(size)


@dataclass
class Scene:
    """A bucket behind a proxy, and drivers that see it through the proxy only."""

    backend: Backend
    proxy: Proxy
    bucket: str
    directory: Path
    drivers: list = field(default_factory=list)
    #: Set where the server acts on Initiate and its response is lost: nobody knows the upload.
    may_leave_empty_uploads: bool = False

    def driver(self, **arguments):
        """Make a driver that reaches the server through the proxy; closed when the test ends."""
        from libcloud_aurora import AuroraObjectsStorageDriver

        settings = {
            "secure": False,
            "host": "127.0.0.1",
            "port": self.proxy.port,
            "timeout": 10,
            "retry_delay": 0.001,
            **arguments,
        }
        driver = AuroraObjectsStorageDriver(self.backend.key, self.backend.secret, **settings)
        self.drivers.append(driver)
        return driver

    def container(self, driver, bucket: str | None = None) -> Container:
        """Return the container without asking the server."""
        return Container(bucket or self.bucket, {}, driver)

    def object(self, driver, key: str, size: int, etag: str | None = None) -> Object:
        """Return an object without asking the server."""
        return Object(key, size, etag, {}, {}, self.container(driver), driver)

    def store(self, driver, key: str, body: bytes) -> Object:
        """Store an object directly, in parts when it is large, and return it for the driver."""
        put = self.backend.put_parts if len(body) > SMALL else self.backend.put
        return self.object(driver, key, len(body), put(self.bucket, key, body))

    def file(self, name: str, body: bytes) -> str:
        """Write a local file and return its path."""
        path = self.directory / name
        path.write_bytes(body)
        return str(path)

    def close(self) -> None:
        """Close the drivers, and check that nothing is left of what they did."""
        for driver in self.drivers:
            driver.close()
        wait_for_workers()
        assert self.proxy.wait_until_idle(), f"{self.proxy.open_connections} connections are open"
        assert [str(path) for path in self.directory.rglob("*.part")] == []
        uploads = self.backend.uploads(self.bucket)
        if self.may_leave_empty_uploads:
            uploads = {upload: parts for upload, parts in uploads.items() if parts}
        assert uploads == {}
