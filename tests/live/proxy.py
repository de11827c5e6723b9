"""A TCP proxy before radosgw that counts what passes, and can hold a request or act before it."""

import contextlib
import select
import socket
import threading
from urllib.parse import parse_qs, urlsplit

PIECE = 1 << 16


class Request:
    """One request as it was seen on the wire.

    :ivar method: Such as ``PUT``.
    :ivar target: Path and query, exactly as sent.
    :ivar headers: Names in lower case.
    :ivar answered: Set when the first byte of the answer has come.
    """

    def __init__(self, head):
        first, *lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, _ = first.split(" ", 2)
        pairs = (line.partition(":") for line in lines if line)
        self.headers = {name.lower(): value.strip() for name, _, value in pairs}
        self.answered = threading.Event()

    @property
    def length(self):
        """Bytes of the body."""
        return int(self.headers.get("content-length", 0))

    @property
    def query(self):
        """The query's parameters; a sub-resource without a value maps to ``""``."""
        query = urlsplit(self.target).query
        return {k: v[0] for k, v in parse_qs(query, keep_blank_values=True).items()}

    @property
    def part(self):
        """The part number, or ``None`` when this does not send a part."""
        number = self.query.get("partNumber")
        return int(number) if number and self.method == "PUT" else None

    def __repr__(self):
        return f"<{self.method} {self.target} {self.headers.get('range', '')}>"


class Uplink:
    """Cuts what one client sends into heads and bodies."""

    def __init__(self):
        self._head = b""
        self._body_left = 0

    def cut(self, data):
        """Yield ``(bytes to forward, the request they begin or None)``."""
        while data:
            if self._body_left:
                piece, data = data[: self._body_left], data[self._body_left :]
                self._body_left -= len(piece)
                yield piece, None
                continue
            head, end, rest = (self._head + data).partition(b"\r\n\r\n")
            if not end:
                self._head = head
                return
            request = Request(head)
            self._head, self._body_left, data = b"", request.length, rest
            yield head + end, request


class Hold:
    """Requests kept back at the proxy until :attr:`release` is set."""

    def __init__(self, matches):
        self.matches = matches
        self.reached = threading.Event()
        self.release = threading.Event()


class Proxy:
    """Forward every byte to one server and remember the requests.

    :ivar requests: All requests so far, in order of arrival.
    :ivar down: Bytes of answers that were passed on, heads included.
    """

    def __init__(self, host, port):
        self.upstream = (host, port)
        self.requests = []
        self.down = 0
        self._lock = threading.Lock()
        self._arrived = threading.Condition()
        self._holds = []
        self._before = []
        self._after = []
        self._sockets = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()
        return self

    def __exit__(self, *exc_info):
        for hold in self._holds:
            hold.release.set()
        with self._lock:
            for connection in (self._listener, *self._sockets):
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def hold(self, matches):
        """Keep back every request for which ``matches(request)`` is true."""
        hold = Hold(matches)
        self._holds.append(hold)
        return hold

    def before(self, matches, action):
        """Call ``action()`` once, before the first request that matches goes on."""
        self._before.append((matches, action))

    def after(self, matches, action):
        """Call ``action()`` once, when the server has answered and before the client knows."""
        self._after.append((matches, action))

    def wait_for(self, matches):
        """Return once a request that matches has been answered; fail after a minute."""
        with self._arrived:
            found = self._arrived.wait_for(lambda: self.seen(matches), timeout=60)
        assert found, f"no such request among {self.requests}"
        assert found[0].answered.wait(60)

    def seen(self, matches):
        """Return the requests so far that match."""
        return [request for request in list(self.requests) if matches(request)]

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), name="proxy", daemon=True).start()

    def _serve(self, client):
        with client, socket.create_connection(self.upstream) as server, self._open(client, server):
            for connection in (client, server):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.suppress(OSError):
                self._exchange(client, server)

    @contextlib.contextmanager
    def _open(self, *connections):
        with self._lock:
            self._sockets.update(connections)
        try:
            yield
        finally:
            with self._lock:
                self._sockets.difference_update(connections)

    def _exchange(self, client, server):
        current, uplink = None, Uplink()
        while True:
            readable, _, _ = select.select([client, server], [], [])
            for source in readable:
                data = source.recv(PIECE)
                if not data:
                    return
                if source is server:
                    self._answer(current, data)
                    client.sendall(data)
                    continue
                for piece, request in uplink.cut(data):
                    if request is not None:
                        current = self._arrive(request)
                    server.sendall(piece)

    def _arrive(self, request):
        with self._arrived:
            self.requests.append(request)
            self._arrived.notify_all()
        self._act(self._before, request)
        for hold in self._holds:
            if hold.matches(request) and not hold.release.is_set():
                hold.reached.set()
                hold.release.wait()
        return request

    def _answer(self, request, data):
        with self._lock:
            self.down += len(data)
        if not request.answered.is_set() and not data.startswith(b"HTTP/1.1 100"):
            self._act(self._after, request)
            request.answered.set()

    def _act(self, actions, request):
        with self._arrived:
            due = [entry for entry in actions if entry[0](request)]
            actions[:] = [entry for entry in actions if entry not in due]
        for _, action in due:
            action()
