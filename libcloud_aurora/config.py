"""Settings, checked when they are made. Sizes are in bytes, times in seconds."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

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
#: Largest object that AuroraObjects' documentation promises.
MAX_OBJECT_SIZE = 5 * 1024**4
#: Bytes that are read, signed or written at once, and the size of a transfer's buffers.
#: Measured: 256 KiB use a tenth more CPU.
BUFFER_SIZE = MIB

#: A name or an IPv4 address, or an IPv6 address.
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.%]*:[0-9A-Fa-f:.%]*:[0-9A-Za-z:.%]*")
#: A region: part of the scope of credentials, between slashes.
_REGION = re.compile(r"[!-.0-~]*")
#: What goes into headers, and what only signs. No message shows either.
_SENT = re.compile(r"(?! )[ -~]*(?<! )")
_SIGNED_WITH = re.compile(r"(?! )[^\x00-\x1f\x7f]*(?<! )")


def check_number(
    name: str, value: Any, *, low: float, high: float = float("inf"), integer: bool = False
) -> None:
    """
    Check one numeric argument.

    :param name: Name of the argument, used in the error.
    :param low: Smallest value allowed.
    :param high: Largest value allowed.
    :param integer: Whether fractions are refused.
    :raises ValueError: if the value is not a number in that range.
    """
    fits = isinstance(value, int if integer else (int, float)) and not isinstance(value, bool)
    if not fits or not low <= value <= high:
        kind = "an integer" if integer else "a number"
        limit = f"of at least {low}" if high == float("inf") else f"from {low} to {high}"
        raise ValueError(f"{name} must be {kind} {limit}, not {value!r}")


class TransferConfig(NamedTuple):
    """
    How objects are cut and moved.

    :ivar part_size: Bytes per part while 10,000 parts suffice.
    :ivar file_concurrency: Most requests of one transfer at once; 1 starts no thread.
    :ivar stream_concurrency: Most parts or ranges of one stream that are held in memory.
    :ivar verify: Whether downloads are compared with the checksum or the ETag.
    """

    part_size: int
    file_concurrency: int
    stream_concurrency: int
    verify: bool

    @property
    def upload_memory(self) -> int:
        """Most bytes of a stream that an upload holds, except for a part that is larger."""
        return self.stream_concurrency * self.part_size


class RetryPolicy(NamedTuple):
    """
    How often and how patiently one request is repeated.

    :ivar max_attempts: Attempts in all, including the first.
    :ivar delay_seconds: Upper limit of the first pause. A pause is random, but at least half its
        limit: otherwise, the hastiest of many requests would give up in a second.
    :ivar backoff: Factor by which that limit grows from attempt to attempt.
    :ivar max_delay_seconds: Limit of every pause, even one that ``Retry-After`` asks for.
    """

    max_attempts: int = 5
    delay_seconds: float = 0.5
    backoff: float = 2.0
    max_delay_seconds: float = 20.0

    def pause_seconds(self, attempt: int, *, fraction: float, retry_after: float = 0.0) -> float:
        """
        Return how long to wait after a failed attempt.

        :param attempt: Number of the attempt that failed, from 1.
        :param fraction: Random number from 0 to 1.
        :param retry_after: Seconds the server asked for (RFC 9110, section 10.2.3).
        """
        longest = self.max_delay_seconds
        grown = self.delay_seconds * self.backoff ** min(attempt - 1, 64)
        return min(max(min(grown, longest) * (1 + fraction) / 2, retry_after), longest)


class Settings(NamedTuple):
    """
    What a driver is made with; a driver made with the same :attr:`arguments` is a copy.

    :ivar arguments: The constructor's arguments by name, with libcloud's defaults filled in.
    """

    arguments: Mapping[str, Any]
    transfer: TransferConfig
    retry: RetryPolicy

    def __repr__(self) -> str:
        return f"Settings({self.transfer}, {self.retry})"  # the arguments have secrets

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> Settings:
        """
        Return the settings that arguments make.

        :raises ValueError: naming the argument that is wrong.
        """
        ssl = arguments["ex_verify_ssl"]
        ssl = os.fspath(ssl) if isinstance(ssl, os.PathLike) else ssl
        ssl = os.path.abspath(ssl) if isinstance(ssl, str) and ssl else ssl
        given = {**arguments, "host": _host(arguments["host"]), "ex_verify_ssl": ssl}
        if given["secure"] not in (True, False):  # None would be a missing setting
            raise ValueError(f"secure must be True or False, not {given['secure']!r}")
        for name in ("ex_verify", "ex_allow_plain_keys", "ex_anonymous"):
            if not isinstance(given[name], bool):
                raise ValueError(f"{name} must be True or False, not {given[name]!r}")
        _check_credentials(given)
        region = given["region"]
        if not isinstance(region or "", str) or not _REGION.fullmatch(region or ""):
            raise ValueError(f"region must be ASCII without spaces and slashes, not {region!r}")
        _check_numbers(given)
        if not isinstance(ssl, bool) and not (isinstance(ssl, str) and os.access(ssl, os.R_OK)):
            raise ValueError(
                "ex_verify_ssl must be True, False or the path of a CA bundle that can be read, "
                f"not {ssl!r}"
            )
        concurrency = given["ex_max_concurrency"]
        transfer = TransferConfig(
            given["ex_part_size"],
            file_concurrency=concurrency or FILE_CONCURRENCY,
            stream_concurrency=concurrency or STREAM_CONCURRENCY,
            verify=given["ex_verify"],
        )
        pauses = {"delay_seconds": given["retry_delay"], "backoff": given["backoff"]}
        set_pauses = {name: value for name, value in pauses.items() if value is not None}
        return cls(given, transfer, RetryPolicy(given["ex_max_attempts"], **set_pauses))

    def libcloud_arguments(self) -> dict[str, Any]:
        """Return the arguments that libcloud's own drivers take."""
        return {
            name: value
            for name, value in self.arguments.items()
            if name != "token" and not name.startswith("ex_")
        }


