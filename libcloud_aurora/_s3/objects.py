"""Pure: libcloud's objects from responses, and S3's headers from libcloud's extras."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from datetime import datetime
from numbers import Number
from typing import Any, NamedTuple
from urllib.parse import quote

from libcloud.storage.base import Container, Object

from libcloud_aurora._s3.encryption import Hidden, only_key
from libcloud_aurora._s3.headers import (
    META_PREFIX,
    TAGS,
    Fate,
    Plan,
    Way,
    check,
    check_distinct,
    comparable,
    fate,
    plan,
    refuse,
    row_of,
    tag_header,
)
from libcloud_aurora._s3.names import ObjectPath, bucket_of
from libcloud_aurora._s3.signing import as_text, canonical_query, http_time, moment, quote_path

#: What every object's ``extra`` has, wherever it comes from; ``None`` for what is not known.
UNKNOWN: dict[str, Any] = dict.fromkeys(
    (
        *("last_modified", "ex_last_modified", "etag", "content_type", "storage_class"),
        *("version_id", "url"),
    )
)
#: What ``extra`` may have: what uploads use, and what objects of any libcloud driver carry.
_EXTRA = frozenset(UNKNOWN) | {
    *("acl", "meta_data", "tags"),
    *("access_time", "blob_type", "content_encoding", "content_language", "creation_time"),
    *("fileId", "hash", "lease", "md5_hash", "modify_time", "object_id", "owner"),
    *("uploadTimestamp", "ex_version_id", "ex_is_latest", "ex_is_delete_marker"),
}
#: Headers of a response that a presigned URL may set.
_DESCRIBING = re.compile(r"content-(type|encoding|disposition|language)|cache-control|expires")
#: Headers that an object's ``extra`` repeats.
_SHOWN = re.compile(r"content-(type|encoding)|last-modified|etag|x-amz-(storage-class|version-id)")

_FILENAME = re.compile(r'\bfilename="((?:[^"\\]|\\.)*)"', re.IGNORECASE)
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
#: libcloud's names for Amazon's storage classes, which Amazon writes in capitals.
_LIBCLOUD_CLASSES = re.compile(
    r"(standard|onezone)_ia|standard|reduced_redundancy|intelligent_tiering|"
    r"glacier(_ir)?|deep_archive",
    re.IGNORECASE,
)
_STORAGE_CLASS = re.compile(r"[A-Za-z0-9_.-]+")


class ObjectHead(NamedTuple):
    """What the server says about an object without sending it; the ETag has no quotes."""

    headers: Mapping[str, str]
    size: int
    etag: str

    @property
    def stored(self) -> Stored:
        """The same, as if the object had just been stored."""
        return Stored(self.etag, self.headers.get("x-amz-version-id"))


class Stored(NamedTuple):
    """What the server says about an object it has just stored; the ETag has no quotes."""

    etag: str
    version_id: str | None = None


def clean_meta_data(given: Mapping[str, Any] | None) -> dict[str, str]:
    """Return a copy of an upload's metadata as text."""
    meta_data = _dict("meta_data", given)
    for name, value in meta_data.items():
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise ValueError(
                f"meta_data name {name!r} cannot be a header's: use ASCII letters, digits and '-'"
            )
        if not isinstance(value, (str, Number)):
            kind = type(value).__name__
            raise TypeError(f"meta_data[{name!r}] must be text or a number, not {kind}")
    check_distinct(meta_data)
    return {as_text(name): as_text(value).strip(" ") for name, value in meta_data.items()}


