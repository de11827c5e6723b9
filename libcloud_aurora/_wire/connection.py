"""libcloud's connection: signs one request, sends it, and judges the response."""

from __future__ import annotations

import http.client
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from datetime import datetime
from functools import cached_property, partial
from io import BytesIO
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl, quote, unquote, unquote_to_bytes
from xml.etree import ElementTree

import requests
from libcloud.common.base import Connection as LibcloudsConnection
from libcloud.storage.drivers.s3 import BaseS3Connection, S3Response
from libcloud.utils.py3 import b
from requests.utils import select_proxy
from urllib3 import HTTPResponse

from libcloud_aurora._s3 import xml
from libcloud_aurora._s3.encryption import PREFIX, PREFIXES
from libcloud_aurora._s3.objects import wire_value
from libcloud_aurora._s3.signing import (
    Anonymous,
    ChunkedBody,
    Clock,
    Pieces,
    Signer,
    as_text,
    canonical_query,
    hide_dots,
    payload_sha256,
)
from libcloud_aurora._wire.failures import NETWORK_FAILURES, Subject, network_error, response_error
from libcloud_aurora._wire.retry import Retrier, logger
from libcloud_aurora._wire.transport import AuroraTransport
from libcloud_aurora.config import BUFFER_SIZE, RetryPolicy
from libcloud_aurora.errors import AuroraObjectsError, EncryptionKeyError, MalformedAnswerError

HOST = "o.auroraobjects.eu"
#: Bytes read of a body that explains an error.
ERROR_BODY_SIZE = 64 * 1024

#: What the query of a PUT begins with if its body is data.
_DATA = ("", "partNumber")

#: Matches headers: S3 servers send at least one in each response, and login pages send none.
_OF_S3 = re.compile("x-amz|etag", re.IGNORECASE).match
_LOOPBACK = re.compile(r"localhost|127(\.[0-9]{1,3}){3}|::1")

T = TypeVar("T")
Exchange = Callable[..., HTTPResponse]


class AuroraResponse(S3Response):
    """
    A successful response.

    :ivar content: Its body, empty for a streamed one.
    :ivar raw: The open body of a streamed one, to be read and released by its reader.
    """

    connection: Any

    def __init__(
        self, response: HTTPResponse, connection: Any, content: bytes, subject: Subject
    ) -> None:
        self.connection = connection
        self.status = response.status
        self.error = response.reason
        self.headers = {name.lower(): _utf8(value) for name, value in response.headers.items()}
        self.raw: Any = response
        self.content = content
        self.subject = subject

    def iter_content(self, *args: Any, **kwargs: Any) -> Iterator[bytes]:
        """Yield the body, or the rest of a streamed one, with requests' arguments and errors."""
        response = requests.Response()
        response.raw = BytesIO(self.content) if self.content else self.raw
        return response.iter_content(*args, **kwargs)

    @cached_property
    def body(self) -> str:  # type: ignore[override]
        return self.content.decode("utf-8", "replace")

    @cached_property
    def object(self) -> ElementTree.Element | str:  # type: ignore[override]
        return self.document(partial(xml.parse, namespaces=True)) if self.content else ""

    def document(self, read: Callable[[bytes], T]) -> T:
        """Return what a function reads from the body."""
        fields = xml.error_fields(self.content) if b"<Error" in self.content[:1024] else {}
        if fields:
            raise response_error(
                self.subject, status=self.status, headers=self.headers, fields=fields
            )
        try:
            return read(self.content)
        except xml.MalformedXMLError as exc:
            raise self.malformed(str(exc)) from exc

    def malformed(self, what: str) -> MalformedAnswerError:
        """Return the exception for a success whose body is not what it must be."""
        if self.content:
            what = f"{what}; its body begins with {self.subject.clean(self.body[:4096], 80)!r}"
        return self.subject.malformed(what, self.status)


