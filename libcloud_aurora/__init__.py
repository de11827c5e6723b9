"""The AuroraObjects storage driver for Apache Libcloud.

Importing this package registers the driver, so that ``get_driver("auroraobjects")`` returns it.
"""

from __future__ import annotations

import logging

from libcloud.storage.providers import DRIVERS
from libcloud.storage.types import Provider

from libcloud_aurora._transfer.object_file import ObjectReader, ObjectWriter
from libcloud_aurora.driver import AuroraObjectsStorageDriver
from libcloud_aurora.errors import (
    AccessDeniedError,
    AuroraObjectsError,
    CDNNotSupportedError,
    ContainerExistsError,
    ContainerNotEmptyError,
    ContainerNotFoundError,
    DeleteFailedError,
    DirectoryNotFoundError,
    EncryptionKeyError,
    FileChangedError,
    HashMismatchError,
    InvalidContainerNameError,
    InvalidCredentialsError,
    InvalidObjectNameError,
    MalformedAnswerError,
    NetworkError,
    NetworkTimeoutError,
    ObjectChangedError,
    ObjectNotFoundError,
    UploadNotFoundError,
)

__version__ = "1.0.0"

__all__ = [
    "AccessDeniedError",
    "AuroraObjectsError",
    "AuroraObjectsStorageDriver",
    "CDNNotSupportedError",
    "ContainerExistsError",
    "ContainerNotEmptyError",
    "ContainerNotFoundError",
    "DeleteFailedError",
    "DirectoryNotFoundError",
    "EncryptionKeyError",
    "FileChangedError",
    "HashMismatchError",
    "InvalidContainerNameError",
    "InvalidCredentialsError",
    "InvalidObjectNameError",
    "MalformedAnswerError",
    "NetworkError",
    "NetworkTimeoutError",
    "ObjectChangedError",
    "ObjectNotFoundError",
    "ObjectReader",
    "ObjectWriter",
    "UploadNotFoundError",
    "__version__",
    "register",
]

logging.getLogger("libcloud_aurora").addHandler(logging.NullHandler())


def register() -> None:
    """
    Make libcloud's look-ups of ``auroraobjects`` return this driver; importing already does so.

    libcloud's ``set_driver`` refuses a name that is taken, so this replaces the entry and changes
    nothing else in libcloud.
    """
    DRIVERS[Provider.AURORAOBJECTS] = ("libcloud_aurora", AuroraObjectsStorageDriver.__name__)


register()
