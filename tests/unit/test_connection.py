"""libcloud's connection: signs, sends, sends again, and turns responses into values."""

import contextlib
import gzip
import io
import logging
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
import requests
import requests_mock
import urllib3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from libcloud.common.types import LibcloudError
from libcloud.storage.base import Container, Object
from unit.memory_s3 import Answer, error, raw_answer

from libcloud_aurora import errors
from libcloud_aurora._s3.objects import wire_value
from libcloud_aurora._s3.signing import ChunkedBody

EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_request_carries_what_radosgw_needs(s3, driver):
    """Host, date, hash and signature go out, and nothing is compressed on the way."""
    driver.list_containers()
    (sent,) = s3.requests
    assert sent.headers["host"] == "o.auroraobjects.eu"
    assert sent.headers["accept-encoding"] == "identity"
    assert sent.headers["x-amz-content-sha256"] == EMPTY_SHA256
    assert sent.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=key/")
    assert "libcloud" in sent.headers["user-agent"]
    assert "content-length" not in sent.headers
    assert sent.query == ""


@pytest.mark.parametrize(
    ("arguments", "host"),
    [
        ({"port": 8080}, "o.auroraobjects.eu:8080"),
        ({"port": 443}, "o.auroraobjects.eu"),
        ({"secure": False}, "o.auroraobjects.eu"),
        ({"secure": False, "port": 443}, "o.auroraobjects.eu:443"),
        ({"host": "localhost", "port": "9000"}, "localhost:9000"),
        ({"host": "::1", "port": 9000}, "[::1]:9000"),
        ({"host": "::1"}, "[::1]"),
    ],
)
def test_the_host_header_names_the_endpoint(s3, new_driver, arguments, host):
    """The Host header is the host, with its port unless that is the scheme's own."""
    new_driver(**arguments).list_containers()
    assert s3.requests[0].headers["host"] == host


def test_the_token_travels_and_is_signed(s3, new_driver):
    """A session token goes along as a signed header."""
    new_driver(token="the-token").list_containers()
    sent = s3.requests[0].headers
    assert sent["x-amz-security-token"] == "the-token"
    assert "x-amz-security-token" in sent["authorization"]


@pytest.mark.parametrize("method", ["PUT", "POST"])
@pytest.mark.parametrize("data", [None, b"", ""])
def test_an_empty_body_has_a_length(s3, driver, method, data):
    """A PUT or POST without a body says Content-Length: 0, or radosgw answers 411."""
    s3.faults.append(lambda request: Answer(200))
    driver.connection.request("/photos/k", method=method, data=data)
    assert s3.requests[0].headers["content-length"] == "0"


@pytest.mark.parametrize(
    "data", [b"data", bytearray(b"data"), memoryview(b"data"), "data", io.BytesIO(b"data")]
)
def test_bodies_of_all_kinds_are_signed(s3, driver, data):
    """Bytes, buffers, text and files go out with their length and true SHA-256."""
    driver.connection.request("/photos/k", method="put", data=data)
    assert s3.buckets["photos"]["k"].data == b"data"
    sent = s3.requests[0]
    assert (sent.method, sent.headers["content-length"]) == ("PUT", "4")
    assert sent.headers["x-amz-content-sha256"].startswith("3a6eb0790f39ac87c94f3856b2dd2c5d")


def test_the_query_of_the_path_and_the_parameters_are_one(s3, driver):
    """Parameters in the path and given apart are signed and sent together, in one form."""
    s3.faults.append(lambda request: Answer(200))
    driver.connection.request("/photos/k?uploads&b=x%2Fy", params={"a": "1 +"}, method="POST")
    assert s3.requests[0].query == "a=1%20%2B&b=x%2Fy&uploads="


def test_a_path_goes_out_as_it_is_given(s3, driver):
    """Dots and slashes stay; all else is encoded as the server does it before it compares."""
    s3.faults.append(lambda request: Answer(200))
    driver.connection.request("/photos/a/../b//./%2F ż")
    assert s3.requests[0].path == "/photos/a/../b//.//%20%C5%BC"
    driver.connection.request("photos/k")
    assert s3.requests[1].path == "/photos/k"
    driver.connection.request("/photos/%c5%bc%70%FF")
    assert s3.requests[2].path == "/photos/%C5%BCp%FF"
    driver.connection.request("/photos/100%/%25")
    assert s3.requests[3].path == "/photos/100%25/%25"


