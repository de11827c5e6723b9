"""A successful answer, in libcloud's shape and with what the transfers need of it."""

from __future__ import annotations

import http.client
from functools import cached_property
from typing import Any
from xml.etree import ElementTree

import requests
from libcloud.storage.drivers.s3 import S3Response

from libcloud_aurora import _xml
from libcloud_aurora._secrets import redact
from libcloud_aurora._xml import whole_number
from libcloud_aurora.errors import AuroraObjectsError, MalformedAnswerError


class AuroraResponse(S3Response):
    """
    A successful answer.

    :ivar content: Its body, empty for a streamed one.
    :ivar raw: The open answer of a streamed one, to be read and released by its reader.
    :ivar history: A text for each attempt that failed before.
    :ivar accepted: What the sender has read from it.
    """

    connection: Any

    def __init__(self, answer: requests.Response, connection: Any, content: bytes = b"") -> None:
        self.connection = connection
        self.status = answer.status_code
        self.error = answer.reason
        self.headers = {name.lower(): _utf8(value) for name, value in answer.headers.items()}
        self.iter_content = answer.iter_content
        self.raw: Any = answer.raw
        self.content = content
        self.history: tuple[str, ...] = ()
        self.accepted: Any = None

    @cached_property
    def body(self) -> str:  # type: ignore[override]
        return self.content.decode("utf-8", "replace")

    @cached_property
    def object(self) -> ElementTree.Element | str:  # type: ignore[override]
        if not self.content:
            return ""
        try:
            return _xml.parse(self.content, namespaces=True)
        except _xml.MalformedXMLError as exc:
            raise self.malformed(str(exc)) from exc

    def success(self) -> bool:
        return True

    def object_size(self) -> int:
        """
        Return the size of the object that the headers are about.

        :raises MalformedAnswerError: if they do not say it.
        """
        size = whole_number(self.headers.get("content-length", ""))
        if size is None:
            raise self.malformed("an object without a length")
        return size

    def text_of(self, name: str) -> str:
        """
        Return the text of one element of the body.

        :raises AuroraObjectsError: if it is an ``<Error>`` in spite of the status, or malformed.
        """
        self._raise_error()
        try:
            return _xml.text_of(self.content, name)
        except _xml.MalformedXMLError as exc:
            raise self.malformed(str(exc)) from exc

    def page(
        self, *, root: str | tuple[str, ...], row: str, needs: tuple[str, ...] = ()
    ) -> _xml.Page:
        """
        Return the body as one page of a listing.

        :param needs: Fields that every row must have; sizes and part numbers must be numbers.
        :raises AuroraObjectsError: as :meth:`text_of` does.
        """
        self._raise_error()
        try:
            return _xml.page(self.content, root=root, row=row, needs=needs)
        except _xml.MalformedXMLError as exc:
            raise self.malformed(str(exc)) from exc

    def _raise_error(self) -> None:
        fields = _xml.error_fields(self.content) if b"<Error" in self.content[:1024] else {}
        if fields:
            code = redact(fields.get("Code", "InternalError"))
            raise AuroraObjectsError(
                f"the server answered HTTP {self.status}, but with error {code}: "
                f"{redact(fields.get('Message', ''))}",
                driver=self.connection.driver,
                code=code,
                http_status=self.status,
            )

    def malformed(self, what: str) -> MalformedAnswerError:
        """Return the exception for a success whose body is not what it must be."""
        return MalformedAnswerError(
            f"the server answered HTTP {self.status}, but not S3: {what}; "
            f"the body begins with {redact(self.body[:200], 80)!r}",
            driver=self.connection.driver,
            http_status=self.status,
        )


def read_body(answer: requests.Response, limit: int) -> bytes:
    """
    Read a body, and one byte more than the limit of one that is too long.

    :raises http.client.IncompleteRead: if it is cut off.
    """
    content: bytes = answer.raw.read(limit + 1, decode_content=False)
    missing = getattr(answer.raw, "length_remaining", None) or 0
    if missing and len(content) <= limit:
        answer.close()
        raise http.client.IncompleteRead(content, missing)
    return content


def _utf8(value: str) -> str:
    """Read a header value as UTF-8, which http.client has decoded as latin-1."""
    if value.isascii():
        return value
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value
