"""errors: one family, one table, and texts that hold no secret."""

import copy
import pickle

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from libcloud.common.types import InvalidCredsError, LibcloudError
from libcloud.storage.types import (
    ContainerAlreadyExistsError,
    ContainerDoesNotExistError,
    ContainerIsNotEmptyError,
    InvalidContainerNameError,
    ObjectDoesNotExistError,
    ObjectHashMismatchError,
)

import libcloud_aurora
from libcloud_aurora import _failures, _secrets, errors

TABLE = {
    "NoSuchBucket": (404, "BucketNotFoundError", ContainerDoesNotExistError),
    "NoSuchKey": (404, "KeyNotFoundError", ObjectDoesNotExistError),
    "NoSuchUpload": (404, "UploadNotFoundError", LibcloudError),
    "BucketAlreadyExists": (409, "BucketExistsError", ContainerAlreadyExistsError),
    "BucketAlreadyOwnedByYou": (409, "BucketExistsError", ContainerAlreadyExistsError),
    "BucketNotEmpty": (409, "BucketNotEmptyError", ContainerIsNotEmptyError),
    "InvalidBucketName": (400, "InvalidBucketNameError", InvalidContainerNameError),
    "InvalidObjectName": (400, "InvalidKeyError", ObjectDoesNotExistError),
    "KeyTooLongError": (400, "InvalidKeyError", ValueError),
    "InvalidAccessKeyId": (403, "InvalidCredentialsError", InvalidCredsError),
    "SignatureDoesNotMatch": (403, "InvalidCredentialsError", InvalidCredsError),
    "InvalidToken": (400, "InvalidCredentialsError", InvalidCredsError),
    "ExpiredToken": (400, "InvalidCredentialsError", InvalidCredsError),
    "AccessDenied": (403, "AccessDeniedError", LibcloudError),
    "UserSuspended": (403, "AccessDeniedError", LibcloudError),
    "BadDigest": (400, "HashMismatchError", ObjectHashMismatchError),
    "XAmzContentSHA256Mismatch": (400, "HashMismatchError", ObjectHashMismatchError),
    "SlowDown": (503, "AuroraObjectsError", LibcloudError),
    "QuotaExceeded": (403, "AuroraObjectsError", LibcloudError),
    "RequestTimeTooSkewed": (403, "AuroraObjectsError", LibcloudError),
    "Unheard0f": (400, "AuroraObjectsError", LibcloudError),
}
KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.AuroraObjectsError)
]


def answer(status=400, *, fields=None, headers=None, body=b"", bucket="b", key="k", method="GET"):
    return _failures.answer_error(
        method=method,
        bucket=bucket,
        key=key,
        status=status,
        headers=headers or {},
        fields=fields or {},
        body=body,
        driver="driver",
    )


@pytest.mark.parametrize("code", ["SignatureDoesNotMatch", "InvalidArgument"])
def test_a_chunk_that_is_refused_was_damaged(code):
    """Of a body signed in chunks, radosgw says the same of a wrong key and of a damaged chunk."""
    error = _failures.answer_error(
        method="PUT",
        bucket="b",
        key="k",
        status=403,
        headers={},
        fields={"Code": code},
        body=b"",
        driver=None,
        chunked=True,
    )
    assert type(error) is errors.HashMismatchError
    assert (error.code, error.is_final) == (code, False)
    assert "damaged on its way: its SHA-256" in str(error)
    assert "Check the secret key" not in str(error)


def test_the_table_is_complete():
    """Every code of the package's table is tested here."""
    assert set(errors.ERROR_CLASSES) <= set(TABLE)


@pytest.mark.parametrize("code", TABLE)
def test_every_code_has_its_exception(code):
    """A code becomes the exception of the table, which is libcloud's too, with all fields."""
    status, name, base = TABLE[code]
    error = answer(
        status,
        fields={"Code": code, "Message": "said so"},
        headers={"x-amz-request-id": "tx7"},
    )
    assert type(error).__name__ == name
    assert isinstance(error, (base, LibcloudError))
    assert isinstance(error, base)
    assert isinstance(error, errors.AuroraObjectsError)
    assert (error.code, error.http_status, error.http_code) == (code, status, status)
    assert (error.bucket, error.key, error.request_id) == ("b", "k", "tx7")
    assert (error.container_name, error.object_name, error.driver) == ("b", "k", "driver")
    assert error.history == ()
    start = f"GET of object 'k' in container 'b' failed: {code} (HTTP {status}). said so"
    assert str(error).startswith(start)


def test_access_denied_is_no_wrong_credential():
    """Access denied is not reported as wrong credentials."""
    assert not isinstance(answer(403, fields={"Code": "AccessDenied"}), InvalidCredsError)


