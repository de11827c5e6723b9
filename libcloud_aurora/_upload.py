"""One object going up: a single PUT, or the parts of one multipart upload and their end."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from urllib.parse import unquote

from libcloud_aurora import _xml
from libcloud_aurora._parallel import Task, Window
from libcloud_aurora._response import AuroraResponse
from libcloud_aurora._retry import Retrier, is_transient, logger
from libcloud_aurora._sources import Part
from libcloud_aurora._values import strip_etag
from libcloud_aurora.errors import (
    AuroraObjectsError,
    BucketNotFoundError,
    HashMismatchError,
    KeyNotFoundError,
    UploadNotFoundError,
    http_time,
)
from libcloud_aurora.parts import composite_etag

Request = Callable[..., AuroraResponse]

#: How far apart the times in one answer of the server may be.
CLOCK_MARGIN = timedelta(seconds=2)
#: An upload of a part may still run when its upload is aborted; abort until it is gone.
ABORTS = 3
#: What a listing of parts is called: by AWS and radosgw, by radosgw Jewel, and by moto.
PARTS_ROOTS = ("ListPartsResult", "ListMultipartUploadResult", "ListPartsResponse")


class Target:
    """
    The object an upload makes.

    :param request: Sends one request, with retries.
    :param path: Percent-encoded path of the object.
    :param bucket_path: Percent-encoded path of its container.
    :param key: Name of the object.
    """

    def __init__(self, request: Request, *, path: str, bucket_path: str, key: str) -> None:
        self.request = request
        self.path = path
        self.bucket_path = bucket_path
        self.key = key

    def put(self, data: memoryview, headers: Mapping[str, str]) -> AuroraResponse:
        """
        Store an object with one PUT.

        A conditional PUT whose first answer was lost may refuse the second because of the first:
        what is stored decides.
        """
        try:
            return self.request(self.path, method="PUT", data=data, headers=headers)
        except AuroraObjectsError as error:
            if error.code != "PreconditionFailed" or len(error.history) < 2:
                raise
            stored = self.request(self.path, method="HEAD")
            digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
            if strip_etag(stored.headers.get("etag")) != digest:
                raise
            return stored

    def initiate(self, headers: Mapping[str, str]) -> str:
        """
        Start a multipart upload and return its id.

        An answer that got lost, to a broken connection or to Ctrl-C, may have started another one.
        """
        began = time.monotonic()
        try:
            response = self.request(
                self.path, method="POST", params={"uploads": ""}, headers=headers
            )
            upload_id = response.text_of("UploadId")
        except BaseException as error:
            if not isinstance(error, AuroraObjectsError) or is_transient(error):
                self._abort_orphans(began)
            raise
        if response.history:
            self._abort_orphans(began, keep=upload_id)
        return upload_id

    def _abort_orphans(self, began: float, keep: str = "") -> None:
        """
        Abort uploads of this key that have no parts and began after a moment of the local clock.

        Times are compared on the server's clock: an upload's with that of the listing.
        """
        try:
            rows, server_time = self._uploads_of_key()
            age = timedelta(seconds=time.monotonic() - began) + CLOCK_MARGIN
            for upload_id, row in rows.items():
                begun = moment(row.get("Initiated"))
                recent = begun is not None and server_time is not None and server_time - begun < age
                if recent and upload_id != keep and not self.listed_parts(upload_id):
                    logger.info("aborting upload %s of %r, nobody knows of it", upload_id, self.key)
                    self.abort(upload_id)
        except AuroraObjectsError as error:
            logger.warning("an upload of %r may remain unfinished: %s", self.key, error)

    def listed_parts(self, upload_id: str) -> dict[int, tuple[int, str]]:
        """
        Return the parts the server holds: number to size and ETag.

        :raises KeyNotFoundError: if the upload is gone; radosgw names the key, not the upload.
        """
        parts: dict[int, tuple[int, str]] = {}
        marker = 0
        while True:
            params = {"uploadId": upload_id, "part-number-marker": marker, "max-parts": 1000}
            response = self.request(self.path, params=params)
            page = response.page(root=PARTS_ROOTS, row="Part")
            for row in page.rows:
                number = int(row["PartNumber"])
                parts[number] = int(row["Size"]), strip_etag(row["ETag"])
            if not page.is_truncated or not parts or max(parts) <= marker:
                return parts
            marker = max(parts)

    def send_parts(
        self,
        upload_id: str,
        parts: Iterable[Part],
        window: Window,
        retrier: Retrier,
        held: Mapping[int, tuple[int, str]] = MappingProxyType({}),
    ) -> tuple[list[tuple[int, str]], int]:
        """
        Send parts as they are cut.

        :param held: Size and ETag of parts the server has; those that match are not sent again.
        :return: Number and ETag of each part in order, and the bytes sent.
        """
        sent: dict[int, tuple[str, int]] = {}

        def send(part: Part) -> None:
            try:
                etag = self._send_part(upload_id, part, retrier, held.get(part.number))
                sent[part.number] = etag, part.size
            finally:
                part.release()
            window.moved(part.size)

        tasks = (Task(lambda part=part: send(part), part.size) for part in parts)  # type: ignore[misc]
        window.run(tasks, lambda result: None)
        etags = [(number, sent[number][0]) for number in sorted(sent)]
        return etags, sum(size for _, size in sent.values())

    def _send_part(
        self, upload_id: str, part: Part, retrier: Retrier, held: tuple[int, str] | None
    ) -> str:
        params = {"partNumber": part.number, "uploadId": upload_id}
        data = part.load()
        if held and held == (part.size, hashlib.md5(data, usedforsecurity=False).hexdigest()):
            return held[1]
        response, _ = retrier.run(
            lambda: self.request(
                self.path, method="PUT", params=params, data=data, retry_failed=False
            ),
            method="PUT",
        )
        etag = strip_etag(response.headers.get("etag"))
        if not etag:
            raise response.malformed(f"part {part.number} has no ETag")
        return etag

    def unfinished(self, sizes: Mapping[int, int]) -> tuple[str, dict[int, tuple[int, str]]] | None:
        """
        Find the newest unfinished upload of this key, and the parts the server holds of it.

        radosgw completes an upload only with all its parts. One with a part that is not in the plan
        can never become this object: it is aborted.

        :param sizes: Plan of the parts: number to size in bytes.
        :return: Upload id, and number to size and ETag; ``None`` if there is nothing to go on with.
        """
        rows, _ = self._uploads_of_key()
        if not rows:
            return None
        upload_id = max(rows, key=lambda each: rows[each].get("Initiated", ""))
        held = self.listed_parts(upload_id)
        if all(sizes.get(number) == size for number, (size, _) in held.items()):
            return upload_id, held
        logger.info("aborting upload %s of %r: its parts are not this file's", upload_id, self.key)
        self.abort(upload_id)
        return None

    def _uploads_of_key(self) -> tuple[dict[str, dict[str, str]], datetime | None]:
        """Return the unfinished uploads of this key by id, and the server's time."""
        params = {"uploads": "", "prefix": self.key, "encoding-type": "url"}
        response = self.request(self.bucket_path, params=params)
        page = response.page(root="ListMultipartUploadsResult", row="Upload")
        rows = {
            row["UploadId"]: row
            for row in page.rows
            if "UploadId" in row and unquote(row.get("Key", "")) == self.key
        }
        return rows, http_time(response.headers.get("date"))

    def complete(
        self, upload_id: str, parts: list[tuple[int, str]], *, retrier: Retrier, verify: bool = True
    ) -> str:
        """
        Assemble the parts, and make sure that exactly these were assembled.

        radosgw answers a second Complete, and one that crossed another, with 500; it may answer the
        first with an empty ETag; and any answer may be lost. What is stored decides.

        :return: ETag of the object without quotes.
        :raises HashMismatchError: if the object is another one than these parts make.
        """
        expected = composite_etag([etag for _, etag in parts])
        body = _xml.complete_multipart(parts)

        def attempt() -> str:
            try:
                response = self.request(
                    self.path,
                    method="POST",
                    params={"uploadId": upload_id},
                    data=body,
                    headers={"Content-Type": "application/xml"},
                    retry_failed=False,
                )
                etag = strip_etag(response.text_of("ETag"))
            except AuroraObjectsError as error:
                if self._is_stored(expected):
                    return expected
                error.is_final = not is_transient(error) or self._is_gone(upload_id)
                raise
            if etag == expected or (etag and not verify):
                return etag
            return self._settle(etag, expected)

        return retrier.run(attempt, method="POST")[0]

    def _is_stored(self, expected: str) -> bool:
        """Tell whether the object is known to be there."""
        try:
            return self._stored_etag() == expected
        except AuroraObjectsError:
            return False

    def _is_gone(self, upload_id: str) -> bool:
        """Tell whether the upload is known to be gone."""
        try:
            return not self.listed_parts(upload_id)
        except (KeyNotFoundError, UploadNotFoundError, BucketNotFoundError):
            return True
        except AuroraObjectsError:
            return False

    def _settle(self, etag: str, expected: str) -> str:
        """Ask what is stored, where the answer to Complete does not say it."""
        stored = self._stored_etag()
        if stored == expected:
            return expected
        raise HashMismatchError(
            f"upload of object {self.key!r} ended with ETag {stored or etag!r}, but its parts make "
            f"{expected!r}: the object was replaced at once, or is damaged. Upload it again.",
            key=self.key,
        )

    def _stored_etag(self) -> str:
        return strip_etag(self.request(self.path, method="HEAD").headers.get("etag"))

    def abort(self, upload_id: str) -> None:
        """Abort an upload, until the server says that it is gone."""
        for _ in range(ABORTS):
            try:
                self.request(self.path, method="DELETE", params={"uploadId": upload_id})
            except (UploadNotFoundError, KeyNotFoundError):
                return

    def _abort_in_spite_of_interrupts(self, upload_id: str) -> None:
        try:
            self.abort(upload_id)
        except Exception:
            raise
        except BaseException:
            self.abort(upload_id)
            raise

    def abort_quietly(self, upload_id: str) -> None:
        """Abort an upload whose failure is being reported; a failure to abort is only logged."""
        try:
            self._abort_in_spite_of_interrupts(upload_id)
        except AuroraObjectsError as error:
            logger.warning(
                "upload %s of object %r could not be aborted, its parts remain: %s",
                upload_id,
                self.key,
                error,
            )


def moment(text: str | None) -> datetime | None:
    """Return a time of the server's; ``None`` where there is none."""
    try:
        return datetime.fromisoformat((text or "").replace("Z", "+00:00"))
    except ValueError:
        return None
