"""The driver: a table of contents of what it can do, and of what does the work."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from datetime import timedelta
from operator import index
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal, NoReturn, overload

from libcloud.storage.base import Container, Object
from libcloud.storage.drivers.s3 import BaseS3StorageDriver, S3MultipartUpload
from libcloud.storage.types import Provider

from libcloud_aurora._client import Client, CopySource, Span
from libcloud_aurora._s3 import headers as s3_headers
from libcloud_aurora._s3 import names, objects
from libcloud_aurora._s3.encryption import SOURCE_PREFIX, customer_key, only_key
from libcloud_aurora._s3.headers import Way
from libcloud_aurora._s3.names import ObjectPath
from libcloud_aurora._s3.objects import Stored, Wanted
from libcloud_aurora._s3.signing import canonical_query, expiry_seconds
from libcloud_aurora._transfer import delete
from libcloud_aurora._transfer.copy import adjusted, copy_object
from libcloud_aurora._transfer.download import Download
from libcloud_aurora._transfer.files import Destination
from libcloud_aurora._transfer.listing import Listing
from libcloud_aurora._transfer.object_file import ObjectReader, ObjectWriter, Written
from libcloud_aurora._transfer.reader import Reading
from libcloud_aurora._transfer.sources import FileParts, Parts, Progress, StreamParts
from libcloud_aurora._transfer.stream import Stream, chunk_size_of
from libcloud_aurora._transfer.upload import Uploads, Whole
from libcloud_aurora._wire.connection import AuroraObjectsConnection
from libcloud_aurora.config import MIN_PART_SIZE, Settings, check_number
from libcloud_aurora.errors import (
    AccessDeniedError,
    AuroraObjectsError,
    CDNNotSupportedError,
    ContainerExistsError,
    ObjectNotFoundError,
)

if TYPE_CHECKING:
    from typing_extensions import Self

#: Methods a URL can be presigned for.
PRESIGNED_METHODS = ("GET", "HEAD", "PUT", "DELETE")


class AuroraObjectsStorageDriver(BaseS3StorageDriver):
    """
    Storage driver for AuroraObjects, an object store on Ceph (radosgw, the S3 protocol).

    Making a driver sends nothing. Any number of threads may use it. It can be pickled, together
    with the secret key, and after a fork the child opens its own connections. Its connections are
    closed by :meth:`close`, by a ``with`` block, or with the driver.
    """

    type = Provider.AURORAOBJECTS
    name = "AuroraObjects"
    website = "https://www.pcextreme.com/aurora/objects"
    connectionCls = AuroraObjectsConnection

    # Construction and life

    def __init__(
        self,
        key: str = "",
        secret: str | None = None,
        secure: bool = True,
        host: str | None = None,
        port: int | None = None,
        api_version: str | None = None,
        region: str | None = None,
        token: str | None = None,
        timeout: float | None = None,
        retry_delay: float | None = None,
        backoff: float | None = None,
        proxy_url: str | None = None,
        *,
        ex_part_size: int = MIN_PART_SIZE,
        ex_max_concurrency: int | None = None,
        ex_max_attempts: int = 5,
        ex_verify: bool = True,
        ex_verify_ssl: bool | str | os.PathLike[str] = True,
        ex_allow_plain_keys: bool = False,
        ex_anonymous: bool = False,
        **unknown: Any,
    ) -> None:
        """
        Unknown arguments only give a warning, because programs pass whole profiles.

        :param key: Access key.
        :param secret: Secret key.
        :param secure: Whether to use https.
        :param host: Host name of the server, without a scheme; ``o.auroraobjects.eu`` by default.
        :param port: Port of the server; 443 (https) or 80 (http) by default.
        :param region: Region to sign for, ``us-east-1`` by default; radosgw accepts any.
        :param token: Session token of temporary credentials.
        :param timeout: How long the network may be silent, in seconds; 60 by default.
        :param retry_delay: Upper limit of the first pause before a request is repeated, in seconds.
        :param backoff: Factor by which that limit grows from attempt to attempt.
        :param proxy_url: Proxy for this driver; by default those of the environment are used.
        :param ex_part_size: Bytes of a part while 10,000 parts suffice, 5 MiB to 5 GiB.
        :param ex_max_concurrency: Requests of one transfer at once; 1 starts no thread. The
            default is 16 for files and 10 for streams. The upload of a stream takes
            ``ex_max_concurrency * ex_part_size`` of memory, or one part that has grown beyond
            that, and the part that is being read.
        :param ex_max_attempts: Attempts for each request, including the first.
        :param ex_verify: Whether downloads are compared with the object's checksum or ETag.
        :param ex_verify_ssl: ``False`` to accept any certificate, or the path of a CA bundle.
        :param ex_allow_plain_keys: Whether customers' keys (SSE-C) may be sent to another machine
            over plain http.
        :param ex_anonymous: Whether to send requests without a signature, for public containers;
            ``key`` and ``secret`` must then be empty or left out.
        :raises ValueError: if an argument is wrong; the message names it.
        """
        arguments = dict(locals())
        for name in ("self", "unknown", "__class__"):
            arguments.pop(name, None)
        for name in unknown:
            warnings.warn(f"AuroraObjects ignores the unknown argument {name!r}", stacklevel=2)
        arguments.update(secret=secret or "", host=host or self.connectionCls.host)
        self._settings = Settings.of(arguments)
        self._transfer = self._settings.transfer
        self.token = token
        super().__init__(**self._settings.libcloud_arguments())  # type: ignore[no-untyped-call]
        self.region_name = self.connection.signer.region

    def _ex_connection_class_kwargs(self) -> dict[str, Any]:
        settings = self._settings
        return {
            "retry": settings.retry,
            "region": settings.arguments["region"],
            "token": self.token,
            "verify_ssl": settings.arguments["ex_verify_ssl"],
            "allow_plain_keys": settings.arguments["ex_allow_plain_keys"],
        }

    @property  # type: ignore[override]
    def connection(self) -> AuroraObjectsConnection:
        """libcloud's connection; another one may be assigned, for all further requests."""
        return self._connection

    @connection.setter
    def connection(self, connection: AuroraObjectsConnection) -> None:
        self._connection = connection
        self._client = Client(connection)
        self._uploads = Uploads(self._client, self._transfer)

    @connection.deleter
    def connection(self) -> None:  # for mock.patch.object
        del self._connection

    def close(self) -> None:
        """Close this driver's connections; the driver may be used again."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self._settings.arguments)

    def __repr__(self) -> str:
        host = self._settings.arguments["host"]
        return f"<{type(self).__name__}: host={host}, key={self.key or 'none (anonymous)'}>"

    # Containers

    def iterate_containers(self) -> Iterator[Container]:
        return self._listing().containers()

    def get_container(self, container_name: str) -> Container:
        """
        Return a container, after one request that asks whether it exists.

        A policy that denies this request may allow others, such as those about a prefix. So the
        container is returned in this case too, as libcloud's S3 driver does.

        :param container_name: Name of the container.
        :raises ContainerNotFoundError: if it does not exist.
        :raises InvalidCredentialsError: if the access key or the secret is wrong.
        :raises AccessDeniedError: if the account is suspended.
        """
        try:
            self._client.head_bucket(container_name)
        except AccessDeniedError as error:
            if error.code != "AccessDenied":
                raise
        return Container(name=container_name, extra={}, driver=self)

    def create_container(self, container_name: str) -> Container:
        """
        Create a container.

        If a subclass or a program has set the driver's ``ex_location_name``, such as
        ``default:ssd``, the server places it there.

        :param container_name: Name of the container, which must be unique on the server: 3 to 63
            lowercase letters, digits, dots and hyphens, see
            https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html.
        :return: The new container.
        :raises ContainerExistsError: if the name is taken, by this account or another.
        :raises InvalidContainerNameError: if the server does not accept the name.
        """
        try:
            self._client.head_bucket(container_name)
        except AuroraObjectsError as error:
            if not 400 <= (error.http_status or 0) < 500:
                raise
            self._client.create_bucket(container_name, self.ex_location_name)
            return Container(name=container_name, extra={}, driver=self)
        raise ContainerExistsError(
            f"container {container_name!r} already exists.", driver=self, bucket=container_name
        )

    def delete_container(self, container: Container) -> bool:
        self._client.delete_bucket(names.bucket_of(container))
        return True

    def ex_set_container_acl(self, container: Container, acl: str) -> None:
        """
        Set who may list a container and write to it, with one request; its objects do not change.

        https://docs.ceph.com/en/latest/radosgw/s3/bucketops/#put-bucket-acls

        :param container: Container to change.
        :param acl: ``private``, ``public-read``, or another canned ACL that the server knows.
        :raises ContainerNotFoundError: if the container does not exist.
        """
        self._client.set_bucket_acl(names.bucket_of(container), s3_headers.access(acl))

    def ex_empty_container(
        self, container: Container, prefix: str | None = None, *, ex_versions: bool = False
    ) -> None:
        """
        Delete all objects of a container, or those whose names start with a prefix.

        :param container: Container to empty.
        :param prefix: Only objects whose names start with it.
        :param ex_versions: Whether to delete permanently: all versions and all delete markers.
            Otherwise a container with versioning keeps them.
        :raises DeleteFailedError: saying what is left and why, after all others are deleted.
        """
        listed = self._listing().versions if ex_versions else self._listing().objects
        with closing(listed(container, prefix=prefix)) as found:
            self.ex_delete_objects(container, found)

    # Objects

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
        Return an iterator over the objects in a container, in UTF-8 order of their names.

        :param container: Container instance.
        :param prefix: Only objects whose names start with it.
        :param ex_prefix: libcloud's deprecated name for ``prefix``.
        :param ex_delimiter: Leave out objects whose names have this text after the prefix; ``/``
            leaves out those in subdirectories. See :meth:`ex_iterate_common_prefixes`.
        :param ex_start_after: Only objects whose names come after it.
        :param ex_limit: Most objects to return.
        :return: Objects; the next page of 1,000 is fetched while you consume this one.
        :raises ContainerNotFoundError: on the first step, if the container does not exist.
        """
        prefix = self._normalize_prefix_argument(prefix, ex_prefix)  # type: ignore[no-untyped-call]
        if ex_limit is not None:
            check_number("ex_limit", ex_limit, low=0, integer=True)
        return self._listing().objects(
            container,
            prefix=prefix,
            delimiter=ex_delimiter,
            start_after=ex_start_after,
            limit=sys.maxsize if ex_limit is None else ex_limit,
        )

    def list_container_objects(
        self,
        container: Container,
        prefix: str | None = None,
        ex_prefix: str | None = None,
        *,
        ex_delimiter: str | None = None,
        ex_start_after: str | None = None,
        ex_limit: int | None = None,
    ) -> list[Object]:
        """Return the objects of :meth:`iterate_container_objects` as a list."""
        own: dict[str, Any] = {
            "ex_delimiter": ex_delimiter,
            "ex_start_after": ex_start_after,
            "ex_limit": ex_limit,
        }
        own = {name: value for name, value in own.items() if value is not None}
        # A program's subclass may override that method as libcloud has it.
        return list(
            self.iterate_container_objects(container, prefix=prefix, ex_prefix=ex_prefix, **own)
        )

    def ex_iterate_common_prefixes(
        self, container: Container, prefix: str | None = None, ex_delimiter: str = "/"
    ) -> Iterator[str]:
        """
        Return an iterator over what a file browser would show as directories.

        :param container: Container instance.
        :param prefix: Only names that start with it.
        :param ex_delimiter: Text that ends each common prefix.
        :return: The beginnings of names, up to the first delimiter after the prefix, each once.
        :raises ValueError: if the delimiter is empty.
        """
        if not ex_delimiter:
            raise ValueError("ex_delimiter must not be empty")
        return self._listing().common_prefixes(container, prefix=prefix, delimiter=ex_delimiter)

    def ex_iterate_object_versions(
        self, container: Container, prefix: str | None = None
    ) -> Iterator[Object]:
        """
        Return an iterator over all versions of objects and delete markers, newest first.

        Each is an object that stands for one version, and can be downloaded, copied, deleted and
        presigned. Its ``extra`` has ``ex_version_id``, which names the version, ``ex_is_latest``
        and ``ex_is_delete_marker``.

        :param container: Container instance.
        :param prefix: Only objects whose names start with it.
        :return: Versions, in UTF-8 order of their names.
        :raises ContainerNotFoundError: on the first step, if the container does not exist.
        """
        return self._listing().versions(container, prefix=prefix)

    def get_object(
        self, container_name: str, object_name: str, *, ex_customer_key: bytes | None = None
    ) -> Object:
        """
        Return an object, after one request that asks about it.

        :param container_name: Name of its container.
        :param object_name: Name of the object.
        :param ex_customer_key: Key of 32 bytes with which the object is encrypted.
        :raises ObjectNotFoundError: if the object does not exist.
        :raises EncryptionKeyError: if it is encrypted with another key or not at all.
        """
        key = customer_key("ex_customer_key", ex_customer_key)
        head = self._client.head_object(ObjectPath(container_name, object_name, key))
        container = Container(name=container_name, extra={}, driver=self)
        return objects.object_from_head(object_name, container, head, self)

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
        Copy an object on the server, without moving its bytes through this machine.

        :param obj: Object to copy.
        :param container: Container of the copy.
        :param object_name: Name of the copy; by default that of the original.
        :param extra: ``content_type``, ``acl``, ``meta_data`` and ``tags`` of the copy. Those that
            are not given are the original's, except for access: S3 does not copy it, so without
            ``acl`` only you may read the copy, even if it replaces the original.
        :param headers: Further headers of the copy, such as ``Cache-Control``, instead of the
            original's. The dict is not changed.
        :param ex_storage_class: Storage class of the copy; by default that of the original.
        :param ex_source_customer_key: Key of 32 bytes with which the object is encrypted.
        :param ex_customer_key: Key of 32 bytes with which the server encrypts the copy. radosgw
            before Ceph 20 can copy to an object without a key, but not to one with another key.
        :return: The copy.
        :raises ObjectNotFoundError: if the object does not exist.
        :raises EncryptionKeyError: if a key is wrong, or the server cannot copy between these
            keys. No copy is made then.
        :raises AuroraObjectsError: if it must be copied in parts, and the server misreads its name.
        :raises ValueError: if the object would be copied onto itself without a change.
        """
        given, headers = objects.lift_content_type(extra, headers)
        headers, source_key = only_key(
            "ex_source_customer_key", ex_source_customer_key, headers, SOURCE_PREFIX
        )
        source_path = names.path_of(obj, source_key)
        name = obj.name if object_name is None else object_name
        wanted = self._wanted(container, name, given, headers, ex_storage_class, ex_customer_key)
        wanted.plan(Way.REPLACING)
        described = bool(given.get("content_type") or given.get("meta_data") is not None)
        replaces = described or bool(wanted.headers)
        itself = source_path.source == wanted.path.source
        new_key = wanted.path.customer_key != source_key
        if itself and not (replaces or ex_storage_class or given.get("acl") or new_key):
            raise ValueError(f"object_name: {name!r} would be copied onto itself without a change")
        source = CopySource(source_path, self._client.head_object(source_path))
        kept = wanted.kept_headers(source.head.headers, given)
        copy_object(self._uploads, source, wanted, kept, replace=replaces or itself)
        try:
            head = self._client.head_object(wanted.path)
        except (AccessDeniedError, ObjectNotFoundError):  # write-only keys; deleted by others
            return wanted.object(source.head.size, Stored(source.head.etag), self)
        return objects.object_from_head(name, container, head, self)

    def ex_set_object_acl(self, obj: Object, acl: str) -> None:
        """
        Set who may read an object, with one request; nothing else of it changes.

        https://docs.ceph.com/en/latest/radosgw/s3/objectops/#set-object-acl

        :param obj: Object to change.
        :param acl: ``private``, ``public-read``, or another canned ACL that the server knows.
        :raises ObjectNotFoundError: if the object does not exist.
        """
        self._client.change_object(names.path_of(obj), s3_headers.access(acl))

    def ex_get_object_tags(self, obj: Object) -> dict[str, str]:
        """
        Return an object's tags, with one request.

        :param obj: Object whose tags to return.
        :raises ObjectNotFoundError: if the object does not exist.
        """
        return self._client.get_tags(names.path_of(obj))

    def ex_set_object_tags(self, obj: Object, tags: Mapping[str, Any]) -> None:
        """
        Replace an object's tags, with one request; nothing else of it changes.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html

        :param obj: Object to change.
        :param tags: Up to 10 names of up to 128 bytes, with values of up to 256 bytes. An empty
            dict removes all tags.
        :raises ObjectNotFoundError: if the object does not exist.
        :raises ValueError: if an object cannot have these tags.
        """
        change = s3_headers.tagging(s3_headers.check_tags(tags))
        self._client.change_object(names.path_of(obj), change)

    def delete_object(
        self,
        obj: Object,
        *,
        ex_check_condition: bool = False,
        ex_customer_key: bytes | None = None,
    ) -> bool:
        """
        Delete an object; one that does not exist counts as deleted.

        :param obj: Object to delete. One from :meth:`ex_iterate_object_versions` stands for that
            version, which is deleted permanently. Any other leaves its versions in place, if the
            container has versioning.
        :param ex_check_condition: Whether to delete it only if its ETag is ``obj.hash``. Ceph 20
            compares as it deletes; on older versions one request compares and another deletes.
        :param ex_customer_key: Key of 32 bytes with which the object is encrypted, for comparing.
        :return: ``True``.
        :raises AuroraObjectsError: with code ``PreconditionFailed`` if it has another ETag.
        """
        path, conditions = names.path_of(obj, customer_key("ex_customer_key", ex_customer_key)), {}
        if ex_check_condition:
            if not obj.hash:
                raise ValueError("obj has no hash that ex_check_condition could compare")
            conditions = {"if-match": f'"{obj.hash}"'}
            try:
                self._client.check_conditions(path, conditions)
            except ObjectNotFoundError:
                return True
        self._client.delete_object(path, conditions)
        return True

    def ex_delete_objects(self, container: Container, objects: Iterable[Object | str]) -> None:
        """
        Delete many objects of a container, up to 1,000 with each request, up to four at once.

        :param container: Container of the objects.
        :param objects: Objects, their names, or versions from :meth:`ex_iterate_object_versions`.
            They are consumed as the deletion proceeds, so there may be any number of them.
        :return: Nothing. Objects that do not exist count as deleted.
        :raises DeleteFailedError: saying what is left and why, after all others are deleted. If a
            request fails for good, none is sent after it, and the error names its objects and
            those left otherwise. If objects are left when one of the errors below comes, that one
            is its cause.
        :raises InvalidObjectNameError: for a name that no object can have, before the request with
            it is sent; the objects of earlier requests are deleted.
        :raises ValueError: in the same way, for an object of another container.
        """
        bucket = names.bucket_of(container)
        named = delete.named_by(objects, bucket)
        concurrency = self._transfer.file_concurrency
        delete.delete_named(self._client, bucket, named, self, concurrency=concurrency)

    def ex_get_object_public_url(self, obj: Object) -> str:
        """
        Return an object's plain URL, which works for everybody if the object is public.

        Nothing is sent. ``obj.extra["url"]`` is the same.

        :param obj: Object the URL is for; :meth:`ex_set_object_acl` sets who may read it.
        :return: The URL, without credentials.
        """
        path = names.path_of(obj)
        url = self.connection.url(path.quoted)
        return f"{url}?{canonical_query(path.version)}" if path.version else url

    def ex_get_object_presigned_url(
        self,
        obj: Object,
        ex_expiry: float | timedelta = 24.0,
        ex_method: str = "GET",
        *,
        ex_response_headers: Mapping[str, str] | None = None,
        ex_content_type: str | None = None,
    ) -> str:
        """
        Return a URL that works without credentials for a limited time; nothing is sent.

        https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html

        :param obj: Object the URL is for; for PUT it need not exist.
        :param ex_expiry: How long the URL works, in hours or as a timedelta, from one second to 7
            days.
        :param ex_method: The only HTTP method that it works for: GET, HEAD, PUT or DELETE.
        :param ex_response_headers: For GET and HEAD: headers that the response has instead of the
            object's, such as ``{"Content-Disposition": 'attachment; filename="żółw.txt"'}``;
            ``Content-Type``, ``-Encoding`` and ``-Language``, ``Cache-Control`` and ``Expires``
            also work.
        :param ex_content_type: For PUT: the ``Content-Type`` that the request must have.
        :return: The URL. Anyone who has it can use it: treat it as a secret.
        :raises ValueError: if an argument is out of range; the message names it.
        """
        if ex_method not in PRESIGNED_METHODS:
            raise ValueError(f"ex_method must be one of {PRESIGNED_METHODS}, not {ex_method!r}")
        if ex_response_headers and ex_method not in ("GET", "HEAD"):
            raise ValueError(f"ex_response_headers: only GET and HEAD take them, not {ex_method}")
        if ex_content_type and ex_method != "PUT":
            raise ValueError(
                f"ex_content_type: only PUT sends one, not {ex_method}; for the type of a response "
                "use ex_response_headers"
            )
        if self._settings.arguments["ex_anonymous"]:
            raise ValueError(
                "ex_anonymous: a URL cannot be signed without keys; for a public object, use "
                "ex_get_object_public_url()"
            )
        path, connection = names.path_of(obj), self.connection
        headers = {"host": connection.host_header}
        if ex_content_type:
            headers["content-type"] = objects.wire_value("ex_content_type", ex_content_type)
        query = connection.signer.presigned_query(
            method=ex_method,
            path=path.quoted,
            headers=headers,
            expires_seconds=expiry_seconds(ex_expiry),
            now=connection.clock.now(),
            params={**objects.response_params(ex_response_headers), **path.version},
        )
        return f"{connection.url(path.quoted)}?{query}"

    # Uploads

    def upload_object(
        self,
        file_path: str | os.PathLike[str],
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
        ex_check_condition: bool = False,
    ) -> Object:
        """
        Upload a file, in parts if it is larger than one.

        Every body is signed with its SHA-256, which the server verifies before it stores anything,
        except with ``ex_anonymous``, which signs nothing.

        :param file_path: Path of the file.
        :param container: Destination container.
        :param object_name: Name of the object, 1 to 1,024 bytes of UTF-8.
        :param extra: ``content_type``, ``acl`` and ``meta_data``, as in libcloud's S3 driver, and
            ``tags``. Keys that libcloud's objects do not have give a warning.
        :param verify_hash: Whether to compare the ETag of an object made of parts with its parts.
        :param headers: Further headers; the page "Headers" says what becomes of each. The dict is
            not changed.
        :param ex_storage_class: Storage class that the server has; by default the server's.
        :param ex_progress: Called in this thread with the bytes done and the size.
        :param ex_resume: Continue an unfinished upload of the same key: parts on the server are
            kept if their MD5 matches the file. A failure leaves the parts for the next call.
        :param ex_customer_key: Key of 32 bytes with which the server encrypts the object.
        :param ex_check_condition: Whether ``If-Match`` and ``If-None-Match: *`` in ``headers`` are
            checked by separate requests: before anything is sent and, for an object in parts, once
            more at the end. Ceph 20 checks again as it stores the object; on older versions, what
            is written in between is overwritten.
        :return: The object; its ``hash`` is the server's ETag without quotes.
        :raises OSError: if the file cannot be read.
        :raises FileChangedError: if it changes while it is being sent; no object is stored.
        :raises EncryptionKeyError: if the server does not accept the key.
        """
        path = os.fsdecode(file_path)
        wanted = self._wanted(
            container, object_name, extra, headers, ex_storage_class, ex_customer_key, path
        )
        with FileParts(path, self._transfer.part_size, ex_progress) as parts:
            send = self._resume if ex_resume and len(parts.sizes) > 1 else self._upload
            return send(
                parts, wanted, verify_hash=verify_hash, checks_conditions=ex_check_condition
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
        ex_check_condition: bool = False,
    ) -> Object:
        """
        Upload a stream of unknown size, up to 5 TiB, in parts.

        A stream that ends within its first part is sent as one request. Parts are 5 MiB for the
        first 1,000 and grow from there, unless ``ex_size`` says how much is to come.

        :param iterator: File, iterable of bytes-like or text chunks, or bytes. Text is sent as
            UTF-8.
        :param container: Destination container.
        :param object_name: Name of the object, 1 to 1,024 bytes of UTF-8.
        :param extra: ``content_type``, ``acl`` and ``meta_data``, as in libcloud's S3 driver, and
            ``tags``. Keys that libcloud's objects do not have give a warning.
        :param headers: Further headers; the page "Headers" says what becomes of each. The dict is
            not changed.
        :param ex_storage_class: Storage class that the server has; by default the server's.
        :param ex_size: Size of the stream in bytes. If it has more or fewer, the call raises a
            ``ValueError`` and no object is stored.
        :param ex_progress: Called in this thread with the bytes done, and ``ex_size`` or ``None``.
        :param ex_customer_key: Key of 32 bytes with which the server encrypts the object.
        :param ex_check_condition: As in :meth:`upload_object`.
        :return: The object; its ``hash`` is the server's ETag without quotes.
        :raises TypeError: if the stream yields anything but bytes or text.
        :raises EncryptionKeyError: if the server does not accept the key.
        """
        wanted = self._wanted(
            container, object_name, extra, headers, ex_storage_class, ex_customer_key
        )
        config = self._transfer
        parts = StreamParts(
            iterator, config.part_size, ex_size, ex_progress, memory=config.upload_memory
        )
        return self._upload(parts, wanted, checks_conditions=ex_check_condition)

    def ex_iterate_multipart_uploads(
        self, container: Container, prefix: str | None = None, delimiter: str | None = None
    ) -> Iterator[S3MultipartUpload]:
        """
        Return an iterator over the multipart uploads that are neither complete nor aborted.

        :param container: Container instance.
        :param prefix: Only uploads of objects whose names start with it.
        :param delimiter: Leave out uploads of objects whose names have this text after the prefix.
        :return: Uploads with ``key``, the object's name; ``id``; and ``created_at``, an ISO 8601
            date.
        :raises ContainerNotFoundError: on the first step, if the container does not exist.
        """
        return self._listing().uploads(container, prefix=prefix, delimiter=delimiter)

    def ex_cleanup_all_multipart_uploads(
        self, container: Container, prefix: str | None = None, older_than: timedelta | None = None
    ) -> None:
        """
        Abort the multipart uploads in progress and free the space of their parts.

        One that may share its data with an object is kept, and the log names it: if radosgw died
        after it had stored the object, aborting the upload would destroy the object.

        :param container: Container of the uploads.
        :param prefix: Only uploads of objects whose names start with it.
        :param older_than: Only uploads that began at least this long ago.
        :raises AccessDeniedError: if one may not be aborted, once all others are.
        :raises AuroraObjectsError: likewise, if one is locked because radosgw is completing it, or
            ended meanwhile; at once, if the server fails.
        """
        if not isinstance(older_than, (timedelta, type(None))):
            raise TypeError(f"older_than must be a timedelta, not {type(older_than).__name__}")
        if older_than is not None and older_than < timedelta(0):
            raise ValueError(f"older_than must not be negative, and is {older_than}")
        limit = None if older_than is None else self.connection.clock.now() - older_than
        listed = self.ex_iterate_multipart_uploads(container, prefix)
        self._uploads.clean_up(container.name, listed, begun_until=limit)

    # Downloads

    def download_object(
        self,
        obj: Object,
        destination_path: str | os.PathLike[str],
        overwrite_existing: bool = False,
        delete_on_failure: bool = True,
        *,
        ex_progress: Progress | None = None,
        ex_resume: bool = False,
        ex_customer_key: bytes | None = None,
        ex_durable: bool = True,
    ) -> bool:
        """
        Save an object as a file, which appears complete and verified or not at all.

        :param obj: Object to fetch.
        :param destination_path: Path of the file, or of a directory in which to save it under the
            object's own name.
        :param overwrite_existing: Whether an existing file may be replaced. If not, one that
            appears during the download is not replaced either.
        :param delete_on_failure: Accepted for libcloud's sake; a failure leaves nothing to delete.
        :param ex_progress: Called in this thread with the bytes done and the size.
        :param ex_resume: Continue where an earlier call was cut off, if the object is still the
            same. A failure leaves what has arrived in two hidden files next to the destination,
            until a later call completes the download, with or without ``ex_resume``.
        :param ex_customer_key: Key of 32 bytes with which the object is encrypted.
        :param ex_durable: Whether to wait until the file would survive a power cut.
        :return: ``True``.
        :raises OSError: if writing the file fails, as on a full disk.
        :raises AuroraObjectsError: if the file exists and must stay; nothing is fetched then.
        :raises InvalidObjectNameError: if the object's own name does not fit into the directory.
        :raises ObjectNotFoundError: if the object does not exist.
        :raises HashMismatchError: if what arrives keeps differing from its checksum or ETag.
        :raises ObjectChangedError: if the object is replaced in the meantime.
        :raises EncryptionKeyError: if it is encrypted with another key or not at all.
        """
        download = Download(self._reading(obj, ex_customer_key, progress=ex_progress))
        target = Destination(
            destination_path, obj.name, overwrite=overwrite_existing, durable=ex_durable
        )
        if ex_resume:
            download.to_file_resuming(target)
        else:
            download.to_file(target)
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
        Return an iterator over an object's bytes; an empty object yields ``b""`` once.

        :param obj: Object to fetch.
        :param chunk_size: Size of each chunk in bytes, except for the last; 1 MiB by default.
        :param ex_progress: Called in this thread with the bytes handed out and the size.
        :param ex_customer_key: Key of 32 bytes with which the object is encrypted.
        :return: Chunks. This call sends the first request; the others follow as you take chunks.
        :raises ObjectNotFoundError: at once, if the object does not exist.
        :raises HashMismatchError: at the end, if the bytes differ from its checksum or ETag.
        """
        reading = self._reading(obj, ex_customer_key, progress=ex_progress)
        return Stream(reading).chunks(chunk_size_of(chunk_size))

    def download_object_range(
        self,
        obj: Object,
        destination_path: str | os.PathLike[str],
        start_bytes: int,
        end_bytes: int | None = None,
        overwrite_existing: bool = False,
        delete_on_failure: bool = True,
        *,
        ex_customer_key: bytes | None = None,
        ex_durable: bool = True,
    ) -> bool:
        """
        Save part of an object as a file, which appears complete or not at all.

        :param obj: Object to fetch.
        :param destination_path: Path of the file, or of a directory in which to save it under the
            object's own name.
        :param start_bytes: First byte, counted from 0.
        :param end_bytes: Byte after the last one; by default the end of the object.
        :param overwrite_existing: Whether an existing file may be replaced. If not, one that
            appears during the download is not replaced either.
        :param delete_on_failure: Accepted for libcloud's sake; a failure leaves nothing to delete.
        :param ex_customer_key: Key of 32 bytes with which the object is encrypted.
        :param ex_durable: Whether to wait until the file would survive a power cut.
        :return: ``True``.
        :raises OSError: if writing the file fails, as on a full disk.
        :raises AuroraObjectsError: if the file exists and must stay; nothing is fetched then.
        :raises InvalidObjectNameError: if the object's own name does not fit into the directory.
        :raises ValueError: if the bytes are not a range.
        """
        span = self._span(start_bytes, end_bytes)
        reading = self._reading(obj, ex_customer_key, span=span)
        target = Destination(
            destination_path, obj.name, overwrite=overwrite_existing, durable=ex_durable
        )
        Download(reading).to_file(target)
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
        :param start_bytes: First byte, counted from 0.
        :param end_bytes: Byte after the last one; by default the end of the object.
        :param chunk_size: Size of each chunk in bytes, except for the last; 1 MiB by default.
        :param ex_customer_key: Key of 32 bytes with which the object is encrypted.
        :return: Chunks. This call sends the first request; the others follow as you take chunks.
        :raises ObjectNotFoundError: at once, if the object does not exist.
        :raises ValueError: if the bytes are not a range.
        """
        span = self._span(start_bytes, end_bytes)
        reading = self._reading(obj, ex_customer_key, span=span)
        return Stream(reading).chunks(chunk_size_of(chunk_size))

    # Objects as files

    @overload
    def ex_open(
        self,
        target: Object,
        mode: Literal["rb"] = "rb",
        *,
        ex_customer_key: bytes | None = None,
    ) -> ObjectReader: ...

    @overload
    def ex_open(
        self,
        target: Container,
        mode: Literal["wb"],
        *,
        object_name: str,
        extra: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        ex_storage_class: str | None = None,
        ex_size: int | None = None,
        ex_progress: Progress | None = None,
        ex_customer_key: bytes | None = None,
        ex_check_condition: bool = False,
    ) -> ObjectWriter: ...

    def ex_open(
        self,
        target: Object | Container,
        mode: str = "rb",
        *,
        object_name: str = "",
        extra: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        ex_storage_class: str | None = None,
        ex_size: int | None = None,
        ex_progress: Progress | None = None,
        ex_customer_key: bytes | None = None,
        ex_check_condition: bool = False,
    ) -> ObjectReader | ObjectWriter:
        """
        Open an object as a file, for any code that reads or writes files: :doc:`/open`.

        Ranges are read as they are needed, all from one version. What is written is uploaded in
        parts as it comes, and stored by ``close()``.

        :param target: Object to read, or container in which to write one.
        :param mode: ``rb`` or ``wb``. For text, wrap the file in ``io.TextIOWrapper``.
        :param object_name: For writing: name of the object, 1 to 1,024 bytes of UTF-8.
        :param extra: For writing: as in :meth:`upload_object_via_stream`.
        :param headers: For writing: likewise, but conditions always need ``ex_check_condition``.
        :param ex_storage_class: For writing: likewise.
        :param ex_size: For writing: likewise.
        :param ex_progress: For writing: likewise; called in the thread that writes.
        :param ex_customer_key: Key of 32 bytes with which the object is encrypted.
        :param ex_check_condition: As in :meth:`upload_object`.
        :return: An ``io.BufferedReader`` with ``size``, or a :class:`.ObjectWriter`.
        :raises ValueError: for any other mode, or an argument that does not apply to the mode.
        :raises ObjectNotFoundError: if the object to read does not exist.
        """
        kinds = {"rb": Object, "wb": Container}
        if mode not in kinds:
            raise ValueError(
                f"mode must be 'rb' or 'wb', not {mode!r}: for text, wrap the file in "
                "io.TextIOWrapper"
            )
        if not isinstance(target, kinds[mode]):
            raise TypeError(
                f"target must be an Object to read ('rb') and a Container to write ('wb'), with "
                f"object_name, not {type(target).__name__} for {mode!r}"
            )
        if isinstance(target, Object):
            writing = {
                "object_name": object_name or None,
                "extra": extra,
                "headers": headers,
                "ex_storage_class": ex_storage_class,
                "ex_size": ex_size,
                "ex_progress": ex_progress,
                "ex_check_condition": ex_check_condition or None,
            }
            for name, value in writing.items():
                if value is not None:
                    raise ValueError(f"{name} only applies to writing, with mode 'wb'")
            return ObjectReader(self._reading(target, ex_customer_key))
        wanted = self._wanted(
            target, object_name, extra, headers, ex_storage_class, ex_customer_key
        )
        wanted.plan(Way.PARTS, checks_conditions=ex_check_condition)
        written = Written(self._uploads, wanted, ex_size, ex_progress)
        return ObjectWriter(written, object_name, self)

    # Calls that AuroraObjects does not support

    def enable_container_cdn(self, container: Any, **_: Any) -> NoReturn:
        """Raise :exc:`.CDNNotSupportedError`: AuroraObjects has no CDN."""
        self._refuse("enable_container_cdn")

    def get_container_cdn_url(self, container: Any, **_: Any) -> NoReturn:
        """Raise :exc:`.CDNNotSupportedError`: AuroraObjects has no CDN."""
        self._refuse("get_container_cdn_url")

    def enable_object_cdn(self, obj: Any, **_: Any) -> NoReturn:
        """Raise :exc:`.CDNNotSupportedError`: AuroraObjects has no CDN."""
        self._refuse("enable_object_cdn")

    def get_object_cdn_url(self, obj: Any, *_: Any, **__: Any) -> NoReturn:
        """Raise :exc:`.CDNNotSupportedError`: AuroraObjects has no CDN."""
        self._refuse("get_object_cdn_url")

    def _refuse(self, call: str) -> NoReturn:
        raise CDNNotSupportedError(
            f"{call}() is not supported: AuroraObjects has no CDN. Use "
            "ex_get_object_presigned_url() for a link that works without credentials for a limited "
            "time, or ex_get_object_public_url() for the plain URL of a public object.",
            driver=self,
        )

    # Hooks of the inherited uploads: of a whole object, and, for programs that call them, of parts

    def _upload_object(
        self,
        object_name: str,
        content_type: str,
        request_path: str,
        request_method: str = "PUT",
        headers: dict[str, str] | None = None,
        file_path: str | None = None,
        stream: Any = None,
        chunked: bool = False,
        multipart: bool = False,
    ) -> dict[str, Any]:
        if not isinstance(stream, Whole):
            inherited: dict[str, Any] = super()._upload_object(  # type: ignore[no-untyped-call]
                object_name, content_type, request_path, request_method, headers, file_path, stream
            )
            return inherited
        etag = stream.send().etag
        response = SimpleNamespace(status=200, headers={"etag": etag})
        # The body was signed: its hash is the server's.
        return {"response": response, "data_hash": etag, "bytes_transferred": stream.part.size}

    def _initiate_multipart(
        self, container: Container, object_name: str, headers: dict[str, str] | None = None
    ) -> str:
        named = {name.lower(): value for name, value in (headers or {}).items()}
        rest, key = only_key("ex_customer_key", None, named)
        return self._uploads.begin(ObjectPath(container.name, object_name, key), rest, []).id

    def _upload_multipart_chunks(
        self,
        container: Container,
        object_name: str,
        upload_id: str,
        stream: Any,
        calculate_hash: bool = True,
    ) -> tuple[list[tuple[int, str]], str | None, int]:
        upload = self._uploads.find(ObjectPath(container.name, object_name), upload_id)
        upload.verify = calculate_hash
        parts = StreamParts(stream, self._transfer.part_size)
        return upload.send(parts), None, parts.sent

    def _commit_multipart(
        self, container: Container, object_name: str, upload_id: str, chunks: list[tuple[int, str]]
    ) -> str:
        upload = self._uploads.find(ObjectPath(container.name, object_name), upload_id)
        parts = [(number, objects.strip_etag(etag)) for number, etag in chunks]
        return upload.complete(parts).etag

    def _abort_multipart(self, container: Container, object_name: str, upload_id: str) -> None:
        self._uploads.find(ObjectPath(container.name, object_name), upload_id).abort()

    # What libcloud's own code asks for

    def _get_container_path(self, container: Container) -> str:
        return names.bucket_path(names.bucket_of(container))

    def _get_object_path(self, container: Container, object_name: str) -> str:
        return ObjectPath(names.bucket_of(container), object_name).quoted

    def _clean_object_name(self, name: str) -> str:
        return names.quote_key(name)

    def _to_storage_class_headers(self, storage_class: str | None) -> dict[str, str]:
        return objects.storage_class_headers(storage_class)

    # From arguments to collaborators

    def _listing(self) -> Listing:
        return Listing(self._client, self, reads_ahead=self._transfer.file_concurrency > 1)

    def _span(self, start_bytes: int, end_bytes: int | None) -> Span:
        """Return a range as Python's own integers; those of NumPy might overflow."""
        try:
            start = int(index(start_bytes))
            end = None if end_bytes is None else int(index(end_bytes))
        except TypeError:
            raise TypeError(
                f"start_bytes and end_bytes must be integers, not {start_bytes!r} and {end_bytes!r}"
            ) from None
        self._validate_start_and_end_bytes(start, end)
        return start, end

    def _reading(
        self,
        obj: Object,
        key: bytes | None,
        *,
        span: Span | None = None,
        progress: Progress | None = None,
    ) -> Reading:
        path = names.path_of(obj, customer_key("ex_customer_key", key))
        size = obj.size if isinstance(obj.size, int) else None
        return Reading(self._client, path, self._transfer, size, span, progress)

    def _wanted(
        self,
        container: Container,
        object_name: str,
        extra: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
        storage_class: str | None,
        key: bytes | None,
        file_path: str | None = None,
    ) -> Wanted:
        """Check and copy what the caller asked for, before anything is read or sent."""
        names.quote_key(object_name, names.bucket_of(container))
        given, headers = objects.lift_content_type(extra, headers)
        given["content_type"] = self._determine_content_type(  # type: ignore[no-untyped-call]
            given.get("content_type"), object_name, file_path=file_path
        )
        return Wanted(
            container,
            object_name,
            extra=given,
            headers=headers,
            storage_class=storage_class,
            customer_key=key,
        )

    def _upload(
        self,
        parts: Parts,
        wanted: Wanted,
        *,
        verify_hash: bool = True,
        checks_conditions: bool = False,
    ) -> Object:
        """Send an object: whole if it is one part, by libcloud's method, or in parts."""
        only = parts.only_part()
        if only is not None:
            whole = Whole(self._client, parts, only, wanted, checks_conditions=checks_conditions)
            obj = self._put_object(  # type: ignore[no-untyped-call]
                wanted.container, wanted.path.key, stream=whole, verify_hash=verify_hash
            )
            return wanted.object(obj.size, whole.stored or Stored(obj.hash), self)
        wanted.plan(Way.PARTS, checks_conditions=checks_conditions)
        with self._uploads.aborting() as begun:
            upload = self._uploads.begin(wanted.path, wanted.asked, begun, ready=parts.ready)
            upload.verify = verify_hash
            stored = upload.complete(upload.send(parts))
        return wanted.object(parts.sent, stored, self)

    def _resume(
        self, parts: FileParts, wanted: Wanted, *, verify_hash: bool, checks_conditions: bool
    ) -> Object:
        """Continue an earlier upload, and give the object what this call asks for."""
        planned = wanted.plan(Way.RESUME, checks_conditions=checks_conditions)
        stored, began_earlier = self._uploads.resume(
            parts, wanted.path, wanted.asked, verify=verify_hash
        )
        if began_earlier:
            stored = adjusted(self._uploads, stored, wanted, planned)
        return wanted.object(parts.sent, stored, self)


def _rebuild(
    kind: type[AuroraObjectsStorageDriver], arguments: dict[str, Any]
) -> AuroraObjectsStorageDriver:
    return kind(**arguments)
