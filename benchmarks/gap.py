"""What the distance to the fastest native client consists of, workload by workload."""

from typing import NamedTuple

from benchmarks.clients import NATIVE
from benchmarks.results import OURS

#: What this driver computes of every byte; SHA-256 is the signature's.
HASHES = {"up": ("sha256",), "down": ("md5",)}


class Gap(NamedTuple):
    """One workload that a native client does in less time; seconds, ours less the other's.

    :param wall: Difference of the wall times.
    :param hashing: What the hashes take that this driver computes, as measured without it.
    :param python: Other user CPU time: the interpreter, and copies in the process.
    :param kernel: System CPU time of the client: copies to and from sockets and files.
    :param server: CPU time of radosgw and OSD.
    """

    title: str
    native: str
    wall: float
    hashing: float
    python: float
    kernel: float
    server: float


def gaps(results):
    """Return the gaps of all workloads where nothing but the machine is the limit."""
    found = []
    for name, record in results.records.items():
        best = results.best(name, "wall", NATIVE)
        ours = results.median(name, OURS, "wall")
        if (
            record["link"]["rate"]
            or record["group"] == "growth"
            or best is None
            or ours is None
            or best[0] >= ours
        ):
            continue
        found.append(gap(results, record, best[1]))
    return found


def gap(results, record, native):
    """Return the gap of one workload."""
    wall, cpu, kernel, server = (
        results.median(record["name"], OURS, field) - results.median(record["name"], native, field)
        for field in ("wall", "cpu", "system", "server_cpu")
    )
    hashing = hash_seconds(record, results.document["hashes"])
    python = cpu - kernel - hashing
    return Gap(record["title"], native, wall, hashing, python, kernel, server)


def hash_seconds(record, speeds):
    """Return the seconds in which one thread hashes what a workload moves."""
    operation = record["operation"]
    if operation.startswith(("upload", "put")):
        names = HASHES["up"]
    elif operation.startswith(("download", "get")):
        names = HASHES["down"]
    else:
        names = ()
    return sum(record["size"] * record["count"] / speeds[name] for name in names)
