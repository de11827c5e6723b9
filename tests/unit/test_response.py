"""What connection.request returns: a successful answer, in libcloud's shape."""

import pytest
from unit.memory_s3 import Answer, error

from libcloud_aurora.errors import (
    AuroraObjectsError,
    MalformedAnswerError,
    ObjectNotFoundError,
)


@pytest.fixture
def answered(s3, driver):
    """Return what a request returns that is answered like this."""

    def answered(content=b"", **headers):
        s3.fail(1, Answer(200, content, headers))
        return driver.connection.request("/photos/k")

    return answered


def test_it_has_what_libclouds_users_expect(answered, driver):
    """Status, headers in lower case, body, object, error and success() are there."""
    response = answered(b'<A xmlns="urn:x"><B>1</B></A>', ETag='"x"')
    assert (response.status, response.error) == (200, "reason")
    assert response.headers["etag"] == '"x"'
    assert response.body == '<A xmlns="urn:x"><B>1</B></A>'
    assert response.object.findtext("{urn:x}B") == "1"
    assert response.success()
    assert response.connection is driver.connection


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("stream", [True, False])
def test_its_content_can_be_iterated_over(s3, driver, raw, stream):
    """As with libcloud's own response, iter_content() yields the body, streamed or not."""
    s3.fail(1, Answer(200, b"content", {}))
    response = driver.connection.request("/photos/k", raw=raw, stream=stream)
    assert list(response.iter_content(3)) == [b"con", b"ten", b"t"]


def test_an_empty_body_has_an_empty_object(answered):
    """Without a body, body and object are the empty text."""
    response = answered()
    assert (response.body, response.object) == ("", "")


@pytest.mark.parametrize(
    "content", [b"no xml", b"<a>", b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>']
)
def test_an_object_that_is_no_document_is_a_libcloud_error(answered, content):
    """A body that is not S3 never makes the XML parser's error."""
    response = answered(content)
    with pytest.raises(MalformedAnswerError, match="body begins with"):
        _ = response.object


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("plain", "plain"),
        ("ż".encode().decode("latin-1"), "ż"),
        ("\xe9", "\xe9"),
        ("żaba", "żaba"),
    ],
)
def test_header_values_are_read_as_utf_8(answered, sent, read):
    """Metadata that is UTF-8 comes back as text, anything else as it came."""
    assert answered(**{"X-Amz-Meta-A": sent}).headers["x-amz-meta-a"] == read


@pytest.fixture
def reads(s3, driver, container, tmp_path):
    """Calls that read an element, or a page, of an answer with this content."""

    def reads(content, times=5):
        def begin():
            s3.fail(times, Answer(200, content), method="POST")
            driver.upload_object_via_stream([b"x" * 6_000_000], container, "k")

        def browse():
            s3.fail(times, Answer(200, content), method="GET")
            driver.list_container_objects(container)

        return begin, browse

    return reads


@pytest.mark.parametrize("content", [b"", b"<html/>", b"<R/>", b"\x00", b"<Errors/>"])
def test_other_bodies_are_malformed(reads, driver, content):
    """A success whose body is something else is MalformedAnswerError that shows its beginning."""
    for read in reads(content):
        with pytest.raises(MalformedAnswerError, match="the response is not S3: ") as caught:
            read()
        assert (caught.value.http_status, caught.value.driver) == (200, driver)
        assert (caught.value.bucket, len(caught.value.history)) == ("photos", 5)
        assert ("its body begins with" in str(caught.value)) == bool(content)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(404, b"404 page not found"), MalformedAnswerError),
        (Answer(404, b"<html>Not Found</html>"), MalformedAnswerError),
        (Answer(404, b"no such key", {"x-amz-request-id": "tx1"}), ObjectNotFoundError),
        (error(404, "NoSuchKey", **{"x-amz-request-id": None}), ObjectNotFoundError),
        (Answer(404), ObjectNotFoundError),
    ],
)
def test_a_404_is_believed_if_it_may_be_of_s3(s3, driver, answer, kind):
    """A router whose server is away does not know what is there; who says nothing is believed."""
    s3.faults.append(lambda request: answer)
    with pytest.raises(kind) as caught:
        driver.get_object("photos", "k")
    assert type(caught.value) is kind
    assert caught.value.http_status == 404


def test_a_malformed_success_is_tried_again(s3, driver, reads):
    """What a proxy has said in place of the server is overcome."""
    for read in reads(b"<html/>", times=4):
        read()
    assert s3.buckets["photos"]["k"].data == b"x" * 6_000_000


def test_an_error_in_spite_of_success_is_an_error(reads):
    """A 200 with an <Error> in its body is the error it names, without a signature in its text."""
    body = b"<Error><Code>InternalError</Code><Message>Signature=abc oops</Message></Error>"
    for read in reads(body):
        with pytest.raises(AuroraObjectsError, match=r"InternalError \(HTTP 200\).*oops") as caught:
            read()
        assert (caught.value.code, caught.value.http_status) == ("InternalError", 200)
        assert len(caught.value.history) == 5
        assert "abc" not in str(caught.value)


@pytest.mark.parametrize(
    "fields", [b"<Message/>", b"<Code/>", b"<Code></Code><Message>x</Message>"]
)
def test_an_error_without_a_code_is_internal(reads, fields):
    """An <Error> that names no code counts as InternalError, and is tried again."""
    for read in reads(b"<Error>" + fields + b"</Error>"):
        with pytest.raises(AuroraObjectsError) as caught:
            read()
        assert (caught.value.code, len(caught.value.history)) == ("InternalError", 5)
