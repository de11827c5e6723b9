"""
libcloud's transport seam: one request over the driver's sockets, exactly as it was signed.

radosgw's habits shape it. It holds back the last segment of a response until all before it are
acknowledged, so the client must acknowledge them before it waits for the end (TCP_QUICKACK), or a
response takes 44 ms more. It closes connections that are idle for 65 s, so none is reused after
30 s. Small pieces are sent together with what follows, so that the server wakes once.

A timeout means silence: no byte in either direction for that long. A trickle of fewer than 1,000
bytes a second for that long fails as well. Only time spent waiting on the socket counts.
"""

from __future__ import annotations

import _socket
import contextlib
import errno
import http.client
import io
import math
import os
import queue
import re
import socket
import ssl
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any

import requests
from libcloud.http import LibcloudConnection
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies, select_proxy
from urllib3 import HTTPResponse, Retry, Timeout
from urllib3.exceptions import NewConnectionError
from urllib3.util.connection import allowed_gai_family

from libcloud_aurora._s3.signing import hide_dots
from libcloud_aurora.config import BUFFER_SIZE

#: SO_LINGER value with which closing resets. Otherwise, a server that waits for room to send more
#: would not notice the end: once a socket is shut down, Linux does not announce room that reading
#: makes. Before the response to a body, a reset would discard its end; see :data:`TAIL_SIZE`.
_RESET = struct.pack("ii", 1, 0)
#: Seconds after which an idle connection is not used again.
IDLE_SECONDS = 30.0
#: Bytes up to which a piece waits for the next one.
JOINED_SIZE = 64 * 1024
#: Bytes at the end of a large piece that leave with what follows. radosgw 18.2.7 crashes if the
#: data of a body has arrived and the connection breaks before the closing chunk has.
TAIL_SIZE = 4096
#: Bytes that are asked for at once while a head is read; Python 3.14 would ask for 128 KiB.
HEAD_SIZE = 8192
#: Once no more bytes than this are left of a response, a read may be waiting for its last segment,
#: which has at most 64 KiB and may begin inside a TLS record of 16 KiB; some bytes of the body may
#: have come with the head. Acknowledging each record before that would cost CPU time.
ACKNOWLEDGED_SIZE = (64 + 16) * 1024 + HEAD_SIZE
#: Bytes a second below which a connection counts as silent.
MIN_RATE = 1000
#: Bytes of headers at which a response has too many.
MAX_HEAD = 1024**2
#: Interim responses at which there are too many.
MAX_INTERIM = 100
#: Seconds within which the response of a server nearby may begin.
NEAR_SECONDS = 0.01
#: Connections kept for reuse.
POOL_SIZE = 256

_HEADER = re.compile(r"^([!-9;-~]+):([^\r\n]*)", re.MULTILINE)
_CONTINUED = re.compile(r"\n[ \t]+")
_NUMBER = re.compile("[0-9]{1,18}").fullmatch
_WITHOUT_BODY = (101, 204, 304)
_NO_RETRIES = Retry(False, redirect=False)

_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
_LINUX_NOTSENT_LOWAT = 25 if sys.platform == "linux" else None  # Python has it from 3.12 on
#: Limits what the kernel holds unsent: while it drains, however slowly, nothing seems to move.
_NOTSENT_LOWAT: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", _LINUX_NOTSENT_LOWAT)
NOTSENT_SIZE = 256 * 1024


class _Pace:
    """Measures how fast bytes move while waiting on a socket."""

    def __init__(self, timeout: float | None) -> None:
        self._timeout = timeout
        self._waited = 0.0
        self._moved = 0

    def moved(self, count: int, seconds: float) -> None:
        """
        Count bytes that one call has moved, and the time it took.

        :raises TimeoutError: if they trickle.
        """
        self._moved += count
        self._waited += seconds
        if self._timeout is not None and self._waited >= self._timeout:
            if count and self._moved < MIN_RATE * self._waited:
                raise TimeoutError(
                    f"timed out: fewer than {MIN_RATE} bytes a second for {self._waited:.0f} s"
                )
            self._moved, self._waited = 0, 0.0


