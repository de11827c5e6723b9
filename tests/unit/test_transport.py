"""libcloud's transport: which endpoint, certificates and proxy a request goes out with."""

import io
import threading
from typing import Any, NamedTuple

import pytest
import urllib3
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

from libcloud_aurora.errors import EncryptionKeyError


class Sent(NamedTuple):
    """One request as urllib3 was asked to send it, and the pool that was asked."""

    pool: Any
    method: str
    url: str
    options: dict


@pytest.fixture
def sent(monkeypatch):
    """What urllib3's pools are asked for, in place of sending it."""
    sent = []

    def urlopen(pool, method, url, **options):
        sent.append(Sent(pool, method, url, options))
        headers = {"Set-Cookie": "a=b", "Content-Length": "4", "X": "1"}
        return HTTPResponse(
            io.BytesIO(b"body"), headers, status=207, reason="Multi", preload_content=False
        )

    monkeypatch.setattr(urllib3.HTTPConnectionPool, "urlopen", urlopen)
    return sent


@pytest.fixture
def asked(sent, new_driver):
    """Make a driver, send one request, and return what its pool was asked for."""

    def asked(**arguments):
        new_driver(**arguments).connection.request("/b/k")
        return sent[-1]

    return asked


@pytest.fixture
def bundles(tmp_path, monkeypatch):
    """Bundles of certificates that exist, so that their paths are taken."""
    for name in ("requests", "curl", "own"):
        (tmp_path / name).write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "endpoint"),
    [
        ({}, ("https", "o.auroraobjects.eu", 443)),
        ({"host": "h", "port": 8080, "secure": False}, ("http", "h", 8080)),
        ({"host": "h", "port": 8443}, ("https", "h", 8443)),
        ({"host": "::1"}, ("https", "[::1]", 443)),
    ],
)
def test_the_endpoint(asked, arguments, endpoint):
    """Scheme, host and port make the endpoint; an IPv6 address is put in brackets."""
    pool = asked(**arguments).pool
    assert (pool.scheme, pool.host.strip("[]"), pool.port) == (
        endpoint[0],
        endpoint[1].strip("[]"),
        endpoint[2],
    )


def test_one_pool_serves_all_requests_of_a_driver(sent, new_driver):
    """Requests of one driver share a pool; each driver has its own, and a new one once closed."""
    one, two = new_driver(), new_driver()
    for driver in (one, one, two):
        driver.connection.request("/b/k")
    one.close()
    one.connection.request("/b/k")
    first, again, others, renewed = [each.pool for each in sent]
    assert first is again
    assert len({id(first), id(others), id(renewed)}) == 3


@pytest.mark.parametrize(
    ("given", "environment", "expected"),
    [
        (True, {}, ""),
        (True, {"REQUESTS_CA_BUNDLE": "requests"}, "requests"),
        (True, {"CURL_CA_BUNDLE": "curl"}, "curl"),
        (True, {"CURL_CA_BUNDLE": "curl", "REQUESTS_CA_BUNDLE": "requests"}, "requests"),
        (False, {"REQUESTS_CA_BUNDLE": "requests"}, None),
        ("own", {"REQUESTS_CA_BUNDLE": "requests"}, "own"),
    ],
)
def test_certificates_are_verified_as_set(
    asked, bundles, monkeypatch, given, environment, expected
):
    """The driver's setting counts first, then the environment's."""
    for name, value in environment.items():
        monkeypatch.setenv(name, str(bundles / value))
    given = str(bundles / given) if isinstance(given, str) else given
    pool = asked(ex_verify_ssl=given).pool
    assert pool.cert_reqs == ("CERT_NONE" if expected is None else "CERT_REQUIRED")
    if expected:
        assert pool.ca_certs == str(bundles / expected)
    else:
        assert not str(pool.ca_certs).startswith(str(bundles))


@pytest.mark.parametrize("environment", [None, "requests"])
def test_libclouds_setting_counts_before_the_environment(asked, bundles, monkeypatch, environment):
    """Who has switched verification off for all of libcloud has done so here."""
    monkeypatch.setattr("libcloud.security.VERIFY_SSL_CERT", False)
    if environment:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundles / environment))
    assert asked().pool.cert_reqs == "CERT_NONE"


def test_libclouds_bundle_is_used(asked, bundles, monkeypatch):
    """Who has given libcloud a bundle of certificates has given it to this driver."""
    monkeypatch.setattr("libcloud.security.CA_CERTS_PATH", str(bundles / "own"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundles / "requests"))
    pool = asked().pool
    assert (pool.cert_reqs, pool.ca_certs) == ("CERT_REQUIRED", str(bundles / "own"))


def proxy_of(pool):
    return pool.proxy and f"{pool.proxy.host}:{pool.proxy.port}"


