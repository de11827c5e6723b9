"""One container: made, looked at, removed."""

from __future__ import annotations

from libcloud.storage.base import Container

from libcloud_aurora import _paths
from libcloud_aurora._foundation import Foundation
from libcloud_aurora.errors import AccessDeniedError, BucketExistsError, BucketNotFoundError


class Containers(Foundation):
    """Containers of a driver."""

    def get_container(self, container_name: str) -> Container:
        """
        Return a container, after one request that asks whether it is there.

        :param container_name: Name of the container.
        :type container_name: ``str``

        :rtype: :class:`~libcloud.storage.base.Container`

        :raises BucketNotFoundError: if there is none of that name.
        :raises AccessDeniedError: if it is another account's.
        :raises InvalidBucketNameError: if no container can have the name; nothing is sent.
        """
        path = _paths.bucket_path(container_name, self)
        self._request(path, method="HEAD")
        return Container(name=container_name, extra={}, driver=self)

    def create_container(self, container_name: str) -> Container:
        """
        Make a container.

        :param container_name: Its name, which nobody else on the server may have: 3 to 63 lower
            case letters, digits, dots and hyphens, as
            https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html says.
        :type container_name: ``str``

        :return: The new container.
        :rtype: :class:`~libcloud.storage.base.Container`

        :raises BucketExistsError: if there is one of that name, in this account or in another.
        :raises InvalidBucketNameError: if the server accepts no such name.
        """
        path = _paths.bucket_path(container_name, self)
        try:
            self._request(path, method="HEAD")
        except (BucketNotFoundError, AccessDeniedError):
            self._create(path)
            return Container(name=container_name, extra={}, driver=self)
        raise BucketExistsError(
            f"container {container_name!r} already exists.", driver=self, bucket=container_name
        )

    def _create(self, path: str) -> None:
        """Create a container; one that an earlier attempt has created is ours."""
        try:
            self._request(path, method="PUT")
        except BucketExistsError as error:
            if len(error.history) < 2:
                raise
            self._request(path, method="HEAD")

    def delete_container(self, container: Container) -> bool:
        """
        Remove a container, which must be empty.

        :param container: Container to remove.
        :type container: :class:`~libcloud.storage.base.Container`

        :return: ``True``.
        :rtype: ``bool``

        :raises BucketNotEmptyError: if there are objects in it; ``ex_empty_container`` helps.
        :raises BucketNotFoundError: if it does not exist.
        """
        try:
            self._request(self._get_container_path(container), method="DELETE")
        except BucketNotFoundError as error:
            if len(error.history) < 2:
                raise
        return True
