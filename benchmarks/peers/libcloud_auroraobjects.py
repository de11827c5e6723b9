"""Libcloud's own driver of the same name, which cannot upload streams."""

from libcloud.storage.drivers.auroraobjects import AuroraObjectsStorageDriver

from benchmarks.peers.libcloud import LibcloudPeer


class Client(LibcloudPeer):
    def __init__(self, target):
        super().__init__(target, AuroraObjectsStorageDriver)