class AuroraObjectsConnection(BaseS3Connection):
    """
    libcloud's connection of one driver, for all its threads. It keeps no state of a request.

    :param token: Session token of temporary credentials.
    """

    host = HOST
    conn_class = AuroraTransport
    responseCls = AuroraResponse  # type: ignore[assignment]
    rawResponseCls = AuroraResponse  # type: ignore[assignment]
    driver: Any
    connection: Any

    def __init__(
        self,
        *args: Any,
        retry: RetryPolicy | None = None,
        region: str | None = None,
        token: str | None = None,
        verify_ssl: bool | str = True,
        allow_plain_keys: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        self._allow_plain_keys = allow_plain_keys
        self.retrier = Retrier(retry or RetryPolicy())
        keys = str(self.user_id), self.key
        self.signer = Signer(*keys, token=token, region=region or "") if any(keys) else Anonymous()
        self.clock = Clock()
        self._verify_ssl = verify_ssl

    def connect(self, *args: Any, **kwargs: Any) -> None:
        if issubclass(self.conn_class, AuroraTransport):
            kwargs = {"verify_ssl": self._verify_ssl, **kwargs}
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
    ) -> AuroraResponse:
        """
        Send one request, and retry it while its failures are transient.

        :param action: Percent-encoded path, optionally with a query.
        :param params: Query parameters, not encoded.
        :param data: Body: bytes-like, text, an object with ``read``, or in chunks.
        :param stream: Leave the body on the wire, to be read from ``raw`` of the response.
        :param retry_failed: ``False`` to send it only once.
        :return: The response, always a success.
        """
        path, _, query = (self.request_path + action).partition("?")
        if hasattr(data, "read"):
            data = data.read()
        request = Request(
            self,
            method.upper(),
            quote(unquote_to_bytes(path if path.startswith("/") else f"/{path}"), safe="/~"),
            query={**dict(parse_qsl(query, keep_blank_values=True)), **(params or {})},
            headers=headers or {},
            body=data.encode() if isinstance(data, str) else data,
            stream=stream,
            read=lambda response: response,
        )
        return self.retrier.run(request.attempt, attempts=1 if retry_failed is False else None)

    @property
    def host_header(self) -> str:
        """Host name of the endpoint, with the port if it is not the scheme's default."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if int(self.port) == (443 if self.secure else 80) else f"{host}:{self.port}"

    def url(self, path: str) -> str:
        """Return the address of a percent-encoded path."""
        scheme = "https" if self.secure else "http"
        return f"{scheme}://{self.host_header}{hide_dots(path)}"

    @property
    def exchange(self) -> Exchange:
        """What sends a signed request once, over our transport or one of libcloud's mocks."""
        if isinstance(self.connection, AuroraTransport):
            return self.connection.exchange
        return partial(_ask, self.connection)

    def refuses_keys(self) -> bool:
        """Tell whether customers' keys would be sent unencrypted to another machine."""
        if self.secure or self._allow_plain_keys:
            return False
        proxies = getattr(self.connection, "proxies", {})
        proxied = bool(select_proxy(f"http://{self.host}:{self.port}", proxies))
        return proxied or not _LOOPBACK.fullmatch(self.host)

    def secrets(self, headers: Mapping[str, str]) -> list[str]:
        """
        Return what no text may show.

        These are credentials, those in proxy URLs, and keys in a request's headers.
        """
        proxies = [str(url) for url in getattr(self.connection, "proxies", {}).values()]
        logins = [url.rpartition("@")[0].rpartition("//")[2] for url in proxies]
        passwords = [login.partition(":")[2] for login in logins]
        passwords += [unquote(each) for each in passwords]
        sent = [b64encode(unquote(each).encode("latin-1", "replace")).decode() for each in logins]
        own = [self.signer.secret_key, self.signer.token or ""]
        own += [*proxies, *logins, *passwords, *sent]
        for name, value in headers.items():
            if name.lower().startswith(PREFIXES):
                own.append(value)
            elif "authorization" in name.lower():  # a proxy's as well
                _, ours, signature = value.rpartition("Signature=")
                own.append(signature if ours else value.partition(" ")[2] or value)
        return [value for value in own if value]

    def openers(self, count: int) -> list[Callable[[], None]]:
        """Return one function for each connection to open before that many requests."""
        ours = isinstance(self.connection, AuroraTransport)
        return self.connection.openers(count) if ours else []

    def is_near(self) -> bool:
        """Tell whether the server has answered as fast as only one nearby can."""
        return isinstance(self.connection, AuroraTransport) and self.connection.is_near()

    def interrupt(self, threads: Iterable[int], *, bodies: bool) -> None:
        """Break the requests of these threads, or only those without a body."""
        if isinstance(self.connection, AuroraTransport):
            self.connection.interrupt(threads, bodies=bodies)

    def close(self) -> None:
        """Close the sockets; the next request opens new ones."""
        if isinstance(self.connection, AuroraTransport):
            self.connection.close()


def _ask(transport: Any, method: str, url: str, body: Any, headers: dict[str, str]) -> HTTPResponse:
    """
    Send over a transport of libcloud's kind, which keeps its response until asked for it.

    A response whose body has been read has used up its ``raw``, or never had one.
    """
    transport.request(method=method, url=url, body=body, headers=headers)
    response: requests.Response = transport.getresponse()
    raw: HTTPResponse = response.raw
    if getattr(response, "_content_consumed", False):
        body = BytesIO(b"".join(map(b, response.iter_content(BUFFER_SIZE))))
        raw = HTTPResponse(body, status=response.status_code, preload_content=False)
        raw.reason = response.reason
        raw.headers.update(response.headers)  # their Content-Length may not be the body's
        raw.CONTENT_DECODERS = []  # it has been decoded
    return raw


