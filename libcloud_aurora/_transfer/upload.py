"""One multipart upload: begun, sent, completed or aborted, and gone on with."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from libcloud_aurora._client import Client
from libcloud_aurora._s3.headers import Change, Way, plan
from libcloud_aurora._s3.names import ObjectPath
from libcloud_aurora._s3.objects import Stored
from libcloud_aurora._s3.signing import ChunkedBody, canonical_query, in_chunks
from libcloud_aurora._s3.signing import md5 as md5_of
from libcloud_aurora._transfer.sources import FileParts, Part, Parts, UnreadableError, checked
from libcloud_aurora._transfer.workers import Task, Window, elsewhere
from libcloud_aurora._wire.retry import Stop, logger
from libcloud_aurora.config import TransferConfig
from libcloud_aurora.errors import AuroraObjectsError

#: Number of a part to its size and ETag.
HeldParts = Mapping[int, tuple[int, str]]


class Upload:
    """
    One multipart upload.

    :param owner: The thread that has begun it.
    :ivar verify: Whether the object's ETag is compared with the parts'.
    :ivar md5: What the MD5 of the object's bytes must be; empty if that is not known.
    :ivar afterwards: What is done to the object once it is stored.
    :ivar is_complete: Whether it is stored, so that there is nothing to abort.
    """

    def __init__(
        self, client: Client, config: TransferConfig, path: ObjectPath, upload_id: str, owner: int
    ) -> None:
        self._client = client
        self._config = config
        self.path = path
        self.id = upload_id
        self.owner = owner
        self.verify = True
        self.md5 = ""
        self.afterwards: list[Change] = []
        self._keeps_parts = False
        self.is_complete = False

    def send(self, parts: Parts, held: HeldParts | None = None) -> list[tuple[int, str]]:
        """
        Send parts as they are cut, and return number and ETag of each in order.

        :param held: Parts the server has; those that match are not sent again.
        """
        window = Window(
            limit=self._config.file_concurrency,
            budget=self._config.stream_concurrency * self._config.part_size,
            on_bytes=parts.moved,
            interrupt=self._client.interrupt,
        )
        etags: dict[int, str] = {}

        def send(part: Part) -> None:
            try:
                etags[part.number] = self._send_part(part, (held or {}).get(part.number), window)
            finally:
                parts.release(part)
            window.report(part.size)

        try:
            whole = checked(parts, self.md5, self.path)
            window.run(Task(partial(send, part), part.memory) for part in whole)
        except UnreadableError as error:
            raise error.reason from None
        parts.check_unchanged()
        return sorted(etags.items())

    def _send_part(self, part: Part, held: tuple[int, str] | None, window: Window) -> str:
        body = in_chunks(part.body, part.size)
        if held and held == (part.size, md5_of(body)):
            return held[1]

        def chunks() -> Iterator[Sequence[memoryview]]:
            for chunk in body.chunks():
                yield chunk
                window.count(sum(map(len, chunk)))  # asked for the next: it has left

        return self._client.upload_part(
            self.path, self.id, part.number, ChunkedBody(part.size, chunks), stop=window
        )

    def complete(self, parts: list[tuple[int, str]]) -> Stored:
        """Assemble the parts, and do what is to be done afterwards."""
        try:
            stored = self._client.complete_upload(self.path, self.id, parts, verify=self.verify)
        except AuroraObjectsError as error:
            self._keeps_parts = error._keeps_parts
            raise
        self.is_complete = True
        finish(self._client, self.path, self.afterwards, stored.version_id)
        return stored

    def abort(self) -> None:
        """Abort after a failure; another one is logged, and Ctrl-C raised after a second try."""
        if self.is_complete:
            return
        if self._keeps_parts:
            logger.warning("the parts of upload %s of %r are kept", self.id, self.path.key)
            return
        try:
            try:
                self._client.abort_upload(self.path, self.id)
            except Exception:
                raise
            except BaseException:
                self._client.abort_upload(self.path, self.id)
                raise
        except AuroraObjectsError as error:
            said = "upload %s of object %r could not be aborted, its parts remain: %s"
            logger.warning(said, self.id, self.path.key, error)


class Uploads:
    """The running multipart uploads of one driver, by their ids."""

    def __init__(self, client: Client, config: TransferConfig) -> None:
        self._client = client
        self._config = config
        self._running: dict[str, Upload] = {}

    def begin(self, path: ObjectPath, asked: Mapping[str, str]) -> Upload:
        """Begin an upload, in another thread: Ctrl-C waits for the id with which to abort it."""
        owner = threading.get_ident()
        asked = {name.lower(): value for name, value in asked.items()}  # libcloud's are in capitals
        sent, afterwards, md5 = plan(asked, Way.PARTS)

        def begin(stop: Stop) -> Upload:
            upload_id = self._client.create_upload(path, sent, stop=stop)
            upload = Upload(self._client, self._config, path, upload_id, owner)
            upload.afterwards, upload.md5 = afterwards, md5
            self._running[upload_id] = upload
            return upload

        return begin(Stop()) if self._config.file_concurrency == 1 else elsewhere(begin)

    def find(self, path: ObjectPath, upload_id: str) -> Upload:
        """Return an upload, also one that this driver has not begun."""
        known = self._running.get(upload_id)
        return known or Upload(self._client, self._config, path, upload_id, threading.get_ident())

    def forget(self, upload: Upload) -> None:
        """Drop an upload that has been completed or aborted."""
        self._running.pop(upload.id, None)

    @contextmanager
    def aborting(self, path: ObjectPath) -> Iterator[None]:
        """Abort what this thread begins of an object in a block and does not end there."""
        before = set(self._running)
        try:
            yield
        except BaseException:
            for upload in list(self._running.values()):
                mine = upload.owner == threading.get_ident() and upload.id not in before
                if mine and upload.path.quoted == path.quoted:
                    self.forget(upload)
                    upload.abort()
            raise

    def resume(
        self, parts: FileParts, path: ObjectPath, asked: Mapping[str, str]
    ) -> tuple[Stored, bool]:
        """
        Go on with the newest unfinished upload of an object, or begin one; a failure keeps parts.

        :return: What is stored, and whether an earlier call had begun it.
        """
        found = self._unfinished(path, parts.sizes)
        held: dict[int, tuple[int, str]] = {}
        if found is None:
            upload = self.begin(path, asked)
        else:
            upload, held = found
            upload.md5 = plan(asked, Way.RESUME).md5
            if held and (path.customer_key or len(held) == len(parts.sizes)):
                held.pop(max(held))  # sent again: its response says whose key the parts have
        try:
            return upload.complete(upload.send(parts, held)), found is not None
        except BaseException:
            if not upload.is_complete:
                logger.info("the parts of upload %s of %r are kept", upload.id, path.key)
            raise
        finally:
            self.forget(upload)

    def _unfinished(
        self, path: ObjectPath, sizes: Mapping[int, int]
    ) -> tuple[Upload, dict[int, tuple[int, str]]] | None:
        """
        Find the newest unfinished upload of an object, and the parts the server holds of it.

        radosgw completes an upload only with all its parts: one with a part that is not in the plan
        can never become this object, and is aborted.
        """
        upload_id = self._client.newest_upload(path)
        if upload_id is None:
            return None
        upload = self.find(path, upload_id)
        held = self._client.list_parts(path, upload.id)
        if all(sizes.get(number) == size for number, (size, _) in held.items()):
            return upload, held
        logger.info("aborting upload %s of %r: its parts are not this file's", upload.id, path.key)
        self._client.abort_upload(path, upload.id)
        return None


def finish(
    client: Client, path: ObjectPath, changes: Sequence[Change], version_id: str | None
) -> None:
    """Do what the request could not carry that stored an object; where that fails, it stays."""
    for number, change in enumerate(changes):
        try:
            client.change_object(path, change, version_id=version_id)
        except BaseException as error:
            said = _lacking(path, changes[number:], version_id)
            if not isinstance(error, AuroraObjectsError):
                logger.warning(said)
                raise
            error.value = f"{said} {error.value}"
            raise


def _lacking(path: ObjectPath, changes: Sequence[Change], version_id: str | None) -> str:
    """Say what an object lacks, and which calls set it."""
    version = f", version {version_id}," if version_id else ""
    calls = []
    for change in changes:
        query = {change.query: "", **({"versionId": version_id} if version_id else {})}
        target = f"{path.quoted}?{canonical_query(query)}"
        more = f"data={change.body.decode()!r}" if change.body else f"headers={change.headers!r}"
        calls.append(f"driver.connection.request({target!r}, method='PUT', {more})")
    return (
        f"object {path.key!r}{version} is stored, but without its "
        f"{' and '.join(change.what for change in changes)}. To set that: {'; '.join(calls)}. It "
        "failed because:"
    )