class _Incoming(io.RawIOBase):
    """
    What http.client reads a response from, in place of its file, which is closed with this.

    :ivar left: Bytes of the body still to come, 0 or less if that is not known; a few more while
        http.client holds some that came with the head.
    """

    left = 0
    _file: Any = io.BytesIO()  # for the collector, if Ctrl-C comes just as this is made

    def __init__(self, file: Any, sock: socket.socket) -> None:
        self._file = file
        self._sock = sock
        self._pace = _Pace(sock.gettimeout())

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if _QUICKACK is not None and self.left <= ACKNOWLEDGED_SIZE:
            self._sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
        began = time.monotonic()
        count = self._sock.recv_into(buffer)
        self._pace.moved(count, time.monotonic() - began)
        self.left -= count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """Reads any number of headers, line by line; http.client reads a hundred, as an e-mail's."""

    fp: Any = None
    _method: str
    _close_conn: Callable[[], None]

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        if isinstance(sock, socket.socket):  # and not TLS in TLS, to a proxy
            file, self.fp = self.fp, None  # Ctrl-C may come before the other has it
            self.fp = io.BufferedReader(_Incoming(file, sock), HEAD_SIZE)

    def begin(self, **_: Any) -> None:
        """Read the head of the final response, and decide where its body ends."""
        version, self.status, reason = self._read_status()
        if not version.startswith("HTTP/1."):
            raise http.client.UnknownProtocol(version)
        self.version = 10 if version == "HTTP/1.0" else 11
        self.code, self.reason = self.status, reason.strip()
        self.headers = self.msg = http.client.HTTPMessage()
        known: dict[str, list[str]] = {}
        for name, value in _fields_of(self._read_head()):
            self.headers[name] = value
            known.setdefault(name.lower(), []).append(value)
        codings = ",".join(known.get("transfer-encoding", ())).lower()
        self.chunked = "chunked" in re.split("[ ,]+", codings)
        self.chunk_left = None
        if self._method == "HEAD" or self.status in _WITHOUT_BODY:
            self.length = 0
        else:
            self.length = None if self.chunked else _length_in(known.get("content-length", ()))
        wish = ",".join(known.get("connection", ())).lower()
        is_last = "close" in wish or (self.version == 10 and "keep-alive" not in wish)
        is_odd = self.status in _WITHOUT_BODY and codings  # something may follow
        self.will_close = bool(is_last or is_odd or (self.length is None and not self.chunked))
        if isinstance(incoming := getattr(self.fp, "raw", None), _Incoming):
            incoming.left = self.length or 0
        if self.length == 0:
            self._close_conn()

    def _read_status(self) -> Any:
        """Read the status of the final response."""
        for _ in range(MAX_INTERIM):
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if status >= 200 or status in _WITHOUT_BODY:
                return version, status, reason
            self._read_head()
        raise http.client.HTTPException(f"{MAX_INTERIM} interim responses")

    def _read_head(self) -> bytes:
        head = bytearray()
        while (line := self.fp.readline(MAX_HEAD)) not in (b"\r\n", b"\n"):
            head += line
            if not line:
                raise http.client.IncompleteRead(bytes(head))
            if len(head) >= MAX_HEAD:
                raise http.client.HTTPException(f"a head of more than {MAX_HEAD:,} bytes")
        return bytes(head)


def _length_in(values: Sequence[str]) -> int | None:
    """Return the length of a body, which may be given more than once, but only as one number."""
    if not values:
        return None
    length, *others = {each.strip() for value in values for each in value.split(",")}
    if others or not _NUMBER(length):
        raise http.client.HTTPException(f"Content-Length: {', '.join(values[:3])[:80]}")
    return int(length)


def _fields_of(head: bytes) -> Iterator[tuple[str, str]]:
    """
    Yield the headers of a response, and skip lines that are none.

    A continued header is read as one line: https://www.rfc-editor.org/rfc/rfc9112#section-5.2
    """
    text = _CONTINUED.sub(" ", head.decode("latin-1").replace("\r", " "))
    for name, value in _HEADER.findall(text):
        yield name, value.strip(" \t")


