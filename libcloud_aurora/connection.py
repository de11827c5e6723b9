"""The one place that touches the wire: signs, sends, retries, and turns answers into values."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

import requests
import urllib3
from libcloud.storage.drivers.s3 import BaseS3Connection

from libcloud_aurora import _xml
from libcloud_aurora._bodies import ChunkedBody, Pieces, length_headers, payload_sha256
from libcloud_aurora._clock import Clock
from libcloud_aurora._encryption import PREFIX
from libcloud_aurora._failures import answer_error, describe, network_error
from libcloud_aurora._response import AuroraResponse, read_body
from libcloud_aurora._retry import Retrier, logger
from libcloud_aurora._signing import Signer, canonical_query
from libcloud_aurora._transport import AuroraTransport
from libcloud_aurora._values import wire_value
from libcloud_aurora.errors import AuroraObjectsError, MalformedAnswerError

HOST = "o.auroraobjects.eu"
#: Bytes read of a body that explains an error.
ERROR_BODY_SIZE = 64 * 1024

NETWORK_FAILURES = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
)


class AuroraObjectsConnection(BaseS3Connection):
    """libcloud's connection for one thread of one driver."""

    host = HOST
    conn_class = AuroraTransport
    responseCls = AuroraResponse
    rawResponseCls = AuroraResponse  # type: ignore[assignment]
    driver: Any
    connection: Any

    #: Set by the driver before :meth:`connect`; shared by all its threads.
    signer: Signer
    clock: Clock
    retrier: Retrier
    transport_settings: dict[str, Any]

    def connect(self, *args: Any, **kwargs: Any) -> None:
        if issubclass(self.conn_class, AuroraTransport):
            kwargs = {**self.transport_settings, **kwargs}
        super().connect(*args, **kwargs)  # type: ignore[no-untyped-call]

    def request(
        self,
        action: str,
        params: Mapping[str, Any] | None = None,
        data: Any = None,
        headers: Mapping[str, Any] | None = None,
        method: str = "GET",
        raw: bool = False,
        stream: bool = False,
        json: Any = None,
        retry_failed: bool | None = None,
        accept: Callable[[AuroraResponse], object] | None = None,
    ) -> AuroraResponse:
        """
        Send one request, and again while it fails for reasons that pass.

        :param action: Percent-encoded path, optionally with a query.
        :type action: ``str``

        :param params: Query parameters, not encoded.
        :type params: ``dict``

        :param data: Body: bytes-like, text, an object with ``read``, or in chunks.

        :param headers: Headers to add; the mapping is not changed.
        :type headers: ``dict``

        :param method: HTTP method.
        :type method: ``str``

        :param stream: Leave the body on the wire, to be read from ``raw`` of the answer.
        :type stream: ``bool``

        :param retry_failed: ``False`` to send once only.
        :type retry_failed: ``bool``

        :param accept: Reads the answer; what it raises counts as a failed attempt, and what it
            returns is the answer's ``accepted``.
        :type accept: ``Callable``

        :return: The answer, always a success.
        :rtype: :class:`AuroraResponse`

        :raises AuroraObjectsError: of the class that fits, for every other answer or none.
        """
        path, _, query = (self.request_path + action).partition("?")
        parameters = {**dict(parse_qsl(query, keep_blank_values=True)), **(params or {})}
        call = _Call(
            connection=self,
            method=method.upper(),
            path=quote(path, safe="/~%"),
            query=canonical_query(parameters),
            headers=self._wire_headers(headers or {}),
            body=_body(data),
        )
        attempts = 1 if retry_failed is False else None
        response, history = self.retrier.run(
            lambda: call.send(stream=stream, accept=accept),
            method=call.method,
            attempts=attempts,
        )
        response.history = history
        return response

    @property
    def host_header(self) -> str:
        """Name and, if it is not the scheme's default, port of the endpoint."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if int(self.port) == (443 if self.secure else 80) else f"{host}:{self.port}"

    def _wire_headers(self, headers: Mapping[str, Any]) -> dict[str, str]:
        wire = {
            "Host": self.host_header,
            "User-Agent": self._user_agent(),  # type: ignore[no-untyped-call]
            "Accept-Encoding": "identity",
        }
        for name, value in headers.items():
            wire[str(name)] = wire_value(str(name), value)
        return wire


class _Call:
    """One request, ready to be signed and sent any number of times."""

    def __init__(
        self,
        *,
        connection: AuroraObjectsConnection,
        method: str,
        path: str,
        query: str,
        headers: dict[str, str],
        body: Any,
    ) -> None:
        self.connection = connection
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.signed: datetime | None = None
        self.sha256 = payload_sha256(body)
        if body or method in ("PUT", "POST"):
            self.headers.update(length_headers(body))
        bucket, _, key = path[1:].partition("/")
        self.bucket = unquote(bucket) or None
        self.key = unquote(key) or None

    def send(
        self, *, stream: bool, accept: Callable[[AuroraResponse], object] | None
    ) -> AuroraResponse:
        """Send once, after a clock correction once more, and read the answer."""
        response = self._send_in_time(stream=stream)
        if accept is not None:
            response.accepted = accept(response)
        return response

    def _send_in_time(self, *, stream: bool) -> AuroraResponse:
        try:
            return self._send(stream=stream)
        except AuroraObjectsError as error:
            skewed = error.code == "RequestTimeTooSkewed"
            if not skewed or not self.connection.clock.correct(error.server_date, self.signed):
                raise
            logger.warning("this machine's clock is wrong; using the server's: %s", error.value)
        return self._send(stream=stream)

    def _send(self, *, stream: bool) -> AuroraResponse:
        try:
            answer = self._exchange(self.method, self.query, self.headers, self.body, stream)
            if not 200 <= answer.status_code < 300:
                raise self._refusal(answer)
            content = b"" if stream else read_body(answer, _xml.MAX_DOCUMENT_SIZE)
        except NETWORK_FAILURES as exc:
            raise network_error(exc, **self._context()) from exc
        if len(content) > _xml.MAX_DOCUMENT_SIZE:
            answer.close()
            raise self.malformed("a document without end")
        return AuroraResponse(answer, self.connection, content)

    def _exchange(
        self, method: str, query: str, headers: dict[str, str], body: Any, stream: bool
    ) -> requests.Response:
        """Sign and send one request, and return its answer with the body still to read."""
        self.signed = self.connection.clock.now()
        signed = self.connection.signer.headers(
            method=method,
            path=self.path,
            query=query,
            headers=headers,
            payload_sha256=self.sha256,
            now=self.signed,
        )
        url = f"{self.path}?{query}" if query else self.path
        chunked = isinstance(body, ChunkedBody)
        wire: Any = body.views if isinstance(body, Pieces) else body or None
        if chunked:
            wire = self.connection.signer.chunks(body.chunks(), signed)
        transport = self.connection.connection
        send = transport.prepared_request if stream else transport.request
        try:
            send(
                method=method,
                url=url,
                body=wire,
                headers={**headers, **signed},
                raw=stream,
                stream=stream,
            )
        finally:
            if chunked:
                wire.close()  # gives its buffer back: a failure would keep it in its traceback
        answer: requests.Response = transport.getresponse()
        transport.response = None
        return answer

    def _refusal(self, answer: requests.Response) -> AuroraObjectsError:
        """Return the exception for an answer that is no success, asking why if it is a HEAD's."""
        status, headers, body = _refused(answer)
        if self.method == "HEAD" and 400 <= status < 500:
            query = "" if self.key else "max-keys=0"
            ranged = {**self.headers, **({"Range": "bytes=0-0"} if self.key else {})}
            reason = self._exchange("GET", query, ranged, None, True)
            if reason.status_code == 416:  # an empty object has no first byte
                reason.close()
                reason = self._exchange("GET", query, self.headers, None, True)
            if reason.status_code == status:
                status, headers, body = _refused(reason)
            reason.close()
            if status == 403 and reason.status_code != 403:
                return self.malformed("HEAD is refused, but GET is not")
        return answer_error(
            status=status,
            headers=headers,
            fields=_xml.error_fields(body),
            body=body,
            chunked=isinstance(self.body, ChunkedBody),
            keyed=f"{PREFIX}key" in self.headers,
            **self._context(),
        )

    def malformed(self, what: str) -> MalformedAnswerError:
        """Return the exception for a success whose body is not what it must be."""
        subject = describe(self.method, self.bucket, self.key)
        return MalformedAnswerError(
            f"{subject} failed: the answer is not S3: {what}.",
            driver=self.connection.driver,
            bucket=self.bucket,
            key=self.key,
        )

    def _context(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "bucket": self.bucket,
            "key": self.key,
            "driver": self.connection.driver,
        }


def _refused(answer: requests.Response) -> tuple[int, dict[str, str], bytes]:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    body = read_body(answer, ERROR_BODY_SIZE)
    answer.close()
    return answer.status_code, headers, body


def _body(data: Any) -> Any:
    """Return a body as bytes-like, without copying one that is."""
    if hasattr(data, "read"):
        data = data.read()
    return data.encode() if isinstance(data, str) else data
