"""The object a caller asks for, and what carries it through libcloud's multipart method."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from libcloud.storage.base import Container, Object

from libcloud_aurora import _values
from libcloud_aurora._download import Progress
from libcloud_aurora._encryption import CustomerKey, split
from libcloud_aurora._file_parts import FileParts
from libcloud_aurora._sources import Part, StreamParts


class PartsWithProgress:
    """
    What the inherited method carries from the driver to the hooks as "stream".

    :param parts: Parts to send.
    :param progress: Called with the bytes done and the size, or ``None``.
    :param key: The key the object is encrypted with, or ``None``.
    """

    def __init__(
        self,
        parts: FileParts | StreamParts,
        progress: Progress | None = None,
        key: CustomerKey | None = None,
    ) -> None:
        self.parts = parts
        self.key = key
        self._progress = progress
        self._done = 0

    def __iter__(self) -> Iterator[Part]:
        return self.parts

    def moved(self, count: int) -> None:
        self._done += count
        if self._progress is not None:
            self._progress(self._done, self.parts.size)


class Wanted(NamedTuple):
    """The object the caller asked for; the fields are named as libcloud names the arguments."""

    container: Container
    object_name: str
    extra: dict[str, Any]
    headers: dict[str, str]
    storage_class: str | None

    @property
    def key(self) -> CustomerKey | None:
        """The key the object is to be encrypted with; the headers carry it."""
        return split(self.headers)[1]

    def all_headers(self) -> dict[str, str]:
        """Return the headers that give the object what the caller asked for."""
        described = _values.upload_headers(
            self.extra, self.extra["content_type"], self.storage_class
        )
        return {**self.headers, **described}

    def refuse_conditions(self) -> None:
        """
        Refuse what radosgw ignores in a multipart upload, before anything is sent.

        :raises ValueError: if the headers are to make the upload conditional.
        """
        for name in self.headers:
            if name.lower() in ("if-match", "if-none-match"):
                raise ValueError(
                    f"headers: radosgw ignores {name} where an object is made of parts; "
                    "it works for uploads of one part (ex_part_size) and copies without a key"
                )

    def object(self, size: int, etag: str, driver: Any) -> Object:
        """Return the object once it is stored."""
        return Object(
            name=self.object_name,
            size=size,
            hash=etag,
            extra={"acl": self.extra.get("acl")},
            meta_data=self.extra["meta_data"],
            container=self.container,
            driver=driver,
        )


class UploadHeaders(dict[str, str]):
    """
    Headers of one upload, which the inherited method hands from the driver to the hook.

    :ivar begun: Gets the id of the upload that is begun with them.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__(headers)
        self.begun: list[str] = []

    def __bool__(self) -> bool:
        return True  # the inherited method replaces what is false


class SentParts(list[tuple[int, str]]):
    """
    Numbers and ETags of the parts of an upload.

    :ivar verify: Whether the upload's ETag is compared with them.
    :ivar key: The key they are encrypted with, or ``None``.
    """

    verify = True
    key: CustomerKey | None = None
