"""errors: one family, one table, and texts that hold no secret."""

import copy
import json
import pickle
from urllib.parse import quote

import pytest
import requests
from hypothesis import HealthCheck, given, settings
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
from unit.memory_s3 import Answer, error

import libcloud_aurora
from libcloud_aurora import errors

TABLE = {
    "NoSuchBucket": (404, "ContainerNotFoundError", ContainerDoesNotExistError),
    "NoSuchKey": (404, "ObjectNotFoundError", ObjectDoesNotExistError),
    "NoSuchVersion": (404, "ObjectNotFoundError", ObjectDoesNotExistError),
    "NoSuchUpload": (404, "UploadNotFoundError", LibcloudError),
    "BucketAlreadyExists": (409, "ContainerExistsError", ContainerAlreadyExistsError),
    "BucketAlreadyOwnedByYou": (409, "ContainerExistsError", ContainerAlreadyExistsError),
    "BucketNotEmpty": (409, "ContainerNotEmptyError", ContainerIsNotEmptyError),
    "InvalidBucketName": (400, "InvalidContainerNameError", InvalidContainerNameError),
    "InvalidObjectName": (400, "InvalidObjectNameError", ObjectDoesNotExistError),
    "KeyTooLongError": (400, "InvalidObjectNameError", ValueError),
    "InvalidAccessKeyId": (403, "InvalidCredentialsError", InvalidCredsError),
    "SignatureDoesNotMatch": (403, "InvalidCredentialsError", InvalidCredsError),
    "InvalidToken": (400, "InvalidCredentialsError", InvalidCredsError),
    "ExpiredToken": (400, "InvalidCredentialsError", InvalidCredsError),
    "Unauthorized": (401, "InvalidCredentialsError", InvalidCredsError),
    "AnyCode": (401, "InvalidCredentialsError", InvalidCredsError),
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


@pytest.fixture
def meet(s3, driver):
    """Return the error of a request that meets an answer, or a failure of the network, once."""

    def meet(answer, path="/photos/k", method="GET"):
        s3.fail(1, answer)
        with pytest.raises(errors.AuroraObjectsError) as caught:
            driver.connection.request(path, method=method, retry_failed=False)
        return caught.value

    return meet


@pytest.mark.parametrize("code", ["SignatureDoesNotMatch", "InvalidArgument"])
def test_a_chunk_that_is_refused_was_damaged(s3, driver, container, code):
    """Of a body signed in chunks, radosgw says the same of a wrong key and of a damaged chunk."""
    s3.fail(10, error(403, code), method="PUT")
    with pytest.raises(errors.HashMismatchError, match="its SHA-256 is not the one") as caught:
        driver.upload_object_via_stream([b"x" * 6_000_000], container, "k")
    assert type(caught.value) is errors.HashMismatchError
    assert caught.value.code == code
    assert len(caught.value.history) == 5
    assert "Check the secret key" not in str(caught.value)
    assert s3.uploads == {}


def test_a_whole_body_that_is_refused_was_signed_with_a_wrong_key(s3, driver, container):
    """A body under one signature says by another code that it was damaged, so this one is final."""
    s3.fail(5, error(403, "SignatureDoesNotMatch"), method="PUT")
    with pytest.raises(errors.InvalidCredentialsError, match="Check the secret key"):
        driver.upload_object_via_stream([b"x"], container, "k")
    assert len(s3.sent("PUT")) == 1


def test_the_table_is_complete():
    """Every code that has an exception of its own is tested here."""
    named = {
        code
        for code, meaning in errors.MEANINGS.items()
        if meaning.error is not errors.AuroraObjectsError
    }
    assert named <= set(TABLE)


@pytest.mark.parametrize("code", TABLE)
def test_every_code_has_its_exception(meet, driver, code):
    """A code becomes the exception of the table, which is libcloud's too, with all fields."""
    status, name, base = TABLE[code]
    failed = meet(error(status, code, "said so"))
    assert type(failed).__name__ == name
    assert isinstance(failed, base)
    assert isinstance(failed, LibcloudError)
    assert (failed.code, failed.http_status, failed.http_code) == (code, status, status)
    assert (failed.bucket, failed.key, failed.request_id) == ("photos", "k", "tx1")
    assert (failed.container_name, failed.object_name) == ("photos", "k")
    assert failed.driver is driver
    start = f"GET of object 'k' in container 'photos' failed: {code} (HTTP {status}). said so"
    assert str(failed).startswith(start)
    assert failed.history == (failed.value,)


def test_a_missing_directory_is_one_of_pythons_errors():
    """A program that makes the directory then finds it by the class that Python has for it."""
    assert issubclass(errors.DirectoryNotFoundError, FileNotFoundError)


def test_access_denied_is_no_wrong_credential(meet):
    """Access denied is not reported as wrong credentials."""
    assert not isinstance(meet(error(403, "AccessDenied")), InvalidCredsError)


@pytest.mark.parametrize(
    ("status", "path", "code", "name"),
    [
        (401, "/b/k", "Unauthorized", "InvalidCredentialsError"),
        (400, "/b/k", "BadRequest", "AuroraObjectsError"),
        (403, "/b/k", "AccessDenied", "AccessDeniedError"),
        (404, "/b/k", "NoSuchKey", "ObjectNotFoundError"),
        (404, "/b", "NoSuchBucket", "ContainerNotFoundError"),
        (405, "/b/k", "MethodNotAllowed", "AuroraObjectsError"),
        (409, "/b", "Conflict", "AuroraObjectsError"),
        (411, "/b/k", "MissingContentLength", "AuroraObjectsError"),
        (412, "/b/k", "PreconditionFailed", "AuroraObjectsError"),
        (416, "/b/k", "InvalidRange", "AuroraObjectsError"),
        (420, "/b/k", "HTTP420", "AuroraObjectsError"),
        (423, "/b/k", "Locked", "AuroraObjectsError"),
        (429, "/b/k", "TooManyRequests", "AuroraObjectsError"),
        (500, "/b/k", "InternalError", "AuroraObjectsError"),
        (501, "/b/k", "NotImplemented", "AuroraObjectsError"),
        (502, "/b/k", "BadGateway", "AuroraObjectsError"),
        (503, "/b/k", "ServiceUnavailable", "AuroraObjectsError"),
        (504, "/b/k", "GatewayTimeout", "AuroraObjectsError"),
    ],
)
def test_answers_without_a_body_are_told_by_status(meet, status, path, code, name):
    """Where the server sends no code, the status gives it."""
    failed = meet(Answer(status), path)
    assert (failed.code, type(failed).__name__) == (code, name)


@pytest.mark.parametrize(
    ("method", "status", "name"),
    [
        ("PUT", 400, "InvalidContainerNameError"),
        ("PUT", 409, "ContainerExistsError"),
        ("PUT", 404, "ContainerNotFoundError"),
        ("DELETE", 409, "ContainerNotEmptyError"),
        ("DELETE", 400, "AuroraObjectsError"),
    ],
)
def test_answers_about_a_container_are_told_by_method_and_status(meet, method, status, name):
    """What is refused when a container is made or deleted needs no code to be known."""
    assert type(meet(Answer(status), "/b", method)).__name__ == name


@pytest.mark.parametrize(
    ("path", "subject"),
    [
        ("/b/k", "object 'k' in container 'b'"),
        ("/b/a%20b/c%C5%BC", "object 'a b/cż' in container 'b'"),
        ("/b", "container 'b'"),
        ("/", "the list of containers"),
    ],
)
def test_errors_name_what_they_are_about(meet, path, subject):
    """The text begins with the method and the object, container or list it was about."""
    failed = meet(Answer(500), path, "PUT")
    assert str(failed) == f"PUT of {subject} failed: InternalError (HTTP 500)."


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("NoSuchBucket", "create it with create_container()"),
        ("InvalidBucketName", "3 to 63 lowercase letters"),
        ("InvalidAccessKeyId", "Check the access key"),
        ("SignatureDoesNotMatch", "Check the secret key"),
        ("AccessDenied", "may belong to another account"),
        ("RequestTimeTooSkewed", "Set this machine's clock."),
        ("InvalidArgument", "Check the values given"),
        ("InvalidRange", "starts at or after the end"),
        ("BucketNotEmpty", "Delete its objects first."),
        ("QuotaExceeded", "more space"),
        ("SlowDown", "limits the rate"),
        ("ServiceUnavailable", "limits the rate"),
        ("EntityTooLarge", "5 GiB at most, or less"),
        ("EntityTooSmall", "raise ex_part_size"),
    ],
)
def test_errors_say_what_can_be_done(meet, code, advice):
    """Errors the reader can do something about say what."""
    assert advice in str(meet(error(400, code)))


