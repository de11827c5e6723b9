"""A small S3 in memory: a callback for requests-mock that answers as radosgw does."""

import hashlib
import io
import re
import threading
from collections import Counter
from collections.abc import Iterator
from email.utils import formatdate
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from servers.customer_keys import CustomerKeys
from servers.signed_chunks import unchunked
from urllib3 import HTTPResponse

DATE = "Wed, 01 Jul 2026 12:00:00 GMT"


class Answer(NamedTuple):
    """What a server says."""

    status: int
    body: bytes = b""
    headers: dict = {}  # noqa: RUF012 - never changed


class Stored(NamedTuple):
    """One object."""

    data: bytes
    etag: str
    headers: dict


def error(status, code, message="", **headers):
    """Return an error as radosgw words it."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Answer(status, body.encode(), {"x-amz-request-id": "tx1", **headers})


@lru_cache(16)  # server and test ask for the same again and again
def md5(data):
    """Return the ETag of a plain object."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def composite(parts):
    """Return the ETag of an object made of parts."""
    return f"{md5(bytes.fromhex(''.join(map(md5, parts))))}-{len(parts)}"


def raw_answer(answer, method="GET"):
    """Return an answer as urllib3 hands it over, its body unread."""
    body = b"" if answer.status in (204, 304) else answer.body
    return HTTPResponse(
        body=io.BytesIO(b"" if method == "HEAD" else body),
        headers={
            name: value
            for name, value in {"content-length": str(len(body)), **answer.headers}.items()
            if value is not None
        },
        status=answer.status,
        reason="reason",
        preload_content=False,
        decode_content=False,
        enforce_content_length=True,
        request_method=method,
    )


class Request:
    """One request as it came over the wire."""

    def __init__(self, request):
        parts = urlsplit(request.url)
        self.method = request.method
        self.path = parts.path
        self.query = parts.query
        self.params = dict(parse_qsl(parts.query, keep_blank_values=True))
        bucket, _, key = parts.path[1:].partition("/")
        self.bucket, self.key = unquote(bucket), unquote(key)
        self.headers = {name.lower(): value for name, value in request.headers.items()}
        body = request.body
        if self.headers.get("x-amz-content-sha256", "").startswith("STREAMING"):
            wire = b"".join(bytes(piece) for piece in body)
            assert len(wire) == int(self.headers["content-length"])
            body = unchunked(wire)
            assert len(body) == int(self.headers["x-amz-decoded-content-length"])
        elif isinstance(body, (list, Iterator)):
            body = b"".join(body)
        self.body = body.encode() if isinstance(body, str) else bytes(body or b"")

    def __repr__(self):
        return f"{self.method} {self.path}?{self.query}"


