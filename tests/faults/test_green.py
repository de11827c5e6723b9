"""Greenlets in place of threads: who ends a transfer stops no other greenlet, and nobody waits."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from faults.listener import Listener

from libcloud_aurora._wire.transport import _Wire

SIZE = 64 * 1024**2  # of the object
PROGRAM = Path(__file__).with_name("green.py")


@pytest.mark.parametrize("way", ["down", "up"])
@pytest.mark.parametrize("secured", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("kind", ["gevent", "eventlet"])
def test_a_timeout_of_greenlets_ends_a_transfer(authority, kind, secured, way):
    """It is raised soon, also while TLS is being negotiated; no greenlet stands still."""
    context, ended = authority.server_context("127.0.0.1"), threading.Event()

    def serve(peer):
        if secured:
            if way == "down" and peer.number > 2:
                ended.wait(30)  # in the middle of the handshake
            peer.sock = context.wrap_socket(peer.sock, server_side=True)
        with peer.sock:
            while request := peer.ask(body=False):
                if request.line.startswith("DELETE"):
                    peer.answer()
                elif "uploads" in request.target:
                    peer.answer(b"<R><UploadId>u</UploadId></R>")
                elif peer.number == 1 and "Range" in request.headers:
                    first, last = map(
                        int, request.headers["Range"].removeprefix("bytes=").split("-")
                    )
                    size = last + 1 - first
                    peer.say(
                        f"HTTP/1.1 206 Partial Content\r\nContent-Length: {size}\r\n"
                        f'Content-Range: bytes {first}-{last}/{SIZE}\r\nETag: "opaque"\r\n\r\n',
                        bytes(size),
                    )
                else:
                    peer.wait()
                    ended.set()

    with Listener(serve) as server:
        command = [sys.executable, PROGRAM, kind, way, str(server.port)]
        bundle = str(authority.bundle) if secured else ""
        said = subprocess.run([*command, bundle], capture_output=True, text=True, timeout=60)
    assert said.stdout == "Timeout in time\n", said.stderr


class OfEventlet:
    """Whose class has no ``shutdown``."""

    def __init__(self):
        self.said = []
        self.shutdown = self.said.append

    def setsockopt(self, *option):
        pass


class OfGevent(OfEventlet):
    """Whose class has one that does not touch what TLS keeps in the object."""

    def shutdown(self, how):
        self.said.append(how)


@pytest.mark.parametrize("kind", [OfEventlet, OfGevent])
def test_sockets_in_place_of_pythons_are_interrupted(monkeypatch, kind):
    """Both kinds are shut down, though neither is a kind of Python's own socket."""
    monkeypatch.setattr(socket, "socket", kind)
    wire = _Wire()
    wire.sock = kind()
    wire.interrupt()
    assert wire.sock.said == [socket.SHUT_RDWR]