def test_all_advice_is_tested(meet):
    """Whatever the table advises ends the text of the error, once."""
    for code, meaning in errors.MEANINGS.items():
        text = str(meet(error(400, code, "said so.")))
        assert text.endswith(f"said so. {meaning.advice}".rstrip(" "))


def test_a_proxys_page_is_quoted(meet):
    """A body that is not S3 is quoted, on one line and bounded, with its content type."""
    page = b"<html>\n<h1>502 Bad\x00 Gateway</h1>" + b"x" * 5000
    failed = meet(Answer(502, page, {"content-type": "text/html"}))
    assert "The body is not S3's, but text/html: '<html> <h1>502 Bad Gateway</h1>xxx" in str(failed)
    assert len(str(failed)) < 300
    assert "no content type" in str(meet(Answer(502, page)))


@pytest.mark.parametrize(
    ("answer", "method", "advice"),
    [
        (Answer(413, b"<html>"), "PUT", "client_max_body_size"),
        (Answer(502), "HEAD", "proxy_buffer_size"),
        (Answer(502, b"<html>"), "GET", "proxy_buffer_size"),
        (error(416, "InvalidRange"), "POST", "raise ex_part_size"),
    ],
)
def test_what_only_some_requests_are_told(meet, answer, method, advice):
    """What a proxy, or a limit of the server's, may be behind is said where it may be."""
    told = {other: advice in str(meet(answer, "/b/k", other)) for other in ("DELETE", method)}
    assert told == {"DELETE": answer.status == 413, method: True}
    assert advice not in str(meet(Answer(answer.status + 2), "/b/k", method))


