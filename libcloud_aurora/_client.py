"""S3's operations, one typed method each: what they send, and how they read the response."""

from __future__ import annotations

import http.client
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import accumulate
from typing import Any, NamedTuple, TypeVar
from urllib.parse import unquote

from libcloud.http import DEFAULT_REQUEST_TIMEOUT

from libcloud_aurora._s3 import xml
from libcloud_aurora._s3.checksums import (
    CHECKSUM_MODE,
    CRC32,
    CRC32_WANTED,
    Checksum,
    Crc32,
    checksum_in,
    crc32_text,
)
from libcloud_aurora._s3.encryption import SOURCE_PREFIX, CustomerKey
from libcloud_aurora._s3.headers import Change
from libcloud_aurora._s3.names import ObjectPath, bucket_path, unquote_keys
from libcloud_aurora._s3.objects import ObjectHead, Stored, is_joined, strip_etag
from libcloud_aurora._s3.signing import Body, ChunkedBody, crc32, md5, moment
from libcloud_aurora._wire.connection import AuroraObjectsConnection, AuroraResponse, Request
from libcloud_aurora._wire.failures import NETWORK_FAILURES, network_error
from libcloud_aurora._wire.retry import Stop, is_passing, is_unsure, logger
from libcloud_aurora.errors import (
    AccessDeniedError,
    AuroraObjectsError,
    ContainerExistsError,
    ContainerNotFoundError,
    EncryptionKeyError,
    HashMismatchError,
    InvalidCredentialsError,
    MalformedAnswerError,
    ObjectNotFoundError,
    UploadNotFoundError,
)
from libcloud_aurora.parts import part_count

T = TypeVar("T")

#: Rows asked for at once, the most that radosgw returns before Ceph 20.
PAGE_SIZE = 1000
#: A part may still be uploading when its upload is aborted, so abort until it is gone.
ABORTS = 3
#: Root of a listing of parts: of AWS and radosgw, of Ceph 10, and of moto.
_PARTS_ROOTS = ("ListPartsResult", "ListMultipartUploadResult", "ListPartsResponse")
REMAINS = "upload %s of %s could not be aborted, so its parts remain: %s"
#: Errors that mean that a multipart upload is gone; radosgw's ListParts names the key.
_GONE = (UploadNotFoundError, ObjectNotFoundError, ContainerNotFoundError)

#: What radosgw says of one object of many if the same deletion may succeed when sent again.
PASSING = frozenset({"UnknownError", "InternalError", "ServiceUnavailable", "SlowDown"})

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")

Span = tuple[int, "int | None"]


class CopySource(NamedTuple):
    """The object to copy; copies are pinned to its ETag, which radosgw overlooks for parts."""

    path: ObjectPath
    head: ObjectHead

    def headers(self) -> dict[str, str]:
        """
        Return the headers that say what to copy.

        radosgw reads the source with the part's key, so a part without one carries the source's.
        """
        named = {
            "x-amz-copy-source": self.path.source,
            "x-amz-copy-source-if-match": self.head.etag,
        }
        key = self.path.customer_key
        return {**named, **(key.headers(SOURCE_PREFIX) | key.headers() if key else {})}


class Begun(NamedTuple):
    """
    A multipart upload.

    :ivar has_crc32: Whether the server has confirmed that its parts have a CRC32.
    :ivar is_whole: Whether it has confirmed that the object will have a CRC32 of all its bytes.
    """

    id: str
    has_crc32: bool
    is_whole: bool


class PartSent(NamedTuple):
    """A part that the server has just stored; ``is_whole`` as in :class:`Begun`."""

    etag: str
    is_whole: bool


class PartHeld(NamedTuple):
    """A part that a listing shows."""

    size: int
    etag: str
    has_crc32: bool


class Attributes(NamedTuple):
    """What the server says of an object's bytes; ``ends`` is where its parts end."""

    etag: str
    checksum: Checksum | None
    ends: list[int]


