"""An S3 server the faults are injected before, and a look at it that no fault disturbs."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

PART_SIZE = 5 * 1024 * 1024


def store_parts(client, bucket, key, bodies, algorithm=None):
    """Store an object in parts as another client would, with a checksum of its own or without."""
    place = {"Bucket": bucket, "Key": key}
    named = {"ChecksumAlgorithm": algorithm} if algorithm else {}
    place["UploadId"] = client.create_multipart_upload(**place, **named)["UploadId"]
    parts = []
    for number, body in enumerate(bodies, 1):
        answer = client.upload_part(**place, PartNumber=number, Body=body)
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
    client.complete_multipart_upload(**place, MultipartUpload={"Parts": parts})


@dataclass
class Backend:
    """Where a real S3 server listens, its account, and direct access to what it stores."""

    name: str
    host: str
    port: int
    key: str
    secret: str = field(repr=False)
    filled: set[str] = field(default_factory=set, repr=False)

    @cached_property
    def client(self):
        """A boto3 client that speaks to the server without the proxy."""
        return boto3.client(
            "s3",
            endpoint_url=f"http://{self.host}:{self.port}",
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            region_name="us-east-1",
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def create_bucket(self, bucket: str) -> str:
        """Make a bucket and return its name."""
        self.client.create_bucket(Bucket=bucket)
        return bucket

    def shared(self, purpose: str, fill: Callable[[str], object]) -> str:
        """Return a bucket that all tests of the session read, made and filled at its first use."""
        bucket = f"{self.name}-shared-{purpose}"
        if bucket not in self.filled:
            fill(self.create_bucket(bucket))
            self.filled.add(bucket)
        return bucket

    def put(self, bucket: str, key: str, content: bytes = b"") -> str:
        """Store an object with one PUT and return its ETag without quotes."""
        answer = self.client.put_object(Bucket=bucket, Key=key, Body=content)
        return answer["ETag"].strip('"')

    def put_parts(self, bucket: str, key: str, content: bytes) -> str:
        """Store an object in parts of 5 MiB and return its ETag without quotes."""
        starts = range(0, len(content), PART_SIZE)
        bodies = [content[start : start + PART_SIZE] for start in starts]
        store_parts(self.client, bucket, key, bodies)
        return self.etag(bucket, key)

    def fill(self, bucket: str, count: int) -> None:
        """Store many empty objects, key-00000 onwards."""
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: self.put(bucket, f"key-{n:05d}"), range(count)))

    def get(self, bucket: str, key: str) -> bytes:
        """Return the bytes of an object."""
        return self.client.get_object(Bucket=bucket, Key=key)["Body"].read()

    def etag(self, bucket: str, key: str) -> str:
        """Return the ETag of an object without quotes."""
        return self.client.head_object(Bucket=bucket, Key=key)["ETag"].strip('"')

    def start_upload(self, bucket: str, key: str, part: bytes = b"") -> str:
        """Start an upload in parts, send one part if there are bytes for it, return its id."""
        place = {"Bucket": bucket, "Key": key}
        upload = self.client.create_multipart_upload(**place)["UploadId"]
        if part:
            self.client.upload_part(**place, UploadId=upload, PartNumber=1, Body=part)
        return upload

    def abort_all(self, bucket: str) -> None:
        """Abort every unfinished upload of a bucket."""
        for upload in self.client.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
            place = {"Bucket": bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
            self.client.abort_multipart_upload(**place)

    def exists(self, bucket: str, key: str) -> bool:
        """Tell whether the object is there."""
        return key in self.keys(bucket, prefix=key)

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """Return the first thousand keys with the prefix."""
        listing = self.client.list_objects_v2(Bucket=bucket, Prefix=prefix)
        return [entry["Key"] for entry in listing.get("Contents", [])]

    def buckets(self) -> set[str]:
        """Return the names of the account's buckets."""
        return {bucket["Name"] for bucket in self.client.list_buckets()["Buckets"]}

    def uploads(self, bucket: str) -> dict[str, int]:
        """Return the unfinished uploads of a bucket, each with the number of its parts."""
        try:
            found = self.client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
        except self.client.exceptions.NoSuchBucket:
            return {}
        return {each["UploadId"]: self._count_parts(bucket, each) for each in found}

    def _count_parts(self, bucket: str, upload: dict) -> int:
        place = {"Bucket": bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
        return len(self.client.list_parts(**place).get("Parts", []))

    def remove_bucket(self, bucket: str) -> None:
        """Delete a bucket with all that is in it, if it is there."""
        with suppress(self.client.exceptions.NoSuchBucket):
            while not self._deleted(bucket):
                self.abort_all(bucket)
                for key in self.keys(bucket):
                    self.client.delete_object(Bucket=bucket, Key=key)

    def _deleted(self, bucket: str) -> bool:
        """Delete a bucket, and tell whether it was empty."""
        try:
            self.client.delete_bucket(Bucket=bucket)
        except ClientError as error:
            if error.response["Error"]["Code"] != "BucketNotEmpty":
                raise
            return False
        return True