def test_headers_of_the_caller_are_added_and_not_changed(s3, driver):
    """The caller's headers go out as UTF-8, numbers as text, and its dict stays as it is."""
    headers = {"x-amz-meta-a": "ż", "x-amz-meta-n": 3, "x-amz-meta-b": "  trimmed "}
    before = dict(headers)
    driver.connection.request("/photos/k", method="PUT", data=b"x", headers=headers)
    assert headers == before
    sent = s3.requests[0].headers
    assert sent["x-amz-meta-a"].encode("latin-1").decode() == "ż"
    assert (sent["x-amz-meta-n"], sent["x-amz-meta-b"]) == ("3", "trimmed")


@pytest.mark.parametrize(
    "value", ["the-key\nb", "the-key\r", "the-key\0", "\x7fthe-key", "a\tthe-key"]
)
def test_control_characters_in_headers_are_refused(s3, driver, value):
    """A value with a control character is a ValueError that names the header, but shows no key."""
    with pytest.raises(ValueError, match="header 'x-amz-meta-a'") as caught:
        driver.connection.request("/photos/k", method="PUT", headers={"x-amz-meta-a": value})
    assert "the-key" not in str(caught.value)
    assert s3.requests == []


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_header_value_is_bytes_of_utf_8_or_refused(value):
    """Any text becomes its UTF-8 bytes, dressed as latin-1 for http.client, or is refused."""
    try:
        sent = wire_value("x", value)
    except ValueError:
        assert any(ord(c) < 32 or ord(c) == 127 for c in value)
        return
    assert sent.encode("latin-1").decode() == value.strip(" ")


@pytest.mark.parametrize("name", ["ż", "a b", "a:b", "", "a\nb"])
def test_header_names_that_cannot_be_sent_are_refused(s3, driver, name):
    """A header name that is none is a ValueError that names it; nothing is sent."""
    with pytest.raises(ValueError, match="header name") as caught:
        driver.connection.request("/photos/k", method="PUT", headers={name: "x"})
    assert repr(name) in str(caught.value)
    assert s3.requests == []


def test_an_answer_has_libclouds_shape(s3, driver):
    """Status, headers, body and object of an answer are what libcloud's users expect."""
    answer = driver.connection.request("/")
    assert (answer.status, answer.success()) == (200, True)
    assert answer.headers["content-type"] == "application/xml"
    assert "<Name>photos</Name>" in answer.body
    namespace = "{http://s3.amazonaws.com/doc/2006-03-01/}"
    assert answer.object.find(f"{namespace}Buckets/{namespace}Bucket") is not None


def test_a_streamed_answer_is_left_on_the_wire(s3, driver):
    """With stream=True the body is there to be read, not read yet."""
    s3.put("k", b"content")
    answer = driver.connection.request("/photos/k", stream=True)
    assert answer.content == b""
    assert b"".join(answer.iter_content(3)) == b"content"


def test_failures_that_pass_are_survived(s3, driver):
    """After four failures of different kinds the fifth attempt's response comes."""
    for failure in (
        error(503, "SlowDown"),
        error(500, "InternalError"),
        requests.ConnectionError("reset"),
        urllib3.exceptions.ProtocolError("broken"),
    ):
        s3.fail(1, failure)
    assert driver.connection.request("/").status == 200
    assert len(s3.requests) == 5


