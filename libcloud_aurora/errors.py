"""Every way for a request to fail, and the one table of S3's error codes.

All of these are :class:`~libcloud.common.types.LibcloudError` and carry what the server said. Their
texts hold no secret, signature or token.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import requests
from libcloud.common.types import InvalidCredsError, LibcloudError
from libcloud.storage import types


class AuroraObjectsError(LibcloudError):
    """
    A request to AuroraObjects failed, or was refused; base class of all errors of this driver.

    :ivar code: S3 error code such as ``SlowDown``, or ``None`` without a response.
    :ivar http_status: HTTP status of the response, or ``None``.
    :ivar request_id: The server's ``x-amz-request-id``, to quote to its operator, or ``None``.
    :ivar bucket: Container of the request, or ``None``.
    :ivar key: Object of the request, or ``None``.
    :ivar history: One text for each failed attempt, including the last.
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
        # How the loop of attempts treats it: see _wire.retry.
        self._said = ""
        self._retry_after = 0.0
        self._is_final: bool | None = None
        self._may_be_done = False  # by an earlier attempt
        self._keeps_parts = False

    def __str__(self) -> str:
        attempts = len(self.history)
        return f"{self.value} (after {attempts} attempts)" if attempts > 1 else str(self.value)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.value,), {**self.__dict__, "driver": None}


class ContainerNotFoundError(AuroraObjectsError, types.ContainerDoesNotExistError):
    """The container does not exist."""


class ObjectNotFoundError(AuroraObjectsError, types.ObjectDoesNotExistError):
    """The object does not exist."""


class UploadNotFoundError(AuroraObjectsError):
    """The multipart upload does not exist: it was completed or aborted."""


class ContainerExistsError(
    AuroraObjectsError, types.ContainerAlreadyExistsError, types.InvalidContainerNameError
):
    """
    A container of this name already exists, in this account or in another.

    libcloud's S3 driver has two classes for this, and this error derives from both.
    """


class ContainerNotEmptyError(AuroraObjectsError, types.ContainerIsNotEmptyError):
    """The container still holds objects, old versions or delete markers."""


class InvalidContainerNameError(AuroraObjectsError, types.InvalidContainerNameError, ValueError):
    """No container can have this name."""


class InvalidObjectNameError(AuroraObjectsError, types.ObjectDoesNotExistError, ValueError):
    """No object can have this name: a key is 1 to 1,024 bytes of UTF-8 without NUL."""


class InvalidCredentialsError(AuroraObjectsError, InvalidCredsError):
    """The access key or the secret is wrong."""


class AccessDeniedError(AuroraObjectsError):
    """The credentials are valid but do not permit this."""


class EncryptionKeyError(AuroraObjectsError):
    """A customer's key (SSE-C) is missing or wrong, or the server does not accept it."""


class HashMismatchError(AuroraObjectsError, types.ObjectHashMismatchError):
    """After all attempts, what arrived still differs from what was sent."""


class ObjectChangedError(AuroraObjectsError):
    """The object was replaced while it was being read."""


class FileChangedError(AuroraObjectsError):
    """The local file changed while it was being sent."""


class DirectoryNotFoundError(AuroraObjectsError, FileNotFoundError):
    """The directory in which a file is to be saved does not exist."""

    def __reduce__(self) -> tuple[Any, ...]:
        kind, arguments, state = super().__reduce__()
        return kind, arguments, {**state, "errno": self.errno, "filename": self.filename}


class DeleteFailedError(AuroraObjectsError):
    """
    Some objects could not be deleted. All others are, unless a whole request failed.

    :ivar failures: Name of each object that is left, and the server's reason. Of several versions
        of an object, it has only the last; the message names each.
    """

    failures: dict[str, str]


class MalformedAnswerError(AuroraObjectsError):
    """The response of the server, or of a proxy in front of it, is not S3."""


class NetworkError(AuroraObjectsError, requests.ConnectionError):
    """The server could not be reached, or the connection broke."""

    request = None
    response = None


class NetworkTimeoutError(NetworkError, requests.Timeout):
    """The server did not respond in time."""


class CDNNotSupportedError(AuroraObjectsError, NotImplementedError):
    """AuroraObjects has no CDN."""


class Meaning(NamedTuple):
    """
    What an S3 error code means.

    :ivar error: The exception that is raised.
    :ivar advice: What the reader can do about it.
    :ivar is_transient: Whether the same request may succeed when sent again.
    """

    error: type[AuroraObjectsError] = AuroraObjectsError
    advice: str = ""
    is_transient: bool = False