class OpenObject:
    """
    The bytes of an object from ``start`` to before ``stop``, still on the wire.

    :ivar checksum: Checksum of the whole object; some servers give a range its own.
    :ivar has_parts: Whether the server says how many parts the object has.
    """

    def __init__(
        self, response: AuroraResponse, span: Span | None, size: int | None = None
    ) -> None:
        self._response = response
        self.subject = response.subject
        headers = response.headers
        self.etag = "" if is_joined(headers) else strip_etag(headers.get("etag"))
        self.checksum = checksum_in(headers) if response.status != 206 else None
        self.has_parts = "x-amz-mp-parts-count" in headers
        try:
            self.start, self.stop, self.size = _span_of(response, span or (0, None), size)
        except AuroraObjectsError:
            response.raw.close()
            raise
        self._left = self.stop - self.start
        self._has_no_length = "content-length" not in headers
        # http.client reads from the socket into the buffer; urllib3 would copy once more.
        original = getattr(response.raw, "_original_response", None)
        self._original = original if isinstance(original, http.client.HTTPResponse) else None
        self._fill = (self._original or response.raw).readinto

    def claim(self) -> None:
        """Let this thread read it: what interrupts this thread breaks its connection."""
        self._tell("claim")

    def unclaim(self) -> None:
        """Let it wait for the thread that will read it."""
        self._tell("unclaim")

    def _tell(self, what: str) -> None:
        connection = getattr(self._response.raw, "connection", None)
        getattr(connection, what, lambda: None)()  # other transports' have no such method

    def readinto(self, view: memoryview) -> int:
        """Read the next bytes into a buffer, and return how many."""
        try:
            count: int = self._fill(view)
            if not count:
                raise http.client.IncompleteRead(b"", len(view))
            self._left -= count
            if not self._left and self._has_no_length and self._fill(memoryview(bytearray(1))):
                raise self.subject.malformed("more bytes than the object had")
        except NETWORK_FAILURES as exc:
            raise network_error(exc, self.subject) from exc
        return count

    def release(self) -> None:
        """Release the connection, to be used again if all bytes have been read."""
        raw = self._response.raw
        if not self._left and (self._original is None or self._original.isclosed()):
            raw.release_conn()
        else:
            raw.close()