class MemoryS3:
    """
    Buckets of objects and uploads.

    ``faults`` are asked first: callables that take a request and return an answer, an exception to
    raise, or ``None`` to let it pass. ``bytes_sent`` counts those of objects, and not of faults.
    """

    def __init__(self):
        self.buckets = {}
        self.uploads = {}
        self.requests = []
        self.bytes_sent = 0
        self.faults = []
        self.started = Counter()
        self.keys = CustomerKeys()
        self.properties = {}  # (bucket, key, subresource, version) to the request that has set it
        self.lock = threading.Lock()

    def __call__(self, request, context):
        seen = Request(request)
        with self.lock:
            self.requests.append(seen)
        for fault in list(self.faults):
            answer = fault(seen)
            if isinstance(answer, BaseException):
                raise answer
            if answer is not None:
                return raw_answer(answer, seen.method)
        with self.lock:
            answer = self._keyed(seen)
        if seen.method == "HEAD":
            length = {"content-length": str(len(answer.body))} if answer.status == 200 else {}
            answer = Answer(answer.status, b"", {**answer.headers, **length})
        elif seen.key:
            with self.lock:
                self.bytes_sent += len(answer.body)
        return raw_answer(answer, seen.method)

    def put(self, key, data, etag=None, bucket="photos", **headers):
        """Store an object directly."""
        self.buckets[bucket][key] = Stored(data, etag or md5(data), headers)

    def begin(self, key, parts=None, headers=None, *, initiated=None, bucket="photos"):
        """Begin an upload directly, with some parts stored by number, and return its id."""
        self.started["uploads"] += 1
        name = f"2~upload{self.started['uploads']}"
        self.uploads[name] = {
            "bucket": bucket,
            "key": key,
            "parts": dict(parts or {}),
            "headers": headers or {},
            "initiated": initiated or f"2026-07-01T12:00:{self.started['uploads'] % 60:02d}.000Z",
        }
        return name

    def fail(self, times, answer, **wanted):
        """Answer the first matching requests with something else."""
        left = iter(range(times))  # as threads may take from it

        def fault(request):
            matches = all(getattr(request, name) == wanted[name] for name in wanted)
            return answer if matches and next(left, None) is not None else None

        self.faults.append(fault)

    def sent(self, method=None):
        """Return the requests seen, of one method or all."""
        return [seen for seen in self.requests if method in (None, seen.method)]

    def _keyed(self, request):
        request_line = (request.method, unquote(request.path), request.params, request.headers)
        refused = self.keys.refusal(*request_line)
        if refused:
            return error(*refused)
        answer = self._checked(request)
        if answer.status >= 300:
            return answer
        return answer._replace(headers={**answer.headers, **self.keys.answered(*request_line)})

    def _checked(self, request):
        signed = request.headers.get("x-amz-content-sha256", "STREAMING")
        is_whole = not signed.startswith("STREAMING")
        if is_whole and signed != hashlib.sha256(request.body).hexdigest():
            return error(400, "XAmzContentSHA256Mismatch")
        if request.bucket and request.bucket not in self.buckets and not self._creates(request):
            return error(404, "NoSuchBucket")
        place = "object" if request.key else "bucket" if request.bucket else "service"
        return getattr(self, f"_{place}_{request.method.lower()}")(request)

    @staticmethod
    def _creates(request):
        return request.method == "PUT" and not request.key

    def _service_get(self, request):
        rows = "".join(f"<Bucket><Name>{name}</Name></Bucket>" for name in self.buckets)
        return _document("ListAllMyBucketsResult", f"<Buckets>{rows}</Buckets>")

    def _bucket_head(self, request):
        return Answer(200)

    def _bucket_put(self, request):
        if "acl" in request.params:
            return self._set_property(request)
        self.buckets.setdefault(request.bucket, {})
        return Answer(200)

    def _bucket_delete(self, request):
        if self.buckets[request.bucket]:
            return error(409, "BucketNotEmpty")
        del self.buckets[request.bucket]
        return Answer(204)

    def _bucket_get(self, request):
        if "uploads" in request.params:
            return self._uploads(request)
        if "versions" in request.params:
            rows = self.buckets[request.bucket].items()
            found = "".join(self._row(*row) for row in sorted(rows)).replace("Contents", "Version")
            named = found.replace("</Key>", "</Key><VersionId>null</VersionId>")
            return _document("ListVersionsResult", named)
        given = request.params
        prefix, delimiter = given.get("prefix", ""), given.get("delimiter", "")
        marker, limit = given.get("marker", ""), min(int(given.get("max-keys", 1000)), 1000)
        rows, groups = [], []
        keys = sorted(self.buckets[request.bucket], key=str.encode)
        truncated = False
        for key in keys:
            if not key.startswith(prefix) or key.encode() <= marker.encode():
                continue
            rest = key[len(prefix) :]
            group = (
                prefix + rest[: rest.index(delimiter) + len(delimiter)]
                if delimiter and delimiter in rest
                else None
            )
            if group is not None and (group in groups or group.encode() <= marker.encode()):
                continue
            if len(rows) + len(groups) == limit:
                truncated = limit > 0
                break
            if group is not None:
                groups.append(group)
            else:
                rows.append(self._row(key, self.buckets[request.bucket][key]))
        prefixes = "".join(
            f"<CommonPrefixes><Prefix>{quote(group)}</Prefix></CommonPrefixes>" for group in groups
        )
        state = f"<IsTruncated>{str(truncated).lower()}</IsTruncated>"
        return _document("ListBucketResult", state + "".join(rows) + prefixes)

    @staticmethod
    def _row(key, stored):
        return (
            f"<Contents><Key>{escape(quote(key, safe=''))}</Key><Size>{len(stored.data)}</Size>"
            f"<LastModified>2026-07-01T12:00:00.000Z</LastModified>"
            f"<ETag>&quot;{stored.etag}&quot;</ETag><StorageClass>STANDARD</StorageClass>"
            "<Owner><ID>me</ID><DisplayName>Me</DisplayName></Owner></Contents>"
        )

    def _uploads(self, request):
        after = request.params.get("key-marker", ""), request.params.get("upload-id-marker", "")
        prefix, limit = (
            request.params.get("prefix", ""),
            int(request.params.get("max-uploads", 1000)),
        )
        found = sorted(
            (upload["key"], name)
            for name, upload in self.uploads.items()
            if upload["bucket"] == request.bucket and upload["key"].startswith(prefix)
        )
        found = [place for place in found if place > after]
        rows = "".join(
            f"<Upload><Key>{quote(key)}</Key><UploadId>{name}</UploadId>"
            f"<Initiated>{self.uploads[name]['initiated']}</Initiated></Upload>"
            for key, name in found[:limit]
        )
        state = f"<IsTruncated>{str(len(found) > limit).lower()}</IsTruncated>"
        return _document("ListMultipartUploadsResult", state + rows)

    def _set_property(self, request):
        """Set the access, tags, retention or legal hold of an object, or of a version of it."""
        if request.key and request.key not in self.buckets[request.bucket]:
            return error(404, "NoSuchKey")
        (name,) = set(request.params) - {"versionId"}
        place = request.bucket, request.key, name, request.params.get("versionId")
        self.properties[place] = request
        return Answer(200)

    def property_of(self, key, name, version=None, bucket="photos"):
        """Return the body of the request that has set a property, ``None`` if none has."""
        found = self.properties.get((bucket, key, name, version))
        return found and found.body.decode()

    def _object_put(self, request):
        if set(request.params) & {"acl", "tagging", "retention", "legal-hold"}:
            return self._set_property(request)
        etag = md5(request.body)
        if "uploadId" in request.params:
            upload = self.uploads.get(request.params["uploadId"])
            if upload is None:
                return error(404, "NoSuchUpload")
            part = request.body
            if "x-amz-copy-source" in request.headers:
                part = self._copied_part(request)
                if isinstance(part, Answer):
                    return part
            upload["parts"][int(request.params["partNumber"])] = part
            if "x-amz-copy-source" in request.headers:
                return _document("CopyPartResult", f"<ETag>{md5(part)}</ETag>")
        elif "x-amz-copy-source" in request.headers:
            return self._copy(request)
        else:
            existing = self.buckets[request.bucket].get(request.key)
            if request.headers.get("if-none-match") == "*" and existing is not None:
                return error(412, "PreconditionFailed")
            known = existing and existing.etag  # and no quotes, which radosgw 16 and 18 compare
            if request.headers.get("if-match", known) != known:
                return error(412, "PreconditionFailed")
            self._store(request.bucket, request.key, request.body, etag, request.headers)
        return Answer(200, b"", {"etag": f'"{etag}"'})

    def _source(self, request):
        source = unquote(request.headers["x-amz-copy-source"].partition("?")[0])
        bucket, _, key = source.lstrip("/").partition("/")
        return self.buckets.get(bucket, {}).get(key)

    def _copied_part(self, request):
        source = self._source(request)
        if request.headers["x-amz-copy-source-if-match"].strip('"') != source.etag:
            return error(412, "PreconditionFailed")
        start, stop = request.headers["x-amz-copy-source-range"].partition("=")[2].split("-")
        return source.data[int(start) : int(stop) + 1]

    def _copy(self, request):
        source = self._source(request)
        if source is None:
            return error(404, "NoSuchKey")
        if request.headers["x-amz-metadata-directive"] == "REPLACE":
            self._store(request.bucket, request.key, source.data, source.etag, request.headers)
        else:
            self.buckets[request.bucket][request.key] = source
        return _document("CopyObjectResult", f"<ETag>{source.etag}</ETag>")

    def _bucket_post(self, request):
        for each in ElementTree.fromstring(request.body).iter("Key"):  # noqa: S314 - our own
            self.buckets[request.bucket].pop(each.text, None)
        return _document("DeleteResult", "")

    def _store(self, bucket, key, data, etag, headers):
        kept = {
            name: value
            for name, value in headers.items()
            if name.startswith(("x-amz-meta-", "x-amz-storage-", "x-amz-website-"))
            or name in ("cache-control", "content-type", "content-encoding")
        }
        self.buckets[bucket][key] = Stored(data, etag, kept)
        old = [place for place in self.properties if place[1] == key]
        for place in old:
            del self.properties[place]

    def _object_head(self, request):
        return self._object_get(request)

    def _object_get(self, request):
        if "uploadId" in request.params:
            return self._parts(request)
        stored = self.buckets[request.bucket].get(request.key)
        if stored is None:
            return error(404, "NoSuchKey")
        if "tagging" in request.params:
            return self._tags(request)
        headers = {"last-modified": DATE, **stored.headers, "etag": f'"{stored.etag}"'}
        if request.headers.get("if-match", f'"{stored.etag}"') != f'"{stored.etag}"':
            return error(412, "PreconditionFailed")
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        if "range" not in request.headers:
            return Answer(200, stored.data, headers)
        size = len(stored.data)
        start = int(wanted[1]) if wanted else size
        stop = min(size, int(wanted[2]) + 1) if wanted and wanted[2] else size
        if start >= stop:
            return error(416, "InvalidRange")
        headers["content-range"] = f"bytes {start}-{stop - 1}/{size}"
        return Answer(206, stored.data[start:stop], headers)

    def _tags(self, request):
        tags = self.property_of(request.key, "tagging", bucket=request.bucket)
        return Answer(200, (tags or "<Tagging><TagSet></TagSet></Tagging>").encode())

    def _object_delete(self, request):
        if "uploadId" in request.params:
            gone = self.uploads.pop(request.params["uploadId"], None) is None
            return error(404, "NoSuchUpload") if gone else Answer(204)
        self.buckets[request.bucket].pop(request.key, None)
        return Answer(204)

    def _object_post(self, request):
        if "uploads" in request.params:
            name = self.begin(request.key, headers=request.headers, bucket=request.bucket)
            return _document("InitiateMultipartUploadResult", f"<UploadId>{name}</UploadId>")
        return self._complete(request)

    def _complete(self, request):
        name = request.params["uploadId"]
        upload = self.uploads.get(name)
        if upload is None:
            return error(500, "InternalError", "This multipart completion is already in progress")
        listed = {
            int(part.findtext("PartNumber")): part.findtext("ETag")
            for part in ElementTree.fromstring(request.body)  # noqa: S314 - our own
        }
        parts = upload["parts"]
        if listed != {number: md5(data) for number, data in parts.items()}:
            return error(400, "InvalidPart")
        ordered = [parts[number] for number in sorted(parts)]
        etag = composite(ordered)
        self._store(request.bucket, request.key, b"".join(ordered), etag, upload["headers"])
        self.buckets[request.bucket][request.key].headers["last-modified"] = formatdate(usegmt=True)
        del self.uploads[name]
        return _document("CompleteMultipartUploadResult", f"<ETag>{etag}</ETag>")

    def _parts(self, request):
        upload = self.uploads.get(request.params["uploadId"])
        if upload is None:
            return error(404, "NoSuchKey")
        after = int(request.params.get("part-number-marker", 0))
        limit = min(int(request.params.get("max-parts", 1000)), 1000)
        numbers = [number for number in sorted(upload["parts"]) if number > after]
        rows = "".join(
            f"<Part><PartNumber>{number}</PartNumber><Size>{len(upload['parts'][number])}</Size>"
            f"<ETag>&quot;{md5(upload['parts'][number])}&quot;</ETag></Part>"
            for number in numbers[:limit]
        )
        state = f"<IsTruncated>{str(len(numbers) > limit).lower()}</IsTruncated>"
        return _document("ListPartsResult", state + rows)


def _document(root, inner):
    namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
    return Answer(
        200,
        f'<?xml version="1.0"?><{root} xmlns="{namespace}">{inner}</{root}>'.encode(),
        {"content-type": "application/xml"},
    )
