"""moto's server, as strict about bodies as radosgw, and with keys of customers (SSE-C)."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import io
import logging
import threading
from collections.abc import Iterator

from moto.moto_server.threaded_moto_server import ThreadedMotoServer
from moto.s3.models import s3_backends
from servers.backend import Backend
from servers.customer_keys import WithCustomerKeys
from servers.signed_chunks import STREAMING, RefusedError, decode

HASH_HEADER = "HTTP_X_AMZ_CONTENT_SHA256"
SECRET_KEY = "s3cr3t-of-the-fault-tests"


class Moto(Backend):
    """moto's server in this process."""

    def fill(self, bucket: str, count: int) -> None:
        """Store many empty objects without asking over the wire."""
        (account,) = s3_backends.values()
        for number in range(count):
            account["aws"].put_object(bucket, f"key-{number:05d}", b"")


class VerifyBodies:
    """Refuse a body that is short or not what its hash says, as radosgw does."""

    def __init__(self, application):
        self.application = application

    def __call__(self, environ, start_response):
        expected = environ.get(HASH_HEADER, "")
        length = int(environ.get("CONTENT_LENGTH") or 0)
        signed = len(expected) == hashlib.sha256().digest_size * 2 or expected == STREAMING
        if length == 0 or not signed:
            return self.application(environ, start_response)
        body = environ["wsgi.input"].read(length)
        if len(body) < length:
            return refuse(start_response, "RequestTimeout")
        try:
            body = verified(body, expected, environ)
        except RefusedError as refusal:
            return refuse(start_response, str(refusal))
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        return self.application(environ, start_response)


def verified(body: bytes, expected: str, environ) -> bytes:
    """Return what a body holds; one in signed chunks is taken apart, and moto need not know."""
    if expected == STREAMING:
        stamp = environ["HTTP_X_AMZ_DATE"]
        data = decode(body, environ["HTTP_AUTHORIZATION"], stamp, SECRET_KEY)
        if str(len(data)) != environ.pop("HTTP_X_AMZ_DECODED_CONTENT_LENGTH"):
            raise RefusedError("IncompleteBody")
        environ[HASH_HEADER] = hashlib.sha256(data).hexdigest()
        return data
    if hashlib.sha256(body).hexdigest() != expected:
        raise RefusedError("XAmzContentSHA256Mismatch")
    return body


def refuse(start_response, code: str) -> list[bytes]:
    """Answer in the words of radosgw."""
    status = 403 if code == "SignatureDoesNotMatch" else 400
    body = f"<Error><Code>{code}</Code><Message></Message><RequestId>tx</RequestId></Error>"
    reason = http.client.responses[status]
    start_response(f"{status} {reason}", [("Content-Type", "application/xml")])
    return [body.encode()]


class OneAtATime:
    """Keep others from an upload that moto completes: it is gone before its object is there."""

    def __init__(self, application):
        self.application = application
        self.lock = threading.Lock()

    def __call__(self, environ, start_response):
        is_put = environ["REQUEST_METHOD"] == "PUT"  # whose body may never come
        with contextlib.nullcontext() if is_put else self.lock:
            return self.application(environ, start_response)


class RememberListings:
    """Answer a listing of a bucket that never changes from memory: moto takes 0.3 s for a page."""

    def __init__(self, application, bucket: str):
        self.application = application
        self.path = f"/{bucket}"
        self.answers: dict[str, tuple] = {}

    def __call__(self, environ, start_response):
        if environ["REQUEST_METHOD"] != "GET" or environ["PATH_INFO"].rstrip("/") != self.path:
            return self.application(environ, start_response)
        query = environ["QUERY_STRING"]
        if query not in self.answers:
            said = []
            body = b"".join(self.application(environ, lambda *answer: said.append(answer)))
            self.answers[query] = said[0], body
        answer, body = self.answers[query]
        start_response(*answer)
        return [body]


@contextlib.contextmanager
def running_moto() -> Iterator[Moto]:
    """Run moto's threaded server on a free port, with bodies verified and keys of customers."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # no line per request
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        remembering = RememberListings(server._server.app, "moto-shared-listed")
        server._server.app = VerifyBodies(OneAtATime(WithCustomerKeys(remembering)))
        host, port = server.get_host_and_port()
        yield Moto("moto", host, port, "AKIDFAULTS", SECRET_KEY)
    finally:
        server.stop()
