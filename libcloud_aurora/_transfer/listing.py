"""Pages of containers, objects and uploads, in constant memory."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from functools import partial
from typing import Any
from urllib.parse import unquote

from libcloud.storage.base import Container, Object
from libcloud.storage.drivers.s3 import S3MultipartUpload

from libcloud_aurora._client import PAGE_SIZE, Client
from libcloud_aurora._s3.names import bucket_of, unquote_keys
from libcloud_aurora._s3.objects import object_from_row, version_from_row
from libcloud_aurora._s3.xml import EMPTY_PAGE, Page
from libcloud_aurora._transfer.workers import ABANDONED_SECONDS, Crew
from libcloud_aurora._wire.retry import Stop


class Listing:
    """Fetches pages; if it reads ahead, the next one while the last one is consumed."""

    def __init__(self, client: Client, driver: Any, *, reads_ahead: bool) -> None:
        self._client = client
        self._driver = driver
        self._reads_ahead = reads_ahead

    def containers(self) -> Iterator[Container]:
        """Ask at once: programs call this to see whether the keys are right."""
        return (
            Container(row["Name"], {"creation_date": row.get("CreationDate")}, self._driver)
            for row in self._client.list_buckets().rows
        )

    def objects(
        self,
        container: Container,
        *,
        prefix: str | None = None,
        delimiter: str | None = None,
        start_after: str | None = None,
        limit: int = sys.maxsize,
    ) -> Generator[Object, None, None]:
        given = {"prefix": prefix, "delimiter": delimiter, "marker": start_after}
        with closing(self._pages(container, given, limit)) as pages:
            for page, names in pages:
                for name, row in zip(names, page.rows, strict=False):  # as many as the limit
                    yield object_from_row(row, name, container, self._driver)

    def common_prefixes(
        self, container: Container, *, prefix: str | None, delimiter: str
    ) -> Iterator[str]:
        given = {"prefix": prefix, "delimiter": delimiter}
        with closing(self._pages(container, given)) as pages:
            for page, _ in pages:
                yield from page.prefixes

    def _pages(
        self, container: Container, given: Mapping[str, str | None], limit: int = sys.maxsize
    ) -> Generator[tuple[Page, list[str]], None, None]:
        """
        Yield pages and the names on them, and fetch the next page meanwhile.

        Paging follows the last key or common prefix seen, because the markers radosgw sends are
        neither encoded nor always well-formed.
        """
        selection = _selecting(given, marker="ex_start_after", delimiter="ex_delimiter")
        bucket = bucket_of(container)
        stop = Stop()
        interrupt = self._client.interrupt
        crew = Crew(1, interrupt, stop=stop, leaving_seconds=ABANDONED_SECONDS)

        def fetch() -> Callable[[], Page]:
            # A limit counts objects only, so with a delimiter a page is whole.
            rows = PAGE_SIZE if "delimiter" in selection else min(limit, PAGE_SIZE)
            return partial(
                self._client.list_objects, bucket, selection=selection, rows=rows, stop=stop
            )

        page = fetch()() if limit else EMPTY_PAGE
        with crew, crew:  # leaving waits for one attempt at most
            while page.rows or page.prefixes:
                names = unquote_keys([row["Key"] for row in page.rows[:limit]])
                limit -= len(names)
                last = max([*names[-1:], *page.prefixes[-1:]])
                if page.is_truncated and last <= selection.get("marker", ""):
                    raise self._client.repeats(bucket)
                selection["marker"] = last
                more = page.is_truncated and limit > 0
                ahead = crew.submit(fetch()) if more and self._reads_ahead else None
                yield page, names
                if ahead is not None:
                    page = crew.result(ahead)
                else:
                    page = fetch()() if more else EMPTY_PAGE

    def uploads(
        self, container: Container, *, prefix: str | None, delimiter: str | None = None
    ) -> Iterator[S3MultipartUpload]:
        """Yield the multipart uploads in progress."""
        selection = _selecting({"prefix": prefix, "delimiter": delimiter})
        bucket = bucket_of(container)
        while True:
            page = self._client.list_uploads(bucket, selection=selection)
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
            if last == (selection.get("key-marker"), selection.get("upload-id-marker")):
                raise self._client.repeats(bucket)
            selection["key-marker"], selection["upload-id-marker"] = last

    def versions(
        self, container: Container, *, prefix: str | None
    ) -> Generator[Object, None, None]:
        """Yield all versions and delete markers of objects."""
        selection = _selecting({"prefix": prefix})
        for name, row in self._client.list_versions(bucket_of(container), selection=selection):
            yield version_from_row(row, name, container, self._driver)


def _selecting(given: Mapping[str, str | None], **names: str) -> dict[str, str]:
    """Return the parameters that are given; callers may know them by other names."""
    params = {name: value for name, value in given.items() if value}
    for name, value in params.items():
        shown = names.get(name, name)
        if not isinstance(value, str):
            raise TypeError(f"{shown} must be text, not {type(value).__name__}")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{shown} is not valid Unicode: {value!a}") from None
    return params
