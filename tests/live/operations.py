"""Every method of the driver that sends something, as one call each."""

from libcloud.storage.base import Container, Object
from live.oracle import MIB


def foreign_container(driver, name):
    """Return a container that some other code has built."""
    return Container(name=name, extra={}, driver=driver)


def foreign_object(container, key):
    """Return an object that some other code has built, with nothing known of it."""
    return Object(key, None, None, None, None, container, container.driver)


def large_file(path):
    """Write a file of more than one part and return its path."""
    (path / "large").write_bytes(bytes(6 * MIB))
    return str(path / "large")


def small_file(path):
    """Write a file of a few bytes and return its path."""
    (path / "small").write_bytes(b"small")
    return str(path / "small")


#: Each takes the driver, a container, an object in it, and a directory.
ON_CONTAINERS = {
    "get_container": lambda d, c, o, p: d.get_container(c.name),
    "delete_container": lambda d, c, o, p: d.delete_container(c),
    "iterate_container_objects": lambda d, c, o, p: list(d.iterate_container_objects(c)),
    "list_container_objects": lambda d, c, o, p: d.list_container_objects(c, prefix="x"),
    "ex_iterate_multipart_uploads": lambda d, c, o, p: list(d.ex_iterate_multipart_uploads(c)),
    "ex_iterate_common_prefixes": lambda d, c, o, p: list(d.ex_iterate_common_prefixes(c)),
    "ex_empty_container": lambda d, c, o, p: d.ex_empty_container(c),
    "ex_cleanup_all_multipart_uploads": lambda d, c, o, p: d.ex_cleanup_all_multipart_uploads(c),
}
ON_UPLOADS = {
    "upload_object": lambda d, c, o, p: d.upload_object(small_file(p), c, o.name),
    "upload_object, large": lambda d, c, o, p: d.upload_object(large_file(p), c, o.name),
    "upload_object, resumed": lambda d, c, o, p: d.upload_object(
        large_file(p), c, o.name, ex_resume=True
    ),
    "upload_object_via_stream": lambda d, c, o, p: d.upload_object_via_stream(
        iter([b"small"]), c, o.name
    ),
    "upload_object_via_stream, large": lambda d, c, o, p: d.upload_object_via_stream(
        iter([bytes(6 * MIB)]), c, o.name
    ),
}
ON_OBJECTS = {
    "get_object": lambda d, c, o, p: d.get_object(c.name, o.name),
    "ex_copy_object": lambda d, c, o, p: d.ex_copy_object(o, c, "copy"),
    "download_object": lambda d, c, o, p: d.download_object(o, str(p / "copy")),
    "download_object, resumed": lambda d, c, o, p: d.download_object(
        o, str(p / "copy"), ex_resume=True
    ),
    "download_object_as_stream": lambda d, c, o, p: list(d.download_object_as_stream(o)),
    "download_object_range": lambda d, c, o, p: d.download_object_range(o, str(p / "copy"), 0, 1),
    "download_object_range_as_stream": lambda d, c, o, p: list(
        d.download_object_range_as_stream(o, 0, 1)
    ),
}
ON_DELETE = {
    "delete_object": lambda d, c, o, p: d.delete_object(o),
    "ex_delete_objects": lambda d, c, o, p: d.ex_delete_objects(c, [o]),
}
IN_A_CONTAINER = {**ON_CONTAINERS, **ON_UPLOADS, **ON_OBJECTS, **ON_DELETE}
ALL = {
    **IN_A_CONTAINER,
    "list_containers": lambda d, c, o, p: d.list_containers(),
    "iterate_containers": lambda d, c, o, p: list(d.iterate_containers()),
    "create_container": lambda d, c, o, p: d.create_container(c.name + "-new"),
}
