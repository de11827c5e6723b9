"""One module per client, each with the same functions; a missing function is a missing feature.

``connect(target)`` returns a handle, which every other function takes first:

* ``upload_file(handle, path, key)`` and ``download_file(handle, key, path)``
* ``upload_stream(handle, source, key)``: a :class:`~benchmarks.sources.Source` of unknown size
* ``download_stream(handle, key)``: read to the end, keep nothing, return the number of bytes
* ``put(handle, key, data)`` and ``get(handle, reference)``: small objects, one request each;
  ``references(handle, keys)`` makes what ``get`` takes, where that is not the key
* ``put_directory(handle, directory, prefix, threads)`` and ``get_directory(…)``: the same for
  programs, which would otherwise start once per object
* ``put_path(handle, key, path)`` instead of ``put`` where small bodies have to be files
* ``look_up(handle, key)``: return the size of an object
* ``list_keys(handle, prefix)``: return how many there are
* ``delete_keys(handle, prefix, keys)``: all of them

Everything has its default setting, except where the module says why not.
"""

from typing import NamedTuple

NAMES = (
    "aurora",
    "libcloud_auroraobjects",
    "libcloud_s3_rgw",
    "boto3",
    "minio",
    "s3fs",
    "obstore",
    "s5cmd",
    "rclone",
)
#: Libraries written in Python, and what is not.
PYTHON = ("aurora", "libcloud_auroraobjects", "libcloud_s3_rgw", "boto3", "minio", "s3fs")
NATIVE = ("obstore", "s5cmd", "rclone")


class Target(NamedTuple):
    """
    Where a client connects to, and settings that are not its defaults.

    :param ca_file: Whose certificates are trusted, if it is to be https.
    """

    host: str
    port: int
    access_key: str
    secret_key: str
    bucket: str
    options: dict
    ca_file: str = ""

    @property
    def endpoint(self):
        """The address as a URL."""
        return f"{'https' if self.ca_file else 'http'}://{self.host}:{self.port}"
