"""``python -m benchmarks.checksums``: what verifying costs where the server stores checksums.

It needs Ceph 20 on ``PATH``, moves 256 MiB at a time over https and over http, and takes up to half
an hour. What is measured is CPU time of the client's process; all cases take turns, and what is
judged is the median of what two of the same turn differ by. Files are in memory, so that it costs
nothing to let them reach the disk, as boto3 does not.
"""

import statistics
import sys
import time
import zlib

from benchmarks.__main__ import facts, run, target
from benchmarks.data import CHUNK, write_file
from benchmarks.network import MIB
from benchmarks.scenarios import OURS, UNVERIFIED
from benchmarks.servers import serving
from benchmarks.stage import BUCKET, Stage

SIZE = 256 * MIB
REPEAT = 7
#: A client, what it does, and the object that it reads or writes.
CASES = {
    "down, unverified": (UNVERIFIED, "download_file", "crc32"),
    "down, CRC32": (OURS, "download_file", "crc32"),
    "down, MD5": (OURS, "download_file", "md5"),
    "down, boto3": ("boto3", "download_file", "crc32"),
    "up, without CRC32": ("aurora_unchecked", "upload_file", "up"),
    "up, CRC32": (OURS, "upload_file", "up"),
}
#: The most that boto3's CPU time may be multiplied by.
OF_BOTO3 = {"https": 0.85, "http": 0.7}


def main():
    """Print what each case takes, and fail if a goal is missed."""
    missed = []
    with serving("radosgw") as server, Stage(server) as stage:
        stage.warm_up()
        store(stage)
        print(facts(1, ()))
        for scheme, most in OF_BOTO3.items():
            turns = [
                {name: measured(stage, scheme, *case) for name, case in CASES.items()}
                for _ in range(REPEAT)
            ]
            print(f"{scheme}, {SIZE // MIB} MiB; alone, zlib takes {crc32_seconds():.3f} s CPU")
            report(turns)
            missed += judged(turns, most_of_boto3=most)
    sys.exit(bool(missed))


def store(stage):
    """Store one object with a CRC32 and one without, from a file that uploads are made of."""
    write_file(stage.directory / "source", SIZE)
    for client, key in ((OURS, "crc32"), ("boto3", "md5")):  # which sends none over https
        perform(stage, "https", client, "upload_file", key)
        head = stage.client.head_object(Bucket=BUCKET, Key=key, ChecksumMode="ENABLED")
        if ("ChecksumCRC32" in head) != (key == "crc32"):
            sys.exit("This needs a server that stores checksums: put Ceph 20 first in PATH.")


def measured(stage, scheme, *case):
    """Run a case, remove what it leaves, and return its figures."""
    job, figures = perform(stage, scheme, *case)
    if wrong := stage.settle(job):
        sys.exit(f"{case}: {wrong}")
    return figures


def perform(stage, scheme, client, operation, key):
    """Run a case in a process of its own, and return its job and its figures."""
    job = {
        "operation": operation,
        "key": key,
        "path": str(stage.directory / ("source" if operation == "upload_file" else "down")),
        "keys": [],
        "size": SIZE,
        "chunk": CHUNK,
        "expected": SIZE,
    }
    job |= target(stage.server, scheme, stage.server.ports[scheme], client)
    figures = run(job, stage.server.authority)
    if "fails" in figures:
        sys.exit(f"{client}, {operation}: {figures['fails']}")
    return job, figures


def crc32_seconds():
    """Return the CPU seconds of a CRC32 of as many bytes, which no client can save."""
    block, seconds = bytes(MIB), []
    for _ in range(REPEAT):
        began = time.process_time()
        for _ in range(SIZE // MIB):
            zlib.crc32(block)
        seconds.append(time.process_time() - began)
    return statistics.median(seconds)


def report(turns):
    """Print the medians of each case, and the CPU times between which they lie."""
    for name in CASES:
        cpu, wall = ([turn[name][field] for turn in turns] for field in ("cpu", "wall"))
        spread = f"{min(cpu):.3f} to {max(cpu):.3f}"
        print(
            f"  {name:20} {statistics.median(cpu):.3f} s CPU ({spread}), "
            f"{statistics.median(wall):.2f} s"
        )


def judged(turns, *, most_of_boto3):
    """Print how the cases compare, and yield what misses its goal."""

    def cpu(name):
        return [turn[name]["cpu"] for turn in turns]

    def added(name, without):
        pairs = zip(cpu(name), cpu(without), strict=True)
        return statistics.median(one - other for one, other in pairs)

    ratio = statistics.median(cpu("down, CRC32")) / statistics.median(cpu("down, boto3"))
    for what, found, most in (
        ("CRC32 adds to a download", added("down, CRC32", "down, unverified"), 0.10),
        ("MD5 adds to a download", added("down, MD5", "down, unverified"), None),
        ("CRC32 adds to an upload", added("up, CRC32", "up, without CRC32"), 0.09),
        ("a verified download takes of boto3's", ratio, most_of_boto3),
    ):
        is_missed = most is not None and found > most
        goal = "" if most is None else f", at most {most:.2f}{': missed' * is_missed}"
        print(f"  {what}: {found:.3f}{goal}")
        if is_missed:
            yield what


if __name__ == "__main__":
    main()
