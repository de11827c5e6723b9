"""A server of a few lines on 127.0.0.1, for what no server of S3 does."""

from __future__ import annotations

import contextlib
import http.client
import io
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from servers.server import Server
from servers.wire import PIECE, read_head


@dataclass
class Asked:
    """One request, as it came."""

    line: str
    headers: http.client.HTTPMessage
    connection: int
    body: bytes = b""
    #: Whether its body was there as soon as its head was.
    came_together: bool = True

    @property
    def target(self) -> str:
        """What the request line asks for."""
        return self.line.split(" ")[1]


class Peer:
    """One client's connection."""

    def __init__(self, server: Listener, sock: socket.socket, number: int):
        self.server = server
        self.sock = sock
        self.number = number

    def ask(self, *, body: bool = True) -> Asked:
        """Read the next request; a client that has no more of them ends this connection."""
        head, rest = read_head(self.sock)
        if not head:
            self.end()
        line, _, lines = head.partition(b"\r\n")
        headers = http.client.parse_headers(io.BytesIO(lines))
        request = Asked(line.decode("latin-1"), headers, self.number, rest)
        length = int(headers.get("Content-Length", 0))
        request.came_together = len(rest) == length
        while body and len(request.body) < length:
            request.body += self.sock.recv(PIECE) or self.end()
        with self.server.changed:
            self.server.asked.append(request)
            self.server.changed.notify_all()
        return request

    def say(self, *texts: bytes | str) -> None:
        """Send texts, each by a call of its own."""
        for text in texts:
            self.sock.sendall(text.encode() if isinstance(text, str) else text)

    def answer(self, body: bytes = b"", **headers: object) -> None:
        """Send a successful response."""
        lines = [f"{name}: {value}" for name, value in headers.items()]
        self.say("\r\n".join(["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *lines, "", ""]))
        self.say(body)

    def end(self) -> NoReturn:
        """End this connection, quietly."""
        raise ConnectionAbortedError

    def wait(self) -> None:
        """Wait until the client closes, or the test is over."""
        with contextlib.suppress(OSError):
            while self.sock.recv(PIECE):
                pass


def serve(peer: Peer) -> None:
    """Answer every request with an empty success."""
    while True:
        peer.ask()
        peer.answer()


class Listener(Server):
    """
    Serves each connection by a script.

    :param script: Speaks with one client.
    :ivar asked: The requests in order of arrival.
    """

    def __init__(
        self,
        script: Callable[[Peer], object] = serve,
        *,
        tls: ssl.SSLContext | None = None,
        receive_buffer: int = 0,
    ):
        super().__init__(tls=tls, receive_buffer=receive_buffer)
        self.script = script
        self.asked: list[Asked] = []

    def serve(self, client: socket.socket, number: int) -> None:
        """Let the script speak."""
        self.script(Peer(self, client, number))
