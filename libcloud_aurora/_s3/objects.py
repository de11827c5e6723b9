"""Pure: libcloud's objects from S3's answers, and S3's headers from libcloud's extras."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from libcloud.storage.base import Container, Object

from libcloud_aurora._s3.encryption import Hidden, only_key
from libcloud_aurora._s3.names import ObjectPath, bucket_of

META_PREFIX = "x-amz-meta-"

#: What every object's ``extra`` says, from wherever it comes; ``None`` where that is not known.
UNKNOWN: dict[str, Any] = dict.fromkeys(
    ("last_modified", "etag", "content_type", "storage_class", "version_id")
)
#: Headers that describe an object's content.
_DESCRIBING = re.compile(r"content-(type|encoding|disposition|language)|cache-control|expires")
#: Headers that an object's ``extra`` repeats.
_SHOWN = re.compile(r"content-(type|encoding)|last-modified|etag|x-amz-(storage-class|version-id)")

_CONDITIONS = ("if-match", "if-none-match")
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
    """What the server says of an object without sending it, its ETag without quotes."""

    headers: Mapping[str, str]
    size: int
    etag: str


class Stored(NamedTuple):
    """What the server says of an object it has just stored, its ETag without quotes."""

    etag: str
    version_id: str | None = None


def clean_extra(extra: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a copy of an upload's ``extra`` with metadata as text."""
    cleaned = _dict("extra", extra)
    meta_data = _dict("meta_data", cleaned.get("meta_data"))
    for name, value in meta_data.items():
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise ValueError(
                f"meta_data name {name!r} cannot be a header's: ASCII letters, digits and '-' only"
            )
        if not isinstance(value, (str, int, float)):
            kind = type(value).__name__
            raise TypeError(f"meta_data[{name!r}] must be text or a number, not {kind}")
    if len({_comparable(name) for name in meta_data}) < len(meta_data):
        raise ValueError(
            f"meta_data names must differ in more than case, '_' and '-': {sorted(meta_data)}"
        )
    return {**cleaned, "meta_data": {name: str(value) for name, value in meta_data.items()}}


