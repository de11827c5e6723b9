"""
Pure: AWS Signature Version 4, the bodies it covers and the clock it needs.

Every radosgw since Jewel accepts this form:
https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html

A part is signed chunk by chunk: its first byte need not wait for the hash of its last. The server
checks each chunk, and stores nothing if one is not what was signed. A whole object has one hash,
because a refused chunk signature would not show whether the secret key or a byte is wrong.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from itertools import chain
from typing import Any, NamedTuple
from urllib.parse import quote

from libcloud_aurora._s3.checksums import Crc32
from libcloud_aurora.config import BUFFER_SIZE

ALGORITHM = "AWS4-HMAC-SHA256"
_OF_CHUNKS = f"{ALGORITHM}-PAYLOAD"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
#: Stands for the hash of a body that :meth:`Signer.chunks` signs.
STREAMING_SHA256 = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"

_SPACES = re.compile("  +")
#: Most keys look like this, and quoting one takes as long as the rest of its URL.
_PLAIN = re.compile(r"[A-Za-z0-9_.~/-]*")
#: Headers that are signed: radosgw 19.2.6 and 20.2.4 refuse anything less (CVE-2026-54330).
_SIGNED = re.compile(r"x-amz-|(host|content-type|content-md5)$", re.IGNORECASE)
#: Bytes around each chunk besides its length: its signature and the ends of two lines.
_FRAME_SIZE = len(";chunk-signature=\r\n\r\n") + 64
#: Longest life of a presigned URL in seconds: 7 days.
MAX_EXPIRY_SECONDS = 604_800
#: A correction beyond this comes from a broken header, not from a clock.
MAX_OFFSET = timedelta(days=36_500)


def as_text(value: object) -> str:
    """Return text for a request: the value of an ``Enum`` of text, which ``str`` would name."""
    return str.__str__(value) if isinstance(value, str) else str(value)


def quote_path(path: str) -> str:
    """Percent-encode a bucket or key: everything but unreserved characters and the slash."""
    return as_text(path) if _PLAIN.fullmatch(path) else quote(path, safe="/~")


def hide_dots(path: str) -> str:
    """
    Return a path in which no client or proxy sees dot segments, because their slash is encoded.

    curl from 8.14 on also resolves ``%2E%2E``. radosgw reads the same key from this path: it
    decodes a path before it checks the signature, since Nautilus.
    """
    return re.sub(r"/(?=\.{1,2}(?:/|$))", "%2F", path) if "/." in path else path


def _stamp(now: datetime) -> str:
    """Return a time as it is signed; ``strftime`` would take a third of a signature's time."""
    return f"{now.isoformat()[:19].replace('-', '').replace(':', '')}Z"


def _lines_of(headers: Mapping[str, str]) -> list[str]:
    """Return headers, whose names are in lower case, as they are signed."""
    values = ((name, headers[name].strip(" \t")) for name in sorted(headers))
    return [f"{name}:{_SPACES.sub(' ', value)}" for name, value in values]


def canonical_query(params: Mapping[str, object]) -> str:
    """Return a query string in the one form that can be signed and sent."""
    pairs = sorted(
        (quote(str(k), safe="~"), quote(as_text(v), safe="~")) for k, v in params.items()
    )
    return "&".join(f"{name}={value}" for name, value in pairs)