class Client:
    """S3's operations, attempted until they succeed or are given up; ``stop`` ends the pauses."""

    def __init__(self, connection: AuroraObjectsConnection) -> None:
        self._connection = connection
        self._run = connection.retrier.run
        #: How often to send a request, and to fetch an object that differs from its ETag.
        self.max_attempts = connection.retrier.policy.max_attempts
        #: Seconds of silence after which an attempt fails.
        self.timeout: float = connection.timeout or DEFAULT_REQUEST_TIMEOUT
        #: Breaks the requests that some threads make.
        self.interrupt = connection.interrupt
        #: Returns one function for each connection to open before that many requests.
        self.openers = connection.openers
        #: Returns the time, by the server's clock where this machine's is wrong.
        self.now = connection.clock.now
        #: Tells whether the server has answered as fast as only one nearby can.
        self.is_near = connection.is_near

    # Containers

    def list_buckets(self) -> xml.Page:
        """Return all containers of the account; radosgw does not page this list by default."""
        read = _page_of("ListAllMyBucketsResult", "Bucket", "Name")
        return self._run(Request(self._connection, "GET", "/", read=read).attempt)

    def head_bucket(self, bucket: str) -> None:
        self._run(self._on_bucket("HEAD", bucket, read=_nothing).attempt)

    def create_bucket(self, bucket: str, location: str) -> None:
        """
        Create a container; one that an earlier attempt has created is ours.

        radosgw answers a container's owner with 200. Keys that may list it need not own it.
        """
        body = xml.create_bucket(location) if location else None
        try:
            self._run(self._on_bucket("PUT", bucket, body=body, read=_nothing).attempt)
        except ContainerExistsError as error:
            if not error._may_be_done or error.code != "BucketAlreadyOwnedByYou":
                raise

    def delete_bucket(self, bucket: str) -> None:
        """Remove a container; one that an earlier attempt has removed is gone."""
        try:
            self._run(self._on_bucket("DELETE", bucket, read=_nothing).attempt)
        except ContainerNotFoundError as error:
            if not error._may_be_done:
                raise

    def set_bucket_acl(self, bucket: str, change: Change) -> None:
        """Set who may do what with a container."""
        query = {change.query: ""}
        request = self._on_bucket("PUT", bucket, query=query, headers=change.headers, read=_nothing)
        self._run(request.attempt)

    def keeps_versions(self, bucket: str) -> bool:
        """Tell whether a bucket keeps versions, or has done so; no, if these keys may not ask."""
        request = self._on_bucket("GET", bucket, query={"versioning": ""}, read=_has_versions)
        try:
            return self._run(request.attempt)
        except AuroraObjectsError as error:
            if is_passing(error):
                raise
            return False

    def list_objects(
        self, bucket: str, *, selection: Mapping[str, str], rows: int, stop: Stop | None = None
    ) -> xml.Page:
        """Return a page of objects, as ``prefix``, ``delimiter`` and ``marker`` select them."""
        query = {**selection, "encoding-type": "url", "max-keys": rows}
        read = _page_of("ListBucketResult", "Contents", "Key", "Size")
        request = self._on_bucket("GET", bucket, query=query, read=read)
        return self._run(request.attempt, stop=stop)

    def list_uploads(self, bucket: str, *, selection: Mapping[str, str]) -> xml.Page:
        """Return a page of the unfinished multipart uploads that S3's parameters select."""
        query = {"uploads": "", "max-uploads": PAGE_SIZE, "encoding-type": "url", **selection}
        read = _page_of("ListMultipartUploadsResult", "Upload", "Key", "UploadId")
        return self._run(self._on_bucket("GET", bucket, query=query, read=read).attempt)

    def list_versions(
        self, bucket: str, *, selection: Mapping[str, str]
    ) -> Iterator[tuple[str, dict[str, str]]]:
        """
        Yield the versions and delete markers of objects, each as its key and its row.

        The next page is fetched before this one is handed out: once the version after which it is
        to go on is gone, radosgw finds no more.
        """
        query = {"versions": "", "max-keys": str(PAGE_SIZE), "encoding-type": "url", **selection}
        read = _page_of("ListVersionsResult", ("Version", "DeleteMarker"), "Key", "VersionId")

        def fetch() -> xml.Page:
            return self._run(self._on_bucket("GET", bucket, query=query, read=read).attempt)

        page = fetch()
        while page.rows:
            keys, rows = unquote_keys([row["Key"] for row in page.rows]), page.rows
            last = {"key-marker": keys[-1], "version-id-marker": rows[-1]["VersionId"]}
            if page.is_truncated and last.items() <= query.items():
                raise self.repeats(bucket)
            query.update(last)
            page = fetch() if page.is_truncated else xml.EMPTY_PAGE
            yield from zip(keys, rows, strict=True)

    def repeats(self, bucket: str) -> MalformedAnswerError:
        """Return the error of a listing that would never end."""
        subject = self._on_bucket("GET", bucket, read=_nothing).subject
        return subject.malformed("the server repeats a page")

    def delete_objects(
        self, bucket: str, named: Iterable[xml.Named], *, stop: Stop | None = None
    ) -> dict[xml.Named, str]:
        """
        Delete objects with one request; return those left, and the server's reasons.

        Those that a transient failure has left are asked for again.
        """
        waiting, left = list(named), dict[xml.Named, str]()
        read = _page_of("DeleteResult", "Error")

        def attempt() -> None:
            nonlocal waiting
            body = xml.delete_objects(waiting)
            request = self._on_bucket("POST", bucket, query={"delete": ""}, body=body, read=read)
            rows = request.attempt().rows
            for each in waiting:
                left.pop(each, None)
            again = []
            for row in rows:
                each = xml.Named(row.get("Key", ""), row.get("VersionId") or None)
                code = row.get("Code", "?")
                said = dict.fromkeys((code, row.get("Message", "")))
                left[each] = request.subject.clean(" ".join(said).strip())
                if code in PASSING and each in waiting:
                    again.append(each)
            if again:
                waiting = again
                error = AuroraObjectsError(
                    f"{request.subject} failed for some objects ({len(again)}): {left[again[0]]}."
                )
                error._is_final = False
                raise error

        try:
            self._run(attempt, stop=stop)
        except AuroraObjectsError:
            if not left:  # else a response has said which
                raise
        return left

    # Objects

    def head_object(self, path: ObjectPath, *, stop: Stop | None = None) -> ObjectHead:
        """Return what the server says about an object."""
        request = self._on_object("HEAD", path, keyed=True, headers=CHECKSUM_MODE, read=_head)
        return self._run(request.attempt, stop=stop)

    def get_object(
        self,
        path: ObjectPath,
        read: Callable[[OpenObject], T],
        *,
        span: Callable[[], Span | None],
        etag: str = "",
        size: int | None = None,
        opened: OpenObject | None = None,
        progress: Callable[[], int] = lambda: 0,
        stop: Stop | None = None,
    ) -> T:
        """
        Read an object or a span of it, and try again while that fails.

        :param read: Reads the bytes of one response, and releases its connection.
        :param span: Returns what is wanted, ``None`` for all; called before each attempt.
        :param etag: ETag of the version wanted, empty for any.
        :param size: Size of the object, which a chunked response does not tell.
        :param opened: A response that is already open, for the first attempt.
        """

        def attempt() -> T:
            nonlocal opened
            if opened is not None:
                body, opened = opened, None
                body.claim()
                return read(body)
            wanted = span()
            headers = {"If-Match": f'"{etag}"'} if etag else {}
            if wanted is None:
                headers.update(CHECKSUM_MODE)
            else:
                last = "" if wanted[1] is None else wanted[1] - 1
                headers["Range"] = f"bytes={wanted[0]}-{last}"
            return self._on_object(
                "GET",
                path,
                headers=headers,
                keyed=True,
                stream=True,
                read=lambda response: read(OpenObject(response, wanted, size)),
            ).attempt()

        return self._run(attempt, progress=progress, stop=stop)

    def object_attributes(self, path: ObjectPath, size: int) -> Attributes:
        """
        Return checksum and parts of an object; with a CRC32, perhaps not all its parts.

        Only ask servers that know parts: radosgw before Ceph 19 would send the object.
        """
        sizes: dict[int, int] = {}
        while True:
            headers = {
                "x-amz-object-attributes": "ETag,Checksum,ObjectParts",
                "x-amz-max-parts": str(PAGE_SIZE),
                "x-amz-part-number-marker": str(max(sizes, default=0)),
                **_key_headers(path),
            }
            request = self._on_object(
                "GET",
                path,
                query={"attributes": ""},
                headers=headers,
                read=lambda response: response.document(xml.attributes),
            )
            (said, found), known = self._run(request.attempt), len(sizes)
            sizes.update(found)
            checksum = checksum_in(said)
            done = sum(sizes.values()) >= size or len(sizes) == known
            if done or (checksum and checksum.combines):
                ends = accumulate(sizes[number] for number in sorted(sizes))
                return Attributes(strip_etag(said.get("etag")), checksum, list(ends))

    def put_object(self, path: ObjectPath, body: Body, headers: Mapping[str, str]) -> Stored:
        """
        Store an object with one request.

        If the first response to a conditional PUT was lost, the second attempt may be refused
        because of the first: what is stored decides.
        """
        named = {"x-amz-sdk-checksum-algorithm": "CRC32", CRC32: crc32_text(crc32(body))}
        sent = {**named, **headers}
        request = self._on_object("PUT", path, keyed=True, headers=sent, body=body, read=_stored)
        try:
            return self._run(request.attempt)
        except AuroraObjectsError as error:
            if error.code != "PreconditionFailed" or not error._may_be_done:
                raise
            try:
                head = self.head_object(path)
            except AuroraObjectsError:
                error.value += " It is not known whether an earlier attempt has stored it."
                raise error from None
            if head.etag != md5(body):
                raise
            return head.stored

    def change_object(self, path: ObjectPath, change: Change) -> None:
        """Change one property of an object, or of one version of it, and nothing else."""
        query, headers, body = {change.query: ""}, change.headers, change.body
        request = self._on_object(
            "PUT", path, query=query, headers=headers, body=body, read=_nothing
        )
        self._run(request.attempt)

    def get_tags(self, path: ObjectPath) -> dict[str, str]:
        """Return the tags of an object."""
        query = {"tagging": ""}
        return self._run(self._on_object("GET", path, query=query, read=_tags).attempt)

    def copy_object(self, path: ObjectPath, source: CopySource, headers: Mapping[str, str]) -> str:
        """
        Copy an object of up to 5 GiB with one request, and return the copy's ETag.

        radosgw answers 200 before it has copied: only a body with an ETag is a success.
        """
        sent = {**headers, **source.headers()}
        return self._run(self._on_object("PUT", path, headers=sent, read=_completed).attempt).etag

    def delete_object(
        self,
        path: ObjectPath,
        conditions: Mapping[str, str] | None = None,
        *,
        stop: Stop | None = None,
    ) -> None:
        """
        Delete an object; one that does not exist counts as deleted.

        Ceph 20 does not let a delete marker meet a condition, not even the marker of an attempt
        whose response was lost: what is stored decides.
        """
        request = self._on_object("DELETE", path, headers=conditions, read=_nothing)
        try:
            self._run(request.attempt, stop=stop)
        except AuroraObjectsError as error:
            if error.code != "PreconditionFailed":
                raise
            try:
                self.head_object(path, stop=stop)
            except AuroraObjectsError as found:
                if isinstance(found, ObjectNotFoundError):
                    return
            raise

    def check_conditions(
        self,
        path: ObjectPath,
        conditions: Mapping[str, str],
        *,
        decides: bool = True,
        stop: Stop | None = None,
    ) -> ObjectHead | None:
        """
        Check conditions for a server that ignores them, and raise as if it honoured them.

        :param decides: Whether these keys must be able to look; if not, the request that follows
            carries the conditions, too, and the server decides.
        :return: The object that is there, if its ETag is known.
        """
        # Not keyed: the object that is there may be encrypted or not.
        request = self._on_object("HEAD", path, headers=_key_headers(path), read=_head)
        head, etag = None, "unknown"
        try:
            head = self._run(request.attempt, stop=stop)
            etag = head.etag
        except ObjectNotFoundError:
            if "if-match" in conditions:
                raise
            return None
        except (AccessDeniedError, EncryptionKeyError) as error:
            is_encrypted = isinstance(error, EncryptionKeyError)  # and so it is there
            if not (is_encrypted and conditions.get("if-none-match") == "*"):
                if decides:
                    raise
                return None
        matches = strip_etag(conditions.get("if-match", "*")) in ("*", etag)
        if not matches or strip_etag(conditions.get("if-none-match")) in ("*", etag):
            raise AuroraObjectsError(
                f"{path} was not changed: its ETag is {etag!r}, which "
                f"{' and '.join(conditions)} does not allow.",
                code="PreconditionFailed",
                http_status=412,
                **request.subject.fields,
            )
        return head

    # Multipart uploads

    def create_upload(
        self, path: ObjectPath, headers: Mapping[str, str], *, stop: Stop | None = None
    ) -> Begun:
        """
        Begin a multipart upload and return its id.

        An attempt whose response is lost may have begun another upload, without parts. Another
        client's may look the same, so none is aborted on suspicion.
        """
        request = self._on_object(
            "POST",
            path,
            query={"uploads": ""},
            headers={**headers, **CRC32_WANTED, **_key_headers(path)},
            read=lambda response: (_upload_id(response), response),
        )

        def attempt() -> tuple[str, AuroraResponse]:
            try:
                return request.attempt()
            except BaseException as error:
                known = isinstance(error, AuroraObjectsError) and (
                    error._is_final or not is_unsure(error)
                )
                if not known:  # as after Ctrl-C, where no thread waits for the response
                    logger.warning(
                        "an upload of %s may have begun, but its id was lost; "
                        "ex_cleanup_all_multipart_uploads(older_than=...) removes it: %s",
                        path,
                        str(error) or type(error).__name__,
                    )
                raise

        upload_id, response = self._run(attempt, stop=stop)
        if not _is_encrypted(response, path.customer_key, headers):
            try:
                self.abort_upload(path, upload_id, stop=stop)
            except AuroraObjectsError as error:
                logger.warning(REMAINS, upload_id, path, error.value)
            raise _unconfirmed(response, is_part=False)
        has_crc32 = response.headers.get("x-amz-checksum-algorithm") == "CRC32"
        return Begun(upload_id, has_crc32, _is_whole(response))

    def upload_part(
        self,
        path: ObjectPath,
        upload_id: str,
        number: int,
        body: ChunkedBody,
        *,
        crc: Crc32 | None = None,
        stop: Stop | None = None,
    ) -> PartSent:
        """
        Send the bytes of a part, signed chunk by chunk.

        :param crc: Their CRC32 once they have left. A server that stores one returns its own to
            compare: in a header, it would come first, and a file would be read twice.
        """

        def read(response: AuroraResponse) -> PartSent:
            found = response.headers.get(CRC32)
            if crc and found not in (None, crc32_text(crc.value)):
                raise HashMismatchError(
                    f"{response.subject} failed: the CRC32 of its bytes is "
                    f"{crc32_text(crc.value)!r}, and {found!r} of those that arrived.",
                    code="BadDigest",
                    **response.subject.fields,
                )
            return _part_sent(response)

        query = {"partNumber": number, "uploadId": upload_id}
        request = self._on_object("PUT", path, query=query, keyed=True, body=body, read=read)
        try:
            return self._run(request.attempt, stop=stop)
        except HashMismatchError as error:
            if error.code == "SignatureDoesNotMatch":  # damaged, or signed with an old secret
                self._check_secret(path, upload_id, stop)
            raise

    def _check_secret(self, path: ObjectPath, upload_id: str, stop: Stop | None) -> None:
        """Raise the error of a wrong secret if the secret was changed during the upload."""
        try:
            self.list_parts(path, upload_id, stop=stop)
        except InvalidCredentialsError:
            raise
        except AuroraObjectsError:
            pass

    def upload_part_copy(
        self,
        path: ObjectPath,
        upload_id: str,
        number: int,
        source: CopySource,
        *,
        span: tuple[int, int],
        stop: Stop | None = None,
    ) -> PartSent:
        """Let the server copy a span of an object as a part."""
        query = {"partNumber": number, "uploadId": upload_id}
        headers = {**source.headers(), **_key_headers(path)}
        headers["x-amz-copy-source-range"] = f"bytes={span[0]}-{span[1] - 1}"
        # The key is not checked: radosgw's response to a copy names none.
        request = self._on_object("PUT", path, query=query, headers=headers, read=_part_copied)
        return self._run(request.attempt, stop=stop)

    def complete_upload(
        self,
        path: ObjectPath,
        upload_id: str,
        parts: list[tuple[int, str]],
        attempt: Callable[[Callable[[], Stored]], T],
        *,
        conditions: Mapping[str, str],
        crc32: str | None,
        stop: Stop,
    ) -> T:
        """
        Assemble the parts of an upload.

        :param attempt: Gets a function that sends the request once, and decides what a failure
            means and how often to try.
        """
        request = self._on_object(
            "POST",
            path,
            query={"uploadId": upload_id},
            # Ceph 20 needs the key, and others ignore it.
            headers={
                "Content-Type": "application/xml",
                **conditions,
                **_key_headers(path),
                **({"x-amz-checksum-type": "FULL_OBJECT", CRC32: crc32} if crc32 else {}),
            },
            body=xml.complete_multipart(parts),
            read=_completed,
        )
        return self._run(lambda: attempt(request.attempt), attempts=sys.maxsize, stop=stop)

    def list_parts(
        self, path: ObjectPath, upload_id: str, *, stop: Stop | None = None
    ) -> dict[int, PartHeld]:
        """Return the parts of an upload by number; none if it is gone."""
        parts: dict[int, PartHeld] = {}
        marker = 0
        while True:
            query = {"uploadId": upload_id, "part-number-marker": marker, "max-parts": PAGE_SIZE}
            read = _page_of(_PARTS_ROOTS, "Part", "PartNumber", "Size", "ETag")
            request = self._on_object("GET", path, query=query, read=read)
            try:
                page = self._run(request.attempt, stop=stop)
            except _GONE:
                return {}
            for row in page.rows:
                number = int(row["PartNumber"])
                etag = strip_etag(row["ETag"])
                parts[number] = PartHeld(int(row["Size"]), etag, "ChecksumCRC32" in row)
            if not page.is_truncated:
                return parts
            if max(parts) <= marker:
                raise request.subject.malformed("the server repeats a page")
            marker = max(parts)

    def uploads_of(self, path: ObjectPath) -> list[tuple[str, datetime | None]]:
        """Return an object's unfinished uploads, the newest first: the id of each, and its time."""
        page = self.list_uploads(path.bucket, selection={"prefix": path.key})
        rows = [row for row in page.rows if unquote(row["Key"]) == path.key]
        rows.sort(key=lambda row: row.get("Initiated", ""), reverse=True)
        return [(row["UploadId"], moment(row.get("Initiated"))) for row in rows]

    def abort_upload(self, path: ObjectPath, upload_id: str, *, stop: Stop | None = None) -> None:
        """Abort a multipart upload, until the server says that it is gone."""
        request = self._on_object("DELETE", path, query={"uploadId": upload_id}, read=_nothing)

        def attempt() -> None:
            try:
                request.attempt()
            except ContainerExistsError as error:
                error._is_final = False  # what Ceph 18 and 20 say while completing the upload
                raise

        for _ in range(ABORTS):
            try:
                self._run(attempt, stop=stop)
            except _GONE:
                return
            if stop and stop.is_set():
                return

    # Requests

    def _on_bucket(
        self, method: str, bucket: str, *, read: Callable[[AuroraResponse], T], **fields: Any
    ) -> Request[T]:
        return Request(self._connection, method, bucket_path(bucket), read=read, **fields)

    def _on_object(
        self,
        method: str,
        path: ObjectPath,
        *,
        read: Callable[[AuroraResponse], T],
        keyed: bool = False,
        query: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        **fields: Any,
    ) -> Request[T]:
        """
        Return a request about an object, or about the version that its path names.

        :param keyed: Whether it carries the object's key. radosgw reads an unencrypted object with
            any key, and other servers ignore keys, so only a response that names it is a success.
        """
        key = path.customer_key if keyed else None
        query = {**(query or {}), **path.version}

        def confirmed(response: AuroraResponse) -> T:
            if not _is_encrypted(response, key, sent if keyed else {}):
                raise _unconfirmed(response, is_part="uploadId" in query)
            return read(response)

        sent = {**(headers or {}), **(_key_headers(path) if keyed else {})}
        return Request(
            self._connection,
            method,
            path.quoted,
            read=confirmed,
            query=query,
            headers=sent,
            **fields,
        )


