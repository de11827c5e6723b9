"""What a radosgw leaves that ends after it has stored an object, before it has removed the upload.

A kill hits these milliseconds once in ten times. So a radosgw does all its work here, and the
upload, as it was before, is put back into Ceph's pools.
"""

from servers import plan

UPLOADS, INDEX = "default.rgw.buckets.non-ec", "default.rgw.buckets.index"


class Interruption:
    """
    Keeps the unfinished uploads of a cluster, and brings them back.

    :param directory: An empty one, for what is kept.
    """

    def __init__(self, cluster, directory):
        self._cluster = cluster
        self._directory = directory
        self._pool = directory / "uploads"
        self._entries = []

    def keep(self):
        """Keep the unfinished uploads as they are; once."""
        if self._entries:
            return
        self._cluster.rados(UPLOADS, "export", str(self._pool))
        for shard in self._cluster.rados(INDEX, "ls"):
            for key in self._cluster.rados(INDEX, "listomapkeys", shard):
                if key.startswith("_multipart_") and key.endswith(".meta"):
                    entry = shard, key, str(self._directory / f"entry {len(self._entries)}")
                    self._cluster.rados(INDEX, "getomapval", *entry)
                    self._entries.append(entry)

    def undo(self):
        """Bring the uploads back, whatever has become of them."""
        self._cluster.rados(UPLOADS, "import", str(self._pool))
        assert self._entries
        for *place, entry in self._entries:
            self._cluster.rados(INDEX, "setomapval", *place, "--input-file", entry)

    def plan(self):
        """Return a plan for a proxy: radosgw ends while it completes the first upload."""

        def completes(request):
            if request.operation == "complete":
                self.keep()
            return request.operation == "complete"

        undo = lambda request: self.undo()  # noqa: E731
        return plan.once(plan.Fault("ended", "lose", stage="answer", call=undo), completes)

    def collect(self):
        """Delete the data of what was replaced or aborted, which a cluster does hours later."""
        self._cluster.admin("gc", "process", "--include-all")
