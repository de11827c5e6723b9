"""Python bindings of the Rust crate object_store."""

from pathlib import Path

import obstore
from obstore.store import S3Store

CHUNK = 1024**2


def connect(target):
    """Make a store; plain http has to be allowed."""
    return S3Store(
        target.bucket,
        endpoint=target.endpoint,
        access_key_id=target.access_key,
        secret_access_key=target.secret_key,
        region="us-east-1",
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )


def upload_file(handle, path, key):
    """Upload a file."""
    obstore.put(handle, key, Path(path))


def upload_stream(handle, source, key):
    """Upload an iterator."""
    obstore.put(handle, key, iter(source))


def download_file(handle, key, path):
    """Save an object in the chunks it arrives in; there is no function for files."""
    with open(path, "wb") as file:
        for chunk in obstore.get(handle, key).stream():
            file.write(chunk)


def download_stream(handle, key):
    """Read an object in chunks of at least 1 MiB."""
    return sum(map(len, obstore.get(handle, key).stream(min_chunk_size=CHUNK)))


def put(handle, key, data):
    """Upload bytes."""
    obstore.put(handle, key, data)


def get(handle, reference):
    """Read an object."""
    return bytes(obstore.get(handle, reference).bytes())


def look_up(handle, key):
    """Ask for an object's size."""
    return obstore.head(handle, key)["size"]


def list_keys(handle, prefix):
    """List objects."""
    return sum(row["size"] >= 0 for page in obstore.list(handle, prefix) for row in page)


def delete_keys(handle, prefix, keys):
    """Delete a list of paths, many per request."""
    obstore.delete(handle, keys)
