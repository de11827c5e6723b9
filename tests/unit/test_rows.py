"""_rows: what is read at once is what the parser reads, and all of it."""

import time
from xml.sax.saxutils import escape

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from libcloud_aurora import _xml
from libcloud_aurora._rows import cut_rows

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

plain = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
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
        document = _xml.parse(body)
    except _xml.MalformedXMLError:
        return None
    if document.tag != "ListBucketResult":
        return None
    found = []
    for element in document.iter("Contents"):
        texts = {child.tag: child.text or "" for child in element}
        if "Owner" in texts:
            owner = element.iterfind("Owner/*")
            texts.update({f"Owner/{child.tag}": child.text or "" for child in owner})
        if "Key" not in texts or _xml.whole_number(texts.get("Size", "")) is None:
            return None
        found.append(texts)
    fields = {child.tag: child.text or "" for child in document if child.tag != "Contents"}
    truncated = fields.get("IsTruncated", "").lower() == "true"
    prefixes = [each.text or "" for each in document.iterfind("CommonPrefixes/Prefix")]
    return None if truncated and not found + prefixes else (found, truncated, fields, len(prefixes))


def by_the_page(body):
    try:
        page = _xml.page(body, root="ListBucketResult", row="Contents", needs=("Key", "Size"))
    except _xml.MalformedXMLError:
        return None
    return page.rows, page.is_truncated, page.fields, len(page.prefixes)


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


def test_radosgws_rows_are_cut_off():
    """All rows of radosgw's form are read at once, and what is left holds none."""
    start = START.format("", "false")
    found, rest = cut_rows(start + "".join(ROW.format(n, 7, "me") for n in range(1000)) + END)
    assert [row["Key"] for row in found] == [str(n) for n in range(1000)]
    assert found[0] == {
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
    assert rest == start + END


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<Key>1</Key>", "<Key>\N{EURO SIGN}</Key>"),
        ("<Key>1</Key>", "<Key>1</Key><VersionId/>"),
        ("</Contents>", "</Contents>\n"),
        ("<Size>", "<Size> "),
        ("<Prefix></Prefix>", "<Prefix><x/></Prefix>"),
        ("<Prefix></Prefix>", "<!--<Prefix></Prefix>-->"),
        ("<Prefix></Prefix>", "<Prefix></Prefix><Contents></Contents>"),
        ("<Marker></Marker>", "<Contents><Key>x</Key></Contents>"),
        ("ListBucketResult", "ListVersionsResult"),
    ],
)
def test_another_form_is_left_to_the_parser(old, new):
    """If anything differs from radosgw's form, no row is cut off and nothing is changed."""
    text = START.format("", "false") + "".join(ROW.format(n, 7, "me") for n in range(3)) + END
    assert cut_rows(text)[0]
    changed = text.replace(old, new)
    assert changed != text
    assert cut_rows(changed) == ([], changed)


def test_hostile_pages_take_linear_time():
    """Text made to mislead the expression is refused as fast as it is read."""
    for piece in ("<Contents><Key>", "<Contents><Key>" + "&amp;" * 500, "<Contents>" * 100):
        text = START.format("", "false") + piece * (2_000_000 // len(piece))
        begun = time.process_time()
        assert cut_rows(text)[0] == []
        assert time.process_time() - begun < 1
