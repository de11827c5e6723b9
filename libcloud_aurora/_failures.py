"""From what went wrong to the exception that says so."""

from __future__ import annotations

import re
from typing import Any

import requests

from libcloud_aurora import _encryption
from libcloud_aurora._clock import seconds_to_wait
from libcloud_aurora._secrets import redact
from libcloud_aurora.errors import (
    ERROR_CLASSES,
    AuroraObjectsError,
    EncryptionKeyError,
    HashMismatchError,
    NetworkError,
    NetworkTimeoutError,
)

#: What an answer without a body means, by status.
STATUS_CODES = {
    400: "BadRequest",
    403: "AccessDenied",
    405: "MethodNotAllowed",
    409: "Conflict",
    411: "MissingContentLength",
    412: "PreconditionFailed",
    416: "InvalidRange",
    423: "Locked",
    429: "TooManyRequests",
    500: "InternalError",
    501: "NotImplemented",
    502: "BadGateway",
    503: "ServiceUnavailable",
    504: "GatewayTimeout",
}

#: What the reader can do about it.
ADVICE = {
    "InvalidAccessKeyId": "Check the access key given to the driver.",
    "SignatureDoesNotMatch": "Check the secret key given to the driver.",
    "AccessDenied": "The container may belong to another account, or its policy forbids this.",
    "RequestTimeTooSkewed": "Set this machine's clock.",
    "InvalidRange": "The range starts at or after the end of the object.",
    "NoSuchBucket": "Check its name, or make it with create_container().",
    "InvalidBucketName": "Names are 3 to 63 lower case letters, digits, dots and hyphens.",
    "InvalidArgument": "Check the values given, such as acl in extra and those in headers.",
    "BucketNotEmpty": "Delete its objects first.",
    "QuotaExceeded": "Ask the operator for more space, or delete objects.",
    "SlowDown": "The server limits the rate of requests.",
    "EntityTooLarge": "One request may carry 5 GiB at most.",
}
#: What radosgw says of a chunk that was damaged on its way, its length or its signature included,
#: beside XAmzContentSHA256Mismatch of the last one: the multipart upload was begun with the same
#: keys, so they cannot be the reason.
DAMAGE_CODES = frozenset({"SignatureDoesNotMatch", "InvalidArgument"})
DAMAGED = (
    "The body was damaged on its way: its SHA-256 is not the one that was signed. "
    "If that goes on, something on the way alters bodies, or the secret key has been changed"
)


#: What a failure of TLS means; none of these passes. Fragments of OpenSSL's texts.
TLS_ADVICE = {
    "CERTIFICATE_VERIFY_FAILED": "If the authority is your own, ex_verify_ssl takes the path of "
    "its certificates",
    "WRONG_VERSION_NUMBER": "Nothing speaks TLS there: check host and port, or use secure=False",
}
#: How urllib3 names a connection of this package, before 2.0 without its endpoint.
_CONNECTION = re.compile(r"<libcloud_aurora[^>]*>: |(?:_\w+)\(host='([^']*)', port='?([0-9]+)'?\)")


def describe(method: str, bucket: str | None, key: str | None) -> str:
    """Say which request a message is about."""
    if key is not None:
        return f"{method} of object {key!r} in container {bucket!r}"
    return f"{method} of container {bucket!r}" if bucket else f"{method} of the list of containers"


def answer_error(
    *,
    method: str,
    bucket: str | None,
    key: str | None,
    status: int,
    headers: dict[str, str],
    fields: dict[str, str],
    body: bytes,
    driver: Any,
    chunked: bool = False,
    keyed: bool = False,
) -> AuroraObjectsError:
    """
    Return the exception for an answer that is no success.

    :param headers: Headers of the answer, names in lower case.
    :param fields: Fields of its ``<Error>`` document, if it is one.
    :param body: Its first bytes, quoted when they are no such document.
    :param chunked: Whether the request's body was signed in chunks.
    :param keyed: Whether the request carried an object's encryption key.
    """
    code = fields.get("Code") or STATUS_CODES.get(status) or _missing(status, bucket, key)
    said = redact(fields.get("Message", ""))
    if not fields and body:
        kind = headers.get("content-type", "no content type")
        said = f"the body is not S3 but {kind}: {redact(body.decode('utf-8', 'replace'), 80)!r}"
    parts = [f"{describe(method, bucket, key)} failed: {redact(code)} (HTTP {status})"]
    trouble = _encryption.trouble(code, said, keyed=keyed)
    damaged = chunked and code in DAMAGE_CODES and not trouble
    advice = trouble or (DAMAGED if damaged else ADVICE.get(code, ""))
    parts += [text for text in (said, advice) if text]
    if 300 <= status < 400:
        target = redact(headers.get("location", "nowhere").partition("?")[0])
        parts.append(f"Redirects are not followed; this one leads to {target}")
    kind_of_error = ERROR_CLASSES.get(code, AuroraObjectsError)
    if trouble or damaged:
        kind_of_error = EncryptionKeyError if trouble else HashMismatchError
    error = kind_of_error(
        ". ".join(part.rstrip(".") for part in parts) + ".",
        driver=driver,
        code=redact(code),
        http_status=status,
        request_id=headers.get("x-amz-request-id"),
        bucket=bucket,
        key=key,
    )
    error.retry_after = seconds_to_wait(headers)
    error.server_date = headers.get("date")
    error.is_final = False if damaged else None
    return error


def _missing(status: int, bucket: str | None, key: str | None) -> str:
    if status != 404:
        return f"HTTP{status}"
    return "NoSuchKey" if key is not None else "NoSuchBucket"


def network_error(
    exc: BaseException, *, method: str, bucket: str | None, key: str | None, driver: Any
) -> NetworkError:
    """Return the exception for a request without an answer."""
    timed_out = isinstance(exc, (requests.Timeout, TimeoutError)) or "timed out" in str(exc)
    kind = NetworkTimeoutError if timed_out else NetworkError
    said = "the server did not answer in time" if timed_out else "the connection failed"
    why = redact(_CONNECTION.sub(_endpoint, str(exc)))
    advice = next((f". {text}." for part, text in TLS_ADVICE.items() if part in why), "")
    error = kind(
        f"{describe(method, bucket, key)} failed: {said}: {why}{advice}",
        driver=driver,
        bucket=bucket,
        key=key,
    )
    error.is_final = bool(advice)
    return error


def _endpoint(match: re.Match[str]) -> str:
    return f"{match[1]}:{match[2]}" if match[1] else ""