class Signer:
    """Signs requests for one region. Its ``repr`` shows the access key only."""

    def __init__(
        self, access_key: str, secret_key: str, *, token: str | None = None, region: str = ""
    ) -> None:
        self.access_key = access_key
        self.secret_key = secret_key
        self.token = token
        self.region = region or "us-east-1"
        self._derived = "", b""  # a scope, and the key for it

    def __repr__(self) -> str:
        return f"Signer({self.access_key!r}, region={self.region!r})"

    def headers(
        self,
        *,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        payload_sha256: str,
        now: datetime,
    ) -> dict[str, str]:
        """
        Return the headers to add to a request: date, payload hash, token and ``Authorization``.

        :param query: Canonical query string, exactly as it is sent.
        """
        stamp = _stamp(now)
        added = {"x-amz-date": stamp, "x-amz-content-sha256": payload_sha256}
        if self.token:
            added["x-amz-security-token"] = self.token
        known = {**headers, **added}
        signed = {name.lower(): known[name] for name in known if _SIGNED.match(name)}
        names = ";".join(sorted(signed))
        lines = _lines_of(signed)
        canonical = "\n".join([method, path, query, *lines, "", names, payload_sha256])
        added["Authorization"] = (
            f"{ALGORITHM} Credential={self.access_key}/{self._scope(stamp)}, "
            f"SignedHeaders={names}, Signature={self.signature(canonical, stamp)}"
        )
        return added

    def presigned_query(
        self,
        *,
        method: str,
        path: str,
        headers: Mapping[str, str],
        expires_seconds: int,
        now: datetime,
        params: Mapping[str, str] | None = None,
    ) -> str:
        """
        Return the query string of a URL that works without credentials until it expires.

        https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html

        :param headers: Headers that a request must have, with ``host``; names in lower case.
        :param params: Further parameters.
        """
        stamp = _stamp(now)
        names = ";".join(sorted(headers))
        query = {
            **(params or {}),
            "X-Amz-Algorithm": ALGORITHM,
            "X-Amz-Credential": f"{self.access_key}/{self._scope(stamp)}",
            "X-Amz-Date": stamp,
            "X-Amz-Expires": expires_seconds,
            "X-Amz-SignedHeaders": names,
        }
        if self.token:
            query["X-Amz-Security-Token"] = self.token
        text = canonical_query(query)
        lines = _lines_of(headers)
        canonical = "\n".join([method, path, text, *lines, "", names, "UNSIGNED-PAYLOAD"])
        return f"{text}&X-Amz-Signature={self.signature(canonical, stamp)}"

    def chunks(
        self, chunks: Iterable[Sequence[memoryview]], added: Mapping[str, str]
    ) -> Iterator[bytes | memoryview]:
        """
        Yield a body whose chunks are signed one by one, each together with the signature before.

        https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html

        :param added: What :meth:`headers` has returned for :data:`STREAMING_SHA256`.
        """
        stamp = added["x-amz-date"]
        signature = added["Authorization"].rpartition("=")[2]
        end = ""
        for chunk in chain(chunks, ((),)):
            sha256 = _hexdigest(hashlib.sha256(), chunk)
            signature = self._sign(stamp, signature, EMPTY_SHA256, sha256, algorithm=_OF_CHUNKS)
            size = sum(map(len, chunk))
            yield f"{end}{size:x};chunk-signature={signature}\r\n".encode()
            yield from chunk
            end = "\r\n"
        yield b"\r\n"

    def length_headers(self, body: Any) -> dict[str, str]:
        """Return the headers that say how long a body is."""
        if isinstance(body, ChunkedBody):
            return {
                "Content-Length": str(body.wire_size()),
                "x-amz-decoded-content-length": str(body.size),
            }
        return {"Content-Length": str(_size_of(body))}

    def signature(self, canonical_request: str, stamp: str) -> str:
        """Sign a canonical request; header values are latin-1, as they go over the wire."""
        return self._sign(stamp, hashlib.sha256(canonical_request.encode("latin-1")).hexdigest())

    def _scope(self, stamp: str) -> str:
        return f"{stamp[:8]}/{self.region}/s3/aws4_request"

    def _sign(self, stamp: str, *lines: str, algorithm: str = ALGORITHM) -> str:
        scope = self._scope(stamp)
        derived_for, key = self._derived
        if derived_for != scope:  # derived once a day
            key = f"AWS4{self.secret_key}".encode()
            for step in scope.split("/"):
                key = hmac.digest(key, step.encode(), "sha256")
            self._derived = scope, key
        text = "\n".join([algorithm, stamp, scope, *lines])
        return hmac.digest(key, text.encode(), "sha256").hex()


class Anonymous(Signer):
    """Signs nothing; the server can check a whole object by its MD5."""

    def __init__(self) -> None:
        super().__init__("", "")

    def headers(self, **_: Any) -> dict[str, str]:
        return {}

    def chunks(
        self, chunks: Iterable[Sequence[memoryview]], added: Mapping[str, str]
    ) -> Iterator[memoryview]:
        for chunk in chunks:
            yield from chunk

    def length_headers(self, body: Any) -> dict[str, str]:
        headers = {"Content-Length": str(_size_of(body))}
        if body and not isinstance(body, ChunkedBody):
            headers["Content-MD5"] = b64encode(bytes.fromhex(md5(body))).decode()
        return headers


# Bodies


class ChunkedBody(NamedTuple):
    """
    A body that is signed chunk by chunk, and read again for each attempt.

    :ivar chunks: Returns it in chunks of :data:`.BUFFER_SIZE` bytes, except for the last, each in
        pieces that are valid until the next chunk is asked for.
    """

    size: int
    chunks: Callable[[], Iterator[Sequence[memoryview]]]

    def wire_size(self) -> int:
        """Return its size on the wire, where each chunk is signed and an empty one comes last."""
        count, rest = divmod(self.size, BUFFER_SIZE)
        sizes = [BUFFER_SIZE] * count + [rest] * (rest > 0) + [0]
        return sum(len(f"{size:x}") + _FRAME_SIZE + size for size in sizes)


