"""The proxy itself: every fault is what its name says, seen with a plain HTTP client."""

from __future__ import annotations

import hashlib
import http.client
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from servers import plan
from servers.proxy import Proxy

CONTENT = bytes(range(256)) * 1024


def ask(proxy, method, path, body=None, *, timeout=5):
    """Send one request and return status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=timeout)
    with closing(connection):
        headers = {"Authorization": "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/s3/x"}
        headers["x-amz-content-sha256"] = hashlib.sha256(body or b"").hexdigest()
        connection.request(method, path, body=body, headers=headers)
        response = connection.getresponse()
        return response.status, response.read()


@pytest.fixture
def stored(backend, bucket):
    """The path of an object of 256 KiB."""
    backend.put(bucket, "stored", CONTENT)
    return f"/{bucket}/stored"


def test_forwards_what_no_plan_breaks(proxy, stored):
    """A request without a fault arrives, is answered and is logged with its bytes."""
    assert ask(proxy, "PUT", f"{stored}-2?x=1", CONTENT)[0] == 200
    assert ask(proxy, "GET", stored) == (200, CONTENT)
    first, second = proxy.requests
    assert (first.method, first.path, first.query) == ("PUT", f"{stored}-2", {"x": "1"})
    assert (first.bytes_up, second.bytes_down) == (len(CONTENT), len(CONTENT))


@pytest.mark.parametrize("fault", [plan.ANSWER_503, plan.ANSWER_500, plan.ANSWER_429])
def test_answers_instead_of_the_server(proxy, backend, bucket, fault):
    """An injected answer has the status and a document, and nothing reaches the server."""
    proxy.plan = plan.always(fault)
    status, body = ask(proxy, "PUT", f"/{bucket}/k", CONTENT)
    assert status == fault.status
    assert b"<Code>" in body
    assert backend.keys(bucket) == []


def test_answers_before_the_body(proxy, bucket):
    """The early 503 is there before one byte of the body was sent."""
    proxy.plan = plan.always(plan.EARLY_503)
    with closing(http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=5)) as connection:
        connection.putrequest("PUT", f"/{bucket}/k")
        connection.putheader("Content-Length", "1000000")
        connection.endheaders()
        assert connection.getresponse().status == 503


def test_proxy_page(proxy, stored):
    """The HTML 502 is a page of a proxy, not a document of S3."""
    proxy.plan = plan.always(plan.HTML_502)
    status, body = ask(proxy, "GET", stored)
    assert status == 502
    assert body.startswith(b"<html>")


@pytest.mark.parametrize("fault", [plan.RESET, plan.CUT_UP])
def test_resets_on_the_way_up(proxy, backend, bucket, fault):
    """A reset before the answer, or within the body, stores nothing."""
    proxy.plan = plan.always(fault)
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        ask(proxy, "PUT", f"/{bucket}/k", CONTENT * 16)
    assert backend.keys(bucket) == []


def test_cuts_a_download(proxy, stored):
    """A cut download is reset, an early end is a short body; half of it came."""
    proxy.plan = plan.always(plan.CUT_DOWN)
    with pytest.raises(ConnectionResetError):
        ask(proxy, "GET", stored)
    proxy.plan = plan.always(plan.FIN_DOWN)
    with pytest.raises(http.client.IncompleteRead):
        ask(proxy, "GET", stored)
    assert [request.bytes_down for request in proxy.requests] == [len(CONTENT) // 2] * 2


def test_loses_an_answer(proxy, backend, bucket):
    """The server has acted when the answer is lost."""
    proxy.plan = plan.always(plan.LOSE)
    with pytest.raises(ConnectionResetError):
        ask(proxy, "PUT", f"/{bucket}/k", CONTENT)
    assert backend.get(bucket, "k") == CONTENT


def test_flips_one_bit(proxy, backend, bucket, stored):
    """One bit is flipped: going up the server refuses the body, coming down it arrives."""
    proxy.plan = plan.always(plan.FLIP_UP)
    status, body = ask(proxy, "PUT", f"/{bucket}/k", CONTENT)
    assert (status, b"XAmzContentSHA256Mismatch" in body) == (400, True)
    proxy.plan = plan.always(plan.FLIP_DOWN)
    _, flipped = ask(proxy, "GET", stored)
    assert [a ^ b for a, b in zip(flipped, CONTENT, strict=True) if a != b] == [1]
    assert backend.keys(bucket) == ["stored"]


def test_stalls(proxy, stored):
    """A stall sends half of a download, or no answer at all, until the client gives up."""
    proxy.plan = plan.always(plan.STALL)
    for method, body in [("GET", None), ("PUT", CONTENT), ("HEAD", None)]:
        with pytest.raises(TimeoutError):
            ask(proxy, method, stored, body, timeout=0.2)
    assert proxy.wait_until_idle()


def test_stalls_within_an_upload(proxy, bucket):
    """A stalled upload blocks the client's writes."""
    proxy.plan = plan.always(plan.STALL_UP)
    with pytest.raises(TimeoutError):
        ask(proxy, "PUT", f"/{bucket}/k", bytes(64 << 20), timeout=0.2)
    proxy.released.set()
    assert proxy.wait_until_idle()