class _Wire:
    """Connection that joins small pieces, and sends as much as the socket accepts."""

    sock: Any
    #: The same socket by another number, to be interrupted while TLS takes it over.
    opening: Any = None
    response_class: Any = _Response
    idle_since = 0.0
    is_sending = False  # a body
    is_answered = False
    was_idle = False  # before this request
    is_interrupted = False
    fresh_in = 0  # the process that has opened it ahead of the request that will use it
    body_left = 0
    answered_in = math.inf  # seconds, the newest request without a body
    owner = 0
    used: dict[int, Any]
    _length = 0
    _is_head = False
    _joins = True
    _held = b""
    _sent = 0
    _waited = 0.0

    def claim(self) -> None:
        """Note that this thread now uses it, so that what interrupts the thread breaks it."""
        self.owner = threading.get_ident()
        self.used[self.owner] = self

    def unclaim(self) -> None:
        """Note that no thread uses it until one claims it."""
        if self.used.get(self.owner) is self:
            self.used.pop(self.owner, None)
        self.owner = 0

    def interrupt(self) -> None:
        """Break it, so that sending or receiving over it fails."""
        self.is_interrupted = True
        outer = self.sock
        if not _is_socket(outer):  # else gevent's would raise once TLS has taken it over
            outer = getattr(outer, "socket", outer)  # of TLS in TLS
        for sock in (self.opening, outer):
            if _is_socket(sock):
                if self.is_answered or not self._length:
                    with contextlib.suppress(OSError):  # a system with another form
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                with contextlib.suppress(OSError):  # no longer connected
                    _shut(sock)

    def connect(self) -> None:
        self.is_interrupted = False
        self._sent, self._waited = 0, 0.0
        try:
            super().connect()  # type: ignore[misc]
        finally:
            if self.opening is not None:
                self.opening.close()
        if _NOTSENT_LOWAT is not None and isinstance(self.sock, socket.socket):
            self.sock.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, NOTSENT_SIZE)

    def take_tickets(self) -> None:
        """
        Read what TLS 1.3 sends after its handshake, to resume sessions with.

        urllib3 mistakes an idle connection on which something has arrived for a closed one.
        """
        self.fresh_in = 0
        timeout = self.sock.gettimeout()
        self.sock.settimeout(0)
        try:
            self.sock.recv(1)
        except ssl.SSLWantReadError:
            self.sock.settimeout(timeout)
            return
        except OSError:
            pass
        self.close()  # type: ignore[attr-defined]

    def _new_conn(self: Any) -> Any:
        """Connect as urllib3 does, but keep the socket where an interruption finds it."""
        if hasattr(self, "_socks_options"):
            return super()._new_conn()  # type: ignore[misc]
        try:
            family = allowed_gai_family()
            host = self._dns_host.strip("[]")  # of a proxy
            found = socket.getaddrinfo(host, self.port, family, socket.SOCK_STREAM)
            while True:
                *kind, _, address = found.pop(0)
                self.sock = sock = socket.socket(*kind)
                try:
                    for option in self.socket_options or ():
                        sock.setsockopt(*option)
                    sock.settimeout(self.timeout)
                    sock.connect(address)
                    self.opening = sock.dup()
                    return sock
                except OSError:
                    sock.close()
                    if not found:
                        raise
        except (OSError, UnicodeError) as exc:
            said = f"connecting to {self._dns_host} failed: {exc}"
            raise NewConnectionError(self, said) from exc

    def _tunnel(self) -> None:
        self._joins = False  # the proxy's response is awaited without getresponse()
        try:
            super()._tunnel()  # type: ignore[misc]
        finally:
            self._joins = True

    def putrequest(self, method: str, *args: Any, **kwargs: Any) -> None:
        self._length = 0
        if self.sock is None:  # where no local variable of http.client holds the headers yet
            self.connect()
        super().putrequest(method, *args, **kwargs)  # type: ignore[misc]

    def putheader(self, header: str, *values: Any) -> None:
        """Take a header, as http.client does, with fewer steps."""
        if header.lower() == "content-length":
            self._length = int(values[0])
        line = f"{header}: {values[0]}"
        if not _HEADER.fullmatch(line):
            raise ValueError(f"header {header!r} cannot be sent as it is")
        self._output(line.encode("latin-1"))  # type: ignore[attr-defined]

    def endheaders(self, *args: Any, **kwargs: Any) -> None:
        self._is_head, self.body_left = True, self._length
        self.is_sending, self.is_answered = True, False
        super().endheaders(*args, **kwargs)  # type: ignore[misc]  # urllib3 1.26: and the body

    def send(self, data: Any) -> None:
        view = memoryview(data).cast("B")
        if self._is_head:
            self._is_head = False
        else:
            self.body_left -= len(view)
        if self._joins and len(view) <= JOINED_SIZE:
            self._held += view
            return
        end = len(view) - (TAIL_SIZE if self._joins and self.body_left > 0 else 0)
        view, tail = view[:end], view[end:]
        if self._held:
            # No local variable holds a head as text: a traceback may show them.
            first, view = memoryview(self._held + view[:JOINED_SIZE]), view[JOINED_SIZE:]
            self._held = b""
            self._send(first)
        self._send(view)
        self._held = bytes(tail)

    def _send(self, view: memoryview) -> None:
        timeout = self.sock.gettimeout()
        pace = _Pace(timeout)
        # What is encrypted at once has one deadline.
        is_plain = isinstance(self.sock, socket.socket) and not isinstance(self.sock, ssl.SSLSocket)
        while view:
            most = len(view) if is_plain else self._sure_to_leave(timeout or 1e6)
            began = time.monotonic()
            try:
                count = self.sock.send(view[:most])
            except (ConnectionResetError, ssl.SSLEOFError) as exc:
                # urllib3 then looks for a response, which may have come before.
                raise BrokenPipeError(errno.EPIPE, str(exc)) from exc
            seconds = time.monotonic() - began
            view = view[count:]
            pace.moved(count, seconds)
            self._sent += count
            self._waited += seconds

    def _sure_to_leave(self, timeout: float) -> int:
        """Return the bytes that leave in time even if the link becomes sixteen times slower."""
        left = self._sent - BUFFER_SIZE  # the kernel may hold the rest
        rate = left / 16 / max(self._waited, 1e-6)
        return max(16384, int(max(MIN_RATE, rate) * timeout))

    def getresponse(self) -> Any:
        if self._held:
            held, self._held = memoryview(self._held), b""
            with contextlib.suppress(BrokenPipeError):
                self._send(held)
        self.is_sending = False
        began = time.monotonic()
        response = super().getresponse()  # type: ignore[misc]
        if not self._length:  # else it may have answered before all of the body was sent
            self.answered_in = time.monotonic() - began
        self.is_answered = True
        return response