def lift_content_type(
    extra: Mapping[str, Any] | None, headers: Mapping[str, str] | None
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return copies of both, with a ``Content-Type`` moved to ``extra`` if that has none."""
    given, rest = _dict("extra", extra), {}
    for name, value in _dict("headers", headers).items():
        if as_text(name).lower() != "content-type":
            rest[name] = value
        elif not given.get("content_type"):
            given["content_type"] = value
        elif given["content_type"] != value:
            raise ValueError(
                f"headers: content-type is given twice, as {given['content_type']!r} and as "
                f"{value!r}"
            )
    return given, rest


def _dict(name: str, value: Any) -> dict[Any, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a dict, not {type(value).__name__}")
    return dict(value or {})


def storage_class_headers(storage_class: Any) -> dict[str, str]:
    """Return the header that asks for a storage class, if one is asked for."""
    if storage_class is None:
        return {}
    if not isinstance(storage_class, str) or not _STORAGE_CLASS.fullmatch(storage_class):
        raise ValueError(f"Invalid storage class value: {storage_class!r} (ex_storage_class)")
    known = _LIBCLOUD_CLASSES.fullmatch(storage_class)
    return {"x-amz-storage-class": storage_class.upper() if known else storage_class}


class Wanted:
    """
    The object that an upload or a copy is to make, checked before anything is read or sent.

    :ivar headers: Headers asked for besides, without a customer's key.
    :ivar asked: Everything asked for, as headers with names in lower case.
    """

    def __init__(
        self,
        container: Container,
        object_name: str,
        *,
        extra: Mapping[str, Any],
        headers: Mapping[str, str],
        storage_class: str | None,
        customer_key: Any,
    ) -> None:
        self.container = container
        self._content_type: str = extra["content_type"]
        self._meta_data = clean_meta_data(extra.get("meta_data"))
        rest, key = only_key("ex_customer_key", customer_key, headers)
        self.path = ObjectPath(bucket_of(container), object_name, key)
        self.headers: dict[str, str] = {}
        for name, value in rest.items():
            _add(self.headers, name, value)
        if extra.get("tags") is not None:
            _add(self.headers, TAGS, tag_header(extra["tags"]))
        self.asked = dict(self.headers)
        extras = {"content-type": self._content_type, "x-amz-acl": extra.get("acl")}
        extras.update((META_PREFIX + name, value) for name, value in self._meta_data.items())
        for name, value in {**extras, **storage_class_headers(storage_class)}.items():
            if value or name.startswith(META_PREFIX):
                _add(self.asked, name, value)
        check(self.asked)
        odd = [
            f"headers: the server does not keep {name!r}"
            for name in self.headers
            if row_of(name) == "*"
        ]
        odd += [f"extra: {name!r} is unknown, and ignored" for name in extra if name not in _EXTRA]
        for said in odd:
            warnings.warn(said, stacklevel=4)

    def plan(self, way: Way, *, checks_conditions: bool = False) -> Plan:
        """
        Return what becomes of what was asked for, or refuse it before anything is sent.

        :param checks_conditions: Whether conditions that radosgw may ignore are checked.
        """
        refuse(self.asked, way, checks_conditions=checks_conditions)
        return plan(self.asked, way)

    def describes(self, head: ObjectHead) -> bool:
        """Tell whether an object is what was asked for, as far as HEAD shows it."""
        wanted, shown = (
            {
                comparable(name): value
                for name, value in headers.items()
                if fate(name, Way.RESUME) is Fate.COMPARED
            }
            for headers in (self.asked, head.headers)
        )
        for headers in (wanted, shown):
            headers.setdefault("x-amz-storage-class", "STANDARD")
        return wanted == shown

    def kept_headers(self, source: Mapping[str, str], extra: Mapping[str, Any]) -> dict[str, str]:
        """Return the headers that a copy takes from the original, for want of others."""
        asked = set(map(comparable, self.asked))
        if not extra.get("content_type"):
            asked.remove("content-type")  # it is guessed
        kept = {name for name in source if fate(name, Way.KEEPING) is Fate.CARRIED}
        kept = {name for name in kept if comparable(name) not in asked}
        if extra.get("meta_data") is not None:
            kept = {name for name in kept if not name.startswith(META_PREFIX)}
        if self.path.customer_key:
            kept = {name for name in kept if not name.startswith("x-amz-server-side-encryption")}
        return {name: source[name] for name in kept}

    def object(self, size: int, stored: Stored, driver: Any) -> Object:
        """Return the object once it is stored, with what is known without another request."""
        extra = {
            **UNKNOWN,
            "storage_class": self.asked.get("x-amz-storage-class", "STANDARD"),
            "acl": self.asked.get("x-amz-acl"),
            "content_type": self._content_type,
            "etag": f'"{stored.etag}"',
            "version_id": stored.version_id,
            "url": driver.connection.url(self.path.quoted),
        }
        meta_data = dict(self._meta_data)
        known = {name.lower() for name in meta_data}
        for name, value in self.headers.items():
            if name.startswith(META_PREFIX) and name.removeprefix(META_PREFIX) not in known:
                meta_data[name.removeprefix(META_PREFIX)] = value
        return Object(self.path.key, size, stored.etag, extra, meta_data, self.container, driver)


def _add(headers: dict[str, str], name: Any, value: Any) -> None:
    """Add a header in lower case, unless it contradicts one that is there."""
    wire_value(as_text(name), value)
    text, name = as_text(value).strip(" "), as_text(name).lower()
    if headers.setdefault(name, text) != text:
        raise ValueError(f"headers: {name} is given twice, as {headers[name]!r} and as {text!r}")


def wire_value(name: str, value: Any) -> str:
    """Return a header value as http.client sends it: UTF-8 bytes dressed as latin-1."""
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"header name {name!r} is not valid: use ASCII letters, digits and '-'")
    if isinstance(value, Hidden):
        return value
    if not isinstance(value, (str, Number)):
        raise TypeError(f"header {name!r} must be text or a number, not {type(value).__name__}")
    text = as_text(value)
    if _CONTROL.search(text):
        raise ValueError(f"header {name!r} must not contain control characters, such as newlines")
    text = text.strip(" ")
    if text.isascii():
        return text
    try:
        return text.encode().decode("latin-1")
    except UnicodeEncodeError:
        raise ValueError(
            f"header {name!r} has text that is not Unicode, maybe of a file name: {text!r}"
        ) from None


def response_params(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Return the parameters with which a presigned URL sets headers of its response."""
    params = {}
    for name, value in _dict("ex_response_headers", headers).items():
        wire_value(name, value)
        text = _disposition(as_text(value).strip(" "))
        if not _DESCRIBING.fullmatch(name.lower()):
            raise ValueError(
                f"ex_response_headers: no server sets {name!r}, only Content-Type, -Disposition, "
                "-Encoding and -Language, Cache-Control and Expires"
            )
        if not text.isascii():
            raise ValueError(
                f"ex_response_headers: {name} must be ASCII except for a filename in double quotes,"
                f" not {value!r}"
            )
        params[f"response-{name.lower()}"] = text
    return params


def _disposition(value: str) -> str:
    """
    Return a header with a non-ASCII file name in the two forms that clients know.

    https://www.rfc-editor.org/rfc/rfc6266#section-5
    """

    def forms(match: re.Match[str]) -> str:
        name = re.sub(r"\\(.)", r"\1", match[1])
        plain = re.sub(r'[^ -~]|["\\]', "_", name)
        return f"filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"

    return value if value.isascii() else _FILENAME.sub(forms, value)


def is_joined(headers: Mapping[str, str]) -> bool:
    """
    Tell whether a server joins an object from others, which Swift calls its segments.

    Its ETag then names no version, and is no MD5: radosgw refuses it in conditions.
    """
    return "x-object-manifest" in headers or "x-object-meta-static-large-object" in headers


def strip_etag(value: str | None) -> str:
    """Return an ETag without quotes; a proxy that compresses marks it as weak."""
    return (value or "").strip().removeprefix("W/").strip('"')


def object_from_head(name: str, container: Container, head: ObjectHead, driver: Any) -> Object:
    """Return the object that a HEAD describes."""
    extra = {**UNKNOWN, "storage_class": "STANDARD", "url": _url(name, container, driver)}
    meta_data = {}
    for field, value in head.headers.items():
        if _SHOWN.fullmatch(field):
            extra[field.removeprefix("x-amz-").replace("-", "_")] = value
        elif field.startswith(META_PREFIX):
            meta_data[field.removeprefix(META_PREFIX)] = value
    extra["ex_last_modified"] = _iso(http_time(head.headers.get("last-modified")))
    return Object(name, head.size, head.etag, extra, meta_data, container, driver)


def object_from_row(row: Mapping[str, str], name: str, container: Container, driver: Any) -> Object:
    """
    Return the object that one row of a listing describes.

    Its owner is in ``meta_data`` too, where libcloud's driver has it.
    """
    etag = row.get("ETag")
    modified = row.get("LastModified")
    extra = {**UNKNOWN, "last_modified": modified, "etag": etag}
    extra["ex_last_modified"] = _iso(moment(modified))
    extra["url"] = _url(name, container, driver)
    if "StorageClass" in row:
        extra["storage_class"] = row["StorageClass"]
    meta_data = {}
    if "Owner/ID" in row:
        owner = {"id": row["Owner/ID"], "display_name": row.get("Owner/DisplayName", "")}
        extra["owner"] = meta_data["owner"] = owner
    return Object(name, int(row["Size"]), strip_etag(etag), extra, meta_data, container, driver)


def version_from_row(
    row: Mapping[str, str], name: str, container: Container, driver: Any
) -> Object:
    """Return the version or delete marker, which has no size, of one row of a listing."""
    obj = object_from_row({"Size": "0", **row}, name, container, driver)
    obj.extra.update(
        version_id=row["VersionId"],
        ex_version_id=row["VersionId"],
        ex_is_latest=row.get("IsLatest") == "true",
        ex_is_delete_marker="Size" not in row,
        url=f"{obj.extra['url']}?{canonical_query({'versionId': row['VersionId']})}",
    )
    return obj


def _iso(time: datetime | None) -> str | None:
    """Return a time as text: programs write ``extra`` as JSON."""
    return time.isoformat() if time else None


def _url(name: str, container: Container, driver: Any) -> str:
    url: str = driver.connection.url("/" + quote_path(f"{as_text(container.name)}/{as_text(name)}"))
    return url
