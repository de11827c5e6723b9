"""The sockets: one pool per driver behind libcloud's transport seam.

Three rules of radosgw live here. Its small answers leave in two segments, so the client must
acknowledge at once (TCP_QUICKACK), or Nagle's algorithm costs 44 ms each. It closes connections
idle for 65 s, so none is reused after 30 s. A timeout counts for each slice sent, not for a body.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import Any

import requests
from libcloud.http import LibcloudConnection
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import get_environ_proxies, select_proxy
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection

from libcloud_aurora._signing import escape_dots

#: Seconds after which an idle connection is not used again.
IDLE_SECONDS = 30.0
#: Bytes handed to the socket at once; each slice has the whole timeout.
SLICE_SIZE = 1024**2
#: Bytes of a body up to which it is sent together with the head of its request.
JOINED_SIZE = 64 * 1024
#: Connections kept for reuse.
POOL_SIZE = 256

_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)


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
    pass


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


class AuroraTransport(LibcloudConnection):
    """
    libcloud's transport for one thread, over the driver's shared pool.

    Environment proxies are consulted, ``.netrc`` never; redirects are not followed; the path goes
    out exactly as it was signed.
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
        adapter: PooledAdapter | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(host, port, secure=secure, **kwargs)  # type: ignore[no-untyped-call]
        name = f"[{host}]" if ":" in host else host
        self.host = f"{'https' if secure else 'http'}://{name}:{port}"
        self.verify_ssl = self._certificates(verify_ssl)
        self._use_proxies(dict(self.session.proxies) or get_environ_proxies(self.host))
        if adapter is not None:
            self.session.mount("http://", adapter)
            self.session.mount("https://", adapter)

    def _certificates(self, verify_ssl: bool | str) -> bool | str:
        """Resolve what to verify against: the driver's setting, libcloud's, the environment's."""
        if verify_ssl is not True:
            return verify_ssl
        environment = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
        chosen: bool | str = self.verification
        return environment or chosen if chosen is True else chosen

    def set_http_proxy(self, proxy_url: str) -> None:
        super().set_http_proxy(proxy_url=proxy_url)  # type: ignore[no-untyped-call]
        self._use_proxies(dict(self.session.proxies))

    def _use_proxies(self, proxies: dict[str, str]) -> None:
        self.proxies = proxies
        self._absolute = self.host.startswith("http:") and bool(select_proxy(self.host, proxies))

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        self.prepared_request(method, url, *args, **kwargs)

    def prepared_request(
        self,
        method: str,
        url: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        raw: bool = False,
        stream: bool = False,
        **_: Any,
    ) -> None:
        if self._absolute:
            path, mark, query = url.partition("?")
            url = escape_dots(path) + mark + query  # urllib3 collapses dots in a proxy's URLs
        prepared = requests.PreparedRequest()
        prepared.method = method
        prepared.url = self.host + url
        prepared.headers = CaseInsensitiveDict(headers or {})
        prepared.body = body
        prepared.hooks = {"response": []}
        adapter = self.session.get_adapter(prepared.url)
        self.response = adapter.send(
            prepared,
            stream=True,
            timeout=self.session.timeout,
            verify=self.verify_ssl,
            proxies=self.proxies,
        )
