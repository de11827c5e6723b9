"""_xml: S3 documents in and out; whatever comes in, the right answer or MalformedXMLError."""

import time
import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from libcloud_aurora import _xml

S3 = "http://s3.amazonaws.com/doc/2006-03-01/"
BOMB = (
    b'<!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    b'<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><Error><Code>&c;</Code></Error>'
)
EXTERNAL = b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><Error><Code>&e;</Code></Error>'

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
broken = st.one_of(
    st.binary(max_size=300),
    st.lists(
        st.sampled_from(
            [
                "<Error>", "</Error>", "<Code>", "</Code>", "<ListBucketResult>", "<Contents>",
                "</Contents>", "</ListBucketResult>", "<Key>", "</Key>", "<Size>1", "</Size>",
                "&#x0;", "&#1;", "&#xFFFE;", "&#x110000;", "&#99999999999;", "&bogus;", "&", "<",
                "]]>", "<![CDATA[", "<!--", "-->", "<?xml version='1.0'?>", "\x00", "\ufffe", "x",
                "<!DOCTYPE x>", f' xmlns="{S3}"', "<IsTruncated>true</IsTruncated>", "<a:b/>",
            ]
        ),
        max_size=25,
    ).map(lambda pieces: "".join(pieces).encode()),
)  # fmt: skip


def listing(*rows, extra=""):
    return f'<ListBucketResult xmlns="{S3}">{extra}{"".join(rows)}</ListBucketResult>'.encode()


def test_a_page_has_rows_prefixes_and_state():
    """A page of a listing as radosgw writes it is read completely, without its namespace."""
    body = listing(
        "<Contents><Key>a%20b</Key><Size>3</Size><Owner><ID>me</ID><DisplayName>M</DisplayName>"
        "</Owner><ETag>&quot;x&quot;</ETag></Contents>",
        "<CommonPrefixes><Prefix>d%2F</Prefix></CommonPrefixes>",
        extra="<Name>photos</Name><Prefix/><IsTruncated>true</IsTruncated>",
    )
    page = _xml.page(body, root="ListBucketResult", row="Contents")
    assert page.rows == [
        {
            "Key": "a%20b",
            "Size": "3",
            "Owner": "",
            "Owner/ID": "me",
            "Owner/DisplayName": "M",
            "ETag": '"x"',
        }
    ]
    assert page.prefixes == ["d/"]
    assert page.is_truncated
    assert page.fields["Name"] == "photos"


def test_uploads_name_their_initiator():
    """The initiator and owner of an upload are read when they are there."""
    body = (
        b"<ListMultipartUploadsResult><Upload><Key>k</Key><Initiator><ID>i</ID></Initiator>"
        b"</Upload></ListMultipartUploadsResult>"
    )
    page = _xml.page(body, root="ListMultipartUploadsResult", row="Upload")
    assert page.rows == [{"Key": "k", "Initiator": "", "Initiator/ID": "i"}]
    assert not page.is_truncated


@pytest.mark.parametrize("empty", ["<Prefix/>", ""])
def test_missing_and_empty_prefixes_are_empty(empty):
    """A common prefix without text is the empty one, without Prefix it is none."""
    body = listing(f"<CommonPrefixes>{empty}</CommonPrefixes>")
    page = _xml.page(body, root="ListBucketResult", row="Contents")
    assert page.prefixes == ([""] if empty else [])


@pytest.mark.parametrize("other", [b"<html><body>Hello</body></html>", b"<Error/>", b"<a><b/></a>"])
def test_another_document_is_no_page(other):
    """A document with another root is an error that names both."""
    with pytest.raises(_xml.MalformedXMLError, match="where <ListBucketResult> belongs"):
        _xml.page(other, root="ListBucketResult", row="Contents")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("a&#x01;b", "a\ufffdb"),
        ("a&#1;b", "a\ufffdb"),
        ("a\x01b", "a\ufffdb"),
        ("a\ufffeb", "a\ufffdb"),
        ("a\uffffb", "a\ufffdb"),
        ("a&#xFFFF;b", "a\ufffdb"),
        ("a&#xD800;b", "a\ufffdb"),
        ("a&#x110000;b", "a\ufffdb"),
        ("a\x01&b", "a\ufffd&b"),
        ("a&bogus;b", "a&bogus;b"),
        ("a&b&amp;&#65;", "a&b&A"),
        ("\U0001f4f7 \u202e", "\U0001f4f7 \u202e"),
        ("&#x41;\x02", "A\ufffd"),
    ],
)
def test_characters_xml_forbids_are_replaced(raw, expected):
    """What XML 1.0 forbids, and a bare ampersand, never make a document unreadable."""
    body = f"<Error><Code>{raw}</Code></Error>".encode()
    assert _xml.error_fields(body) == {"Code": expected}


def test_bytes_that_are_no_utf_8_are_replaced():
    """Bytes that are no UTF-8 become U+FFFD."""
    assert _xml.error_fields(b"<Error><Code>a\xff</Code></Error>") == {"Code": "a\ufffd"}


