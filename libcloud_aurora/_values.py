"""Pure: libcloud's objects from S3's answers, and S3's headers from libcloud's extras."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from libcloud.storage.base import Container, Object

from libcloud_aurora._secrets import Hidden

META_PREFIX = "x-amz-meta-"

#: What every object's ``extra`` says, from wherever it comes; ``None`` where that is not known.
UNKNOWN: dict[str, Any] = dict.fromkeys(
    ("last_modified", "etag", "content_type", "storage_class", "version_id")
)
#: Headers that describe an object's content.
_DESCRIBING = frozenset(
    {
        "content-type",
        "content-encoding",
        "content-disposition",
        "content-language",
        "cache-control",
        "expires",
    }
)

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
#: libcloud's names for Amazon's storage classes, which Amazon writes in capitals.
_LIBCLOUD_CLASSES = frozenset(
    {
        "standard",
        "reduced_redundancy",
        "standard_ia",
        "onezone_ia",
        "intelligent_tiering",
        "glacier",
        "deep_archive",
        "glacier_ir",
    }
)
_STORAGE_CLASS = re.compile(r"[A-Za-z0-9_.-]+")


def clean_extra(extra: Mapping[str, Any] | None) -> dict[str, Any]:
    """
    Return a copy of an upload's ``extra`` with metadata as text.

    :raises TypeError: if ``extra`` or its ``meta_data`` is no mapping.
    :raises ValueError: if a metadata name cannot be part of a header.
    """
    _check_mapping("extra", extra)
    cleaned = dict(extra or {})
    _check_mapping("meta_data", cleaned.get("meta_data"))
    meta_data = cleaned.get("meta_data") or {}
    cleaned["meta_data"] = {
        _meta_name(name): _meta_text(name, meta_data[name]) for name in meta_data
    }
    if len({name.lower().replace("_", "-") for name in meta_data}) < len(meta_data):
        raise ValueError(
            f"meta_data names must differ in more than case, '_' and '-': {sorted(meta_data)}"
        )
    return cleaned


def lift_content_type(
    extra: Mapping[str, Any] | None, headers: Mapping[str, str] | None
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return copies of both, where a ``Content-Type`` counts as what ``extra`` does not say."""
    _check_mapping("extra", extra)
    given = dict(extra or {})
    rest = {name: value for name, value in (headers or {}).items() if not _is_type(name)}
    for name, value in (headers or {}).items():
        if _is_type(name) and not given.get("content_type"):
            given["content_type"] = value
    return given, rest


def _is_type(name: Any) -> bool:
    return str(name).lower() == "content-type"


def _check_mapping(name: str, value: Any) -> None:
    if value is not None and not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a dict, not {type(value).__name__}")


def _meta_name(name: Any) -> str:
    if not isinstance(name, str) or not _TOKEN.fullmatch(name):
        raise ValueError(
            f"meta_data name {name!r} cannot be a header's: ASCII letters, digits and '-' only"
        )
    return name


def _meta_text(name: str, value: Any) -> str:
    if not isinstance(value, (str, int, float)):
        raise TypeError(f"meta_data[{name!r}] must be text or a number, not {type(value).__name__}")
    return str(value)


def storage_class_headers(storage_class: Any) -> dict[str, str]:
    """
    Return the header that asks for a storage class; none when none is asked for.

    :raises ValueError: if it cannot be the name of one.
    """
    if storage_class is None:
        return {}
    if not isinstance(storage_class, str) or not _STORAGE_CLASS.fullmatch(storage_class):
        raise ValueError(f"Invalid storage class value: {storage_class!r} (ex_storage_class)")
    known = storage_class.lower() in _LIBCLOUD_CLASSES
    return {"x-amz-storage-class": storage_class.upper() if known else storage_class}


def upload_headers(
    extra: Mapping[str, Any], content_type: str, storage_class: Any
) -> dict[str, str]:
    """Return the headers that give a new object its type, access, metadata and storage class."""
    headers = {"Content-Type": content_type, **storage_class_headers(storage_class)}
    if extra.get("acl"):
        headers["x-amz-acl"] = extra["acl"]
    headers.update({META_PREFIX + name: value for name, value in extra["meta_data"].items()})
    return headers


def kept_headers(source: Mapping[str, str], extra: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers of an object that its copy repeats, where ``extra`` says nothing else."""
    kept = {name: value for name, value in source.items() if name in _DESCRIBING}
    if extra.get("content_type"):
        kept.pop("content-type", None)
    if extra.get("meta_data") is None:
        kept.update((name, value) for name, value in source.items() if name.startswith(META_PREFIX))
    return kept


def wire_value(name: str, value: Any) -> str:
    """
    Return a header value as http.client sends it: UTF-8 bytes dressed as latin-1.

    :raises ValueError: if it holds a control character, which radosgw answers with a bare 400, or
        if the name cannot be one.
    """
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"header name {name!r} is not valid: ASCII letters, digits and '-' only")
    if isinstance(value, Hidden):
        return value
    text = str(value)
    if _CONTROL.search(text):
        raise ValueError(f"header {name!r} must not hold control characters: {text!r}")
    return text.strip(" ").encode().decode("latin-1")


def strip_etag(value: str | None) -> str:
    """Return an ETag without quotes."""
    return (value or "").strip().strip('"')


def object_from_headers(
    name: str, container: Container, headers: Mapping[str, str], driver: Any
) -> Object:
    """Return the object that the headers of a HEAD describe."""
    extra = {**UNKNOWN, "storage_class": "STANDARD"} | {
        field.replace("-", "_").removeprefix("x_amz_"): headers[field]
        for field in (
            "content-type",
            "content-encoding",
            "last-modified",
            "etag",
            "x-amz-storage-class",
            "x-amz-version-id",
        )
        if field in headers
    }
    return Object(
        name=name,
        size=int(headers["content-length"]),
        hash=strip_etag(headers.get("etag")),
        extra=extra,
        meta_data={
            field[len(META_PREFIX) :]: value
            for field, value in headers.items()
            if field.startswith(META_PREFIX)
        },
        container=container,
        driver=driver,
    )


def object_from_row(row: Mapping[str, str], name: str, container: Container, driver: Any) -> Object:
    """Return the object that one row of a listing describes."""
    etag = row.get("ETag")
    extra = {**UNKNOWN, "last_modified": row.get("LastModified"), "etag": etag}
    if "StorageClass" in row:
        extra["storage_class"] = row["StorageClass"]
    if "Owner/ID" in row:
        extra["owner"] = {"id": row["Owner/ID"], "display_name": row.get("Owner/DisplayName", "")}
    return Object(
        name=name,
        size=int(row["Size"]),
        hash=strip_etag(etag),
        extra=extra,
        meta_data={},
        container=container,
        driver=driver,
    )
