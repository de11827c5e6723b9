"""The driver: libcloud's methods of objects and uploads, and where the others are."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from libcloud.storage.base import Container, Object
from libcloud.storage.types import Provider

from libcloud_aurora._cdn import NoCDN
from libcloud_aurora._encryption import customer_key
from libcloud_aurora._extensions import Extensions
from libcloud_aurora._file_parts import FileParts
from libcloud_aurora._reading import Reading
from libcloud_aurora._sources import StreamParts
from libcloud_aurora.connection import AuroraObjectsConnection

Progress = Callable[[int, "int | None"], object]


class AuroraObjectsStorageDriver(NoCDN, Extensions, Reading):
    """
    Storage driver for AuroraObjects, an object store on Ceph (radosgw, the S3 protocol).

    Nobody is contacted when it is made. One driver may be used by any number of threads; it can be
    pickled (the secret travels along), and after a fork the child makes its own connections. Its
    threads and connections end with :meth:`close`, with a ``with`` block, or with the driver.
    """

    type = Provider.AURORAOBJECTS
    name = "AuroraObjects"
    website = "https://www.pcextreme.com/aurora/objects"
    connectionCls = AuroraObjectsConnection

    # Objects

    def get_object(
        self, container_name: str, object_name: str, *, ex_customer_key: bytes | None = None
    ) -> Object:
        """
        Return an object, which one request asks about.

        :param container_name: Name of its container.
        :type container_name: ``str``

        :param object_name: Name of the object.
        :type object_name: ``str``

        :param ex_customer_key: Key of 32 bytes with which the object is encrypted.
        :type ex_customer_key: ``bytes``

        :rtype: :class:`~libcloud.storage.base.Object`

        :raises KeyNotFoundError: if the object does not exist.
        :raises EncryptionKeyError: if it is encrypted with another key, or without one.
        """
        key = customer_key("ex_customer_key", ex_customer_key)
        container = Container(name=container_name, extra={}, driver=self)
        return self._look(container, object_name, key)

    def delete_object(self, obj: Object) -> bool:
        """
        Delete an object; one that does not exist counts as deleted.

        :param obj: Object to delete.
        :type obj: :class:`~libcloud.storage.base.Object`

        :return: ``True``.
        :rtype: ``bool``

        :raises BucketNotFoundError: if its container does not exist.
        """
        self._request(self._path_of(obj), method="DELETE")
        return True

    # Uploads

    def upload_object(
        self,
        file_path: str,
        container: Container,
        object_name: str,
        extra: dict[str, Any] | None = None,
        verify_hash: bool = True,
        headers: dict[str, str] | None = None,
        ex_storage_class: str | None = None,
        *,
        ex_progress: Progress | None = None,
        ex_resume: bool = False,
        ex_customer_key: bytes | None = None,
    ) -> Object:
        """
        Upload a file, in parts if it is larger than one.

        Every body is signed with its SHA-256, which the server verifies before it stores anything.

        :param file_path: Path of the file.
        :type file_path: ``str``

        :param container: Destination container.
        :type container: :class:`~libcloud.storage.base.Container`

        :param object_name: Name of the object, 1 to 1,024 bytes of UTF-8.
        :type object_name: ``str``

        :param extra: ``content_type``, ``acl`` and ``meta_data``, as in libcloud's S3 driver.
        :type extra: ``dict``

        :param verify_hash: Whether to compare the ETag of an object made of parts with its parts'.
        :type verify_hash: ``bool``

        :param headers: Further headers of the request; the dict is not changed.
        :type headers: ``dict``

        :param ex_storage_class: Storage class the server knows; its default if not given.
        :type ex_storage_class: ``str``

        :param ex_progress: Called in this thread with the bytes done and the size.
        :type ex_progress: ``Callable[[int, int], object]``

        :param ex_resume: Go on with an unfinished upload of the same key: parts the server holds
            are kept where their MD5 is the file's. A failure leaves the parts for the next call.
        :type ex_resume: ``bool``

        :param ex_customer_key: Key of 32 bytes with which the server encrypts the object.
        :type ex_customer_key: ``bytes``

        :return: The object; its ``hash`` is the server's ETag without quotes.
        :rtype: :class:`~libcloud.storage.base.Object`

        :raises OSError: if the file cannot be read.
        :raises FileChangedError: if it changes while it is sent; no object is stored.
        :raises EncryptionKeyError: if the server does not take the key.
        """
        path = os.fsdecode(file_path)
        wanted = self._wanted(
            container, object_name, extra, headers, ex_storage_class, ex_customer_key, path
        )
        with FileParts(path, self._plan) as parts:
            return self._upload(
                parts, wanted, ex_progress, verify_hash=verify_hash, resume=ex_resume
            )

    def upload_object_via_stream(
        self,
        iterator: Any,
        container: Container,
        object_name: str,
        extra: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        ex_storage_class: str | None = None,
        *,
        ex_size: int | None = None,
        ex_progress: Progress | None = None,
        ex_customer_key: bytes | None = None,
    ) -> Object:
        """
        Upload a stream of unknown size, up to 5 TiB, in parts.

        A stream that ends within its first part is sent as one request. Parts are 5 MiB for the
        first 1,000 and grow from there, unless ``ex_size`` says how much is to come.

        :param iterator: File, iterable of bytes-like or text chunks, or bytes. Text goes as UTF-8.

        :param container: Destination container.
        :type container: :class:`~libcloud.storage.base.Container`

        :param object_name: Name of the object, 1 to 1,024 bytes of UTF-8.
        :type object_name: ``str``

        :param extra: ``content_type``, ``acl`` and ``meta_data``, as in libcloud's S3 driver.
        :type extra: ``dict``

        :param headers: Further headers of the request; the dict is not changed.
        :type headers: ``dict``

        :param ex_storage_class: Storage class the server knows; its default if not given.
        :type ex_storage_class: ``str``

        :param ex_size: Bytes the stream holds; more or fewer are an error, and no object is stored.
        :type ex_size: ``int``

        :param ex_progress: Called in this thread with the bytes done, and ``ex_size`` or ``None``.
        :type ex_progress: ``Callable[[int, int | None], object]``

        :param ex_customer_key: Key of 32 bytes with which the server encrypts the object.
        :type ex_customer_key: ``bytes``

        :return: The object; its ``hash`` is the server's ETag without quotes.
        :rtype: :class:`~libcloud.storage.base.Object`

        :raises TypeError: if the stream gives something else than bytes or text.
        :raises EncryptionKeyError: if the server does not take the key.
        """
        wanted = self._wanted(
            container, object_name, extra, headers, ex_storage_class, ex_customer_key
        )
        parts = StreamParts(iterator, self._plan_stream(ex_size), ex_size)
        return self._upload(parts, wanted, ex_progress)
