"""What radosgw 16 does with keys of customers (SSE-C), for servers in tests that know none.

It keeps no bytes and encrypts nothing: it remembers which key belongs to what, refuses requests
with another one, and says what radosgw adds to its answers. ``tests/live/test_encryption.py`` shows
that radosgw is like this.
"""

import threading
from urllib.parse import parse_qsl, unquote

PREFIX = "x-amz-server-side-encryption-customer-"
#: What requests of their own ask for and set, which need no key.
PROPERTIES = ("acl", "legal-hold", "retention", "tagging")
MISSING = (
    "Requests specifying Server Side Encryption with Customer provided keys must provide a valid "
    "encryption algorithm."
)
WRONG = "The calculated MD5 hash of the key did not match the hash that was provided."


class CustomerKeys:
    """The keys of a server's objects and of its unfinished uploads, by path, as their MD5s."""

    def __init__(self):
        self.objects = {}
        self.uploads = {}
        self._lock = threading.Lock()

    def refusal(self, method, path, params, headers):
        """Return status, code and message of an answer that refuses; ``None`` if it is fine."""
        given = headers.get(f"{PREFIX}key-md5")
        source = self.objects.get(unquote(headers.get("x-amz-copy-source", "")))
        if source and "uploadId" not in params:
            return 501, "NotImplemented", ""
        needed = {source, self._key_of(method, path, params)} - {None, given}
        return (400, "InvalidArgument", WRONG if given else MISSING) if needed else None

    def _key_of(self, method, path, params):
        if method == "PUT":
            return self.uploads.get(path) if "uploadId" in params else None
        reads = method in ("GET", "HEAD") and not {"uploads", "uploadId", *PROPERTIES} & set(params)
        return self.objects.get(path) if reads else None

    def answered(self, method, path, params, headers):
        """Remember what a success has done, and return the headers that its answer has."""
        given = headers.get(f"{PREFIX}key-md5")
        copies = "x-amz-copy-source" in headers
        with self._lock:
            if method == "POST" and "uploads" in params:
                self.uploads[path] = named = given
            elif method == "POST":
                self.objects[path], named = self.uploads.pop(path, None), None
            elif method == "DELETE":
                (self.uploads if "uploadId" in params else self.objects).pop(path, None)
                named = None
            elif method == "PUT" and not {"uploadId", *PROPERTIES} & set(params):
                self.objects[path] = named = None if copies else given
            else:
                named = self._key_of(method, path, params)
        return {f"{PREFIX}algorithm": "AES256", f"{PREFIX}key-md5": named} if named else {}


class WithCustomerKeys:
    """A WSGI application that knows keys of customers."""

    def __init__(self, application):
        self.application = application
        self.keys = CustomerKeys()

    def __call__(self, environ, start_response):
        request = (
            environ["REQUEST_METHOD"],
            environ["PATH_INFO"],
            dict(parse_qsl(environ["QUERY_STRING"], keep_blank_values=True)),
            {
                name[5:].replace("_", "-").lower(): value
                for name, value in environ.items()
                if name.startswith("HTTP_")
            },
        )
        refused = self.keys.refusal(*request)
        if refused:
            status, code, message = refused
            start_response(f"{status} Refused", [("Content-Type", "application/xml")])
            return [f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()]

        def start(status, headers, *rest):
            added = self.keys.answered(*request) if status.startswith("2") else {}
            return start_response(status, [*headers, *added.items()], *rest)

        return self.application(environ, start)