@pytest.mark.parametrize("hostile", [BOMB, EXTERNAL, b"<!ENTITY x><Error/>"])
def test_document_types_are_refused(hostile):
    """A document with a DTD, so every entity bomb and external entity, is refused."""
    with pytest.raises(_xml.MalformedXMLError, match="document type"):
        _xml.parse(hostile)
    assert _xml.error_fields(hostile) == {}


@pytest.mark.parametrize(
    "body",
    [b"<a>" + b"<b/>" * 5_000_000 + b"</a>", b"<" * 20_000_000, b"<a>" * 900_000],
    ids=["elements", "brackets", "depth"],
)
def test_far_too_many_elements_are_refused_cheaply(body):
    """Millions of elements are refused before any is made: at once, in little memory."""
    tracemalloc.start()
    begun = time.process_time()
    with pytest.raises(_xml.MalformedXMLError, match="far too many elements"):
        _xml.parse(body)
    used = time.process_time() - begun
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert used < 1
    assert peak < 2 * len(body)


def test_deep_documents_do_not_crash():
    """A document of 300,000 elements within each other is read, or refused, but does no harm."""
    depth = 300_000
    assert _xml.error_fields(b"<Error>" + b"<a>" * depth + b"</a>" * depth + b"</Error>") in (
        {"a": ""},
        {},
    )


@pytest.mark.parametrize(
    "body",
    [b"", b" ", b"<", b"<Error>", b"not xml", b"<a></b>", b"\xff\xfe<\x00E\x00", b"<a/><b/>"],
)
def test_what_is_no_document_is_malformed(body):
    """An empty body, a cut one and other text are MalformedXMLError, and have no error fields."""
    with pytest.raises(_xml.MalformedXMLError):
        _xml.parse(body)
    assert _xml.error_fields(body) == {}


def test_other_documents_have_no_error_fields():
    """Only a document called Error has error fields."""
    assert _xml.error_fields(b"<ListBucketResult><Code>x</Code></ListBucketResult>") == {}


def test_text_of_finds_the_first_of_several_names():
    """The text of the first element there is comes without blanks around it."""
    body = b"<R><ETag> abc\n</ETag><Location/></R>"
    assert _xml.text_of(body, "UploadId", "ETag") == "abc"
    assert _xml.text_of(body, "Location") == ""


def test_text_of_says_what_is_missing():
    """A document without the element is malformed, and the error says which it is."""
    with pytest.raises(_xml.MalformedXMLError, match="<R> without <UploadId>"):
        _xml.text_of(b"<R/>", "UploadId")


def test_complete_multipart_is_compact():
    """The body of Complete holds numbers and bare ETags, and 10,000 parts stay below 1 MiB."""
    assert _xml.complete_multipart([(1, "aa"), (2, "b&b")]) == (
        b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>aa</ETag></Part>"
        b"<Part><PartNumber>2</PartNumber><ETag>b&amp;b</ETag></Part></CompleteMultipartUpload>"
    )
    body = _xml.complete_multipart((number, "f" * 32) for number in range(1, 10_001))
    assert len(body) < 1_048_576


@given(texts, texts)
@example("\r\n\t", "<>&\"'")
def test_texts_survive(code, message):
    """Texts that XML allows come back as they were, in order and completely."""

    def written(text):
        return "".join(f"&#{ord(c)};" if c in "<>&\r" else c for c in text)

    def allowed(text):
        return "".join(
            "\ufffd" if (ord(c) < 32 and c not in "\t\n\r") or c in "\ufffe\uffff" else c
            for c in text
        )

    body = f"<Error><Code>{written(code)}</Code><Message>{written(message)}</Message></Error>"
    assert _xml.error_fields(body.encode()) == {"Code": allowed(code), "Message": allowed(message)}


@given(broken)
def test_any_bytes_are_a_document_or_malformed(body):
    """Whatever a server sends, parsing gives elements or MalformedXMLError."""
    try:
        assert isinstance(_xml.parse(body).tag, str)
    except _xml.MalformedXMLError:
        return


@given(broken)
def test_any_bytes_are_a_page_or_malformed(body):
    """Whatever a server sends, a page has rows of texts, or is MalformedXMLError."""
    try:
        page = _xml.page(body, root="ListBucketResult", row="Contents")
    except _xml.MalformedXMLError:
        return
    assert all(isinstance(text, str) for row in page.rows for text in row.values())
    assert all(isinstance(prefix, str) for prefix in page.prefixes)


@given(broken)
def test_any_bytes_have_error_fields_or_none(body):
    """Whatever a server sends, its error fields are texts."""
    fields = _xml.error_fields(body)
    assert all(isinstance(text, str) for pair in fields.items() for text in pair)


@given(st.integers(0, 400), st.integers(0, 400))
def test_a_document_cut_anywhere_is_malformed(start, length):
    """A page of which a piece is missing at the end is never taken for a complete one."""
    body = listing(*(f"<Contents><Key>k{n}</Key></Contents>" for n in range(10)))
    cut = body[: min(start + length, len(body) - 1)]
    with pytest.raises(_xml.MalformedXMLError):
        _xml.page(cut, root="ListBucketResult", row="Contents")