@pytest.mark.parametrize(
    ("status", "key", "code", "name"),
    [
        (400, "k", "BadRequest", "AuroraObjectsError"),
        (403, "k", "AccessDenied", "AccessDeniedError"),
        (404, "k", "NoSuchKey", "KeyNotFoundError"),
        (404, None, "NoSuchBucket", "BucketNotFoundError"),
        (405, "k", "MethodNotAllowed", "AuroraObjectsError"),
        (409, None, "Conflict", "AuroraObjectsError"),
        (411, "k", "MissingContentLength", "AuroraObjectsError"),
        (412, "k", "PreconditionFailed", "AuroraObjectsError"),
        (416, "k", "InvalidRange", "AuroraObjectsError"),
        (418, "k", "HTTP418", "AuroraObjectsError"),
        (423, "k", "Locked", "AuroraObjectsError"),
        (429, "k", "TooManyRequests", "AuroraObjectsError"),
        (500, "k", "InternalError", "AuroraObjectsError"),
        (501, "k", "NotImplemented", "AuroraObjectsError"),
        (502, "k", "BadGateway", "AuroraObjectsError"),
        (503, "k", "ServiceUnavailable", "AuroraObjectsError"),
        (504, "k", "GatewayTimeout", "AuroraObjectsError"),
    ],
)
def test_answers_without_a_body_are_told_by_status(status, key, code, name):
    """Where the server sends no code, the status gives it."""
    error = answer(status, key=key)
    assert (error.code, type(error).__name__) == (code, name)


@pytest.mark.parametrize(
    ("bucket", "key", "subject"),
    [
        ("b", "k", "object 'k' in container 'b'"),
        ("b", None, "container 'b'"),
        (None, None, "the list of containers"),
    ],
)
def test_errors_name_what_they_are_about(bucket, key, subject):
    """The text begins with the method and the object, container or list it was about."""
    error = answer(500, bucket=bucket, key=key, method="PUT")
    assert str(error) == f"PUT of {subject} failed: InternalError (HTTP 500)."


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("InvalidAccessKeyId", "Check the access key"),
        ("SignatureDoesNotMatch", "Check the secret key"),
        ("AccessDenied", "may belong to another account"),
        ("RequestTimeTooSkewed", "Set this machine's clock."),
        ("InvalidRange", "starts at or after the end"),
        ("BucketNotEmpty", "Delete its objects first."),
        ("QuotaExceeded", "more space"),
        ("SlowDown", "limits the rate"),
        ("EntityTooLarge", "5 GiB at most."),
    ],
)
def test_errors_say_what_can_be_done(code, advice):
    """Errors the reader can do something about say what."""
    assert advice in str(answer(400, fields={"Code": code}))


def test_a_proxys_page_is_quoted():
    """A body that is not S3 is quoted, on one line and bounded, with its content type."""
    page = b"<html>\n<h1>502 Bad\x00 Gateway</h1>" + b"x" * 5000
    error = answer(502, body=page, headers={"content-type": "text/html"})
    assert "the body is not S3 but text/html: '<html> <h1>502 Bad Gateway</h1>xxx" in str(error)
    assert len(str(error)) < 300
    assert "no content type" in str(answer(502, body=page))


def test_redirects_name_their_target_without_its_query():
    """A redirect is an error that says where it led, but no query that may be signed."""
    error = answer(307, headers={"location": "https://elsewhere/b/k?X-Amz-Signature=abc"})
    assert "this one leads to https://elsewhere/b/k." in str(error)
    assert "abc" not in str(error)
    assert "leads to nowhere" in str(answer(301))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("3", 3.0), ("0", 0.0), ("", 0.0), ("-1", 0.0), ("soon", 0.0), ("²", 0.0), ("1.5", 0.0)],
)
def test_retry_after_is_read_in_seconds(header, seconds):
    """Retry-After counts when it is a number of seconds."""
    assert answer(503, headers={"retry-after": header}).retry_after == seconds


def test_the_servers_date_is_kept():
    """The error keeps the Date header, which corrects a wrong clock."""
    assert answer(403, headers={"date": "now"}).server_date == "now"
    assert answer(403).server_date is None


@pytest.mark.parametrize(
    "text",
    [
        "Signature=SECRET",
        "X-Amz-Signature=SECRET&x=1",
        "x-amz-security-token: SECRET",
        '"X-Amz-Security-Token": "SECRET"',
        "X-Amz-Credential=SECRET",
        "AWSAccessKeyId=SECRET",
        "authorization: SECRET",
        "Authorization: AWS4-HMAC-SHA256 Credential=SECRET/x, SignedHeaders=a;b, Signature=SECRET",
        "Signature = SECRET",
    ],
)
def test_signatures_and_tokens_are_left_out(text):
    """No text of a server that repeats a signature, credential or token gets through."""
    assert "SECRET" not in _secrets.redact(f"before {text} after")


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("plain text", 300, "plain text"),
        ("  two\nlines\t\x00end ", 300, "two lines end"),
        ("x" * 400, 300, "x" * 300),
        ("abc", 2, "ab"),
        ("ż📷", 300, "ż📷"),
    ],
)
def test_redacted_texts_are_one_bounded_line(text, limit, expected):
    """A server's text becomes one line of bounded length."""
    assert _secrets.redact(text, limit) == expected


