"""Drivers over an S3 in memory: requests-mock answers at the transport, and no socket is opened."""

import os

import pytest
import requests
import requests_mock
from unit.memory_s3 import MemoryS3

import libcloud_aurora
from libcloud_aurora._parallel import CancelledError
from libcloud_aurora._threads import Outcome

ENVIRONMENT = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    """No proxy and no CA bundle of this machine."""
    for name in list(os.environ):
        if name.upper() in ENVIRONMENT:
            monkeypatch.delenv(name)
    # What libcloud has read from SSL_CERT_FILE when it was imported.
    monkeypatch.setattr("libcloud.security.CA_CERTS_PATH", None)


@pytest.fixture
def wire(monkeypatch):
    """What every request of this test goes through instead of a socket."""
    adapter = requests_mock.Adapter()
    monkeypatch.setattr(requests.Session, "get_adapter", lambda session, url: adapter)
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


class LazyOutcome(Outcome):
    """Work that is done when its result is asked for."""

    def result(self):
        if not self.done():
            self.settle()
        return super().result()


@pytest.fixture
def lazy_workers():
    """Workers that are so busy that they begin nothing before it is needed."""

    class LazyWorkers:
        submitted = []  # noqa: RUF012 - one class for each test

        def submit(self, call):
            self.submitted.append(LazyOutcome(call))
            return self.submitted[-1]

        def begin_at_last(self):
            """Begin what was submitted and not needed, and count what is cancelled then."""
            late = [outcome for outcome in self.submitted if not outcome.done()]
            for outcome in late:
                with pytest.raises(CancelledError):
                    outcome.result()
            return len(late)

    return LazyWorkers()
