"""A proxy before an S3 server: it notes every request, and breaks what its plan tells it to."""

from __future__ import annotations

import http.client
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

from servers.plan import Fault, Request, never
from servers.server import Server
from servers.wire import PIECE, flip_a_bit, parse_head, read_head

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding"}
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
#: Between two pieces of a slow server's answer, and between two bytes of one that trickles.
PAUSE_SECONDS = 0.02


class ConnectionBroken(OSError):
    """The client's connection is over, by a fault or by the client itself."""


class Proxy(Server):
    """Forward every request to one upstream server, except for what the plan breaks.

    The Host header and the path travel unchanged, so signatures stay valid. ``requests`` is the
    log in order of arrival. ``released`` ends the stalls that the client cannot end.
    """

    def __init__(
        self,
        upstream_host: str,
        upstream_port: int,
        plan: Callable[[Request], Fault | None] | None = None,
        *,
        tls: ssl.SSLContext | None = None,
    ):
        super().__init__(tls=tls)
        self.upstream = (upstream_host, upstream_port)
        self.plan = plan or never()
        self.requests: list[Request] = []
        self.released = threading.Event()

    def __exit__(self, *exc_info: object) -> None:
        self.released.set()
        super().__exit__(*exc_info)

    @property
    def bytes_down(self) -> int:
        """How many bytes of bodies were sent down so far."""
        return sum(request.bytes_down for request in list(self.requests))

    def seen(self, *operations: str) -> list[Request]:
        """Return the requests of these operations, in order."""
        return [request for request in self.requests if request.operation in operations]

    def serve(self, client: socket.socket, number: int) -> None:
        """Serve requests until the connection is over."""
        with suppress(http.client.HTTPException):
            while self._serve_one(client):
                pass

    def _serve_one(self, client: socket.socket) -> bool:
        head, rest = read_head(client)
        if not head:
            return False
        request = parse_head(head)
        with self.changed:
            request.number = len(self.requests)
            self.requests.append(request)
            fault = self.plan(request)
            request.fault = fault.name if fault else ""
            self.changed.notify_all()
        Exchange(self, client, request, fault).run(head, rest)
        return (request.headers.get("Connection") or "").lower() != "close"


