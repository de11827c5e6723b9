"""What the campaigns share: a Ceph with a bucket, drivers for it, and a witness."""

import contextlib
import random
import tempfile
import time
from pathlib import Path

from live import oracle
from live.ceph import Cluster
from workers import wait_for_workers

from libcloud_aurora import AuroraObjectsStorageDriver

MIB = 1024**2
BUCKET = "campaign"


class Site:
    """
    A running Ceph with one bucket.

    :ivar witness: The account as boto3 sees it.
    :ivar directory: An empty one, for as long as the campaign lasts.
    """

    def __init__(self, cluster, directory):
        self.cluster = cluster
        self.directory = Path(directory)
        self.witness = oracle.backend(cluster, cluster.owner)
        self.witness.create_bucket(BUCKET)
        self.drivers = []

    def connect(self, **settings):
        """Return a new driver."""
        owner, cluster = self.cluster.owner, self.cluster
        settings = {"secure": False, "port": cluster.port, "retry_delay": 0.05} | settings
        driver = AuroraObjectsStorageDriver(
            owner.access_key, owner.secret_key, host=cluster.host, **settings
        )
        self.drivers.append(driver)
        return driver

    def file(self, name, body):
        """Write a file and return its path."""
        path = self.directory / name
        path.write_bytes(body)
        return str(path)

    def stored(self, key):
        """Return the bytes of an object, or None if there is none."""
        try:
            return self.witness.get(BUCKET, key)
        except self.witness.client.exceptions.NoSuchKey:
            return None

    def parts_left(self):
        """Return how many parts each unfinished upload holds."""
        known = self.witness.client.exceptions
        try:
            return list(self.witness.uploads(BUCKET).values())
        except (known.NoSuchUpload, known.NoSuchKey):
            time.sleep(1)  # in which a request that was sent before a kill has ended the upload
            return list(self.witness.uploads(BUCKET).values())

    def close(self):
        """Close the drivers; no thread of theirs may be left."""
        for driver in self.drivers:
            driver.close()
        wait_for_workers()


@contextlib.contextmanager
def running(**settings):
    """Run a Ceph for as long as a campaign lasts."""
    with Cluster(**settings) as cluster, tempfile.TemporaryDirectory() as directory:
        site = Site(cluster, directory)
        yield site
        site.close()


def noise(size):
    """Return random bytes, as no other call has returned them."""
    return random.randbytes(size)
