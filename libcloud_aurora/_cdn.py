"""The calls AuroraObjects has nothing for."""

from __future__ import annotations

from typing import Any, NoReturn

from libcloud.storage.drivers.s3 import BaseS3StorageDriver

from libcloud_aurora.errors import CDNNotSupportedError


class NoCDN(BaseS3StorageDriver):
    """Refuses libcloud's CDN calls, whatever arguments the S3 drivers take for them."""

    def enable_container_cdn(self, container: Any, **_: Any) -> NoReturn:
        """
        Refuse: AuroraObjects has no CDN.

        :raises CDNNotSupportedError: always.
        """
        self._refuse("enable_container_cdn")

    def get_container_cdn_url(self, container: Any, **_: Any) -> NoReturn:
        """
        Refuse: AuroraObjects has no CDN.

        :raises CDNNotSupportedError: always.
        """
        self._refuse("get_container_cdn_url")

    def enable_object_cdn(self, obj: Any, **_: Any) -> NoReturn:
        """
        Refuse: AuroraObjects has no CDN.

        :raises CDNNotSupportedError: always.
        """
        self._refuse("enable_object_cdn")

    def get_object_cdn_url(
        self, obj: Any, ex_expiry: Any = None, ex_method: Any = None, **_: Any
    ) -> NoReturn:
        """
        Refuse: AuroraObjects has no CDN.

        :raises CDNNotSupportedError: always.
        """
        self._refuse("get_object_cdn_url")

    def _refuse(self, call: str) -> NoReturn:
        raise CDNNotSupportedError(
            f"{call}() is not possible, AuroraObjects has no CDN. A link that works without "
            "credentials for a while comes from ex_get_object_presigned_url().",
            driver=self,
        )