def _is_socket(sock: Any) -> bool:
    """Tell whether it is Python's, with or without TLS, or gevent's or eventlet's substitute."""
    return isinstance(sock, socket.socket | _socket.socket)


def _shut(sock: Any) -> None:
    """Shut a socket down, and leave the state of TLS alone, as the classes below TLS's do."""
    kind: Any = _socket.socket if isinstance(sock, _socket.socket) else socket.socket
    if hasattr(kind, "shutdown"):
        kind.shutdown(sock, socket.SHUT_RDWR)
    else:  # only objects of eventlet's class have it
        sock.shutdown(socket.SHUT_RDWR)


class _Idle:
    """Idle connections, the newest first, without a condition that Ctrl-C may leave locked."""

    def __init__(self, maxsize: int) -> None:
        self._connections: deque[Any] = deque()
        self._maxsize = maxsize

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        try:
            connection = self._connections.pop()
        except IndexError:
            raise queue.Empty from None
        if connection.fresh_in == os.getpid():  # a child's end must not read its parent's
            connection.take_tickets()
        return connection

    def put(self, connection: Any, block: bool = True) -> None:
        if connection is None:
            return  # urllib3 fills a new pool with placeholders
        if len(self._connections) >= self._maxsize:
            raise queue.Full
        if connection.fresh_in:  # one that is known to work goes first
            self._connections.appendleft(connection)
        else:
            self._connections.append(connection)

    def close(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self.get().close()

    def qsize(self) -> int:
        return len(self._connections)

    def usable(self) -> int:
        """Return how many are open, and not idle for too long."""
        since, known = time.monotonic() - IDLE_SECONDS, self._connections.copy()
        return sum(each.sock is not None and each.idle_since >= since for each in known)


class _Known:
    """Pool that reconnects what has been idle for too long, and knows which thread uses what."""

    QueueCls = _Idle
    used: dict[int, Any]
    fastest = math.inf  # seconds until the quickest response began
    _is_retired = False

    def _get_conn(self, timeout: float | None = None) -> Any:
        connection: Any = super()._get_conn(timeout)  # type: ignore[misc]
        if connection.sock is not None and time.monotonic() - connection.idle_since > IDLE_SECONDS:
            connection.close()
        connection.was_idle = connection.sock is not None
        connection.used = self.used
        connection.claim()
        return connection

    def _put_conn(self, connection: Any) -> None:
        if connection is not None:
            connection.unclaim()
            connection.idle_since = time.monotonic()
            self.fastest = min(self.fastest, connection.answered_in)
            if connection.body_left:  # the next request would be taken for the rest, or follow it
                connection.close()
        super()._put_conn(connection)  # type: ignore[misc]
        if self._is_retired:
            self.retire()

    def open(self, timeout: float) -> None:
        """Open a connection for a request to come."""
        connection: Any = self._new_conn()  # type: ignore[attr-defined]
        connection.timeout, connection.used = timeout, self.used
        connection.claim()
        try:
            connection.connect()
        except BaseException:
            connection.close()
            raise
        connection.fresh_in = os.getpid()
        self._put_conn(connection)

    def failed(self) -> None:
        """Close what is idle if this thread's request met a dead connection: all may be dead."""
        connection = self.used.get(threading.get_ident())
        if connection is not None and connection.was_idle and not connection.is_interrupted:
            self.pool.close()  # type: ignore[attr-defined]

    def retire(self) -> None:
        """Close idle connections now, and those in use when they are given back."""
        self._is_retired = True
        self.pool.close()  # type: ignore[attr-defined]


@cache
def _ours(pool: Any) -> type:
    """Return a pool of urllib3's kind with these connections; SOCKS has kinds of its own."""
    connection = type("_Connection", (_Wire, pool.ConnectionCls), {})
    return type("_Pool", (_Known, pool), {"ConnectionCls": connection})


class _Sockets(HTTPAdapter):
    """
    The sockets of one endpoint in one process, with requests' rules for certificates and proxies.

    :param used: Where connections in use are noted, each by the thread that uses it.
    :ivar prefix: What URLs begin with: nothing, or the endpoint for a proxy of plain http.
    """

    def __init__(
        self, origin: str, verify: bool | str, proxies: dict[str, str], used: dict[int, Any]
    ) -> None:
        super().__init__(pool_maxsize=POOL_SIZE)
        request = requests.PreparedRequest()
        request.url = f"{origin}/"
        self.pool: Any
        if hasattr(self, "get_connection_with_tls_context"):
            self.pool = self.get_connection_with_tls_context(request, verify, proxies=proxies)
        else:  # requests before 2.32
            self.pool = self.get_connection(request.url, proxies)
        self.pool.used = used
        self.cert_verify(self.pool, origin, verify, None)  # type: ignore[no-untyped-call]
        proxy = select_proxy(origin, proxies) or "socks"
        absolute = origin.startswith("http:") and not proxy.startswith("socks")
        self.prefix = origin if absolute else ""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self._make_ours(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        return self._make_ours(super().proxy_manager_for(proxy, **kwargs))

    def _make_ours(self, manager: Any) -> Any:
        pools = manager.pool_classes_by_scheme.items()
        manager.pool_classes_by_scheme = {scheme: _ours(pool) for scheme, pool in pools}
        return manager

    def close(self) -> None:
        """Close what is idle; a request that has only just taken the pool still succeeds."""
        self.pool.retire()


class AuroraTransport(LibcloudConnection):
    """
    libcloud's transport of one driver, for all its threads.

    It uses the environment's proxies but never ``.netrc``, follows no redirects, and sends the path
    exactly as it was signed.
    """

    session: Any
    host: Any

    def __init__(
        self,
        host: str,
        port: int,
        secure: Any = None,
        *,
        verify_ssl: bool | str = True,
        **kwargs: Any,
    ) -> None:
        self._sockets: dict[int, _Sockets] = {}  # by process: a forked child has its own
        self._used: dict[int, dict[int, Any]] = {}  # by process, also of sockets that were closed
        super().__init__(host, port, secure=secure, **kwargs)  # type: ignore[no-untyped-call]
        name = f"[{host}]" if ":" in host else host
        self.host = f"{'https' if secure else 'http'}://{name}:{port}"
        self.verify_ssl = self._certificates(verify_ssl)
        self.proxies: dict[str, str] = self.session.proxies or get_environ_proxies(self.host)

    def _certificates(self, verify_ssl: bool | str) -> bool | str:
        """Resolve what to verify against: the driver's setting, libcloud's, the environment's."""
        if verify_ssl is not True:
            return verify_ssl
        environment = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
        chosen: bool | str = self.verification
        return environment or chosen if chosen is True else chosen

    def set_http_proxy(self, proxy_url: str) -> None:
        """Use another proxy from the next request on."""
        super().set_http_proxy(proxy_url=proxy_url)  # type: ignore[no-untyped-call]
        self.proxies = dict(self.session.proxies)
        self.close()

    def _own(self) -> _Sockets:
        """Return this process's sockets; of several threads, the first makes them."""
        sockets = self._sockets.get(os.getpid())
        if sockets is None:
            used = self._used.setdefault(os.getpid(), {})
            made = _Sockets(self.host, self.verify_ssl, self.proxies, used)
            sockets = self._sockets.setdefault(os.getpid(), made)
        return sockets

    def openers(self, count: int) -> list[Callable[[], None]]:
        """
        Return one function for each connection to open before that many simultaneous requests.

        One is left to the request that comes before them. None is opened through a proxy, nor over
        plain http: on loopback, 256 MiB took 1.28 s, not 1.18 s, and 20 ms away just as long.
        """
        if not self.host.startswith("https:") or select_proxy(self.host, self.proxies):
            return []
        sockets = self._sockets.get(os.getpid())
        idle = sockets.pool.pool.usable() if sockets else 0
        return [lambda: self._own().pool.open(self.session.timeout)] * (count - max(1, idle))

    def is_near(self) -> bool:
        """Tell whether the server has answered as fast as only one nearby can."""
        sockets = self._sockets.get(os.getpid())
        return sockets is not None and sockets.pool.fastest < NEAR_SECONDS

    def exchange(self, method: str, url: str, body: Any, headers: dict[str, str]) -> HTTPResponse:
        """Send one request once, and return its response with the body still to read."""
        sockets = self._own()
        if sockets.prefix:
            path, mark, query = url.partition("?")
            url = f"{sockets.prefix}{hide_dots(path)}{mark}{query}"  # urllib3 collapses dots
        try:
            response: HTTPResponse = sockets.pool.urlopen(
                method,
                url,
                body=body,
                headers=headers,
                redirect=False,
                assert_same_host=False,
                preload_content=False,
                decode_content=False,
                retries=_NO_RETRIES,
                timeout=Timeout(connect=self.session.timeout, read=self.session.timeout),
            )
        except Exception:
            sockets.pool.failed()
            raise
        if response.length_remaining == 0:
            response.release_conn()
        return response

    def interrupt(self, threads: Iterable[int], *, bodies: bool) -> None:
        """
        Break the requests of some threads of this process.

        :param bodies: Whether to break even those that send a body; see :data:`TAIL_SIZE`.
        """
        used = self._used.get(os.getpid(), {})
        for thread in threads:
            connection = used.get(thread)
            if connection and connection.owner == thread and (bodies or not connection.is_sending):
                connection.interrupt()

    def close(self) -> None:
        """Close idle sockets now and others after use; the next request opens new ones."""
        sockets = self._sockets.pop(os.getpid(), None)
        if sockets is not None:
            sockets.close()