def lift_content_type(
    extra: Mapping[str, Any] | None, headers: Mapping[str, str] | None
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return copies of both, where a ``Content-Type`` counts as what ``extra`` does not say."""
    given, rest = _dict("extra", extra), {}
    for name, value in (headers or {}).items():
        if str(name).lower() != "content-type":
            rest[name] = value
        elif not given.get("content_type"):
            given["content_type"] = value
    return given, rest


def _dict(name: str, value: Any) -> dict[Any, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a dict, not {type(value).__name__}")
    return dict(value or {})


def split_conditions(headers: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return headers without conditions, and the conditions with names in lower case."""
    conditions = {
        name.lower(): str(value) for name, value in headers.items() if name.lower() in _CONDITIONS
    }
    rest = {name: value for name, value in headers.items() if name.lower() not in conditions}
    return rest, conditions


def storage_class_headers(storage_class: Any) -> dict[str, str]:
    """Return the header that asks for a storage class; none when none is asked for."""
    if storage_class is None:
        return {}
    if not isinstance(storage_class, str) or not _STORAGE_CLASS.fullmatch(storage_class):
        raise ValueError(f"Invalid storage class value: {storage_class!r} (ex_storage_class)")
    known = _LIBCLOUD_CLASSES.fullmatch(storage_class)
    return {"x-amz-storage-class": storage_class.upper() if known else storage_class}


class Wanted:
    """
    The object an upload or a copy is to make, checked before anything is read or sent.

    :ivar extra: What libcloud's uploads take, with metadata as text.
    :ivar headers: Further headers, without those of a customer's key.
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
        self.extra = clean_extra(extra)
        self.headers, key = only_key("ex_customer_key", customer_key, headers)
        self.path = ObjectPath(bucket_of(container), object_name, key)
        self.storage_class = storage_class
        for name, value in self.all_headers().items():
            wire_value(name, value)

    def all_headers(self) -> dict[str, str]:
        """Return the headers that give the object what was asked for; the key's are not among."""
        headers = {**self.headers, **storage_class_headers(self.storage_class)}
        headers["Content-Type"] = self.extra["content_type"]
        if self.extra.get("acl"):
            headers["x-amz-acl"] = self.extra["acl"]
        meta_data = self.extra["meta_data"]
        return {**headers, **{META_PREFIX + name: value for name, value in meta_data.items()}}

    def refuse_conditions(self, *, checked: bool = False) -> None:
        """Refuse what radosgw may ignore in a multipart upload, unless the driver checks it."""
        for name, value in self.headers.items():
            if name.lower() in _CONDITIONS and not checked:
                raise ValueError(
                    f"headers: radosgw ignores {name} where an object is made of parts, before "
                    "Tentacle; it works for uploads of one part (ex_part_size) and copies without "
                    "a key, and ex_check_condition=True checks it at the end of an upload"
                )
            if name.lower() == "if-none-match" and value != "*":
                raise ValueError(f"headers: {name} can only be checked if it is *, not {value!r}")

    def describes(self, head: ObjectHead) -> bool:
        """Tell whether an object is known to be what was asked for, as far as HEAD shows it."""
        wanted = {_comparable(name): value for name, value in self.all_headers().items()}
        shown = {
            _comparable(name): value
            for name, value in head.headers.items()
            if _DESCRIBING.fullmatch(name) or name.startswith((META_PREFIX, "x-amz-storage-class"))
        }
        for headers in (wanted, shown):
            headers.setdefault("x-amz-storage-class", "STANDARD")
        return wanted == shown

    def object(self, size: int, stored: Stored, driver: Any) -> Object:
        """Return the object once it is stored, with what is known of it without a request."""
        asked = storage_class_headers(self.storage_class)
        extra = {
            **UNKNOWN,
            "storage_class": asked.get("x-amz-storage-class", "STANDARD"),
            "acl": self.extra.get("acl"),
            "content_type": self.extra["content_type"],
            "etag": f'"{stored.etag}"',
            "version_id": stored.version_id,
        }
        meta_data = self.extra["meta_data"]
        return Object(self.path.key, size, stored.etag, extra, meta_data, self.container, driver)


def _comparable(name: str) -> str:
    """Return a header's name as any server may repeat it: Ceph 16 makes ``_`` a ``-``."""
    return name.lower().replace("_", "-")


def kept_headers(source: Mapping[str, str], extra: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers of an object that its copy repeats, where ``extra`` says nothing else."""
    kept = {name: value for name, value in source.items() if _DESCRIBING.fullmatch(name)}
    if extra.get("content_type"):
        kept.pop("content-type", None)
    if extra.get("meta_data") is None:
        kept.update((name, value) for name, value in source.items() if name.startswith(META_PREFIX))
    return kept


def wire_value(name: str, value: Any) -> str:
    """Return a header value as http.client sends it: UTF-8 bytes dressed as latin-1."""
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"header name {name!r} is not valid: ASCII letters, digits and '-' only")
    if isinstance(value, Hidden):
        return value
    text = str(value)
    if _CONTROL.search(text):
        raise ValueError(f"header {name!r} must not hold control characters: {text!r}")
    return text.strip(" ").encode().decode("latin-1")


def strip_etag(value: str | None) -> str:
    """Return an ETag without quotes; a proxy that compresses marks it as weak."""
    return (value or "").strip().removeprefix("W/").strip('"')


def object_from_head(name: str, container: Container, head: ObjectHead, driver: Any) -> Object:
    """Return the object that a HEAD describes."""
    extra = {**UNKNOWN, "storage_class": "STANDARD"}
    meta_data = {}
    for field, value in head.headers.items():
        if _SHOWN.fullmatch(field):
            extra[field.removeprefix("x-amz-").replace("-", "_")] = value
        elif field.startswith(META_PREFIX):
            meta_data[field.removeprefix(META_PREFIX)] = value
    return Object(name, head.size, head.etag, extra, meta_data, container, driver)


def object_from_row(row: Mapping[str, str], name: str, container: Container, driver: Any) -> Object:
    """Return the object that one row of a listing describes."""
    etag = row.get("ETag")
    extra = {**UNKNOWN, "last_modified": row.get("LastModified"), "etag": etag}
    if "StorageClass" in row:
        extra["storage_class"] = row["StorageClass"]
    if "Owner/ID" in row:
        extra["owner"] = {"id": row["Owner/ID"], "display_name": row.get("Owner/DisplayName", "")}
    return Object(name, int(row["Size"]), strip_etag(etag), extra, {}, container, driver)
