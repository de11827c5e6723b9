"""MinIO's client for Python."""

import io

from minio import Minio
from minio.deleteobjects import DeleteObject

from benchmarks.peers import CHUNK, Peer

#: A stream of unknown size needs a part size; this is the one of minio's documentation.
PART_SIZE = 10 * 1024**2


class Client(Peer):
    def __init__(self, target):
        super().__init__(target)
        self.client = Minio(
            f"{target.host}:{target.port}",
            access_key=target.access_key,
            secret_key=target.secret_key,
            secure=target.secure,
            region="us-east-1",
        )

    def upload_file(self, path, key):
        self.client.fput_object(self.bucket, key, path)

    def upload_stream(self, source, key):
        self.client.put_object(self.bucket, key, source.file(), -1, part_size=PART_SIZE)

    def download_file(self, key, path):
        self.client.fget_object(self.bucket, key, path)

    def chunks(self, reference):
        response = self.client.get_object(self.bucket, reference)
        try:
            yield from response.stream(CHUNK)
        finally:
            response.close()
            response.release_conn()

    def put(self, key, data, path):
        self.client.put_object(self.bucket, key, io.BytesIO(data), len(data))

    def look_up(self, key):
        return self.client.stat_object(self.bucket, key).size

    def sizes(self, prefix):
        return (row.size for row in self.client.list_objects(self.bucket, prefix, True))

    def delete_keys(self, prefix, keys):
        listing = self.client.list_objects(self.bucket, prefix, True)
        names = (DeleteObject(row.object_name) for row in listing)
        for error in self.client.remove_objects(self.bucket, names):
            raise OSError(error)
