"""The sockets of a driver: what goes over them, how long they live, and who shares them."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import math
import os
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import time
import tracemalloc
import warnings
from array import array
from functools import partial
from itertools import accumulate

import pytest
from child import in_a_child
from faults.listener import Listener, Peer
from faults.scene import MIB, content
from libcloud.storage.base import Container, Object
from servers.server import pump
from urllib3.exceptions import ProtocolError

from libcloud_aurora import AuroraObjectsStorageDriver, errors
from libcloud_aurora._s3.signing import ChunkedBody, Pieces
from libcloud_aurora._wire.transport import ACKNOWLEDGED_SIZE

MANY = 257


@pytest.fixture
def listen(request):
    """Start servers, and stop them at the end."""
    started = []

    def listen(*args, **settings):
        server = Listener(*args, **settings).__enter__()
        started.append(server)
        return server

    yield listen
    for server in started:
        server.__exit__(None, None, None)


@pytest.fixture
def connect(monkeypatch):
    """Make drivers of a server, and close them at the end."""
    made = []
    # What libcloud has read from SSL_CERT_FILE when it was imported.
    monkeypatch.setattr("libcloud.security.CA_CERTS_PATH", None)

    def connect(server, **arguments):
        settings = {
            "secure": server.tls is not None,
            "host": "127.0.0.1",
            "port": server.port,
            "timeout": 10,
            "retry_delay": 0.001,
            "ex_max_attempts": 2,
            **arguments,
        }
        driver = AuroraObjectsStorageDriver("key", "secret", **settings)
        made.append(driver)
        return driver

    yield connect
    for driver in made:
        driver.close()


@pytest.fixture(params=["http", "https"])
def secured(request, authority):
    """What makes a server speak plain http, or https, and a driver understand it."""
    if request.param == "http":
        return {}, {}
    context = authority.server_context("127.0.0.1")
    return {"tls": context}, {"ex_verify_ssl": str(authority.bundle)}


def stream_of(driver, size, start=0):
    """Return a stream of an object, after its first range."""
    obj = Object("k", size, None, {}, {}, Container("b", {}, driver), driver)
    return driver.download_object_range_as_stream(obj, start, size)


def ranges_of(body):
    """Return what serves an object range by range."""

    def serve(peer: Peer) -> None:
        while True:
            request = peer.ask()
            first, last = map(int, request.headers["Range"].removeprefix("bytes=").split("-"))
            send_range(peer, body, first, min(last, len(body) - 1))

    return serve


def send_range(peer, body, first, last, upto=None):
    """Send a range of an object, or the beginning of it."""
    part = body[first : last + 1]
    peer.say(
        "HTTP/1.1 206 Partial Content\r\n"
        f"Content-Length: {len(part)}\r\n"
        f"Content-Range: bytes {first}-{last}/{len(body)}\r\n"
        'ETag: "opaque"\r\n\r\n',
        part[:upto],
    )


# What goes out


def chunked(data):
    return ChunkedBody(len(data), lambda: iter([(memoryview(data),)]))


@pytest.mark.parametrize("body", [bytes, bytearray, memoryview, chunked])
@pytest.mark.parametrize("size", [1, 10_000])
def test_a_small_body_leaves_with_its_head(listen, connect, secured, body, size):
    """The head of a request and a small body, signed in chunks or not, wake the server once."""
    server, driver = listen(**secured[0]), None
    driver = connect(server, **secured[1])
    for _ in range(3):
        driver.connection.request("/b/k", method="PUT", data=body(bytes(size)))
    assert [request.came_together for request in server.asked] == [True] * 3
    assert server.connections == 1


@pytest.mark.parametrize("size", [0, 65_535, 65_536, 65_537, 3 * MIB + 1])
@pytest.mark.parametrize("body", [bytes, bytearray, memoryview])
def test_bodies_of_any_size_arrive(listen, connect, secured, size, body):
    """Whatever is joined or cut on the way, the bytes that arrive are those that were given."""
    server, data = listen(**secured[0]), content(size)
    connect(server, **secured[1]).connection.request("/b/k", method="PUT", data=body(data))
    (request,) = server.asked
    assert request.body == data


def cut(data, sizes):
    """Return bytes in pieces."""
    ends = accumulate(sizes)
    return [memoryview(data)[end - size : end] for size, end in zip(sizes, ends, strict=True)]


SIZES = [
    (1, 70_000),
    (70_000, 1),
    (70_000, 70_001),
    (1, 2, 3),
    (60_000, 70_000),
    (65_537, 65_537, 65_536),
    (MIB,),
]


@pytest.mark.parametrize("sizes", SIZES)
def test_chunks_of_any_pieces_arrive(listen, connect, secured, sizes):
    """A body that is signed chunk by chunk arrives in the order of its pieces."""
    server, data = listen(**secured[0]), content(sum(sizes))
    pieces = cut(data, sizes)
    body = ChunkedBody(len(data), lambda: iter([tuple(pieces)]))
    connect(server, **secured[1]).connection.request("/b/k", method="PUT", data=body)
    (request,) = server.asked
    head, _, rest = request.body.partition(b"\r\n")
    assert int(head.partition(b";")[0], 16) == len(data)
    assert rest[: len(data)] == data


@pytest.mark.parametrize("sizes", SIZES)
def test_a_body_in_pieces_arrives(listen, connect, secured, sizes):
    """A body that is not in one piece arrives in the order of its pieces."""
    server, data = listen(**secured[0]), content(sum(sizes))
    body = Pieces(len(data), cut(data, sizes))
    connect(server, **secured[1]).connection.request("/b/k", method="PUT", data=body)
    (request,) = server.asked
    assert request.body == data


def test_the_end_of_the_data_leaves_with_what_closes_it(listen, connect, secured):
    """Who is cut off before a body's closing chunk has not sent all of the data before it."""
    came, data = threading.Event(), content(MIB)

    def serve(peer: Peer) -> None:
        request = peer.ask(body=False)
        while piece := peer.sock.recv(65_536):
            request.body += piece
            if len(request.body) > MIB - 10_000:
                came.set()

    def chunks():
        yield cut(data, (MIB - 70_000, 70_000))
        assert came.wait(10)
        raise KeyboardInterrupt

    server = listen(serve, **secured[0])
    with pytest.raises(KeyboardInterrupt):
        connect(server, **secured[1]).connection.request(
            "/b/k", method="PUT", data=ChunkedBody(MIB, chunks)
        )
    assert server.wait_until_idle()
    _, _, sent = server.asked[0].body.partition(b"\r\n")
    assert len(sent) < MIB - 1_000
    assert data.startswith(sent)


@pytest.mark.parametrize("taken", [10, 61_000])
def test_a_socket_that_takes_little_gets_the_rest(listen, connect, monkeypatch, taken):
    """However few bytes a socket takes at once, what arrives is what was given."""
    send = socket.socket.send
    server, data = listen(), content(200_000)
    connection = connect(server).connection
    connection.request("/b/first")
    monkeypatch.setattr(socket.socket, "send", lambda sock, data: send(sock, data[:taken]))
    pieces = Pieces(260_000, [memoryview(data)[:60_000], memoryview(data)])
    connection.request("/b/k", method="PUT", data=pieces)
    assert server.asked[-1].body == data[:60_000] + data


