"""What all servers of tests on sockets have in common: connections, each on a thread of its own."""

from __future__ import annotations

import select
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

BACKLOG = 512


class Server:
    """
    Listens on 127.0.0.1 for as long as a ``with`` block; what it serves is up to its subclasses.

    :param tls: Ends TLS with this.
    :param receive_buffer: Bytes of the kernel's buffer for what comes, its default if 0.
    :ivar connections: How many have been opened in all.
    :ivar most: How many it accepts.
    :ivar changed: Told of whatever happens.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None, receive_buffer: int = 0):
        self.tls = tls
        self.connections = 0
        self.most = sys.maxsize
        self.changed = threading.Condition()
        self._clients: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        if receive_buffer:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.port: int = self._listener.getsockname()[1]

    def serve(self, client: socket.socket, number: int) -> None:
        """Serve one connection, the first of which has the number 1, until it is over."""
        raise NotImplementedError

    def __enter__(self):
        threading.Thread(target=self._accept, name="server", daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.disconnect()
        self.wait_until_idle()

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        with self.changed:
            return len(self._clients)

    def disconnect(self) -> None:
        """Break all connections at once."""
        with self.changed:
            for client in self._clients:
                with suppress(OSError):
                    socket.socket.shutdown(client, socket.SHUT_RDWR)  # leaves TLS's state alone

    def wait_for(self, condition: Callable[[], object], timeout: float = 10) -> bool:
        """Wait until a condition holds: asked at every request, answer and connection."""
        with self.changed:
            return bool(self.changed.wait_for(condition, timeout))

    def wait_until_idle(self) -> bool:
        """Wait until no connection is open or about to be; tell whether that happened."""
        return self.wait_for(lambda: not self._clients and not self._is_wanted())

    def _is_wanted(self) -> bool:
        """Tell whether a connection has been opened that has not been accepted yet."""
        accepts = self._listener.fileno() >= 0 and self.connections < self.most
        return accepts and bool(select.select([self._listener], [], [], 0)[0])

    def _accept(self) -> None:
        with suppress(OSError, ValueError):  # closed
            while self.connections < self.most:
                select.select([self._listener], [], [])
                with self.changed:
                    client, _ = self._listener.accept()
                    self.connections += 1
                    self._clients.add(client)
                    number = self.connections
                    self.changed.notify_all()
                threading.Thread(
                    target=self._serve, args=(client, number), name="server", daemon=True
                ).start()

    def _serve(self, accepted: socket.socket, number: int) -> None:
        client = accepted
        try:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                client = self.tls.wrap_socket(accepted, server_side=True)
                with self.changed:
                    self._clients = (self._clients - {accepted}) | {client}
            self.serve(client, number)
        except OSError:
            pass
        finally:
            client.close()
            with self.changed:
                self._clients -= {accepted, client}
                self.changed.notify_all()


def pump(
    one: socket.socket, other: socket.socket, moved: Callable[[int], object] = lambda count: None
) -> None:
    """Move bytes both ways until one side ends; a TLS socket is no thread's but one's."""
    while True:
        pending = [each for each in (one, other) if getattr(each, "pending", int)()]
        for source in pending or select.select([one, other], [], [])[0]:
            piece = source.recv(65_536)
            if not piece:
                return
            (other if source is one else one).sendall(piece)
            moved(len(piece))
