"""Pages of containers, objects and uploads, in constant memory."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import unquote

from libcloud.storage.base import Container, Object
from libcloud.storage.drivers.s3 import S3MultipartUpload

from libcloud_aurora._parallel import Gate
from libcloud_aurora._paths import container_path, unquote_keys
from libcloud_aurora._response import AuroraResponse
from libcloud_aurora._retry import Retrier
from libcloud_aurora._target import read_uploads
from libcloud_aurora._threads import Stop, Workers
from libcloud_aurora._values import object_from_row
from libcloud_aurora._xml import Page
from libcloud_aurora.errors import MalformedAnswerError

Request = Callable[..., AuroraResponse]

#: Rows asked for at once, the most that radosgw gives before Tentacle.
PAGE_SIZE = 1000
EMPTY_PAGE = Page([], [], False, {})


def read_buckets(response: AuroraResponse) -> Page:
    """Read an answer to ListBuckets."""
    return response.page(root="ListAllMyBucketsResult", row="Bucket", needs=("Name",))


def read_objects(response: AuroraResponse) -> Page:
    """Read an answer to ListObjects."""
    return response.page(root="ListBucketResult", row="Contents", needs=("Key", "Size"))


def _selecting(given: Mapping[str, str | None], **names: str) -> dict[str, str]:
    """
    Return the parameters that are given.

    :param names: What callers know a parameter as, where that is another name.
    :raises ValueError: naming one that has no UTF-8 form.
    """
    params = {name: value for name, value in given.items() if value}
    for name, value in params.items():
        try:
            value.encode()
        except UnicodeEncodeError:
            shown = names.get(name, name)
            raise ValueError(f"{shown} is not valid Unicode: {value!a}") from None
    return params


class Listing:
    """
    Fetches pages.

    :param request: Sends one request.
    :param workers: Threads that fetch the next page ahead, or ``None`` for none.
    """

    def __init__(
        self, request: Request, retrier: Retrier, workers: Workers | None, driver: Any
    ) -> None:
        self._request = request
        self._retrier = retrier
        self._workers = workers
        self._driver = driver

    def containers(self) -> Iterator[Container]:
        page: Page = self._request("/", accept=read_buckets).accepted
        for row in page.rows:
            extra = {"creation_date": row.get("CreationDate")}
            yield Container(name=row["Name"], extra=extra, driver=self._driver)

    def entries(
        self,
        container: Container,
        *,
        prefix: str | None = None,
        delimiter: str | None = None,
        start_after: str | None = None,
        limit: int = sys.maxsize,
    ) -> Iterator[Object | str]:
        """
        Yield objects and common prefixes, the latter as text, and fetch the next page meanwhile.

        Paging follows the last key or common prefix seen, because the markers radosgw sends are
        neither encoded nor always well-formed.

        :param limit: Objects at most.
        """
        given = {"prefix": prefix, "delimiter": delimiter, "marker": start_after}
        params = _selecting(given, marker="ex_start_after", delimiter="ex_delimiter")
        fetch = partial(self._object_page, container_path(container, self._driver), params)
        page = fetch(limit, Stop()) if limit else EMPTY_PAGE
        while page.rows or page.prefixes:
            names = unquote_keys([row["Key"] for row in page.rows[:limit]])
            limit -= len(names)
            last = max([*names[-1:], *page.prefixes[-1:]])
            if page.is_truncated and last <= params.get("marker", ""):
                raise self._endless(container)
            more = page.is_truncated and limit > 0
            params["marker"] = last
            with self._ahead(partial(fetch, limit) if more else None) as following:
                for name, row in zip(names, page.rows, strict=False):  # as many as the limit
                    yield object_from_row(row, name, container, self._driver)
                yield from page.prefixes
                page = following()

    @contextlib.contextmanager
    def _ahead(self, fetch: Callable[[Stop], Page] | None) -> Iterator[Callable[[], Page]]:
        """Give what returns a page that a worker fetches meanwhile; nothing of it outlasts this."""
        stop, gate = Stop(), Gate()
        if fetch is None or self._workers is None:
            yield partial(fetch, stop) if fetch else (lambda: EMPTY_PAGE)
            return
        outcome = self._workers.submit(gate.guard(partial(fetch, stop)))
        try:
            yield partial(gate.result, outcome)
        finally:
            stop.set()  # who leaves waits for one attempt at most
            gate.close()

    def _object_page(self, path: str, params: dict[str, str], limit: int, stop: Stop) -> Page:
        """Fetch one page; a limit counts objects only, so with a delimiter a page is whole."""
        rows = PAGE_SIZE if "delimiter" in params else min(limit, PAGE_SIZE)
        asked = {**params, "encoding-type": "url", "max-keys": rows}
        response, _ = self._retrier.stopping_with(stop).run(
            lambda: self._request(path, params=asked, retry_failed=False, accept=read_objects)
        )
        page: Page = response.accepted
        return page

    def uploads(
        self, container: Container, *, prefix: str | None, delimiter: str | None = None
    ) -> Iterator[S3MultipartUpload]:
        """Yield the multipart uploads in progress."""
        params: dict[str, Any] = {"uploads": "", "max-uploads": PAGE_SIZE, "encoding-type": "url"}
        params.update(_selecting({"prefix": prefix, "delimiter": delimiter}))
        path = container_path(container, self._driver)
        while True:
            page: Page = self._request(path, params=params, accept=read_uploads).accepted
            for row in page.rows:
                yield S3MultipartUpload(
                    unquote(row["Key"]),
                    row["UploadId"],
                    row.get("Initiated"),
                    row.get("Initiator/DisplayName"),
                    row.get("Owner/DisplayName"),
                )
            if not page.is_truncated:
                return
            ids = [(unquote(row["Key"]), row["UploadId"]) for row in page.rows[-1:]]
            last = max(ids + [(each, "") for each in page.prefixes[-1:]])
            if last == (params.get("key-marker"), params.get("upload-id-marker")):
                raise self._endless(container)
            params["key-marker"], params["upload-id-marker"] = last

    def _endless(self, container: Container) -> MalformedAnswerError:
        return MalformedAnswerError(
            f"listing of container {container.name!r} failed: the server repeats a page.",
            driver=self._driver,
            bucket=container.name,
        )
