"""The S3 in memory as Ceph 20 answers: checksums that are asked for, and layouts of parts."""

import base64
import hashlib
import zlib

from unit.memory_s3 import MemoryS3, _document, error

DIGESTS = {
    "crc32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "sha1": lambda data: hashlib.sha1(data).digest(),  # noqa: S324 - a checksum of S3
    "sha256": lambda data: hashlib.sha256(data).digest(),
}


def checksum(algorithm, data):
    """Return a checksum as it stands in headers."""
    return base64.b64encode(DIGESTS[algorithm](data)).decode()


def of_parts(algorithm, parts):
    """Return the checksum of the checksums of parts."""
    digests = b"".join(map(DIGESTS[algorithm], parts))
    return f"{checksum(algorithm, digests)}-{len(parts)}"


class Ceph20(MemoryS3):
    """
    What it adds, as measured on 20.2.4.

    ``sums`` has the header that each key's object has, by key; ``layouts`` the sizes of its parts.
    """

    def __init__(self):
        super().__init__()
        self.sums = {}
        self.layouts = {}

    def put_parts(self, key, parts, etag, *, algorithm=None):
        """Store an object that another client has sent in parts, with or without a checksum."""
        self.put(key, b"".join(parts), etag)
        self.layouts[key] = [len(part) for part in parts]
        if algorithm:
            self.sums[key] = {f"x-amz-checksum-{algorithm}": of_parts(algorithm, parts)}

    def _object_put(self, request):
        if "x-amz-copy-source" in request.headers:
            answer = super()._object_put(request)
            return answer._replace(headers={**answer.headers, "x-amz-checksum-type": "FULL_OBJECT"})
        upload = self.uploads.get(request.params.get("uploadId"), {"headers": {}})
        named = {**upload["headers"], **request.headers}
        if not named.keys() & {"x-amz-checksum-algorithm", "x-amz-sdk-checksum-algorithm"}:
            return super()._object_put(request)
        found = checksum("crc32", request.body)
        if request.headers.get("x-amz-checksum-crc32", found) != found:
            return error(400, "BadDigest")
        answer = super()._object_put(request)
        sums = {"x-amz-checksum-crc32": found, "x-amz-checksum-type": "FULL_OBJECT"}
        if answer.status == 200 and "uploadId" not in request.params:
            self.sums[request.key] = sums
        return answer._replace(headers={**answer.headers, **sums})

    def _object_post(self, request):
        upload = self.uploads.get(request.params.get("uploadId"))
        named = (upload or {"headers": request.headers})["headers"].get("x-amz-checksum-algorithm")
        whole = b"".join(part for _, part in sorted(upload["parts"].items())) if upload else b""
        found = checksum("crc32", whole)
        if upload and named and request.headers.get("x-amz-checksum-crc32", found) != found:
            return error(400, "BadDigest")
        answer = super()._object_post(request)
        if upload and answer.status == 200:
            self.layouts[request.key] = [len(part) for _, part in sorted(upload["parts"].items())]
            self.sums.pop(request.key, None)
            if named:
                self.sums[request.key] = {
                    "x-amz-checksum-crc32": found,
                    "x-amz-checksum-type": "FULL_OBJECT",
                }
        begun = {"x-amz-checksum-algorithm": named} if named and not upload else {}
        return answer._replace(headers={**answer.headers, **begun})

    def _object_get(self, request):
        if "attributes" in request.params:
            return self._attributes(request)
        answer = super()._object_get(request)
        added = {}
        if request.key in self.layouts and "uploadId" not in request.params:
            added["x-amz-mp-parts-count"] = str(len(self.layouts[request.key]))
        if "range" not in request.headers and "x-amz-checksum-mode" in request.headers:
            added.update(self.sums.get(request.key, {}))
        return answer._replace(headers={**answer.headers, **added})

    def _attributes(self, request):
        stored = self.buckets[request.bucket].get(request.key)
        if stored is None:
            return error(404, "NoSuchKey")
        sums = "".join(
            f"<Checksum{name.rpartition('-')[2].upper()}>{text}<"
            f"/Checksum{name.rpartition('-')[2].upper()}>"
            for name, text in self.sums.get(request.key, {}).items()
            if not name.endswith("-type")
        )
        after, sizes = int(request.headers.get("x-amz-part-number-marker", 0)), []
        limit = int(request.headers.get("x-amz-max-parts", 1000))
        sizes = list(enumerate(self.layouts.get(request.key, []), 1))
        rows = "".join(
            f"<Part><PartNumber>{number}</PartNumber><Size>{size}</Size></Part>"
            for number, size in sizes[after : after + limit]
        )
        more = str(len(sizes) > after + limit).lower()
        return _document(
            "GetObjectAttributes",
            f"<ETag>{stored.etag}</ETag><Checksum>{sums}</Checksum><ObjectParts>{rows}"
            f"<IsTruncated>{more}</IsTruncated></ObjectParts>"
            f"<ObjectSize>{len(stored.data)}</ObjectSize>",
        )

    def _parts(self, request):
        answer = super()._parts(request)
        upload = self.uploads.get(request.params["uploadId"])
        if upload is None or "x-amz-checksum-algorithm" not in upload["headers"]:
            return answer
        named = b"</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part>"
        return answer._replace(body=answer.body.replace(b"</ETag></Part>", named))
