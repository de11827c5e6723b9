"""The sockets: the pools of connections that all threads of a driver share.

Three rules of radosgw live here. Its small answers leave in two segments, so the client must
acknowledge at once (TCP_QUICKACK), or Nagle's algorithm costs 44 ms each. It closes connections
idle for 65 s, so none is reused after 30 s. A timeout counts for each slice sent, not for a body.
And two of speed: the head of a request leaves with a small body, and a chunk's signature with the
chunk (MSG_MORE), so that the server wakes once.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import select_proxy
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection

from libcloud_aurora._signing import Prefix

#: Seconds after which an idle connection is not used again.
IDLE_SECONDS = 30.0
#: Bytes handed to the socket at once; each slice has the whole timeout.
SLICE_SIZE = 1024**2
#: Bytes of a body up to which it is sent together with the head of its request.
JOINED_SIZE = 64 * 1024
#: Connections kept for reuse.
POOL_SIZE = 256

#: Runs a call on another thread.
Submit = Callable[[Callable[[], None]], object]

_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
#: Not on macOS, where what precedes a chunk leaves at once.
_MORE: int = getattr(socket, "MSG_MORE", 0)


class _Slices:
    """Connection that sends slices of large bodies, small ones with their head; acknowledges."""

    sock: socket.socket | None
    idle_since = 0.0
    _waits_for_body = False
    _head = b""

    def request(self, method: str, url: str, body: Any = None, *args: Any, **kwargs: Any) -> None:
        """Send a request; one segment wakes the server once, two wake it twice."""
        small = isinstance(body, (bytes, bytearray, memoryview)) and len(body) <= JOINED_SIZE
        self._waits_for_body = small and len(body) > 0
        self._head = b""  # a request that was interrupted may have left one
        super().request(method, url, body, *args, **kwargs)  # type: ignore[misc]

    def send(self, data: Any) -> None:
        if self._waits_for_body:
            self._waits_for_body = False
            self._head = data
            return
        if self._head:
            data, self._head = b"".join((self._head, data)), b""
        if isinstance(data, (bytes, bytearray, memoryview)) and len(data) > SLICE_SIZE:
            view = memoryview(data)
            for offset in range(0, len(view), SLICE_SIZE):
                super().send(view[offset : offset + SLICE_SIZE])  # type: ignore[misc]
        else:
            super().send(data)  # type: ignore[misc]

    def getresponse(self) -> Any:
        if _QUICKACK is not None and self.sock is not None:
            self.sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
        return super().getresponse()  # type: ignore[misc]


class _Connection(_Slices, HTTPConnection):
    def send(self, data: Any) -> None:
        if isinstance(data, Prefix) and self.sock is not None:
            self.sock.sendall(data, _MORE)
        else:
            super().send(data)


class _TLSConnection(_Slices, HTTPSConnection):
    pass


class _IdleLimit:
    """Pool that reconnects what has been idle for too long."""

    def _get_conn(self, timeout: float | None = None) -> Any:
        connection = super()._get_conn(timeout)  # type: ignore[misc]
        if connection.sock is not None and time.monotonic() - connection.idle_since > IDLE_SECONDS:
            connection.close()
        return connection

    def _put_conn(self, connection: Any) -> None:
        if connection is not None:
            connection.idle_since = time.monotonic()
        super()._put_conn(connection)  # type: ignore[misc]


class _Pool(_IdleLimit, HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(_IdleLimit, HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


_POOLS = {"http": _Pool, "https": _TLSPool}


def _open(pool: Any, connection: Any) -> None:
    """Open a connection; whoever needs it later tries again, and says why, if this fails."""
    try:
        connection.connect()
    except (OSError, urllib3.exceptions.HTTPError):
        connection.close()
    finally:
        pool._put_conn(connection)


class PooledAdapter(HTTPAdapter):
    """requests' adapter over the pools above, without its cookies and its work per request."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pools: dict[tuple[Any, ...], tuple[Any, bool]] = {}
        super().__init__(pool_maxsize=POOL_SIZE)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not proxy.startswith("socks"):  # whose connections are of another kind
            manager.pool_classes_by_scheme = _POOLS
        return manager

    def close(self) -> None:
        """Close all sockets now; urllib3 leaves that to the garbage collector."""
        with self._lock:
            for pool, _ in self._pools.values():
                pool.close()
            self._pools.clear()
            super().close()

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        """Send over a pooled connection; failures are urllib3's, and nothing is tried twice."""
        url = request.url or ""
        origin, path = url[: url.index("/", 8)], url[url.index("/", 8) :]
        pool, proxied = self._pool(origin, request, verify, proxies)
        raw = pool.urlopen(
            request.method,
            url if proxied else path,
            body=request.body,
            headers=request.headers,
            redirect=False,
            assert_same_host=False,
            preload_content=False,
            decode_content=False,
            retries=False,
            timeout=Timeout(connect=timeout, read=timeout),
        )
        response = requests.Response()
        response.status_code = raw.status
        response.headers = raw.headers
        response.raw = raw
        response.reason = raw.reason
        response.url = url
        response.request = request
        return response

    def open_ahead(
        self, origin: str, count: int, *, submit: Submit, timeout: Any, verify: Any, proxies: Any
    ) -> None:
        """Have idle connections to an endpoint: take as many, and open those that are not open."""
        request = requests.PreparedRequest()
        request.url = f"{origin}/"
        pool, _ = self._pool(origin, request, verify, proxies)
        try:
            taken = [pool._get_conn() for _ in range(count)]
        except urllib3.exceptions.ClosedPoolError:  # by another thread; a request would say so
            return
        for connection in taken:
            if connection.sock is None:
                connection.timeout = timeout
                submit(partial(_open, pool, connection))
            else:
                pool._put_conn(connection)

    def _pool(
        self, origin: str, request: requests.PreparedRequest, verify: Any, proxies: Any
    ) -> tuple[Any, bool]:
        """Return the pool of an endpoint, and whether it needs absolute URLs; found out once."""
        key = (origin, *sorted((proxies or {}).items()))
        with self._lock:
            found = self._pools.get(key)
            if found is None:
                found = self._pools[key] = self._new_pool(origin, request, verify, proxies)
        return found

    def _new_pool(
        self, origin: str, request: requests.PreparedRequest, verify: Any, proxies: Any
    ) -> tuple[Any, bool]:
        if hasattr(self, "get_connection_with_tls_context"):
            pool = self.get_connection_with_tls_context(request, verify, proxies=proxies)
        else:  # requests before 2.32
            pool = self.get_connection(request.url or "", proxies)
        self.cert_verify(pool, origin, verify, None)  # type: ignore[no-untyped-call]
        proxy = select_proxy(origin, proxies)
        return pool, origin.startswith("http:") and (proxy or "socks")[:5] != "socks"
