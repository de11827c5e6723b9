"""Copies that the server makes: whole up to 5 GiB; above that, or with a key, in parts."""

from __future__ import annotations

from collections.abc import Mapping

from libcloud_aurora._client import CopySource
from libcloud_aurora._s3.checksums import checksum_in
from libcloud_aurora._s3.headers import TAGS, Way, plan, tag_header
from libcloud_aurora._s3.objects import Wanted, is_joined
from libcloud_aurora._transfer.upload import Uploads, finish
from libcloud_aurora.config import MAX_PART_SIZE, MIB
from libcloud_aurora.errors import AuroraObjectsError, EncryptionKeyError, ObjectChangedError
from libcloud_aurora.parts import plan_part_sizes

#: Bytes of one part of a large copy: the server is silent until it has moved them, and slow disks
#: may need long. Larger parts were not faster on loopback.
COPY_PART_SIZE = 64 * MIB


class Copy:
    """One copy that the server makes of a source as a HEAD found it."""

    def __init__(self, uploads: Uploads, source: CopySource, wanted: Wanted) -> None:
        self._client = uploads.client
        self._uploads = uploads
        self._source = source
        self._wanted = wanted

    def make(self, kept: Mapping[str, str], *, replace: bool) -> None:
        """
        Copy an object of any size.

        radosgw only encrypts and decrypts copies in parts: CopyObject refuses an encrypted source,
        and ignores the key of the copy. A part has one key, for reading and for writing.

        :param kept: Headers of the original that the copy repeats.
        :param replace: Whether to replace the source's metadata by what is wanted.
        """
        source, wanted = self._source, self._wanted
        if is_joined(source.head.headers):
            raise AuroraObjectsError(
                f"object {source.path.key!r} was not copied: it was stored through Swift, in "
                "segments, of which servers copy the list or nothing. Download and upload it "
                "instead.",
                bucket=source.path.bucket,
                key=source.path.key,
            )
        key, source_key = wanted.path.customer_key, source.path.customer_key
        by_parts = bool(key or source_key) or source.head.size > MAX_PART_SIZE
        # Ceph 16 would lock the copy as the original is, and so nobody could delete it.
        replace = replace or any("x-amz-object-lock" in name for name in source.head.headers)
        asked = {**wanted.asked, **kept}
        if (by_parts or replace) and source.head.headers.get("x-amz-tagging-count", "0") != "0":
            asked.setdefault(TAGS, tag_header(self._client.get_tags(source.path)))
        if not by_parts:
            self._whole(asked, "REPLACE" if replace else "COPY")
        elif source.head.size == 0:  # no part can be a copy of nothing
            self._client.put_object(wanted.path, memoryview(b""), plan(asked, Way.ONE_PART).sent)
        else:
            try:
                self._by_parts(asked)
            except EncryptionKeyError as error:
                if source_key not in (None, key):
                    error.value = (
                        f"object {source.path.key!r} was not copied: this server does not copy "
                        f"from one key to another. Download and upload it instead. {error.value}"
                    )
                raise

    def _whole(self, asked: Mapping[str, str], directive: str) -> None:
        """Copy with one request; as radosgw before 17.2.8 takes no condition, compare ETags."""
        source, wanted = self._source, self._wanted
        planned = plan(asked, Way.REPLACING)
        headers = {**planned.sent, "x-amz-metadata-directive": directive}
        copied = self._client.copy_object(wanted.path, source, headers)
        if copied != source.head.etag:  # radosgw keeps it; others may give a copy a plain one
            kept = copied if source.path.source == wanted.path.source else source.head.etag
            if self._client.head_object(source.path).etag != kept:
                raise self._changed()
        if planned.afterwards:  # radosgw's response names no version
            head = self._client.head_object(wanted.path)
            if head.etag != copied:
                raise self._changed()
            finish(
                self._client, wanted.path, planned.afterwards, head.headers.get("x-amz-version-id")
            )

    def _by_parts(self, asked: Mapping[str, str]) -> None:
        """Copy an object of any size but 0; a failure leaves no parts."""
        source, path = self._source, self._wanted.path
        with self._uploads.aborting(path):
            upload = self._uploads.begin(path, asked)
            parts = upload.copy(source, plan_part_sizes(source.head.size, COPY_PART_SIZE))
            if self._client.head_object(source.path).etag != source.head.etag:
                raise self._changed()
            checksum = checksum_in(source.head.headers)
            copied = checksum.text if checksum and checksum.combines else None
            upload.complete(parts, copied=copied)

    def _changed(self) -> ObjectChangedError:
        return ObjectChangedError(
            f"object {self._source.path.key!r} was replaced while it was copied. Copy it again.",
            bucket=self._wanted.path.bucket,
            key=self._wanted.path.key,
        )
