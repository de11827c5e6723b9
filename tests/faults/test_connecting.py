"""While an upload begins, the connections for its parts are opened: those it lacks, and no more."""

from __future__ import annotations

import _thread
import io
import socket
import ssl
import struct
import threading
import time

import pytest
from faults.scene import MIB, content
from libcloud.storage.base import Container
from servers import plan
from servers.proxy import Proxy
from workers import wait_for_workers

from libcloud_aurora import AuroraObjectsStorageDriver
from libcloud_aurora._transfer import sources
from libcloud_aurora._wire import transport
from libcloud_aurora.errors import AuroraObjectsError

BODY = content(19 * MIB)  # four parts
PARTS = 4


class Far(Proxy):
    """
    A server that answers Initiate once so many connections are open.

    :ivar wanted: How many in all.
    :ivar open: How many have been opened, TLS included.
    :ivar found: How many there were, for each Initiate.
    :ivar ending: Ends a connection that was opened ahead, if it is to be ended before its use.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.wanted, self.open, self.found = 1, 0, []
        self.ending, self.ended = None, 0
        self.plan = plan.always(plan.hook("head", self._answer), plan.is_any("initiate"))

    def serve(self, client, number):
        with self.changed:
            self.open += 1
            self.changed.notify_all()
        if self.ending and 1 < number <= self.wanted:
            self.ending(client)
            client.close()
            self.ended += 1
        else:
            super().serve(client, number)

    def _answer(self, request):
        self.wait_for(lambda: self.open >= self.wanted)
        if self.ending:
            self.wait_for(lambda: self.ended == self.wanted - 1)
        self.found.append(self.open)


@pytest.fixture(params=["TLS 1.3", "TLS 1.2"])
def far(request, backend, authority):
    """A server that is far away."""
    tls = authority.server_context("127.0.0.1")
    if request.param == "TLS 1.2":
        tls.maximum_version = ssl.TLSVersion.TLSv1_2
    with Far(backend.host, backend.port, tls=tls) as server:
        yield server


@pytest.fixture(autouse=True)
def _patience(monkeypatch):
    monkeypatch.setattr(sources, "AHEAD_SECONDS", 60)


@pytest.fixture
def connected(far, backend, bucket, authority):
    """Return a container of a driver with one connection; at the end, nothing of it is left."""
    made = []

    def connected(bundle=authority.bundle, **settings):
        settings |= {"host": "127.0.0.1", "port": far.port}
        settings |= {"ex_verify_ssl": str(bundle), "timeout": 10, "retry_delay": 0.001}
        driver = AuroraObjectsStorageDriver(backend.key, backend.secret, **settings)
        made.append(driver)
        return driver.get_container(bucket)

    yield connected
    for driver in made:
        driver.close()
    wait_for_workers()
    assert far.wait_until_idle()


def upload_file(container, tmp_path, **more):
    """Upload a file."""
    (tmp_path / "file").write_bytes(BODY)
    container.driver.upload_object(str(tmp_path / "file"), container, "key", **more)


def resume_file(container, tmp_path):
    """Upload a file so that it can be resumed."""
    upload_file(container, tmp_path, ex_resume=True)


def upload_sized(container, tmp_path):
    """Upload a stream of known size."""
    upload_stream(container, tmp_path, ex_size=len(BODY))


def upload_stream(container, tmp_path, **more):
    """Upload a stream that may be of any size."""
    container.driver.upload_object_via_stream(io.BytesIO(BODY), container, "key", **more)


@pytest.mark.parametrize(
    "upload", [upload_file, resume_file, upload_sized, upload_stream], ids=lambda f: f.__name__
)
def test_parts_find_connections(far, connected, tmp_path, upload):
    """When an upload has begun, there is a connection for each part that is sent at once."""
    container, far.wanted = connected(), PARTS
    upload(container, tmp_path)
    assert far.found == [PARTS]
    # One may look as if it had ended if what TLS sends after its handshake comes just then.
    assert far.connections <= PARTS + 1
    upload(container, tmp_path)
    assert far.connections <= PARTS + 1
    assert b"".join(container.get_object("key").as_stream()) == BODY


def test_the_first_request_of_a_driver(far, connected, tmp_path, bucket):
    """A driver that has no connection opens those of the parts beside that of Initiate."""
    driver = connected().driver
    driver.close()
    far.wanted = PARTS  # the closed one counts; Initiate may take one of the others
    upload_file(Container(bucket, {}, driver), tmp_path)
    assert far.found[0] in (PARTS, PARTS + 1)


@pytest.mark.parametrize("upload", [upload_file, upload_stream], ids=lambda f: f.__name__)
def test_plain_http(backend, bucket, tmp_path, upload):
    """Over plain http, where it does not help, no connection is opened ahead."""
    with (
        Far(backend.host, backend.port) as server,
        AuroraObjectsStorageDriver(
            backend.key, backend.secret, False, "127.0.0.1", server.port
        ) as driver,
    ):
        upload(driver.get_container(bucket), tmp_path)
        assert server.found == [1]


def test_one_part_at_a_time(far, connected, tmp_path):
    """One part at a time needs one connection."""
    upload_stream(connected(ex_max_concurrency=1), tmp_path)
    assert far.found == [1]
    assert far.connections == 1


def test_a_stream_that_comes_slowly(far, connected, tmp_path, monkeypatch):
    """Of a stream, no part is waited for before an upload begins, and none is expected."""
    monkeypatch.setattr(sources, "AHEAD_SECONDS", 0)
    upload_stream(connected(), tmp_path)
    assert far.found == [1]
    assert far.connections <= PARTS


def test_a_long_stream(far, connected):
    """No more of a stream is read ahead than an upload may hold."""
    read = []
    far.plan = plan.always(plan.hook("head", lambda _: far.found.append(len(read))))
    container = connected(ex_max_concurrency=3)
    container.upload_object_via_stream((read.append(0) or BODY[:MIB] for _ in range(40)), "key")
    assert far.found[far.requests.index(far.seen("initiate")[0])] == 3 * 5 + 1
    assert container.get_object("key").size == 40 * MIB


def refuse(client):
    """End a connection as a server does that has waited too long for a request."""
    client.sendall(b"HTTP/1.1 408 Request Time-out\r\nConnection: close\r\n\r\n")


def reset(client):
    """Break a connection."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def garble(client):
    """Send what is not TLS."""
    socket.socket.sendall(client, b"nothing of the kind")