class Pieces(NamedTuple):
    """A body in memory, in the pieces it came in: joining them would copy each byte."""

    size: int
    views: Sequence[memoryview]


#: What a part or a whole object is sent as.
Body = memoryview | Pieces | ChunkedBody


def views_of(body: Any) -> Iterable[Any]:
    """Return the bytes of a body, piece by piece."""
    if isinstance(body, ChunkedBody):
        return chain.from_iterable(body.chunks())
    return body.views if isinstance(body, Pieces) else (body,)


def in_chunks(body: Body, size: int) -> ChunkedBody:
    """Return a body of this size as one that is signed chunk by chunk."""
    if isinstance(body, ChunkedBody):
        return body
    return ChunkedBody(size, lambda: _regrouped(views_of(body)))


def _regrouped(views: Iterable[memoryview]) -> Iterator[Sequence[memoryview]]:
    chunk: list[memoryview] = []
    room = BUFFER_SIZE
    for view in views:
        while view:
            chunk.append(view[:room])
            view = view[room:]
            room -= len(chunk[-1])
            if not room:
                yield chunk
                chunk, room = [], BUFFER_SIZE
    if chunk:
        yield chunk


def payload_sha256(body: Any) -> str:
    """Return what is signed as the hash of a body."""
    if isinstance(body, ChunkedBody):
        return STREAMING_SHA256
    return _hexdigest(hashlib.sha256(), views_of(body)) if body else EMPTY_SHA256


def _size_of(body: Any) -> int:
    if isinstance(body, (ChunkedBody, Pieces)):
        return body.size
    return memoryview(body or b"").nbytes


def md5(body: Body) -> str:
    """Return the ETag the server gives a body, in hexadecimal."""
    return _hexdigest(hashlib.md5(usedforsecurity=False), views_of(body))


def crc32(body: Body) -> int:
    """Return the CRC32 of a body."""
    digest = Crc32()
    read_into(body, digest)
    return digest.value


def read_into(body: Body, *digests: Any) -> None:
    """Read a body once, for any number of digests."""
    for view in views_of(body):
        for digest in digests:
            digest.update(view)


def _hexdigest(digest: Any, views: Iterable[Any]) -> str:
    for view in views:
        digest.update(view)
    return str(digest.hexdigest())


# Time


def expiry_seconds(expiry: Any) -> int:
    """Return the seconds for which a presigned URL works, given in hours or as a timedelta."""
    hours = expiry / timedelta(hours=1) if isinstance(expiry, timedelta) else expiry
    is_number = isinstance(hours, (int, float)) and not isinstance(hours, bool)
    seconds = round(hours * 3600) if is_number and abs(hours) < 1e6 else 0
    if not 1 <= seconds <= MAX_EXPIRY_SECONDS:
        raise ValueError(
            f"ex_expiry must be from 1 second to 168 hours, as hours or a timedelta, not {expiry!r}"
        )
    return seconds


def http_time(text: str | None) -> datetime | None:
    """Return the time in a header, if it can be read."""
    try:
        return parsedate_to_datetime(text or "").astimezone(timezone.utc)
    except (ValueError, TypeError, OverflowError):
        return None


def moment(text: str | None) -> datetime | None:
    """Return the time in a listing, if it can be read."""
    try:
        time = datetime.fromisoformat((text or "").replace("Z", "+00:00"))
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=timezone.utc)


def seconds_to_wait(headers: Mapping[str, str]) -> float:
    """Return how long a server wants to be left alone: ``Retry-After`` is seconds, or a date."""
    retry_after = headers.get("retry-after", "")
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after)
    until = http_time(retry_after)
    now = http_time(headers.get("date")) or datetime.now(timezone.utc)
    return max(0.0, (until - now).total_seconds()) if until else 0.0


class Clock:
    """This machine's time, corrected by what the server last said; shared by all threads."""

    def __init__(self) -> None:
        self._offset = self._before = timedelta()

    def now(self) -> datetime:
        """Return the time to sign with."""
        return datetime.now(timezone.utc) + self._offset

    def correct(self, server_date: str | None, signed: datetime) -> bool:
        """
        Follow a ``Date`` header, and tell whether a request is worth signing again.

        :param signed: Time that the refused request was signed with.
        """
        server_time = http_time(server_date)
        offset = server_time - datetime.now(timezone.utc) if server_time else timedelta.max
        if server_time is None or abs(offset) > MAX_OFFSET:
            return False
        self._before, self._offset = self._offset, offset
        return abs(server_time - signed) > timedelta(seconds=60)

    def restore(self) -> None:
        """Undo the last correction, which the server has not accepted."""
        self._offset = self._before
