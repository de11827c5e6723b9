"""Requests about an object that the server encrypts with a key it is given each time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from libcloud_aurora._encryption import CustomerKey, needs_key
from libcloud_aurora._failures import describe
from libcloud_aurora._response import AuroraResponse
from libcloud_aurora.errors import EncryptionKeyError

Request = Callable[..., AuroraResponse]


class Keyed:
    """
    Sends requests about one object, with its key where the server needs it.

    radosgw reads an object that is not encrypted whatever key it is given, and servers that know no
    such keys store what they get as it is: only an answer that names the key is a success.

    :param request: Sends one request.
    :param key: The object's key.
    """

    def __init__(self, request: Request, key: CustomerKey) -> None:
        self._request = request
        self._key = key

    def __call__(self, path: str, **arguments: Any) -> AuroraResponse:
        method = arguments.get("method", "GET")
        if not needs_key(method, arguments.get("params")):
            return self._request(path, **arguments)
        headers = {**(arguments.get("headers") or {}), **self._key.headers()}
        response = self._request(path, **{**arguments, "headers": headers})
        copies = "x-amz-copy-source" in headers  # radosgw's answer to that names no key
        if copies or self._key.is_named_by(response.headers):
            return response
        if arguments.get("stream"):
            response.raw.close()
        raise self._unconfirmed(method, path, arguments.get("params") or {}, response)

    def _unconfirmed(
        self, method: str, path: str, params: Mapping[str, Any], response: AuroraResponse
    ) -> EncryptionKeyError:
        bucket, _, key = path[1:].partition("/")
        names = {"bucket": unquote(bucket), "key": unquote(key)}
        stores = "What was just stored is readable without the key: delete it. " * (method == "PUT")
        if "uploadId" in params:
            stores = "No object was stored; ex_cleanup_all_multipart_uploads() removes its parts. "
        return EncryptionKeyError(
            f"{describe(method, **names)} failed: the server does not say that the object is "
            f"encrypted with the given key. {stores}Either it was begun without that key, or the "
            "server does not know such keys.",
            driver=response.connection.driver,
            http_status=response.status,
            **names,
        )


def keyed(request: Request, key: CustomerKey | None) -> Request:
    """Return what sends requests about an object with this key, or with none."""
    return request if key is None else Keyed(request, key)
