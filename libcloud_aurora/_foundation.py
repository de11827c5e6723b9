"""What the driver stands on: its settings, its connections, and the one way to send a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from libcloud.storage.base import Container, Object
from libcloud.storage.drivers.s3 import BaseS3StorageDriver

from libcloud_aurora import _paths, _values
from libcloud_aurora._clock import Clock
from libcloud_aurora._encryption import CustomerKey
from libcloud_aurora._keyed import keyed
from libcloud_aurora._listing import Listing
from libcloud_aurora._resources import Resources
from libcloud_aurora._response import AuroraResponse
from libcloud_aurora._retry import Retrier
from libcloud_aurora._settings import Settings, warn_unknown
from libcloud_aurora._signing import Signer
from libcloud_aurora._target import Target
from libcloud_aurora._transport import AuroraTransport
from libcloud_aurora.config import MIN_PART_SIZE
from libcloud_aurora.connection import AuroraObjectsConnection

if TYPE_CHECKING:
    from typing_extensions import Self


class Foundation(BaseS3StorageDriver):
    """Construction, connections and requests of a driver."""

    connectionCls: type[AuroraObjectsConnection]

    def __init__(
        self,
        key: str,
        secret: str | None = None,
        secure: bool = True,
        host: str | None = None,
        port: int | None = None,
        api_version: str | None = None,
        region: str | None = None,
        token: str | None = None,
        timeout: float | None = None,
        retry_delay: float | None = None,
        backoff: float | None = None,
        proxy_url: str | None = None,
        *,
        ex_part_size: int = MIN_PART_SIZE,
        ex_max_concurrency: int | None = None,
        ex_max_attempts: int = 5,
        ex_verify: bool = True,
        ex_verify_ssl: bool | str = True,
        **unknown: Any,
    ) -> None:
        """
        Unknown keywords only warn, because programs pass whole profiles.

        :param key: Access key.
        :type key: ``str``

        :param secret: Secret key.
        :type secret: ``str``

        :param secure: Whether to use https.
        :type secure: ``bool``

        :param host: Another endpoint than ``o.auroraobjects.eu``, without scheme.
        :type host: ``str``

        :param port: Another port than 443 (https) or 80 (http).
        :type port: ``int``

        :param region: Region to sign for, ``us-east-1`` if not given; radosgw accepts any.
        :type region: ``str``

        :param token: Session token of temporary credentials.
        :type token: ``str``

        :param timeout: Seconds to wait for a connection and for each read and write, 60 by
            default.
        :type timeout: ``float``

        :param retry_delay: Longest first pause before a request is repeated, in seconds.
        :type retry_delay: ``float``

        :param backoff: Factor by which that pause grows from attempt to attempt.
        :type backoff: ``float``

        :param proxy_url: Proxy for this driver; the environment's are used if not given.
        :type proxy_url: ``str``

        :param ex_part_size: Bytes of a part while 10,000 parts suffice, 5 MiB to 5 GiB.
        :type ex_part_size: ``int``

        :param ex_max_concurrency: Requests of one transfer at once; 1 starts no thread. Files
            have 16 if it is not given and streams 10. Memory of a stream going up:
            ``ex_max_concurrency * ex_part_size``, or one part that has grown beyond that, and the
            part that is being read.
        :type ex_max_concurrency: ``int``

        :param ex_max_attempts: Attempts for each request, the first one included.
        :type ex_max_attempts: ``int``

        :param ex_verify: Whether downloads are compared with the object's ETag.
        :type ex_verify: ``bool``

        :param ex_verify_ssl: ``False`` to accept any certificate, or the path of a CA bundle.
        :type ex_verify_ssl: ``bool`` or ``str``

        :raises ValueError: if an argument is wrong; the message names it.
        """
        warn_unknown(unknown)
        self._settings = Settings(
            key=key,
            secret=secret or "",
            secure=secure,
            host=host or self.connectionCls.host,
            port=port,
            api_version=api_version,
            region=region,
            token=token,
            timeout=timeout,
            retry_delay=retry_delay,
            backoff=backoff,
            proxy_url=proxy_url,
            ex_part_size=ex_part_size,
            ex_max_concurrency=ex_max_concurrency,
            ex_max_attempts=ex_max_attempts,
            ex_verify=ex_verify,
            ex_verify_ssl=ex_verify_ssl,
        )
        self._transfer = self._settings.transfer
        self._retrier = Retrier(self._settings.retry)
        self._signer = Signer(self._settings.credentials, region or "us-east-1")
        self._clock = Clock()
        self._resources = Resources(self._transfer.file_concurrency)
        self.token = token
        self.region_name = self._signer.region
        super().__init__(  # type: ignore[no-untyped-call]
            key,
            secret,
            secure=secure,
            host=self._settings.host,
            port=port,
            api_version=api_version,
            region=region,
            timeout=timeout,
            retry_delay=retry_delay,
            backoff=backoff,
            proxy_url=proxy_url,
        )

    # Life

    def close(self) -> None:
        """End this driver's threads and close its connections; it may be used again."""
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self._settings)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: host={self._settings.host}, key={self.key}>"

    # Connections

    @property  # type: ignore[override]
    def connection(self) -> AuroraObjectsConnection:
        """The calling thread's libcloud connection."""
        return self._shared().connection(self._connect)

    @connection.setter
    def connection(self, connection: AuroraObjectsConnection) -> None:
        self._equip(connection)
        self._shared().set_connection(connection)

    def _shared(self) -> Resources:
        if not self._resources.usable():
            self._resources = Resources(self._transfer.file_concurrency)
        return self._resources

    def _connect(self) -> AuroraObjectsConnection:
        settings = self._settings
        connection = self.connectionCls(
            settings.key,
            settings.secret,
            settings.secure,
            settings.host,
            settings.port,
            timeout=settings.timeout,
            proxy_url=settings.proxy_url,
            retry_delay=settings.retry_delay,
            backoff=settings.backoff,
        )
        connection.driver = self
        self._equip(connection)
        connection.connect()
        return connection

    def _equip(self, connection: AuroraObjectsConnection) -> None:
        connection.signer = self._signer
        connection.clock = self._clock
        connection.retrier = self._retrier
        connection.transport_settings = {
            "adapter": self._shared().adapter,
            "verify_ssl": self._settings.ex_verify_ssl,
        }

    def _open_ahead(self, count: int) -> None:
        """
        Open connections for requests that come at once, while the one before them is under way.

        On a network that one has opened one of its own by then, which makes one too many.
        """
        transport = self.connection.connection
        count = min(count, self._transfer.file_concurrency)
        if count > 1 and isinstance(transport, AuroraTransport):
            transport.open_ahead(count, self._shared().workers.submit)

    # Requests

    def _request(self, path: str, **arguments: Any) -> AuroraResponse:
        return self.connection.request(path, **arguments)

    def _get_container_path(self, container: Container) -> str:
        return _paths.container_path(container, self)

    def _get_object_path(self, container: Container, object_name: str) -> str:
        bucket = self._get_container_path(container)
        return f"{bucket}/{_paths.quote_key(object_name, self, container.name)}"

    def _path_of(self, obj: Object) -> str:
        """
        Return the path of a libcloud object.

        :raises TypeError: if it is something else, such as a name.
        """
        if not hasattr(obj, "container"):
            raise TypeError(f"obj must be an Object, not {type(obj).__name__}")
        return self._get_object_path(obj.container, obj.name)

    def _clean_object_name(self, name: str) -> str:
        return _paths.quote_key(name, self)

    def _to_storage_class_headers(self, storage_class: str | None) -> dict[str, str]:
        return _values.storage_class_headers(storage_class)

    def _listing(self) -> Listing:
        ahead = self._shared().workers if self._transfer.file_concurrency > 1 else None
        return Listing(self._request, self._retrier, ahead, self)

    def _target(
        self, container: Container, object_name: str, key: CustomerKey | None = None
    ) -> Target:
        return Target(
            keyed(self._request, key),
            path=self._get_object_path(container, object_name),
            bucket_path=self._get_container_path(container),
            key=object_name,
        )

    def _look(self, container: Container, object_name: str, key: CustomerKey | None) -> Object:
        """Ask the server about an object."""
        path = self._get_object_path(container, object_name)
        request = keyed(self._request, key)
        response = request(path, method="HEAD", accept=AuroraResponse.object_size)
        return _values.object_from_headers(object_name, container, response.headers, self)


def _rebuild(kind: type[Foundation], settings: Settings) -> Foundation:
    return kind(**settings.arguments())
