"""Times: what servers say, and this machine's clock corrected by it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

#: Corrections beyond this are no clock's error but a broken header.
MAX_OFFSET = timedelta(days=36_500)


def http_time(text: str | None) -> datetime | None:
    """Return a time in a header; ``None`` where there is none that can be read."""
    try:
        return parsedate_to_datetime(text or "").astimezone(timezone.utc)
    except (ValueError, TypeError, OverflowError):
        return None


def moment(text: str | None) -> datetime | None:
    """Return a time in a listing; ``None`` where there is none that can be read."""
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
        self._offset = timedelta()

    def now(self) -> datetime:
        """Return the time to sign with."""
        return datetime.now(timezone.utc) + self._offset

    def correct(self, server_date: str | None, signed: datetime | None = None) -> bool:
        """
        Follow a ``Date`` header.

        :param server_date: What the server said.
        :param signed: Time that the refused request was signed with; now, if not given.
        :return: Whether a request signed now differs enough to be worth sending.
        """
        server_time = http_time(server_date)
        if server_time is None:
            return False
        offset = server_time - datetime.now(timezone.utc)
        if abs(offset) > MAX_OFFSET:
            return False
        refused = self.now() if signed is None else signed
        self._offset = offset
        return abs(server_time - refused) > timedelta(seconds=60)
