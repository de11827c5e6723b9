"""Pure: rows of a listing in the one form radosgw gives them, all at once.

Building an element for each field took most of the time of a listing. What has another form, by so
much as a blank, is left to the parser.
"""

from __future__ import annotations

import re

#: Printable ASCII, and references where XML needs them. Never ``<``, so that no text hides a row.
_TEXT = r"([ -%'-;=?-~]*(?:&(?:amp|lt|gt|quot|apos);[ -%'-;=?-~]*)*)"
_NAMES = (
    "Key",
    "LastModified",
    "ETag",
    "Size",
    "StorageClass",
    "Owner",
    "Owner/ID",
    "Owner/DisplayName",
    "Type",
)
_ROW = re.compile(
    f"<Contents><Key>{_TEXT}</Key><LastModified>{_TEXT}</LastModified><ETag>{_TEXT}</ETag>"
    f"<Size>([0-9]{{1,18}})</Size><StorageClass>{_TEXT}</StorageClass>"
    f"<Owner>()<ID>{_TEXT}</ID><DisplayName>{_TEXT}</DisplayName></Owner>"
    f"<Type>{_TEXT}</Type></Contents>"
)
#: All that may stand before the first row. After it a row is an element of the root, and no text,
#: comment or attribute; the namespace the parser removes is the root's.
_HEAD = re.compile(
    r'(?:<\?xml version="1.0" encoding="UTF-8"\?>\n?)?<ListBucketResult xmlns="[!#-;=?-~]*">'
    r"(?:<([A-Za-z]+)>[^<]*</\1>|<[A-Za-z]+/>)*"
)
_REFERENCES = (("&quot;", '"'), ("&apos;", "'"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))


def cut_rows(text: str) -> tuple[list[dict[str, str]], str]:
    """
    Cut the rows off a listing of objects.

    :return: Texts by name of element, and the document without these rows. If it is not certain
        that they are all its rows, none and the whole document.
    """
    pieces = _ROW.split(text)  # what is before, a piece for each name, what is between, ...
    step = len(_NAMES) + 1
    head, between, tail = pieces[0], pieces[step:-1:step], pieces[-1]
    if any(between) or "<Contents" in head + tail or not _HEAD.fullmatch(head):
        return [], text
    columns = [_unescaped(pieces[place::step]) for place in range(1, step)]
    rows = zip(*columns, strict=True)
    return [dict(zip(_NAMES, row)) for row in rows], head + tail  # noqa: B905 - as many as names


def _unescaped(texts: list[str]) -> list[str]:
    """Resolve references in all texts together; none holds a line feed, nor a reference to one."""
    joined = "\n".join(texts)
    if "&" not in joined:
        return texts
    for reference, character in _REFERENCES:
        joined = joined.replace(reference, character)
    return joined.split("\n")
