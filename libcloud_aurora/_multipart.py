"""Uploads: the inherited multipart upload with this driver's hooks, or one PUT."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from libcloud.storage.base import Container, Object

from libcloud_aurora import _values
from libcloud_aurora._copy import copy_by_parts, copy_whole
from libcloud_aurora._download import Progress
from libcloud_aurora._file_parts import FileParts
from libcloud_aurora._foundation import Foundation
from libcloud_aurora._parallel import Window
from libcloud_aurora._response import AuroraResponse
from libcloud_aurora._sources import Part, StreamParts
from libcloud_aurora._upload import Upload, unfinished
from libcloud_aurora.config import MAX_OBJECT_SIZE, MAX_PART_SIZE, check_number
from libcloud_aurora.errors import ObjectChangedError
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


class Wanted(NamedTuple):
    """The object the caller asked for; the fields are named as libcloud names the arguments."""

    container: Container
    object_name: str
    extra: dict[str, Any]
    headers: dict[str, str]
    storage_class: str | None

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
                    "it works for objects of one part (ex_part_size)"
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
        wanted: Wanted,
        progress: Progress | None,
        *,
        verify_hash: bool = True,
        resume: bool = False,
    ) -> Object:
        """Send an object whole if it is one part, and by the inherited method if it is more."""
        carrier = PartsWithProgress(parts, progress)
        only = parts.only_part()
        if only is not None:
            obj = self._put_whole(only, carrier, wanted)
            return self._described(obj, wanted)
        wanted.refuse_conditions()
        if isinstance(parts, FileParts) and resume:
            obj = self._put_rest(parts, carrier, wanted)
        else:
            obj = self._put_object_multipart(  # type: ignore[no-untyped-call]
                stream=carrier, verify_hash=verify_hash, **wanted._asdict()
            )
        return self._described(obj, wanted)

    @staticmethod
    def _described(obj: Object, wanted: Wanted) -> Object:
        """Add to an object's ``extra`` what is known of it without another request."""
        obj.extra.update(content_type=wanted.extra["content_type"], etag=f'"{obj.hash}"')
        return obj

    def _wanted(
        self,
        container: Container,
        object_name: str,
        extra: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
        storage_class: str | None,
        file_path: str | None = None,
    ) -> Wanted:
        """
        Check and copy what the caller asked for, before anything is read or sent.

        :raises ValueError: naming what cannot be sent.
        """
        self._get_object_path(container, object_name)
        cleaned = _values.clean_extra(extra)
        cleaned["content_type"] = self._determine_content_type(  # type: ignore[no-untyped-call]
            cleaned.get("content_type"), object_name, file_path=file_path
        )
        wanted = Wanted(container, object_name, cleaned, dict(headers or {}), storage_class)
        for name, value in wanted.all_headers().items():
            _values.wire_value(name, value)
        return wanted

    def _put_whole(self, part: Part, carrier: PartsWithProgress, wanted: Wanted) -> Object:
        """Send the only part with one PUT."""
        carrier.moved(0)
        data = part.load()
        carrier.parts.check_unchanged()
        target = self._target(wanted.container, wanted.object_name)
        response = target.put(data, wanted.all_headers())
        carrier.moved(part.size)
        return wanted.object(part.size, _values.strip_etag(response.headers.get("etag")), self)

    def _put_rest(self, parts: FileParts, carrier: PartsWithProgress, wanted: Wanted) -> Object:
        """Go on with an unfinished upload, or begin one that a later call can go on with."""
        target = self._target(wanted.container, wanted.object_name)
        found = unfinished(target, parts.sizes)
        upload_id, held = found or (target.initiate(wanted.all_headers()), {})
        upload = Upload(target, upload_id)
        etags, size = self._send(upload, carrier, held)
        etag = upload.complete(etags, retrier=self._retrier)
        return wanted.object(size, self._redescribe(wanted, etag) if found else etag, self)

    def _redescribe(self, wanted: Wanted, etag: str) -> str:
        """
        Give a resumed object what this call asks for; it was begun with an earlier call's.

        :raises ObjectChangedError: if it is another object already.
        """
        path = self._get_object_path(wanted.container, wanted.object_name)
        source = self._request(path, method="HEAD", accept=AuroraResponse.object_size)
        if _values.strip_etag(source.headers.get("etag")) != etag:
            raise ObjectChangedError(
                f"object {wanted.object_name!r} was replaced as soon as it was complete.",
                driver=self,
                bucket=wanted.container.name,
                key=wanted.object_name,
            )
        self._copy(source, path, wanted, {}, replace=True)
        stored = self._request(path, method="HEAD")
        return _values.strip_etag(stored.headers.get("etag"))

    def _copy(
        self,
        source: AuroraResponse,
        source_path: str,
        wanted: Wanted,
        kept: Mapping[str, str],
        *,
        replace: bool,
    ) -> None:
        """Let the server copy, whole or by parts."""
        target = self._target(wanted.container, wanted.object_name)
        headers = {name.lower(): value for name, value in wanted.all_headers().items()}
        given = {name.lower() for name in wanted.headers}
        headers.update((name, value) for name, value in kept.items() if name not in given)
        if source.accepted <= MAX_PART_SIZE:
            headers["x-amz-metadata-directive"] = "REPLACE" if replace else "COPY"
            copy_whole(target, source_path, source, headers)
            return
        window = self._window(lambda count: None)
        copy_by_parts(
            target,
            source_path,
            source,
            headers,
            window,
            self._retrier.stopping_with(window.stop),
        )

    def _window(self, on_bytes: Callable[[int], None]) -> Window:
        return Window(
            self._shared().workers,
            limit=self._transfer.file_concurrency,
            budget=self._transfer.stream_concurrency * self._transfer.part_size,
            on_bytes=on_bytes,
        )

    def _send(
        self,
        upload: Upload,
        carrier: PartsWithProgress,
        held: Mapping[int, tuple[int, str]],
    ) -> tuple[list[tuple[int, str]], int]:
        window = self._window(carrier.moved)
        retrier = self._retrier.stopping_with(window.stop)
        sent = upload.send_parts(carrier, window, retrier, held)
        carrier.parts.check_unchanged()
        return sent

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
        upload = Upload(self._target(container, object_name), upload_id)
        with self._aborting_on_interrupt(container, object_name, upload_id):
            etags, size = self._send(upload, stream, {})
        sent = SentParts(etags)
        sent.verify = calculate_hash
        return sent, None, size

    def _commit_multipart(
        self, container: Container, object_name: str, upload_id: str, chunks: list[tuple[int, str]]
    ) -> str:
        with self._aborting_on_interrupt(container, object_name, upload_id):
            return Upload(self._target(container, object_name), upload_id).complete(
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
