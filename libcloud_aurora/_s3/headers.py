"""Pure: what becomes of each header of an upload or a copy, in one table."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Mapping
from enum import Enum, IntEnum
from fnmatch import fnmatchcase
from functools import lru_cache
from numbers import Number
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode

from libcloud_aurora._s3 import xml
from libcloud_aurora._s3.signing import as_text

META_PREFIX = "x-amz-meta-"
TAGS = "x-amz-tagging"
CONDITIONS = ("if-match", "if-none-match")
_MODE, _UNTIL = "x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date"
_HOLD = "x-amz-object-lock-legal-hold"

#: Most fields of metadata: http.client and others read no response with more than 100 headers.
MAX_FIELDS = 80
#: Most characters of a field's name: radosgw 16 to 20 answers a longer one with 500 UnknownError.
MAX_FIELD_NAME = 80
#: Most tags of an object, and bytes of UTF-8 of a tag's name and of its value, for radosgw.
MAX_TAGS, MAX_TAG_NAME, MAX_TAG_VALUE = 10, 128, 256


class Way(IntEnum):
    """How an object is stored: the columns of the table."""

    ONE_PART = 0
    PARTS = 1
    RESUME = 2
    #: A copy for which the header is not given.
    KEEPING = 3
    #: A copy for which it is given.
    REPLACING = 4


class Fate(Enum):
    """What becomes of a header, in the words of the documentation."""

    SENT = "sent"
    AFTERWARDS = "done afterwards"
    COMPARED = "compared"
    CHECKED = "checked"
    CARRIED = "carried over"
    NOT_COPIED = "not copied"
    REFUSED = "refused"
    NOTHING = ""


SENT, AFTERWARDS, COMPARED, CHECKED, CARRIED, NOT_COPIED, REFUSED, NOTHING = Fate

_DESCRIBING = (SENT, SENT, COMPARED, CARRIED, SENT)
_ACCESS = (SENT, SENT, AFTERWARDS, NOT_COPIED, SENT)
_LOCK = (SENT, AFTERWARDS, AFTERWARDS, NOT_COPIED, AFTERWARDS)
_CONDITION = (SENT, REFUSED, REFUSED, NOTHING, REFUSED)
_REFUSED = (REFUSED, REFUSED, REFUSED, NOTHING, REFUSED)

#: What becomes of each header on each way; the first matching pattern counts.
TABLE: dict[str, tuple[Fate, Fate, Fate, Fate, Fate]] = {
    "content-type": _DESCRIBING,
    "content-encoding": _DESCRIBING,
    "content-disposition": _DESCRIBING,
    "content-language": _DESCRIBING,
    "cache-control": _DESCRIBING,
    "expires": _DESCRIBING,
    "x-robots-tag": _DESCRIBING,
    "x-amz-meta-*": _DESCRIBING,
    "x-amz-storage-class": _DESCRIBING,
    "x-amz-website-redirect-location": _DESCRIBING,
    "x-amz-acl": _ACCESS,
    "x-amz-grant-*": _ACCESS,
    # Ceph 16 and 18 ignore these in Initiate and CopyObject, or store tags that cannot be read.
    TAGS: (SENT, AFTERWARDS, AFTERWARDS, CARRIED, AFTERWARDS),
    _MODE: _LOCK,
    _UNTIL: _LOCK,
    _HOLD: _LOCK,
    "x-amz-server-side-encryption-customer-*": (SENT, SENT, SENT, NOT_COPIED, SENT),
    # Ceph 16 and 18 ignore it in CopyObject; an earlier call may have begun without it.
    "x-amz-server-side-encryption*": (SENT, SENT, REFUSED, CARRIED, REFUSED),
    "content-md5": (CHECKED, CHECKED, CHECKED, NOTHING, REFUSED),
    **dict.fromkeys(CONDITIONS, _CONDITION),
    "if-*": _REFUSED,
    "range": _REFUSED,
    "x-delete-*": _REFUSED,
    "x-amz-*": _REFUSED,
    "*": (SENT, SENT, REFUSED, NOTHING, SENT),
}

#: Why a header is refused, or what to do instead; the first matching pattern counts.
_REFUSALS = {
    "if-*match": "radosgw before Ceph 20 honours it only for uploads of one part (ex_part_size); "
    "ex_check_condition=True checks it by requests of its own",
    "content-md5": "what the server copies is compared with the original's ETag",
    "x-amz-server-side-encryption*": "not every server honours it here; upload without ex_resume",
    "x-amz-*checksum*": "the driver itself sends a CRC32, for servers that store checksums",
    "x-delete-*": "S3 has no such header; rules of the container's lifecycle let objects expire",
    "*": "radosgw, or some version of it, ignores it; driver.connection.request() can send it",
}
#: Rows that are about access.
_GRANTING = ("x-amz-acl", "x-amz-grant-*")
#: What the driver sets itself.
_OWNED = re.compile(
    r"host|content-length|transfer-encoding|authorization|date|user-agent|accept-encoding|expect|"
    r"connection|keep-alive|te|trailer|upgrade|x-amz-(date|content-sha256|security-token|trailer|"
    r"decoded-content-length|copy-source.*|(metadata|tagging)-directive)"
)
#: Forms that values must have, and how a message describes them.
_FORMS = {
    _MODE: ("GOVERNANCE|COMPLIANCE", "GOVERNANCE or COMPLIANCE"),
    _UNTIL: (r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d{1,9})?Z)?", "like 2030-12-31T00:00:00Z"),
    _HOLD: ("ON|OFF", "ON or OFF"),
    "content-md5": ("[A-Za-z0-9+/]{22}==", "16 bytes in base64"),
}


@lru_cache(512)  # metadata may have any name
def row_of(name: str) -> str:
    """Return the pattern of the table that a header, its name in lower case, falls under."""
    return next(pattern for pattern in TABLE if fnmatchcase(name, pattern))


def comparable(name: str) -> str:
    """Return a header's name as any server may repeat it: Ceph 16 turns ``_`` into ``-``."""
    return name.lower().replace("_", "-")


