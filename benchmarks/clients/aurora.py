"""This driver."""

from benchmarks.clients.libcloud_interface import (  # noqa: F401 (the client's functions)
    Handle,
    download_file,
    download_stream,
    get,
    list_keys,
    look_up,
    put,
    references,
    upload_file,
    upload_stream,
)
from libcloud_aurora import AuroraObjectsStorageDriver


def connect(target):
    """Make a driver."""
    driver = AuroraObjectsStorageDriver(
        target.access_key,
        target.secret_key,
        secure=bool(target.ca_file),
        host=target.host,
        port=target.port,
        ex_verify_ssl=target.ca_file or True,
        **target.options,
    )
    return Handle(driver, target.bucket)


def delete_keys(handle, prefix, keys):
    """Delete what a listing finds, many per request."""
    objects = handle.driver.iterate_container_objects(handle.container, prefix)
    handle.driver.ex_delete_objects(handle.container, objects)
