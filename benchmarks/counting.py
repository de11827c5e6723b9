"""Counts HTTP requests in the bytes that pass a proxy."""


class RequestCounter:
    """Counts the HTTP requests on one connection, from the bytes its client sends."""

    def __init__(self, methods):
        self._methods = methods
        self._head = b""
        self._body_left = 0

    def feed(self, data):
        """Take the next bytes."""
        position = 0
        while position < len(data):
            skipped = min(self._body_left, len(data) - position)
            self._body_left -= skipped
            position += skipped
            if position == len(data):
                return
            self._head += data[position:]
            position = len(data)
            head, found, rest = self._head.partition(b"\r\n\r\n")
            if found:
                self._count(head)
                self._head, data, position = b"", rest, 0

    def _count(self, head):
        method = head.split(b" ", 1)[0].decode("latin-1")
        self._methods[method] = self._methods.get(method, 0) + 1
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-length":
                self._body_left = int(value)
