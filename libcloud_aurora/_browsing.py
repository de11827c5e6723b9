"""What is there: containers, objects, directories as a file browser shows them, uploads."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from libcloud.storage.base import Container, Object
from libcloud.storage.drivers.s3 import S3MultipartUpload

from libcloud_aurora._containers import Containers
from libcloud_aurora._multipart import MultipartDriver
from libcloud_aurora.config import check_number


class Browsing(Containers, MultipartDriver):
    """Listings of a driver."""

    def iterate_containers(self) -> Iterator[Container]:
        """
        Return an iterator of the account's containers.

        :return: Containers; ``extra["creation_date"]`` is an ISO 8601 date.
        :rtype: ``Iterator`` of :class:`~libcloud.storage.base.Container`

        :raises InvalidCredentialsError: on the first step, if the keys are wrong.
        """
        return self._listing().containers()

    def iterate_container_objects(
        self,
        container: Container,
        prefix: str | None = None,
        ex_prefix: str | None = None,
        *,
        ex_delimiter: str | None = None,
        ex_start_after: str | None = None,
        ex_limit: int | None = None,
    ) -> Iterator[Object]:
        """
        Return an iterator of the objects in a container, in UTF-8 order of their names.

        :param container: Container instance.
        :type container: :class:`~libcloud.storage.base.Container`

        :param prefix: Only objects whose names start with it.
        :type prefix: ``str``

        :param ex_prefix: The same, libcloud's deprecated name.
        :type ex_prefix: ``str``

        :param ex_delimiter: Leave out objects with this text after the prefix, as ``/`` does for
            those in sub-directories; see :meth:`ex_iterate_common_prefixes`.
        :type ex_delimiter: ``str``

        :param ex_start_after: Only objects whose names come after it.
        :type ex_start_after: ``str``

        :param ex_limit: Objects at most.
        :type ex_limit: ``int``

        :return: Objects; the next page of 1,000 is fetched while this one is consumed.
        :rtype: ``Iterator`` of :class:`~libcloud.storage.base.Object`

        :raises BucketNotFoundError: on the first step, if the container does not exist.
        """
        prefix = self._normalize_prefix_argument(  # type: ignore[no-untyped-call]
            prefix, ex_prefix
        )
        if ex_limit is not None:
            check_number("ex_limit", ex_limit, low=0, integer=True)
        entries = self._listing().entries(
            container,
            prefix=prefix,
            delimiter=ex_delimiter,
            start_after=ex_start_after,
            limit=sys.maxsize if ex_limit is None else ex_limit,
        )
        return (entry for entry in entries if isinstance(entry, Object))

    def list_container_objects(
        self,
        container: Container,
        prefix: str | None = None,
        ex_prefix: str | None = None,
        **ex_arguments: Any,
    ) -> list[Object]:
        """Return the objects :meth:`iterate_container_objects` gives, as a list."""
        return list(self.iterate_container_objects(container, prefix, ex_prefix, **ex_arguments))

    def ex_iterate_common_prefixes(
        self, container: Container, prefix: str | None = None, ex_delimiter: str = "/"
    ) -> Iterator[str]:
        """
        Return an iterator of what a file browser would show as directories.

        :param container: Container instance.
        :type container: :class:`~libcloud.storage.base.Container`

        :param prefix: Only names that start with it.
        :type prefix: ``str``

        :param ex_delimiter: Text that ends each common prefix.
        :type ex_delimiter: ``str``

        :return: The part of objects' names up to the first delimiter after the prefix, each once.
        :rtype: ``Iterator[str]``

        :raises ValueError: if the delimiter is empty.
        """
        if not ex_delimiter:
            raise ValueError("ex_delimiter must not be empty")
        entries = self._listing().entries(container, prefix=prefix, delimiter=ex_delimiter)
        return (entry for entry in entries if isinstance(entry, str))

    def ex_iterate_multipart_uploads(
        self, container: Container, prefix: str | None = None, delimiter: str | None = None
    ) -> Iterator[S3MultipartUpload]:
        """
        Return an iterator of the multipart uploads that are neither finished nor aborted.

        :param container: Container instance.
        :type container: :class:`~libcloud.storage.base.Container`

        :param prefix: Only uploads of objects whose names start with it.
        :type prefix: ``str``

        :param delimiter: Leave out uploads of objects with this text after the prefix.
        :type delimiter: ``str``

        :return: Uploads with ``key``, the object's name; ``id``; and ``created_at``, an ISO 8601
            date.
        :rtype: ``Iterator`` of ``S3MultipartUpload``

        :raises BucketNotFoundError: on the first step, if the container does not exist.
        """
        return self._listing().uploads(container, prefix=prefix, delimiter=delimiter)
