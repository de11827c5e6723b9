"""The constructor's arguments, checked in one place."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from libcloud_aurora._signing import Credentials
from libcloud_aurora.config import RetryPolicy, TransferConfig, check_number

#: A name or an address of IPv4, or an address of IPv6.
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.%]*:[0-9A-Fa-f:.%]*:[0-9A-Za-z:.%]*")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """
    What a driver was made with; another one made with the same is its copy.

    :raises ValueError: naming the argument that is wrong.
    """

    key: str
    secret: str = field(repr=False)
    secure: bool
    host: str
    port: int | None
    api_version: str | None
    region: str | None
    token: str | None = field(repr=False)
    timeout: float | None
    retry_delay: float | None
    backoff: float | None
    proxy_url: str | None = field(repr=False)
    ex_part_size: int
    ex_max_concurrency: int | None
    ex_max_attempts: int
    ex_verify: bool
    ex_verify_ssl: bool | str

    def __post_init__(self) -> None:
        for name in ("key", "secret"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value:
                raise ValueError(f"{name} must be a text that is not empty")
        self._check_endpoint()
        if self.timeout is not None:
            check_number("timeout", self.timeout, low=0.001, high=86_400)
        bundle = self.ex_verify_ssl
        if not isinstance(bundle, bool) and not (
            isinstance(bundle, str) and os.path.exists(bundle)
        ):
            raise ValueError(
                f"ex_verify_ssl must be True, False or the path of a CA bundle, not {bundle!r}"
            )
        _ = self.transfer, self.retry

    def _check_endpoint(self) -> None:
        if not isinstance(self.host, str) or not _HOST.fullmatch(self.host):
            raise ValueError(
                f"host must be a bare host name without scheme and port, not {self.host!r}"
            )
        if self.port is not None:
            text = str(self.port)
            number = int(text) if text.isascii() and text.isdigit() else self.port
            check_number("port", number, low=1, high=65535, integer=True)

    def arguments(self) -> dict[str, Any]:
        """Return what to give a constructor to get the same settings."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @property
    def credentials(self) -> Credentials:
        return Credentials(self.key, self.secret, self.token)

    @property
    def transfer(self) -> TransferConfig:
        return TransferConfig(
            part_size=self.ex_part_size,
            max_concurrency=self.ex_max_concurrency,
            verify=self.ex_verify,
        )

    @property
    def retry(self) -> RetryPolicy:
        given = {"delay_seconds": self.retry_delay, "backoff": self.backoff}
        chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        return RetryPolicy(max_attempts=self.ex_max_attempts, **chosen)


def warn_unknown(unknown: Mapping[str, object]) -> None:
    """Warn about arguments this driver does not know; programs pass whole profiles."""
    for name in unknown:
        warnings.warn(f"AuroraObjects does not know the argument {name!r}", stacklevel=4)