def test_one_attempt_can_be_asked_for(s3, driver):
    """retry_failed=False sends once."""
    s3.fail(9, error(503, "SlowDown"))
    with pytest.raises(LibcloudError, match="SlowDown"):
        driver.connection.request("/", retry_failed=False)
    assert len(s3.requests) == 1


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (requests.ConnectTimeout("x"), "NetworkTimeoutError"),
        (requests.exceptions.ChunkedEncodingError("x"), "NetworkError"),
        (urllib3.exceptions.ReadTimeoutError(None, "/", "timed out"), "NetworkTimeoutError"),
        (ConnectionResetError("x"), "NetworkError"),
        (requests.exceptions.InvalidURL("x"), "NetworkError"),
    ],
)
def test_network_failures_are_mapped(s3, driver, failure, kind):
    """Whatever breaks below, the caller gets a NetworkError with bucket, key and history."""
    s3.fail(9, failure)
    with pytest.raises(errors.NetworkError) as caught:
        driver.connection.request("/photos/k")
    assert type(caught.value).__name__ == kind
    assert (caught.value.bucket, caught.value.key, caught.value.driver) == ("photos", "k", driver)
    assert len(caught.value.history) == 5
    assert caught.value.__cause__ is failure


def test_a_wrong_certificate_is_tried_once(s3, driver):
    """A certificate that does not verify is reported at once."""
    s3.fail(9, requests.exceptions.SSLError("CERTIFICATE_VERIFY_FAILED"))
    with pytest.raises(errors.NetworkError, match="CERTIFICATE_VERIFY_FAILED"):
        driver.list_containers()
    assert len(s3.requests) == 1


def test_a_body_that_is_cut_off_is_a_network_failure(s3, driver):
    """An answer shorter than its Content-Length is sent for again."""
    s3.fail(1, Answer(200, b"<ListAll", {"content-length": "500"}))
    assert [each.name for each in driver.list_containers()] == ["photos"]
    assert len(s3.requests) == 2


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (404, "NoSuchBucket", errors.ContainerNotFoundError),
        (403, "InvalidAccessKeyId", errors.InvalidCredentialsError),
        (403, "AccessDenied", errors.AccessDeniedError),
        (409, "BucketNotEmpty", errors.ContainerNotEmptyError),
        (301, "PermanentRedirect", errors.AuroraObjectsError),
        (304, "", errors.AuroraObjectsError),
    ],
)
def test_every_answer_that_is_no_success_is_raised(s3, driver, status, code, kind):
    """An answer that is not 2xx is the exception of the table, after one attempt."""
    s3.fail(9, error(status, code))
    with pytest.raises(kind) as caught:
        driver.connection.request("/photos")
    assert caught.value.http_status == status
    assert (caught.value.bucket, caught.value.key) == ("photos", None)
    assert caught.value.request_id == "tx1"
    assert len(s3.requests) == 1


def test_redirects_are_not_followed(s3, driver):
    """A redirect is an error; credentials never go to another host."""
    s3.fail(9, Answer(307, b"", {"location": "https://evil/b?X-Amz-Signature=s"}))
    with pytest.raises(errors.AuroraObjectsError, match="Redirects are not followed"):
        driver.list_containers()
    assert len(s3.requests) == 1


def test_an_error_to_a_head_is_explained_by_a_get(s3, driver):
    """An error answer to a HEAD has no body: a GET asks why."""
    s3.fail(1, Answer(403), method="HEAD")
    s3.fail(1, error(403, "SignatureDoesNotMatch"), method="GET")
    with pytest.raises(errors.InvalidCredentialsError, match="secret key"):
        driver.get_container("photos")
    head, reason = s3.requests
    assert (head.method, reason.method, reason.query) == ("HEAD", "GET", "max-keys=0")


def test_an_error_to_an_objects_head_reads_one_byte(s3, driver):
    """The GET that asks why about an object asks for one byte, and tells bucket from key."""
    with pytest.raises(errors.ObjectNotFoundError):
        driver.get_object("photos", "none")
    assert s3.requests[1].headers["range"] == "bytes=0-0"
    with pytest.raises(errors.ContainerNotFoundError):
        driver.get_object("none", "none")


def test_an_error_to_the_head_of_a_version_is_explained_by_that_version(s3, driver, container):
    """The GET that asks why asks about the same version as the HEAD."""
    version = Object("k", 0, "", {"ex_version_id": "v1"}, {}, container, driver)
    with pytest.raises(errors.ObjectNotFoundError):
        driver.ex_copy_object(version, container, "copy")
    assert [sent.query for sent in s3.requests[1:]] == ["versionId=v1", "versionId=v1"]


