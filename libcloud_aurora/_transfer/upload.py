"""One multipart upload: begun, sent, completed or aborted, and gone on with."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from libcloud_aurora._client import Begun, Client, CopySource, PartHeld, PartSent
from libcloud_aurora._s3.checksums import combined, crc32_text
from libcloud_aurora._s3.names import ObjectPath
from libcloud_aurora._s3.objects import Stored
from libcloud_aurora._s3.signing import ChunkedBody, crc32, in_chunks, md5
from libcloud_aurora._transfer.sources import FileParts, Part, Parts, UnreadableError
from libcloud_aurora._transfer.workers import Task, Window, elsewhere
from libcloud_aurora._wire.retry import Stop, logger
from libcloud_aurora.config import TransferConfig
from libcloud_aurora.errors import AuroraObjectsError, HashMismatchError


class Upload:
    """
    One multipart upload.

    :param begun: Its id, and which checksums the server wants.
    :param owner: The thread that has begun it.
    :ivar verify: Whether the object's ETag is compared with the parts'.
    :ivar has_crc32: Whether its parts have a CRC32.
    :ivar conditions: Headers that say what the key must hold when the upload is completed.
    """

    def __init__(
        self, client: Client, config: TransferConfig, path: ObjectPath, begun: Begun, owner: int
    ) -> None:
        self._client = client
        self._config = config
        self.path = path
        self.id = begun.id
        self.owner = owner
        self.verify = True
        self.conditions: Mapping[str, str] = {}
        self._keeps_parts = False
        self.has_crc32 = begun.has_crc32
        self._is_whole = begun.is_whole
        self._crcs: dict[int, tuple[int, int]] = {}

    def send(
        self, parts: Parts, held: Mapping[int, PartHeld] | None = None
    ) -> list[tuple[int, str]]:
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
            except UnreadableError as error:
                raise error.reason from None
            finally:
                parts.release(part)
            window.report(part.size)

        try:
            window.run(Task(partial(send, part), part.memory) for part in parts)
        except HashMismatchError:
            parts.check_unchanged()
            raise
        parts.check_unchanged()
        return sorted(etags.items())

    def _send_part(self, part: Part, held: PartHeld | None, window: Window) -> str:
        body = in_chunks(part.body, part.size)
        crc = None
        if self.has_crc32:
            crc = crc32(body)
            self._crcs[part.number] = crc, part.size
        if held and held[:2] == (part.size, md5(body)):
            return held.etag

        def chunks() -> Iterator[Sequence[memoryview]]:
            for chunk in body.chunks():
                yield chunk
                window.count(sum(map(len, chunk)))  # asked for the next: it has left

        sent = self._client.upload_part(
            self.path, self.id, part.number, ChunkedBody(part.size, chunks), crc32=crc, stop=window
        )
        return self._etag_of(sent)

    def copy_part(
        self, number: int, source: CopySource, span: tuple[int, int], window: Window
    ) -> str:
        """Let the server copy a span of an object as a part, and return the part's ETag."""
        sent = self._client.upload_part_copy(
            self.path, self.id, number, source, span=span, stop=window
        )
        return self._etag_of(sent)

    def _etag_of(self, sent: PartSent) -> str:
        if sent.is_whole:
            self._is_whole = True
        return sent.etag

    def complete(self, parts: list[tuple[int, str]], *, copied: str | None = None) -> Stored:
        """
        Assemble the parts; see :meth:`.Client.complete_upload`.

        :param copied: CRC32 of the object that parts are copies of.
        """
        whole = copied
        if self._crcs.keys() == dict(parts).keys():
            whole = crc32_text(combined(self._crcs[number] for number, _ in sorted(parts)))
        if self.conditions:
            self._client.check_conditions(self.path, self.conditions)
        try:
            return self._client.complete_upload(
                self.path,
                self.id,
                parts,
                conditions=self.conditions,
                crc32=whole if self._is_whole else None,
                verify=self.verify,
            )
        except AuroraObjectsError as error:
            self._keeps_parts = error._keeps_parts
            raise

    def abort(self) -> None:
        """Abort after a failure; another one is logged, and Ctrl-C raised after a second try."""
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

    def begin(
        self,
        path: ObjectPath,
        headers: Mapping[str, str],
        conditions: Mapping[str, str] | None = None,
    ) -> Upload:
        """Begin an upload, in another thread: Ctrl-C waits for the id with which to abort it."""
        owner = threading.get_ident()

        def begin(stop: Stop) -> Upload:
            begun = self._client.create_upload(path, headers, stop=stop)
            upload = Upload(self._client, self._config, path, begun, owner)
            upload.conditions = conditions or {}
            self._running[upload.id] = upload
            return upload

        return begin(Stop()) if self._config.file_concurrency == 1 else elsewhere(begin)

    def find(self, path: ObjectPath, upload_id: str) -> Upload:
        """Return an upload, also one that this driver has not begun."""
        known = self._running.get(upload_id)
        begun, owner = Begun(upload_id, False, False), threading.get_ident()
        return known or Upload(self._client, self._config, path, begun, owner)

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
        self,
        parts: FileParts,
        path: ObjectPath,
        headers: Mapping[str, str],
        conditions: Mapping[str, str],
    ) -> tuple[Stored, bool]:
        """
        Go on with the newest unfinished upload of an object, or begin one; a failure keeps parts.

        :return: What is stored, and whether an earlier call had begun it.
        """
        found = self._unfinished(path, parts.sizes)
        held: dict[int, PartHeld] = {}
        if found is None:
            upload = self.begin(path, headers, conditions)
        else:
            upload, held = found
            upload.conditions = conditions
            if held and (path.customer_key or len(held) == len(parts.sizes)):
                held.pop(max(held))  # sent again: its response says whose key the parts have
        try:
            return upload.complete(upload.send(parts, held)), found is not None
        except BaseException:
            logger.info("the parts of upload %s of %r are kept", upload.id, path.key)
            raise
        finally:
            self.forget(upload)

    def _unfinished(
        self, path: ObjectPath, sizes: Mapping[int, int]
    ) -> tuple[Upload, dict[int, PartHeld]] | None:
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
        upload.has_crc32 |= any(part.has_crc32 for part in held.values())
        if all(sizes.get(number) == part.size for number, part in held.items()):
            return upload, held
        logger.info("aborting upload %s of %r: its parts are not this file's", upload.id, path.key)
        self._client.abort_upload(path, upload.id)
        return None
