"""MinIO's client, by a caller who compares what comes with the ETag, as this driver does.

What is downloaded here was uploaded by boto3, in parts of 8 chunks, and has a whole number of them.
"""

from hashlib import md5

from benchmarks.peers import minio

PART_CHUNKS = 8


class Client(minio.Client):
    def download_file(self, key, path):
        with open(path, "wb") as file:
            file.writelines(self.chunks(key))

    def chunks(self, reference):
        etag = self.client.stat_object(self.bucket, reference).etag
        digests, part = [], md5(usedforsecurity=False)
        for number, chunk in enumerate(super().chunks(reference), 1):
            part.update(chunk)
            if number % PART_CHUNKS == 0:
                digests.append(part.digest())
                part = md5(usedforsecurity=False)
            yield chunk
        found = md5(b"".join(digests), usedforsecurity=False).hexdigest()
        if etag != f"{found}-{len(digests)}":
            raise OSError(f"{etag} is not the ETag of what arrived")
