"""The file-system interface of fsspec, which is asynchronous inside.

It is built on botocore and needs boto3's setting over https.
"""

import s3fs

from benchmarks.peers import CHUNK, Peer


class Client(Peer):
    def __init__(self, target):
        super().__init__(target)
        checksums = {"request_checksum_calculation": "when_required"} if target.secure else {}
        self.files = s3fs.S3FileSystem(
            key=target.access_key,
            secret=target.secret_key,
            endpoint_url=target.endpoint,
            client_kwargs={"region_name": "us-east-1"},
            config_kwargs=checksums,
            skip_instance_cache=True,
        )
        self.files.connect()

    def _path(self, key):
        return f"{self.bucket}/{key}"

    def upload_file(self, path, key):
        self.files.put_file(path, self._path(key))

    def upload_stream(self, source, key):
        with self.files.open(self._path(key), "wb") as file:
            for chunk in source:
                file.write(chunk)

    def download_file(self, key, path):
        self.files.get_file(self._path(key), path)

    def chunks(self, reference):
        with self.files.open(self._path(reference), "rb") as file:
            yield from iter(lambda: file.read(CHUNK), b"")

    def put(self, key, data, path):
        self.files.pipe_file(self._path(key), data)

    def get(self, reference):
        return self.files.cat_file(self._path(reference))

    def look_up(self, key):
        return self.files.info(self._path(key))["size"]

    def sizes(self, prefix):
        found = self.files.find(self._path(prefix), detail=True)
        return (row["size"] for row in found.values())

    def delete_keys(self, prefix, keys):
        self.files.rm([self._path(key) for key in keys])