def test_ctrl_c_lets_the_reason_of_an_error_go(wire, driver):
    """Ctrl-C while the response to the GET that asks why is read closes its connection."""

    class Interrupted(io.BytesIO):
        def read(self, size=-1):
            raise KeyboardInterrupt

    body = Interrupted(b"<Error/>")

    def answer(request, context):
        if request.method == "HEAD":
            return raw_answer(Answer(404), "HEAD")
        return urllib3.HTTPResponse(body, status=404, preload_content=False)

    wire.register_uri(requests_mock.ANY, requests_mock.ANY, raw=answer)
    with pytest.raises(KeyboardInterrupt):
        driver.get_object("photos", "k")
    assert body.closed


def test_what_a_get_finds_is_there(s3, driver):
    """If GET finds what HEAD did not, as while a bucket is resharded, HEAD is sent again."""
    s3.put("k", b"x")
    s3.fail(1, Answer(404), method="HEAD")
    assert driver.get_object("photos", "k").size == 1
    s3.fail(1, Answer(404), method="HEAD")
    assert driver.get_container("photos").name == "photos"
    assert len(s3.sent("HEAD")) == 4


@pytest.mark.parametrize("status", [403, 405, 503])
def test_a_get_that_finds_nothing_either_changes_nothing(s3, driver, status):
    """Whatever else it says: what HEAD has not found is not there."""
    s3.faults.append(lambda seen: Answer(status) if seen.method == "GET" else None)
    with pytest.raises(errors.ObjectNotFoundError):
        driver.get_object("photos", "absent")
    with pytest.raises(errors.ContainerNotFoundError):
        driver.get_container("absent")
    assert len(s3.requests) == 4


def test_no_key_is_the_answer_about_what_a_container_has(s3, driver):
    """As about a notification, which the container is asked for by its name."""
    s3.faults.append(lambda seen: error(404, "NoSuchKey"))
    with pytest.raises(errors.ContainerNotFoundError):
        driver.connection.request("/photos?notification")
    assert len(s3.requests) == 1


def test_a_container_that_is_resharded_is_there(s3, driver, container):
    """radosgw 18 and 20 then say for a moment that a key is missing, and soon know better."""
    s3.put("k", b"x")
    for list_all in (
        container.list_objects,
        lambda: list(driver.ex_iterate_object_versions(container)),
        lambda: list(driver.ex_iterate_multipart_uploads(container)),
    ):
        s3.fail(1, error(404, "NoSuchKey"), method="GET")
        list_all()
    del s3.buckets["photos"]
    s3.requests.clear()
    with pytest.raises(errors.ContainerNotFoundError):
        container.list_objects()
    assert len(s3.requests) == 1


def test_the_first_answer_counts_if_the_second_differs(s3, driver):
    """If the GET is answered differently, the HEAD's own status is reported."""
    s3.put("k", b"x")
    s3.fail(1, Answer(400), method="HEAD")
    with pytest.raises(errors.AuroraObjectsError, match="HTTP 400"):
        driver.get_object("photos", "k")


def test_a_servers_failure_to_a_head_is_not_asked_about(s3, driver):
    """A 503 to a HEAD is simply tried again."""
    s3.fail(1, Answer(503), method="HEAD")
    assert driver.get_container("photos").name == "photos"
    assert [sent.method for sent in s3.requests] == ["HEAD", "HEAD"]


def test_a_wrong_clock_is_corrected_once(s3, driver, caplog):
    """RequestTimeTooSkewed sets the clock by the server's Date, warns, and goes on."""
    caplog.set_level(logging.WARNING, "libcloud_aurora")
    date = datetime.now(timezone.utc) + timedelta(hours=3)
    skewed = error(403, "RequestTimeTooSkewed", Date=format_datetime(date, usegmt=True))
    s3.fail(1, skewed)
    driver.list_containers()
    assert s3.requests[1].headers["x-amz-date"][:11] == date.strftime("%Y%m%dT%H")
    assert "this machine's clock is wrong" in caplog.text
    driver.list_containers()
    assert len(s3.requests) == 3


