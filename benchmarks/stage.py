"""What surrounds a run: the bucket, the objects and files it needs, and its clean-up."""

import shutil
import tempfile
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import obstore
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from obstore.store import S3Store

from benchmarks.sources import memory_directory, small_body, write_file

THREADS = 16
WARM_UPS = 3
#: Objects of at least this size are removed from the cluster's memory before anything goes on.
GARBAGE = 64 * 1024**2


class Stage:
    """A bucket of one cluster, and a scratch directory.

    :param server: One of :mod:`benchmarks.servers`.
    :param scenario: What is about to be measured.
    """

    def __init__(self, server, scenario):
        self.server = server
        self.scenario = scenario
        self.bucket = f"bench-{uuid.uuid4().hex[:8]}"
        self.directory = Path(tempfile.mkdtemp(prefix="bench-", dir=memory_directory()))
        self._client = boto3.client(
            "s3",
            endpoint_url=server.endpoint,
            aws_access_key_id=server.owner.access_key,
            aws_secret_access_key=server.owner.secret_key,
            region_name="us-east-1",
            config=Config(max_pool_connections=THREADS),
        )

    def __enter__(self):
        self._client.create_bucket(Bucket=self.bucket)
        scenario = self.scenario
        if scenario.operation == "upload_file":
            write_file(self.directory / "source", scenario.size)
        elif scenario.operation.startswith("download"):
            self._put_large()
        elif scenario.operation in ("get_small", "list_keys", "look_up"):
            self._put_small(self.keys("all/"))
        elif scenario.operation == "put_small":
            self._write_small(self.keys("all/"))
        return self

    def __exit__(self, *exc_info):
        shutil.rmtree(self.directory, ignore_errors=True)
        self._clear("")
        self._collect_garbage()
        self._client.delete_bucket(Bucket=self.bucket)

    def keys(self, prefix):
        """Return the keys of the small objects."""
        return [f"{prefix}{number:05d}" for number in range(self.scenario.count)]

    def job(self, name, port):
        """Make ready for one run and return its job."""
        scenario = self.scenario
        many = not scenario.is_transfer
        prefix = f"{name}/" if scenario.operation in ("put_small", "delete_keys") else "all/"
        job = {
            "operation": scenario.operation,
            "size": scenario.size,
            "chunk": scenario.chunk,
            "threads": scenario.threads,
            "expected": scenario.count if many else scenario.size,
            "key": f"up-{name}" if scenario.operation.startswith("upload") else "source",
            "path": str(self.directory / "source"),
            "prefix": prefix,
            "target": self._target(port),
        }
        if scenario.operation == "download_file":
            job["path"] = str(self.directory / f"down-{name}")
        if many:
            job["keys"] = self.keys(prefix)
            job["directory"] = str(self.directory / "small")
        if scenario.operation == "get_small":
            job["path"] = str(self.directory / f"down-{name}")
            Path(job["path"]).mkdir()
        if scenario.operation == "delete_keys":
            self._put_small(job["keys"])
        return job

    def check_and_clear(self, job):
        """Remove what a run left behind; return what is wrong with it, or ``None``."""
        operation = job["operation"]
        if operation.startswith("upload"):
            return self._check_upload(job)
        if operation == "download_file":
            Path(job["path"]).unlink(missing_ok=True)
        elif operation == "get_small":
            shutil.rmtree(job["path"])
        elif operation in ("put_small", "delete_keys"):
            left, wanted = self._clear(job["prefix"]), len(job["keys"])
            if left != (wanted if operation == "put_small" else 0):
                return f"{left} objects are there afterwards"
        return None

    def _check_upload(self, job):
        try:
            size = self._client.head_object(Bucket=self.bucket, Key=job["key"])["ContentLength"]
        except self._client.exceptions.ClientError:
            return "no object is there afterwards"
        self._client.delete_object(Bucket=self.bucket, Key=job["key"])
        self._collect_garbage()
        return None if size == job["size"] else f"{size} bytes are there afterwards"

    def warm_up(self):
        """Use every part of a new cluster once; the first upload takes seconds."""
        for number in range(WARM_UPS):
            self._put_large()
            self._put_small([f"warm/{number}"])

    def _collect_garbage(self):
        if self.scenario.size >= GARBAGE:
            self.server.collect_garbage()

    def _target(self, port):
        return {
            "host": self.server.host,
            "port": port,
            "access_key": self.server.owner.access_key,
            "secret_key": self.server.owner.secret_key,
            "bucket": self.bucket,
            "options": {},
        }

    def _put_large(self):
        path = self.directory / "source"
        write_file(path, self.scenario.size)
        config = TransferConfig(max_concurrency=4)
        self._client.upload_file(str(path), self.bucket, "source", Config=config)
        path.unlink()

    def _put_small(self, keys):
        """Upload small objects; through a native client, because boto3 takes ten times as long."""
        store = S3Store(
            self.bucket,
            endpoint=self.server.endpoint,
            access_key_id=self.server.owner.access_key,
            secret_access_key=self.server.owner.secret_key,
            region="us-east-1",
            client_options={"allow_http": True},
        )

        def put(key):
            obstore.put(store, key, small_body(key, self.scenario.size))

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(put, keys))

    def _write_small(self, keys):
        (self.directory / "small").mkdir()
        for key in keys:
            name = key.rpartition("/")[2]
            (self.directory / "small" / name).write_bytes(small_body(key, self.scenario.size))

    def _clear(self, prefix):
        """Delete all objects with a prefix and return how many there were."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=prefix
        )
        total = 0
        for page in pages:
            names = [{"Key": row["Key"]} for row in page.get("Contents", ())]
            total += len(names)
            if names:
                self._client.delete_objects(Bucket=self.bucket, Delete={"Objects": names})
        return total