def _key_headers(path: ObjectPath) -> dict[str, str]:
    """Return the headers of the key with which an object is encrypted."""
    return path.customer_key.headers() if path.customer_key else {}


def _is_encrypted(
    response: AuroraResponse, key: CustomerKey | None, asked: Mapping[str, str]
) -> bool:
    """Tell whether a response says that an object is encrypted as asked."""
    name = "x-amz-server-side-encryption"
    wanted = asked.get(name, response.headers.get(name))
    return response.headers.get(name) == wanted and (not key or key.is_named_by(response.headers))


def _unconfirmed(response: AuroraResponse, *, is_part: bool) -> EncryptionKeyError:
    subject = response.subject
    stored = "What was just stored is readable without the key: delete it. "
    left = stored * (subject.method == "PUT")
    if is_part:
        left = "No object was stored; ex_cleanup_all_multipart_uploads() removes its parts. "
    response.raw.close()
    return EncryptionKeyError(
        f"{subject} failed: the server does not confirm that the object is encrypted as asked. "
        f"{left}Either it was begun without that key, or the server does not support such keys.",
        http_status=response.status,
        **subject.fields,
    )


# Readers of responses


def _nothing(response: AuroraResponse) -> None:
    """Read nothing of a response whose status says everything."""


def _page_of(
    root: str | tuple[str, ...], row: str | tuple[str, ...], *needs: str
) -> Callable[[AuroraResponse], xml.Page]:
    """Return a reader of one page of a listing, by its root, its rows and what each must have."""

    def read(response: AuroraResponse) -> xml.Page:
        return response.document(lambda body: xml.page(body, root=root, row=row, needs=needs))

    return read


