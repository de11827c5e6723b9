"""Compute the SHA-256 of every object of a container on a Dask cluster.

    python examples/dask_checksums.py CONTAINER [PREFIX] [--scheduler tcp://HOST:8786]

Without a scheduler, two worker processes are started on this machine. The list on standard output
is what ``sha256sum`` writes; what failed is named after it, and then the exit code is 1.

The driver is made here and sent to each worker once, where all its threads share it. A driver that
travels takes its secret key along, so let Dask use TLS on a network that others can listen to.
Every worker needs ``libcloud_aurora``; this program needs the extras ``examples`` and ``dask``.
"""

import argparse
import hashlib
import signal
import sys

from connect import connect, run
from dask.distributed import Client, as_completed
from libcloud.storage.base import Container, Object
from tqdm import tqdm


def sha256_of(name, size, driver, container_name):
    """Stream an object down and return its SHA-256, on a worker."""
    container = Container(container_name, {}, driver)
    obj = Object(name, size, None, {}, {}, container, driver)
    sha256 = hashlib.sha256()
    for chunk in driver.download_object_as_stream(obj):
        sha256.update(chunk)
    return sha256.hexdigest()


def checksums(client, driver, container_name, prefix=None):
    """
    Return two dicts, from names to SHA-256 and from names to exceptions.

    The objects are listed here, and each goes to the next worker that is free.
    """
    container = driver.get_container(container_name)
    objects = driver.list_container_objects(container, prefix=prefix)
    if prefix and not objects:
        where = f"no object in {container_name!r}"
        raise SystemExit(f"{where} begins with {prefix!r}")
    names, sizes = [obj.name for obj in objects], [obj.size for obj in objects]
    [everywhere] = client.scatter([driver], broadcast=True, hash=False)
    common = {"driver": everywhere, "container_name": container_name}
    futures = client.map(sha256_of, names, sizes, **common, pure=False)
    name_of = dict(zip(futures, names, strict=True))
    found, failures = {}, {}
    ended = as_completed(futures)
    for future in tqdm(ended, "hashing", len(futures), unit=" objects"):
        name = name_of[future]
        if future.status == "finished":
            found[name] = future.result()
        else:
            failures[name] = future.exception()
    return found, failures


def line_of(name, sha256):
    """Return a line of sha256sum, which escapes names that would break it and marks the line."""
    escaped = name.replace("\\", r"\\").replace("\n", r"\n").replace("\r", r"\r")
    mark = "\\" if escaped != name else ""
    return f"{mark}{sha256}  {escaped}"


def cluster_client(scheduler=None):
    """Return a client of a running scheduler, or of two new worker processes."""
    if scheduler is not None:
        return Client(scheduler)
    # The workers inherit it: a Ctrl-C in the terminal is for this process, which then ends them.
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return Client(n_workers=2, threads_per_worker=4, dashboard_address=":0")
    finally:
        signal.signal(signal.SIGINT, handler)


def main():
    """Read the command line and print the list."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("container")
    parser.add_argument("prefix", nargs="?")
    parser.add_argument("--scheduler", help="address of a running scheduler")
    given = parser.parse_args()
    with cluster_client(given.scheduler) as client, connect() as driver:
        found, failures = checksums(client, driver, given.container, given.prefix)
    for name, sha256 in sorted(found.items()):
        print(line_of(name, sha256))
    for name, error in sorted(failures.items()):
        print(f"failed: {name!r}: {type(error).__name__}: {error}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    run(main, interrupted="interrupted: the tasks are cancelled, and no list is written")