@pytest.mark.parametrize("ending", [refuse, reset, garble, lambda client: None])
def test_what_the_server_has_ended_is_not_used(far, connected, tmp_path, caplog, ending):
    """Connections that the server ends before their use cost no attempt: parts open others."""
    container, far.wanted, far.ending = connected(), PARTS, ending
    upload_file(container, tmp_path)
    assert len(far.seen("initiate")) == 1
    assert len(far.seen("part")) == PARTS
    assert caplog.messages == []
    assert b"".join(container.get_object("key").as_stream()) == BODY


def test_what_was_idle_for_too_long_is_replaced(far, connected, tmp_path, monkeypatch):
    """A driver that has done nothing for a while opens connections as a new one does."""
    container = connected()
    upload_file(container, tmp_path)
    monkeypatch.setattr(transport, "IDLE_SECONDS", -1)
    far.wanted = far.open + PARTS - 1
    upload_file(container, tmp_path)
    assert far.found[1] >= far.wanted


def test_without_threads(far, connected, tmp_path, monkeypatch):
    """Where no thread can be started, parts go one by one over one connection."""
    container = connected()

    def refuse(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_thread, "start_new_thread", refuse)
    upload_file(container, tmp_path)
    assert far.connections == 1


def test_a_name_that_is_not_resolved(far, connected, tmp_path, monkeypatch):
    """An upload that ends does not wait for the name server."""
    container, answered, resolve = connected(), threading.Event(), socket.getaddrinfo

    def hang(*arguments):
        answered.wait(30)
        return resolve(*arguments)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    far.plan = plan.always(plan.error_answer("refused", 403, "AccessDenied"))
    began = time.monotonic()
    with pytest.raises(AuroraObjectsError, match="AccessDenied"):
        upload_file(container, tmp_path)
    assert time.monotonic() - began < 10
    answered.set()


def test_certificates_that_are_gone(far, connected, tmp_path, bucket, authority):
    """What prevents any connection is said by the first request, in the library's words."""
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(authority.bundle.read_bytes())
    driver = connected(bundle).driver
    driver.close()
    bundle.unlink()
    with pytest.raises(AuroraObjectsError, match=r"bundle\.pem"):
        upload_file(Container(bucket, {}, driver), tmp_path)


def test_an_upload_that_does_not_begin(far, connected, tmp_path):
    """Where Initiate is refused, that is the error, and the next upload is as any other."""
    container, far.wanted = connected(), PARTS
    begins, refusal = far.plan, plan.error_answer("refused", 400, "InvalidRequest")
    far.plan = plan.once(refusal, plan.is_any("initiate"))
    with pytest.raises(AuroraObjectsError, match="InvalidRequest"):
        upload_file(container, tmp_path)
    far.plan = begins
    upload_file(container, tmp_path)
    assert b"".join(container.get_object("key").as_stream()) == BODY