@pytest.mark.parametrize("secure", [True, False])
def test_proxies_come_from_the_driver_or_the_environment(sent, new_driver, monkeypatch, secure):
    """A proxy given to the driver is used, else that of the environment, else none."""

    def used(driver):
        driver.connection.request("/b/k")
        return proxy_of(sent[-1].pool)

    assert used(new_driver(secure=secure)) is None
    monkeypatch.setenv("HTTPS_PROXY" if secure else "HTTP_PROXY", "http://environment:1")
    assert used(new_driver(secure=secure)) == "environment:1"
    driver = new_driver(secure=secure, proxy_url="http://given:2")
    assert used(driver) == "given:2"
    driver.connection.connection.set_http_proxy("http://later:3")
    assert used(driver) == "later:3"
    monkeypatch.setenv("NO_PROXY", "auroraobjects.eu")
    assert used(new_driver(secure=secure)) is None


@pytest.mark.parametrize(
    ("secure", "proxy", "url"),
    [
        (False, "http://proxy:3128", "http://o.auroraobjects.eu:80/b%2F../a%2F./k?q=..%2Fx"),
        (False, None, "/b/../a/./k?q=..%2Fx"),
        (True, "http://proxy:3128", "/b/../a/./k?q=..%2Fx"),
        (True, None, "/b/../a/./k?q=..%2Fx"),
    ],
)
def test_dots_are_hidden_only_where_a_proxy_needs_it(asked, sent, new_driver, secure, proxy, url):
    """Only by an http proxy, for which urllib3 rewrites URLs, are dot segments hidden."""
    driver = new_driver(secure=secure, proxy_url=proxy)
    driver.connection.request("/b/../a/./k?q=../x")
    assert sent[-1].url == url


def test_requests_go_out_as_they_are_and_once(sent, new_driver):
    """Path, headers and body reach urllib3 unchanged, which is to follow and repeat nothing."""
    body = memoryview(b"data")
    connection = new_driver(timeout=7).connection
    response = connection.request(
        "/b//%2E/~%C3%A9?x=%20", data=body, method="PUT", headers={"X": 1}
    )
    (request,) = sent
    assert (request.method, request.url) == ("PUT", "/b//./~%C3%A9?x=%20")
    assert request.options["body"] is body
    assert request.options["headers"]["X"] == "1"
    retries = request.options["retries"]
    assert (request.options["redirect"], retries.total, retries.redirect) == (False, False, 0)
    timeout = request.options["timeout"]
    assert (timeout.connect_timeout, timeout.read_timeout) == (7, 7)
    assert (response.status, response.error, response.headers["x"]) == (207, "Multi", "1")
    assert response.content == b"body"


def test_a_streamed_response_comes_unread_and_undecoded(sent, new_driver):
    """The body of a response is left to its reader, as the server has sent it."""
    response = new_driver().connection.request("/b/k", stream=True)
    assert not sent[0].options["preload_content"]
    assert not sent[0].options["decode_content"]
    assert response.raw.read() == b"body"


def test_older_requests_find_the_pool_another_way(sent, new_driver, monkeypatch):
    """With requests before 2.32 the pool is found by its older method."""
    monkeypatch.delattr(HTTPAdapter, "get_connection_with_tls_context", raising=False)
    monkeypatch.setattr(
        HTTPAdapter,
        "get_connection",
        lambda adapter, url, proxies: adapter.poolmanager.connection_from_url(url),
    )
    new_driver().connection.request("/b/k")
    assert (sent[0].pool.host, sent[0].pool.cert_reqs) == ("o.auroraobjects.eu", "CERT_REQUIRED")


def test_without_a_socket_nothing_is_interrupted(new_driver):
    """Whoever has sent nothing has no connection to break."""
    connection = new_driver().connection
    connection.interrupt([threading.get_ident()], bodies=True)
    connection.close()


KEY = {"x-amz-server-side-encryption-customer-key": "c2VjcmV0"}


@pytest.mark.parametrize(
    ("arguments", "goes"),
    [
        ({"secure": False}, False),
        ({"secure": False, "host": "127.0.0.1.example"}, False),
        ({"secure": False, "host": "localhost", "proxy_url": "http://proxy:3128"}, False),
        ({"secure": False, "ex_allow_plain_keys": True}, True),
        ({"secure": False, "host": "localhost"}, True),
        ({"secure": False, "host": "127.1.2.3"}, True),
        ({"secure": False, "host": "::1"}, True),
        ({}, True),
        ({"proxy_url": "http://proxy:3128"}, True),
    ],
)
def test_customers_keys_do_not_leave_this_machine_in_the_open(sent, new_driver, arguments, goes):
    """Over plain http to another machine a customer's key is not sent, unless that is wanted."""
    connection = new_driver(**arguments).connection
    connection.request("/b/k", headers={"x-amz-meta-customer-key": "4711"})  # is none
    sent.clear()
    if goes:
        connection.request("/b/k", headers=KEY)
        assert sent[0].options["headers"].items() >= KEY.items()
        return
    with pytest.raises(EncryptionKeyError, match="Nothing was sent") as caught:
        connection.request("/b/k", headers=KEY)
    assert (caught.value.bucket, caught.value.key) == ("b", "k")
    assert KEY["x-amz-server-side-encryption-customer-key"] not in str(caught.value)
    assert sent == []
