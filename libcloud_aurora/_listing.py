"""Pages of containers, objects and uploads, in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

from libcloud.storage.base import Container, Object
from libcloud.storage.drivers.s3 import S3MultipartUpload

from libcloud_aurora._response import AuroraResponse
from libcloud_aurora._retry import Retrier
from libcloud_aurora._values import object_from_row
from libcloud_aurora._xml import Page

Request = Callable[..., AuroraResponse]


class Listing:
    """
    Fetches pages, and again those that arrive damaged.

    :param request: Sends one request.
    """

    def __init__(self, request: Request, retrier: Retrier, driver: Any) -> None:
        self._request = request
        self._retrier = retrier
        self._driver = driver

    def _page(
        self, path: str, params: dict[str, Any], *, root: str, row: str, needs: tuple[str, ...]
    ) -> Page:
        def fetch() -> Page:
            response = self._request(path, params=params, retry_failed=False)
            page = response.page(root=root, row=row)
            for texts in page.rows:
                missing = [name for name in needs if name not in texts]
                if missing or not texts.get("Size", "0").isdecimal():
                    raise response.malformed(f"<{row}> without {missing or 'a size'}")
            return page

        return self._retrier.run(fetch)[0]

    def containers(self) -> Iterator[Container]:
        page = self._page("/", {}, root="ListAllMyBucketsResult", row="Bucket", needs=("Name",))
        for row in page.rows:
            extra = {"creation_date": row.get("CreationDate")}
            yield Container(name=row["Name"], extra=extra, driver=self._driver)

    def objects(
        self,
        path: str,
        container: Container,
        *,
        prefix: str | None,
        delimiter: str | None = None,
        start_after: str | None = None,
        limit: int | None = None,
    ) -> Iterator[Object]:
        """
        Yield objects in UTF-8 order of their keys.

        Paging follows the last key or common prefix seen, because the markers radosgw sends are
        neither encoded nor always well-formed.
        """
        params: dict[str, Any] = {"encoding-type": "url"}
        params.update(
            {name: value for name, value in (("prefix", prefix), ("delimiter", delimiter)) if value}
        )
        marker = start_after or ""
        count = 0
        while limit is None or count < limit:
            if marker:
                params["marker"] = marker
            if limit is not None:
                params["max-keys"] = min(1000, limit - count)
            page = self._page(
                path, params, root="ListBucketResult", row="Contents", needs=("Key", "Size")
            )
            names = [unquote(row["Key"]) for row in page.rows]
            for name, row in zip(names, page.rows, strict=True):
                count += 1
                yield object_from_row(row, name, container, self._driver)
            last = max([*names[-1:], *page.prefixes[-1:]], key=str.encode, default="")
            if not page.is_truncated or last.encode() <= marker.encode():
                return
            marker = last

    def uploads(
        self, path: str, *, prefix: str | None, delimiter: str | None
    ) -> Iterator[S3MultipartUpload]:
        """Yield the multipart uploads in progress."""
        params: dict[str, Any] = {"uploads": "", "max-uploads": 1000, "encoding-type": "url"}
        params.update(
            {name: value for name, value in (("prefix", prefix), ("delimiter", delimiter)) if value}
        )
        while True:
            page = self._page(
                path,
                params,
                root="ListMultipartUploadsResult",
                row="Upload",
                needs=("Key", "UploadId"),
            )
            for row in page.rows:
                yield S3MultipartUpload(
                    unquote(row["Key"]),
                    row["UploadId"],
                    row.get("Initiated"),
                    row.get("Initiator/DisplayName"),
                    row.get("Owner/DisplayName"),
                )
            if not page.is_truncated or not page.rows:
                return
            last = unquote(page.rows[-1]["Key"]), page.rows[-1]["UploadId"]
            if last == (params.get("key-marker"), params.get("upload-id-marker")):
                return
            params["key-marker"], params["upload-id-marker"] = last
