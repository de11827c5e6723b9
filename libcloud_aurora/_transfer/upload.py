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
from libcloud_aurora._transfer.workers import Task, Window, elsewhere
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

    def __init__(
        self, client: Client, config: TransferConfig, path: ObjectPath, upload_id: str
    ) -> None:
        self._client = client
        self._config = config
        self.path = path
        self.id = upload_id
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
                yield chunk
                window.count(sum(map(len, chunk)))  # asked for the next: it has left

        return self._client.upload_part(
            self.path, self.id, part.number, ChunkedBody(part.size, chunks), stop=window
        )

    def complete(self, parts: list[tuple[int, str]]) -> Stored:
        """Assemble the parts; see :meth:`.Client.complete_upload`."""
        try:
            return self._client.complete_upload(self.path, self.id, parts, verify=self.verify)
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


class Call:
    """One call that uploads: what it begins, and what libcloud's own code does not pass on."""

    def __init__(self) -> None:
        self.begun: list[Upload] = []
        self.stored: Stored | None = None


class Uploads:
    """The running multipart uploads of one driver, by their ids."""

    def __init__(self, client: Client, config: TransferConfig) -> None:
        self._client = client
        self._config = config
        self._running: dict[str, Upload] = {}
        self._of_thread = threading.local()

    def begin(self, path: ObjectPath, headers: Mapping[str, str]) -> Upload:
        """Begin an upload, in another thread: Ctrl-C waits for the id with which to abort it."""
        call = self._call()

        def begin(stop: Stop) -> Upload:
            upload_id = self._client.create_upload(path, headers, stop=stop)
            upload = Upload(self._client, self._config, path, upload_id)
            self._running[upload_id] = upload
            call.begun.append(upload)
            return upload

        return begin(Stop()) if self._config.file_concurrency == 1 else elsewhere(begin)

    def find(self, path: ObjectPath, upload_id: str) -> Upload:
        """Return an upload, also one that this driver has not begun."""
        known = self._running.get(upload_id)
        return known or Upload(self._client, self._config, path, upload_id)

    def forget(self, upload: Upload) -> None:
        """Drop an upload that has been completed or aborted."""
        self._running.pop(upload.id, None)

    def note(self, stored: Stored) -> None:
        """Keep what is stored for the call that this thread is in."""
        self._call().stored = stored

    def _call(self) -> Call:
        return getattr(self._of_thread, "call", None) or Call()

    @contextmanager
    def aborting(self, path: ObjectPath) -> Iterator[Call]:
        """Abort what this thread begins of an object in a block and does not end there."""
        outer, call = getattr(self._of_thread, "call", None), Call()
        self._of_thread.call = call
        try:
            yield call
        except BaseException:
            for upload in call.begun:
                if upload.id in self._running and upload.path.quoted == path.quoted:
                    self.forget(upload)
                    upload.abort()
            raise
        finally:
            self._of_thread.call = outer

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
