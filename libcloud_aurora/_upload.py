"""The parts of one multipart upload, and its end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from libcloud_aurora import _xml
from libcloud_aurora._bodies import in_chunks, md5
from libcloud_aurora._file_parts import UnreadableError
from libcloud_aurora._parallel import Task, Window
from libcloud_aurora._response import AuroraResponse
from libcloud_aurora._retry import Retrier, is_transient, logger
from libcloud_aurora._sources import Part
from libcloud_aurora._target import Target
from libcloud_aurora._values import strip_etag
from libcloud_aurora.errors import (
    AuroraObjectsError,
    BucketNotFoundError,
    HashMismatchError,
    KeyNotFoundError,
    UploadNotFoundError,
)
from libcloud_aurora.parts import composite_etag, part_count


def read_part_etag(response: AuroraResponse) -> str:
    """Read the ETag of a part, an MD5."""
    etag = strip_etag(response.headers.get("etag"))
    if part_count(etag) != 1:
        raise response.malformed(f"a part with ETag {etag[:80]!r}")
    return etag


class Upload:
    """
    One multipart upload.

    :param target: The object it makes.
    :param upload_id: What the server calls it.
    """

    def __init__(self, target: Target, upload_id: str) -> None:
        self._target = target
        self.id = upload_id

    def send_parts(
        self,
        parts: Iterable[Part],
        window: Window,
        retrier: Retrier,
        held: Mapping[int, tuple[int, str]] = MappingProxyType({}),
    ) -> tuple[list[tuple[int, str]], int]:
        """
        Send parts as they are cut.

        :param held: Size and ETag of parts the server has; those that match are not sent again.
        :return: Number and ETag of each part in order, and the bytes sent.
        """
        sent: dict[int, tuple[str, int]] = {}

        def send(part: Part) -> None:
            try:
                etag = self._send_part(part, retrier, held.get(part.number))
                sent[part.number] = etag, part.size
            except UnreadableError as error:
                raise error.reason from None
            finally:
                part.release()
            window.moved(part.size)

        tasks = (Task(lambda part=part: send(part), part.memory) for part in parts)  # type: ignore[misc]
        window.run(tasks, lambda result: None)
        etags = [(number, sent[number][0]) for number in sorted(sent)]
        return etags, sum(size for _, size in sent.values())

    def _send_part(self, part: Part, retrier: Retrier, held: tuple[int, str] | None) -> str:
        params = {"partNumber": part.number, "uploadId": self.id}
        data = in_chunks(part.load(), part.size)
        if held and held == (part.size, md5(data)):
            return held[1]
        response, _ = retrier.run(
            lambda: self._target.request(
                self._target.path,
                method="PUT",
                params=params,
                data=data,
                retry_failed=False,
                accept=read_part_etag,
            ),
            method="PUT",
        )
        etag: str = response.accepted
        return etag

    def complete(
        self, parts: list[tuple[int, str]], *, retrier: Retrier, verify: bool = True
    ) -> str:
        """
        Assemble the parts, and make sure that exactly these were assembled.

        radosgw answers a second Complete, and one that crossed another, with 500; it may answer the
        first with an empty ETag; and any answer may be lost. Then an upload that is gone and an
        object that is these parts are a success; an upload that is there is completed again, for
        the object may be an older one of the same bytes.

        :return: ETag of the object without quotes.
        :raises HashMismatchError: if the object is another one than these parts make.
        """
        expected = composite_etag([etag for _, etag in parts])
        body = _xml.complete_multipart(parts)

        def attempt() -> str:
            try:
                response = self._target.request(
                    self._target.path,
                    method="POST",
                    params={"uploadId": self.id},
                    data=body,
                    headers={"Content-Type": "application/xml"},
                    retry_failed=False,
                )
                etag = strip_etag(response.text_of("ETag"))
            except AuroraObjectsError as error:
                gone = self._is_gone()
                if gone and self._is_stored(expected):
                    return expected
                error.is_final = gone or not is_transient(error)
                raise
            if etag == expected or (etag and not verify):
                return etag
            return self._settle(etag, expected)

        return retrier.run(attempt, method="POST")[0]

    def _is_stored(self, expected: str) -> bool:
        """Tell whether the object is known to be there."""
        try:
            return self._stored_etag() == expected
        except AuroraObjectsError:
            return False

    def _is_gone(self) -> bool:
        """Tell whether the upload is known to be gone."""
        try:
            return not self._target.listed_parts(self.id)
        except (KeyNotFoundError, UploadNotFoundError, BucketNotFoundError):
            return True
        except AuroraObjectsError:
            return False

    def _settle(self, etag: str, expected: str) -> str:
        """Ask what is stored, where the answer to Complete does not say it."""
        stored = self._stored_etag()
        if stored == expected:
            return expected
        raise HashMismatchError(
            f"upload of object {self._target.key!r} ended with ETag {stored or etag!r}, but its "
            f"parts make {expected!r}: the object was replaced at once, or is damaged. "
            "Upload it again.",
            key=self._target.key,
        )

    def _stored_etag(self) -> str:
        return strip_etag(
            self._target.request(self._target.path, method="HEAD").headers.get("etag")
        )


def begin(
    target: Target, headers: Mapping[str, str], window: Window, retrier: Retrier, begun: list[str]
) -> str:
    """
    Start a multipart upload and return its id.

    A worker does it: Ctrl-C waits for the answer, so that the upload is known and can be aborted.

    :param begun: Gets the id as soon as it is known.
    """
    window.run([Task(lambda: begun.append(target.initiate(headers, retrier)))], lambda result: None)
    return begun[-1]


def unfinished(
    target: Target, sizes: Mapping[int, int]
) -> tuple[str, dict[int, tuple[int, str]]] | None:
    """
    Find the newest unfinished upload of this key, and the parts the server holds of it.

    radosgw completes an upload only with all its parts. One with a part that is not in the plan
    can never become this object: it is aborted.

    :param sizes: Plan of the parts: number to size in bytes.
    :return: Upload id, and number to size and ETag; ``None`` if there is nothing to go on with.
    """
    rows, _ = target.uploads_of_key()
    if not rows:
        return None
    upload_id = max(rows, key=lambda each: rows[each].get("Initiated", ""))
    held = target.listed_parts(upload_id)
    if all(sizes.get(number) == size for number, (size, _) in held.items()):
        return upload_id, held
    logger.info("aborting upload %s of %r: its parts are not this file's", upload_id, target.key)
    target.abort(upload_id)
    return None
