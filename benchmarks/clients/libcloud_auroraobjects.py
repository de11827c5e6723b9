"""Libcloud's own driver of the same name. It cannot upload streams, so small bodies are files."""

from libcloud.storage.drivers.auroraobjects import AuroraObjectsStorageDriver

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
    driver = AuroraObjectsStorageDriver(
        target.access_key, target.secret_key, secure=False, host=target.host, port=target.port
    )
    return Handle(driver, target.bucket)


def put_path(handle, key, path):
    """Upload a small file."""
    upload_file(handle, path, key)
