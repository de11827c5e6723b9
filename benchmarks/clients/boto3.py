"""AWS's client for Python, with the transfer manager it brings."""

import boto3

CHUNK = 1024**2


class Handle:
    """A client and the bucket everything happens in."""

    def __init__(self, target):
        self.bucket = target.bucket
        self.credentials = {
            "endpoint_url": target.endpoint,
            "aws_access_key_id": target.access_key,
            "aws_secret_access_key": target.secret_key,
            "region_name": "us-east-1",
            "verify": target.ca_file or True,
        }
        self.client = boto3.client("s3", **self.credentials)


def connect(target):
    """Make a client."""
    return Handle(target)


def upload_file(handle, path, key):
    """Upload a file."""
    handle.client.upload_file(path, handle.bucket, key)


def upload_stream(handle, source, key):
    """Upload a file object that cannot seek."""
    handle.client.upload_fileobj(source.file(), handle.bucket, key)


def download_file(handle, key, path):
    """Save an object."""
    handle.client.download_file(handle.bucket, key, path)


def download_stream(handle, key):
    """Read an object in chunks of 1 MiB."""
    body = handle.client.get_object(Bucket=handle.bucket, Key=key)["Body"]
    return sum(map(len, body.iter_chunks(CHUNK)))


def put(handle, key, data):
    """Upload bytes."""
    handle.client.put_object(Bucket=handle.bucket, Key=key, Body=data)


def get(handle, reference):
    """Read an object."""
    return handle.client.get_object(Bucket=handle.bucket, Key=reference)["Body"].read()


def look_up(handle, key):
    """Ask for an object's size."""
    return handle.client.head_object(Bucket=handle.bucket, Key=key)["ContentLength"]


def list_keys(handle, prefix):
    """List objects page by page."""
    pages = handle.client.get_paginator("list_objects_v2").paginate(
        Bucket=handle.bucket, Prefix=prefix
    )
    return sum(row["Size"] >= 0 for page in pages for row in page.get("Contents", ()))


def delete_keys(handle, prefix, keys):
    """Delete what a listing finds, 1,000 per request."""
    bucket = boto3.resource("s3", **handle.credentials).Bucket(handle.bucket)
    bucket.objects.filter(Prefix=prefix).delete()