class Exchange:
    """One request on its way up and its answer on its way down."""

    def __init__(self, proxy: Proxy, client: socket.socket, request: Request, fault: Fault | None):
        self.proxy = proxy
        self.client = client
        self.request = request
        self.fault = fault
        self.kind = fault.kind if fault else ""

    def run(self, head: bytes, rest: bytes) -> None:
        """Do what the fault says, or forward."""
        self.call_hook("head")
        if (self.request.headers.get("Expect") or "").lower() == "100-continue":
            self.client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self.kind == "early":
            self.answer_early(rest)
        body = self.upload_pieces(rest)
        if self.kind in {"answer", "reset", "restart"} or (
            self.kind in {"stall", "trickle"} and self.request.method != "GET"
        ):
            for _ in body:
                pass
            self.answer_instead()
        else:
            self.forward(head, body)

    def call_hook(self, stage: str) -> None:
        """Let the test act at this stage of the request."""
        if self.fault and self.fault.call and self.fault.stage == stage:
            self.fault.call(self.request)

    def upload_pieces(self, rest: bytes):
        """Yield the body as it comes, cut or stalled at its middle, or with a bit flipped."""
        length = self.request.body_length
        # A flipped bit is always one of the data: at the middle of two signed chunks is the head of
        # the second, where it is sometimes a wrong signature and sometimes none.
        breach = length * 3 // 4 if self.kind == "flip-up" else length // 2
        while self.request.bytes_up < length:
            left = length - self.request.bytes_up
            limit = breach - self.request.bytes_up if self.request.bytes_up < breach else left
            piece = rest or self.client.recv(min(PIECE, limit))
            if not piece:
                raise ConnectionBroken
            piece, rest = piece[:limit], piece[limit:]
            if self.request.bytes_up == breach:
                piece = self.breached(piece)
            self.request.bytes_up += len(piece)
            yield piece

    def breached(self, piece: bytes) -> bytes:
        """Break the upload at this byte where the fault says so."""
        self.call_hook("body")
        if self.kind == "cut-up":
            self.reset()
        if self.kind == "stall-up":
            self.proxy.released.wait()
            self.reset()
        if self.kind == "flip-up":
            return bytes([piece[0] ^ 1]) + piece[1:]
        return piece

    def answer_instead(self) -> None:
        """Reset, stall, trickle or answer without asking the server."""
        if self.kind == "reset":
            self.reset()
        if self.kind == "restart":
            self.proxy.disconnect()
            raise ConnectionBroken
        if self.kind == "stall":
            self.wait_for_client()
        if self.kind == "trickle":
            self.client.sendall(b"HTTP/1.1 200 OK\r\nx-header: ")
            self.trickle()
        self.send_answer(*self.injected())

    def injected(self) -> tuple[int, list[tuple[str, str]], bytes]:
        """Return status, headers and body of the fault's own answer."""
        fault = self.fault
        body = b"" if self.request.method == "HEAD" else fault.body
        return fault.status, [*fault.headers, ("Content-Length", str(len(body)))], body

    def answer_early(self, rest: bytes) -> None:
        """Answer before the body is read, say that the connection ends, and drain."""
        status, headers, body = self.injected()
        self.send_answer(status, [*headers, ("Connection", "close")], body)
        with suppress(OSError):
            self.client.shutdown(socket.SHUT_WR)
        for _ in self.upload_pieces(rest):
            pass
        raise ConnectionBroken

    def forward(self, head: bytes, body) -> None:
        """Send the request up and the answer down."""
        with socket.create_connection(self.proxy.upstream, timeout=60) as server:
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server.sendall(head)
            for piece in body:
                with suppress(OSError):  # the server may have answered and closed already
                    server.sendall(piece)
            response = http.client.HTTPResponse(server, method=self.request.method)
            response.begin()
            content = response.read()
            headers = [(k, v) for k, v in response.getheaders() if k.lower() not in HOP_BY_HOP]
            if response.chunked:
                headers.append(("Transfer-Encoding", "chunked"))
        self.call_hook("answer")
        if self.kind == "lose":
            self.reset()
        if self.kind == "mask":
            return self.send_answer(*self.injected())
        if self.kind == "flip-down" and content and response.status < 300:
            content = flip_a_bit(content, markup=self.request.operation != "get")
        return self.send_answer(response.status, headers, content)

    def send_answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """Send an answer down, or a part of it."""
        with self.proxy.changed:
            self.request.status = status
            self.proxy.changed.notify_all()
        lines = [f"HTTP/1.1 {status} {http.client.responses.get(status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in headers]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        for piece in self.pieces(head, pauses=1 if body else 4):
            self.client.sendall(piece)
        chunked = ("Transfer-Encoding", "chunked") in headers
        middle = len(body) // 2
        self.send_body(body[:middle], chunked=chunked)
        if body:
            self.break_at_half()
        self.send_body(body[middle:], chunked=chunked)
        if chunked:
            self.client.sendall(b"0\r\n\r\n")

    def send_body(self, body: bytes, *, chunked: bool) -> None:
        """Send some bytes of the body in the framing of the answer."""
        for piece in self.pieces(body, pauses=2):
            framed = b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece
            self.request.bytes_down += len(piece)  # first: who has the bytes may ask at once
            self.client.sendall(framed)

    def pieces(self, data: bytes, *, pauses: int) -> Iterator[memoryview]:
        """Yield bytes in pieces; a slow server pauses before each of a few."""
        slow = self.kind == "slow"
        size = len(data) // pauses + 1 if slow else PIECE
        for start in range(0, len(data), size):
            if slow:
                self.proxy.released.wait(PAUSE_SECONDS)
            yield memoryview(data)[start : start + size]

    def break_at_half(self) -> None:
        """Cut, end, stall or trickle the answer from its middle on where the fault says so."""
        self.call_hook("half")
        if self.kind == "cut-down":
            self.reset()
        if self.kind == "fin-down":
            raise ConnectionBroken
        if self.kind == "stall":
            self.wait_for_client()
        if self.kind == "trickle":
            self.trickle()

    def trickle(self) -> None:
        """Send a byte now and then until the client gives up or the proxy is closed."""
        while not self.proxy.released.wait(PAUSE_SECONDS):
            self.client.sendall(b"x")
        raise ConnectionBroken

    def reset(self) -> None:
        """Close with a TCP reset."""
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        raise ConnectionBroken

    def wait_for_client(self) -> None:
        """Send nothing more; return never: the client gives up or the proxy is closed."""
        select.select([self.client], [], [])
        raise ConnectionBroken
