"""Python bindings of the Rust crate object_store; plain http has to be allowed."""

from pathlib import Path

import obstore
from obstore.store import S3Store

from benchmarks.peers import CHUNK, Peer


class Client(Peer):
    def __init__(self, target):
        super().__init__(target)
        self.store = S3Store(
            target.bucket,
            endpoint=target.endpoint,
            access_key_id=target.access_key,
            secret_access_key=target.secret_key,
            region="us-east-1",
            virtual_hosted_style_request=False,
            client_options={"allow_http": not target.secure},
        )

    def upload_file(self, path, key):
        obstore.put(self.store, key, Path(path))

    def upload_stream(self, source, key):
        obstore.put(self.store, key, iter(source))

    def download_file(self, key, path):
        """In the chunks it arrives in; there is no function for files."""
        with open(path, "wb") as file:
            for chunk in obstore.get(self.store, key).stream():
                file.write(chunk)

    def chunks(self, reference):
        return obstore.get(self.store, reference).stream(min_chunk_size=CHUNK)

    def put(self, key, data, path):
        obstore.put(self.store, key, data)

    def get(self, reference):
        return bytes(obstore.get(self.store, reference).bytes())

    def look_up(self, key):
        return obstore.head(self.store, key)["size"]

    def sizes(self, prefix):
        return (row["size"] for page in obstore.list(self.store, prefix) for row in page)

    def delete_keys(self, prefix, keys):
        obstore.delete(self.store, keys)
