"""What surrounds a run: the bucket, the objects and files it needs, and its clean-up."""

import shutil
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import obstore
from botocore.exceptions import ClientError
from obstore.store import S3Store

from benchmarks.data import small_body, write_file
from benchmarks.network import MIB
from benchmarks.servers import HOST

BUCKET = "bench"
WARM_UPS = 3
#: Objects from this size on do not stay in the server's memory: 64 MiB after they were uploaded,
#: 1 GiB after they were downloaded.
LARGE, HUGE = 64 * MIB, 1024 * MIB


class Stage:
    """The bucket of one server, and a scratch directory in memory, for a ``with`` block.

    :param server: A :class:`benchmarks.servers.Server`.
    """

    def __init__(self, server):
        self.server = server
        self._made = set()
        self._making = threading.Lock()  # runs over slow links share what they need
        endpoint = f"http://{HOST}:{server.ports['http']}"
        self.client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            aws_access_key_id=server.access_key,
            aws_secret_access_key=server.secret_key,
            region_name="us-east-1",
        )
        self._store = S3Store(
            BUCKET,
            endpoint=endpoint,
            access_key_id=server.access_key,
            secret_access_key=server.secret_key,
            region="us-east-1",
            client_options={"allow_http": True},
        )

    def __enter__(self):
        memory = Path("/dev/shm")  # noqa: S108 (so that no disk is measured)
        place = memory if memory.is_dir() else None
        self.directory = Path(tempfile.mkdtemp(prefix="bench-", dir=place))
        self.client.create_bucket(Bucket=BUCKET)
        return self

    def __exit__(self, *exc_info):
        shutil.rmtree(self.directory, ignore_errors=True)

    def warm_up(self):
        """Use every part of a new cluster once; the first upload takes seconds."""
        for number in range(WARM_UPS):
            obstore.put(self._store, "warm", bytes(32 * MIB))
            self._put_small([f"warm/{number}"], 1)
        self._drop("warm")

    def job(self, scenario, label):
        """Make ready for one run and return what its worker needs to know."""
        operation, size, count = scenario.operation, scenario.size, scenario.count
        kept = f"{size}-{count}"
        own = operation in ("put_small", "delete_keys")
        prefix = f"{label if own else kept}/"
        keys = [] if scenario.is_transfer else [f"{prefix}{number:05d}" for number in range(count)]
        path = self.directory / (label if operation == "download_file" else kept)
        directory = self.directory / (label if operation == "get_small" else kept)
        if operation == "upload_file":
            self._once(path, write_file, path, size)
        elif operation.startswith("download"):
            self._once(kept, self._put_large, kept, size)
        elif operation == "put_small":
            self._once(directory, self._write_small, directory, keys, size)
        elif own:
            self._put_small(keys, size)
        elif not scenario.is_transfer:
            self._once(prefix, self._put_small, keys, size)
        return {
            "operation": operation,
            "size": size,
            "chunk": scenario.chunk,
            "threads": scenario.threads,
            "expected": size if scenario.is_transfer else count,
            "key": label if operation.startswith("upload") else kept,
            "path": str(path),
            "directory": str(directory),
            "prefix": prefix,
            "keys": keys,
        }

    def settle(self, job):
        """Remove what a run left behind; return what is wrong with it, or ``None``."""
        operation, found, wanted = job["operation"], None, job["size"]
        if operation.startswith("upload"):
            found = self._size(job["key"])
            self._drop(job["key"], collect=job["size"] >= LARGE)
        elif operation == "download_file":
            path = Path(job["path"])
            found = path.stat().st_size if path.exists() else "no"
            path.unlink(missing_ok=True)
        elif operation == "get_small" and Path(job["directory"]).exists():
            found, wanted = len(list(Path(job["directory"]).iterdir())), len(job["keys"])
            shutil.rmtree(job["directory"])
        elif operation in ("put_small", "delete_keys"):
            found, wanted = self._clear(job["prefix"]), len(job["keys"])
            wanted *= operation == "put_small"
        unit = "bytes" if wanted == job["size"] else "objects"
        return None if found in (None, wanted) else f"{found} {unit} are there afterwards"

    def forget(self, scenario):
        """Remove what a scenario has used and no other can."""
        kept = f"{scenario.size}-{scenario.count}"
        if scenario.size >= HUGE:
            (self.directory / kept).unlink(missing_ok=True)
            self._drop(kept, collect=True)
            self._made -= {kept, self.directory / kept}

    def _once(self, name, function, *arguments):
        with self._making:
            if name not in self._made:
                function(*arguments)
                self._made.add(name)

    def _put_large(self, key, size):
        path = self.directory / "large"
        write_file(path, size)
        self.client.upload_file(str(path), BUCKET, key)
        path.unlink()

    def _put_small(self, keys, size):
        """Through a native client, because boto3 takes ten times as long."""
        with ThreadPoolExecutor(16) as pool:
            put = lambda key: obstore.put(self._store, key, small_body(key, size))  # noqa: E731
            list(pool.map(put, keys))

    def _write_small(self, directory, keys, size):
        directory.mkdir()
        for key in keys:
            (directory / key.rpartition("/")[2]).write_bytes(small_body(key, size))

    def _size(self, key):
        try:
            return self.client.head_object(Bucket=BUCKET, Key=key)["ContentLength"]
        except ClientError:
            return "no"

    def _drop(self, key, *, collect=False):
        self.client.delete_object(Bucket=BUCKET, Key=key)
        if collect:
            self.server.collect_garbage()

    def _clear(self, prefix):
        """Delete all objects with a prefix and return how many there were."""
        keys = [row["path"] for page in obstore.list(self._store, prefix) for row in page]
        obstore.delete(self._store, keys)
        return len(keys)
