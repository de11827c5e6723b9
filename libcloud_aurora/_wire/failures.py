"""Turns an error response or a broken connection into an exception."""

from __future__ import annotations

import html
import http.client
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

import requests
import urllib3

from libcloud_aurora._s3 import encryption
from libcloud_aurora._s3.signing import seconds_to_wait
from libcloud_aurora.errors import (
    CODES_BY_STATUS,
    CODES_OF_CONTAINERS,
    MEANINGS,
    AuroraObjectsError,
    EncryptionKeyError,
    HashMismatchError,
    MalformedAnswerError,
    Meaning,
    NetworkError,
    NetworkTimeoutError,
)

#: What sending a request and reading its response raise when the network fails.
NETWORK_FAILURES = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
)

#: What radosgw says of a damaged chunk, besides XAmzContentSHA256Mismatch for the last one. The
#: multipart upload was begun with the same keys, so they cannot be the reason.
DAMAGE_CODES = frozenset({"SignatureDoesNotMatch", "InvalidArgument"})
DAMAGED = (
    "The body was damaged in transit: its SHA-256 is not the one that was signed. "
    "If this keeps happening, a proxy alters bodies, or the secret key has been changed"
)
#: Requests about a container that ``NoSuchKey`` does not answer for good.
ON_CONTAINERS = frozenset(
    {"HEAD", "GET", "GET ?versions", "GET ?uploads", "GET ?versioning", "POST ?delete", "DELETE"}
)
#: Bytes of headers above which a 400 without a body is about their size.
LARGE_HEAD = 3_500
TOO_LARGE = (
    "The metadata is too large: the request had {:,} bytes of headers. radosgw accepts 16 KiB with "
    "path and signature, and before 16.2.15 only 4 KiB; a proxy in front of it may accept less"
)
#: What a 413 means that is not S3's.
TOO_LARGE_FOR_PROXY = (
    "A proxy in front of the server limits the body of a request, as nginx does by "
    "client_max_body_size: its operator must allow at least ex_part_size"
)
#: What a 408 or 499 means that is not S3's.
TOO_SLOW_FOR_PROXY = (
    "A proxy in front of the server limits how long a request may take, as Traefik does by "
    "readTimeout: ask its operator to raise that, or lower ex_max_concurrency or ex_part_size"
)
#: What a 502 may mean where an object is read.
UNREAD = (
    "If other objects can be read, its metadata may be too large for the proxy (nginx's "
    "proxy_buffer_size)"
)
#: What a 416 means to a request that completes an upload.
TOO_MANY_PARTS = (
    "The server accepts fewer parts (rgw_multipart_part_upload_limit), or a shorter list of them "
    "(rgw_max_put_param_size): raise ex_part_size, and give the size of a stream as ex_size"
)
#: Advice on failures that are never transient, by fragments of messages of OpenSSL and others.
FINAL_FAILURES = {
    "certificate has expired": "Check this machine's clock, and the server's certificate",
    "certificate is not yet valid": "Check this machine's clock, and the server's certificate",
    "CERTIFICATE_VERIFY_FAILED": "If the authority is your own, pass the path of its "
    "certificates as ex_verify_ssl",
    "WRONG_VERSION_NUMBER": "The server does not speak TLS there: check host and port, or use "
    "secure=False",
    "ALERT_PROTOCOL_VERSION": "The server requires another version of TLS",
    "UNSUPPORTED_PROTOCOL": "The server requires another version of TLS",
    "TLS CA certificate bundle": "Check ex_verify_ssl, REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE",
    "NO_CERTIFICATE_OR_CRL_FOUND": "Check ex_verify_ssl: that file contains no certificates",
    "407 Proxy": "Check the user and the password of the proxy",
    "Failed to parse": "Check the proxy's URL",
    "for SOCKS support": "Install PySocks, as with pip install 'requests[socks]'",
}

#: How many times in a row a secret may have been encoded, and still be found.
WRITTEN = 3
#: Characters of the shortest secret that is looked for in this way.
LEAST = 4