@pytest.mark.parametrize("ends", ["closes", "says so and closes"])
def test_an_answer_that_comes_before_the_body_is_read(listen, connect, secured, ends):
    """A proxy may answer and close while a body is on its way, which breaks TLS in its own way."""
    said = b"<Error><Code>AccessDenied</Code></Error>"
    head = f"HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: {len(said)}\r\n\r\n"
    tls, settings = secured

    def refuse(peer: Peer) -> None:
        peer.ask(body=False)
        peer.say(head, said)
        if ends != "closes" and tls:
            with contextlib.suppress(OSError):  # the client answers with more of its body
                peer.sock.unwrap()

    server = listen(refuse, **tls, receive_buffer=16_384)
    driver = connect(server, ex_max_attempts=1, **settings)
    for size in (5 * MIB, 100_000):  # one that is sent by pieces, and one that fits in buffers
        with pytest.raises(errors.AccessDeniedError):
            driver.connection.request("/b/k", method="PUT", data=bytes(size))


def test_an_interrupted_request_leaves_nothing_to_the_next(listen, connect):
    """What Ctrl-C has kept from being sent is never sent with another request."""
    server = listen()
    driver = connect(server)
    driver.connection.request("/b/first")

    def interrupted():
        yield (memoryview(b"x"),)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        driver.connection.request("/b/k", method="PUT", data=ChunkedBody(9, interrupted))
    driver.connection.request("/b/next")
    assert [request.target for request in server.asked] == ["/b/first", "/b/next"]
    assert [request.body for request in server.asked] == [b"", b""]


@pytest.mark.parametrize("target", ["/b/../a/./k", "/b//k//", "/b/%25%20~%C3%A9", "/b/k?x=%2F.."])
def test_paths_go_out_as_they_were_signed(listen, connect, target):
    """Nothing on the way to the socket rewrites a path."""
    server = listen()
    connect(server).connection.request(target)
    assert server.asked[0].target == target


@pytest.mark.parametrize("name", ["a\r\nX: b", "a\nX: b", "a\r"])
def test_a_name_of_the_program_adds_no_headers(listen, connect, name):
    """What a program calls itself is part of one header, or nothing is sent."""
    server = listen()
    connection = connect(server).connection
    connection.user_agent_append(name)
    with pytest.raises(ValueError, match="User-Agent"):
        connection.request("/b/k")
    assert not server.asked


