"""The driver: libcloud's methods. Containers are in _containers, extensions in _extensions."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

from libcloud.storage.base import Container, Object
from libcloud.storage.types import Provider

from libcloud_aurora import _files, _values
from libcloud_aurora._cdn import NoCDN
from libcloud_aurora._download import Download
from libcloud_aurora._extensions import Extensions
from libcloud_aurora._file_parts import FileParts
from libcloud_aurora._response import AuroraResponse
from libcloud_aurora._sources import StreamParts
from libcloud_aurora._stream import Stream, chunk_size_of
from libcloud_aurora.connection import AuroraObjectsConnection

Progress = Callable[[int, "int | None"], object]


class AuroraObjectsStorageDriver(NoCDN, Extensions):
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

    def get_object(self, container_name: str, object_name: str) -> Object:
        container = Container(name=container_name, extra={}, driver=self)
        path = self._get_object_path(container, object_name)
        response = self._request(path, method="HEAD", accept=AuroraResponse.object_size)
        return _values.object_from_headers(object_name, container, response.headers, self)

    def delete_object(self, obj: Object) -> bool:
        """
        Delete an object; one that does not exist counts as deleted.

        :param obj: Object to delete.
        :type obj: :class:`~libcloud.storage.base.Object`

        :return: ``True``.
        :rtype: ``bool``

        :raises BucketNotFoundError: if its container does not exist.
        """
        self._request(self._get_object_path(obj.container, obj.name), method="DELETE")
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

        :return: The object; its ``hash`` is the server's ETag without quotes.
        :rtype: :class:`~libcloud.storage.base.Object`

        :raises OSError: if the file cannot be read.
        :raises FileChangedError: if it changes while it is sent; no object is stored.
        """
        path = os.fspath(file_path)
        wanted = self._wanted(container, object_name, extra, headers, ex_storage_class, path)
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

        :return: The object; its ``hash`` is the server's ETag without quotes.
        :rtype: :class:`~libcloud.storage.base.Object`

        :raises TypeError: if the stream gives something else than bytes or text.
        """
        wanted = self._wanted(container, object_name, extra, headers, ex_storage_class)
        parts = StreamParts(iterator, self._plan_stream(ex_size), ex_size)
        return self._upload(parts, wanted, ex_progress)

    # Downloads

    def download_object(
        self,
        obj: Object,
        destination_path: str,
        overwrite_existing: bool = False,
        delete_on_failure: bool = True,
        *,
        ex_progress: Progress | None = None,
        ex_resume: bool = False,
    ) -> bool:
        """
        Save an object as a file, which appears complete and verified or not at all.

        :param obj: Object to fetch.
        :type obj: :class:`~libcloud.storage.base.Object`

        :param destination_path: Path of the file, or of a directory that takes the object under
            its own name.
        :type destination_path: ``str``

        :param overwrite_existing: Whether an existing file may be replaced; checked first.
        :type overwrite_existing: ``bool``

        :param delete_on_failure: Accepted for libcloud's sake; a failure leaves nothing to delete.
        :type delete_on_failure: ``bool``

        :param ex_progress: Called in this thread with the bytes done and the size.
        :type ex_progress: ``Callable[[int, int], object]``

        :param ex_resume: Go on where an earlier call was cut off, if the object is still the same.
            A failure leaves what has arrived in two hidden files beside the destination.
        :type ex_resume: ``bool``

        :return: ``True``.
        :rtype: ``bool``

        :raises KeyNotFoundError: if the object does not exist.
        :raises HashMismatchError: if what arrives keeps differing from the object's ETag.
        :raises ObjectChangedError: if the object is replaced meanwhile.
        """
        target = _files.destination(destination_path, obj.name, overwrite=overwrite_existing)
        download = self._download(Download, obj, ex_progress)
        (download.to_file_resuming if ex_resume else download.to_file)(target)
        return True

    def download_object_as_stream(
        self, obj: Object, chunk_size: int | None = None, *, ex_progress: Progress | None = None
    ) -> Iterator[bytes]:
        """
        Return an iterator over an object's bytes; an empty object gives ``b""`` once.

        :param obj: Object to fetch.
        :type obj: :class:`~libcloud.storage.base.Object`

        :param chunk_size: Bytes of each chunk but the last; 1 MiB if not given.
        :type chunk_size: ``int``

        :param ex_progress: Called in this thread with the bytes handed out and the size.
        :type ex_progress: ``Callable[[int, int], object]``

        :return: Chunks. Nothing is fetched before the first is asked for.
        :rtype: ``Iterator[bytes]``

        :raises HashMismatchError: at the end, if the bytes differ from the object's ETag.
        """
        size = chunk_size_of(chunk_size)
        return self._download(Stream, obj, ex_progress).chunks(size)

    def download_object_range(
        self,
        obj: Object,
        destination_path: str,
        start_bytes: int,
        end_bytes: int | None = None,
        overwrite_existing: bool = False,
        delete_on_failure: bool = True,
    ) -> bool:
        self._validate_start_and_end_bytes(start_bytes, end_bytes)
        target = _files.destination(destination_path, obj.name, overwrite=overwrite_existing)
        self._download(Download, obj, None, (start_bytes, end_bytes)).to_file(target)
        return True

    def download_object_range_as_stream(
        self,
        obj: Object,
        start_bytes: int,
        end_bytes: int | None = None,
        chunk_size: int | None = None,
    ) -> Iterator[bytes]:
        self._validate_start_and_end_bytes(start_bytes, end_bytes)
        size = chunk_size_of(chunk_size)
        return self._download(Stream, obj, None, (start_bytes, end_bytes)).chunks(size)
