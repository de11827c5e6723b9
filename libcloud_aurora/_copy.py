"""Copies that the server makes: whole up to 5 GiB, by parts in parallel above."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from urllib.parse import unquote

from libcloud_aurora._parallel import Task, Window
from libcloud_aurora._response import AuroraResponse
from libcloud_aurora._retry import Retrier
from libcloud_aurora._target import Target
from libcloud_aurora._upload import Upload
from libcloud_aurora._values import strip_etag
from libcloud_aurora.config import MIB
from libcloud_aurora.errors import ObjectChangedError
from libcloud_aurora.parts import plan_part_sizes

#: Bytes of one part of a large copy: the server moves them, so few and large ones are best.
COPY_PART_SIZE = 512 * MIB


def read_etag(response: AuroraResponse) -> str:
    """Read an answer to CopyObject or UploadPartCopy."""
    return response.text_of("ETag")


def copy_whole(
    target: Target, source_path: str, source: AuroraResponse, headers: Mapping[str, str]
) -> None:
    """
    Copy with one request.

    radosgw answers 200 before it has copied: only a body with an ETag is a success. It knows no
    condition on the source before 17.2.8, so the ETags tell whether it was still the same.

    :raises ObjectChangedError: if the source was replaced meanwhile.
    """

    etag = strip_etag(source.headers.get("etag"))
    sent = {**headers, "x-amz-copy-source": source_path, "x-amz-copy-source-if-match": etag}
    response = target.request(target.path, method="PUT", headers=sent, accept=read_etag)
    copied = strip_etag(response.accepted)
    if copied != etag:  # radosgw keeps the ETag; other servers give the copy of parts a plain one
        now = target.request(source_path, method="HEAD")
        kept = copied if source_path == target.path else etag
        if strip_etag(now.headers.get("etag")) != kept:
            raise _changed(source_path, target)


def _changed(source_path: str, target: Target) -> ObjectChangedError:
    return ObjectChangedError(
        f"object {unquote(source_path)!r} was replaced while it was copied. Copy it again.",
        key=target.key,
    )


def copy_by_parts(
    target: Target,
    source_path: str,
    source: AuroraResponse,
    headers: Mapping[str, str],
    window: Window,
    retrier: Retrier,
    *,
    part_size: int = COPY_PART_SIZE,
) -> None:
    """
    Copy an object of any size.

    :param source: Answer to the HEAD of the source; the copy is pinned to its ETag.
    :param headers: What the copy is to have.
    :raises AuroraObjectsError: after the parts have been removed.
    """
    size: int = source.accepted
    upload_id = target.initiate(headers)
    try:
        etags: dict[int, str] = {}
        etag = strip_etag(source.headers.get("etag"))
        pin = {"x-amz-copy-source": source_path, "x-amz-copy-source-if-match": etag}
        tasks, position = [], 0
        for number, length in enumerate(plan_part_sizes(size, part_size), 1):
            span = {**pin, "x-amz-copy-source-range": f"bytes={position}-{position + length - 1}"}
            tasks.append(Task(partial(_copy_part, target, upload_id, number, span, etags, retrier)))
            position += length
        window.run(tasks, lambda result: None)
        now = target.request(source_path, method="HEAD")
        if strip_etag(now.headers.get("etag")) != etag:
            raise _changed(source_path, target)
        Upload(target, upload_id).complete(sorted(etags.items()), retrier=retrier)
    except BaseException:
        target.abort_quietly(upload_id)
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
