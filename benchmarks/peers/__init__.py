"""The clients that are compared: a module for each, with a class ``Client``.

A method that a client does not have is a feature it does not have. All settings have their
defaults, except where a module says why not. Over https every client verifies the certificate, by
the authority that ``SSL_CERT_FILE`` and ``AWS_CA_BUNDLE`` name.
"""

from typing import NamedTuple

from benchmarks.data import CHUNK

LIBCLOUD = ("libcloud_auroraobjects", "libcloud_s3_rgw")
#: Libraries written in Python, and what is not.
PYTHON = (*LIBCLOUD, "boto3", "minio", "s3fs")
NATIVE = ("obstore", "s5cmd")


class Target(NamedTuple):
    """Where a client connects to, and settings that are not its defaults."""

    scheme: str
    host: str
    port: int
    access_key: str
    secret_key: str
    bucket: str
    options: dict

    @property
    def secure(self):
        """Whether to use https."""
        return self.scheme == "https"

    @property
    def endpoint(self):
        """The address as a URL."""
        return f"{self.scheme}://{self.host}:{self.port}"


class Peer:
    """What a client may be asked for, beside ``upload_file(path, key)``, ``upload_stream(source,
    key)``, ``download_file(key, path)``, ``look_up(key)``, which returns a size, ``chunks(key)`` of
    1 MiB, where the client lets one choose, ``sizes(prefix)`` of a listing, ``delete_keys(prefix,
    keys)``, and ``put(key, data, path)`` of a small object, which is there as bytes and as a file.
    """

    def __init__(self, target):
        self.target = target
        self.bucket = target.bucket

    def references(self, keys):
        """Return what :meth:`get` takes for each key."""
        return keys

    def get(self, reference):
        """Return a small object."""
        return b"".join(self.chunks(reference))

    def download_stream(self, key):
        """Read an object to its end, keep nothing, and return the number of bytes."""
        return sum(map(len, self.chunks(key)))

    def list_keys(self, prefix):
        """Return how many objects there are."""
        return sum(size >= 0 for size in self.sizes(prefix))


__all__ = ["CHUNK", "LIBCLOUD", "NATIVE", "PYTHON", "Peer", "Target"]
