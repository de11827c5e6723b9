"""What clients are measured against: a real radosgw, or a sink that keeps nothing."""

import contextlib
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from benchmarks.sink import listening

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "tests"))  # for the cluster of the live tests
#: Bytes the OSD may hold; 4 GiB objects are replaced before the old one is gone.
MEMORY = 10 << 30
HOST = "127.0.0.1"


class Server(NamedTuple):
    """A server that runs, with its ports by scheme.

    :param authority: Path of the certificate of the authority that has signed the server's.
    :param configuration: Path of ceph.conf; ``None`` for the sink.
    """

    ports: dict
    authority: Path
    access_key: str
    secret_key: str
    configuration: Path | None = None

    def collect_garbage(self):
        """Free deleted data now, not while the next client is measured."""
        if self.configuration:
            command = ["radosgw-admin", "-c", self.configuration, "gc", "process", "--include-all"]
            subprocess.run(command, capture_output=True)


@contextlib.contextmanager
def serving(words):
    """Run ``radosgw``, with words for its frontend, or ``sink``, for a ``with`` block."""
    from live.ceph import Cluster  # of tests/, as what is below
    from live.ceph_files import write_certificate

    kind, _, frontend = words.partition(" ")
    if kind == "radosgw":
        with Cluster(frontend=frontend, tls=True, memory=MEMORY) as cluster:
            ports = {"http": cluster.port, "https": cluster.tls_port}
            keys = cluster.owner.access_key, cluster.owner.secret_key
            yield Server(ports, cluster.ca_file, *keys, cluster.directory / "ceph.conf")
        return
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        certificate = write_certificate(directory)
        with listening(certificate) as ports:
            yield Server(ports, directory / "ca.pem", "key", "secret")