class Request(Generic[T]):
    """
    One request, ready to be signed and sent any number of times.

    :param body: Bytes-like, in pieces, or in chunks.
    :param stream: Leave the body of the response on the wire.
    :param read: Reads the response; an exception from it counts as a failed attempt.
    """

    def __init__(
        self,
        connection: AuroraObjectsConnection,
        method: str,
        path: str,
        *,
        read: Callable[[AuroraResponse], T],
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, Any] | None = None,
        body: Any = None,
        stream: bool = False,
    ) -> None:
        self._connection = connection
        self._sent: dict[str, str] = {}
        self.method = method
        self._path = path
        self._query = canonical_query(query or {})
        agent = connection._user_agent()  # type: ignore[no-untyped-call]
        host = connection.host_header
        self._headers = {"Host": host, "User-Agent": agent, "Accept-Encoding": "identity"}
        given = {as_text(name): value for name, value in (headers or {}).items()}
        _put(self._headers, {name: wire_value(name, given[name]) for name in given})
        has_key = any(name.lower().startswith(PREFIXES) for name in self._headers)
        if has_key and connection.refuses_keys():
            raise EncryptionKeyError(
                f"{self.subject} failed: its key would be sent over plain http to another machine. "
                "Nothing was sent. Use https, or ex_allow_plain_keys=True.",
                **self.subject.fields,
            )
        if body or method in ("PUT", "POST"):
            _put(self._headers, connection.signer.length_headers(body))
        self._body = body
        self._sha256 = payload_sha256(body)
        self._stream = stream
        self._read = read

    def attempt(self) -> T:
        """Sign and send once, or twice if the clock is corrected, and read the response."""
        exchange, clock = self._connection.exchange, self._connection.clock
        corrected = False
        while True:
            now = clock.now()
            try:
                url, wire, headers = self._signed(self.method, self._query, self._headers, now)
                try:
                    response = exchange(self.method, url, wire, headers)
                finally:
                    if isinstance(self._body, ChunkedBody):
                        wire.close()  # its buffer goes back: a traceback would keep it
                try:
                    self._trace_response(response)
                    if not 200 <= response.status < 300:
                        raise self._refusal(response)
                    answer = self._success(response)
                except BaseException:  # Ctrl-C as well: its traceback would keep the connection
                    response.close()
                    raise
            except AuroraObjectsError as error:
                if error.code != "RequestTimeTooSkewed":
                    raise
                if corrected:
                    clock.restore()
                    raise
                if not clock.correct(response.headers.get("date"), now):
                    raise
                logger.warning("this machine's clock is wrong; using the server's: %s", error.value)
                corrected = True
            except NETWORK_FAILURES as exc:
                raise network_error(exc, self.subject) from exc
            else:  # a full disk is not a network failure
                return self._read(answer)

    def _trace_response(self, response: HTTPResponse) -> None:
        self._trace(f"HTTP {response.status} {response.reason}", response.headers)

    def _trace(self, line: str, headers: Mapping[str, str]) -> None:
        """Write to the file of ``LIBCLOUD_DEBUG``, if there is one, and show no secret there."""
        log = getattr(LibcloudsConnection.conn_class, "log", None)
        if log is not None:
            lines = [f"# {id(self):x} {line}", *(f"{name}: {headers[name]}" for name in headers)]
            log.write("".join(f"{self.subject.clean(each, 4096)}\n" for each in lines))
            log.flush()

    def _signed(
        self, method: str, query: str, headers: dict[str, str], now: datetime
    ) -> tuple[str, Any, dict[str, str]]:
        """Return URL, body and headers as they go over the wire."""
        signer = self._connection.signer
        added = signer.headers(
            method=method,
            path=self._path,
            query=query,
            headers=headers,
            payload_sha256=self._sha256,
            now=now,
        )
        wire = self._body or None
        if isinstance(wire, ChunkedBody):
            wire = signer.chunks(wire.chunks(), added)
        elif isinstance(wire, Pieces):
            wire = wire.views
        url, sent = f"{self._path}?{query}" if query else self._path, {**headers, **added}
        self._sent.update(sent)
        self._trace(f"{method} {url}", sent)
        return url, wire, sent

    def _success(self, response: HTTPResponse) -> AuroraResponse:
        page = response.headers.get("content-type", "").lower().startswith("text/html")
        if page and not any(map(_OF_S3, response.headers)):
            raise self.subject.malformed(
                "a web page, perhaps a login page or another server's", 200
            )
        try:
            content = b"" if self._stream else _read_body(response, xml.MAX_DOCUMENT_SIZE)
            if len(content) > xml.MAX_DOCUMENT_SIZE:
                raise ValueError("a document without end")
            if not self._stream:
                response.close()  # one without a length has not ended by itself
        except ValueError as exc:  # or a chunk of negative length
            raise self.subject.malformed(str(exc), response.status) from exc
        return AuroraResponse(response, self._connection, content, self.subject)

    def _refusal(self, response: HTTPResponse) -> AuroraObjectsError:
        """Return the exception for an error response; that of a HEAD is explained by a GET."""
        status, headers, body = _refused(response)
        if self.method == "HEAD" and 400 <= status < 500:
            reason = self._ask_why(one_byte=True)
            if reason[0] == 416:  # an empty object has no first byte
                reason = self._ask_why(one_byte=False)
            if reason[0] == status:
                status, headers, body = reason
            elif (status == 404 and reason[0] < 300) or (status == 403 and self.subject.key):
                # Of a container, a policy may allow one and not the other.
                return self.subject.malformed("HEAD is refused, but GET is not", status)
        fields = xml.error_fields(body)
        if status == 404 and body and not fields and not any(map(_OF_S3, headers)):
            # From a proxy that does not know its server now: it says nothing of what is there.
            begins = self.subject.clean(body.decode("utf-8", "replace"), 80)
            return self.subject.malformed(f"404, with a body that begins with {begins!r}", status)
        error = response_error(
            self.subject,
            status=status,
            headers=headers,
            fields=fields,
            body=body,
            chunked=isinstance(self._body, ChunkedBody),
            keyed=f"{PREFIX}key" in self._headers,
            head_size=sum(len(f"{name}: {value}\r\n") for name, value in self._headers.items()),
        )
        data = self.method == "PUT" and self._body and self._query.partition("=")[0] in _DATA
        missing = "if-match" in map(str.lower, self._headers)  # Ceph 20 finds nothing to match
        if data and error.code == "NoSuchKey" and not missing:
            error._is_final = False  # radosgw's response to a body that was cut off
        return error

    def _ask_why(self, *, one_byte: bool) -> tuple[int, dict[str, str], bytes]:
        """Send a GET, for no rows or for one byte, in place of a HEAD that was refused."""
        query = self._query if self.subject.key else "max-keys=0"
        ranged = {"Range": "bytes=0-0"} if self.subject.key and one_byte else {}
        now = self._connection.clock.now()
        url, _, headers = self._signed("GET", query, {**self._headers, **ranged}, now)
        response = self._connection.exchange("GET", url, None, headers)
        self._trace_response(response)
        return _refused(response)

    @cached_property
    def subject(self) -> Subject:
        """What this request is about, for its errors."""
        bucket, _, key = self._path[1:].partition("/")
        asked = dict(each.partition("=")[::2] for each in self._query.split("&"))
        of = next((f" ?{name}" for name, value in asked.items() if name and not value), "")
        driver = getattr(self._connection, "driver", None)
        names = unquote(bucket) or None, unquote(key) or None
        # Not a method of this request: a cycle would keep its body. And no repr shows them.
        connection, sent = self._connection, self._sent
        version_id = unquote(asked.get("versionId", ""))
        of_request = f"{self.method}{of}", *names, driver
        return Subject(*of_request, lambda: connection.secrets(sent), version_id)


def _put(headers: dict[str, str], more: Mapping[str, str]) -> None:
    """Add headers; one that is there already, in whatever case, is replaced."""
    known = {name.lower(): name for name in headers}
    for name, value in more.items():
        headers[known.setdefault(name.lower(), name)] = value


def _refused(response: HTTPResponse) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and the first bytes of the body of a response, and release it."""
    with closing(response):
        headers = {name.lower(): value for name, value in response.headers.items()}
        return response.status, headers, _read_body(response, ERROR_BODY_SIZE)


def _read_body(response: HTTPResponse, limit: int) -> bytes:
    """
    Read a body, or one byte more than the limit if it is too long.

    :raises http.client.IncompleteRead: if it is cut off.
    """
    content = response.read(limit + 1, decode_content=False)
    missing = response.length_remaining or 0
    if missing and len(content) <= limit:
        raise http.client.IncompleteRead(content, missing)
    return content


def _utf8(value: str) -> str:
    """Read a header value as UTF-8, which http.client has decoded as latin-1."""
    if value.isascii():
        return value
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value
