"""The object an upload makes: stored with one PUT, or begun and aborted in parts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from urllib.parse import unquote

from libcloud_aurora._bodies import Body, md5
from libcloud_aurora._clock import http_time, moment
from libcloud_aurora._response import AuroraResponse
from libcloud_aurora._retry import Retrier, is_transient, logger
from libcloud_aurora._values import strip_etag
from libcloud_aurora._xml import Page
from libcloud_aurora.errors import (
    AuroraObjectsError,
    KeyNotFoundError,
    MalformedAnswerError,
    UploadNotFoundError,
)

Request = Callable[..., AuroraResponse]

#: How far apart the times in one answer of the server may be.
CLOCK_MARGIN = timedelta(seconds=2)
#: An upload of a part may still run when its upload is aborted; abort until it is gone.
ABORTS = 3
#: What a listing of parts is called: by AWS and radosgw, by radosgw Jewel, and by moto.
PARTS_ROOTS = ("ListPartsResult", "ListMultipartUploadResult", "ListPartsResponse")


def read_upload_id(response: AuroraResponse) -> str:
    """Read an answer to CreateMultipartUpload."""
    upload_id = response.text_of("UploadId")
    if not upload_id:
        raise response.malformed("an upload without an id")
    return upload_id


def read_parts(response: AuroraResponse) -> Page:
    """Read an answer to ListParts."""
    return response.page(root=PARTS_ROOTS, row="Part", needs=("PartNumber", "Size", "ETag"))


def read_uploads(response: AuroraResponse) -> Page:
    """Read an answer to ListMultipartUploads."""
    return response.page(root="ListMultipartUploadsResult", row="Upload", needs=("Key", "UploadId"))


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

    def put(self, data: Body, headers: Mapping[str, str]) -> AuroraResponse:
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
            if strip_etag(stored.headers.get("etag")) != md5(data):
                raise
            return stored

    def initiate(self, headers: Mapping[str, str], retrier: Retrier) -> str:
        """
        Start a multipart upload and return its id.

        An answer that got lost, to a broken connection or to Ctrl-C, or that is not to be taken,
        may have started another one.
        """
        began = time.monotonic()
        try:
            response, history = retrier.run(
                lambda: self.request(
                    self.path,
                    method="POST",
                    params={"uploads": ""},
                    headers=headers,
                    retry_failed=False,
                    accept=read_upload_id,
                ),
                method="POST",
            )
            upload_id: str = response.accepted
        except BaseException as error:
            lost = isinstance(error, AuroraObjectsError) and (
                is_transient(error) or error.http_status == 200
            )
            if lost or not isinstance(error, Exception):
                self._abort_orphans(began)
            raise
        if history:
            self._abort_orphans(began, keep=upload_id)
        return upload_id

    def _abort_orphans(self, began: float, keep: str = "") -> None:
        """
        Abort uploads of this key that have no parts and began after a moment of the local clock.

        Times are compared on the server's clock: an upload's with that of the one to keep, or of
        the listing.
        """
        try:
            rows, server_time = self.uploads_of_key()
            age = timedelta(seconds=time.monotonic() - began) + CLOCK_MARGIN
            now = moment(rows.get(keep, {}).get("Initiated")) or server_time
            for upload_id, row in rows.items():
                begun = moment(row.get("Initiated"))
                recent = begun is not None and now is not None and now - begun < age
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
            page = self.request(self.path, params=params, accept=read_parts).accepted
            for row in page.rows:
                number = int(row["PartNumber"])
                parts[number] = int(row["Size"]), strip_etag(row["ETag"])
            if not page.is_truncated:
                return parts
            if max(parts) <= marker:
                raise MalformedAnswerError(f"parts of {self.key!r}: the server repeats a page.")
            marker = max(parts)

    def uploads_of_key(self) -> tuple[dict[str, dict[str, str]], datetime | None]:
        """Return the unfinished uploads of this key by id, and the server's time."""
        params = {"uploads": "", "prefix": self.key, "encoding-type": "url"}
        response = self.request(self.bucket_path, params=params, accept=read_uploads)
        page = response.accepted
        rows = {row["UploadId"]: row for row in page.rows if unquote(row["Key"]) == self.key}
        return rows, http_time(response.headers.get("date"))

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
