"""What radosgw can do and libcloud has no method for; named as libcloud names extensions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from libcloud.storage.base import Container, Object
from libcloud.storage.drivers.s3 import S3MultipartUpload

from libcloud_aurora import _delete, _values
from libcloud_aurora._browsing import Browsing
from libcloud_aurora._clock import moment
from libcloud_aurora._copy import Source
from libcloud_aurora._encryption import SOURCE_PREFIX, only_key, split
from libcloud_aurora._signing import escape_dots

#: Methods a URL can be presigned for.
PRESIGNED_METHODS = ("GET", "HEAD", "PUT", "DELETE")
#: Longest life of a presigned URL in seconds: 7 days.
MAX_EXPIRY_SECONDS = 604_800


class Extensions(Browsing):
    """The ``ex_`` methods of the driver."""

    def ex_get_object_presigned_url(
        self, obj: Object, ex_expiry: float = 24.0, ex_method: str = "GET"
    ) -> str:
        """
        Return a URL that works without credentials for a while; nothing is sent.

        https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html

        :param obj: Object the URL is for; for PUT it need not exist.
        :type obj: :class:`~libcloud.storage.base.Object`

        :param ex_expiry: Hours the URL works, from one second to 7 days.
        :type ex_expiry: ``float``

        :param ex_method: The one HTTP method it works for: GET, HEAD, PUT or DELETE.
        :type ex_method: ``str``

        :return: The URL. Whoever has it can use it: treat it as a secret.
        :rtype: ``str``

        :raises ValueError: naming the argument that is out of range.
        """
        if ex_method not in PRESIGNED_METHODS:
            raise ValueError(f"ex_method must be one of {PRESIGNED_METHODS}, not {ex_method!r}")
        number = isinstance(ex_expiry, (int, float)) and not isinstance(ex_expiry, bool)
        seconds = round(ex_expiry * 3600) if number and abs(ex_expiry) < 1e6 else 0
        if not 1 <= seconds <= MAX_EXPIRY_SECONDS:
            raise ValueError(f"ex_expiry must be from 1 second to 168 hours, not {ex_expiry!r}")
        path = self._path_of(obj)
        host = self.connection.host_header
        query = self._signer.presigned_query(
            method=ex_method, path=path, host=host, expires_seconds=seconds, now=self._clock.now()
        )
        scheme = "https" if self._settings.secure else "http"
        return f"{scheme}://{host}{escape_dots(path)}?{query}"

    def ex_copy_object(
        self,
        obj: Object,
        container: Container,
        object_name: str | None = None,
        extra: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        ex_storage_class: str | None = None,
        *,
        ex_source_customer_key: bytes | None = None,
        ex_customer_key: bytes | None = None,
    ) -> Object:
        """
        Copy an object without moving its bytes through this machine.

        :param obj: Object to copy.
        :type obj: :class:`~libcloud.storage.base.Object`

        :param container: Container of the copy.
        :type container: :class:`~libcloud.storage.base.Container`

        :param object_name: Name of the copy, the same if not given.
        :type object_name: ``str``

        :param extra: ``content_type``, ``acl`` and ``meta_data`` of the copy; a type or metadata
            that is not given is the original's. Access is not: without ``acl`` only you may read
            the copy, as S3 has it, also where it replaces the original.
        :type extra: ``dict``

        :param headers: Further headers of the copy, such as ``Cache-Control``, instead of the
            original's; the dict is not changed.
        :type headers: ``dict``

        :param ex_storage_class: Storage class of the copy, the server's default if not given.
        :type ex_storage_class: ``str``

        :param ex_source_customer_key: Key of 32 bytes with which the object is encrypted.
        :type ex_source_customer_key: ``bytes``

        :param ex_customer_key: Key of 32 bytes with which the server encrypts the copy. radosgw
            can copy to an object without a key, but not to one with another key.
        :type ex_customer_key: ``bytes``

        :return: The copy.
        :rtype: :class:`~libcloud.storage.base.Object`

        :raises KeyNotFoundError: if there is no such object.
        :raises EncryptionKeyError: if a key is wrong, or the server cannot copy between these
            keys; there is no copy then.
        :raises ValueError: if it would be copied onto itself without a change.
        """
        source_path = self._path_of(obj)
        name = obj.name if object_name is None else object_name
        given, headers = _values.lift_content_type(extra, headers)
        headers, source_key = only_key(
            "ex_source_customer_key", ex_source_customer_key, headers, SOURCE_PREFIX
        )
        wanted = self._wanted(container, name, given, headers, ex_storage_class, ex_customer_key)
        described = bool(given.get("content_type") or given.get("meta_data") is not None)
        replaces = described or bool(split(headers)[0])
        itself = (obj.container.name, obj.name) == (container.name, name)
        changes = replaces or ex_storage_class or given.get("acl") or wanted.key != source_key
        if itself and not changes:
            raise ValueError(f"object_name: {name!r} would be copied onto itself without a change")
        source = Source.look(self._request, source_path, source_key)
        kept = _values.kept_headers(source.found.headers, given)
        self._copy(source, wanted, kept, replace=replaces or itself)
        return self._look(container, name, wanted.key)

    def ex_delete_objects(self, container: Container, objects: Iterable[Object | str]) -> None:
        """
        Delete many objects of a container, 1,000 with a request.

        :param container: Container of the objects.
        :type container: :class:`~libcloud.storage.base.Container`

        :param objects: Objects or their names; consumed as it goes, so it may be endless in size.
        :type objects: ``Iterable`` of :class:`~libcloud.storage.base.Object` or ``str``

        :return: Nothing. Objects that do not exist count as deleted.

        :raises DeleteFailedError: listing what is left and why, after all others are deleted; or,
            when a request fails for good, what was left before and the objects of that request.
        :raises InvalidKeyError: at a name no object can have, before its 1,000 are sent; those of
            earlier requests are deleted.
        :raises ValueError: in the same way, at an object of another container.
        """
        failures, cause = _delete.delete_keys(
            self._request,
            self._get_container_path(container),
            _delete.names_of(objects, container.name),
            self._clean_object_name,
        )
        if failures:
            raise _delete.failed(failures, container.name, self) from cause

    def ex_empty_container(self, container: Container, prefix: str | None = None) -> None:
        """
        Delete all objects of a container, or those whose names start with a prefix.

        :param container: Container to empty.
        :type container: :class:`~libcloud.storage.base.Container`

        :param prefix: Only objects whose names start with it.
        :type prefix: ``str``

        :raises DeleteFailedError: listing what is left and why, after all others are deleted.
        """
        entries = self._listing().entries(container, prefix=prefix)
        self.ex_delete_objects(container, (each for each in entries if isinstance(each, Object)))

    def ex_cleanup_all_multipart_uploads(
        self,
        container: Container,
        prefix: str | None = None,
        older_than: timedelta | None = None,
    ) -> None:
        """
        Abort the multipart uploads in progress, and free the space of their parts.

        :param container: Container of the uploads.
        :type container: :class:`~libcloud.storage.base.Container`

        :param prefix: Only uploads of objects whose names start with it.
        :type prefix: ``str``

        :param older_than: Only uploads that began at least this long ago.
        :type older_than: :class:`~datetime.timedelta`

        :raises AuroraObjectsError: at the first upload that cannot be aborted.
        """
        if not isinstance(older_than, (timedelta, type(None))):
            raise TypeError(f"older_than must be a timedelta, not {type(older_than).__name__}")
        limit = None if older_than is None else self._clock.now() - older_than
        for upload in self.ex_iterate_multipart_uploads(container, prefix):
            if limit is None or _began_before(upload, limit):
                self._target(container, upload.key).abort(upload.id)


def _began_before(upload: S3MultipartUpload, limit: datetime) -> bool:
    """Tell whether an upload is known to have begun before a moment."""
    begun = moment(upload.created_at)
    return begun is not None and begun <= limit