def _head(response: AuroraResponse) -> ObjectHead:
    size = xml.whole_number(response.headers.get("content-length", ""))
    if size is None:
        raise response.malformed("an object without a length; a proxy may have changed it")
    return ObjectHead(response.headers, size, strip_etag(response.headers.get("etag")))


def _stored(response: AuroraResponse) -> Stored:
    headers = response.headers
    etag = strip_etag(headers.get("etag"))
    if not etag:  # of a captive portal or a wrong port, which answer 200 to anything
        raise response.malformed("an object without an ETag")
    return Stored(etag, headers.get("x-amz-version-id"))


def _completed(response: AuroraResponse) -> Stored:
    etag = strip_etag(response.document(lambda body: xml.text_of(body, "ETag")))
    return Stored(etag, response.headers.get("x-amz-version-id"))


def _tags(response: AuroraResponse) -> dict[str, str]:
    # The body is empty where Ceph 16 or 18 has taken tags from another client's Initiate.
    return response.document(xml.tags) if response.content else {}


def _has_versions(response: AuroraResponse) -> bool:
    return response.document(lambda body: bool(xml.parse(body).findtext("Status")))


def _part_sent(response: AuroraResponse) -> PartSent:
    etag = strip_etag(response.headers.get("etag"))
    if part_count(etag) != 1:
        raise response.malformed(f"a part with ETag {etag[:80]!r}")
    return PartSent(etag, _is_whole(response))