def test_no_netrc_is_read(listen, connect, tmp_path, monkeypatch):
    """A password for the host in .netrc does not take the place of the signature."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server = listen()
    connect(server).connection.request("/b/k")
    assert server.asked[0].headers["Authorization"].startswith("AWS4-HMAC-SHA256 ")


# How long is waited


def test_a_slow_reader_is_no_timeout(listen, connect, secured):
    """A body that takes longer than the timeout goes out, as long as bytes move."""
    rest = threading.Event()
    body = content(3 * MIB)

    def slowly(peer: Peer) -> None:
        request = peer.ask(body=False)
        while len(request.body) < len(body):
            piece = peer.sock.recv(64 * 1024) or peer.end()
            request.body += piece
            rest.wait(len(piece) / MIB)
        peer.answer()

    server = listen(slowly, receive_buffer=64 * 1024, **secured[0])
    driver = connect(server, timeout=2, ex_max_attempts=1, **secured[1])
    began = time.monotonic()
    driver.connection.request("/b/k", method="PUT", data=body)
    assert time.monotonic() - began > 2
    assert server.asked[0].body == body


def test_a_slow_sender_is_no_timeout(listen, connect, secured):
    """A response that takes longer than the timeout comes in, as long as bytes move."""
    rest, body = threading.Event(), content(20 * 20_000)

    def slowly(peer: Peer) -> None:
        peer.ask()
        send_range(peer, body, 0, len(body) - 1, 0)
        for at in range(0, len(body), 20_000):
            peer.say(body[at : at + 20_000])
            rest.wait(0.12)
        peer.wait()

    driver = connect(listen(slowly, **secured[0]), timeout=2, ex_max_attempts=1, **secured[1])
    began = time.monotonic()
    assert b"".join(stream_of(driver, len(body))) == body
    assert time.monotonic() - began > 2


def test_what_trickles_is_a_timeout(listen, connect, secured):
    """Bytes that come one by one do not keep a request alive for ever."""
    rest = threading.Event()

    def trickling(peer: Peer) -> None:
        peer.ask()
        send_range(peer, bytes(MIB), 0, MIB - 1, 0)
        while not rest.wait(0.02):
            peer.say(b"\0")

    server = listen(trickling, **secured[0])
    driver = connect(server, timeout=1, **secured[1])
    with pytest.raises(errors.NetworkTimeoutError) as caught:
        list(stream_of(driver, MIB))
    rest.set()
    assert len(caught.value.history) == server.connections == 2


def test_a_consumer_may_take_its_time(listen, connect):
    """What counts is waiting for the server, and not what the caller does meanwhile."""
    taken = threading.Event()

    def in_two(peer: Peer) -> None:
        peer.ask()
        peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nfour")
        taken.wait()
        peer.say(b"more")

    driver = connect(listen(in_two), timeout=0.5, ex_max_attempts=1)
    response = driver.connection.request("/b/k", stream=True).raw
    assert response.read(4) == b"four"
    threading.Event().wait(0.7)
    taken.set()
    assert response.read(4) == b"more"


@pytest.mark.parametrize("rate", [1, 10**13], ids=["one connection", "many"])
def test_a_stream_holds_what_it_may(listen, connect, monkeypatch, rate):
    """Whatever ranges it reads, a stream holds 2 MiB for each connection, 2 more, and a chunk."""
    monkeypatch.setattr("libcloud_aurora._transfer.stream.ENOUGH_RATE", rate)
    body = memoryview(content(30 * MIB))
    driver = connect(listen(ranges_of(body)), ex_max_concurrency=3)
    stream, received = stream_of(driver, len(body)), 0
    tracemalloc.start()
    while chunk := next(stream, b""):
        assert chunk == body[received : received + MIB]
        received += MIB
        if received == 2 * MIB:
            threading.Event().wait(0.3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert received == len(body)
    assert peak < (8 + 2) * MIB + MIB // 2  # one chunk, and the one before it


@pytest.mark.parametrize("stage", ["answer", "body"])
def test_silence_is_a_timeout(listen, connect, secured, stage):
    """A server that says nothing more is given up after the timeout."""

    def silent(peer: Peer) -> None:
        peer.ask()
        if stage == "body":
            send_range(peer, bytes(MIB), 0, MIB - 1, 10)
        peer.wait()

    driver = connect(listen(silent, **secured[0]), timeout=0.2, **secured[1])
    with pytest.raises(errors.NetworkTimeoutError) as caught:
        list(stream_of(driver, MIB))
    assert len(caught.value.history) == 2


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt])
def test_who_ends_a_transfer_does_not_wait_for_a_timeout(listen, connect, secured, tmp_path, kind):
    """When a transfer ends, the threads that wait for the server are woken."""
    body, stalled = content(9 * MIB), threading.Event()

    def serve(peer: Peer) -> None:
        while True:
            request = peer.ask()
            if request.headers["Range"].startswith("bytes=0-"):
                send_range(peer, body, 0, len(body) // 2 - 1, 0)
                assert stalled.wait(10)
                peer.say(body[: len(body) // 2])
            else:
                stalled.set()
                peer.wait()
                return

    def end(done, total):
        if done:
            raise kind

    server = listen(serve, **secured[0])
    driver = connect(server, timeout=60, **secured[1])
    obj = Object("k", len(body), None, {}, {}, Container("b", {}, driver), driver)
    began = time.monotonic()
    with pytest.raises(kind):
        driver.download_object(obj, tmp_path / "file", ex_progress=end)
    assert time.monotonic() - began < 30
    assert list(tmp_path.iterdir()) == []


def test_a_callback_that_makes_requests_may_end_a_transfer(listen, connect, secured, tmp_path):
    """The first response of a transfer is broken off, whatever its thread has done since."""
    body = content(9 * MIB)

    def serve(peer: Peer) -> None:
        while True:
            request = peer.ask()
            if "Range" not in request.headers:
                peer.answer()
            elif request.headers["Range"].startswith("bytes=0-"):
                send_range(peer, body, 0, len(body) // 2 - 1, 0)
                peer.wait()
                return
            else:
                send_range(peer, body, len(body) // 2, len(body) - 1)

    def ask_and_end(done, total):
        driver.connection.request("/b/other")
        if done:
            raise RuntimeError("enough")

    server = listen(serve, **secured[0])
    driver = connect(server, timeout=60, **secured[1])
    obj = Object("k", len(body), None, {}, {}, Container("b", {}, driver), driver)
    began = time.monotonic()
    with pytest.raises(RuntimeError, match="enough"):
        driver.download_object(obj, tmp_path / "file", ex_progress=ask_and_end)
    assert time.monotonic() - began < 30


def test_a_driver_may_be_closed_while_it_transfers(listen, connect, tmp_path):
    """A driver that a callback closes ends as it would have done, and leaves no socket."""
    body = content(9 * MIB)
    server = listen(ranges_of(body))
    driver = connect(server)
    obj = Object("k", len(body), None, {}, {}, Container("b", {}, driver), driver)

    def close(done, total):
        driver.close()

    def close_and_end(done, total):
        driver.close()
        raise KeyboardInterrupt

    driver.download_object(obj, tmp_path / "file", ex_progress=close)
    assert (tmp_path / "file").read_bytes() == body
    with pytest.raises(KeyboardInterrupt):
        driver.download_object(obj, tmp_path / "file", True, ex_progress=close_and_end)
    driver.close()
    assert server.wait_until_idle()


# What comes in


@pytest.mark.parametrize("length", ["Content-Length: {}", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("size", [1, 60_000, 3 * MIB])
def test_responses_are_acknowledged_before_their_end_is_awaited(
    listen, connect, secured, monkeypatch, size, length
):
    """Without that, radosgw holds back the last segment of a response for 44 ms."""
    reads, acknowledged, set_option = [], [], socket.socket.setsockopt

    def setting(sock, *option):
        if option == (socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1):
            acknowledged.append(sock)
        return set_option(sock, *option)

    def noted(receive):
        def receive_into(sock, buffer, *args):
            count = receive(sock, buffer, *args)
            if isinstance(sock, socket.socket) and sock.getpeername()[1] == server.port:
                reads.append((count, bool(acknowledged)))
                acknowledged.clear()
            return count

        return receive_into

    def serve(peer: Peer) -> None:
        peer.ask()
        peer.answer()
        peer.ask()
        peer.say(f"HTTP/1.1 200 OK\r\n{length.format(size)}\r\n\r\n")
        peer.say(b"%x\r\n%b\r\n0\r\n\r\n" % (size, body) if is_chunked else body)
        peer.wait()

    body, is_chunked = content(size), "chunked" in length
    server = listen(serve, **secured[0])
    driver = connect(server, **secured[1])
    driver.connection.request("/b/k")
    monkeypatch.setattr(socket.socket, "setsockopt", setting)
    for kind in (socket.socket, ssl.SSLSocket):
        monkeypatch.setattr(kind, "recv_into", noted(kind.recv_into))
    assert b"".join(driver.connection.exchange("GET", "/b/k", None, {}).stream(MIB)) == body
    assert reads[0][1], "of the head"
    left = 0
    for count, was_acknowledged in reversed(reads[1:]):
        left += count  # before this read
        if is_chunked or left <= 64 * 1024:
            assert was_acknowledged
        elif left > ACKNOWLEDGED_SIZE:
            assert not was_acknowledged


def test_systems_without_these_options_do_without(listen):
    """Where the system has no TCP_QUICKACK and the like, requests work all the same."""
    server = listen()
    program = f"""
        import socket, sys
        sys.platform = "other"
        for name in ("TCP_QUICKACK", "TCP_NOTSENT_LOWAT"):
            if hasattr(socket, name):
                delattr(socket, name)
        import libcloud_aurora
        driver = libcloud_aurora.AuroraObjectsStorageDriver(
            "key", "secret", secure=False, host="127.0.0.1", port={server.port}
        )
        driver.connection.request("/b/k", method="PUT", data=b"data")
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True, timeout=60)
    assert server.asked[0].body == b"data"


def test_an_object_may_have_many_headers(listen, connect):
    """More headers than http.client takes come in, each whole, however long."""
    metadata = {f"x-amz-meta-{number}": str(number) * 300 for number in range(500)}
    metadata["x-amz-meta-long"] = "l" * 60_000

    def serve(peer: Peer) -> None:
        while True:
            peer.ask()
            peer.answer(b"body", **metadata)

    connection = connect(listen(serve)).connection
    for _ in range(2):
        response = connection.request("/b/k")
        assert response.content == b"body"
        assert {name: response.headers[name] for name in metadata} == metadata


def test_a_header_is_whatever_looks_like_one(listen, connect):
    """Lines that are continued are joined, and those that are no header change no other."""
    lines = (
        "HTTP/1.1 200 OK",
        "no header",
        "also none: because of its name",
        "X-Long: begins, ",
        "\t and goes on",
        " ",
        "X-Return: a\rb",
        "X-Name:\u00fc: \x85 ",
        "X-Twice: 1",
        "x-twice: 2",
        "content-length:4",
    )

    def serve(peer: Peer) -> None:
        while True:
            peer.ask()
            peer.say("\r\n".join([*lines, "", ""]).encode("latin-1"), b"body")

    server = listen(serve)
    connection = connect(server).connection
    for _ in range(2):
        response = connection.exchange("GET", "/b/k", None, {})
        assert dict(response.headers) == {
            "X-Long": "begins,   and goes on",
            "X-Return": "a b",
            "X-Name": "\u00fc: \x85",
            "X-Twice": "1, 2",
            "content-length": "4",
        }
        assert response.read() == b"body"
        response.release_conn()
    assert server.connections == 1


