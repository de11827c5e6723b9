"""_s3.xml: S3 documents in and out; whatever comes in, the right answer or MalformedXMLError."""

import tracemalloc
from xml.sax.saxutils import escape

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from libcloud_aurora._s3 import xml

S3 = "http://s3.amazonaws.com/doc/2006-03-01/"
BOMB = (
    b'<!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    b'<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><Error><Code>&c;</Code></Error>'
)
EXTERNAL = b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><Error><Code>&e;</Code></Error>'

START = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    "<EncodingType>url</EncodingType><Name>photos</Name><Prefix>{}</Prefix><MaxKeys>1000</MaxKeys>"
    "<IsTruncated>{}</IsTruncated>"
)
ROW = (
    "<Contents><Key>{}</Key><LastModified>2026-11-24T00:10:07.471Z</LastModified>"
    "<ETag>&quot;45ed9cc2f92b77cd8b2f5bd59ff635f8&quot;</ETag><Size>{}</Size>"
    "<StorageClass>STANDARD</StorageClass>"
    "<Owner><ID>me</ID><DisplayName>{}</DisplayName></Owner><Type>Normal</Type></Contents>"
)
END = "<CommonPrefixes><Prefix>d/</Prefix></CommonPrefixes><Marker></Marker></ListBucketResult>"
PIECES = [
    "<Contents>", "</Contents>", "<Contents/>", "<Key>", "</Key>", "<Size>1</Size>", "<Size/>",
    "<!--", "-->", "<![CDATA[", "]]>", "<?pi", "?>", "<a>", "</a>", "<a/>", "<a b='", "'>", " ",
    "\n", "\r", "\t", "\x00", "\x01", "\ufffe", "\xff", "\N{EURO SIGN}", "&", "&amp;", "&#65;",
    "&#10;", "&#0;", "&bogus;", "&amp;lt;", "<", ">", '"', "'", "%00", "<!DOCTYPE x>", "\ufeff",
    ' xmlns="x"', " xmlns='x'", "</Owner>", "<Owner>", "<ID>x</ID>", "</ListBucketResult>", "",
    "<ListBucketResult>", "<Type>Normal</Type>", ROW.format("more", 1, "me"), "<x:y/>",
]  # fmt: skip

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
    page = xml.page(body, root="ListBucketResult", row="Contents")
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


def test_uploads_name_their_initiator():
    """The initiator and owner of an upload are read when they are there."""
    body = (
        b"<ListMultipartUploadsResult><Upload><Key>k</Key><Initiator><ID>i</ID></Initiator>"
        b"</Upload></ListMultipartUploadsResult>"
    )
    page = xml.page(body, root="ListMultipartUploadsResult", row="Upload")
    assert page.rows == [{"Key": "k", "Initiator": "", "Initiator/ID": "i"}]
    assert not page.is_truncated


@pytest.mark.parametrize("empty", ["<Prefix/>", ""])
def test_missing_and_empty_prefixes_are_empty(empty):
    """A common prefix without text is the empty one, without Prefix it is none."""
    body = listing(f"<CommonPrefixes>{empty}</CommonPrefixes>")
    page = xml.page(body, root="ListBucketResult", row="Contents")
    assert page.prefixes == ([""] if empty else [])


@pytest.mark.parametrize("other", [b"<html><body>Hello</body></html>", b"<Error/>", b"<a><b/></a>"])
def test_another_document_is_no_page(other):
    """A document with another root is an error that names both."""
    with pytest.raises(xml.MalformedXMLError, match="where <ListBucketResult> belongs"):
        xml.page(other, root="ListBucketResult", row="Contents")


def test_a_page_says_that_there_is_more_only_after_something():
    """A page without a row or prefix cannot be followed by another: it is malformed."""
    more = "<IsTruncated>true</IsTruncated>"
    for rows in ("<Contents><Key>k</Key></Contents>", "<CommonPrefixes><Prefix/></CommonPrefixes>"):
        assert xml.page(listing(more, rows), root="ListBucketResult", row="Contents").is_truncated
    with pytest.raises(xml.MalformedXMLError, match="nothing on it"):
        xml.page(listing(more), root="ListBucketResult", row="Contents")


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
    assert xml.error_fields(body) == {"Code": expected}