def test_complete_error(proxy, backend, bucket):
    """Complete is answered 200 with an error document, other requests are left alone."""
    proxy.plan = plan.always(plan.COMPLETE_ERROR)
    status, body = ask(proxy, "POST", f"/{bucket}/k?uploadId=1", b"<x/>")
    assert (status, b"<Error>" in body) == (200, True)
    assert ask(proxy, "PUT", f"/{bucket}/k", CONTENT)[0] == 200


def test_hooks_run_at_each_stage(proxy, stored):
    """A hook is called at its stage and the request goes on."""
    seen = []
    for stage in ("head", "answer", "half"):
        proxy.plan = plan.once(plan.hook(stage, lambda r: seen.append(r.bytes_down)))
        assert ask(proxy, "GET", stored) == (200, CONTENT)
    proxy.plan = plan.once(plan.hook("body", lambda r: seen.append(r.bytes_up)))
    assert ask(proxy, "PUT", stored, CONTENT)[0] == 200
    assert seen == [0, 0, len(CONTENT) // 2, len(CONTENT) // 2]


def test_plans_choose():
    """One in eight breaks exactly that share, once breaks one, in turn takes the first."""
    requests = [plan.Request("GET", "/b/k", {}, number=n) for n in range(64)]
    eighth = plan.every_eighth(plan.RESET, seed=3)
    broken = [bool(eighth(request)) for request in requests]
    assert [sum(broken[n : n + 8]) for n in range(0, 64, 8)] == [1] * 8
    again = plan.every_eighth(plan.RESET, seed=3)
    assert [bool(again(request)) for request in requests] == broken
    first = plan.in_turn(plan.once(plan.LOSE), plan.once(plan.RESET))
    assert [first(request) for request in requests[:3]] == [plan.LOSE, plan.RESET, None]


@pytest.mark.parametrize(
    ("method", "target", "operation"),
    [
        ("POST", "/b/k?uploads", "initiate"),
        ("PUT", "/b/k?partNumber=1&uploadId=u", "part"),
        ("POST", "/b/k?uploadId=u", "complete"),
        ("DELETE", "/b/k?uploadId=u", "abort"),
        ("GET", "/b/k?uploadId=u", "list-parts"),
        ("GET", "/b?uploads", "list-uploads"),
        ("PUT", "/b", "create-bucket"),
        ("DELETE", "/b/", "delete-bucket"),
        ("HEAD", "/b", "head-bucket"),
        ("GET", "/b?marker=x", "list"),
        ("POST", "/b?delete", "delete-objects"),
        ("GET", "/", "list-buckets"),
        ("HEAD", "/b/k", "head"),
        ("DELETE", "/b/a//b", "delete"),
    ],
)
def test_operations_have_names(method, target, operation):
    """A request's method, path and query give it the name of its S3 operation."""
    assert plan.Request(method, target, {}).operation == operation


def test_parts_have_numbers():
    """A request that sends a part knows which, and any other knows none."""
    assert plan.Request("PUT", "/b/k?partNumber=7&uploadId=u", {}).part == 7
    assert plan.Request("GET", "/b/k?uploadId=u&part-number-marker=7", {}).part == 0


def test_holds_requests_back(proxy, stored):
    """Requests are held where a plan says so, until they are released; others go on."""
    hold = plan.Hold()
    proxy.plan = plan.once(plan.hook("answer", hold))
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(ask, proxy, "GET", stored)
        assert hold.reached.wait(5)
        assert ask(proxy, "GET", stored) == (200, CONTENT)
        assert proxy.bytes_down == len(CONTENT)
        hold.released.set()
        assert held.result() == (200, CONTENT)
    assert proxy.wait_for(lambda: [request.status for request in proxy.requests] == [200, 200])
    assert proxy.bytes_down == 2 * len(CONTENT)


def test_speaks_tls(backend, stored, authority):
    """With a certificate the proxy ends TLS, and only who trusts the authority gets in."""
    context = authority.server_context("127.0.0.1")
    trusting = ssl.create_default_context(cafile=str(authority.bundle))
    with Proxy(backend.host, backend.port, tls=context) as proxy:
        raw = socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
        with trusting.wrap_socket(raw, server_hostname="127.0.0.1") as secure:
            secure.sendall(f"GET {stored} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert secure.recv(15) == b"HTTP/1.1 403 Fo"
        raw = socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
        with raw, pytest.raises(ssl.SSLCertVerificationError):
            ssl.create_default_context().wrap_socket(raw, server_hostname="127.0.0.1")
        assert proxy.wait_until_idle()


def test_boto3_works_through_it(proxy, backend, bucket):
    """A real S3 client with signatures and parts works through the proxy."""
    through = type(backend)("proxy", "127.0.0.1", proxy.port, backend.key, backend.secret)
    content = CONTENT * 24
    assert through.put_parts(bucket, "k", content).endswith("-2")
    assert through.get(bucket, "k") == content
    assert [request.operation for request in proxy.requests] == [
        "initiate",
        "part",
        "part",
        "complete",
        "head",
        "get",
    ]
