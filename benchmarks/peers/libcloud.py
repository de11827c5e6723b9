"""What every libcloud driver is used for, in libcloud's words."""

from libcloud.storage.base import Container

from benchmarks.peers import CHUNK, Peer


class LibcloudPeer(Peer):
    """A driver and the container everything happens in."""

    def __init__(self, target, driver, **settings):
        super().__init__(target)
        self.driver = driver(
            target.access_key,
            target.secret_key,
            secure=target.secure,
            host=target.host,
            port=target.port,
            **settings,
        )
        self.container = Container(self.bucket, None, self.driver)

    def upload_file(self, path, key):
        self.driver.upload_object(path, self.container, key)

    def upload_stream(self, source, key):
        self.driver.upload_object_via_stream(iter(source), self.container, key)

    def download_file(self, key, path, **settings):
        obj = self.driver.get_object(self.bucket, key)
        if not self.driver.download_object(obj, path, overwrite_existing=True, **settings):
            raise OSError("download_object returned False")

    def download_stream(self, key):
        return super().download_stream(self.driver.get_object(self.bucket, key))

    def chunks(self, reference):
        return self.driver.download_object_as_stream(reference, CHUNK)

    def put(self, key, data, path):
        """A file: one of these drivers cannot upload streams, the other needs three requests."""
        self.upload_file(path, key)

    def references(self, keys):
        """Take the objects from a listing, as a program does that goes through a container."""
        prefix = keys[0].rpartition("/")[0] + "/"
        found = self.driver.iterate_container_objects(self.container, prefix)
        objects = {obj.name: obj for obj in found}
        return [objects[key] for key in keys]

    def look_up(self, key):
        return self.driver.get_object(self.bucket, key).size

    def sizes(self, prefix):
        return (obj.size for obj in self.driver.list_container_objects(self.container, prefix))

    def delete_keys(self, prefix, keys):
        """One by one, which is all that libcloud offers."""
        for obj in self.driver.list_container_objects(self.container, prefix):
            self.driver.delete_object(obj)
