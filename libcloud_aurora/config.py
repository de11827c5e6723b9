"""Frozen settings, checked when they are made. Sizes are bytes, times are seconds.

They are named tuples, because importing :mod:`dataclasses`, and the code it writes for each class,
took as long as all other imports of this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from typing_extensions import Self

MIB = 1024**2
GIB = 1024**3

#: Smallest part radosgw accepts, except for the last (``rgw_multipart_min_part_size``).
MIN_PART_SIZE = 5 * MIB
#: Largest part and largest single PUT (``rgw_max_put_size``).
MAX_PART_SIZE = 5 * GIB
#: Most parts of one upload (``rgw_multipart_part_upload_limit``).
MAX_PARTS = 10_000
#: Requests at once for a file. Measured: 16 send 26 parts in two rounds, 10 need three.
FILE_CONCURRENCY = 16
#: Parts or ranges of a stream at once: 11 parts of 5 MiB, one being read, stay below 64 MiB.
STREAM_CONCURRENCY = 10
#: Largest object the AuroraObjects documentation promises.
MAX_OBJECT_SIZE = 5 * 1024**4


def check_number(
    name: str, value: Any, *, low: float, high: float = float("inf"), integer: bool = False
) -> None:
    """
    Check one numeric argument.

    :param name: Name of the argument, used in the error.
    :type name: ``str``

    :param value: What the caller gave.

    :param low: Smallest value allowed.
    :type low: ``float``

    :param high: Largest value allowed.
    :type high: ``float``

    :param integer: Whether fractions are refused.
    :type integer: ``bool``

    :raises ValueError: if the value is not a number in the range.
    """
    fits = isinstance(value, int if integer else (int, float)) and not isinstance(value, bool)
    if not fits or not low <= value <= high:
        kind = "an integer" if integer else "a number"
        limit = f"of at least {low}" if high == float("inf") else f"from {low} to {high}"
        raise ValueError(f"{name} must be {kind} {limit}, not {value!r}")


class _Transfer(NamedTuple):
    part_size: int
    max_concurrency: int | None
    verify: bool


class TransferConfig(_Transfer):
    """
    How objects are cut and moved.

    :param part_size: Bytes per part while 10,000 parts suffice; 5 MiB to 5 GiB.
    :param max_concurrency: Requests of one transfer in flight at once; 1 starts no thread. ``None``
        for the defaults of files and of streams.
    :param verify: Whether downloads are compared with the ETag.
    :raises ValueError: naming the driver's argument.
    """

    __slots__ = ()

    def __new__(
        cls,
        *,
        part_size: int = MIN_PART_SIZE,
        max_concurrency: int | None = None,
        verify: bool = True,
    ) -> Self:
        check_number("ex_part_size", part_size, low=MIN_PART_SIZE, high=MAX_PART_SIZE, integer=True)
        if max_concurrency is not None:
            check_number("ex_max_concurrency", max_concurrency, low=1, high=256, integer=True)
        if not isinstance(verify, bool):
            raise ValueError(f"ex_verify must be True or False, not {verify!r}")
        return super().__new__(cls, part_size, max_concurrency, verify)

    def __getnewargs_ex__(self) -> tuple[tuple[()], dict[str, Any]]:
        return (), self._asdict()

    @property
    def file_concurrency(self) -> int:
        """Most requests of one transfer at once, where none needs more than 1 MiB of memory."""
        return self.max_concurrency or FILE_CONCURRENCY

    @property
    def stream_concurrency(self) -> int:
        """Most parts or ranges of one stream that are held in memory."""
        return self.max_concurrency or STREAM_CONCURRENCY


class _Retry(NamedTuple):
    max_attempts: int
    delay_seconds: float
    backoff: float
    max_delay_seconds: float


class RetryPolicy(_Retry):
    """
    How often and how patiently one request is repeated.

    :param max_attempts: Attempts in all, the first included.
    :param delay_seconds: Upper bound of the first pause; the pause is random ("full jitter").
    :param backoff: Factor by which that bound grows from attempt to attempt.
    :param max_delay_seconds: Cap on every pause, a server's ``Retry-After`` included.
    :raises ValueError: naming the driver's argument.
    """

    __slots__ = ()

    def __new__(
        cls,
        *,
        max_attempts: int = 5,
        delay_seconds: float = 0.5,
        backoff: float = 2.0,
        max_delay_seconds: float = 20.0,
    ) -> Self:
        check_number("ex_max_attempts", max_attempts, low=1, high=100, integer=True)
        check_number("retry_delay", delay_seconds, low=0, high=3600)
        check_number("backoff", backoff, low=1, high=100)
        return super().__new__(cls, max_attempts, delay_seconds, backoff, max_delay_seconds)

    def __getnewargs_ex__(self) -> tuple[tuple[()], dict[str, Any]]:
        return (), self._asdict()

    def pause_seconds(self, attempt: int, *, fraction: float, retry_after: float = 0.0) -> float:
        """
        Return how long to wait after a failed attempt.

        :param attempt: Number of the attempt that failed, from 1.
        :type attempt: ``int``

        :param fraction: Random number from 0 to 1.
        :type fraction: ``float``

        :param retry_after: Seconds the server asked for (RFC 9110, section 10.2.3).
        :type retry_after: ``float``

        :return: Seconds, never more than ``max_delay_seconds``.
        :rtype: ``float``
        """
        grown = self.delay_seconds * self.backoff ** (attempt - 1)
        return min(
            max(min(grown, self.max_delay_seconds) * fraction, retry_after), self.max_delay_seconds
        )