@pytest.mark.parametrize("date", ["", "nonsense", "now"])
def test_a_clock_that_cannot_be_corrected_is_an_error(s3, driver, date):
    """Without a Date that helps, RequestTimeTooSkewed is raised and says what to do."""
    if date == "now":
        date = format_datetime(datetime.now(timezone.utc))
    s3.fail(9, error(403, "RequestTimeTooSkewed", Date=date))
    with pytest.raises(errors.AuroraObjectsError, match="Set this machine's clock"):
        driver.list_containers()
    assert len(s3.requests) == 1


def test_a_clock_that_stays_wrong_is_an_error(s3, driver):
    """A server that goes on complaining is believed once."""
    date = format_datetime(datetime.now(timezone.utc) + timedelta(hours=3), usegmt=True)
    s3.fail(9, error(403, "RequestTimeTooSkewed", Date=date))
    with pytest.raises(errors.AuroraObjectsError, match="RequestTimeTooSkewed"):
        driver.list_containers()
    assert len(s3.requests) == 2


def test_a_document_without_end_is_refused(s3, new_driver):
    """A body beyond the largest document, 64 MiB, is not read on."""
    driver = new_driver(ex_max_attempts=1)
    s3.fail(9, Answer(200, bytes(64 * 1024**2 + 1)))
    with pytest.raises(errors.MalformedAnswerError, match="a document without end"):
        driver.list_containers()


def test_an_error_without_end_is_cut(s3, driver):
    """Of the body of an error no more than 64 KiB are read."""
    s3.fail(9, Answer(400, b"x" * 10_000_000))
    with pytest.raises(errors.AuroraObjectsError) as caught:
        driver.list_containers()
    assert len(str(caught.value)) < 400


def test_no_secret_is_in_logs_errors_or_reprs(s3, new_driver, caplog):
    """Neither secret, token nor signature is in a log line, an error's text or a repr."""
    caplog.set_level(logging.DEBUG)
    driver = new_driver("AKEY", "the-secret", token="the-token")

    def echo(request):
        body = f"<Error><Code>SlowDown</Code><Message>{request.headers}</Message></Error>"
        return Answer(503, body.encode())

    s3.faults.append(echo)
    with pytest.raises(LibcloudError) as caught:
        driver.list_containers()
    signature = s3.requests[-1].headers["authorization"].rpartition("=")[2]
    shown = [caplog.text, str(caught.value), repr(caught.value), *caught.value.history]
    shown += [repr(driver), repr(driver.connection), repr(driver.connection.signer)]
    for text in shown:
        for secret in ("the-secret", "the-token", signature):
            assert secret not in text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.integers(200, 599),
    st.binary(max_size=200)
    | st.text(max_size=60).map(lambda text: f"<Error><Code>{text}</Code></Error>".encode()),
    st.dictionaries(
        st.sampled_from(["Retry-After", "Date", "Location", "Content-Type", "x-amz-request-id"]),
        st.text(st.characters(max_codepoint=255), max_size=20),
    ),
    st.sampled_from(["list_containers", "get_container", "list_objects", "get_object", "delete"]),
)
def test_any_answer_is_a_result_or_a_libcloud_error(s3, new_driver, status, body, headers, call):
    """Whatever a server answers, each call returns or raises LibcloudError, within its attempts."""
    driver = new_driver(ex_max_attempts=2)
    s3.faults[:] = [lambda request: Answer(status, body, headers)]
    s3.requests.clear()
    container = libcloud_container(driver)
    calls = {
        "list_containers": driver.list_containers,
        "get_container": lambda: driver.get_container("photos"),
        "list_objects": lambda: driver.list_container_objects(container),
        "get_object": lambda: driver.get_object("photos", "k"),
        "delete": lambda: driver.delete_container(container),
    }
    with contextlib.suppress(LibcloudError):
        calls[call]()
    assert len(s3.requests) <= 6
    driver.close()


def libcloud_container(driver):
    return Container(name="photos", extra={}, driver=driver)


