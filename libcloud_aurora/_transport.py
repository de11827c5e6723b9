"""libcloud's transport seam: one request goes over the driver's pool, exactly as it was signed."""

from __future__ import annotations

import os
from typing import Any

import requests
from libcloud.http import LibcloudConnection
from requests.structures import CaseInsensitiveDict
from requests.utils import get_environ_proxies, select_proxy

from libcloud_aurora._pools import PooledAdapter, Submit
from libcloud_aurora._signing import escape_dots


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

    def open_ahead(self, count: int, submit: Submit) -> None:
        """Open connections on other threads, for requests that are soon to come at once."""
        adapter = self.session.get_adapter(self.host)
        if isinstance(adapter, PooledAdapter) and not select_proxy(self.host, self.proxies):
            adapter.open_ahead(
                self.host,
                count,
                submit=submit,
                timeout=self.session.timeout,
                verify=self.verify_ssl,
                proxies=self.proxies,
            )

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
