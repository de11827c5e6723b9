"""Uploads: the inherited multipart upload with this driver's hooks, or one PUT."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from libcloud.storage.base import Container, Object

from libcloud_aurora import _values
from libcloud_aurora._download import Progress
from libcloud_aurora._foundation import Foundation
from libcloud_aurora._parallel import Window
from libcloud_aurora._sources import FileParts, Part, StreamParts
from libcloud_aurora.config import MAX_OBJECT_SIZE, check_number
from libcloud_aurora.parts import plan_part_sizes


class PartsWithProgress:
    """
    What the inherited method carries from :meth:`MultipartDriver._upload` to the hooks as "stream".

    :param parts: Parts to send.
    :param progress: Called with the bytes done and the size, or ``None``.
    """

    def __init__(self, parts: FileParts | StreamParts, progress: Progress | None) -> None:
        self.parts = parts
        self._progress = progress
        self._done = 0

    def __iter__(self) -> Iterator[Part]:
        return self.parts

    def moved(self, count: int) -> None:
        self._done += count
        if self._progress is not None:
            self._progress(self._done, self.parts.size)


class SentParts(list[tuple[int, str]]):
    """Numbers and ETags of the parts of an upload, and whether its ETag is compared with them."""

    verify = True


class MultipartDriver(Foundation):
    """Uploads of a driver."""

    def _plan(self, size: int | None) -> Iterator[int]:
        return plan_part_sizes(size, self._transfer.part_size)

    def _plan_stream(self, size: int | None) -> Iterator[int]:
        """
        Plan the parts of a stream.

        :raises ValueError: if the size is out of range.
        """
        if size is not None:
            check_number("ex_size", size, low=0, high=MAX_OBJECT_SIZE, integer=True)
        return self._plan(size)

    def _upload(
        self,
        parts: FileParts | StreamParts,
        container: Container,
        object_name: str,
        extra: dict[str, Any] | None,
        headers: dict[str, str] | None,
        storage_class: str | None,
        progress: Progress | None,
        *,
        verify_hash: bool = True,
        file_path: Any = None,
    ) -> Object:
        """Send an object whole if it is one part, and by the inherited method if it is more."""
        self._get_object_path(container, object_name)
        cleaned = _values.clean_extra(extra)
        content_type = self._determine_content_type(  # type: ignore[no-untyped-call]
            cleaned.get("content_type"), object_name, file_path=file_path
        )
        cleaned["content_type"] = content_type
        carrier = PartsWithProgress(parts, progress)
        only = parts.only_part()
        if only is None:
            obj: Object = self._put_object_multipart(  # type: ignore[no-untyped-call]
                container=container,
                object_name=object_name,
                stream=carrier,
                extra=cleaned,
                verify_hash=verify_hash,
                headers=dict(headers or {}),
                storage_class=storage_class,
            )
        else:
            carrier.moved(0)
            data = only.load()
            parts.check_unchanged()
            obj = self._put_whole(data, container, object_name, cleaned, headers, storage_class)
            carrier.moved(only.size)
        obj.extra.update(content_type=content_type, etag=f'"{obj.hash}"')
        return obj

    def _put_whole(
        self,
        data: memoryview,
        container: Container,
        object_name: str,
        extra: dict[str, Any],
        headers: dict[str, str] | None,
        storage_class: str | None,
    ) -> Object:
        response = self._target(container, object_name).put(
            data,
            {
                **(headers or {}),
                **_values.upload_headers(extra, extra["content_type"], storage_class),
            },
        )
        return Object(
            name=object_name,
            size=len(data),
            hash=_values.strip_etag(response.headers.get("etag")),
            extra={"acl": extra.get("acl")},
            meta_data=extra["meta_data"],
            container=container,
            driver=self,
        )

    # Hooks of BaseS3StorageDriver._put_object_multipart, in the order it calls them

    def _initiate_multipart(
        self, container: Container, object_name: str, headers: dict[str, str] | None = None
    ) -> str:
        return self._target(container, object_name).initiate(headers or {})

    def _upload_multipart_chunks(
        self,
        container: Container,
        object_name: str,
        upload_id: str,
        stream: Any,
        calculate_hash: bool = True,
    ) -> tuple[list[tuple[int, str]], str | None, int]:
        if not isinstance(stream, PartsWithProgress):
            stream = PartsWithProgress(StreamParts(stream, self._plan(None)), None)
        target = self._target(container, object_name)
        window = Window(
            self._shared().workers,
            limit=self._transfer.max_concurrency,
            budget=self._transfer.max_concurrency * self._transfer.part_size,
            on_bytes=stream.moved,
        )
        with self._aborting_on_interrupt(container, object_name, upload_id):
            etags, size = target.send_parts(
                upload_id, stream, window, self._retrier.stopping_with(window.stop)
            )
            stream.parts.check_unchanged()
        sent = SentParts(etags)
        sent.verify = calculate_hash
        return sent, None, size

    def _commit_multipart(
        self, container: Container, object_name: str, upload_id: str, chunks: list[tuple[int, str]]
    ) -> str:
        with self._aborting_on_interrupt(container, object_name, upload_id):
            return self._target(container, object_name).complete(
                upload_id,
                [(number, _values.strip_etag(etag)) for number, etag in chunks],
                retrier=self._retrier,
                verify=getattr(chunks, "verify", True),
            )

    def _abort_multipart(self, container: Container, object_name: str, upload_id: str) -> None:
        self._target(container, object_name).abort_quietly(upload_id)

    @contextlib.contextmanager
    def _aborting_on_interrupt(
        self, container: Container, object_name: str, upload_id: str
    ) -> Iterator[None]:
        """Abort on Ctrl-C; the inherited method aborts on exceptions, but not on that."""
        try:
            yield
        except Exception:
            raise
        except BaseException:
            self._abort_multipart(container, object_name, upload_id)
            raise