def test_libclouds_mock_transports_can_take_the_place(driver):
    """connectionCls.conn_class stays the seam of libcloud's own mock transports."""
    seen = {}

    class Transport:
        def __init__(self, *args, **kwargs):
            seen.update(kwargs)

    connection = type("Connection", (driver.connectionCls,), {"conn_class": Transport})
    made = connection("key", "secret", True, "h", 443)
    made.driver = driver
    made.connect()
    assert "verify_ssl" not in seen
    assert isinstance(made.connection, Transport)


def test_a_mock_transport_may_have_read_the_body(s3, new_driver, monkeypatch):
    """A response that its transport has read, or one made by hand, is taken as it is."""
    driver = new_driver()
    transport = driver.connection.connection
    last = transport.getresponse

    def finished():
        response = last()
        assert response.content is not None
        return response

    monkeypatch.setattr(transport, "getresponse", finished)
    s3.put("k", b"content")
    container = driver.get_container("photos")
    assert b"".join(container.get_object("k").as_stream()) == b"content"
    assert [each.name for each in container.list_objects()] == ["k"]
    s3.put("z", gzip.compress(b"content"), **{"content-encoding": "gzip"})
    answer = driver.connection.request("/photos/z", stream=True)
    assert b"".join(answer.iter_content(3)) == b"content"


def test_a_clock_that_another_thread_has_set_is_used(s3, driver):
    """A request refused for the time it was signed with is sent again, whoever set the clock."""
    date = datetime.now(timezone.utc) + timedelta(hours=3)
    said = format_datetime(date, usegmt=True)

    def meanwhile(request):
        if len(s3.requests) > 1:
            return None
        driver.connection.clock.correct(said, date)
        return error(403, "RequestTimeTooSkewed", Date=said)

    s3.faults.append(meanwhile)
    assert [each.name for each in driver.list_containers()] == ["photos"]
    assert len(s3.requests) == 2


def test_a_refused_head_whose_reason_is_gone_is_sent_again(s3, driver):
    """A HEAD that is refused, when the GET that asks why is not, is no AccessDenied."""
    s3.put("k", b"content")
    s3.put("empty", b"")
    for key, size in (("k", 7), ("empty", 0)):
        s3.requests.clear()
        s3.fail(1, Answer(403), method="HEAD")
        assert driver.get_object("photos", key).size == size
        asked = ["GET"] if size else ["GET", "GET"]  # an empty object has no first byte
        assert [sent.method for sent in s3.requests] == ["HEAD", *asked, "HEAD"]
    s3.fail(1, Answer(403), method="HEAD")
    with pytest.raises(errors.ObjectNotFoundError):
        driver.get_object("photos", "missing")
    s3.fail(9, Answer(403), method="HEAD")
    with pytest.raises(errors.MalformedAnswerError, match="HEAD is refused"):
        driver.get_object("photos", "k")


@pytest.mark.parametrize("name", ["Authorization", "Proxy-Authorization"])
def test_logins_are_secrets(driver, name):
    """What an Authorization carries is shown by no text, whoever it is for."""
    assert "bG9naW4=" in driver.connection.secrets({name: "Basic bG9naW4="})


def test_a_container_whose_head_alone_is_refused_is_there(s3, driver):
    """A policy may allow to list a few rows, which radosgw compares with GET only."""
    s3.fail(1, Answer(403), method="HEAD")
    assert driver.get_container("photos").name == "photos"
    assert [sent.method for sent in s3.requests] == ["HEAD", "GET"]


def test_a_body_in_chunks_is_closed_whatever_happens(wire, new_driver):
    """A failed attempt gives the memory of its chunk back, though its traceback lives on."""
    closed = []

    def chunks():
        try:
            yield (memoryview(b"x"),)
        finally:
            closed.append(True)

    def broken(request, context):
        next(request.body)
        raise requests.ConnectionError("broken")

    wire.register_uri(requests_mock.ANY, requests_mock.ANY, raw=broken)
    driver = new_driver(ex_max_attempts=3)
    with pytest.raises(errors.NetworkError) as caught:
        driver.connection.request("/b/k", method="PUT", data=ChunkedBody(1, chunks))
    assert closed == [True] * 3
    assert len(caught.value.history) == 3