def test_bytes_that_are_no_utf_8_are_replaced():
    """Bytes that are no UTF-8 become U+FFFD."""
    assert xml.error_fields(b"<Error><Code>a\xff</Code></Error>") == {"Code": "a\ufffd"}


@pytest.mark.parametrize("hostile", [BOMB, EXTERNAL, b"<!ENTITY x><Error/>"])
def test_document_types_are_refused(hostile):
    """A document with a DTD, so every entity bomb and external entity, is refused."""
    with pytest.raises(xml.MalformedXMLError, match="document type"):
        xml.parse(hostile)
    assert xml.error_fields(hostile) == {}


@pytest.mark.parametrize(
    "body",
    [b"<a>" + b"<b/>" * 5_000_000 + b"</a>", b"<" * 20_000_000, b"<a>" * 900_000],
    ids=["elements", "brackets", "depth"],
)
def test_far_too_many_elements_are_refused_cheaply(monkeypatch, body):
    """Millions of elements are refused before any is made, in little memory."""
    monkeypatch.setattr(xml.ElementTree, "fromstring", lambda text: pytest.fail("parsed"))
    tracemalloc.start()
    with pytest.raises(xml.MalformedXMLError, match="far too many elements"):
        xml.parse(body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * len(body)


def test_deep_documents_do_not_crash():
    """A document of 300,000 elements within each other is read, or refused, but does no harm."""
    depth = 300_000
    assert xml.error_fields(b"<Error>" + b"<a>" * depth + b"</a>" * depth + b"</Error>") in (
        {"a": ""},
        {},
    )


@pytest.mark.parametrize(
    "body",
    [b"", b" ", b"<", b"<Error>", b"not xml", b"<a></b>", b"\xff\xfe<\x00E\x00", b"<a/><b/>"],
)
def test_what_is_no_document_is_malformed(body):
    """An empty body, a cut one and other text are MalformedXMLError, and have no error fields."""
    with pytest.raises(xml.MalformedXMLError):
        xml.parse(body)
    assert xml.error_fields(body) == {}


def test_other_documents_have_no_error_fields():
    """Only a document called Error has error fields."""
    assert xml.error_fields(b"<ListBucketResult><Code>x</Code></ListBucketResult>") == {}


def test_the_text_of_an_element():
    """The text of an element comes without blanks around it."""
    body = b"<R><ETag> abc\n</ETag><Location/></R>"
    assert xml.text_of(body, "ETag") == "abc"
    assert xml.text_of(body, "Location") == ""


def test_text_of_says_what_is_missing():
    """A document without the element is malformed, and the error says which it is."""
    with pytest.raises(xml.MalformedXMLError, match="<R> without <UploadId>"):
        xml.text_of(b"<R/>", "UploadId")


def test_complete_multipart_is_compact():
    """The body of Complete holds numbers and bare ETags, and 10,000 parts stay below 1 MiB."""
    assert xml.complete_multipart([(1, "aa"), (2, "b&b")]) == (
        b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>aa</ETag></Part>"
        b"<Part><PartNumber>2</PartNumber><ETag>b&amp;b</ETag></Part></CompleteMultipartUpload>"
    )
    body = xml.complete_multipart((number, "f" * 32) for number in range(1, 10_001))
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
    assert xml.error_fields(body.encode()) == {"Code": allowed(code), "Message": allowed(message)}


@given(broken)
def test_any_bytes_are_a_document_or_malformed(body):
    """Whatever a server sends, parsing gives elements or MalformedXMLError."""
    try:
        assert isinstance(xml.parse(body).tag, str)
    except xml.MalformedXMLError:
        return


@given(broken)
def test_any_bytes_are_a_page_or_malformed(body):
    """Whatever a server sends, a page has rows of texts, or is MalformedXMLError."""
    try:
        page = xml.page(body, root="ListBucketResult", row="Contents")
    except xml.MalformedXMLError:
        return
    assert all(isinstance(text, str) for row in page.rows for text in row.values())
    assert all(isinstance(prefix, str) for prefix in page.prefixes)


@given(broken)
def test_any_bytes_have_error_fields_or_none(body):
    """Whatever a server sends, its error fields are texts."""
    fields = xml.error_fields(body)
    assert all(isinstance(text, str) for pair in fields.items() for text in pair)


@given(st.integers(0, 400), st.integers(0, 400))
def test_a_document_cut_anywhere_is_malformed(start, length):
    """A page of which a piece is missing at the end is never taken for a complete one."""
    body = listing(*(f"<Contents><Key>k{n}</Key></Contents>" for n in range(10)))
    cut = body[: min(start + length, len(body) - 1)]
    with pytest.raises(xml.MalformedXMLError):
        xml.page(cut, root="ListBucketResult", row="Contents")


@given(st.lists(st.text(), max_size=5))
@example(["a\rb\n\tc", "<&>\"'", "\N{EURO SIGN}\U0001f4f7"])
def test_names_to_delete_survive(keys):
    """What XML can carry comes back from the body of DeleteObjects as it was, and as long."""
    keys = [key for key in keys if xml.can_carry(key)]
    named = [xml.Named(key) for key in keys]
    body = xml.delete_objects(named)
    assert [key.text or "" for key in xml.parse(body).iter("Key")] == keys
    assert len(body) == len(xml.delete_objects([])) + sum(map(xml.delete_row_size, named))


@pytest.mark.parametrize("key", ["a\x00", "\x0b", "\ufffe", "a\udce4b"])
def test_names_that_xml_cannot_carry_are_told(key):
    """Control characters, and what is no character, are told from others and have a size, too."""
    assert not xml.can_carry(key)
    assert xml.delete_row_size(xml.Named(key)) > xml.delete_row_size(xml.Named(""))


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("007", 7), ("9" * 18, 10**18 - 1), ("9" * 19, None), ("-1", None), ("", None)]
    + [(text, None) for text in ("1.5", " 1", "1\n", "²", "\u0661", "1_0", "0x1")],
)
def test_numbers_are_digits_of_a_sensible_length(text, number):
    """A number in a document is up to 18 ASCII digits, and nothing else is one."""
    assert xml.whole_number(text) == number


