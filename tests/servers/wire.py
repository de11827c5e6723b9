"""Bytes on the wire: heads of requests in, a flipped bit out."""

from __future__ import annotations

import http.client
import io
import socket

from servers.plan import Request

PIECE = 64 * 1024


def read_head(client: socket.socket) -> tuple[bytes, bytes]:
    """Read up to the empty line; return the head and what came after it."""
    data = bytearray()
    while (end := data.find(b"\r\n\r\n")) < 0:
        piece = client.recv(PIECE)
        if not piece:
            return b"", b""
        data += piece
    return bytes(data[: end + 4]), bytes(data[end + 4 :])


def parse_head(head: bytes) -> Request:
    """Parse the request line and the headers."""
    line, _, headers = head.partition(b"\r\n")
    method, target, _ = line.decode("latin-1").split(" ", 2)
    return Request(method, target, http.client.parse_headers(io.BytesIO(headers)))


def flip_a_bit(content: bytes, *, markup: bool) -> bytes:
    """Flip a bit in the middle; in a document, of the markup, where it can be noticed at all."""
    position = len(content) // 2
    if markup:
        position = max(content.find(b"<", position), 0)
    return content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]
