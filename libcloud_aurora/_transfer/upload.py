"""One multipart upload: begun, sent, completed or aborted, and gone on with."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from libcloud_aurora._client import Client
from libcloud_aurora._s3.names import ObjectPath
from libcloud_aurora._s3.objects import Stored
from libcloud_aurora._s3.signing import ChunkedBody, in_chunks, md5
from libcloud_aurora._transfer.sources import FileParts, Part, Parts, UnreadableError
from libcloud_aurora._transfer.workers import Ending, Task, Window
from libcloud_aurora._wire.retry import Stop, logger
from libcloud_aurora.config import TransferConfig
from libcloud_aurora.errors import AuroraObjectsError

#: Number of a part to its size and ETag.
HeldParts = Mapping[int, tuple[int, str]]


class Upload:
    """
    One multipart upload.

    :ivar verify: Whether the object's ETag is compared with the parts'.
    """

    def __init__(self, uploads: Uploads, path: ObjectPath, upload_id: str, ending: Ending) -> None:
        self._client = uploads.client
        self._config = uploads.config
        self._running = uploads.running
        self._ending = ending
        self.path = path
        self.id = upload_id
        self.owner = ending.owner
        self.verify = True
        self._keeps_parts = False

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
            except UnreadableError as error:
                raise error.reason from None
            finally:
                parts.release(part)
            window.report(part.size)

        window.run(Task(partial(send, part), part.memory) for part in parts)
        parts.check_unchanged()
        return sorted(etags.items())

    def _send_part(self, part: Part, held: tuple[int, str] | None, window: Window) -> str:
        body = in_chunks(part.body, part.size)
        if held and held == (part.size, md5(body)):
            return held[1]

        def chunks() -> Iterator[Sequence[memoryview]]:
            for chunk in body.chunks():
                if window.is_set():
                    return  # at the end of a chunk, which the server refuses in order
                yield chunk
                window.count(sum(map(len, chunk)))  # asked for the next: it has left

        return self._client.upload_part(
            self.path, self.id, part.number, ChunkedBody(part.size, chunks), stop=window
        )

    def complete(self, parts: list[tuple[int, str]]) -> Stored:
        """Assemble the parts; see :meth:`.Client.complete_upload`."""

        def complete(stop: Stop) -> Stored:
            self._keeps_parts = True  # while the server may be at it
            try:
                stored = self._client.complete_upload(
                    self.path, self.id, parts, verify=self.verify, stop=stop
                )
            except Exception as error:
                self._keeps_parts = getattr(error, "_keeps_parts", False)
                raise
            self._running.pop(self.id, None)
            return stored

        return self._ending.run(complete)

    def abort(self, cause: BaseException | None = None) -> None:
        """Abort after a failure or Ctrl-C; what prevents that is logged."""
        self._running.pop(self.id, None)
        if self._keeps_parts:
            logger.warning("the parts of upload %s of %r are kept", self.id, self.path.key)
            return
        aborted = False

        def abort(stop: Stop) -> None:
            nonlocal aborted
            self._client.abort_upload(self.path, self.id, stop=stop)
            aborted = True

        try:
            self._ending.begin(cause)
            self._ending.run(abort)
        except BaseException as error:
            if not aborted:
                said = "upload %s of object %r could not be aborted, its parts remain: %s"
                logger.warning(said, self.id, self.path.key, str(error) or type(error).__name__)
            if not isinstance(error, AuroraObjectsError):
                raise


class Uploads:
    """The multipart uploads of one driver; ``running`` has those it has begun, by their ids."""

    def __init__(self, client: Client, config: TransferConfig) -> None:
        self.client = client
        self.config = config
        self.running: dict[str, Upload] = {}

    def begin(self, path: ObjectPath, headers: Mapping[str, str]) -> Upload:
        """Begin an upload, in another thread: Ctrl-C waits for the id with which to abort it."""
        ending = self._ending()

        def begin(stop: Stop) -> Upload:
            upload_id = self.client.create_upload(path, headers, stop=stop)
            upload = self.running[upload_id] = Upload(self, path, upload_id, ending)
            if ending.left() == 0.0:  # nobody waits for it any more
                upload.abort()
            return upload

        return begin(Stop()) if self.config.file_concurrency == 1 else ending.run(begin)

    def find(self, path: ObjectPath, upload_id: str) -> Upload:
        """Return an upload, also one that this driver has not begun."""
        return self.running.get(upload_id) or Upload(self, path, upload_id, self._ending())

    def _ending(self) -> Ending:
        threads = self.config.file_concurrency > 1
        return Ending(self.client.timeout, self.client.interrupt, threads=threads)

    @contextmanager
    def aborting(self, path: ObjectPath) -> Iterator[None]:
        """Abort what this thread begins of an object in a block and does not end there."""
        before = set(self.running)
        try:
            yield
        except BaseException as error:
            for upload in list(self.running.values()):
                mine = upload.owner == threading.get_ident() and upload.id not in before
                if mine and upload.path.quoted == path.quoted:
                    upload.abort(error)
            raise

    def resume(
        self, parts: FileParts, path: ObjectPath, headers: Mapping[str, str]
    ) -> tuple[Stored, bool]:
        """
        Go on with the newest unfinished upload of an object, or begin one; a failure keeps parts.

        :return: What is stored, and whether an earlier call had begun it.
        """
        found = self._unfinished(path, parts.sizes)
        held: dict[int, tuple[int, str]] = {}
        if found is None:
            upload = self.begin(path, headers)
        else:
            upload, held = found
            if held and (path.customer_key or len(held) == len(parts.sizes)):
                held.pop(max(held))  # sent again: its response says whose key the parts have
        try:
            return upload.complete(upload.send(parts, held)), found is not None
        except BaseException:
            logger.info("the parts of upload %s of %r are kept", upload.id, path.key)
            raise
        finally:
            self.running.pop(upload.id, None)

    def _unfinished(
        self, path: ObjectPath, sizes: Mapping[int, int]
    ) -> tuple[Upload, dict[int, tuple[int, str]]] | None:
        """
        Find the newest unfinished upload of an object, and the parts the server holds of it.

        radosgw completes an upload only with all its parts: one with a part that is not in the plan
        can never become this object, and is aborted.
        """
        upload_id = self.client.newest_upload(path)
        if upload_id is None:
            return None
        upload = self.find(path, upload_id)
        held = self.client.list_parts(path, upload.id)
        if all(sizes.get(number) == size for number, (size, _) in held.items()):
            return upload, held
        logger.info("aborting upload %s of %r: its parts are not this file's", upload.id, path.key)
        self.client.abort_upload(path, upload.id)
        return None