# Rows that are read at once

plain = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
rows = st.tuples(plain | texts, st.integers(0, 10**18 - 1), plain).map(
    lambda row: ROW.format(*(escape(str(field), {'"': "&quot;", "'": "&apos;"}) for field in row))
)
pages = st.builds(
    lambda prefix, truncated, found: (
        START.format(escape(prefix), truncated) + "".join(found) + END
    ).encode(),
    texts,
    st.sampled_from(["true", "false"]),
    st.lists(rows, max_size=5),
)


def by_the_parser(body):
    """Return what is on a page, read element by element; ``None`` for one that is refused."""
    try:
        document = xml.parse(body)
    except xml.MalformedXMLError:
        return None
    if document.tag != "ListBucketResult":
        return None
    found = []
    for element in document.iter("Contents"):
        texts = {child.tag: child.text or "" for child in element}
        if "Owner" in texts:
            owner = element.iterfind("Owner/*")
            texts.update({f"Owner/{child.tag}": child.text or "" for child in owner})
        if "Key" not in texts or xml.whole_number(texts.get("Size", "")) is None:
            return None
        found.append(texts)
    truncated = (document.findtext("IsTruncated") or "").lower() == "true"
    prefixes = [each.text or "" for each in document.iterfind("CommonPrefixes/Prefix")]
    return None if truncated and not found + prefixes else (found, truncated, len(prefixes))


def by_the_page(body):
    try:
        page = xml.page(body, root="ListBucketResult", row="Contents", needs=("Key", "Size"))
    except xml.MalformedXMLError:
        return None
    return page.rows, page.is_truncated, len(page.prefixes)


@given(pages)
@example((START.format("", "true") + END).encode())
@example((START.format("\x01", "true") + ROW.format("&amp;lt;", 0, "&apos;") + END).encode())
def test_a_page_is_what_the_parser_reads(body):
    """Pages of any keys, prefixes and owners are read as the parser reads them."""
    expected = by_the_parser(body)
    assert expected is not None
    assert by_the_page(body) == expected


