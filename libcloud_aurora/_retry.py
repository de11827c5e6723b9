"""Which failures pass, how long to wait, and the one loop that tries again."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from libcloud_aurora._threads import Stop
from libcloud_aurora.config import RetryPolicy
from libcloud_aurora.errors import AuroraObjectsError, MalformedAnswerError, NetworkError

T = TypeVar("T")

#: Bytes after which a broken transfer counts as having got on.
PROGRESS_SIZE = 1024**2

logger = logging.getLogger("libcloud_aurora")

#: Codes that pass whatever the status; the body codes are re-sent from the source bytes.
TRANSIENT_CODES = frozenset(
    {
        "RequestTimeout",
        "BadDigest",
        "XAmzContentSHA256Mismatch",
        "OperationAborted",
        "ConcurrentModification",
        "SlowDown",
        "InternalError",
    }
)
TRANSIENT_STATUSES = frozenset({408, 423, 429, 500, 502, 503, 504})


def is_transient(error: AuroraObjectsError, method: str = "GET") -> bool:
    """
    Tell whether the same request may succeed when it is sent again.

    :param method: Method of the request: radosgw answers a PUT whose body was cut off with 404
        ``NoSuchKey``, which is final for every other method.
    """
    if error.is_final is not None:
        return not error.is_final
    if isinstance(error, (NetworkError, MalformedAnswerError)):
        return True
    if error.code in TRANSIENT_CODES or error.http_status in TRANSIENT_STATUSES:
        return True
    return method == "PUT" and error.code == "NoSuchKey"


class Retrier:
    """
    Runs operations under one policy.

    :param policy: How often and how patiently.
    :param sleep: Waits a number of seconds.
    :param fraction: Returns a random number from 0 to 1.
    """

    def __init__(
        self,
        policy: RetryPolicy,
        *,
        sleep: Callable[[float], None] = time.sleep,
        fraction: Callable[[], float] = random.random,
    ) -> None:
        self.policy = policy
        self._sleep = sleep
        self._fraction = fraction

    def stopping_with(self, stop: Stop) -> Retrier:
        """Return a retrier whose pauses end, with the failure that caused them, at the sign."""
        return Retrier(
            self.policy, sleep=lambda seconds: _wait(stop, seconds), fraction=self._fraction
        )

    def run(
        self,
        operation: Callable[[], T],
        *,
        method: str = "GET",
        attempts: int | None = None,
        progress: Callable[[], int] = lambda: 0,
    ) -> tuple[T, tuple[str, ...]]:
        """
        Call the operation until it succeeds, fails for good, or the attempts are used up.

        :param attempts: Attempts in all, instead of the policy's.
        :param progress: Returns a number; an attempt that has moved it by :data:`PROGRESS_SIZE` or
            more was worth it, and the count starts anew.
        :return: Its result, and a text for each attempt that failed before.
        """
        history: list[str] = []
        limit = attempts or self.policy.max_attempts
        while True:
            before = progress()
            try:
                return operation(), tuple(history)
            except AuroraObjectsError as error:
                if progress() - before >= PROGRESS_SIZE:
                    history.clear()
                history.append(error.value)
                error.history = tuple(history)
                if len(history) >= limit or not is_transient(error, method):
                    raise
                self.pause(error, attempt=len(history))

    def pause(self, error: AuroraObjectsError, *, attempt: int) -> None:
        """
        Wait after a failed attempt, and say so in the log.

        :raises AuroraObjectsError: the failure itself, if what it belongs to has been stopped.
        """
        seconds = self.policy.pause_seconds(
            attempt, fraction=self._fraction(), retry_after=error.retry_after
        )
        logger.info("attempt %d failed, next in %.2f s: %s", attempt, seconds, error.value)
        try:
            self._sleep(seconds)
        except _StoppedError:
            raise error from None


class _StoppedError(Exception):
    pass


def _wait(stop: Stop, seconds: float) -> None:
    if stop.wait(seconds):
        raise _StoppedError
