"""No secret, signature or token in any log line, exception text, repr or traceback."""

from __future__ import annotations

import io
import logging
import pickle
import re
import traceback
from urllib.parse import quote

import libcloud
import pytest
from faults.listener import Listener
from faults.matrix import OPERATIONS
from libcloud.common.base import Connection
from libcloud.common.types import LibcloudError
from libcloud.utils.loggingconnection import LoggingConnection
from servers import plan
from servers.plan import FAULTS

TOKEN = "session/token+of=the-fault-tests"
SIGNATURE = re.compile(r"Signature=([0-9a-f]{64})")
CUSTOMER_KEY = "x-amz-server-side-encryption-customer-key"
QUICK = ("upload stream", "upload small file", "download to file", "download as stream")


def signatures(proxy):
    """Return every signature that went over the wire."""
    found = (SIGNATURE.search(r.headers.get("Authorization") or "") for r in proxy.requests)
    return [match[1] for match in found if match]


def search(scene, text):
    """Return the secrets that occur in a text."""
    secrets = [scene.backend.secret, TOKEN, TOKEN.replace("/", "%2F").replace("+", "%2B")]
    return [secret for secret in [*secrets, *signatures(scene.proxy)] if secret in text]


def texts_of(error):
    """Return everything a program may print of an exception and of those that caused it."""
    yield "".join(traceback.format_exception(error))
    chain = error
    while chain is not None:
        yield f"{chain!s} {chain!r} {getattr(chain, 'history', '')!r} {chain.args!r}"
        chain = chain.__cause__ or chain.__context__
    yield repr(pickle.loads(pickle.dumps(error)).__dict__)  # noqa: S301 - our own pickle


@pytest.fixture
def debug_log(monkeypatch):
    """What libcloud writes with ``LIBCLOUD_DEBUG`` in the environment."""
    for owner, name in ((LoggingConnection, "log"), (Connection, "conn_class")):
        monkeypatch.setattr(owner, name, getattr(owner, name))  # to be put back
    log = io.StringIO()
    libcloud.enable_debug(log)
    return log


@pytest.mark.parametrize("operation", QUICK)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_failures_tell_no_secret(scene, caplog, debug_log, fault, operation):
    """Whatever fails, logs, texts, reprs and tracebacks hold no secret."""
    caplog.set_level(logging.DEBUG)
    timeout = 0.2 if fault in (plan.STALL, plan.TRICKLE) else 10
    driver = scene.driver(token=TOKEN, ex_max_attempts=2, timeout=timeout)
    scene.proxy.plan = plan.always(fault)
    scene.may_leave_empty_uploads = True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logging.getLogger("boto3"), "disabled", True)
        try:
            OPERATIONS[operation](scene, driver, 0)
        except LibcloudError as error:
            found = [search(scene, text) for text in texts_of(error)]
            assert not any(found)
    assert signatures(scene.proxy)
    logged = "\n".join(r.getMessage() for r in caplog.records if not r.name.startswith("boto"))
    assert search(scene, logged) == []
    assert "# " in debug_log.getvalue()
    assert search(scene, debug_log.getvalue()) == []


@pytest.mark.parametrize("status", [400, 403, 500, 502])
@pytest.mark.parametrize("form", ["xml", "html", "text"])
def test_servers_that_echo_the_request(scene, driver, caplog, status, form):
    """A server or proxy that shows the request's headers in its error shows them to nobody."""
    caplog.set_level(logging.DEBUG, "libcloud_aurora")
    driver = scene.driver(token=TOKEN, ex_max_attempts=2)

    def choose(request):
        lines = "\n".join(f"{name}: {value}" for name, value in request.headers.items())
        body = {
            "xml": f"<Error><Code>Odd</Code><Message>{lines}</Message></Error>",
            "html": f"<html><body><pre>{lines}</pre></body></html>",
            "text": lines,
        }[form]
        return plan.document("echo", body.encode(), status)

    scene.proxy.plan = plan.Plan(choose)
    with pytest.raises(LibcloudError) as caught:
        driver.list_containers()
    for text in [*texts_of(caught.value), caplog.text]:
        assert search(scene, text) == []


