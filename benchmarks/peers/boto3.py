"""AWS's client for Python, with its transfer manager; streams have to be file objects.

Over https it uploads with ``request_checksum_calculation="when_required"``: by default it sends
checksums as trailers, without a Content-Length, which radosgw 16 refuses (411).
"""

import boto3
from botocore.config import Config

from benchmarks.peers import CHUNK, Peer


class Client(Peer):
    def __init__(self, target):
        super().__init__(target)
        checksums = {"request_checksum_calculation": "when_required"} if target.secure else {}
        self._settings = {
            "endpoint_url": target.endpoint,
            "aws_access_key_id": target.access_key,
            "aws_secret_access_key": target.secret_key,
            "region_name": "us-east-1",
            "config": Config(**checksums),
        }
        self.client = boto3.client("s3", **self._settings)

    def upload_file(self, path, key):
        self.client.upload_file(path, self.bucket, key)

    def upload_stream(self, source, key):
        self.client.upload_fileobj(source.file(), self.bucket, key)

    def download_file(self, key, path):
        self.client.download_file(self.bucket, key, path)

    def chunks(self, reference):
        body = self.client.get_object(Bucket=self.bucket, Key=reference)["Body"]
        return body.iter_chunks(CHUNK)

    def put(self, key, data, path):
        self.client.put_object(Bucket=self.bucket, Key=key, Body=data)

    def get(self, reference):
        return self.client.get_object(Bucket=self.bucket, Key=reference)["Body"].read()

    def look_up(self, key):
        return self.client.head_object(Bucket=self.bucket, Key=key)["ContentLength"]

    def sizes(self, prefix):
        paginator = self.client.get_paginator("list_objects_v2")
        pages = paginator.paginate(Bucket=self.bucket, Prefix=prefix)
        return (row["Size"] for page in pages for row in page.get("Contents", ()))

    def delete_keys(self, prefix, keys):
        bucket = boto3.resource("s3", **self._settings).Bucket(self.bucket)
        bucket.objects.filter(Prefix=prefix).delete()
