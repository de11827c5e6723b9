"""What an independent client, boto3, sees in the cluster; and the data that the tests send."""

import contextlib
import functools
import hashlib
import http.client
import random
import re
from html import unescape
from urllib.parse import unquote

import requests

MIB = 1024**2
PART = 5 * MIB
md5 = functools.partial(hashlib.md5, usedforsecurity=False)


def backend(cluster, user):
    """Return a user's account of a cluster, seen without the driver."""
    from servers.backend import Backend  # whose boto3 the programs of tests/clients do without

    return Backend("radosgw", cluster.host, cluster.port, user.access_key, user.secret_key)


def noise(size, seed=0):
    """Return bytes that repeat from run to run and that no wrong order or offset leaves equal."""
    return random.Random(seed).randbytes(size)


def expected_etag(body, part_size=PART):
    """Return the ETag of a body sent in one PUT, or in parts when it is longer than one part."""
    if len(body) <= part_size:
        return md5(body).hexdigest()
    cuts = range(0, len(body), part_size)
    parts = [md5(body[start : start + part_size]).digest() for start in cuts]
    return f"{md5(b''.join(parts)).hexdigest()}-{len(parts)}"


def stored_body(s3, container, key):
    """Return an object's bytes."""
    return s3.get_object(Bucket=container.name, Key=key)["Body"].read()


def stored_head(s3, container, key):
    """Return what a HEAD says of an object."""
    return s3.head_object(Bucket=container.name, Key=key)


def stored_etag(s3, container, key):
    """Return an object's ETag without quotes."""
    return stored_head(s3, container, key)["ETag"].strip('"')


def stored_keys(s3, bucket):
    """Return all keys of a bucket."""
    keys = []
    while True:
        page = s3.list_objects(Bucket=bucket, Marker=keys[-1] if keys else "")
        keys += [entry["Key"] for entry in page.get("Contents", [])]
        if not page["IsTruncated"]:
            return keys


def unfinished_uploads(s3, bucket):
    """Return the keys of a bucket's unfinished multipart uploads."""
    return list(listed_uploads(s3, bucket).values())


def listed_uploads(s3, bucket):
    """Return ``{upload id: key}`` of a bucket's first 1,000 unfinished uploads."""
    address = s3.generate_presigned_url(
        "list_multipart_uploads", {"Bucket": bucket, "EncodingType": "url"}
    )
    found = re.findall(
        "<Upload><Key>(.*?)</Key><UploadId>(.*?)</UploadId>", requests.get(address, timeout=20).text
    )
    return {upload_id: unquote(unescape(key)) for key, upload_id in found}


def begin_upload(s3, bucket, key):
    """Begin a multipart upload of any key, one that XML cannot express too, and return its id."""
    address = s3.generate_presigned_url("create_multipart_upload", {"Bucket": bucket, "Key": key})
    host, slash, target = address.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=20)  # keeps "..", as requests does not
    with contextlib.closing(connection):
        connection.request("POST", slash + target, headers={"Content-Length": "0"})
        answer = connection.getresponse().read().decode()
    return re.search("<UploadId>(.*?)</UploadId>", answer)[1]
