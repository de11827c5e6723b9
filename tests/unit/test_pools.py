"""_pools: connections and their pools, without a socket."""

import io
import socket
import threading
import time
from types import SimpleNamespace

import pytest
import requests
from urllib3 import HTTPResponse
from urllib3.exceptions import ClosedPoolError, ConnectTimeoutError

from libcloud_aurora import _pools
from libcloud_aurora._pools import PooledAdapter
from libcloud_aurora._signing import Prefix

MIB = 1_048_576


class Wire:
    """A base class in the place of urllib3's connection: notes what is sent."""

    def __init__(self):
        self.sent, self.sock = [], None

    def request(self, method, url, body=None, *, fails=False):
        self.send(b"%b %b\r\n\r\n" % (method.encode(), url.encode()))
        if fails:
            raise KeyboardInterrupt
        if body:
            self.send(body)

    def send(self, data):
        self.sent.append(bytes(data) if not hasattr(data, "read") else data)

    def getresponse(self):
        return "answer"


class Sliced(_pools._Slices, Wire):
    pass


class Socket:
    def __init__(self):
        self.options, self.sent = [], []

    def sendall(self, data, flags=0):
        self.sent.append((bytes(data), flags))

    def setsockopt(self, *option):
        self.options.append(option)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize(
    ("size", "slices"),
    [
        (0, [0]),
        (MIB, [MIB]),
        (MIB + 1, [MIB, 1]),
        (2 * MIB + MIB // 2, [MIB, MIB, MIB // 2]),
    ],
)
def test_large_bodies_go_in_slices(kind, size, slices):
    """A body goes to the socket in slices of 1 MiB, so that each has the whole timeout."""
    connection = Sliced()
    connection.send(kind(bytes(size)))
    assert [len(piece) for piece in connection.sent] == slices


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_small_bodies_go_with_their_head(kind):
    """The head of a request and a body of up to 64 KiB leave together, larger ones apart."""
    connection = Sliced()
    connection.request("PUT", "/a", body=kind(b"small"))
    connection.request("PUT", "/b", body=kind(bytes(65_536)))
    assert connection.sent == [b"PUT /a\r\n\r\nsmall", b"PUT /b\r\n\r\n" + bytes(65_536)]
    connection.sent.clear()
    connection.request("PUT", "/c", body=kind(bytes(65_537)))
    assert connection.sent == [b"PUT /c\r\n\r\n", bytes(65_537)]


@pytest.mark.parametrize("body", [None, b""])
def test_requests_without_a_body_go_at_once(body):
    """What has no body is not kept waiting for one."""
    connection = Sliced()
    connection.request("GET", "/", body=body)
    assert connection.sent == [b"GET /\r\n\r\n"]


def test_an_interrupted_request_leaves_nothing_to_the_next():
    """The head of a request that ended before its body is never sent with another one."""
    connection = Sliced()
    with pytest.raises(KeyboardInterrupt):
        connection.request("PUT", "/a", body=b"a", fails=True)
    connection.request("GET", "/b")
    connection.request("PUT", "/c", body=b"c")
    assert connection.sent == [b"GET /b\r\n\r\n", b"PUT /c\r\n\r\nc"]


def test_other_bodies_go_as_they_are():
    """What is not bytes-like is left to urllib3."""
    connection, file = Sliced(), io.BytesIO(bytes(2 * MIB))
    connection.send(file)
    assert connection.sent == [file]


def test_what_precedes_a_chunk_leaves_with_it():
    """A chunk's signature waits for the chunk, so that both wake the server once."""
    connection = _pools._Connection("host")
    connection.sock = sock = Socket()
    connection.send(Prefix(b"5;chunk-signature="))
    connection.send(b"bytes")
    assert sock.sent == [(b"5;chunk-signature=", _pools._MORE), (b"bytes", 0)]
    assert getattr(socket, "MSG_MORE", 0) == _pools._MORE


def test_tls_sends_what_precedes_a_chunk_at_once():
    """A TLS socket refuses flags."""
    connection = _pools._TLSConnection("host")
    connection.sock = sock = Socket()
    connection.send(Prefix(b"5;chunk-signature="))
    assert sock.sent == [(b"5;chunk-signature=", 0)]


def test_answers_are_acknowledged_at_once():
    """Before an answer is read, TCP_QUICKACK is set, without which radosgw costs 44 ms."""
    connection = Sliced()
    assert connection.getresponse() == "answer"
    connection.sock = Socket()
    assert connection.getresponse() == "answer"
    assert connection.sock.options == [(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)]


def test_systems_without_quickack_do_without(monkeypatch):
    """Where the system has no TCP_QUICKACK, nothing is set."""
    monkeypatch.setattr(_pools, "_QUICKACK", None)
    connection = Sliced()
    connection.sock = Socket()
    assert connection.getresponse() == "answer"
    assert connection.sock.options == []


class Idle:
    def __init__(self, sock, idle_since):
        self.sock, self.idle_since, self.closed = sock, idle_since, False

    def close(self):
        self.closed = True


class Queue:
    def __init__(self, connection):
        self.connection, self.returned = connection, []

    def _get_conn(self, timeout=None):
        return self.connection

    def _put_conn(self, connection):
        self.returned.append(connection)


class Limited(_pools._IdleLimit, Queue):
    pass


@pytest.mark.parametrize(("sock", "idle", "closed"), [(1, 31, True), (1, 29, False), (None, 99, 0)])
def test_connections_idle_for_30_seconds_are_closed(sock, idle, closed):
    """A connection that was idle for more than 30 seconds is closed before it is used again."""
    connection = Idle(sock, time.monotonic() - idle)
    assert Limited(connection)._get_conn() is connection
    assert connection.closed == closed


def test_a_returned_connection_is_idle_from_then_on():
    """The time of idleness begins when a connection is given back."""
    connection = Idle(1, 0.0)
    pool = Limited(connection)
    before = time.monotonic()
    pool._put_conn(connection)
    pool._put_conn(None)
    assert connection.idle_since >= before
    assert pool.returned == [connection, None]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_adapter_uses_these_pools(scheme):
    """Direct connections and those by a proxy come from pools with both rules."""
    adapter = PooledAdapter()
    for manager in (adapter.poolmanager, adapter.proxy_manager_for("http://proxy:3128")):
        pool = manager.connection_from_url(f"{scheme}://host")
        assert isinstance(pool, _pools._IdleLimit)
        assert issubclass(pool.ConnectionCls, _pools._Slices)
    adapter.close()


def test_a_closed_adapter_holds_no_pool():
    """Closing the adapter closes the pools and forgets them; a proxy's as well."""
    adapter = PooledAdapter()
    proxies = {"http": "http://proxy:3128"}

    def pools():
        return [
            adapter._pool("http://one", prepared("http://one/k"), True, {})[0],
            adapter._pool("http://two", prepared("http://two/k"), True, proxies)[0],
        ]

    before = pools()
    assert pools() == before
    adapter.close()
    assert [pool.pool for pool in before] == [None, None]
    assert len(adapter.poolmanager.pools) == 0
    after = pools()
    assert None not in [pool.pool for pool in after]
    assert not set(map(id, before)) & set(map(id, after))
    adapter.close()


class FakePool:
    """In the place of urllib3's pool: notes what is asked, and answers it."""

    def __init__(self, host, port=None, **arguments):
        self.host, self.arguments, self.asked = host, arguments, []

    def urlopen(self, method, url, **arguments):
        self.asked.append((method, url, arguments))
        return HTTPResponse(
            body=io.BytesIO(b"body"),
            headers={"Set-Cookie": "a=b", "X": "1"},
            status=207,
            reason="Multi",
            preload_content=False,
        )

    def close(self):
        self.closed = True


@pytest.fixture
def pooled(monkeypatch):
    monkeypatch.setitem(_pools._POOLS, "http", FakePool)
    monkeypatch.setitem(_pools._POOLS, "https", FakePool)
    adapter = PooledAdapter()
    yield adapter
    adapter.close()


def prepared(url):
    request = requests.PreparedRequest()
    request.method, request.url, request.body, request.headers = "PUT", url, b"x", {"A": "1"}
    return request


@pytest.mark.parametrize(
    ("url", "proxies", "asked"),
    [
        ("https://h:443/b/../k?q=1", {}, "/b/../k?q=1"),
        ("http://h:80/b/k", {}, "/b/k"),
        ("http://h:80/b/k", {"http": "http://proxy:3128"}, "http://h:80/b/k"),
        ("https://h:443/b/k", {"https": "http://proxy:3128"}, "/b/k"),
    ],
)
def test_answers_come_unread_and_without_cookies(pooled, url, proxies, asked):
    """A request is sent once, as it is, and its answer has status, headers and an unread body."""
    request = prepared(url)
    answer = pooled.send(request, stream=True, timeout=7, verify=True, proxies=proxies)
    assert (answer.status_code, answer.reason, answer.headers["x"]) == (207, "Multi", "1")
    assert (answer.url, answer.request) == (url, request)
    assert list(answer.cookies) == []
    assert answer.raw.read() == b"body"
    ((pool, _),) = pooled._pools.values()
    ((method, path, arguments),) = pool.asked
    assert (method, path) == ("PUT", asked)
    assert (arguments["redirect"], arguments["retries"]) == (False, False)
    assert (arguments["timeout"].connect_timeout, arguments["timeout"].read_timeout) == (7, 7)
    pooled.send(request, timeout=7, proxies=proxies)
    assert len(pool.asked) == 2


def test_closing_beside_a_first_request_leaves_no_closed_pool(monkeypatch):
    """A pool found while another thread closes the adapter is not kept closed."""
    monkeypatch.setitem(_pools._POOLS, "http", FakePool)
    closers = []

    class Closing(PooledAdapter):
        def cert_verify(self, *arguments):
            if not closers:
                closers.append(threading.Thread(target=self.close))
                closers[0].start()
                closers[0].join(0.1)

    adapter = Closing()
    first, _ = adapter._pool("http://h:80", prepared("http://h:80/k"), True, {})
    closers[0].join(10)
    assert first.closed
    again, _ = adapter._pool("http://h:80", prepared("http://h:80/k"), True, {})
    assert not hasattr(again, "closed")
    adapter.close()


def test_older_requests_find_the_pool_another_way(monkeypatch):
    """With requests before 2.32 the pool is found by its older method."""
    name = "requests.adapters.HTTPAdapter.get_connection_with_tls_context"
    monkeypatch.delattr(name, raising=False)
    pool = FakePool("h")

    class Older(PooledAdapter):
        def get_connection(self, url, proxies=None):
            return pool

    Older().send(prepared("http://h:80/b/k"))
    assert [path for _, path, _ in pool.asked] == ["/b/k"]


def test_a_pool_that_is_gone_by_then_is_no_error():
    """A pool that another thread has dropped while the adapter is closed is skipped."""
    adapter = PooledAdapter()
    pools = SimpleNamespace(keys=lambda: ["gone"], get=lambda key: None)
    adapter.proxy_manager["x"] = SimpleNamespace(pools=pools, clear=lambda: None)
    adapter.close()


class Opening:
    """In the place of a connection: notes what happens to it."""

    def __init__(self, failure=None, sock=None):
        self.failure, self.sock, self.happened, self.timeout = failure, sock, [], None

    def connect(self):
        self.happened.append("opened")
        if self.failure:
            raise self.failure

    def close(self):
        self.happened.append("closed")


class Opened(FakePool):
    """In the place of urllib3's pool: gives these connections and notes which come back."""

    def __init__(self, *connections):
        self.connections, self.back = list(connections), []

    def _get_conn(self):
        if not self.connections:
            raise ClosedPoolError(self, "closed")
        return self.connections.pop()

    def _put_conn(self, connection):
        self.back.append(connection)


def open_ahead(pool, count):
    """Open connections of a pool ahead, and return what other threads are to do."""
    adapter, submitted = PooledAdapter(), []
    adapter._pools[("http://h:80",)] = pool, False
    adapter.open_ahead(
        "http://h:80", count, submit=submitted.append, timeout=7, verify=True, proxies={}
    )
    adapter.close()
    return submitted


def test_connections_are_opened_ahead_on_other_threads():
    """As many connections as asked for are open in the end: those that were not are opened."""
    new, idle = Opening(), Opening(sock=1)
    pool = Opened(new, idle)
    (task,) = open_ahead(pool, 2)
    assert (new.happened, pool.back) == ([], [idle])
    task()
    assert (new.happened, new.timeout, pool.back) == (["opened"], 7, [idle, new])
    assert idle.happened == []


@pytest.mark.parametrize("failure", [OSError("no route"), ConnectTimeoutError("timed out")])
def test_a_connection_that_cannot_be_opened_ahead_is_left_to_the_request(failure):
    """Who needs the connection tries again and says why it fails; this time it is only closed."""
    connection = Opening(failure)
    pool = Opened(connection)
    (task,) = open_ahead(pool, 1)
    task()
    assert (connection.happened, pool.back) == (["opened", "closed"], [connection])


def test_a_pool_that_is_closed_meanwhile_opens_nothing():
    """A pool that another thread has closed gives no connection, and that is no error yet."""
    assert open_ahead(Opened(), 1) == []
