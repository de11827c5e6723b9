"""Pure: what may be a bucket or a key, and the path that names it on the wire."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

from libcloud_aurora._signing import quote_path
from libcloud_aurora.errors import InvalidBucketNameError, InvalidKeyError

#: Longest key in bytes of UTF-8; radosgw answers a longer one with 400 InvalidObjectName.
MAX_KEY_SIZE = 1024

#: Wider than what can be created: containers made under older rules must stay within reach.
_BUCKET = re.compile(r"[A-Za-z0-9._:-]{1,255}")


def bucket_path(name: Any, driver: Any = None) -> str:
    """
    Return the path of a container.

    :raises InvalidBucketNameError: if no container can have the name.
    """
    if not isinstance(name, str) or not _BUCKET.fullmatch(name) or name in (".", ".."):
        raise InvalidBucketNameError(
            f"container name {name!r} is not valid: letters, digits, '-._:' only. "
            "Nothing was sent.",
            driver=driver,
            bucket=str(name),
        )
    return "/" + quote_path(name)


def container_path(container: Any, driver: Any = None) -> str:
    """
    Return the path of a libcloud container.

    :raises TypeError: if it is something else, such as a name.
    """
    if not hasattr(container, "name"):
        raise TypeError(f"container must be a Container, not {type(container).__name__}")
    return bucket_path(container.name, driver)


def unquote_keys(quoted: list[str]) -> list[str]:
    """Decode the keys of a page, together because that takes a sixth of the time."""
    keys = unquote("\0".join(quoted)).split("\0")
    # no key holds a NUL, but a server may say that one does
    return keys if len(keys) == len(quoted) else [unquote(each) for each in quoted]


def quote_key(name: Any, driver: Any = None, bucket: str | None = None) -> str:
    """
    Return a key percent-encoded, and nothing else: dots and slashes stay where they are.

    :raises InvalidKeyError: if no object can have the name.
    """
    problem = _key_problem(name)
    if problem:
        raise InvalidKeyError(
            f"object name {_shortened(name)} is not valid: {problem}. Nothing was sent.",
            driver=driver,
            bucket=bucket,
            key=str(name),
        )
    return quote_path(name)


def _key_problem(name: Any) -> str:
    if not isinstance(name, str):
        return "it is not text"
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "it is not valid Unicode, so it has no UTF-8 form"
    if not 1 <= size <= MAX_KEY_SIZE:
        return f"it has {size} bytes of UTF-8, where 1 to {MAX_KEY_SIZE} are allowed"
    return "it holds a NUL character" if "\0" in name else ""


def _shortened(name: Any) -> str:
    text = ascii(name)
    return text if len(text) <= 80 else f"{text[:77]}..."
