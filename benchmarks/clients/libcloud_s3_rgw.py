"""Libcloud's driver for any radosgw, with the newer of its two signatures.

Its default, SigV2, cannot upload a stream at all. A stream takes three requests, however small, so
small bodies are files.
"""

from libcloud.storage.drivers.rgw import S3RGWStorageDriver

from benchmarks.clients.libcloud_interface import (  # noqa: F401 (the client's functions)
    Handle,
    delete_keys,
    download_file,
    download_stream,
    get,
    list_keys,
    look_up,
    references,
    upload_file,
    upload_stream,
)


def connect(target):
    """Make a driver."""
    driver = S3RGWStorageDriver(
        target.access_key,
        target.secret_key,
        secure=False,
        host=target.host,
        port=target.port,
        signature_version="4",
    )
    return Handle(driver, target.bucket)


def put_path(handle, key, path):
    """Upload a small file."""
    upload_file(handle, path, key)
