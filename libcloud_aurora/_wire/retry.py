"""Which failures are transient, how long to wait, and the one loop that tries again."""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable
from typing import TypeVar

from libcloud_aurora._wire.failures import is_unsent
from libcloud_aurora.config import RetryPolicy
from libcloud_aurora.errors import (
    MEANINGS,
    TRANSIENT_STATUSES,
    AuroraObjectsError,
    MalformedAnswerError,
    Meaning,
    NetworkError,
    NetworkTimeoutError,
)

T = TypeVar("T")

#: Bytes after which a broken transfer counts as having made progress.
PROGRESS_SIZE = 1024**2
#: Seconds after which an attempt that breaks off may have met a proxy's limit of a request's time.
CUT_SECONDS = 10.0
#: Most seconds that a thread sleeps before it looks for Ctrl-C: one that comes after Python has
#: looked, while it hands the GIL to other threads, does not wake it.
LOOKING_SECONDS = 0.25

logger = logging.getLogger("libcloud_aurora")


class Stop:
    """
    A sign that is given once. Waiting threads poll it: Ctrl-C may leave a condition locked.

    :param until: Monotonic time from which it counts as given.
    :ivar moved: Grows as the whole transfer it belongs to moves bytes; some count twice.
    """

    def __init__(self, until: float | None = None) -> None:
        self.moved = 0
        self._until = math.inf if until is None else until

    def set(self) -> None:
        """Give the sign."""
        self._until = -math.inf

    def is_set(self) -> bool:
        return time.monotonic() >= self._until

    def narrow(self, why: str, began: float) -> bool:
        """Let fewer requests share a link on which one took too long; here there is only one."""
        return False

    def wait(self, seconds: float) -> bool:
        """Wait for the sign, but no longer than that, and tell whether it was given."""
        until = time.monotonic() + seconds
        while (left := min(until, self._until) - time.monotonic()) > 0:
            time.sleep(min(left, LOOKING_SECONDS))
        return self.is_set()


def is_transient(error: AuroraObjectsError) -> bool:
    """Tell whether the same request may succeed when sent again."""
    if error._is_final is not None:
        return not error._is_final
    if isinstance(error, (NetworkError, MalformedAnswerError)):
        return True
    known = MEANINGS.get(error.code or "", Meaning())
    return known.is_transient or error.http_status in TRANSIENT_STATUSES


def is_unanswered(error: AuroraObjectsError) -> bool:
    """Tell whether the server itself has not answered; proxies answer without an id."""
    status = error.http_status or 0
    of_proxy = status in (502, 504) or (status >= 500 and not error.request_id)
    return of_proxy or isinstance(error, (NetworkError, MalformedAnswerError))


def is_unsure(error: AuroraObjectsError) -> bool:
    """Tell whether the server may have acted anyway; a success may be unreadable."""
    status = error.http_status or 0
    may_have_acted = is_unanswered(error) or 200 <= status < 300 or status == 500
    return may_have_acted and not is_unsent(error.__cause__)


def is_passing(error: AuroraObjectsError) -> bool:
    """Tell whether the server may answer later; one that lacks an operation answers oddly."""
    return is_transient(error) and not isinstance(error, MalformedAnswerError)


def is_cut_off(error: AuroraObjectsError, seconds: float) -> bool:
    """
    Tell whether a proxy may have ended an attempt because it took too long.

    Traefik allows 60 s for the body of a request, and Google's balancer 30 s for all of it. They
    close the connection, or answer before the server does.
    """
    is_proxys = error.http_status in (408, 499, 504)
    return seconds >= CUT_SECONDS and (is_proxys or isinstance(error, NetworkError))


class Retrier:
    """
    Runs attempts under one policy.

    :param sleep: Waits some seconds, or until a sign is given.
    :param fraction: Returns a random number from 0 to 1.
    """

    def __init__(
        self,
        policy: RetryPolicy,
        *,
        sleep: Callable[[Stop, float], object] = Stop.wait,
        fraction: Callable[[], float] = random.random,
    ) -> None:
        self.policy = policy
        self._sleep = sleep
        self._fraction = fraction

    def run(
        self,
        attempt: Callable[[], T],
        *,
        attempts: int | None = None,
        stop: Stop | None = None,
        progress: Callable[[], int] = lambda: 0,
    ) -> T:
        """
        Make attempts until one succeeds, fails for good, or they are used up.

        :param attempts: Attempts in all, instead of the policy's.
        :param stop: Sign that ends a pause, and raises the failure that caused it.
        :param progress: Returns a number; an attempt that has raised it by :data:`PROGRESS_SIZE` or
            more resets the count.
        """
        stop = stop or Stop()
        history: list[str] = []
        may_be_done = False
        limit = attempts or self.policy.max_attempts
        while True:
            before, moved, began = progress(), stop.moved, time.monotonic()
            try:
                return attempt()
            except AuroraObjectsError as error:
                error._may_be_done = may_be_done
                may_be_done |= is_unsure(error)
                if progress() - before >= PROGRESS_SIZE:
                    history.clear()
                took = time.monotonic() - began
                too_slow = isinstance(error, NetworkTimeoutError) or is_cut_off(error, took)
                too_slow = too_slow and stop.moved > moved and is_transient(error)
                if too_slow and stop.narrow(error.value, began):
                    continue
                history.append(error.value)
                error.history = tuple(history)
                if len(history) >= limit or not is_transient(error):
                    raise
                if self._pause(error, len(history), stop):
                    raise

    def _pause(self, error: AuroraObjectsError, attempt: int, stop: Stop) -> bool:
        """Wait after a failed attempt, say so in the log, and tell whether to stop."""
        if stop.is_set():  # whoever stopped it broke the connection
            return True
        seconds = self.policy.pause_seconds(
            attempt, fraction=self._fraction(), retry_after=error._retry_after
        )
        logger.info("attempt %d failed, next in %.2f s: %s", attempt, seconds, error.value)
        self._sleep(stop, seconds)
        return stop.is_set()