#: How urllib3 names a connection of this package, before 2.0 without its endpoint.
_CONNECTION = re.compile(r"<libcloud_aurora[^>]*>: |(?:_\w+)\(host='([^']*)', port='?([0-9]+)'?\)")
_SECRET = re.compile(
    r"((?:signature|credential|security-token|authorization|awsaccesskeyid|customer-key(?:-md5)?)"
    r"[\"']?\s*[:=]\s*)[\"']?(?:(?:basic|bearer)\s+)?[^\s,&<]+",
    re.IGNORECASE,
)
#: Longer than any character's, and maybe longer than Python reads.
_LONG_NUMBER = re.compile(r"&#[0-9]{20,};?")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))")


class Subject(NamedTuple):
    """
    What a request is about, for its errors.

    :ivar method: The request's method, and after it, as ``?acl``, which property it is about.
    :ivar secrets: Returns what no text may show.
    """

    method: str
    bucket: str | None
    key: str | None
    driver: Any
    secrets: Callable[[], Iterable[str]] = tuple
    version_id: str = ""

    def __str__(self) -> str:
        if self.key is not None:
            version = f"version {self.version_id!r} of " if self.version_id else ""
            return f"{self.method} of {version}object {self.key!r} in container {self.bucket!r}"
        if self.bucket:
            return f"{self.method} of container {self.bucket!r}"
        return f"{self.method} of the list of containers"

    @property
    def fields(self) -> dict[str, Any]:
        """The fields that every error has."""
        return {"bucket": self.bucket, "key": self.key, "driver": self.driver}

    def clean(self, text: str, limit: int = 300) -> str:
        """Return what the other side says, on one line, shortened and without secrets."""
        secrets = sorted(self.secrets(), key=len, reverse=True)
        for secret in secrets:
            quoted = quote(secret, safe="", errors="surrogatepass")
            text = text.replace(secret, "...").replace(quoted, "...")
        readings = _readings(text)
        for form in {form for secret in secrets for form in _readings(secret)}:
            if len(form) >= LEAST and any(form in reading for reading in readings):
                return "..."
        printable = "".join(c if c.isprintable() else " " for c in text[: 4 * limit])
        return _SECRET.sub(r"\1...", " ".join(printable.split()))[:limit]

    def malformed(self, what: str, http_status: int | None = None) -> MalformedAnswerError:
        """Return the exception for a success that is not what it must be."""
        return MalformedAnswerError(
            f"{self} failed: the response is not S3: {self.clean(what)}.",
            http_status=http_status,
            **self.fields,
        )


def _readings(text: str) -> set[str]:
    """Return a text as it is, and as it was before it was written into a URL, a page or JSON."""
    readings = {text}
    for _ in range(WRITTEN):
        readings |= {read(each) for each in readings for read in (unquote, _unescape, _unbackslash)}
    return readings


def _unescape(text: str) -> str:
    return html.unescape(_LONG_NUMBER.sub("", text))


