"""An S3 server that keeps no body: it reads and hashes what arrives, and knows sizes and ETags.

For uploads that no test server could hold. Every byte is read and its MD5 computed, so every ETag
is the right one; nothing can be downloaded. One bucket or many is the same to it, and it looks at
no signature. ``python -m benchmarks.sink`` prints its port, and for each line of standard input
what has arrived since the last one.
"""

import hashlib
import json
import resource
import sys
import threading
import uuid
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

BUFFER = 1024**2
DATE = "2026-01-01T00:00:00.000Z"


class Memory:
    """What the sink knows: parts of each upload, objects, and counters."""

    def __init__(self):
        self.lock = threading.Lock()
        self.uploads = {}
        self.objects = {}
        self._cpu = 0.0
        self._clear()

    def _clear(self):
        self._bytes = self._requests = 0
        self._sizes = Counter()

    def count(self, *, size=0, part=False):
        """Note a request, and the size of its body."""
        with self.lock:
            self._requests += 1
            self._bytes += size
            if part:
                self._sizes[size] += 1

    def report(self):
        """Return the counters since the last report."""
        with self.lock:
            usage = resource.getrusage(resource.RUSAGE_SELF)
            before, self._cpu = self._cpu, usage.ru_utime + usage.ru_stime
            facts = {
                "server_cpu": round(self._cpu - before, 2),
                "bytes": self._bytes,
                "requests": self._requests,
                "sizes": sorted(self._sizes.items()),
            }
            self._clear()
        return facts


class Handler(BaseHTTPRequestHandler):
    """Answers as S3 does, as far as uploads need it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def _memory(self):
        return self.server.memory

    def log_message(self, *arguments):
        """Say nothing."""

    def parse_request(self):
        """Read the head and split the address."""
        parsed = super().parse_request()
        if parsed:
            address = urlsplit(self.path)
            self.key = address.path
            self.query = dict(parse_qsl(address.query, keep_blank_values=True))
        return parsed

    def do_PUT(self):
        """Take a part, an object, or the wish for a bucket."""
        size, etag = self._take()
        upload_id = self.query.get("uploadId")
        self._memory.count(size=size, part=upload_id is not None)
        with self._memory.lock:
            if upload_id is None:
                self._memory.objects[self.key] = size, etag
            elif upload_id in self._memory.uploads:
                self._memory.uploads[upload_id][int(self.query["partNumber"])] = size, etag
            else:
                return self._fail(404, "NoSuchUpload")
        return self._answer(200, etag=etag)

    def do_POST(self):
        """Begin or complete an upload, or forget objects."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._memory.count()
        if "delete" in self.query:
            for key in ElementTree.fromstring(body).iterfind(".//{*}Key"):  # noqa: S314
                self._memory.objects.pop(f"{self.key.rstrip('/')}/{key.text}", None)
            return self._answer(200, wrap("DeleteResult", ""))
        if "uploads" in self.query:
            upload_id = uuid.uuid4().hex
            self._memory.uploads[upload_id] = {}
            text = f"<UploadId>{upload_id}</UploadId>"
            return self._answer(200, wrap("InitiateMultipartUploadResult", text))
        return self._complete(body)

    def _complete(self, body):
        """Compare every part that is named with what arrived, and make the object of them."""
        named = [
            (int(part.findtext("{*}PartNumber")), part.findtext("{*}ETag").strip('"'))
            for part in ElementTree.fromstring(body).iterfind("{*}Part")  # noqa: S314
        ]
        with self._memory.lock:
            parts = self._memory.uploads.get(self.query.get("uploadId"))
            if parts is None:
                return self._fail(404, "NoSuchUpload")
            if not named or any(parts.get(number, (0, ""))[1] != etag for number, etag in named):
                return self._fail(400, "InvalidPart")
            digests = b"".join(bytes.fromhex(etag) for _, etag in named)
            etag = f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(named)}"
            size = sum(parts[number][0] for number, _ in named)
            self._memory.objects[self.key] = size, etag
            del self._memory.uploads[self.query["uploadId"]]
        return self._answer(200, wrap("CompleteMultipartUploadResult", f'<ETag>"{etag}"</ETag>'))

    def do_GET(self):
        """List the parts of an upload, or objects; no body can be had."""
        self._memory.count()
        if "uploadId" in self.query:
            parts = sorted(self._memory.uploads.get(self.query["uploadId"], {}).items())
            rows = [
                f"<Part><PartNumber>{number}</PartNumber><LastModified>{DATE}</LastModified>"
                f'<ETag>"{etag}"</ETag><Size>{size}</Size></Part>'
                for number, (size, etag) in parts
            ]
            return self._answer(200, wrap("ListPartsResult", "".join(rows)))
        if self.key.strip("/").count("/"):
            return self._fail(501, "NotImplemented")
        bucket = f"{self.key.rstrip('/')}/"
        rows = [
            f"<Contents><Key>{escape(key.removeprefix(bucket))}</Key><Size>{size}</Size>"
            f'<LastModified>{DATE}</LastModified><ETag>"{etag}"</ETag></Contents>'
            for key, (size, etag) in sorted(self._memory.objects.items())
            if key.startswith(bucket) and key != bucket
        ]
        return self._answer(200, wrap("ListBucketResult", "".join(rows)))

    def do_HEAD(self):
        """Describe an object."""
        self._memory.count()
        size, etag = self._memory.objects.get(self.key, (0, None))
        self._answer(200 if etag else 404, etag=etag, size=size)

    def do_DELETE(self):
        """Forget an upload or an object."""
        self._memory.count()
        self._memory.uploads.pop(self.query.get("uploadId"), None)
        if "uploadId" not in self.query:
            self._memory.objects.pop(self.key, None)
        self._answer(204)

    def _take(self):
        """Read a body; return its size and its MD5."""
        digest = hashlib.md5(usedforsecurity=False)
        if not self.headers.get("x-amz-content-sha256", "").startswith("STREAMING"):
            size = int(self.headers.get("Content-Length", 0))
            self._read(size, digest)
            return size, digest.hexdigest()
        size = 0
        while length := int(self.rfile.readline().partition(b";")[0], 16):
            self._read(length, digest)
            self.rfile.readline()  # the end of the chunk's last line
            size += length
        self.rfile.readline()
        return size, digest.hexdigest()

    def _read(self, left, digest):
        """Read and hash so many bytes."""
        view = memoryview(bytearray(min(BUFFER, left)))
        while left:
            count = self.rfile.readinto(view[:left])
            if not count:
                raise ConnectionError("the body ended early")
            digest.update(view[:count])
            left -= count

    def _fail(self, status, code):
        self._answer(status, f"<Error><Code>{code}</Code></Error>".encode())

    def _answer(self, status, body=b"", *, etag=None, size=None):
        self.send_response(status)
        if etag:
            self.send_header("ETag", f'"{etag}"')
            self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.send_header("Content-Length", str(len(body) if size is None else size))
        self.end_headers()
        self.wfile.write(body)


def wrap(name, text):
    """Return an XML document."""
    return f'<?xml version="1.0" encoding="UTF-8"?><{name}>{text}</{name}>'.encode()


def main():
    """Serve until standard input ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.memory = Memory()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    for _ in sys.stdin:
        print(json.dumps(server.memory.report()), flush=True)


if __name__ == "__main__":
    main()
