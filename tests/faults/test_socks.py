"""A SOCKS proxy of the environment, as many companies and every ``ssh -D`` have one."""

from __future__ import annotations

import contextlib
import io
import socket
import socketserver
import struct
import threading

import pytest
from faults.scene import LARGE, Scene, content


class Handler(socketserver.StreamRequestHandler):
    """One connection, RFC 1928: no authentication, CONNECT to a name or an IPv4 address."""

    def handle(self) -> None:
        self.rfile.read(self.rfile.read(2)[1])
        self.wfile.write(b"\5\0")
        kind = self.rfile.read(4)[3]
        length = 4 if kind == 1 else self.rfile.read(1)[0]
        host = self.rfile.read(length)
        (port,) = struct.unpack(">H", self.rfile.read(2))
        self.server.asked.append((host.decode() if kind == 3 else socket.inet_ntoa(host), port))
        with socket.create_connection(self.server.target) as onward:
            self.wfile.write(b"\5\0\0\1" + bytes(6))
            back = threading.Thread(target=pump, args=(onward, self.connection))
            back.start()
            pump(self.connection, onward)
            back.join()


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Move bytes until one side ends."""
    try:
        while piece := source.recv(65_536):
            sink.sendall(piece)
    except OSError:
        pass
    for each in (source, sink):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


@pytest.fixture
def socks(scene: Scene, monkeypatch):
    """A SOCKS server that leads to the scene's proxy, named by the environment."""
    with Server(("127.0.0.1", 0), Handler) as server:
        server.target, server.asked = ("127.0.0.1", scene.proxy.port), []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("ALL_PROXY", f"socks5h://127.0.0.1:{server.server_address[1]}")
        for name in ("NO_PROXY", "no_proxy", "HTTP_PROXY", "http_proxy"):
            monkeypatch.delenv(name, raising=False)
        yield server
        server.shutdown()


def test_transfers_go_through_a_socks_proxy(scene: Scene, socks):
    """Objects go up and down through it, in parts and in ranges, and no other way."""
    with scene.driver(host="localhost", port=1) as driver:
        body = content(LARGE)
        container = driver.get_container(scene.bucket)
        obj = driver.upload_object_via_stream(io.BytesIO(body), container, "key")
        assert scene.backend.get(scene.bucket, "key") == body
        assert b"".join(driver.download_object_as_stream(obj)) == body
    assert set(socks.asked) == {("localhost", 1)}
