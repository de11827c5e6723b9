"""What is timed: one function per operation, run by :mod:`benchmarks.worker`.

Each takes the client's module, its handle and the job, makes ready, and returns what is timed.
That returns a number which must be the job's ``expected``, so that nothing is fast by doing less.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.sources import Source, small_body


def upload_file(client, handle, job):
    """Upload a file."""

    def run():
        client.upload_file(handle, job["path"], job["key"])
        return job["size"]

    return run


def upload_stream(client, handle, job):
    """Upload a stream of unknown size, in chunks of one size."""
    source = Source(job["size"], job["chunk"])

    def run():
        client.upload_stream(handle, source, job["key"])
        return job["size"]

    return run


def download_file(client, handle, job):
    """Save an object as a file."""

    def run():
        client.download_file(handle, job["key"], job["path"])
        return os.path.getsize(job["path"])

    return run


def download_stream(client, handle, job):
    """Read an object to its end."""
    return lambda: client.download_stream(handle, job["key"])


def put_small(client, handle, job):
    """Upload small objects, one after another or over threads that share the client."""
    place, prefix, threads = job["directory"], job["prefix"], job["threads"]
    if hasattr(client, "put_directory"):
        return lambda: _count(client.put_directory(handle, place, prefix, threads), job)
    if hasattr(client, "put_path"):
        function = client.put_path
        bodies = [(key, f"{place}/{key.rpartition('/')[2]}") for key in job["keys"]]
    else:
        function = client.put
        bodies = [(key, small_body(key, job["size"])) for key in job["keys"]]

    def put(pair):
        function(handle, *pair)
        return 1

    return lambda: sum(each(put, bodies, threads))


def get_small(client, handle, job):
    """Read small objects, one after another or over threads; each is compared."""
    if hasattr(client, "get_directory"):

        def run():
            client.get_directory(handle, job["prefix"], job["path"], job["threads"])
            return sum(1 for _ in Path(job["path"]).iterdir())

        return run
    keys = job["keys"]
    found = client.references(handle, keys) if hasattr(client, "references") else keys
    bodies = [small_body(key, job["size"]) for key in keys]

    def get(pair):
        reference, body = pair
        return client.get(handle, reference) == body

    return lambda: sum(each(get, list(zip(found, bodies, strict=True)), job["threads"]))


def look_up(client, handle, job):
    """Ask for the size of one object after another."""
    function = client.look_up
    return lambda: sum(function(handle, key) == job["size"] for key in job["keys"])


def list_keys(client, handle, job):
    """List objects and look at the size of each."""
    return lambda: client.list_keys(handle, job["prefix"])


def delete_keys(client, handle, job):
    """Delete all objects with a prefix."""
    return lambda: _count(client.delete_keys(handle, job["prefix"], job["keys"]), job)


def _count(_, job):
    return job["expected"]


def each(function, items, threads):
    """Call a function with each item, one after another or over threads."""
    if threads == 1:
        return list(map(function, items))
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, items))
