"""Pure: what must not be shown, in a server's text or in a ``repr``."""

from __future__ import annotations

import re

_SECRET = re.compile(
    r"((?:signature|credential|security-token|authorization|awsaccesskeyid|customer-key(?:-md5)?)"
    r"[\"']?\s*[:=]\s*)[^\s,&<]+",
    re.IGNORECASE,
)


def redact(text: str, limit: int = 300) -> str:
    """Return a server's text fit for a message: one line, bounded, without secrets."""
    printable = "".join(c if c.isprintable() else " " for c in text[: 4 * limit])
    return _SECRET.sub(r"\1...", " ".join(printable.split()))[:limit]


class Hidden(str):
    """Text that is sent as any other, but that no ``repr`` shows, nor that of what holds it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'...'"