@pytest.mark.parametrize("line", ["X: " + "a" * 60_000, "X" * 2**21], ids=["lines", "a line"])
def test_a_head_without_an_end_is_a_network_failure(listen, connect, line):
    """A server that sends headers for ever fills no memory."""

    def serve(peer: Peer) -> None:
        peer.ask()
        peer.say("HTTP/1.1 200 OK\r\n", *[f"{line}\r\n"] * 40)

    with pytest.raises(errors.NetworkError, match="head"):
        connect(listen(serve)).connection.request("/b/k")


@pytest.mark.parametrize(
    ("head", "body", "connections"),
    [
        ("HTTP/1.1 204 No Content\r\n", "", 1),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", "", 1),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: Close\r\n", "", 2),
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n", "body", 2),
        ("HTTP/1.0 200 OK\r\nContent-Length: 4\r\n", "body", 2),
        ("HTTP/1.0 200 OK\r\nContent-Length: 4\r\nConnection: Keep-Alive\r\n", "body", 1),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n", "4\r\nbody\r\n0\r\n\r\n", 1),
        ("HTTP/1.1 200 OK\r\nContent-Length: 4, 4\r\n", "body", 1),
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\ncontent-length: 4\r\n", "body", 1),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\nconnection: x\r\n",
            "body",
            2,
        ),
        ("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n", "", 2),
        ("HTTP/1.1 200 OK\r\n", "body", 2),
    ],
)
def test_a_connection_stays_where_http_says_so(listen, connect, head, body, connections):
    """The head decides where a body ends, and whether another request may follow."""

    def serve(peer: Peer) -> None:
        while True:
            peer.ask()
            peer.say(f"{head}\r\n{body}")
            if head.count("\r\n") == 1 and body:
                return  # whose end is that of the connection; otherwise only the client closes it

    server = listen(serve)
    connection = connect(server).connection
    for _ in range(2):
        assert connection.request("/b/k").content == (b"body" if body else b"")
    assert server.connections == connections