def fate(name: str, way: Way) -> Fate:
    """Return what becomes of a header, whose name is in lower case."""
    return TABLE[row_of(name)][way]


def check(asked: Mapping[str, str]) -> None:
    """Refuse what no way can accept, as far as that is known without asking a server."""
    for name in filter(_OWNED.fullmatch, asked):
        raise ValueError(f"headers: {name} is refused: the driver sets it itself")
    names = [name.removeprefix(META_PREFIX) for name in asked if name.startswith(META_PREFIX)]
    for name in names:
        if len(name) > MAX_FIELD_NAME:
            raise ValueError(
                f"meta_data name {name!r} has {len(name)} characters, but radosgw keeps none of "
                f"more than {MAX_FIELD_NAME}"
            )
    check_distinct(names)
    fields = len(names)
    if fields > MAX_FIELDS:
        raise ValueError(
            f"meta_data has {fields} fields, but only {MAX_FIELDS} are allowed: many clients cannot"
            " read a response with more than 100 headers, and so could not read the object"
        )
    if (_MODE in asked) != (_UNTIL in asked):
        raise ValueError(f"headers: {_MODE} and {_UNTIL} must be given together")
    for name, (form, words) in _FORMS.items():
        if name in asked and not re.fullmatch(form, asked[name]):
            raise ValueError(f"headers: {name} must be {words}, not {asked[name]!r}")
    if TAGS in asked:
        check_tags(_tags_of(asked[TAGS]))


def check_distinct(names: Collection[str]) -> None:
    """Refuse fields of metadata that would be one to radosgw."""
    if len({comparable(name) for name in names}) < len(names):
        raise ValueError(
            f"meta_data names must differ in more than case, '_' and '-': {sorted(names)}"
        )


def refuse(asked: Mapping[str, str], way: Way, *, checks_conditions: bool = False) -> None:
    """Refuse headers that would silently be dropped, before anything is sent."""
    for name, value in asked.items():
        if checks_conditions and name in CONDITIONS:
            if name == "if-none-match" and value != "*":
                raise ValueError(f"headers: {name} can only be checked if it is *, not {value!r}")
        elif fate(name, way) is REFUSED:
            why = next(why for pattern, why in _REFUSALS.items() if fnmatchcase(name, pattern))
            raise ValueError(f"headers: {name} is refused: {why}")


class Change(NamedTuple):
    """
    A property of an object that a separate request sets.

    :ivar what: What messages call it.
    :ivar query: The parameter that names it.
    """

    what: str
    query: str
    headers: Mapping[str, str]
    body: bytes = b""


