"""The constructor's arguments, checked in one place."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from libcloud_aurora._signing import Credentials
from libcloud_aurora.config import RetryPolicy, TransferConfig, check_number

if TYPE_CHECKING:
    from typing_extensions import Self

#: A name or an address of IPv4, or an address of IPv6.
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.%]*:[0-9A-Fa-f:.%]*:[0-9A-Za-z:.%]*")
#: Of what goes into headers consists, and what is only signed with. No message shows any of it.
_SENT = re.compile(r"(?! )[ -~]*(?<! )")
_SIGNED_WITH = re.compile(r"(?! )[^\x00-\x1f\x7f]*(?<! )")


class _Arguments(NamedTuple):
    key: str
    secret: str
    secure: bool
    host: str
    port: int | None
    api_version: str | None
    region: str | None
    token: str | None
    timeout: float | None
    retry_delay: float | None
    backoff: float | None
    proxy_url: str | None
    ex_part_size: int
    ex_max_concurrency: int | None
    ex_max_attempts: int
    ex_verify: bool
    ex_verify_ssl: bool | str


class Settings(_Arguments):
    """
    What a driver was made with; another one made with the same is its copy.

    :raises ValueError: naming the argument that is wrong.
    """

    __slots__ = ()

    def __new__(cls, **arguments: Any) -> Self:
        made = super().__new__(cls, **arguments)
        made._check()
        return made

    def __getnewargs_ex__(self) -> tuple[tuple[()], dict[str, Any]]:
        return (), self._asdict()

    def __repr__(self) -> str:
        """Show what is no secret: a proxy's URL may hold a password."""
        return f"Settings(key={self.key!r}, host={self.host!r}, port={self.port!r})"

    def _check(self) -> None:
        for name in ("key", "secret"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value:
                raise ValueError(f"{name} must be a text that is not empty")
        for name, form in (("key", _SENT), ("token", _SENT), ("secret", _SIGNED_WITH)):
            if not form.fullmatch(getattr(self, name) or "-"):
                raise ValueError(f"{name} holds what cannot be sent: is there a line end after it?")
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
        return self._asdict()

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
