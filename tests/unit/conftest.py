"""Drivers over an S3 in memory: requests-mock answers at the transport, and no socket is opened."""

import contextlib
import gc
import os
import threading
import time

import pytest
import requests
import requests_mock
from libcloud.http import LibcloudConnection
from requests.structures import CaseInsensitiveDict
from unit.memory_s3 import MemoryS3

import libcloud_aurora
from libcloud_aurora._wire.connection import AuroraObjectsConnection


@pytest.fixture(autouse=True)
def no_authority(monkeypatch):
    """No CA bundle of this machine: libcloud has read SSL_CERT_FILE when it was imported."""
    monkeypatch.setattr("libcloud.security.CA_CERTS_PATH", None)


class MockTransport(LibcloudConnection):
    """A transport as libcloud's own tests have them: it keeps its response until it is asked."""

    adapter = None

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._responses = threading.local()

    def request(self, method, url, body=None, headers=None, raw=False, stream=False):
        prepared = requests.PreparedRequest()
        prepared.method = method
        prepared.url = self.host + url
        prepared.headers = CaseInsensitiveDict(headers or {})
        prepared.body = body
        prepared.hooks = {"response": []}
        self._responses.last = self.adapter.send(prepared, stream=True)

    def getresponse(self):
        return self._responses.last


@pytest.fixture
def tiny_parts(monkeypatch):
    """Drivers may have parts of a few bytes, so that a small object has many."""
    for module in ("config", "parts"):
        monkeypatch.setattr(f"libcloud_aurora.{module}.MIN_PART_SIZE", 1)


@pytest.fixture
def working():
    """Return the package's threads, which are known by their class: a user's may have any name."""

    def running():
        ours = [
            each
            for each in threading.enumerate()
            if type(each).__module__.startswith("libcloud_aurora.")
        ]
        return [thread for thread in ours if thread.is_alive()]  # one not yet started has no end

    return running


@pytest.fixture
def still_working(working):
    """Return those of the package's threads that do not end by themselves."""

    def left(seconds=10):
        deadline = time.monotonic() + seconds
        while working() and time.monotonic() < deadline:
            for thread in working():
                with contextlib.suppress(RuntimeError):  # one that is just being started
                    thread.join(seconds)
        return working()

    return left


@pytest.fixture
def no_thread_left(still_working):
    """After the test no thread of the package is left, however transfers have ended."""
    yield
    if still_working(0.2):
        gc.collect()
    assert still_working() == []


@pytest.fixture
def wire(monkeypatch):
    """What every request of this test goes through instead of a socket."""
    adapter = requests_mock.Adapter()
    transport = type("Transport", (MockTransport,), {"adapter": adapter})
    monkeypatch.setattr(AuroraObjectsConnection, "conn_class", transport)
    return adapter


@pytest.fixture
def s3(wire):
    """An S3 server in memory with one container named ``photos``."""
    server = MemoryS3()
    server.buckets["photos"] = {}
    wire.register_uri(requests_mock.ANY, requests_mock.ANY, raw=server)
    return server


@pytest.fixture
def new_driver():
    """Make drivers that retry at once, and close them at the end."""
    made = []

    def make(key="key", secret="secret", **arguments):
        driver = libcloud_aurora.AuroraObjectsStorageDriver(
            key, secret, **{"retry_delay": 0, **arguments}
        )
        made.append(driver)
        return driver

    yield make
    for driver in made:
        driver.close()


@pytest.fixture
def driver(new_driver):
    """A driver with the default settings, but without pauses."""
    return new_driver()


@pytest.fixture
def container(s3, driver):
    """The container ``photos``."""
    return driver.get_container("photos")


@pytest.fixture
def readings(monkeypatch):
    """How many bytes have been read from files at a time."""
    sizes = []

    def counted(number, views, offset, read=os.preadv):
        sizes.append(read(number, views, offset))
        return sizes[-1]

    monkeypatch.setattr(os, "preadv", counted)
    return sizes