def _check_credentials(arguments: Mapping[str, Any]) -> None:
    if arguments["ex_anonymous"]:
        given = [name for name in ("key", "secret", "token") if arguments[name]]
        if given:
            raise ValueError(f"{given[0]} cannot be combined with ex_anonymous=True")
        return
    for name in ("key", "secret"):
        value = arguments[name]
        if not isinstance(value, str) or not value:
            raise ValueError(f"{name} must be non-empty text, unless ex_anonymous=True")
    for name, form in (("key", _SENT), ("token", _SENT), ("secret", _SIGNED_WITH)):
        if not form.fullmatch(arguments[name] or "-"):
            raise ValueError(
                f"{name} has characters that cannot be sent: is there a space or a newline at its "
                "end or beginning?"
            )


def _host(given: Any) -> str:
    """
    Return a host as it is signed and sent.

    radosgw takes a name that ends with a dot for a container's, and clients that are given a URL
    send its host in lower case.
    """
    host = given if isinstance(given, str) else ""
    host = (host if "%" in host else host.lower()).rstrip(".")
    if not _HOST.fullmatch(host):
        raise ValueError(f"host must be a bare host name without scheme and port, not {given!r}")
    return host


def _check_numbers(arguments: Mapping[str, Any]) -> None:
    if arguments["port"] is not None:
        text = str(arguments["port"])
        number = int(text) if text.isascii() and text.isdigit() else arguments["port"]
        check_number("port", number, low=1, high=65535, integer=True)
    limits = {"timeout": (0.001, 86_400), "retry_delay": (0, 3600), "backoff": (1, 100)}
    whole = {
        "ex_part_size": (MIN_PART_SIZE, MAX_PART_SIZE),
        "ex_max_attempts": (1, 100),
        "ex_max_concurrency": (1, 256),
    }
    for name, (low, high) in {**limits, **whole}.items():
        value = arguments[name]
        if value is not None or name in ("ex_part_size", "ex_max_attempts"):
            check_number(name, value, low=low, high=high, integer=name in whole)
