"""``python -m benchmarks.checksums``: what verifying costs where the server stores checksums.

It needs Ceph 20 on ``PATH``, moves 256 MiB at a time over http and over https with a verified
certificate, and takes up to half an hour. What is measured is CPU time of the client's process;
all cases take turns, and what is judged is the median of what two of the same turn differ by. Files
are in memory, so that it costs nothing to let them reach the disk, as boto3 does not.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path
from typing import NamedTuple

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from benchmarks.clients import Target
from benchmarks.machine import machine
from benchmarks.scenarios import MIB
from benchmarks.servers import serving
from benchmarks.sources import memory_directory, write_file
from benchmarks.wan import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "tests"))
SIZE = 256 * MIB
REPEAT = 7
BUCKET = "bench-checksums"


class Case(NamedTuple):
    """One way to move the bytes; ``key`` is the object that is read, or written."""

    client: str
    operation: str
    key: str
    options: dict


CASES = {
    "down, unverified": Case("aurora", "download_file", "crc32", {"ex_verify": False}),
    "down, CRC32": Case("aurora", "download_file", "crc32", {}),
    "down, MD5": Case("aurora", "download_file", "md5", {}),
    "down, boto3": Case("boto3", "download_file", "crc32", {}),
    "up, without CRC32": Case("aurora_unchecked", "upload_file", "up", {}),
    "up, CRC32": Case("aurora", "upload_file", "up", {}),
}


def main():
    """Print what each case takes, and fail if a goal is missed."""
    missed = []
    with (
        serving("radosgw", "", tls=True) as server,
        tempfile.TemporaryDirectory(prefix="bench-", dir=memory_directory()) as directory,
    ):
        store(server, Path(directory))
        print(machine())
        for scheme in ("http", "https"):
            turns = [
                {name: run(server, scheme, case, directory) for name, case in CASES.items()}
                for _ in range(REPEAT)
            ]
            print(f"{scheme}, {SIZE // MIB} MiB; alone, zlib takes {crc32_seconds():.3f} s CPU")
            report(turns)
            missed += [*judged(turns, most_of_boto3=0.7 if scheme == "http" else 0.85)]
    sys.exit(bool(missed))


def store(server, directory):
    """Store one object with a CRC32 and one without, from a file that uploads are made of."""
    write_file(directory / "source", SIZE)
    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.owner.access_key,
        aws_secret_access_key=server.owner.secret_key,
        region_name="us-east-1",
        config=Config(request_checksum_calculation="when_required"),
    )
    client.create_bucket(Bucket=BUCKET)
    parts = TransferConfig(multipart_chunksize=5 * MIB)
    client.upload_file(str(directory / "source"), BUCKET, "md5", Config=parts)
    run(server, "http", Case("aurora", "upload_file", "crc32", {}), directory)
    for key in ("crc32", "md5"):
        head = client.head_object(Bucket=BUCKET, Key=key, ChecksumMode="ENABLED")
        if ("ChecksumCRC32" in head) != (key == "crc32"):
            sys.exit("This needs a server that stores checksums: put Ceph 20 first in PATH.")


def run(server, scheme, case, directory):
    """Run a case in a process of its own, and return its figures."""
    is_upload = case.operation == "upload_file"
    secure = scheme == "https"
    target = Target(
        host=server.host,
        port=server.tls_port if secure else server.port,
        access_key=server.owner.access_key,
        secret_key=server.owner.secret_key,
        bucket=BUCKET,
        options=case.options,
        ca_file=server.ca_file if secure else "",
    )
    job = {
        "client": case.client,
        "operation": case.operation,
        "key": case.key,
        "path": os.path.join(directory, "source" if is_upload else "down"),
        "size": SIZE,
        "expected": SIZE,
        "target": target._asdict(),
    }
    command = [sys.executable, "-m", "benchmarks.worker"]
    done = subprocess.run(
        command, cwd=REPOSITORY, input=json.dumps(job), capture_output=True, text=True, check=True
    )
    figures = json.loads(done.stdout)
    if "fails" in figures:
        sys.exit(f"{case}: {figures['fails']}")
    if is_upload:
        server.collect_garbage()  # of the object that was there before
    return figures


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