@pytest.mark.parametrize(
    ("status", "code"), [(413, "RequestEntityTooLarge"), (414, "RequestURITooLong")]
)
def test_a_code_is_the_same_with_every_python(meet, status, code):
    """The phrases of some statuses changed in Python 3.13."""
    assert meet(Answer(status)).code == code


def test_redirects_name_their_target_without_its_query(meet):
    """A redirect is an error that says where it led, but no query that may be signed."""
    location = {"location": "https://elsewhere/b/k?X-Amz-Signature=abc"}
    failed = meet(Answer(307, b"", location))
    assert "this one leads to https://elsewhere/b/k." in str(failed)
    assert "abc" not in str(failed)
    assert "leads to nowhere" in str(meet(Answer(301)))


@pytest.mark.parametrize(
    "text",
    [
        "Signature=SECRET",
        "X-Amz-Signature=SECRET&amp;x=1",
        "x-amz-security-token: SECRET",
        '"X-Amz-Security-Token": "SECRET"',
        "X-Amz-Credential=SECRET",
        "AWSAccessKeyId=SECRET",
        "authorization: SECRET",
        '{"Proxy-Authorization": "Basic SECRET"}',
        "Authorization: AWS4-HMAC-SHA256 Credential=SECRET/x, SignedHeaders=a;b, Signature=SECRET",
        "Signature = SECRET",
        "x-amz-server-side-encryption-customer-key: SECRET",
        "x-amz-server-side-encryption-customer-key-MD5: SECRET",
    ],
)
def test_signatures_and_tokens_are_left_out(meet, text):
    """No text of a server that repeats a signature, credential or token gets through."""
    for answer in (
        error(400, "InvalidRequest", f"before {text} after"),
        error(400, f"before {text}"),
        Answer(400, f"before {text} after".encode()),
        OSError(f"before {text} after"),
    ):
        failed = meet(answer)
        assert "before" in str(failed)
        assert "SECRET" not in f"{failed!s}{failed!r}{failed.code}{failed.history}"


