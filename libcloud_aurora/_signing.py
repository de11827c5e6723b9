"""Pure: AWS Signature Version 4 and percent-encoding, as every radosgw since Jewel accepts them.

Rules: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import NamedTuple
from urllib.parse import quote

ALGORITHM = "AWS4-HMAC-SHA256"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
#: Stands for the hash of a body that :meth:`Signer.chunks` signs.
STREAMING_SHA256 = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"

_SPACES = re.compile(" +")


def quote_path(path: str) -> str:
    """Percent-encode a bucket or key: everything but unreserved characters and the slash."""
    return quote(path, safe="/~")


def escape_dots(path: str) -> str:
    """
    Return a path with dot segments as ``%2E``, for clients and proxies that would collapse them.

    radosgw decodes a path before it checks the signature, since Nautilus.
    """
    return "/".join(
        segment.replace(".", "%2E") if segment in (".", "..") else segment
        for segment in path.split("/")
    )


def canonical_query(params: Mapping[str, object]) -> str:
    """Return a query string in the one form that can be signed and sent."""
    pairs = sorted((quote(str(k), safe="~"), quote(str(v), safe="~")) for k, v in params.items())
    return "&".join(f"{name}={value}" for name, value in pairs)


class Prefix(bytes):
    """Bytes of a body that have no meaning until what follows has arrived."""

    __slots__ = ()


class Credentials(NamedTuple):
    """What signs a request. Its ``repr`` shows the access key only."""

    access_key: str
    secret_key: str
    token: str | None = None

    def __repr__(self) -> str:
        return f"Credentials(access_key={self.access_key!r})"


class Signer:
    """Signs requests for one region."""

    def __init__(self, credentials: Credentials, region: str = "us-east-1") -> None:
        self.credentials = credentials
        self.region = region
        self._keys: dict[str, bytes] = {}

    def __repr__(self) -> str:
        return f"Signer({self.credentials!r}, region={self.region!r})"

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

        Signed are ``host``, ``content-type`` and every ``x-amz-*`` header: radosgw refuses anything
        less since 19.2.6 and 20.2.4 (CVE-2026-54330).

        :param path: Percent-encoded path, exactly as it is sent.
        :param query: Canonical query string, exactly as it is sent.
        :param headers: Headers of the request, ``Host`` among them.
        """
        stamp = now.strftime("%Y%m%dT%H%M%SZ")
        added = {"x-amz-date": stamp, "x-amz-content-sha256": payload_sha256}
        if self.credentials.token:
            added["x-amz-security-token"] = self.credentials.token
        signed = self._signed_headers({**headers, **added})
        names = ";".join(signed)
        canonical = "\n".join(
            [
                method,
                path,
                query,
                *(f"{name}:{value}" for name, value in signed.items()),
                "",
                names,
                payload_sha256,
            ]
        )
        scope = f"{stamp[:8]}/{self.region}/s3/aws4_request"
        added["Authorization"] = (
            f"{ALGORITHM} Credential={self.credentials.access_key}/{scope}, "
            f"SignedHeaders={names}, Signature={self.signature(canonical, stamp, scope)}"
        )
        return added

    def presigned_query(
        self, *, method: str, path: str, host: str, expires_seconds: int, now: datetime
    ) -> str:
        """
        Return the query string of a URL that works without credentials until it expires.

        https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html

        :param path: Percent-encoded path.
        :param host: Value of the ``Host`` header the URL leads to.
        """
        stamp = now.strftime("%Y%m%dT%H%M%SZ")
        scope = f"{stamp[:8]}/{self.region}/s3/aws4_request"
        params = {
            "X-Amz-Algorithm": ALGORITHM,
            "X-Amz-Credential": f"{self.credentials.access_key}/{scope}",
            "X-Amz-Date": stamp,
            "X-Amz-Expires": expires_seconds,
            "X-Amz-SignedHeaders": "host",
        }
        if self.credentials.token:
            params["X-Amz-Security-Token"] = self.credentials.token
        query = canonical_query(params)
        canonical = [method, path, query, f"host:{host}", "", "host", "UNSIGNED-PAYLOAD"]
        return f"{query}&X-Amz-Signature={self.signature(chr(10).join(canonical), stamp, scope)}"

    def chunks(
        self, chunks: Iterable[Sequence[memoryview]], added: Mapping[str, str]
    ) -> Iterator[bytes | memoryview]:
        """
        Yield a body whose chunks are signed one by one, each together with the signature before.

        https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html

        :param chunks: The body, each chunk in pieces; no chunk is empty.
        :param added: What :meth:`headers` has returned for :data:`STREAMING_SHA256`.
        """
        stamp = added["x-amz-date"]
        scope = f"{stamp[:8]}/{self.region}/s3/aws4_request"
        signature = added["Authorization"].rpartition("=")[2]
        end = ""
        for chunk in chain(chunks, ((),)):
            digest = hashlib.sha256()
            for view in chunk:
                digest.update(view)
            text = "\n".join(
                [f"{ALGORITHM}-PAYLOAD", stamp, scope, signature, EMPTY_SHA256, digest.hexdigest()]
            )
            signature = hmac.digest(self._key(scope), text.encode(), "sha256").hex()
            size = sum(map(len, chunk))
            yield Prefix(f"{end}{size:x};chunk-signature={signature}\r\n".encode())
            yield from chunk
            end = "\r\n"
        yield b"\r\n"

    @staticmethod
    def _signed_headers(headers: Mapping[str, str]) -> dict[str, str]:
        lowered = {name.lower(): value for name, value in headers.items()}
        return {
            name: _SPACES.sub(" ", lowered[name].strip(" \t"))
            for name in sorted(lowered)
            if name in ("host", "content-type", "content-md5") or name.startswith("x-amz-")
        }

    def signature(self, canonical_request: str, stamp: str, scope: str) -> str:
        """Sign a canonical request; header values are latin-1, as they go over the wire."""
        digest = hashlib.sha256(canonical_request.encode("latin-1")).hexdigest()
        text = "\n".join([ALGORITHM, stamp, scope, digest])
        return hmac.digest(self._key(scope), text.encode(), "sha256").hex()

    def _key(self, scope: str) -> bytes:
        """Return the key of one day, derived once."""
        key = self._keys.get(scope)
        if key is None:
            key = f"AWS4{self.credentials.secret_key}".encode()
            for step in scope.split("/"):
                key = hmac.digest(key, step.encode(), "sha256")
            self._keys.clear()
            self._keys[scope] = key
        return key
