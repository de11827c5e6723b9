"""Downloads: libcloud's methods that read objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from libcloud.storage.base import Object

from libcloud_aurora import _files
from libcloud_aurora._download import Download, Progress
from libcloud_aurora._encryption import customer_key
from libcloud_aurora._foundation import Foundation
from libcloud_aurora._keyed import keyed
from libcloud_aurora._resume import remove_partial
from libcloud_aurora._stream import Stream, chunk_size_of

D = TypeVar("D", bound=Download)


class Reading(Foundation):
    """Downloads of a driver."""

    def download_object(
        self,
        obj: Object,
        destination_path: str,
        overwrite_existing: bool = False,
        delete_on_failure: bool = True,
        *,
        ex_progress: Progress | None = None,
        ex_resume: bool = False,
        ex_customer_key: bytes | None = None,
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
            A failure leaves what has arrived in two hidden files beside the destination, until a
            later call completes it, with ``ex_resume`` or without.
        :type ex_resume: ``bool``

        :param ex_customer_key: Key of 32 bytes with which the object is encrypted.
        :type ex_customer_key: ``bytes``

        :return: ``True``.
        :rtype: ``bool``

        :raises KeyNotFoundError: if the object does not exist.
        :raises HashMismatchError: if what arrives keeps differing from the object's ETag.
        :raises ObjectChangedError: if the object is replaced meanwhile.
        :raises EncryptionKeyError: if it is encrypted with another key, or without one.
        """
        download = self._download(Download, obj, ex_progress, ex_customer_key)
        target = _files.destination(destination_path, obj.name, overwrite=overwrite_existing)
        if ex_resume:
            download.to_file_resuming(target)
        else:
            download.to_file(target)
            remove_partial(target)
        return True

    def download_object_as_stream(
        self,
        obj: Object,
        chunk_size: int | None = None,
        *,
        ex_progress: Progress | None = None,
        ex_customer_key: bytes | None = None,
    ) -> Iterator[bytes]:
        """
        Return an iterator over an object's bytes; an empty object gives ``b""`` once.

        :param obj: Object to fetch.
        :type obj: :class:`~libcloud.storage.base.Object`

        :param chunk_size: Bytes of each chunk but the last; 1 MiB if not given.
        :type chunk_size: ``int``

        :param ex_progress: Called in this thread with the bytes handed out and the size.
        :type ex_progress: ``Callable[[int, int], object]``

        :param ex_customer_key: Key of 32 bytes with which the object is encrypted.
        :type ex_customer_key: ``bytes``

        :return: Chunks. Nothing is fetched before the first is asked for.
        :rtype: ``Iterator[bytes]``

        :raises HashMismatchError: at the end, if the bytes differ from the object's ETag.
        """
        size = chunk_size_of(chunk_size)
        return self._download(Stream, obj, ex_progress, ex_customer_key).chunks(size)

    def download_object_range(
        self,
        obj: Object,
        destination_path: str,
        start_bytes: int,
        end_bytes: int | None = None,
        overwrite_existing: bool = False,
        delete_on_failure: bool = True,
        *,
        ex_customer_key: bytes | None = None,
    ) -> bool:
        """
        Save part of an object as a file, which appears complete or not at all.

        :param obj: Object to fetch.
        :type obj: :class:`~libcloud.storage.base.Object`

        :param destination_path: Path of the file, or of a directory that takes the object under
            its own name.
        :type destination_path: ``str``

        :param start_bytes: First byte, counted from 0.
        :type start_bytes: ``int``

        :param end_bytes: Byte after the last one; to the end of the object if not given.
        :type end_bytes: ``int``

        :param overwrite_existing: Whether an existing file may be replaced; checked first.
        :type overwrite_existing: ``bool``

        :param delete_on_failure: Accepted for libcloud's sake; a failure leaves nothing to delete.
        :type delete_on_failure: ``bool``

        :param ex_customer_key: Key of 32 bytes with which the object is encrypted.
        :type ex_customer_key: ``bytes``

        :return: ``True``.
        :rtype: ``bool``

        :raises ValueError: if the bytes are no range.
        """
        self._validate_start_and_end_bytes(start_bytes, end_bytes)
        span = (start_bytes, end_bytes)
        download = self._download(Download, obj, None, ex_customer_key, span)
        target = _files.destination(destination_path, obj.name, overwrite=overwrite_existing)
        download.to_file(target)
        return True

    def download_object_range_as_stream(
        self,
        obj: Object,
        start_bytes: int,
        end_bytes: int | None = None,
        chunk_size: int | None = None,
        *,
        ex_customer_key: bytes | None = None,
    ) -> Iterator[bytes]:
        """
        Return an iterator over part of an object.

        :param obj: Object to fetch.
        :type obj: :class:`~libcloud.storage.base.Object`

        :param start_bytes: First byte, counted from 0.
        :type start_bytes: ``int``

        :param end_bytes: Byte after the last one; to the end of the object if not given.
        :type end_bytes: ``int``

        :param chunk_size: Bytes of each chunk but the last; 1 MiB if not given.
        :type chunk_size: ``int``

        :param ex_customer_key: Key of 32 bytes with which the object is encrypted.
        :type ex_customer_key: ``bytes``

        :return: Chunks. Nothing is fetched before the first is asked for.
        :rtype: ``Iterator[bytes]``

        :raises ValueError: if the bytes are no range.
        """
        self._validate_start_and_end_bytes(start_bytes, end_bytes)
        size = chunk_size_of(chunk_size)
        span = (start_bytes, end_bytes)
        return self._download(Stream, obj, None, ex_customer_key, span).chunks(size)

    def _download(
        self,
        kind: type[D],
        obj: Object,
        progress: Progress | None,
        key: bytes | None,
        span: tuple[int, int | None] | None = None,
    ) -> D:
        path = self._path_of(obj)
        return kind(
            request=keyed(self._request, customer_key("ex_customer_key", key)),
            retrier=self._retrier,
            workers=self._shared().workers,
            config=self._transfer,
            path=path,
            context={"bucket": obj.container.name, "key": obj.name, "driver": self},
            size_hint=obj.size if isinstance(obj.size, int) else None,
            span=span,
            progress=progress,
            open_ahead=self._open_ahead,
        )