TOKEN = "t0ken+that/nobody=may.see"
SECRET_KEY = "s3cret/that+nobody=may.see\U0001f511"
FORMS = [
    form
    for secret in (TOKEN, SECRET_KEY)
    for form in (
        *(secret, quote(secret), quote(secret, safe="")),
        *(secret.replace("/", "&#x2F;").replace("=", "&#61;"), secret.replace("/", r"\/")),
        *(secret.replace("/", "&amp;sol;").replace("+", r"\u002B"), quote(secret).lower()),
        *(json.dumps(secret), quote(quote(secret)), quote(secret.replace("s", "&#115;"))),
    )
]


@pytest.mark.parametrize(
    "answer",
    [
        lambda said: error(400, "InvalidRequest", f"it was {said}, was it not?"),
        lambda said: error(400, said),
        lambda said: error(400, "Odd", **{"x-amz-request-id": said}),
        lambda said: Answer(400, f"it was {said}".encode()),
        lambda said: Answer(400, b"odd", {"content-type": f"text/plain; x={said}"}),
        lambda said: Answer(307, b"", {"location": f"https://elsewhere/{said}"}),
        lambda said: error(200, "InternalError", f"it was {said}, was it not?"),
        lambda said: error(200, said),
        lambda said: Answer(200, f"<html>{said}</html>".encode()),
        lambda said: Answer(200, f"{said} and so on".encode()),
        lambda said: OSError(f"it was {said}, was it not?"),
    ],
)
@pytest.mark.parametrize("form", FORMS)
def test_what_was_sent_in_secret_is_left_out(s3, new_driver, answer, form):
    """A token or secret that somebody repeats, with no name before it, is in no text."""
    driver = new_driver(secret=SECRET_KEY, token=TOKEN, ex_max_attempts=1)
    s3.fail(1, answer(form))
    with pytest.raises(errors.AuroraObjectsError) as caught:
        driver.list_containers()
    failed = caught.value
    shown = f"{failed!s}{failed!r}{failed.code}{failed.request_id}{failed.history}"
    assert [secret for secret in FORMS if secret in shown] == []


@pytest.mark.parametrize("secret", ["Tr&notice7Kq", r"a\/b&#x41;"])
def test_a_secret_that_looks_escaped_is_left_out(s3, new_driver, secret):
    """A password is searched for as it is."""
    driver = new_driver(secret=secret, ex_max_attempts=1)
    s3.fail(1, Answer(400, f"it was {secret} and &#{'9' * 5000};".encode()))
    with pytest.raises(errors.AuroraObjectsError, match=r"it was \.\.\. and") as caught:
        driver.list_containers()
    assert secret not in str(caught.value)


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("a%2Fb=word", "a%2Fb%3Dword"),
        ("x&not/word", "x&not&#x2F;word"),
        ("pass/word", f"pass&#x2F;word &#{'9' * 5000};"),
        ("pass?word/and", "pass?word%2Fand"),
    ],
)
def test_a_secret_that_is_escaped_in_part_is_left_out(s3, new_driver, secret, said):
    """A password that looks escaped is found even where what looks like that is left as it is."""
    for answer in (Answer(400, said.encode()), Answer(307, b"", {"location": f"/{said}"})):
        s3.fail(1, answer)
        with pytest.raises(errors.AuroraObjectsError) as caught:
            new_driver(secret=secret, ex_max_attempts=1).list_containers()
        assert secret[:4] not in str(caught.value)


