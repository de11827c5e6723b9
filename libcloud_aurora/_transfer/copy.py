"""Copies that the server makes: whole up to 5 GiB; above that, or if encrypted, in parts."""

from __future__ import annotations

from collections.abc import Mapping

from libcloud_aurora._client import Client, CopySource
from libcloud_aurora._s3.checksums import checksum_in
from libcloud_aurora._s3.headers import TAGS, Plan, Way, plan, tag_header
from libcloud_aurora._s3.names import ObjectPath
from libcloud_aurora._s3.objects import Stored, Wanted, is_joined
from libcloud_aurora._transfer.upload import Uploads, finish
from libcloud_aurora.config import MAX_PART_SIZE, MIB
from libcloud_aurora.errors import (
    AuroraObjectsError,
    EncryptionKeyError,
    ObjectChangedError,
    ObjectNotFoundError,
)
from libcloud_aurora.parts import plan_part_sizes

#: Bytes of one part of a large copy: the server is silent until it has moved them, and slow disks
#: may need long. Larger parts were not faster on loopback.
COPY_PART_SIZE = 64 * MIB
#: What Ceph 16 and 18 say of an object that they have encrypted, and Ceph 18 of one larger than
#: ``rgw_max_put_size``. They copy these in parts.
IN_PARTS = frozenset({"NotImplemented", "EntityTooLarge"})


def copy_object(
    uploads: Uploads,
    source: CopySource,
    wanted: Wanted,
    kept: Mapping[str, str],
    *,
    replace: bool,
) -> None:
    """
    Copy an object of any size, as a HEAD has found it.

    radosgw encrypts and decrypts copies only in parts: CopyObject refuses an encrypted source, and
    ignores the key of the copy. A part has one key, for reading and for writing.

    :param kept: Headers of the original that the copy repeats.
    :param replace: Whether to replace the source's metadata by what is wanted.
    """
    if is_joined(source.head.headers):
        raise AuroraObjectsError(
            f"{source.path} was not copied: it was stored through Swift, in segments, "
            "of which servers copy the list or nothing. Download and upload it instead.",
            bucket=source.path.bucket,
            key=source.path.key,
        )
    client = uploads.client
    key, source_key = wanted.path.customer_key, source.path.customer_key
    by_parts = bool(key or source_key) or source.head.size > MAX_PART_SIZE
    # Ceph 16 would lock the copy as the original is, and so nobody could delete it.
    replace = replace or any("x-amz-object-lock" in name for name in source.head.headers)
    asked: Mapping[str, str] = {**wanted.asked, **kept}
    if not by_parts:
        whole = _with_tags(client, source, asked) if replace else asked
        if _whole(client, source, wanted.path, whole, "REPLACE" if replace else "COPY"):
            return
    asked = _with_tags(client, source, asked)
    if source.head.size == 0:  # no part can be a copy of nothing
        client.put_object(wanted.path, memoryview(b""), plan(asked, Way.ONE_PART).sent)
    else:
        try:
            _by_parts(uploads, source, wanted.path, asked)
        except EncryptionKeyError as error:
            if source_key not in (None, key):
                error.value = (
                    f"{source.path} was not copied: this server does not copy from "
                    f"one key to another. Download and upload it instead. {error.value}"
                )
            raise


def adjusted(uploads: Uploads, stored: Stored, wanted: Wanted, planned: Plan) -> Stored:
    """
    Give an object what is wanted, if an earlier call had begun its upload for something else.

    It stays as it is if it has been deleted or replaced since.
    """
    for name in planned.conditions:  # met; what follows copies the object onto itself
        del wanted.asked[name]
    try:
        source = CopySource(wanted.path, uploads.client.head_object(wanted.path))
        if source.head.etag != stored.etag:
            return stored
        if not wanted.describes(source.head):
            copy_object(uploads, source, wanted, {}, replace=True)
            return uploads.client.head_object(wanted.path).stored
    except (ObjectNotFoundError, ObjectChangedError):
        return stored
    except AuroraObjectsError as error:
        if error.code == "PreconditionFailed":  # replaced just before it was copied
            return stored
        error.value = (
            f"{wanted.path} is stored, but may have the metadata and headers for which an earlier "
            f"call had begun its upload: {error.value}"
        )
        raise
    finish(uploads.client, wanted.path, planned.afterwards, stored.version_id)
    return stored


def _with_tags(client: Client, source: CopySource, asked: Mapping[str, str]) -> Mapping[str, str]:
    """Return what is asked for with the original's tags, unless others are asked for."""
    if TAGS in asked or source.head.headers.get("x-amz-tagging-count", "0") == "0":
        return asked
    return {**asked, TAGS: tag_header(client.get_tags(source.path))}


def _whole(
    client: Client, source: CopySource, path: ObjectPath, asked: Mapping[str, str], directive: str
) -> bool:
    """
    Copy with one request, and tell whether the server does that.

    As radosgw before 17.2.8 takes no condition, ETags are compared.
    """
    planned = plan(asked, Way.REPLACING)
    headers = {**planned.sent, "x-amz-metadata-directive": directive}
    try:
        copied = client.copy_object(path, source, headers)
    except AuroraObjectsError as error:
        if error.code in IN_PARTS:
            return False
        raise
    if copied != source.head.etag:  # radosgw keeps it; others may give a copy a plain one
        kept = copied if source.path.source == path.source else source.head.etag
        if client.head_object(source.path).etag != kept:
            raise _changed(source, path)
    if planned.afterwards:  # radosgw's response names no version
        head = client.head_object(path)
        if head.etag != copied:
            raise _changed(source, path)
        finish(client, path, planned.afterwards, head.headers.get("x-amz-version-id"))
    return True


def _by_parts(
    uploads: Uploads, source: CopySource, path: ObjectPath, asked: Mapping[str, str]
) -> None:
    """Copy an object of any size but 0; a failure leaves no parts."""
    with uploads.aborting() as begun:
        upload = uploads.begin(path, asked, begun)
        parts = upload.copy(source, plan_part_sizes(source.head.size, COPY_PART_SIZE))
        if uploads.client.head_object(source.path).etag != source.head.etag:
            raise _changed(source, path)
        checksum = checksum_in(source.head.headers)
        copied = checksum.text if checksum and checksum.combines else None
        upload.complete(parts, copied=copied)


def _changed(source: CopySource, path: ObjectPath) -> ObjectChangedError:
    return ObjectChangedError(
        f"{source.path} was replaced while it was copied. Copy it again.",
        bucket=path.bucket,
        key=path.key,
    )
