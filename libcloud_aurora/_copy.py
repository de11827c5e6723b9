"""Copies that the server makes: whole up to 5 GiB, by parts in parallel above, or with a key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple
from urllib.parse import unquote

from libcloud_aurora._encryption import SOURCE_PREFIX, CustomerKey
from libcloud_aurora._keyed import Request, keyed
from libcloud_aurora._parallel import Task, Window
from libcloud_aurora._response import AuroraResponse
from libcloud_aurora._retry import Retrier
from libcloud_aurora._target import Target
from libcloud_aurora._upload import Upload
from libcloud_aurora._values import strip_etag
from libcloud_aurora.config import MAX_PART_SIZE, MIB
from libcloud_aurora.errors import EncryptionKeyError, ObjectChangedError
from libcloud_aurora.parts import plan_part_sizes

#: Starts an upload with headers, notes its id in a list at once, and returns it.
Begin = Callable[[Mapping[str, str], list[str]], str]

#: Bytes of one part of a large copy: the server moves them, so few and large ones are best.
COPY_PART_SIZE = 512 * MIB


def read_etag(response: AuroraResponse) -> str:
    """Read an answer to CopyObject or UploadPartCopy."""
    return response.text_of("ETag")


class Source(NamedTuple):
    """
    The object to copy, as a HEAD found it; copies are pinned to its ETag.

    :ivar request: Sends one request, with the object's key.
    :ivar path: Its percent-encoded path.
    :ivar found: Answer to the HEAD.
    :ivar key: The key it is encrypted with.
    """

    request: Request
    path: str
    found: AuroraResponse
    key: CustomerKey | None = None

    @classmethod
    def look(cls, request: Request, path: str, key: CustomerKey | None = None) -> Source:
        """Ask the server about an object to copy."""
        request = keyed(request, key)
        found = request(path, method="HEAD", accept=AuroraResponse.object_size)
        return cls(request, path, found, key)

    @property
    def etag(self) -> str:
        return strip_etag(self.found.headers.get("etag"))

    @property
    def size(self) -> int:
        size: int = self.found.accepted
        return size

    def headers(self) -> dict[str, str]:
        """
        Return the headers that say what to copy.

        radosgw reads the source with the key of the part, not with that of the source: a part that
        is not to be encrypted carries the source's as its own.
        """
        named = {"x-amz-copy-source": self.path, "x-amz-copy-source-if-match": self.etag}
        keys = {**self.key.headers(SOURCE_PREFIX), **self.key.headers()} if self.key else {}
        return {**named, **keys}

    def goes_by_parts(self, key: CustomerKey | None) -> bool:
        """Tell whether a copy with a key, or with none, takes more than one request."""
        return bool(key or self.key) or self.size > MAX_PART_SIZE

    def etag_now(self) -> str:
        return strip_etag(self.request(self.path, method="HEAD").headers.get("etag"))

    def changed(self, target: Target) -> ObjectChangedError:
        """Return the exception for a source that was replaced."""
        return ObjectChangedError(
            f"object {unquote(self.path)!r} was replaced while it was copied. Copy it again.",
            key=target.key,
        )


def copy(
    target: Target,
    source: Source,
    headers: Mapping[str, str],
    key: CustomerKey | None,
    *,
    replace: bool,
    begin: Begin,
    window: Window,
    retrier: Retrier,
) -> None:
    """
    Copy an object of any size.

    radosgw encrypts and decrypts parts of a copy only: CopyObject refuses an encrypted source, and
    forgets the key of the copy. A part has one key, for reading and for writing.

    :param headers: What the copy is to have.
    :param key: The key of the copy.
    :param replace: Whether metadata is the headers' instead of the source's.
    :param begin: Starts the upload of a copy by parts.
    :raises EncryptionKeyError: if the server cannot copy between these keys.
    """
    if not source.goes_by_parts(key):
        directive = {"x-amz-metadata-directive": "REPLACE" if replace else "COPY"}
        copy_whole(target, source, {**headers, **directive})
    elif source.size == 0:
        target.put(memoryview(b""), headers)  # no part can be a copy of nothing
    else:
        try:
            copy_by_parts(target, source, headers, begin, window, retrier)
        except EncryptionKeyError as error:
            if source.key is None or source.key == key:
                raise
            raise EncryptionKeyError(
                f"object {unquote(source.path)!r} was not copied: this server does not copy from "
                f"one key to another. Download and upload it instead. {error.value}",
                code=error.code,
                http_status=error.http_status,
                key=target.key,
            ) from error


def copy_whole(target: Target, source: Source, headers: Mapping[str, str]) -> None:
    """
    Copy with one request.

    radosgw answers 200 before it has copied: only a body with an ETag is a success. It knows no
    condition on the source before 17.2.8, so the ETags tell whether it was still the same.

    :raises ObjectChangedError: if the source was replaced meanwhile.
    """
    sent = {**headers, **source.headers()}
    response = target.request(target.path, method="PUT", headers=sent, accept=read_etag)
    copied = strip_etag(response.accepted)
    if copied != source.etag:  # radosgw keeps it; other servers give the copy of parts a plain one
        kept = copied if source.path == target.path else source.etag
        if source.etag_now() != kept:
            raise source.changed(target)


def copy_by_parts(
    target: Target,
    source: Source,
    headers: Mapping[str, str],
    begin: Begin,
    window: Window,
    retrier: Retrier,
    *,
    part_size: int = COPY_PART_SIZE,
) -> None:
    """
    Copy an object of any size but 0.

    :param headers: What the copy is to have.
    :raises AuroraObjectsError: after the parts have been removed.
    """
    begun: list[str] = []
    try:
        upload_id = begin(headers, begun)
        etags: dict[int, str] = {}
        tasks, position = [], 0
        for number, length in enumerate(plan_part_sizes(source.size, part_size), 1):
            span = f"bytes={position}-{position + length - 1}"
            part = {**source.headers(), "x-amz-copy-source-range": span}
            tasks.append(Task(partial(_copy_part, target, upload_id, number, part, etags, retrier)))
            position += length
        window.run(tasks, lambda result: None)
        if source.etag_now() != source.etag:
            raise source.changed(target)
        Upload(target, upload_id).complete(sorted(etags.items()), retrier=retrier)
    except BaseException:
        for each in begun:
            target.abort_quietly(each)
        raise


def _copy_part(
    target: Target,
    upload_id: str,
    number: int,
    headers: Mapping[str, str],
    etags: dict[int, str],
    retrier: Retrier,
) -> None:
    params = {"partNumber": number, "uploadId": upload_id}

    def attempt() -> str:
        response = target.request(
            target.path,
            method="PUT",
            params=params,
            headers=headers,
            retry_failed=False,
            accept=read_etag,
        )
        return strip_etag(response.accepted)

    etag, _ = retrier.run(attempt, method="PUT")
    etags[number] = etag