def test_a_secret_of_backslashes_is_looked_for_at_once(s3, new_driver):
    """What almost looks like it is not tried in all the ways in which it might be escaped."""
    s3.fail(1, Answer(400, b"\\" * 41))
    with pytest.raises(errors.AuroraObjectsError, match="The body is not S3"):
        new_driver(secret="\\" * 40 + "x", ex_max_attempts=1).list_containers()


def test_a_secret_that_is_no_text_hides_no_error(s3, new_driver):
    """The URL of a proxy comes from the environment, whose bytes need not be UTF-8."""
    driver = new_driver(ex_max_attempts=1)
    driver.connection.connection.proxies = {"https": "http://user:p\udce9ss@proxy:1"}
    s3.fail(1, OSError("it was broken"))
    with pytest.raises(errors.NetworkError, match="it was broken"):
        driver.list_containers()


def test_a_secret_is_not_found_where_it_is_not(s3, new_driver):
    """A dot is a dot."""
    driver = new_driver(secret="a.c", ex_max_attempts=1)
    s3.fail(1, Answer(400, b"it was abc"))
    with pytest.raises(errors.AuroraObjectsError, match="it was abc"):
        driver.list_containers()


def test_what_deleting_says_holds_no_secret(s3, new_driver):
    """What the server says of each object that it could not delete is shown without secrets."""
    driver = new_driver(token=TOKEN)
    row = f"<Error><Key>k</Key><Code>Odd</Code><Message>it was {TOKEN}, sorry</Message></Error>"
    s3.fail(1, Answer(200, f"<DeleteResult>{row}</DeleteResult>".encode()), method="POST")
    with pytest.raises(errors.DeleteFailedError) as caught:
        driver.ex_delete_objects(driver.get_container("photos"), ["k"])
    assert caught.value.failures == {"k": "Odd it was ..., sorry"}
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("plain text", "plain text."),
        ("  two\nlines\tend ", "two lines end."),
        ("x" * 400, "x" * 300 + "."),
        ("ż📷", "ż📷."),
        ("one.", "one."),
    ],
)
def test_a_servers_text_is_one_bounded_line(meet, said, shown):
    """What a server says becomes one line of bounded length, with one full stop."""
    failed = meet(error(500, "InternalError", said))
    assert str(failed).endswith(f"failed: InternalError (HTTP 500). {shown}")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text())
def test_any_text_can_be_shown(meet, text):
    """Whatever a broken connection says, the error is printable, on one line, and bounded."""
    failed = meet(OSError(text))
    assert str(failed).isprintable()
    assert len(str(failed)) < 450


@pytest.mark.parametrize("kind", KINDS)
def test_errors_pickle_with_all_they_know(kind):
    """Every error survives pickling and copying with its fields, but without the driver."""
    failed = kind(
        "text", driver=object(), code="C", http_status=500, request_id="r", bucket="b", key="k"
    )
    failed.history = ("one", "two")
    for twin in (pickle.loads(pickle.dumps(failed)), copy.copy(failed)):  # noqa: S301
        assert type(twin) is kind
        assert str(twin) == "text (after 2 attempts)"
        assert {**vars(twin), "driver": None} == {**vars(failed), "driver": None}
        assert twin.driver is None


def test_the_cdns_error_pickles():
    """The error of the CDN calls survives pickling, and says what it said."""
    failed = errors.CDNNotSupportedError("no CDN", driver=None)
    twin = pickle.loads(pickle.dumps(failed))  # noqa: S301
    assert (type(twin), str(twin)) == (errors.CDNNotSupportedError, "no CDN")
    assert isinstance(failed, LibcloudError)
    assert isinstance(failed, NotImplementedError)


