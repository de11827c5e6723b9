"""A gate before a server: one connection passes, and others are stuck while they are opened."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from servers.server import Server, pump
from servers.wire import read_head

MIB = 1024 * 1024
SYN_SENT = "02"


class Gate(Server):
    """
    Lead the first connection to a server, and hold it after 2 MiB until another one is stuck.

    :param port: The server's.
    :param stage: Where others are stuck: ``"connect"``, ``"tunnel"`` or ``"handshake"``.
    :param is_proxy: Whether clients ask for a tunnel first.
    :ivar stuck: Set once a connection is.
    :ivar then: Called before the first one goes on.
    """

    def __init__(self, port: int, stage: str, *, is_proxy: bool = False):
        super().__init__()
        self.target = port
        self.stage = stage
        self.is_proxy = is_proxy
        self.stuck = threading.Event()
        self.then: Callable[[], object] = bool
        self.left = 2 * MIB
        if stage == "connect":
            self.most = 1

    def serve(self, client: socket.socket, number: int) -> None:
        """Lead the first client onward, and answer no other."""
        with ExitStack() as stack:
            if self.stage == "connect":
                self._fill(stack)
            if self.is_proxy:
                read_head(client)
                if number == 1 or self.stage == "handshake":
                    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            if number == 1:
                onward = socket.create_connection(("127.0.0.1", self.target))
                pump(client, stack.enter_context(onward), self._count)
            elif self.stage == "tunnel" or client.recv(1):
                self.stuck.set()
                while client.recv(65_536):
                    pass

    def _fill(self, stack: ExitStack) -> None:
        """Fill the backlog with connections that nobody accepts: Linux answers no further SYN."""
        self._listener.listen(0)
        with suppress(TimeoutError):
            while True:
                other = socket.socket()
                stack.enter_context(closing(other))
                other.settimeout(0.2)
                other.connect(("127.0.0.1", self.port))
        other.close()

    def wait_until_stuck(self) -> None:
        """Wait until a connection other than the first one gets no further."""
        while not self.stuck.wait(0.01):
            if self._is_awaited():
                self.stuck.set()

    def _count(self, moved: int) -> None:
        self.left -= moved
        if self.left <= 0 < self.left + moved:
            self.wait_until_stuck()
            self.then()

    def _is_awaited(self) -> bool:
        """Tell whether a client waits for the answer to its SYN."""
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
        return any(row[2:4] == [f"0100007F:{self.port:04X}", SYN_SENT] for row in rows)