#: S3's error codes; any other code raises a plain :class:`AuroraObjectsError`.
#: https://docs.ceph.com/en/latest/radosgw/s3/ and the list in radosgw's rgw_common.cc.
MEANINGS: dict[str, Meaning] = {
    "NoSuchBucket": Meaning(
        ContainerNotFoundError, "Check its name, or create it with create_container()."
    ),
    "NoSuchKey": Meaning(ObjectNotFoundError),
    "NoSuchVersion": Meaning(ObjectNotFoundError),
    "NoSuchUpload": Meaning(
        UploadNotFoundError,
        "It has been completed or aborted meanwhile, perhaps by a rule of the container's "
        "lifecycle or another program. Upload the object again.",
    ),
    "BucketAlreadyExists": Meaning(
        ContainerExistsError, "If it is not yours, another account has it: choose another name."
    ),
    "BucketAlreadyOwnedByYou": Meaning(ContainerExistsError),
    "BucketNotEmpty": Meaning(
        ContainerNotEmptyError,
        "Delete its objects first. If none is listed, old versions and delete markers may be left, "
        "which ex_empty_container(container, ex_versions=True) deletes.",
    ),
    "InvalidBucketName": Meaning(
        InvalidContainerNameError, "Names are 3 to 63 lowercase letters, digits, dots and hyphens."
    ),
    "InvalidObjectName": Meaning(InvalidObjectNameError),
    "KeyTooLongError": Meaning(InvalidObjectNameError),
    "InvalidAccessKeyId": Meaning(
        InvalidCredentialsError, "Check the access key given to the driver."
    ),
    "SignatureDoesNotMatch": Meaning(
        InvalidCredentialsError,
        "Check the secret key given to the driver. If it is right, a proxy in front of the server "
        "changes the path, the Host or a header of requests.",
    ),
    "Unauthorized": Meaning(InvalidCredentialsError, "Check the keys given to the driver."),
    "InvalidToken": Meaning(InvalidCredentialsError),
    "ExpiredToken": Meaning(InvalidCredentialsError),
    "AccessDenied": Meaning(
        AccessDeniedError,
        "The container may belong to another account, or its policy forbids this. Without the "
        "right to list the container, an object that does not exist is refused, too. An account, "
        "or all of the server, may also be read-only.",
    ),
    "UserSuspended": Meaning(AccessDeniedError, "Ask the operator to enable the account."),
    "RequestTimeTooSkewed": Meaning(advice="Set this machine's clock."),
    "InvalidRange": Meaning(advice="The range starts at or after the end of the object."),
    "InvalidArgument": Meaning(
        advice="Check the values given, such as an ACL, a storage class, or those in headers."
    ),
    "TooManyBuckets": Meaning(advice="Delete containers, or ask the operator for a higher limit."),
    "QuotaExceeded": Meaning(
        advice="Ask the operator for more space, or delete objects. Unfinished uploads count, too: "
        "ex_cleanup_all_multipart_uploads(container) aborts them."
    ),
    "InsufficientCapacity": Meaning(advice="The cluster is full: ask its operator for space."),
    "EntityTooLarge": Meaning(
        advice="One request may carry 5 GiB at most, or less where the operator says so "
        "(rgw_max_put_size): lower ex_part_size, or ask for a higher limit."
    ),
    "EntityTooSmall": Meaning(
        advice="This server wants larger parts (rgw_multipart_min_part_size): raise ex_part_size."
    ),
    # The next three are about the body of a request, which is sent again from its source.
    "BadDigest": Meaning(HashMismatchError, is_transient=True),
    "XAmzContentSHA256Mismatch": Meaning(HashMismatchError, is_transient=True),
    "RequestTimeout": Meaning(is_transient=True),
    "SlowDown": Meaning(
        advice="The server limits the rate of requests: raise ex_max_attempts, or lower "
        "ex_max_concurrency.",
        is_transient=True,
    ),
    "ServiceUnavailable": Meaning(  # all that a HEAD shows of SlowDown
        advice="The server is busy, limits the rate of requests, or cannot reach its master zone: "
        "raise ex_max_attempts, or lower ex_max_concurrency.",
        is_transient=True,
    ),
    "OperationAborted": Meaning(is_transient=True),
    "ConcurrentModification": Meaning(is_transient=True),
    "InternalError": Meaning(is_transient=True),
}

#: Codes for error responses without one, by status, if the status's phrase is not the code.
CODES_BY_STATUS: dict[int, str] = {
    200: "InternalError",  # an error that came after the status
    403: "AccessDenied",
    411: "MissingContentLength",
    413: "RequestEntityTooLarge",  # the phrase differs between versions of Python
    414: "RequestURITooLong",
    416: "InvalidRange",
    500: "InternalError",
}
#: The same for requests that create or delete a container.
CODES_OF_CONTAINERS: dict[str, dict[int, str]] = {
    "PUT": {400: "InvalidBucketName", 409: "BucketAlreadyExists"},
    "DELETE": {409: "BucketNotEmpty"},
}
#: Statuses that are transient, whatever the code: 499 is Traefik's for a body that took too long,
#: and those from 520 on are Cloudflare's.
TRANSIENT_STATUSES = frozenset({408, 423, 429, 499, 500, 502, 503, 504, 520, 521, 522, 523, 524})