class Plan(NamedTuple):
    """
    What becomes of the headers that are asked for.

    :ivar sent: Headers of the request that stores the object, or begins the upload.
    :ivar afterwards: Changes to make once the object is stored, the most important first.
    :ivar md5: What the MD5 of its bytes must be, in hexadecimal; empty if that is not known.
    :ivar conditions: What the key must hold; an upload in parts sends them when it is completed.
    """

    sent: dict[str, str]
    afterwards: list[Change]
    md5: str
    conditions: dict[str, str]


def plan(asked: Mapping[str, str], way: Way) -> Plan:
    """Divide headers, whose names are in lower case, by what becomes of them."""
    later = {name: value for name, value in asked.items() if fate(name, way) is AFTERWARDS}
    sent = {name: value for name, value in asked.items() if name not in later}
    if tags := sent.pop(TAGS, ""):
        sent[TAGS] = tag_header(_tags_of(tags))  # a "+" is a space to some servers only
    digest = base64.b64decode(sent.pop("content-md5", "")).hex()
    afterwards = []
    if _UNTIL in later:
        body = xml.retention(later[_MODE], later[_UNTIL])
        afterwards.append(Change("retention", "retention", {}, body))
    if _HOLD in later:
        afterwards.append(Change("legal hold", "legal-hold", {}, xml.legal_hold(later[_HOLD])))
    granted = {name: value for name, value in later.items() if row_of(name) in _GRANTING}
    if not granted and way is Way.RESUME:
        granted = {"x-amz-acl": "private"}  # an earlier call may have begun it with another
    if granted:
        afterwards.append(Change("access", "acl", granted))
    if later.get(TAGS) or (TAGS in later and way is Way.RESUME):  # which may have begun with some
        afterwards.append(tagging(_tags_of(later[TAGS])))
    conditions = {name: sent.pop(name) for name in CONDITIONS if name in sent}
    if way is Way.ONE_PART:  # radosgw before Ceph 20 compares the quotes as well, and finds none
        sent.update((name, value.strip('"')) for name, value in conditions.items())
    return Plan(sent, afterwards, digest, conditions)


def access(acl: Any) -> Change:
    """Return what sets an object's or a container's access."""
    if not isinstance(acl, str) or not acl:
        raise ValueError(f"acl must be text such as 'public-read', not {acl!r}")
    return Change("access", "acl", {"x-amz-acl": acl})


def tagging(tags: Mapping[str, str]) -> Change:
    """Return what sets an object's tags."""
    return Change("tags", "tagging", {}, xml.tagging(tags))


def check_tags(tags: Any) -> dict[str, str]:
    """Return the tags that an object can have, their values as text."""
    if not isinstance(tags, Mapping):
        raise TypeError(f"tags must be a dict, not {type(tags).__name__}")
    if len(tags) > MAX_TAGS:
        raise ValueError(f"tags has {len(tags)} entries, but only {MAX_TAGS} are allowed")
    for name, value in tags.items():
        if not isinstance(name, str) or not isinstance(value, (str, Number)):
            raise TypeError(f"tags must be text: {name!r}: {value!r}")
        try:
            sizes = len(name.encode()), len(as_text(value).encode())
        except UnicodeEncodeError:
            raise ValueError(f"tags: {name!r} or its value is not Unicode: {value!r}") from None
        if not 1 <= sizes[0] <= MAX_TAG_NAME or sizes[1] > MAX_TAG_VALUE:
            raise ValueError(
                f"tags: {name!r} must have 1 to {MAX_TAG_NAME} bytes of UTF-8, and its value at "
                f"most {MAX_TAG_VALUE}"
            )
        if not xml.can_carry(as_text(name) + as_text(value)):
            raise ValueError(f"tags: {name!r} or its value has a character that XML cannot carry")
    return {as_text(name): as_text(value) for name, value in tags.items()}


def tag_header(tags: Any) -> str:
    """Return tags as the value of their header."""
    return urlencode(check_tags(tags), quote_via=quote, safe="")


def _tags_of(header: str) -> dict[str, str]:
    pairs = parse_qsl(header, keep_blank_values=True, errors="strict")
    if len(dict(pairs)) < len(pairs):
        raise ValueError(f"headers: {TAGS} names a tag twice: {header!r}")
    return dict(pairs)
