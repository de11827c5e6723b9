"""An S3 server that keeps no body: it reads and hashes what arrives, and knows sizes and ETags.

For uploads that no test server could hold. Every byte is read and its MD5 computed, so every ETag
is the right one; nothing can be listed or downloaded. One bucket or many is the same to it, and it
looks at no signature.
"""

import hashlib
import ssl
import threading
import uuid
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

BUFFER = 1024**2


class Sink(ThreadingHTTPServer):
    """What the sink knows: parts of each upload, and objects."""

    daemon_threads = True
    uploads, objects, lock = {}, {}, threading.Lock()  # of both ports

    def __init__(self, context=None):
        self._context = context
        super().__init__(("127.0.0.1", 0), Handler)

    def get_request(self):
        connection, address = super().get_request()
        if self._context:
            # The handshake comes with the first read, in the connection's own thread.
            later = {"server_side": True, "do_handshake_on_connect": False}
            connection = self._context.wrap_socket(connection, **later)
        return connection, address


class Handler(BaseHTTPRequestHandler):
    """Answers as S3 does, as far as uploads need it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

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
        stored = self._take()
        upload_id = self.query.get("uploadId")
        with self.server.lock:
            if upload_id is None:
                self.server.objects[self.key] = stored
            else:
                self.server.uploads[upload_id][int(self.query["partNumber"])] = stored
        self._answer(200, etag=stored[1])

    def do_POST(self):
        """Begin or complete an upload."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "uploads" in self.query:
            upload_id = uuid.uuid4().hex
            self.server.uploads[upload_id] = {}
            text = f"<UploadId>{upload_id}</UploadId>"
            return self._answer(200, wrap("InitiateMultipartUploadResult", text))
        with self.server.lock:
            parts = self.server.uploads.pop(self.query.get("uploadId"), None)
            if not parts:
                return self._answer(404, b"<Error><Code>NoSuchUpload</Code></Error>")
            digests = b"".join(bytes.fromhex(etag) for _, (_, etag) in sorted(parts.items()))
            etag = f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"
            self.server.objects[self.key] = sum(size for size, _ in parts.values()), etag
        return self._answer(200, wrap("CompleteMultipartUploadResult", f'<ETag>"{etag}"</ETag>'))

    def do_HEAD(self):
        """Describe an object."""
        size, etag = self.server.objects.get(self.key, (0, None))
        self._answer(200 if etag else 404, etag=etag, size=size)

    def do_DELETE(self):
        """Forget an upload or an object."""
        self.server.uploads.pop(self.query.get("uploadId"), None)
        if "uploadId" not in self.query:
            self.server.objects.pop(self.key, None)
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


@contextmanager
def listening(certificate):
    """Serve for a ``with`` block, which gets the ports by scheme."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    with Sink() as http, Sink(context) as https:
        for server in (http, https):
            threading.Thread(target=server.serve_forever).start()
        try:
            yield {"http": http.server_port, "https": https.server_port}
        finally:
            for server in (http, https):
                server.shutdown()
