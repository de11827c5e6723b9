"""_transport: endpoint, certificates, proxies and what goes out, without a socket."""

import pytest
import requests_mock

from libcloud_aurora._pools import PooledAdapter
from libcloud_aurora._transport import AuroraTransport


@pytest.mark.parametrize(
    ("host", "port", "secure", "expected"),
    [
        ("h", 443, True, "https://h:443"),
        ("h", 8080, False, "http://h:8080"),
        ("::1", 443, True, "https://[::1]:443"),
    ],
)
def test_the_endpoint(host, port, secure, expected):
    """Scheme, host and port make the endpoint; an IPv6 address is put in brackets."""
    assert AuroraTransport(host, port, secure=secure).host == expected


def test_the_driver_s_adapter_is_used():
    """All requests of all threads go through the one adapter of the driver."""
    adapter = PooledAdapter()
    transport = AuroraTransport("h", 443, secure=True, adapter=adapter)
    assert transport.session.get_adapter("https://h/") is adapter
    assert transport.session.get_adapter("http://h/") is adapter


@pytest.mark.parametrize(
    ("given", "environment", "expected"),
    [
        (True, {}, True),
        (True, {"REQUESTS_CA_BUNDLE": "/r.pem"}, "/r.pem"),
        (True, {"CURL_CA_BUNDLE": "/c.pem"}, "/c.pem"),
        (False, {"REQUESTS_CA_BUNDLE": "/r.pem"}, False),
        ("/own.pem", {"REQUESTS_CA_BUNDLE": "/r.pem"}, "/own.pem"),
    ],
)
def test_certificates_are_verified_as_set(monkeypatch, given, environment, expected):
    """The driver's setting counts first, then the environment's."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert AuroraTransport("h", 443, secure=True, verify_ssl=given).verify_ssl == expected


@pytest.mark.parametrize("environment", [None, "/r.pem"])
def test_libclouds_setting_counts_before_the_environment(monkeypatch, environment):
    """Who has switched verification off for all of libcloud has done so here."""
    monkeypatch.setattr("libcloud.security.VERIFY_SSL_CERT", False)
    if environment:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", environment)
    assert AuroraTransport("h", 443, secure=True).verify_ssl is False


def test_proxies_come_from_the_driver_or_the_environment(monkeypatch):
    """A proxy given to the driver is used, else that of the environment, else none."""
    assert AuroraTransport("h", 443, secure=True).proxies == {}
    monkeypatch.setenv("HTTPS_PROXY", "http://environment:1")
    assert AuroraTransport("h", 443, secure=True).proxies["https"] == "http://environment:1"
    given = AuroraTransport("h", 443, secure=True, proxy_url="http://given:2")
    assert given.proxies == {"http": "http://given:2", "https": "http://given:2"}
    given.set_http_proxy("http://later:3")
    assert given.proxies["https"] == "http://later:3"


def test_requests_go_out_exactly_as_given(wire):
    """Path, headers and body reach the adapter unchanged; no redirect is followed."""
    wire.register_uri("PUT", requests_mock.ANY, status_code=307, headers={"Location": "http://x"})
    transport = AuroraTransport("h", 443, secure=True, timeout=7)
    path = "/b/a/../%2F//./~%C3%A9?x=%20"
    transport.request("PUT", path, body=b"data", headers={"X": "1"})
    (sent,) = wire.request_history
    assert sent._request.url == "https://h:443" + path
    assert dict(sent._request.headers) == {"X": "1"}
    assert (sent._request.body, sent.timeout, sent.verify) == (b"data", 7, True)
    assert sent.stream is True
    assert transport.response.status_code == 307


@pytest.mark.parametrize(
    ("secure", "proxy", "path"),
    [
        (False, "http://proxy:3128", "/b/%2E%2E/a/%2E/k?q=../x"),
        (False, None, "/b/../a/./k?q=../x"),
        (True, "http://proxy:3128", "/b/../a/./k?q=../x"),
    ],
)
def test_dots_are_encoded_only_where_a_proxy_needs_it(wire, secure, proxy, path):
    """Only by an http proxy, for which urllib3 rewrites URLs, are dot segments encoded."""
    wire.register_uri("GET", requests_mock.ANY)
    transport = AuroraTransport("h", 443, secure=secure, proxy_url=proxy)
    transport.request("GET", "/b/../a/./k?q=../x")
    (sent,) = wire.request_history
    assert sent._request.url == ("https" if secure else "http") + "://h:443" + path


@pytest.mark.parametrize(
    ("proxy", "asked"), [(None, [("https://h:443", 3)]), ("http://proxy:3128", [])]
)
def test_connections_are_opened_ahead_in_the_driver_s_pool(proxy, asked):
    """Connections are opened ahead where they lead to the server itself."""

    class Noting(PooledAdapter):
        asked = []  # noqa: RUF012 - one class for each test

        def open_ahead(self, origin, count, **settings):
            self.asked.append((origin, count))

    adapter = Noting()
    transport = AuroraTransport("h", 443, secure=True, adapter=adapter, proxy_url=proxy)
    transport.open_ahead(3, lambda task: None)
    assert adapter.asked == asked


def test_other_adapters_open_nothing_ahead(wire):
    """An adapter that is not the driver's, as tests use, is left alone."""
    AuroraTransport("h", 443, secure=True).open_ahead(3, lambda task: None)
    assert wire.request_history == []
