"""One multipart upload: begun, sent, completed or aborted, and resumed."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from itertools import accumulate, pairwise

from libcloud.storage.drivers.s3 import S3MultipartUpload

from libcloud_aurora._client import REMAINS, Begun, Client, CopySource, PartHeld, PartSent
from libcloud_aurora._s3.checksums import Crc32, combined, crc32_text
from libcloud_aurora._s3.headers import Change, Plan, Way, plan
from libcloud_aurora._s3.names import ObjectPath
from libcloud_aurora._s3.objects import ObjectHead, Stored, Wanted
from libcloud_aurora._s3.signing import ChunkedBody, canonical_query, in_chunks, moment, read_into
from libcloud_aurora._transfer.completion import (
    COMPLETE_SECONDS,
    Completed,
    Completion,
    object_with,
    sharers_of,
)
from libcloud_aurora._transfer.sources import FileParts, Part, Parts, UnreadableError, checked
from libcloud_aurora._transfer.workers import LEAVING_SECONDS, Crew, Ending, Task, Window
from libcloud_aurora._wire.retry import Stop, is_transient, logger
from libcloud_aurora.config import TransferConfig
from libcloud_aurora.errors import (
    AccessDeniedError,
    AuroraObjectsError,
    ContainerNotFoundError,
    HashMismatchError,
    MalformedAnswerError,
    NetworkTimeoutError,
    UploadNotFoundError,
)

#: Most seconds that an upload, once begun, waits for connections to be opened.
CONNECTING_SECONDS = 1.0
SHARED = (
    "upload %s of %s has been completed, but not removed. They share their data: whoever "
    "aborts the upload destroys them."
)
STORED = "%s is stored: Ctrl-C, or another signal, came after its upload had been completed"
KEPT = (
    "upload %s is kept: %s, or an old version of it, may share its data. Once you have "
    "deleted or replaced that, ex_cleanup_all_multipart_uploads() removes the upload"
)
#: What radosgw 18 and 20 say of an upload that is locked while it is completed.
LOCKED = frozenset({"BucketAlreadyExists", "UnknownError", "ServiceUnavailable"})
LOCKED_FOR = (
    " If the server is not busy, it is completing this upload, or ended while it did: then the "
    "upload stays locked for ten minutes."
)


class Upload:
    """
    One multipart upload.

    :param begun: Its id, and the checksums that the server expects.
    :ivar verify: Whether the object's ETag is compared with its parts.
    :ivar has_crc32: Whether its parts have a CRC32.
    :ivar asked: Headers that its object is to have; ``None`` if somebody else has begun it.
    :ivar planned: What becomes of them: what the bytes and the key must be when it is completed,
        and what is done to the object afterwards.
    :ivar is_complete: Whether it is stored, or gone, so that there is nothing to abort.
    """

    def __init__(self, uploads: Uploads, path: ObjectPath, begun: Begun, ending: Ending) -> None:
        self._uploads = uploads
        self._client = uploads.client
        self._config = uploads.config
        self._running = uploads.running
        self._ending = ending
        self.path = path
        self.id = begun.id
        self.verify = True
        self.asked: Mapping[str, str] | None = None
        self.planned = Plan({}, [], "", {})
        self._keeps_parts = False
        self._before: ObjectHead | None = None
        self._completed: Completed | None = None
        self.has_crc32 = begun.has_crc32
        self._is_whole = begun.is_whole
        self._crcs: dict[int, tuple[int, int]] = {}
        self._etags: dict[int, str] = {}
        self.is_complete = False

    def send(
        self, parts: Parts, held: Mapping[int, PartHeld] | None = None
    ) -> list[tuple[int, str]]:
        """
        Send parts as they are cut, and return number and ETag of each in order.

        :param held: Parts the server has; those that match are not sent again.
        """
        window, tasks = self.tasks(parts, held)
        try:
            window.run(tasks)
        except UnreadableError as error:
            raise error.reason from None
        except HashMismatchError:
            parts.check_unchanged()
            raise
        parts.check_unchanged()
        return self.sent()

    def tasks(
        self, parts: Parts, held: Mapping[int, PartHeld] | None = None
    ) -> tuple[Window, Iterator[Task]]:
        """Return what sends parts, each as it is cut, and the window to run it in."""
        window = Window(
            limit=self._config.file_concurrency,
            budget=self._config.upload_memory,
            on_bytes=parts.moved,
            interrupt=self._client.interrupt,
        )

        etags = self._etags = {}

        def send(part: Part) -> None:
            try:
                etags[part.number] = self._send_part(part, (held or {}).get(part.number), window)
            finally:
                parts.release(part)
            window.report(part.size)

        whole = checked(parts, self.planned.md5, self.path)
        return window, (Task(partial(send, part), part.memory) for part in whole)

    def sent(self) -> list[tuple[int, str]]:
        """Return number and ETag of each part that has been sent, in order."""
        return sorted(self._etags.items())

    def _send_part(self, part: Part, held: PartHeld | None, window: Window) -> str:
        body, crc = in_chunks(part.body, part.size), Crc32()
        if held:
            md5 = hashlib.md5(usedforsecurity=False)
            read_into(body, crc, md5)
            if held[:2] == (part.size, md5.hexdigest()):
                if self.has_crc32:
                    self._crcs[part.number] = crc.value, part.size
                return held.etag

        def chunks() -> Iterator[Sequence[memoryview]]:
            crc.value = 0
            for chunk in body.chunks():
                if window.is_set():
                    return  # at the end of a chunk, which the server refuses in order
                for view in chunk if self.has_crc32 else ():
                    crc.update(view)
                yield chunk
                window.count(sum(map(len, chunk)))  # asked for the next: it has left

        sent = self._client.upload_part(
            self.path,
            self.id,
            part.number,
            ChunkedBody(part.size, chunks),
            crc=crc if self.has_crc32 else None,
            stop=window,
        )
        if self.has_crc32:
            self._crcs[part.number] = crc.value, part.size
        return self._etag_of(sent)

    def copy(self, source: CopySource, sizes: Iterable[int]) -> list[tuple[int, str]]:
        """
        Let the server copy an object in parts of these sizes; return number and ETag of each.

        radosgw takes ``?versionId=`` in the source's name for a version. Before Ceph 20, which is
        known by its checksums, it also decodes the name twice. So it would copy another object.
        """
        name = source.path.key
        if "?versionId=" in name or ("%" in name and not self.has_crc32):
            raise AuroraObjectsError(
                f"{source.path} was not copied: this server misreads its name where it copies in "
                "parts. Download and upload it instead.",
                bucket=source.path.bucket,
                key=name,
            )
        window = Window(limit=self._config.file_concurrency, interrupt=self._client.interrupt)

        def copy(number: int, span: tuple[int, int]) -> None:
            sent = self._client.upload_part_copy(
                self.path, self.id, number, source, span=span, stop=window
            )
            self._etags[number] = self._etag_of(sent)
            window.count(span[1] - span[0])

        ends = accumulate(sizes, initial=0)
        window.run(Task(partial(copy, *each)) for each in enumerate(pairwise(ends), 1))
        return self.sent()

    def _etag_of(self, sent: PartSent) -> str:
        if sent.is_whole:
            self._is_whole = True
        return sent.etag

    def complete(self, parts: list[tuple[int, str]], *, copied: str | None = None) -> Stored:
        """
        Assemble the parts, and do what has to be done afterwards.

        :param copied: CRC32 of the object that the parts were copied from.
        """
        whole = copied
        if self._crcs.keys() == dict(parts).keys():
            whole = crc32_text(combined(self._crcs[number] for number, _ in sorted(parts)))
        copy: Stored | None = None
        try:
            stored, left = self._ending.run(partial(self._complete, parts, whole))
            if left and self.asked is not None:
                copy = self._copied(stored, self.asked, left, whole)
                if _is_replaced(stored):
                    self._uploads.remove(self.path, self.id)
        except BaseException as error:
            if self._completed and not isinstance(error, AuroraObjectsError):
                self._say_stored(self._completed.stored, [] if copy else self.planned.afterwards)
            raise
        finally:
            done = self._completed
            if done and done.left != {} and not (copy and _is_replaced(done.stored)):
                logger.warning(KEPT, self.id, self.path)
        if not copy:
            finish(self._client, self.path, self.planned.afterwards, stored.version_id)
        self._running.pop(self.id, None)
        return copy or stored

    def _complete(self, parts: list[tuple[int, str]], crc32: str | None, stop: Stop) -> Completed:
        """Assemble the parts; Ctrl-C does not break this call, or it is made once more."""
        was_sent, conditions = self._keeps_parts, self.planned.conditions
        if conditions and not was_sent:
            self._before = self._client.check_conditions(self.path, conditions, stop=stop)
            if self._ending.left() < math.inf:  # Ctrl-C has come meanwhile
                raise AuroraObjectsError("the upload was interrupted before its completion.")
        completion = Completion(
            self._client,
            self.path,
            self.id,
            parts,
            conditions=conditions,
            before=self._before,
            was_sent=was_sent,
            stop=stop,
        )
        self._keeps_parts = True  # while the server may be completing it
        try:
            self._completed = completion.run(
                crc32=crc32 if self._is_whole else None, verify=self.verify
            )
        except AuroraObjectsError as error:  # others may come from a signal, at any moment
            # A success with another ETag has completed it, and the server's refusal has not.
            is_damaged = isinstance(error, HashMismatchError) and error.code is None
            self.is_complete = is_damaged or completion.is_gone
            self._keeps_parts = error._keeps_parts
            raise
        self.is_complete = True
        return self._completed

    def _say_stored(self, stored: Stored, lacks: Sequence[Change]) -> None:
        """Say in the log that the object is there, although the call ends."""
        if lacks:
            path = ObjectPath(self.path.bucket, self.path.key, version_id=stored.version_id)
            logger.warning(_lacking(path, lacks))
        else:
            logger.warning(STORED, self.path)

    def _copied(
        self,
        first: Stored,
        asked: Mapping[str, str],
        left: Mapping[int, PartHeld],
        crc32: str | None,
    ) -> Stored:
        """Copy the object, which shares its data with this upload."""
        shared = SHARED % (self.id, self.path)
        logger.warning("%s The object is being copied", shared)
        sizes = [part.size for _, part in sorted(left.items())]
        version = None if _is_replaced(first) else first.version_id
        path = ObjectPath(self.path.bucket, self.path.key, self.path.customer_key, version)
        try:
            with self._uploads.aborting() as begun:
                other = self._uploads.begin(self.path, asked, begun)
                other.planned = other.planned._replace(conditions={"if-match": first.etag})
                parts = other.copy(CopySource(path, ObjectHead({}, sum(sizes), first.etag)), sizes)
                return other.complete(parts, copied=crc32)
        except AuroraObjectsError as error:
            if not object_with(self._client, self.path, first.etag):
                return first  # replaced or deleted since
            error.value = f"{shared} Upload it again. It could not be copied: {error.value}"
            raise

    def abort(self, cause: BaseException | None = None) -> None:
        """Abort after a failure or Ctrl-C; log what prevents it."""
        aborted = self.is_complete

        def abort(stop: Stop) -> None:
            nonlocal aborted
            self._client.abort_upload(self.path, self.id, stop=stop)
            aborted = True

        try:
            if self._keeps_parts and not aborted:
                logger.warning("the parts of upload %s of %s are kept", self.id, self.path)
            elif not aborted:
                self._ending.begin(cause)
                self._ending.run(abort)
        except BaseException as error:
            if not aborted:
                logger.warning(REMAINS, self.id, self.path, str(error) or type(error).__name__)
            if not isinstance(error, AuroraObjectsError):
                raise
        finally:
            self._running.pop(self.id, None)


class Uploads:
    """The multipart uploads of one driver; ``running`` has those it has begun, by id."""

    def __init__(self, client: Client, config: TransferConfig) -> None:
        self.client = client
        self.config = config
        self.running: dict[str, Upload] = {}

    def begin(
        self, path: ObjectPath, asked: Mapping[str, str], begun: list[Upload], *, ready: int = 0
    ) -> Upload:
        """
        Begin an upload, in another thread: Ctrl-C waits for the id with which to abort it.

        :param begun: What to add it to; see :meth:`aborting`.
        :param ready: How many parts can be sent as soon as it has begun.
        """
        ending, planned = self._ending(), plan(asked, Way.PARTS)

        def begin(stop: Stop) -> Upload:
            if planned.conditions:  # before all bytes are sent in vain
                self.client.check_conditions(path, planned.conditions, stop=stop)
            made = self.client.create_upload(path, planned.sent, stop=stop)
            upload = self.running[made.id] = Upload(self, path, made, ending)
            upload.asked, upload.planned = asked, planned
            begun.append(upload)
            if ending.left() == 0.0:  # nobody waits for it any more
                upload.abort()
            return upload

        with self._connecting(min(ready, self.config.file_concurrency)):
            return begin(Stop()) if self.config.file_concurrency == 1 else ending.run(begin)

    @contextmanager
    def _connecting(self, count: int) -> Iterator[None]:
        """
        Open connections for that many parts during a request, and then wait for them for a while.

        Otherwise the first parts would wait for them: over https with 100 ms each way, for 0.4 s.
        The request takes one round trip, and TCP with TLS 1.2 takes three.
        """
        openers, caller = self.client.openers(count), threading.get_ident()

        def call(opener: Callable[[], None]) -> None:
            if threading.get_ident() != caller:  # where no thread can be started
                with contextlib.suppress(Exception):  # its request will say why
                    opener()

        crew = Crew(len(openers), self.client.interrupt, leaving_seconds=LEAVING_SECONDS)
        with crew, crew:
            began = time.monotonic()
            opened = [crew.submit(partial(call, opener)) for opener in openers]
            yield
            now = time.monotonic()
            until = now + min(3 * (now - began), CONNECTING_SECONDS)
            for each in opened:
                with contextlib.suppress(NetworkTimeoutError):
                    each.result(max(0.0, until - time.monotonic()))

    def find(self, path: ObjectPath, upload_id: str) -> Upload:
        """Return an upload, even one that this driver has not begun."""
        begun = Begun(upload_id, False, False)
        return self.running.get(upload_id) or Upload(self, path, begun, self._ending())

    def _ending(self) -> Ending:
        threads = self.config.file_concurrency > 1
        return Ending(self.client.timeout, self.client.interrupt, threads=threads)

    @contextmanager
    def aborting(self) -> Iterator[list[Upload]]:
        """Abort uploads that a block begins but does not end; Ctrl-C may come before it has one."""
        begun: list[Upload] = []
        pid = os.getpid()
        try:
            yield begun
        except BaseException as error:
            for upload in begun if pid == os.getpid() else ():  # and not of a parent
                if upload.id in self.running:
                    upload.abort(error)
            raise

    def resume(
        self, parts: FileParts, path: ObjectPath, asked: Mapping[str, str], *, verify: bool
    ) -> tuple[Stored, bool]:
        """
        Continue the newest unfinished upload of an object, or begin one; a failure keeps parts.

        It also begins one if the other disappears meanwhile: perhaps the server has only now
        completed it for a program that was killed.

        :return: What is stored, and whether an earlier call had begun it.
        """
        old, begun, held = "", None, dict[int, PartHeld]()
        for upload_id, since in self.client.uploads_of(path):
            try:
                held = self.client.list_parts(path, upload_id)
            except AccessDeniedError as error:  # another account's
                logger.warning("upload %s is not continued: %s", upload_id, error.value)
            else:
                old, begun = upload_id, since
                break
        sharers = sharers_of(self.client, path, held, begun)
        fits = all(parts.sizes.get(number) == part.size for number, part in held.items())
        if not fits and not sharers:  # radosgw completes an upload only with all its parts
            logger.info("aborting upload %s of %s: its parts are not this file's", old, path)
            try:
                self.client.abort_upload(path, old)
            except AuroraObjectsError as error:
                logger.warning(REMAINS, old, path, error.value)
        try:
            if old and fits and not sharers:
                upload = self.find(path, old)
                upload.has_crc32 |= any(part.has_crc32 for part in held.values())
                planned = plan(asked, Way.RESUME)._replace(afterwards=[])  # left to the caller
                upload.asked, upload.planned = asked, planned
                if planned.conditions:
                    self.client.check_conditions(path, planned.conditions)
                if held and (path.customer_key or len(held) == len(parts.sizes)):
                    held.pop(max(held))  # sent again: its response shows which key the parts have
                return self._finished(upload, parts, held, verify=verify), True
        except UploadNotFoundError as error:
            if error._may_be_done:  # and replaced by somebody since
                raise
            logger.info("the upload of %s that was continued has ended: beginning anew", path)
            parts.sent = 0
        with self.aborting() as ours:
            upload = self.begin(path, asked, ours, ready=parts.ready)
        stored = self._finished(upload, parts, {}, verify=verify)
        if sharers - {stored.version_id or "null"}:
            logger.warning(KEPT, old, path)
        elif sharers:
            self.remove(path, old)
        return stored, False

    def _finished(
        self, upload: Upload, parts: FileParts, held: Mapping[int, PartHeld], *, verify: bool
    ) -> Stored:
        """Send the parts that are not held, and complete the upload; a failure keeps it."""
        upload.verify = verify
        try:
            return upload.complete(upload.send(parts, held))
        except BaseException as error:
            gone = isinstance(error, (UploadNotFoundError, ContainerNotFoundError))
            if not upload.is_complete and not gone:
                logger.info("the parts of upload %s of %s are kept", upload.id, upload.path)
            raise
        finally:
            self.running.pop(upload.id, None)

    def clean_up(
        self, bucket: str, listed: Iterable[S3MultipartUpload], *, begun_until: datetime | None
    ) -> None:
        """
        Abort the uploads that are listed, or only those that had begun by then.

        :raises AuroraObjectsError: if one cannot be aborted, once all others are; at once if the
            server fails.
        """
        error = first = None
        for upload in listed:
            begun = moment(upload.created_at)
            if begun_until is None or (begun is not None and begun <= begun_until):
                error = self._clean_up(ObjectPath(bucket, upload.key), upload.id, begun)
                first = first or error
        try:
            if first:
                raise first
        finally:
            del error, first  # whose traceback holds this frame

    def _clean_up(
        self, path: ObjectPath, upload_id: str, begun: datetime | None
    ) -> AuroraObjectsError | None:
        """
        Abort an upload that was left behind, unless the object may share its data.

        :return: Why it cannot be aborted, if that says nothing about others.
        """
        held: Mapping[int, PartHeld] | None = None
        try:
            held = self.client.list_parts(path, upload_id)
        except AccessDeniedError:
            pass  # another account's, which the owner of the container may abort anyway
        except MalformedAnswerError as error:
            if error.http_status != 204:  # of a server that lists no parts
                raise
            held = {}
        try:
            if not sharers_of(self.client, path, held, begun):
                self.client.abort_upload(path, upload_id)
                return None
        except AccessDeniedError as error:
            return error
        except AuroraObjectsError as error:
            if error.code not in LOCKED:
                raise
            error.value += LOCKED_FOR
            return error
        logger.warning(KEPT, upload_id, path)
        return None

    def remove(self, path: ObjectPath, upload_id: str) -> None:
        """Abort an upload that shares nothing; one that was being completed may be locked."""
        until = time.monotonic() + COMPLETE_SECONDS
        try:
            while True:
                try:
                    self.client.abort_upload(path, upload_id)
                    return
                except AuroraObjectsError as error:
                    if not is_transient(error) or time.monotonic() > until:
                        raise
                time.sleep(1)
        except BaseException as error:
            logger.warning(REMAINS, upload_id, path, str(error) or type(error).__name__)
            if not isinstance(error, AuroraObjectsError):
                raise


class Whole:
    """
    An object of one part, which one request sends.

    :param checks_conditions: Whether a separate request checks conditions first.
    :ivar stored: What the server has said, once it is stored.
    """

    def __init__(
        self, client: Client, parts: Parts, part: Part, wanted: Wanted, *, checks_conditions: bool
    ) -> None:
        self._client, self._parts, self._wanted = client, parts, wanted
        self._checks_conditions = checks_conditions
        self.part = part
        self.stored: Stored | None = None

    def send(self) -> Stored:
        """Send it, and count its bytes."""
        self._parts.moved(0)
        self._parts.check_unchanged()
        planned, path = self._wanted.plan(Way.ONE_PART), self._wanted.path
        if self._checks_conditions and planned.conditions:
            self._client.check_conditions(path, planned.conditions, decides=False)
        [part] = checked([self.part], planned.md5, path)
        self.stored = self._client.put_object(path, part.body, planned.sent)
        self._parts.moved(part.size)
        return self.stored


def finish(
    client: Client, path: ObjectPath, changes: Sequence[Change], version_id: str | None
) -> None:
    """Make the changes that could not be part of storing an object, which stays if one fails."""
    stored = ObjectPath(path.bucket, path.key, version_id=version_id)
    for number, change in enumerate(changes):
        try:
            client.change_object(stored, change)
        except BaseException as error:
            if not isinstance(error, AuroraObjectsError):
                logger.warning(_lacking(stored, changes[number:], "maybe without"))
                raise
            said = _lacking(stored, changes[number:])
            error.value = f"{said} It failed because: {error.value}"
            raise


def _lacking(path: ObjectPath, changes: Sequence[Change], without: str = "without") -> str:
    """Say what an object lacks, and which calls set it."""
    version = f", version {path.version['versionId']}," if path.version else ""
    calls = []
    for change in changes:
        target = f"{path.quoted}?{canonical_query({change.query: '', **path.version})}"
        more = f"data={change.body.decode()!r}" if change.body else f"headers={change.headers!r}"
        calls.append(f"driver.connection.request({target!r}, method='PUT', {more})")
    return (
        f"{path}{version} is stored, but {without} its "
        f"{' and '.join(change.what for change in changes)}. To set that: {'; '.join(calls)}."
    )


def _is_replaced(stored: Stored) -> bool:
    """Tell whether the next object stored under the key replaces this one."""
    return stored.version_id in (None, "null")
