"""Pure: S3 documents in and out.

radosgw does not escape what XML 1.0 forbids: a key with a control character makes a document
ill-formed. Such characters are replaced and never fatal. Documents with a DTD are refused, because
S3 has none and entity bombs need one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import unquote
from xml.etree import ElementTree
from xml.sax.saxutils import unescape

#: Largest document read from a server, in bytes: a page of 5,000 long keys stays well below.
MAX_DOCUMENT_SIZE = 64 * 1024**2
#: Most elements of one document, so that a document of empty elements stays cheap.
MAX_ELEMENTS = 400_000

_WHOLE_NUMBER = re.compile(r"[0-9]{1,18}")
#: Fields that hold numbers.
_NUMBERS = frozenset({"Size", "PartNumber"})

_NAMESPACE = re.compile(r'\sxmlns=(?:"[^"]*"|\'[^\']*\')')
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_REFERENCE = re.compile(r"&#(?:x([0-9a-fA-F]{1,8})|([0-9]{1,10}));")
_BARE_AMPERSAND = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#[0-9]+|#x[0-9a-fA-F]+);)")

#: A carriage return would be read as a line feed, and so name another key.
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})


#: Printable ASCII, and references where XML needs them. Never ``<``, so that no text hides a row.
_TEXT = r"([ -%'-;=?-~]*(?:&(?:amp|lt|gt|quot|apos);[ -%'-;=?-~]*)*)"
_OBJECT_NAMES = ("Key", "LastModified", "ETag", "Size", "StorageClass")
_ROW_NAMES = (*_OBJECT_NAMES, "Owner", "Owner/ID", "Owner/DisplayName", "Type")
_OBJECT_ROW = re.compile(
    f"<Contents><Key>{_TEXT}</Key><LastModified>{_TEXT}</LastModified><ETag>{_TEXT}</ETag>"
    f"<Size>([0-9]{{1,18}})</Size><StorageClass>{_TEXT}</StorageClass>"
    f"<Owner>()<ID>{_TEXT}</ID><DisplayName>{_TEXT}</DisplayName></Owner>"
    f"<Type>{_TEXT}</Type></Contents>"
)
#: All that may stand before the first row. After it, a row is an element of the root, not text, a
#: comment or an attribute; the namespace the parser removes is the root's.
_HEAD = re.compile(
    r'(?:<\?xml version="1.0" encoding="UTF-8"\?>\n?)?<ListBucketResult xmlns="[!#-;=?-~]*">'
    r"(?:<([A-Za-z]+)>[^<]*</\1>|<[A-Za-z]+/>)*"
)


class MalformedXMLError(ValueError):
    """The bytes are not an S3 document."""


class Named(NamedTuple):
    """An object to delete, or one version of it."""

    key: str
    version_id: str | None = None


class Page(NamedTuple):
    """One page of a listing: texts by element name."""

    rows: list[dict[str, str]]
    prefixes: list[str]
    is_truncated: bool


EMPTY_PAGE = Page([], [], False)


def whole_number(text: str) -> int | None:
    """Return a number that a server wrote, or ``None`` if it is not one of sensible length."""
    return int(text) if _WHOLE_NUMBER.fullmatch(text) else None


def parse(body: bytes, *, namespaces: bool = False) -> ElementTree.Element:
    """Parse an S3 document, without its default namespace unless that is wanted."""
    return _element(_read(body), namespaces=namespaces)


def _read(body: bytes) -> str:
    text = body.decode("utf-8", "replace")
    if "<!DOCTYPE" in text or "<!ENTITY" in text or text.count("<") > 2 * MAX_ELEMENTS:
        raise MalformedXMLError("a document type, or far too many elements")
    return text


def _element(text: str, *, namespaces: bool = False) -> ElementTree.Element:
    if not namespaces:
        text = _NAMESPACE.sub("", text, count=1)
    try:
        return ElementTree.fromstring(text)  # noqa: S314 - no DTD, few elements: see _read
    except (ElementTree.ParseError, ValueError):
        text = _FORBIDDEN.sub("\ufffd", _REFERENCE.sub(_legal, text))
    try:
        return ElementTree.fromstring(_BARE_AMPERSAND.sub("&amp;", text))  # noqa: S314 - the same
    except (ElementTree.ParseError, ValueError) as exc:
        raise MalformedXMLError(str(exc)) from exc


def _legal(match: re.Match[str]) -> str:
    """Return a reference, or U+FFFD for a reference to what XML 1.0 forbids."""
    code = int(match[1], 16) if match[1] else int(match[2])
    return match[0] if code < 0x110000 and not _FORBIDDEN.match(chr(code)) else "\ufffd"


def _texts(element: ElementTree.Element) -> dict[str, str]:
    return {child.tag: child.text or "" for child in element}


def _row(element: ElementTree.Element) -> dict[str, str]:
    """Return the texts of an element, those of its owner and initiator under paths."""
    texts = _texts(element)
    for name in ("Owner", "Initiator"):
        if name in texts:
            for field in element.iterfind(f"{name}/*"):
                texts[f"{name}/{field.tag}"] = field.text or ""
    return texts


def error_fields(body: bytes) -> dict[str, str]:
    """Return the fields of an ``<Error>`` document (Code, Message, ...), none if it is another."""
    try:
        root = parse(body)
    except MalformedXMLError:
        return {}
    return _texts(root) if root.tag == "Error" else {}


def page(
    body: bytes,
    *,
    root: str | tuple[str, ...],
    row: str | tuple[str, ...],
    needs: tuple[str, ...] = (),
) -> Page:
    """Read one page of a listing; check the name of its root, and that rows have what they need."""
    text = _read(body)
    rows, text = _cut_rows(text) if row == "Contents" else ([], text)
    document = _element(text)
    roots, kinds = ((each,) if isinstance(each, str) else each for each in (root, row))
    if document.tag not in roots:
        raise MalformedXMLError(f"<{document.tag}> where <{roots[0]}> belongs")
    rows = rows or _rows(document, kinds, needs)
    prefixes = [unquote(prefix.text or "") for prefix in document.iterfind("CommonPrefixes/Prefix")]
    truncated = (document.findtext("IsTruncated") or "").lower() == "true"
    if truncated and not (rows or prefixes):
        raise MalformedXMLError("a page with nothing on it that says there is more")
    return Page(rows, prefixes, truncated)


def _rows(
    document: ElementTree.Element, kinds: tuple[str, ...], needs: tuple[str, ...]
) -> list[dict[str, str]]:
    elements = [element for element in document.iter() if element.tag in kinds]
    rows = [_row(element) for element in elements]
    for element, texts in zip(elements, rows, strict=True):
        for name in (*needs, *(_NUMBERS & texts.keys())):
            if name not in texts or (name in _NUMBERS and whole_number(texts[name]) is None):
                raise MalformedXMLError(f"a <{element.tag}> whose <{name}> is {texts.get(name)!r}")
    return rows


def _cut_rows(text: str) -> tuple[list[dict[str, str]], str]:
    """
    Cut the rows off a listing of objects, all at once if they have radosgw's own form.

    Building an element for each field took most of the time of a listing. Anything of another form,
    even by a single blank, is left to the parser.

    :return: Texts by name of element, and the document without these rows. If these may not be all
        its rows, none and the whole document.
    """
    pieces = _OBJECT_ROW.split(text)  # what is before, a piece for each name, what is between, ...
    step = len(_ROW_NAMES) + 1
    head, between, tail = pieces[0], pieces[step:-1:step], pieces[-1]
    if any(between) or "<Contents" in head + tail or not _HEAD.fullmatch(head):
        return [], text
    columns = [_unescaped(pieces[place::step]) for place in range(1, step)]
    rows = zip(*columns, strict=True)
    return [dict(zip(_ROW_NAMES, row)) for row in rows], head + tail  # noqa: B905 - as many as names


def _unescaped(texts: list[str]) -> list[str]:
    """Resolve references in all texts together; none holds a line feed, nor a reference to one."""
    joined = "\n".join(texts)
    if "&" not in joined:
        return texts
    return unescape(joined, {"&quot;": '"', "&apos;": "'"}).split("\n")


def attributes(body: bytes) -> tuple[dict[str, str], dict[int, int]]:
    """Read what GetObjectAttributes says: as headers would say it, and the sizes of the parts."""
    document = parse(body)
    if not document.tag.startswith("GetObjectAttributes"):
        raise MalformedXMLError(f"<{document.tag}> where <GetObjectAttributes> belongs")
    rows = _rows(document, ("Part",), ("PartNumber", "Size"))
    checksum = document.find("Checksum")
    texts = _texts(document) | ({} if checksum is None else _texts(checksum))
    headers = {
        name.replace("Checksum", "x-amz-checksum-").lower(): text for name, text in texts.items()
    }
    return headers, {int(row["PartNumber"]): int(row["Size"]) for row in rows}


def text_of(body: bytes, name: str) -> str:
    """Return the text of an element that the document must have."""
    document = parse(body)
    text = document.findtext(name)
    if text is None:
        raise MalformedXMLError(f"<{document.tag}> without <{name}>")
    return text.strip()


def create_bucket(location: str) -> bytes:
    """Return the body of CreateBucket, which says where to place its objects."""
    where = f"<LocationConstraint>{location.translate(_ESCAPES)}</LocationConstraint>"
    return f"<CreateBucketConfiguration>{where}</CreateBucketConfiguration>".encode()


def delete_objects(named: Iterable[Named]) -> bytes:
    """Return the body of DeleteObjects; the response lists only failures."""
    rows = "".join(map(_delete_row, named))
    return f"<Delete><Quiet>true</Quiet>{rows}</Delete>".encode()


def delete_row_size(named: Named) -> int:
    """Return the bytes an object takes in the body of DeleteObjects."""
    return len(_delete_row(named).encode("utf-8", "surrogatepass"))


def _delete_row(named: Named) -> str:
    row = f"<Key>{named.key.translate(_ESCAPES)}</Key>"
    if named.version_id:
        row += f"<VersionId>{named.version_id.translate(_ESCAPES)}</VersionId>"
    return f"<Object>{row}</Object>"


def can_carry(key: str) -> bool:
    """Tell whether XML 1.0 has all characters of a key."""
    return not _FORBIDDEN.search(key)


def complete_multipart(parts: Iterable[tuple[int, str]]) -> bytes:
    """Return the body of CompleteMultipartUpload, compact: 10,000 parts stay below 1 MiB."""
    rows = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag.translate(_ESCAPES)}</ETag></Part>"
        for number, etag in parts
    )
    return f"<CompleteMultipartUpload>{rows}</CompleteMultipartUpload>".encode()


def tagging(tags: Mapping[str, str]) -> bytes:
    """Return the body of PutObjectTagging."""
    rows = "".join(
        f"<Tag><Key>{name.translate(_ESCAPES)}</Key><Value>{value.translate(_ESCAPES)}</Value></Tag>"
        for name, value in tags.items()
    )
    return f"<Tagging><TagSet>{rows}</TagSet></Tagging>".encode()


def tags(body: bytes) -> dict[str, str]:
    """Return the tags of an object."""
    document = parse(body)
    if document.tag != "Tagging":
        raise MalformedXMLError(f"<{document.tag}> where <Tagging> belongs")
    found = map(_texts, document.iter("Tag"))
    return {tag["Key"]: tag.get("Value", "") for tag in found if "Key" in tag}


def retention(mode: str, until: str) -> bytes:
    """Return the body of PutObjectRetention."""
    return (
        f"<Retention><Mode>{mode}</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>"
    ).encode()


def legal_hold(status: str) -> bytes:
    """Return the body of PutObjectLegalHold."""
    return f"<LegalHold><Status>{status}</Status></LegalHold>".encode()
