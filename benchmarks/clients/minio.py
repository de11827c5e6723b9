"""MinIO's client for Python."""

import io

from minio import Minio
from minio.deleteobjects import DeleteObject

CHUNK = 1024**2
#: A stream of unknown size needs a part size; this is the one of minio's documentation.
PART_SIZE = 10 * 1024**2


class Handle:
    """A client and the bucket everything happens in."""

    def __init__(self, target):
        self.bucket = target.bucket
        self.client = Minio(
            f"{target.host}:{target.port}",
            access_key=target.access_key,
            secret_key=target.secret_key,
            secure=False,
            region="us-east-1",
        )


def connect(target):
    """Make a client."""
    return Handle(target)


def upload_file(handle, path, key):
    """Upload a file."""
    handle.client.fput_object(handle.bucket, key, path)


def upload_stream(handle, source, key):
    """Upload a file object of unknown length."""
    handle.client.put_object(handle.bucket, key, source.file(), -1, part_size=PART_SIZE)


def download_file(handle, key, path):
    """Save an object."""
    handle.client.fget_object(handle.bucket, key, path)


def download_stream(handle, key):
    """Read an object in chunks of 1 MiB."""
    response = handle.client.get_object(handle.bucket, key)
    try:
        return sum(map(len, response.stream(CHUNK)))
    finally:
        response.close()
        response.release_conn()


def put(handle, key, data):
    """Upload bytes."""
    handle.client.put_object(handle.bucket, key, io.BytesIO(data), len(data))


def get(handle, reference):
    """Read an object."""
    response = handle.client.get_object(handle.bucket, reference)
    try:
        return response.read()
    finally:
        response.close()
        response.release_conn()


def look_up(handle, key):
    """Ask for an object's size."""
    return handle.client.stat_object(handle.bucket, key).size


def list_keys(handle, prefix):
    """List objects."""
    return sum(row.size >= 0 for row in handle.client.list_objects(handle.bucket, prefix, True))


def delete_keys(handle, prefix, keys):
    """Delete what a listing finds, many per request."""
    listing = handle.client.list_objects(handle.bucket, prefix, True)
    names = (DeleteObject(row.object_name) for row in listing)
    errors = list(handle.client.remove_objects(handle.bucket, names))
    if errors:
        raise OSError(errors[0])
