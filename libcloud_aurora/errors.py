"""Every way to fail, and the one table from S3 error code to exception.

All errors are :class:`~libcloud.common.types.LibcloudError` and carry what the server said. Their
texts hold no secret, signature or token.
"""

from __future__ import annotations

from typing import Any

import requests
from libcloud.common.types import InvalidCredsError, LibcloudError
from libcloud.storage.types import (
    ContainerAlreadyExistsError,
    ContainerDoesNotExistError,
    ContainerIsNotEmptyError,
    InvalidContainerNameError,
    ObjectDoesNotExistError,
    ObjectHashMismatchError,
)


class AuroraObjectsError(LibcloudError):
    """
    A request to AuroraObjects failed; the base of all errors of this driver but the CDN's.

    :ivar code: S3 error code such as ``SlowDown``, or ``None`` when no server spoke.
    :ivar http_status: Status of the answer, or ``None``.
    :ivar request_id: The server's ``x-amz-request-id``, to quote to its operator, or ``None``.
    :ivar bucket: Container of the request, or ``None``.
    :ivar key: Object of the request, or ``None``.
    :ivar history: One text per failed attempt, the last one included.
    """

    def __init__(
        self,
        message: str,
        *,
        driver: Any = None,
        code: str | None = None,
        http_status: int | None = None,
        request_id: str | None = None,
        bucket: str | None = None,
        key: str | None = None,
    ) -> None:
        Exception.__init__(self, message)
        self.value = message
        self.driver = driver
        self.code = code
        self.http_status = http_status
        self.http_code: Any = http_status
        self.request_id = request_id
        self.bucket = self.container_name = bucket
        self.key = self.object_name = key
        self.history: tuple[str, ...] = ()
        self.retry_after = 0.0
        self.is_final: bool | None = None
        self.server_date: str | None = None

    def __str__(self) -> str:
        attempts = len(self.history)
        return f"{self.value} (after {attempts} attempts)" if attempts > 1 else str(self.value)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, (type(self), {**self.__dict__, "driver": None})


def _unpickle(kind: type[AuroraObjectsError], state: dict[str, Any]) -> AuroraObjectsError:
    error = kind(state["value"])
    error.__dict__.update(state)
    return error


class BucketNotFoundError(AuroraObjectsError, ContainerDoesNotExistError):
    """The container does not exist."""


class KeyNotFoundError(AuroraObjectsError, ObjectDoesNotExistError):
    """The object does not exist."""


class UploadNotFoundError(AuroraObjectsError):
    """The multipart upload does not exist: it was completed or aborted."""


class BucketExistsError(AuroraObjectsError, ContainerAlreadyExistsError):
    """A container of this name exists already, here or in another account."""


class BucketNotEmptyError(AuroraObjectsError, ContainerIsNotEmptyError):
    """The container still holds objects."""


class InvalidBucketNameError(AuroraObjectsError, InvalidContainerNameError, ValueError):
    """No container can have this name."""


class InvalidKeyError(AuroraObjectsError, ObjectDoesNotExistError, ValueError):
    """No object can have this name: a key is 1 to 1,024 bytes of UTF-8 without NUL."""


class InvalidCredentialsError(AuroraObjectsError, InvalidCredsError):
    """The access key or the secret is wrong."""


class AccessDeniedError(AuroraObjectsError):
    """The credentials are right, but this account may not do this."""


class EncryptionKeyError(AuroraObjectsError):
    """The object needs a customer's key (SSE-C), or another one, or the server takes none."""


class HashMismatchError(AuroraObjectsError, ObjectHashMismatchError):
    """What arrived is not what was sent, again and again."""


class ObjectChangedError(AuroraObjectsError):
    """The object was replaced while it was read."""


class FileChangedError(AuroraObjectsError):
    """The local file changed while it was sent."""


class DeleteFailedError(AuroraObjectsError):
    """
    Some of many objects could not be deleted; the others are, unless a whole request failed.

    :ivar failures: Name of each object that is left, and what the server said about it.
    """

    failures: dict[str, str]


class MalformedAnswerError(AuroraObjectsError):
    """The server, or a proxy before it, answered something that is not S3."""


class NetworkError(AuroraObjectsError, requests.ConnectionError):
    """The server could not be reached, or the connection broke."""

    request = None
    response = None


class NetworkTimeoutError(NetworkError, requests.Timeout):
    """The server did not answer in time."""


class CDNNotSupportedError(LibcloudError, NotImplementedError):
    """AuroraObjects has no CDN."""

    def __str__(self) -> str:
        return str(self.value)

    def __reduce__(self) -> tuple[Any, ...]:
        return CDNNotSupportedError, (self.value,)


#: S3 error code to exception; any other code is a plain :class:`AuroraObjectsError`.
#: https://docs.ceph.com/en/latest/radosgw/s3/ and the list in radosgw's rgw_common.cc.
ERROR_CLASSES: dict[str, type[AuroraObjectsError]] = {
    "NoSuchBucket": BucketNotFoundError,
    "NoSuchKey": KeyNotFoundError,
    "NoSuchUpload": UploadNotFoundError,
    "BucketAlreadyExists": BucketExistsError,
    "BucketAlreadyOwnedByYou": BucketExistsError,
    "BucketNotEmpty": BucketNotEmptyError,
    "InvalidBucketName": InvalidBucketNameError,
    "InvalidObjectName": InvalidKeyError,
    "KeyTooLongError": InvalidKeyError,
    "InvalidAccessKeyId": InvalidCredentialsError,
    "SignatureDoesNotMatch": InvalidCredentialsError,
    "InvalidToken": InvalidCredentialsError,
    "ExpiredToken": InvalidCredentialsError,
    "AccessDenied": AccessDeniedError,
    "UserSuspended": AccessDeniedError,
    "BadDigest": HashMismatchError,
    "XAmzContentSHA256Mismatch": HashMismatchError,
}