@given(
    st.lists(st.text("abc/%20.&'\"", max_size=9), min_size=1, max_size=4),
    st.lists(
        st.tuples(st.integers(0, 1300), st.integers(0, 40), st.sampled_from(PIECES)), max_size=3
    ),
)
@example(["k"], [(0, 0, "<!--"), (10**6, 0, "-->")])
@example(["k"], [(273, 0, "<![CDATA["), (10**6, 0, "]]>")])
@example(["k"], [(273, 0, "<Contents/>")])
@example(["k", "k"], [(273, 0, "<a b='")])
def test_a_damaged_page_is_what_the_parser_reads(keys, damages):
    """However a page is cut, stuffed or mangled, it is read as the parser reads it, or refused."""
    found = [ROW.format(escape(key, {"'": "&apos;"}), 1, "me") for key in keys]
    text = START.format("", "false") + "".join(found) + END
    for position, length, piece in damages:
        text = text[:position] + piece + text[position + length :]
    body = text.encode()
    assert by_the_page(body) == by_the_parser(body)


@given(st.data())
def test_a_damaged_byte_never_hides_a_row(data):
    """With any one byte replaced by any other, a page is read as the parser reads it."""
    text = START.format("", "false") + "".join(ROW.format(n, n, "me") for n in range(3)) + END
    body = bytearray(text.encode())
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    assert by_the_page(bytes(body)) == by_the_parser(bytes(body))


def test_radosgws_rows_are_read_completely():
    """A page of a thousand rows as radosgw writes them has all of them, with all fields."""
    rows = "".join(ROW.format(n, 7, "me") for n in range(1000))
    body = (START.format("", "false") + rows + END).encode()
    page = xml.page(body, root="ListBucketResult", row="Contents")
    assert [row["Key"] for row in page.rows] == [str(n) for n in range(1000)]
    assert page.rows[0] == {
        "Key": "0",
        "LastModified": "2026-11-24T00:10:07.471Z",
        "ETag": '"45ed9cc2f92b77cd8b2f5bd59ff635f8"',
        "Size": "7",
        "StorageClass": "STANDARD",
        "Owner": "",
        "Owner/ID": "me",
        "Owner/DisplayName": "me",
        "Type": "Normal",
    }
    assert page.prefixes == ["d/"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<Key>1</Key>", "<Key>\N{EURO SIGN}</Key>"),
        ("<Key>1</Key>", "<Key>1</Key><VersionId/>"),
        ("</Contents>", "</Contents>\n"),
        ("<Size>", "<Size> "),
        ("<Size>", "<Size><!-- -->"),
        ("<Prefix></Prefix>", "<Prefix><x/></Prefix>"),
        ("<Prefix></Prefix>", "<!--<Prefix></Prefix>-->"),
        ("<Prefix></Prefix>", "<Prefix></Prefix><Contents></Contents>"),
        ("<Marker></Marker>", "<Contents><Key>x</Key></Contents>"),
        ("ListBucketResult", "ListVersionsResult"),
    ],
)
def test_rows_of_another_form_are_read_as_well(old, new):
    """If anything differs from radosgw's form, the page is what the parser reads, or refused."""
    text = START.format("", "false") + "".join(ROW.format(n, 7, "me") for n in range(3)) + END
    changed = text.replace(old, new)
    assert changed != text
    assert by_the_page(changed.encode()) == by_the_parser(changed.encode())


def test_radosgws_rows_need_no_parser():
    """Rows of radosgw's form are cut off at once; of another form, all is left to the parser."""
    for row, count in ((ROW, 1000), (ROW + "\n", 0)):
        body = "".join(row.format(n, 7, "me") for n in range(1000))
        rows, rest = xml._cut_rows(START.format("", "false") + body + END)
        assert (len(rows), len(rest) < 1000) == (count, bool(count))


@pytest.mark.parametrize(
    "piece", ["<Contents><Key>", "<Contents><Key>" + "&amp;" * 500, "<Contents>" * 100]
)
def test_hostile_pages_are_refused(piece):
    """Text made to mislead the reader of rows is refused; in quadratic time, this would hang."""
    body = START.format("", "false") + piece * (3_000_000 // len(piece))
    assert by_the_page(body.encode()) is None
