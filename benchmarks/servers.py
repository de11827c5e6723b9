"""What clients are measured against: a real radosgw, or a sink that keeps nothing."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.wan import REPOSITORY

#: Bytes the OSD may hold; 4 GiB objects are replaced before the old one is gone.
MEMORY = 10 << 30
TICKS = os.sysconf("SC_CLK_TCK")


class Radosgw:
    """A radosgw with its cluster, as the live tests start it.

    :param cluster: A :class:`live.ceph.Cluster` that runs.
    """

    def __init__(self, cluster):
        self.host, self.port, self.endpoint = cluster.host, cluster.port, cluster.endpoint
        self.owner = cluster.owner
        self.tls_port, self.ca_file = cluster.tls_port, str(cluster.ca_file)
        self._configuration = str(cluster.directory / "ceph.conf")
        self._pids = [cluster.radosgw_pid, int((cluster.directory / "osd.0.pid").read_text())]
        self._cpu = 0.0

    def facts(self):
        """Return the CPU seconds of radosgw and OSD since the last call."""
        before, self._cpu = self._cpu, sum(map(process_seconds, self._pids))
        return {"server_cpu": round(self._cpu - before, 2)}

    def collect_garbage(self):
        """Free deleted data now, not while the next client is measured."""
        command = ["radosgw-admin", "-c", self._configuration, "gc", "process", "--include-all"]
        subprocess.run(command, capture_output=True)


class Sink:
    """A :mod:`benchmarks.sink` in a process of its own."""

    def __init__(self):
        from live.ceph import User

        self.host = "127.0.0.1"
        self.owner = User("owner", "ACCESS", "secret")  # it looks at no signature
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.sink"],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = int(self._process.stdout.readline())
        self.endpoint = f"http://{self.host}:{self.port}"

    def facts(self):
        """Return what arrived since the last call: bytes, requests, and counts of part sizes."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def collect_garbage(self):
        """Do nothing: no body was kept."""

    def stop(self):
        """End the process."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@contextlib.contextmanager
def serving(kind, frontend, *, tls=False):
    """Run a server of a kind, ``radosgw`` or ``sink``, for a ``with`` block."""
    if kind == "sink":
        sink = Sink()
        try:
            yield sink
        finally:
            sink.stop()
        return
    from live.ceph import Cluster  # of tests/

    with Cluster(frontend=frontend, tls=tls, memory=MEMORY) as cluster:
        yield Radosgw(cluster)


def process_seconds(pid):
    """Return the user and system CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