@given(st.text(), st.integers(1, 400))
def test_any_text_can_be_redacted(text, limit):
    """Any text becomes printable, on one line, and no longer than the limit."""
    redacted = _secrets.redact(text, limit)
    assert redacted.isprintable()
    assert len(redacted) <= limit


@pytest.mark.parametrize("kind", KINDS)
def test_errors_pickle_with_all_they_know(kind):
    """Every error survives pickling and copying with its fields, but without the driver."""
    error = kind(
        "text", driver=object(), code="C", http_status=500, request_id="r", bucket="b", key="k"
    )
    error.history = ("one", "two")
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301
        assert type(twin) is kind
        assert str(twin) == "text (after 2 attempts)"
        assert {**vars(twin), "driver": None} == {**vars(error), "driver": None}
        assert twin.driver is None


def test_the_cdns_error_pickles():
    """The error of the CDN calls survives pickling, and says what it said."""
    error = errors.CDNNotSupportedError("no CDN", driver=None)
    twin = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (type(twin), str(twin)) == (errors.CDNNotSupportedError, "no CDN")
    assert isinstance(error, LibcloudError)
    assert isinstance(error, NotImplementedError)


def test_a_repr_names_the_class_and_the_text():
    """The repr of an error is its class and its text."""
    assert repr(errors.KeyNotFoundError("gone")) == "<KeyNotFoundError: gone>"


@pytest.mark.parametrize(
    ("history", "text"),
    [((), "text"), (("one",), "text"), (("one", "two"), "text (after 2 attempts)")],
)
def test_the_number_of_attempts_is_in_the_text(history, text):
    """An error after several attempts says how many there were."""
    error = errors.AuroraObjectsError("text")
    error.history = history
    assert str(error) == text


@pytest.mark.parametrize(
    ("cause", "kind", "said"),
    [
        (requests.ConnectTimeout("x"), "NetworkTimeoutError", "did not answer in time"),
        (requests.ReadTimeout("x"), "NetworkTimeoutError", "did not answer in time"),
        (TimeoutError("x"), "NetworkTimeoutError", "did not answer in time"),
        (OSError("The read operation timed out"), "NetworkTimeoutError", "did not answer in time"),
        (requests.ConnectionError("x"), "NetworkError", "the connection failed: x"),
        (ConnectionResetError(104, "reset"), "NetworkError", "the connection failed"),
    ],
)
def test_network_failures_are_libclouds_and_requests(cause, kind, said):
    """A request without an answer is LibcloudError and requests.RequestException at once."""
    error = _failures.network_error(cause, method="GET", bucket="b", key="k", driver=None)
    assert type(error).__name__ == kind
    assert isinstance(error, LibcloudError)
    assert isinstance(error, requests.ConnectionError)
    assert isinstance(error, requests.Timeout) == (kind == "NetworkTimeoutError")
    assert str(error).startswith("GET of object 'k' in container 'b' failed: ")
    assert said in str(error)
    assert not error.is_final


def test_network_failures_have_what_requests_promises():
    """Who catches requests.RequestException may look at its request and response."""
    error = _failures.network_error(OSError("x"), method="GET", bucket="b", key="k", driver=None)
    assert error.response is None
    assert error.request is None


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed", "ex_verify_ssl takes the path"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number", "use secure=False"),
    ],
)
def test_tls_that_cannot_work_is_final(text, advice):
    """What does not verify, or is no TLS, will not be at the next attempt: the error says so."""
    cause = requests.ConnectionError(text)
    error = _failures.network_error(cause, method="GET", bucket="b", key=None, driver=None)
    assert error.is_final
    assert advice in str(error)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("_Connection(host='h', port=1): refused", "failed: h:1: refused"),
        ("_Pool(host='::1', port='80'): refused", "failed: ::1:80: refused"),
        ("<libcloud_aurora._pools._Connection object at 0x7f>: refused", "failed: refused"),
    ],
)
def test_network_failures_name_the_endpoint(text, said):
    """An error names the endpoint, and no class of this package."""
    cause = requests.ConnectionError(text)
    error = _failures.network_error(cause, method="GET", bucket="b", key=None, driver=None)
    assert str(error).endswith(said)


def test_all_errors_are_exported():
    """Every error class is a public name of the package."""
    assert {kind.__name__ for kind in KINDS} <= set(libcloud_aurora.__all__)
    for kind in KINDS:
        assert getattr(libcloud_aurora, kind.__name__) is kind
