"""Completing an upload: finding out whether it succeeded, and which objects share its data."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from itertools import takewhile
from typing import NamedTuple

from libcloud_aurora._client import Client, PartHeld
from libcloud_aurora._s3.names import ObjectPath
from libcloud_aurora._s3.objects import ObjectHead, Stored, strip_etag
from libcloud_aurora._s3.signing import http_time, moment
from libcloud_aurora._wire.failures import is_unsent
from libcloud_aurora._wire.retry import Stop, is_passing, is_transient, is_unanswered, is_unsure
from libcloud_aurora.errors import (
    MEANINGS,
    AccessDeniedError,
    AuroraObjectsError,
    ContainerNotFoundError,
    EncryptionKeyError,
    HashMismatchError,
    NetworkError,
    ObjectNotFoundError,
    UploadNotFoundError,
)
from libcloud_aurora.parts import composite_etag

#: Seconds for which to ask a radosgw that says it is completing an upload, which it may lock for
#: 600 (``rgw_mp_lock_max_time``), from a little later on.
COMPLETE_SECONDS = 615.0
#: Most by which this machine's clock differs from the server's where a signature is accepted.
MAX_SKEW = timedelta(minutes=15)
#: Most by which the clocks of one cluster's servers are assumed to differ.
CLOCKS_APART = timedelta(minutes=1)


class Completed(NamedTuple):
    """
    An upload that has become an object.

    :ivar left: The upload's parts, unless the server has removed it: they have the object's data.
        ``None`` if that is unknown.
    """

    stored: Stored
    left: Mapping[int, PartHeld] | None


class _Look(NamedTuple):
    """
    What is there after a failed Complete.

    :ivar held: The upload's parts, none if it is gone; ``None`` if that is unknown.
    :ivar found: The object, if it is made of these parts.
    :ivar is_whole: Whether both could be learnt.
    :ivar is_refused: Whether these keys may not look.
    :ivar was_tried: Whether anybody has asked.
    """

    held: Mapping[int, PartHeld] | None = None
    found: ObjectHead | None = None
    is_whole: bool = False
    is_refused: bool = False
    was_tried: bool = True


class Completion:
    """
    An upload that is being completed, from attempt to attempt.

    A successful response is final, even if somebody replaces the object afterwards. radosgw may
    leave the ETag empty; the hash is then that of the parts. It answers 500 to a second Complete,
    and to one that overlaps another or a restart, and any response may be lost. The upload has then
    succeeded if it is gone and the object is made of these parts. While radosgw says that it is
    completing, ask for as long as its lock may last, or until the sign to stop.

    If radosgw dies after storing the object and before removing the upload, both are left, with the
    same data. If that upload is completed again or aborted, the garbage collector deletes the data,
    hours later (on 16.2.15, 18.2.7 and 20.2.4). So an object with the right ETag that may be new is
    a success, too, and no Complete follows one whose outcome could not be learnt. Beside an older
    object of the same bytes, the upload is completed again.

    :param conditions: Headers that say what the key must hold; with any, somebody else's object of
        the same bytes is no success.
    :param before: The object that was there before, if that is known.
    :param was_sent: Whether Complete has been sent already, and what came of it is not known.
    """

    def __init__(
        self,
        client: Client,
        path: ObjectPath,
        upload_id: str,
        parts: list[tuple[int, str]],
        *,
        conditions: Mapping[str, str],
        before: ObjectHead | None,
        was_sent: bool,
        stop: Stop,
    ) -> None:
        self._client = client
        self._path, self._upload_id = path, upload_id
        self._parts, self._etag = parts, composite_etag([etag for _, etag in parts])
        self._conditions = conditions
        self._before = before
        self._stop = stop
        self._earliest = client.now() - MAX_SKEW
        self._deadline = time.monotonic() + COMPLETE_SECONDS
        self._failures = -int(was_sent)  # the failure below only makes it look first
        self._may_have_acted = self._is_unsure = self._may_be_stored = was_sent
        self._is_at_it = self._is_unanswered = self._may_share = False
        self._seen = _Look(was_tried=False)
        #: A failure after which it is not known what the server has done.
        self._unsettled: AuroraObjectsError | None = None
        if was_sent:
            self._unsettled = NetworkError("the request that completes the upload was interrupted")

    def run(self, *, crc32: str | None, verify: bool) -> Completed:
        """
        Assemble the parts, and make sure that exactly these were assembled.

        :param crc32: That of all their bytes, for the server to compare and store.
        :param verify: Whether to compare the object's ETag with the one that the parts give.
        """
        path, upload_id = self._path, self._upload_id
        try:
            stored, left = self._client.complete_upload(
                path,
                upload_id,
                self._parts,
                self._attempt,
                conditions=self._conditions,
                crc32=crc32,
                stop=self._stop,
            )
        except AuroraObjectsError as error:
            if self._may_come_about(is_stopped=self._stop.is_set()):
                error.value = (
                    f"{error.value.rstrip('.')}. The server may still complete upload {upload_id}, "
                    "or may have done so: its parts are kept. Look for the object later, and then "
                    "call ex_cleanup_all_multipart_uploads()."
                )
                error._keeps_parts = True
            elif self._has_probably_come_about():
                error.value = (
                    f"{error.value.rstrip('.')}. Upload {upload_id} is gone: its object has "
                    "probably been stored."
                )
            elif self.is_gone and not (
                self._may_be_stored or isinstance(error, ContainerNotFoundError)
            ):
                gone = UploadNotFoundError(
                    f"upload {upload_id} of {path} is gone. {MEANINGS['NoSuchUpload'].advice}",
                    driver=error.driver,
                    code="NoSuchUpload",
                    http_status=error.http_status,
                    request_id=error.request_id,
                    bucket=path.bucket,
                    key=path.key,
                )
                gone.history = error.history
                raise gone from error
            raise
        finally:
            self._unsettled = None  # its traceback would hold itself, and so the parts
        if verify and stored.etag not in ("", self._etag):
            raise HashMismatchError(
                f"upload of {path} ended with ETag {stored.etag!r}, but its parts "
                f"give {self._etag!r}: it is damaged. Upload it again.",
                bucket=path.bucket,
                key=path.key,
            )
        return Completed(Stored(stored.etag or self._etag, stored.version_id), left)

    def _attempt(self, send: Callable[[], Stored]) -> Completed:
        """Complete it, or learn that it has been completed."""
        try:
            if self._unsettled:
                raise self._unsettled  # and look again, before it is completed again
            return Completed(send(), {})
        except AuroraObjectsError as error:
            # A TLS failure is final, but may have come in place of the response.
            is_lost = is_transient(error) or isinstance(error, NetworkError)
            may_have_acted = is_lost and not is_unsent(error.__cause__)
            self._is_unanswered |= may_have_acted and is_unanswered(error)
            self._may_have_acted |= may_have_acted
            self._is_unsure |= may_have_acted and is_unsure(error)
            is_at_it = "already in progress" in error._said
            self._may_be_stored |= may_have_acted and is_unsure(error) and not is_at_it
            seen = self._seen = self._look()
            self._may_share &= seen.held != {}
            if seen.found and self._is_ours(seen.found, is_gone=seen.held == {}):
                self._may_share = bool(seen.held or (seen.held is None and self._conditions))
                settles = self._failures + 1 >= self._client.max_attempts and not self._conditions
                if not self._may_share or settles:
                    return Completed(seen.found.stored, seen.held)
            has_seen = seen.is_whole or (seen.is_refused and not self._is_unsure)
            is_known = (has_seen and not self._may_share) or not self._may_have_acted
            self._unsettled = None if is_known else error
            self._is_at_it = seen.held != {} and (self._is_at_it or is_at_it)
            self._failures += not is_at_it or self._may_share
            error._retry_after = max(error._retry_after, float(is_at_it))
            error._is_final = (
                not (is_transient(error) or self._may_share)
                or seen.held == {}
                or self._failures >= self._client.max_attempts
                or (self._may_come_about() and time.monotonic() > self._deadline)
            )
            raise

    def _is_ours(self, found: ObjectHead, *, is_gone: bool) -> bool:
        """
        Tell whether an object that is made of these parts may be this upload's.

        It may be if it is new, and if the server may have acted; once the upload is gone, either is
        enough: a clock may be wrong, and a proxy may have sent the request twice.
        """
        if self._before and _identity(found) == _identity(self._before):
            return False
        signs = _is_since(found, self._earliest), self._may_have_acted
        return any(signs) if is_gone else all(signs)

    @property
    def is_gone(self) -> bool:
        """Whether the server has said that there is no such upload."""
        return self._seen.held == {}

    def _may_come_about(self, *, is_stopped: bool = False) -> bool:
        """
        Tell whether the server may still complete the upload, or may have done so.

        :param is_stopped: Whether nobody asks it any more: then what was seen says little.
        """
        unseen = self._may_have_acted and self._seen.was_tried and not self._seen.is_whole
        unsure = self._is_at_it or self._is_unanswered or (is_stopped and self._is_unsure)
        return self._seen.held != {} and (unseen or unsure or self._may_share)

    def _has_probably_come_about(self) -> bool:
        """Tell whether the upload has gone, and its object may be there."""
        is_there = bool(self._seen.found) or not self._seen.is_whole
        return self._may_have_acted and self._seen.held == {} and is_there

    def _look(self) -> _Look:
        """Ask for the upload's parts, and for the object that they give."""
        if self._stop.is_set():
            return _Look(was_tried=False)
        held, is_refused = None, False
        try:
            try:
                held = self._client.list_parts(self._path, self._upload_id, stop=self._stop)
            except AccessDeniedError:
                is_refused = True
            found = object_with(self._client, self._path, self._etag, stop=self._stop)
            return _Look(held, found, is_whole=not is_refused, is_refused=is_refused)
        except AuroraObjectsError as error:
            return _Look(held, is_refused=is_refused or isinstance(error, AccessDeniedError))


