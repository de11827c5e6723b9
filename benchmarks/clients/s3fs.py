"""The file-system interface of fsspec, which is asynchronous inside."""

import s3fs

CHUNK = 1024**2


class Handle:
    """A file system and the bucket everything happens in."""

    def __init__(self, target):
        self.bucket = target.bucket
        self.files = s3fs.S3FileSystem(
            key=target.access_key,
            secret=target.secret_key,
            endpoint_url=target.endpoint,
            client_kwargs={"region_name": "us-east-1"},
            skip_instance_cache=True,
        )
        self.files.connect()

    def path(self, key):
        """Return where s3fs sees a key."""
        return f"{self.bucket}/{key}"


def connect(target):
    """Make a file system."""
    return Handle(target)


def upload_file(handle, path, key):
    """Upload a file."""
    handle.files.put_file(path, handle.path(key))


def upload_stream(handle, source, key):
    """Write to a file."""
    with handle.files.open(handle.path(key), "wb") as file:
        for chunk in source:
            file.write(chunk)


def download_file(handle, key, path):
    """Save an object."""
    handle.files.get_file(handle.path(key), path)


def download_stream(handle, key):
    """Read a file in chunks of 1 MiB."""
    with handle.files.open(handle.path(key), "rb") as file:
        return sum(map(len, iter(lambda: file.read(CHUNK), b"")))


def put(handle, key, data):
    """Upload bytes."""
    handle.files.pipe_file(handle.path(key), data)


def get(handle, reference):
    """Read an object."""
    return handle.files.cat_file(handle.path(reference))


def look_up(handle, key):
    """Ask for an object's size."""
    return handle.files.info(handle.path(key))["size"]


def list_keys(handle, prefix):
    """List objects."""
    rows = handle.files.find(handle.path(prefix), detail=True)
    return sum(row["size"] >= 0 for row in rows.values())


def delete_keys(handle, prefix, keys):
    """Delete a list of paths, many per request."""
    handle.files.rm([handle.path(key) for key in keys])
