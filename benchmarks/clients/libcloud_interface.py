"""What every libcloud driver is used for, in libcloud's words."""

from libcloud.storage.base import Container

CHUNK = 1024**2


class Handle:
    """A driver and the container everything happens in."""

    def __init__(self, driver, bucket):
        self.driver = driver
        self.container = Container(name=bucket, extra=None, driver=driver)


def upload_file(handle, path, key):
    """Upload a file."""
    handle.driver.upload_object(path, handle.container, key)


def upload_stream(handle, source, key):
    """Upload an iterator."""
    handle.driver.upload_object_via_stream(iter(source), handle.container, key)


def download_file(handle, key, path):
    """Look an object up and save it."""
    obj = handle.driver.get_object(handle.container.name, key)
    if not handle.driver.download_object(obj, path, overwrite_existing=True):
        raise OSError("download_object returned False")


def download_stream(handle, key):
    """Look an object up and read it in chunks of 1 MiB."""
    obj = handle.driver.get_object(handle.container.name, key)
    return sum(map(len, handle.driver.download_object_as_stream(obj, CHUNK)))


def put(handle, key, data):
    """Upload bytes; libcloud's only way is a stream."""
    handle.driver.upload_object_via_stream(iter([data]), handle.container, key)


def look_up(handle, key):
    """Ask for an object's size and the rest of what HEAD says."""
    return handle.driver.get_object(handle.container.name, key).size


def references(handle, keys):
    """Take the objects from a listing, as a program does that goes through a container."""
    prefix = keys[0].rpartition("/")[0] + "/"
    objects = handle.driver.iterate_container_objects(handle.container, prefix)
    found = {obj.name: obj for obj in objects}
    return [found[key] for key in keys]


def get(handle, reference):
    """Read an object."""
    return b"".join(handle.driver.download_object_as_stream(reference))


def list_keys(handle, prefix):
    """List objects."""
    objects = handle.driver.list_container_objects(handle.container, prefix=prefix)
    return sum(obj.size >= 0 for obj in objects)


def delete_keys(handle, prefix, keys):
    """Delete objects one by one, which is all that libcloud offers."""
    for obj in handle.driver.list_container_objects(handle.container, prefix=prefix):
        handle.driver.delete_object(obj)