def object_with(
    client: Client, path: ObjectPath, etag: str, *, stop: Stop | None = None
) -> ObjectHead | None:
    """Return what the server says about the object, if it is there with this ETag."""
    try:
        head = client.head_object(path, stop=stop)
    except (ObjectNotFoundError, EncryptionKeyError):  # an object of these parts has this key
        return None
    return head if head.etag == etag else None


def sharers_of(
    client: Client, path: ObjectPath, held: Mapping[int, PartHeld] | None, begun: datetime | None
) -> set[str]:
    """
    Return the ids of an object's versions that may share the data of an unfinished upload.

    Where versions cannot be listed, the latest one is looked at. An empty id stands for older
    ones that it may hide.

    :param held: The upload's parts; ``None`` if they are not known: then any data may be theirs.
    :param begun: When it began; an older version has its own data.
    """
    if held == {}:
        return set()
    etag = composite_etag([part.etag for _, part in sorted(held.items())]) if held else None
    earliest = begun and begun - CLOCKS_APART

    def is_its(version: tuple[str, dict[str, str]]) -> bool:
        return version[0] == path.key  # longer keys that begin like it come later

    rows = client.list_versions(path.bucket, selection={"prefix": path.key})
    try:
        return {
            row.get("VersionId", "null")
            for _, row in takewhile(is_its, rows)
            if etag in (None, strip_etag(row.get("ETag", "")))
            if not earliest or (moment(row.get("LastModified")) or earliest) >= earliest
        }
    except AuroraObjectsError as error:
        if is_passing(error):
            raise
    latest: set[str] = set()
    hides_others = False
    try:
        head = client.head_object(path)
        if earliest and not _is_since(head, earliest):
            return latest
        if etag in (None, head.etag):
            latest = {head.stored.version_id or "null"}
        hides_others = head.stored.version_id is not None
    except ObjectNotFoundError:
        pass  # or behind a delete marker, which only Ceph 20 names
    except (AccessDeniedError, EncryptionKeyError) as error:  # its ETag is not known
        if held is None and isinstance(error, AccessDeniedError):
            raise
        latest = {"null"}
    return latest | ({""} if hides_others or client.keeps_versions(path.bucket) else set())


def _identity(head: ObjectHead) -> tuple[str, str | None, str | None]:
    return head.etag, head.headers.get("last-modified"), head.stored.version_id


def _is_since(head: ObjectHead, earliest: datetime) -> bool:
    """Tell whether an object may have been stored since a time."""
    stored = http_time(head.headers.get("last-modified"))
    return stored is None or stored >= earliest