def _part_copied(response: AuroraResponse) -> PartSent:
    return PartSent(_completed(response).etag, _is_whole(response))


def _is_whole(response: AuroraResponse) -> bool:
    return response.headers.get("x-amz-checksum-type") == "FULL_OBJECT"


def _upload_id(response: AuroraResponse) -> str:
    upload_id = response.document(lambda body: xml.text_of(body, "UploadId"))
    if not upload_id:
        raise response.malformed("an upload without an id")
    return upload_id


def _span_of(response: AuroraResponse, asked: Span, size: int | None) -> tuple[int, int, int]:
    """Return the first byte of a body, the byte after its last one, and the size of the object."""
    start, stop = asked
    length = xml.whole_number(response.headers.get("content-length", str(size)))
    if response.status != 206:
        if length is None or start or length > (stop or length):
            raise response.malformed("no range, or no length, where they were asked for")
        return 0, length, length
    found = response.headers.get("content-range", "")
    match = _CONTENT_RANGE.fullmatch(found)
    first, last, total = (int(number) for number in match.groups()) if match else (-1, -1, -1)
    if is_joined(response.headers) and length is not None:
        first = last + 1 - length  # radosgw says 0, whatever it sends
    if not start == first <= last < min(total, total if stop is None else stop):
        raise response.malformed(f"Content-Range {found!r}")
    return first, last + 1, total
