"""This driver; ``ex_durable`` is a setting of its downloads, all others are the driver's."""

import os

from benchmarks.peers.libcloud import LibcloudPeer
from libcloud_aurora import AuroraObjectsStorageDriver


class Client(LibcloudPeer):
    def __init__(self, target):
        settings = {"ex_verify_ssl": os.environ["SSL_CERT_FILE"]} if target.secure else {}
        settings.update(target.options)
        self._durable = settings.pop("ex_durable", True)
        super().__init__(target, AuroraObjectsStorageDriver, **settings)

    def download_file(self, key, path):
        super().download_file(key, path, ex_durable=self._durable)

    def put(self, key, data, path):
        self.driver.upload_object_via_stream(iter([data]), self.container, key)

    def delete_keys(self, prefix, keys):
        objects = self.driver.iterate_container_objects(self.container, prefix)
        self.driver.ex_delete_objects(self.container, objects)
