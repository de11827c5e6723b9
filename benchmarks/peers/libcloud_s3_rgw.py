"""Libcloud's driver for any radosgw; its default signature, SigV2, cannot upload a stream."""

from libcloud.storage.drivers.rgw import S3RGWStorageDriver

from benchmarks.peers.libcloud import LibcloudPeer


class Client(LibcloudPeer):
    def __init__(self, target):
        super().__init__(target, S3RGWStorageDriver, signature_version="4")