@pytest.mark.parametrize("length", ["-1", "+4", "4 4", "4, 5", "x", "", "9" * 5000])
def test_a_length_that_is_none_is_a_network_failure(listen, connect, length):
    """Nobody waits for the end of a body whose length cannot be read."""

    def serve(peer: Peer) -> None:
        peer.ask()
        peer.say(f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nbody")
        peer.ask()

    with pytest.raises(errors.NetworkError, match="Content-Length"):
        connect(listen(serve)).connection.request("/b/k")


def test_interim_responses_have_an_end(listen, connect):
    """A server that goes on announcing a response has none."""

    def serve(peer: Peer) -> None:
        peer.ask()
        peer.say("HTTP/1.1 100 Continue\r\n\r\n" * 1000)

    with pytest.raises(errors.NetworkError, match="interim"):
        connect(listen(serve)).connection.request("/b/k")


@pytest.mark.parametrize("status", ["HTTP/2 200 OK", "HTTP/0.9 200 OK", "ICY 200 OK"])
def test_another_protocol_is_a_network_failure(listen, connect, status):
    """What speaks another version of HTTP is not read as this one."""

    def serve(peer: Peer) -> None:
        peer.ask()
        peer.say(f"{status}\r\nContent-Length: 0\r\n\r\n")

    with pytest.raises(errors.NetworkError):
        connect(listen(serve)).connection.request("/b/k")


@pytest.mark.parametrize("interim", ["100 Continue", "102 Processing", "103 Early Hints"])
def test_interim_responses_are_skipped(listen, connect, interim):
    """What comes before the final response, with headers or without, is not taken for it."""

    def serve(peer: Peer) -> None:
        while True:
            peer.ask()
            peer.say(f"HTTP/1.1 {interim}\r\n\r\n", f"HTTP/1.1 {interim}\r\nLink: </x>\r\n\r\n")
            peer.answer(b"body")

    server = listen(serve)
    connection = connect(server).connection
    assert [connection.request("/b/k").content for _ in range(2)] == [b"body"] * 2
    assert server.connections == 1


@pytest.mark.parametrize(
    "sent",
    ["", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Le", "nonsense\r\n\r\n"],
)
def test_a_response_that_ends_in_its_head_is_a_network_failure(listen, connect, sent):
    """A head that is cut off is never taken for a short one."""

    def cut(peer: Peer) -> None:
        peer.ask()
        peer.say(sent)

    server = listen(cut)
    with pytest.raises(errors.NetworkError) as caught:
        connect(server).connection.request("/b/k")
    assert len(caught.value.history) == server.connections == 2


def test_a_body_that_ends_early_is_a_network_failure(listen, connect, secured):
    """http.client says nothing when a body ends early; the rest is asked for all the same."""
    body = content(MIB)

    def cut(peer: Peer) -> None:
        if peer.number == 1:
            peer.ask()
            send_range(peer, body, 0, MIB - 1, MIB // 2)
        else:
            ranges_of(body)(peer)

    server = listen(cut, **secured[0])
    assert b"".join(stream_of(connect(server, **secured[1]), MIB)) == body
    asked = [request.headers["Range"] for request in server.asked]
    assert asked == [f"bytes=0-{MIB - 1}", f"bytes={MIB // 2}-{MIB - 1}"]


def test_a_body_of_unknown_length_is_read_to_its_end(listen, connect):
    """A document that comes in chunks, as proxies send it, is whole."""
    chunks = "4\r\nbody\r\n5;x=y\r\n, all\r\n0\r\nTrailer: x\r\n\r\n"

    def serve(peer: Peer) -> None:
        while True:
            peer.ask()
            peer.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunks)

    server = listen(serve)
    connection = connect(server).connection
    assert [connection.request("/b/k").content for _ in range(2)] == [b"body, all"] * 2
    assert server.connections == 1


def test_a_document_without_a_length_leaves_no_socket(listen, connect):
    """The connection of a response that ends with it is closed, even while it is kept."""

    def serve(peer: Peer) -> None:
        peer.ask()
        peer.say("HTTP/1.0 200 OK\r\n\r\n<a/>")
        peer.sock.shutdown(socket.SHUT_WR)
        peer.wait()

    server = listen(serve)
    response = connect(server).connection.request("/b/k")
    assert server.wait_until_idle()
    assert response.content == b"<a/>"


@pytest.mark.parametrize("has_etag", [True, False])
def test_an_object_of_unknown_length_is_whole(listen, connect, has_etag):
    """An object that comes in chunks, as proxies send it, has the size that was said before."""
    md5 = hashlib.md5(b"body, all", usedforsecurity=False).hexdigest()
    etag = f'ETag: "{md5}"\r\n' if has_etag else ""

    def serve(peer: Peer) -> None:
        while True:
            peer.ask()
            peer.say(f"HTTP/1.1 200 OK\r\n{etag}Transfer-Encoding: chunked\r\n\r\n")
            peer.say("4\r\nbody\r\n5\r\n, all\r\n0\r\n\r\n")

    driver = connect(listen(serve))

    def read(size):
        obj = Object("k", size, None, {}, {}, Container("b", {}, driver), driver)
        return b"".join(driver.download_object_as_stream(obj))

    assert read(9) == b"body, all"
    for size in (8, 10):
        with pytest.raises(errors.AuroraObjectsError):
            read(size)
    with pytest.raises(errors.MalformedAnswerError, match="no length"):
        read(None)


@pytest.mark.parametrize("chunks", ["4\r\nbo", "zz\r\nbody\r\n", "-4\r\nbody\r\n", "", "4"])
def test_chunks_that_are_none_are_an_error(listen, connect, chunks):
    """A body in chunks that is cut off, or malformed, is an error of the family."""

    def serve(peer: Peer) -> None:
        peer.ask()
        peer.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunks)

    server = listen(serve)
    with pytest.raises((errors.NetworkError, errors.MalformedAnswerError)) as caught:
        connect(server).connection.request("/b/k")
    assert len(caught.value.history) == server.connections == 2


def in_chunks(*chunks):
    """Return what serves an object of 4 bytes whose length is not said beforehand."""

    def serve(peer: Peer) -> None:
        while True:
            peer.ask()
            peer.say(
                "HTTP/1.1 206 Partial Content\r\nTransfer-Encoding: chunked\r\n"
                'Content-Range: bytes 0-3/4\r\nETag: "opaque"\r\n\r\n',
                *chunks,
            )
            if not chunks or not chunks[-1].startswith("0"):
                return

    return serve


def test_an_object_in_chunks_is_read(listen, connect):
    """A range whose length is not said beforehand is read to its end."""
    server = listen(in_chunks("3\r\nbod\r\n", "1\r\ny\r\n", "0\r\n\r\n"))
    driver = connect(server)
    assert [b"".join(stream_of(driver, 4)) for _ in range(2)] == [b"body"] * 2


@pytest.mark.parametrize("chunk", ["4\r\nbo", "zz\r\nbody\r\n", "-4\r\nbody\r\n", ""])
def test_an_object_in_chunks_that_are_none_is_an_error(listen, connect, chunk):
    """A range in chunks that is cut off, or malformed, is an error of the family."""
    server = listen(in_chunks("1\r\nb\r\n", chunk))
    with pytest.raises((errors.NetworkError, errors.MalformedAnswerError)) as caught:
        list(stream_of(connect(server), 4))
    assert len(caught.value.history) == 2


# Which connections are kept


def test_a_connection_is_used_again_when_all_was_read(listen, connect, secured):
    """A response that was read to its end leaves its connection to the next request."""
    body = content(MIB)
    server = listen(ranges_of(body), **secured[0])
    driver = connect(server, **secured[1])
    for _ in range(3):
        assert b"".join(stream_of(driver, MIB)) == body
    assert server.connections == 1


def test_a_resumed_download_needs_one_connection(listen, connect, tmp_path):
    """The byte that says which version there is leaves its connection to the ranges."""
    body = content(MIB)
    server = listen(ranges_of(body))
    driver = connect(server, ex_max_concurrency=1)
    obj = Object("k", len(body), None, {}, {}, Container("b", {}, driver), driver)
    driver.download_object(obj, tmp_path / "file", ex_resume=True)
    assert (tmp_path / "file").read_bytes() == body
    assert server.connections == 1


@pytest.mark.parametrize(("near", "at_once"), [(math.inf, 4), (0.0, 8)])
def test_a_file_from_a_server_nearby_begins_with_a_few_ranges(
    listen, connect, secured, monkeypatch, tmp_path, near, at_once
):
    """A server that has answered soon gets four at first, and one that has not all of them."""
    monkeypatch.setattr("libcloud_aurora._wire.transport.NEAR_SECONDS", near)
    monkeypatch.setattr("libcloud_aurora._transfer.workers.SETTLING_SECONDS", math.inf)
    body, together = content(32 * MIB), threading.Barrier(at_once)
    lock, numbers = threading.Lock(), [0]

    def serve(peer: Peer) -> None:
        while request := peer.ask():
            if "Range" not in request.headers:
                peer.answer()
                continue
            first, last = map(int, request.headers["Range"].removeprefix("bytes=").split("-"))
            send_range(peer, body, first, last, MIB)
            for change in (1, -1):
                with lock:
                    numbers.append(numbers[-1] + change)
                together.wait(10)
            peer.say(body[first + MIB : last + 1])

    server = listen(serve, **secured[0])
    driver = connect(server, **secured[1])
    driver.connection.request("/b/k")
    obj = Object("k", len(body), None, {}, {}, Container("b", {}, driver), driver)
    driver.download_object(obj, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == body
    assert max(numbers) == at_once
    assert server.connections == at_once


def test_who_has_not_answered_is_not_near(listen, connect, monkeypatch):
    """Until a request without a body has been answered, nobody knows."""
    monkeypatch.setattr("libcloud_aurora._wire.transport.NEAR_SECONDS", 60)
    connection = connect(listen()).connection
    assert not connection.is_near()
    connection.request("/b/k", method="PUT", data=b"body")
    assert not connection.is_near()
    connection.request("/b/k")
    assert connection.is_near()
    connection.close()
    assert not connection.is_near()


def test_a_connection_is_closed_when_something_is_left(listen, connect):
    """A response that is not read to its end takes its connection with it."""
    body = content(8 * MIB)
    server = listen(ranges_of(body))
    driver = connect(server, ex_max_concurrency=1)
    response = driver.connection.request("/b/k", headers={"Range": "bytes=0-8388607"}, stream=True)
    response.raw.read(10)
    response.raw.close()
    assert server.wait_until_idle()
    assert b"".join(stream_of(driver, len(body))) == body
    assert server.connections == 2


def test_more_than_was_asked_for_is_left_on_the_wire(listen, connect):
    """A response that goes on after its range is refused, and its connection is closed."""
    body = content(MIB)

    def serve(peer: Peer) -> None:
        peer.ask()
        send_range(peer, body, 0, len(body) - 1)
        peer.wait()

    server = listen(serve)
    with pytest.raises(errors.MalformedAnswerError):
        list(stream_of(connect(server), 1000))
    assert server.wait_until_idle()


@pytest.mark.parametrize(("idle_seconds", "opened"), [(29, 1), (31, 2)])
def test_a_connection_that_was_idle_is_not_used_again(
    listen, connect, secured, monkeypatch, idle_seconds, opened
):
    """After 30 s of idleness a request opens a connection anew, before radosgw closes the old."""
    server = listen(**secured[0])
    connection = connect(server, **secured[1]).connection
    connection.request("/b/k")
    connection.request("/b/k")
    now = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: now() + idle_seconds)
    connection.request("/b/k")
    connection.request("/b/k")
    assert server.connections == opened
    assert server.wait_for(lambda: server.open_connections == 1)


def test_a_connection_the_server_has_closed_is_not_used(listen, connect):
    """A connection that was closed while it was idle costs no attempt."""

    def once(peer: Peer) -> None:
        peer.ask()
        peer.answer()

    server = listen(once)
    connection = connect(server, ex_max_attempts=1).connection
    for _ in range(3):
        connection.request("/b/k")
        assert server.wait_until_idle()
    assert len(server.asked) == server.connections == 3


def test_what_breaks_an_idle_connection_may_have_broken_all(listen, connect):
    """However many a firewall has forgotten, the attempt after the first one opens a new one."""
    together = threading.Barrier(4)

    def forgetful(peer: Peer) -> None:
        peer.ask()
        if peer.number <= 4:
            together.wait(10)
        peer.answer()
        peer.ask()
        peer.end()

    server = listen(forgetful)
    driver = connect(server, ex_max_attempts=2)
    ask = partial(driver.connection.request, "/b/k")
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ask()
    assert [request.connection for request in server.asked[4:]] in ([n, 5] for n in range(1, 5))


def test_a_header_goes_out_once(listen, connect):
    """However its name is written, it is in one line; the length is always the body's."""
    server = listen()
    names = {"content-length": 9, "USER-AGENT": "mine", "X-Own": "1", "x-own": "2"}
    connect(server).connection.request("/b/k", method="PUT", data=b"x", headers=names)
    assert server.asked[0].headers.get_all("Content-Length") == ["1"]
    assert server.asked[0].headers.get_all("User-Agent") == ["mine"]
    assert server.asked[0].headers.get_all("X-Own") == ["2"]


def test_a_body_of_numbers_goes_out_whole(listen, connect):
    """What counts is bytes, whatever a buffer is made of."""
    server = listen()
    driver = connect(server)
    numbers = array("I", range(10))
    driver.connection.request("/b/k", method="PUT", data=memoryview(numbers))
    driver.connection.request("/b/k")
    assert server.asked[0].body == numbers.tobytes()
    assert server.asked[0].headers["Content-Length"] == "40"
    assert server.connections == 1


def test_idle_connections_are_bounded(listen, connect):
    """Of the connections that many requests have needed at once, 256 are kept."""

    def serve(peer: Peer) -> None:
        while True:
            peer.ask()
            peer.answer(b"body")

    server = listen(serve)
    connection = connect(server).connection
    responses = [connection.request("/b/k", stream=True) for _ in range(MANY)]
    assert server.connections == MANY
    for response in responses:
        response.raw.read()
        response.raw.release_conn()
    assert server.wait_for(lambda: server.open_connections < MANY)
    assert server.open_connections == MANY - 1
    again = [connection.request("/b/k", stream=True) for _ in range(MANY)]
    assert server.connections == MANY + 1
    for response in again:
        response.raw.close()


def test_the_caller_s_thread_enters_no_condition(listen, connect, monkeypatch, tmp_path):
    """Ctrl-C may leave a condition locked, so the thread that gets it enters none."""
    entered, enter = [], threading.Condition.__enter__

    def noting(condition):
        if threading.get_ident() == threading.main_thread().ident:
            entered.append(condition)
        return enter(condition)

    body = content(9 * MIB)
    server = listen(ranges_of(body))
    driver = connect(server)
    obj = Object("k", len(body), None, {}, {}, Container("b", {}, driver), driver)
    monkeypatch.setattr(threading.Condition, "__enter__", noting)
    for _ in range(2):
        driver.download_object(obj, tmp_path / "file", overwrite_existing=True)
        assert b"".join(driver.download_object_as_stream(obj)) == body
        driver.close()
    monkeypatch.undo()
    assert entered == []
    assert server.connections > 2


# Who shares them


def test_closing_a_driver_closes_its_sockets(listen, connect, secured):
    """Nothing is left open by close(), and the driver opens what it needs when it is used again."""
    server = listen(**secured[0])
    driver = connect(server, **secured[1])
    for opened in (1, 2):
        driver.connection.request("/b/k")
        driver.connection.request("/b/k")
        assert (server.connections, server.open_connections) == (opened, 1)
        driver.close()
        driver.close()
        assert server.wait_until_idle()


def test_leaving_the_block_closes_the_sockets(listen, connect):
    """A with block ends with its sockets, after an exception as well."""
    server = listen()
    with pytest.raises(RuntimeError), connect(server) as driver:  # noqa: PT012
        driver.connection.request("/b/k")
        raise RuntimeError
    assert server.wait_until_idle()


def test_what_is_in_use_is_closed_later(listen, connect):
    """close() takes no response away from its reader; its connection is closed when it is read."""
    body = content(MIB)
    server = listen(ranges_of(body))
    driver = connect(server)
    headers = {"Range": f"bytes=0-{MIB - 1}"}
    response = driver.connection.request("/b/k", headers=headers, stream=True)
    driver.close()
    assert response.raw.read() == body
    response.raw.release_conn()
    assert server.wait_until_idle()


@pytest.mark.parametrize("end", ["drop", "close"])
def test_a_stream_that_nobody_reads_leaves_its_connection(listen, connect, secured, end):
    """The response that a stream begins with is closed with it, without the garbage collector."""
    server = listen(ranges_of(content(9 * MIB)), **secured[0])
    driver = connect(server, **secured[1])
    gc.disable()
    try:
        stream = stream_of(driver, 9 * MIB)
        assert server.open_connections == 1
        if end == "close":
            stream.close()
        else:
            del stream
        assert server.wait_until_idle()
    finally:
        gc.enable()


def test_a_stream_that_waits_belongs_to_no_thread(listen, connect):
    """What interrupts the requests of the thread that has made a stream does not break it."""
    body = content(MIB)
    server = listen(ranges_of(body))
    driver = connect(server)
    stream = stream_of(driver, len(body))
    driver.connection.interrupt([threading.get_ident()], bodies=True)
    assert b"".join(stream) == body
    assert len(server.asked) == 1


@pytest.mark.parametrize("size", [1, MIB, 9 * MIB])
def test_a_stream_is_read_in_a_child_and_in_its_parent(listen, connect, secured, size):
    """A stream made before a fork is whole in both, whose responses are not the same."""
    body = content(size)
    server = listen(ranges_of(body), **secured[0])
    stream = stream_of(connect(server, **secured[1], ex_max_concurrency=1), size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
        said = in_a_child(lambda: hashlib.sha256(b"".join(stream)).hexdigest())
    assert said == hashlib.sha256(body).hexdigest()
    assert b"".join(stream) == body
    assert {request.connection for request in server.asked} == {1, 2}


@pytest.mark.usefixtures("hasty_threads")
def test_threads_may_use_a_driver_that_is_closed_meanwhile(listen, connect):
    """Requests of many threads succeed while another one closes the driver again and again."""
    server = listen()
    driver = connect(server, ex_max_attempts=1)
    begun, failed, done = threading.Barrier(9), [], []

    def work():
        begun.wait(10)
        try:
            for _ in range(30):
                driver.connection.request("/b/k")
        except Exception as error:  # noqa: BLE001 - shown below
            failed.append(error)
        done.append(True)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    begun.wait(10)
    while len(done) < len(threads):
        driver.close()
    for thread in threads:
        thread.join()
    driver.close()
    assert failed == []
    assert server.wait_until_idle()


@pytest.mark.usefixtures("hasty_threads")
def test_threads_that_come_first_share_the_sockets(listen, connect):
    """Of threads whose requests are a driver's first, none keeps sockets that close() misses."""
    server = listen()
    for number in range(5):
        driver, begun = connect(server), threading.Barrier(8)

        def work(driver=driver, begun=begun):
            begun.wait(10)
            driver.connection.request("/b/k")

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(server.asked) == 8 * (number + 1)
        driver.close()
        assert server.wait_until_idle()


def test_a_forked_child_uses_sockets_of_its_own(listen, connect, secured):
    """After a fork parent and child speak over different connections, and the parent's lives on."""
    server = listen(**secured[0])
    driver = connect(server, **secured[1])
    driver.connection.request("/b/parent")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
        child = os.fork()
    if child == 0:
        try:
            driver.connection.request("/b/child")
            driver.connection.request("/b/child")
            driver.close()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    driver.connection.request("/b/parent")
    by_connection = [(request.target, request.connection) for request in server.asked]
    assert by_connection == [("/b/parent", 1), ("/b/child", 2), ("/b/child", 2), ("/b/parent", 1)]


def test_a_forked_child_that_ends_reads_nothing_of_its_parent(listen, connect, authority):
    """What a child closes as it ends, its parent still reads: such as the tickets of TLS 1.3."""
    server = listen(tls=authority.server_context("127.0.0.1"))
    driver = connect(server, ex_verify_ssl=str(authority.bundle), ex_max_attempts=1)
    for opener in driver.connection.openers(3):
        opener()

    def end():
        driver.connection.connection._sockets.clear()
        return gc.collect() > 0

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
        assert in_a_child(end) == "True"
    driver.connection.request("/b/k")
    assert server.connections == 2


@pytest.mark.parametrize("function", ["_Response.__init__", "_Incoming.__init__"])
def test_ctrl_c_as_a_response_is_made_is_all_that_is_said(listen, connect, function):
    """Ctrl-C just as a response is made leaves nothing that complains as it is collected."""
    server = listen()
    program = f"""
        import sys
        from libcloud_aurora import AuroraObjectsStorageDriver
        from libcloud_aurora._wire import transport

        def trace(frame, event, arg):
            if frame.f_code is not transport.{function}.__code__:
                return None
            if event == "line" and frame.f_lineno not in seen:
                seen.add(frame.f_lineno)
                raise KeyboardInterrupt
            return trace

        seen = set()
        driver = AuroraObjectsStorageDriver(
            "key", "secret", host="127.0.0.1", port={server.port}, secure=False, ex_max_attempts=1
        )
        while True:
            sys.settrace(trace)
            try:
                driver.connection.request("/b/k")
                break
            except KeyboardInterrupt:
                pass
        sys.settrace(None)
        driver.close()
        print(len(seen))
    """
    # Only in its development mode does Python before 3.14 tell what goes wrong in a finalizer.
    said = subprocess.run(
        [sys.executable, "-X", "dev", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert int(said.stdout) > 1
    assert "Exception ignored" not in said.stderr
    assert "ResourceWarning" not in said.stderr


# By which way


def test_each_address_of_a_host_is_tried(listen, connect, monkeypatch):
    """A host one of whose addresses refuses is reached by its next; one without any is an error."""
    server = listen()
    with socket.socket() as refusing:
        refusing.bind(("127.0.0.1", 0))  # and does not listen
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 0, "", address)
            for address in (refusing.getsockname(), ("127.0.0.1", server.port))
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: list(found))
        connect(server).connection.request("/b/k")
        assert len(server.asked) == 1
        found.pop()
        refused = r"connecting to 127\.0\.0\.1 failed: .*refused"
        with pytest.raises(errors.NetworkError, match=refused):
            connect(server).connection.request("/b/k")


def test_a_host_that_no_name_can_be_is_an_error(listen, connect):
    """A name that cannot be looked up is an error that says which."""
    driver = connect(listen(), host=f"{'a' * 64}.example")
    with pytest.raises(errors.NetworkError, match=r"connecting to a{64}\.example failed"):
        driver.connection.request("/b/k")


def through(target):
    """Return what a proxy does: it answers requests for URLs itself, and leads CONNECT onward."""

    def serve(peer: Peer) -> None:
        while True:
            request = peer.ask()
            if request.line.startswith("CONNECT"):
                with socket.create_connection(("127.0.0.1", target.port)) as onward:
                    peer.say("HTTP/1.1 200 Connection established\r\n\r\n")
                    pump(peer.sock, onward)
                return
            peer.answer()

    return serve


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_https_goes_through_a_proxy_in_a_tunnel(listen, connect, authority, scheme):
    """A proxy, by http or by TLS, sees no more of https than where it goes."""
    target = listen(tls=authority.server_context("127.0.0.1"))
    tls = authority.server_context("127.0.0.1") if scheme == "https" else None
    proxy = listen(through(target), tls=tls)
    driver = connect(
        target, ex_verify_ssl=str(authority.bundle), proxy_url=f"{scheme}://127.0.0.1:{proxy.port}"
    )
    for body in (b"", b"small", content(2 * MIB), b"small"):
        response = driver.connection.request("/b/../k", method="PUT", data=body)
        assert response.headers["content-length"] == "0"
        assert target.asked[-1].body == body
    (request,) = proxy.asked
    assert request.line.startswith(f"CONNECT 127.0.0.1:{target.port} ")
    assert {request.target for request in target.asked} == {"/b/../k"}
    assert target.connections == 1
    driver.close()
    assert target.wait_until_idle()
    assert proxy.wait_until_idle()


def test_ctrl_c_ends_a_download_through_a_proxy_by_tls(listen, connect, authority, keyboard):
    """Whoever waits for a response through TLS within TLS ends with the transfer."""
    body, stalled = content(6 * MIB), threading.Semaphore()

    def serve(peer: Peer) -> None:
        while True:
            request = peer.ask()
            first, last = map(int, request.headers["Range"].removeprefix("bytes=").split("-"))
            if first and stalled.acquire(blocking=False):
                keyboard.press()
            if first:
                peer.wait()
            send_range(peer, body, first, last)

    tls = authority.server_context("127.0.0.1")
    target = listen(serve, tls=tls)
    proxy = listen(through(target), tls=tls)
    driver = connect(
        target,
        timeout=60,
        ex_verify_ssl=str(authority.bundle),
        proxy_url=f"https://127.0.0.1:{proxy.port}",
    )
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        b"".join(stream_of(driver, len(body)))
    assert time.monotonic() - began < 30
    driver.close()
    assert target.wait_until_idle()
    assert proxy.wait_until_idle()


def test_http_goes_to_a_proxy_with_the_whole_url(listen, connect):
    """A proxy of plain http is told the whole URL, in which it finds no dots to collapse."""
    proxy = listen()
    driver = connect(proxy, host="localhost", port=1, proxy_url=f"http://127.0.0.1:{proxy.port}")
    driver.connection.request("/b/../k", method="PUT", data=b"x")
    (request,) = proxy.asked
    assert request.target == "http://localhost:1/b%2F../k"
    assert request.headers["Host"] == "localhost:1"
    driver.close()
    assert proxy.wait_until_idle()


def test_a_proxy_by_its_address_of_ipv6(listen, connect, authority, monkeypatch):
    """The brackets around an address belong to the proxy's URL, and not to the address."""
    asked = []
    resolve = socket.getaddrinfo

    def getaddrinfo(host, *args):
        asked.append(host)
        return resolve("127.0.0.1", *args)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    target = listen(tls=authority.server_context("127.0.0.1"))
    proxy = listen(through(target))
    trusting = {"ex_verify_ssl": str(authority.bundle)}
    driver = connect(target, proxy_url=f"http://[::1]:{proxy.port}", **trusting)
    driver.connection.request("/b/k")
    assert asked[0] == "::1"
    assert len(target.asked) == 1


def test_a_proxy_that_refuses_is_an_error(listen, connect, authority):
    """What a proxy says to CONNECT is in the error."""

    def refuse(peer: Peer) -> None:
        peer.ask()
        peer.say("HTTP/1.1 403 Not to there\r\nContent-Length: 0\r\n\r\n")

    target = listen(tls=authority.server_context("127.0.0.1"))
    proxy = listen(refuse)
    driver = connect(target, proxy_url=f"http://127.0.0.1:{proxy.port}")
    with pytest.raises(errors.NetworkError, match="403 Not to there"):
        driver.connection.request("/b/k")
    assert target.asked == []


def test_a_proxy_without_tls_is_named(listen, connect):
    """Where TLS fails with the proxy, the error is about the proxy, and not about the server."""

    def refuse(peer: Peer) -> None:
        peer.sock.recv(1)
        peer.say("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    proxy = listen(refuse)
    driver = connect(listen(), proxy_url=f"https://127.0.0.1:{proxy.port}")
    with pytest.raises(errors.NetworkError, match="proxy"):
        driver.connection.request("/b/k")


def test_another_proxy_counts_from_the_next_request_on(listen, connect):
    """A proxy that is set later leads the next request, and the old sockets are closed."""
    server, proxy = listen(), listen()
    driver = connect(server)
    driver.connection.request("/b/direct")
    driver.connection.connection.set_http_proxy(f"http://127.0.0.1:{proxy.port}")
    assert server.wait_until_idle()
    driver.connection.request("/b/led")
    assert [request.target for request in server.asked] == ["/b/direct"]
    assert [request.target for request in proxy.asked] == [f"http://127.0.0.1:{server.port}/b/led"]


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_the_environment_s_certificates_are_trusted(listen, connect, authority, monkeypatch, name):
    """A private authority may be named by the environment, as for requests and curl."""
    server = listen(tls=authority.server_context("127.0.0.1"))
    with pytest.raises(errors.NetworkError, match="CERTIFICATE_VERIFY_FAILED"):
        connect(server).connection.request("/b/k")
    monkeypatch.setenv(name, str(authority.bundle))
    connect(server).connection.request("/b/k")
    assert len(server.asked) == 1


@pytest.mark.parametrize("is_closed", [False, True], ids=["driver open", "driver closed"])
def test_a_server_that_waits_for_room_learns_that_nobody_reads(listen, connect, is_closed):
    """An interrupted response is reset: otherwise, such a server would wait for minutes."""
    is_full = threading.Event()

    def script(peer):
        peer.ask()
        peer.say(f"HTTP/1.1 200 OK\r\nContent-Length: {100 * MIB}\r\n\r\n")
        peer.sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                peer.sock.send(bytes(MIB))
        is_full.set()
        peer.sock.setblocking(True)
        peer.say(bytes(100 * MIB))

    server = listen(script)
    driver = connect(server)
    response = driver.connection.exchange("GET", "/b/k", None, {})
    assert is_full.wait(10)
    if is_closed:
        driver.close()
    driver.connection.interrupt([threading.get_ident()], bodies=False)
    received = 0
    with contextlib.suppress(ProtocolError):  # which urllib3 1.26 does not raise
        for piece in response.stream(MIB):
            received += len(piece)
    assert received < 100 * MIB
    response.close()
    assert server.wait_until_idle()


def test_a_body_that_is_still_under_way_arrives_whole(listen, connect):
    """A part that has been sent is not reset: radosgw 18.2.7 aborts if its end is missing."""
    size, sent, go = 200 * 1024, threading.Event(), threading.Event()
    bodies = []

    def script(peer):
        go.wait(10)  # until then it takes no more than a socket has room for
        bodies.append(peer.ask().body)

    def body():
        yield content(size)
        yield b"the end"
        sent.set()

    def put():
        callers.append(threading.get_ident())
        with contextlib.suppress(ConnectionError, ProtocolError):
            exchange("PUT", "/b/k", body(), {"Content-Length": str(size + 7)})

    callers = []
    server = listen(script)
    driver = connect(server)
    exchange = driver.connection.exchange
    caller = threading.Thread(target=put)
    caller.start()
    assert sent.wait(10)
    while caller.is_alive():  # and about to wait for the response
        driver.connection.interrupt(callers, bodies=False)
        caller.join(0.1)
    go.set()
    assert server.wait_until_idle()
    assert bodies == [content(size) + b"the end"]


def test_a_request_without_a_body_is_reset(listen, connect):
    """One that is interrupted before its response begins; what comes may fill all buffers."""
    asked, ended, ends = threading.Event(), threading.Event(), []

    def script(peer):
        peer.ask()
        asked.set()
        ended.wait(10)
        with pytest.raises(ConnectionError) as caught:
            peer.sock.send(b"x")
        ends.append(caught.value)

    def get():
        callers.append(threading.get_ident())
        with contextlib.suppress(ConnectionError, ProtocolError):
            exchange("GET", "/b/k", None, {})

    callers = []
    server = listen(script)
    driver = connect(server)
    exchange = driver.connection.exchange
    caller = threading.Thread(target=get)
    caller.start()
    assert asked.wait(10)
    while caller.is_alive():
        driver.connection.interrupt(callers, bodies=False)  # it may still be about to wait
        caller.join(0.1)
    ended.set()
    assert server.wait_until_idle()
    assert len(ends) == 1