def _unbackslash(text: str) -> str:
    plain = _ESCAPE.sub(lambda match: chr(int(match[1], 16)) if match[1] else match[2], text)
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def response_error(
    subject: Subject,
    *,
    status: int,
    headers: Mapping[str, str],
    fields: Mapping[str, str],
    body: bytes = b"",
    chunked: bool = False,
    keyed: bool = False,
    head_size: int = 0,
) -> AuroraObjectsError:
    """
    Return the exception for an error response.

    :param fields: Fields of its ``<Error>`` document, if it is one.
    :param body: Its first bytes, quoted if they are not such a document.
    :param chunked: Whether the request's body was signed in chunks.
    :param keyed: Whether the request carried a customer's key.
    :param head_size: Bytes of the request's headers, without the signature.
    """
    by_status = {404: "NoSuchKey", **CODES_BY_STATUS}
    if subject.key is None:
        by_status |= {404: "NoSuchBucket", **CODES_OF_CONTAINERS.get(subject.method, {})}
    phrase = http.client.responses.get(status, f"HTTP{status}").replace(" ", "")
    code = fields.get("Code") or by_status.get(status, phrase)
    # radosgw also says this of a container that is being deleted, or whose index is resharded.
    meant = "NoSuchBucket" if code == "NoSuchKey" and subject.key is None else code
    kind, advice, _ = MEANINGS.get(meant, MEANINGS["Unauthorized"] if status == 401 else Meaning())
    said = subject.clean(fields.get("Message", ""))
    if not fields and body:
        content_type = subject.clean(headers.get("content-type", "no content type"), 80)
        begins = subject.clean(body.decode("utf-8", "replace"), 80)
        said = f"The body is not S3's, but {content_type}: {begins!r}"
    trouble = encryption.trouble(code, said, keyed=keyed)
    damaged = chunked and code in DAMAGE_CODES and not trouble
    if trouble:
        kind, advice = EncryptionKeyError, trouble
    elif damaged:
        kind, advice = HashMismatchError, DAMAGED
    elif status in (400, 431) and not fields and head_size > LARGE_HEAD:
        advice = TOO_LARGE.format(head_size)
    elif status == 413 and not fields:
        advice = TOO_LARGE_FOR_PROXY
    elif status in (408, 499) and not fields:
        advice = TOO_SLOW_FOR_PROXY
    elif status == 502 and not fields and subject.key and subject.method in ("HEAD", "GET"):
        advice = UNREAD
    elif code == "InvalidRange" and subject.key and subject.method.startswith("POST"):
        advice = TOO_MANY_PARTS
    shown = code if code in MEANINGS else subject.clean(code)
    texts = [f"{subject} failed: {shown} (HTTP {status})", said, advice]
    if 300 <= status < 400:
        target = subject.clean(headers.get("location", "nowhere")).partition("?")[0]
        texts.append(f"Redirects are not followed; this one leads to {target}")
    error = kind(
        ". ".join(text.rstrip(".") for text in texts if text) + ".",
        code=shown,
        http_status=status,
        request_id=subject.clean(headers.get("x-amz-request-id", ""), 200) or None,
        **subject.fields,
    )
    error._said = said
    error._retry_after = seconds_to_wait(headers)
    is_odd = meant != code and subject.bucket and subject.method in ON_CONTAINERS
    error._is_final = False if damaged or is_odd else None
    return error


def is_unsent(exc: BaseException | None) -> bool:
    """
    Tell whether a failure came before any of a request was sent.

    Whenever a connection to a proxy breaks, urllib3 says that it could not connect to the proxy.
    """
    exc = getattr(exc, "original_error", exc)
    is_connecting = isinstance(exc, urllib3.exceptions.ConnectTimeoutError)
    return is_connecting or "Tunnel connection failed" in str(exc)


def network_error(exc: BaseException, subject: Subject) -> NetworkError:
    """Return the exception for a request that got no response."""
    if isinstance(exc, urllib3.exceptions.ProxyError) and not is_unsent(exc):
        cause = exc.original_error
        exc = exc if isinstance(cause, urllib3.exceptions.SSLError) else cause
    # urllib3's are pairs of words and a cause
    text = (
        " ".join(map(str, exc.args))
        if isinstance(exc, urllib3.exceptions.ProtocolError)
        else str(exc)
    )
    timed_out = isinstance(exc, (requests.Timeout, TimeoutError)) or "timed out" in text
    kind = NetworkTimeoutError if timed_out else NetworkError
    said = "the server did not answer in time" if timed_out else "the connection failed"
    why = subject.clean(_CONNECTION.sub(lambda m: f"{m[1]}:{m[2]}" if m[1] else "", text))
    advice = next((f". {hint}." for part, hint in FINAL_FAILURES.items() if part in text), "")
    error = kind(f"{subject} failed: {said}: {why}{advice}", **subject.fields)
    error._is_final = bool(advice)
    return error