def test_a_repr_names_the_class_and_the_text():
    """The repr of an error is its class and its text."""
    assert repr(errors.ObjectNotFoundError("gone")) == "<ObjectNotFoundError: gone>"


@pytest.mark.parametrize(
    ("history", "text"),
    [((), "text"), (("one",), "text"), (("one", "two"), "text (after 2 attempts)")],
)
def test_the_number_of_attempts_is_in_the_text(history, text):
    """An error after several attempts says how many there were."""
    failed = errors.AuroraObjectsError("text")
    failed.history = history
    assert str(failed) == text


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
def test_network_failures_are_libclouds_and_requests(meet, cause, kind, said):
    """A request without an answer is LibcloudError and requests.RequestException at once."""
    failed = meet(cause)
    assert type(failed).__name__ == kind
    assert isinstance(failed, LibcloudError)
    assert isinstance(failed, requests.ConnectionError)
    assert isinstance(failed, requests.Timeout) == (kind == "NetworkTimeoutError")
    assert str(failed).startswith("GET of object 'k' in container 'photos' failed: ")
    assert said in str(failed)
    assert failed.__cause__ is cause
    # What requests promises to who catches its exceptions.
    assert failed.response is None
    assert failed.request is None


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed", "pass the path"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate has expired", "this machine's clock"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate is not yet valid", "this machine's clock"),
        ("Missing dependencies for SOCKS support.", "Install PySocks"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number", "use secure=False"),
        ("[SSL: TLSV1_ALERT_PROTOCOL_VERSION] alert", "another version of TLS"),
        ("[SSL: UNSUPPORTED_PROTOCOL] unsupported protocol", "another version of TLS"),
        ("Could not find a suitable TLS CA certificate bundle", "Check ex_verify_ssl"),
        ("[X509: NO_CERTIFICATE_OR_CRL_FOUND] no certificate", "contains no certificates"),
        ("Tunnel connection failed: 407 Proxy Authentication Required", "the proxy"),
        ("Failed to parse: http://[", "Check the proxy's URL"),
    ],
)
def test_what_settings_must_change_is_final(s3, driver, text, advice):
    """A wrong certificate, version or proxy is so at the next attempt, too: the error advises."""
    s3.fail(5, requests.ConnectionError(text))
    with pytest.raises(errors.NetworkError) as caught:
        driver.connection.request("/photos")
    assert len(s3.requests) == 1
    assert advice in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("_Connection(host='h', port=1): refused", "failed: h:1: refused"),
        ("_Pool(host='::1', port='80'): refused", "failed: ::1:80: refused"),
        (
            "<libcloud_aurora._wire.transport._Connection object at 0x7f>: refused",
            "failed: refused",
        ),
    ],
)
def test_network_failures_name_the_endpoint(meet, text, said):
    """An error names the endpoint, and no class of this package."""
    assert str(meet(requests.ConnectionError(text))).endswith(said)


def test_all_errors_are_exported():
    """Every error class is a public name of the package."""
    assert {kind.__name__ for kind in KINDS} <= set(libcloud_aurora.__all__)
    for kind in KINDS:
        assert getattr(libcloud_aurora, kind.__name__) is kind


def test_a_code_is_no_secret(s3, new_driver):
    """A code of S3 stays what it is, even if a short secret occurs in it."""
    s3.fail(9, error(404, "NoSuchBucket"))
    with pytest.raises(errors.ContainerNotFoundError) as caught:
        new_driver(secret="Such").get_container("missing")
    assert caught.value.code == "NoSuchBucket"


def test_a_missing_directory_is_pickled_as_an_error_of_the_system():
    """What FileNotFoundError says of itself survives the way to another process."""
    error = errors.DirectoryNotFoundError("missing")
    error.errno, error.filename = 2, "/missing"
    found = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (found.errno, found.filename, str(found)) == (2, "/missing", "missing")
