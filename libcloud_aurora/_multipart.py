"""Uploads: the inherited multipart upload with this driver's hooks, or one PUT."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from libcloud.storage.base import Container, Object

from libcloud_aurora import _values
from libcloud_aurora._copy import Source, copy
from libcloud_aurora._download import Progress
from libcloud_aurora._encryption import only_key, split
from libcloud_aurora._file_parts import FileParts
from libcloud_aurora._foundation import Foundation
from libcloud_aurora._parallel import Window
from libcloud_aurora._sources import Part, StreamParts
from libcloud_aurora._target import Target
from libcloud_aurora._upload import Upload, begin, unfinished
from libcloud_aurora._wanted import PartsWithProgress, SentParts, UploadHeaders, Wanted
from libcloud_aurora.config import MAX_OBJECT_SIZE, check_number
from libcloud_aurora.errors import ObjectChangedError
from libcloud_aurora.parts import plan_part_sizes


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
        carrier = PartsWithProgress(parts, progress, wanted.key)
        only = parts.only_part()
        if only is not None:
            obj = self._put_whole(only, carrier, wanted)
            return self._described(obj, wanted)
        wanted.refuse_conditions()
        self._open_ahead(self._sent_at_once(parts))
        if isinstance(parts, FileParts) and resume:
            obj = self._put_rest(parts, carrier, wanted)
        else:
            obj = self._put_parts(carrier, wanted, verify_hash=verify_hash)
        return self._described(obj, wanted)

    def _sent_at_once(self, parts: FileParts | StreamParts) -> int:
        """Return how many parts are sent at once."""
        config = self._transfer
        held = isinstance(parts, StreamParts)
        limit = config.stream_concurrency if held else config.file_concurrency
        return limit if parts.size is None else min(limit, -(-parts.size // config.part_size))

    @staticmethod
    def _described(obj: Object, wanted: Wanted) -> Object:
        """Put into an object's ``extra`` what is known of it without another request."""
        asked = _values.storage_class_headers(wanted.storage_class)
        obj.extra = {
            **_values.UNKNOWN,
            "storage_class": asked.get("x-amz-storage-class", "STANDARD"),
            **obj.extra,
            "content_type": wanted.extra["content_type"],
            "etag": f'"{obj.hash}"',
        }
        return obj

    def _wanted(
        self,
        container: Container,
        object_name: str,
        extra: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
        storage_class: str | None,
        customer_key: bytes | None,
        file_path: str | None = None,
    ) -> Wanted:
        """
        Check and copy what the caller asked for, before anything is read or sent.

        :raises ValueError: naming what cannot be sent.
        """
        self._get_object_path(container, object_name)
        given, headers = _values.lift_content_type(extra, headers)
        cleaned = _values.clean_extra(given)
        cleaned["content_type"] = self._determine_content_type(  # type: ignore[no-untyped-call]
            cleaned.get("content_type"), object_name, file_path=file_path
        )
        plain, key = only_key("ex_customer_key", customer_key, headers)
        sent = {**plain, **(key.headers() if key else {})}
        wanted = Wanted(container, object_name, cleaned, sent, storage_class)
        for name, value in wanted.all_headers().items():
            _values.wire_value(name, value)
        return wanted

    def _put_whole(self, part: Part, carrier: PartsWithProgress, wanted: Wanted) -> Object:
        """Send the only part with one PUT."""
        carrier.moved(0)
        data = part.load()
        carrier.parts.check_unchanged()
        target = self._target(wanted.container, wanted.object_name, wanted.key)
        response = target.put(data, wanted.all_headers())
        carrier.moved(part.size)
        obj = wanted.object(part.size, _values.strip_etag(response.headers.get("etag")), self)
        obj.extra["version_id"] = response.headers.get("x-amz-version-id")
        return obj

    def _put_parts(
        self, carrier: PartsWithProgress, wanted: Wanted, *, verify_hash: bool
    ) -> Object:
        """Send an object by the inherited method, which aborts after exceptions, but not Ctrl-C."""
        headers = UploadHeaders(wanted.headers)
        given = {**wanted._asdict(), "headers": headers}
        try:
            obj: Object = self._put_object_multipart(  # type: ignore[no-untyped-call]
                stream=carrier, verify_hash=verify_hash, **given
            )
            return obj
        except Exception:
            raise
        except BaseException:
            for upload_id in headers.begun:
                self._abort_multipart(wanted.container, wanted.object_name, upload_id)
            raise

    def _begin(self, target: Target, headers: Mapping[str, str], begun: list[str]) -> str:
        window = self._window(lambda count: None)
        return begin(target, headers, window, self._retrier.stopping_with(window.stop), begun)

    def _put_rest(self, parts: FileParts, carrier: PartsWithProgress, wanted: Wanted) -> Object:
        """Go on with an unfinished upload, or begin one that a later call can go on with."""
        target = self._target(wanted.container, wanted.object_name, wanted.key)
        found = unfinished(target, parts.sizes)
        upload_id, held = found or (self._begin(target, wanted.all_headers(), []), {})
        if held and (wanted.key or len(held) == len(parts.sizes)):
            held.pop(max(held))  # sent again: only its answer says whether the parts have this key
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
        source = Source.look(self._request, path, wanted.key)
        if source.etag != etag:
            raise ObjectChangedError(
                f"object {wanted.object_name!r} was replaced as soon as it was complete.",
                driver=self,
                bucket=wanted.container.name,
                key=wanted.object_name,
            )
        self._copy(source, wanted, {}, replace=True)
        return source.etag_now()

    def _copy(
        self, source: Source, wanted: Wanted, kept: Mapping[str, str], *, replace: bool
    ) -> None:
        """
        Let the server copy, whole or by parts.

        :raises ValueError: if a copy by parts is to be conditional.
        """
        if source.goes_by_parts(wanted.key):
            wanted.refuse_conditions()
        target = self._target(wanted.container, wanted.object_name, wanted.key)
        headers = {name.lower(): value for name, value in wanted.all_headers().items()}
        given = {name.lower() for name in wanted.headers}
        headers.update((name, value) for name, value in kept.items() if name not in given)
        window = self._window(lambda count: None)
        retrier = self._retrier.stopping_with(window.stop)
        copy(
            target,
            source,
            headers,
            wanted.key,
            replace=replace,
            begin=partial(self._begin, target),
            window=window,
            retrier=retrier,
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
        rest, key = split(headers or {})
        begun = headers.begun if isinstance(headers, UploadHeaders) else []
        return self._begin(self._target(container, object_name, key), rest, begun)

    def _upload_multipart_chunks(
        self,
        container: Container,
        object_name: str,
        upload_id: str,
        stream: Any,
        calculate_hash: bool = True,
    ) -> tuple[list[tuple[int, str]], str | None, int]:
        if not isinstance(stream, PartsWithProgress):
            stream = PartsWithProgress(StreamParts(stream, self._plan(None)))
        upload = Upload(self._target(container, object_name, stream.key), upload_id)
        etags, size = self._send(upload, stream, {})
        sent = SentParts(etags)
        sent.verify, sent.key = calculate_hash, stream.key
        return sent, None, size

    def _commit_multipart(
        self, container: Container, object_name: str, upload_id: str, chunks: list[tuple[int, str]]
    ) -> str:
        target = self._target(container, object_name, getattr(chunks, "key", None))
        return Upload(target, upload_id).complete(
            [(number, _values.strip_etag(etag)) for number, etag in chunks],
            retrier=self._retrier,
            verify=getattr(chunks, "verify", True),
        )

    def _abort_multipart(self, container: Container, object_name: str, upload_id: str) -> None:
        self._target(container, object_name).abort_quietly(upload_id)