@pytest.mark.parametrize(
    "form",
    [quote, lambda text: text.replace("=", "\\u003d"), lambda text: text.replace("=", "&amp;#61;")],
)
def test_signatures_that_are_written_otherwise(scene, driver, form):
    """A signature is found in a URL, in JSON and in a page, as other secrets are."""

    def choose(request):
        lines = form(request.headers["Authorization"])
        body = f"<Error><Code>Odd</Code><Message>{lines}</Message></Error>"
        return plan.document("echo", body.encode(), 403)

    scene.proxy.plan = plan.Plan(choose)
    with pytest.raises(LibcloudError) as caught:
        driver.list_containers()
    for text in texts_of(caught.value):
        assert search(scene, text) == []


@pytest.mark.parametrize("secure", [False, True])
def test_proxies_that_echo_a_login(scene, secure):
    """What a proxy says of a login, in the form in which it has got it, is shown to nobody."""

    def refuse(peer):
        login = peer.ask().headers["Proxy-Authorization"]
        peer.say(f"HTTP/1.1 403 not {login}\r\nContent-Length: {len(login)}\r\n\r\n{login}")

    with Listener(refuse) as proxy:
        driver = scene.driver(secure=secure, proxy_url=f"http://me:passw0rd@127.0.0.1:{proxy.port}")
        with pytest.raises(LibcloudError, match="403") as caught:
            driver.list_containers()
    assert proxy.asked
    assert "bWU6cGFzc3cwcmQ" not in str(caught.value)


def test_a_refused_signature(scene, driver, caplog):
    """AWS and others answer a wrong signature with what was signed and the right signature."""
    caplog.set_level(logging.DEBUG, "libcloud_aurora")

    def choose(request):
        signature = SIGNATURE.search(request.headers["Authorization"])[1]
        body = (
            "<Error><Code>SignatureDoesNotMatch</Code><Message>The request signature we calculated"
            f" does not match</Message><StringToSign>x</StringToSign><SignatureProvided>{signature}"
            "</SignatureProvided></Error>"
        )
        return plan.document("echo", body.encode(), 403)

    scene.proxy.plan = plan.Plan(choose)
    with pytest.raises(LibcloudError) as caught:
        driver.list_containers()
    for text in [*texts_of(caught.value), caplog.text]:
        assert search(scene, text) == []


def test_objects_tell_no_secret(scene):
    """The repr of a driver, of its connection and of what they hold shows no secret."""
    driver = scene.driver(token=TOKEN)
    driver.get_container(scene.bucket)
    parts = [driver, driver.connection, *vars(driver).values(), *vars(driver.connection).values()]
    shown = [repr(part) for part in parts if not isinstance(part, str)]
    assert not any(search(scene, text) for text in shown)
    assert not any(search(scene, str(part)) for part in (driver, driver.connection))


def test_locals_in_tracebacks(scene):
    """A traceback that shows local variables, as error trackers do, has no secret key."""
    driver = scene.driver(ex_max_attempts=1)
    scene.proxy.plan = plan.always(plan.ANSWER_500)
    with pytest.raises(LibcloudError) as caught:
        driver.list_containers()
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert scene.backend.secret not in "".join(shown.format())


def test_requests_are_logged_where_libcloud_is_told_to(scene, debug_log):
    """libcloud's debug log has each request and each response, with headers and without bodies."""
    driver = scene.driver(token=TOKEN)
    with pytest.raises(LibcloudError):
        driver.get_object(scene.bucket, "missing")
    headers = {CUSTOMER_KEY: "c2VjcmV0", "Cache-Control": "no-store"}
    driver.connection.request(f"/{scene.bucket}/a b", None, "body", headers, "PUT")
    blocks = debug_log.getvalue().split("# ")[1:]
    assert [re.search("^[0-9a-f]+ (.*)", block)[1] for block in blocks] == [
        f"HEAD /{scene.bucket}/missing",
        "HTTP 404 Not Found",
        f"GET /{scene.bucket}/missing",
        "HTTP 404 Not Found",
        f"PUT /{scene.bucket}/a%20b",
        "HTTP 200 OK",
    ]
    numbers = [block.split()[0] for block in blocks]
    assert numbers[1::2] == numbers[::2]  # a response has its request's
    for line in (
        "Authorization: ... Credential=..., SignedHeaders=",
        "x-amz-security-token: ...",
        f"{CUSTOMER_KEY}: ...",
        "Cache-Control: no-store",
    ):
        assert f"\n{line}" in blocks[-2]
    assert search(scene, debug_log.getvalue()) == []
    assert not any(text in debug_log.getvalue() for text in ("c2VjcmV0", "body"))
