"""_response: a successful answer, in libcloud's shape."""

from types import SimpleNamespace

import pytest
import requests

from libcloud_aurora._response import AuroraResponse
from libcloud_aurora.errors import AuroraObjectsError, MalformedAnswerError

CONNECTION = SimpleNamespace(driver="driver")


def response(content=b"", status=200, **headers):
    answer = requests.Response()
    answer.status_code, answer.reason, answer.raw = status, "OK", "raw"
    answer.headers.update(headers)
    return AuroraResponse(answer, CONNECTION, content)


def test_it_has_what_libclouds_users_expect():
    """Status, headers in lower case, body, object, error and success() are there."""
    answer = response(b'<A xmlns="urn:x"><B>1</B></A>', ETag='"x"')
    assert (answer.status, answer.error, answer.headers) == (200, "OK", {"etag": '"x"'})
    assert answer.body == '<A xmlns="urn:x"><B>1</B></A>'
    assert answer.object.findtext("{urn:x}B") == "1"
    assert answer.success()
    assert (answer.history, answer.raw) == ((), "raw")
    assert callable(answer.iter_content)


def test_an_empty_body_has_an_empty_object():
    """Without a body, body and object are the empty text."""
    assert (response().body, response().object) == ("", "")


@pytest.mark.parametrize(
    "content", [b"no xml", b"<a>", b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>']
)
def test_an_object_that_is_no_document_is_a_libcloud_error(content):
    """A body that is not S3 never makes the XML parser's error."""
    with pytest.raises(MalformedAnswerError):
        _ = response(content).object


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("plain", "plain"),
        ("ż".encode().decode("latin-1"), "ż"),
        ("\xe9", "\xe9"),
        ("żaba", "żaba"),
    ],
)
def test_header_values_are_read_as_utf_8(sent, read):
    """Metadata that is UTF-8 comes back as text, anything else as it came."""
    assert response(**{"X-Amz-Meta-A": sent}).headers["x-amz-meta-a"] == read


def test_texts_and_pages_are_read():
    """Elements of the body are read by name."""
    assert response(b"<R><UploadId>u</UploadId></R>").text_of("UploadId") == "u"
    page = response(b"<L><P><N>1</N></P></L>").page(root="L", row="P")
    assert page.rows == [{"N": "1"}]


@pytest.mark.parametrize("content", [b"", b"<html/>", b"<R/>", b"\x00", b"<Errors/>"])
def test_other_bodies_are_malformed(content):
    """A success whose body is something else is MalformedAnswerError that shows its beginning."""
    for read in (
        lambda: response(content).text_of("UploadId"),
        lambda: response(content).page(root="L", row="P"),
    ):
        with pytest.raises(MalformedAnswerError, match="HTTP 200, but not S3") as caught:
            read()
        assert (caught.value.http_status, caught.value.driver) == (200, "driver")


def test_an_error_in_spite_of_success_is_an_error():
    """A 200 with an <Error> in its body is the error it names, without a signature in its text."""
    body = b"<Error><Code>InternalError</Code><Message>Signature=abc oops</Message></Error>"
    for read in (
        lambda: response(body).text_of("ETag"),
        lambda: response(body).page(root="L", row="P"),
    ):
        with pytest.raises(AuroraObjectsError, match=r"with error InternalError.*oops") as caught:
            read()
        assert (caught.value.code, caught.value.http_status) == ("InternalError", 200)
        assert "abc" not in str(caught.value)


def test_an_error_without_a_code_is_internal():
    """An <Error> that names no code counts as InternalError."""
    with pytest.raises(AuroraObjectsError) as caught:
        response(b"<Error><Message/></Error>").text_of("ETag")
    assert caught.value.code == "InternalError"
