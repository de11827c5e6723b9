"""What a radosgw leaves that ends after it has stored an object, before it has removed the upload.

A kill hits these milliseconds once in ten times. So a radosgw does all its work here, and the
upload, as it was before, is put back into Ceph's pools.
"""

from servers import plan

UPLOADS, INDEX = "default.rgw.buckets.non-ec", "default.rgw.buckets.index"


class Interruption:
    """
    Keeps the unfinished upload of a cluster, and brings it back.

    :param directory: An empty one, for what is kept.
    """

    def __init__(self, cluster, directory):
        self._cluster = cluster
        self._pool = directory / "uploads"
        self._entry = directory / "entry"
        self._places = []

    def keep(self):
        """Keep the unfinished uploads, of which there is one, as they are; once."""
        if self._places:
            return
        self._cluster.rados(UPLOADS, "export", str(self._pool))
        for shard in self._cluster.rados(INDEX, "ls"):
            for key in self._cluster.rados(INDEX, "listomapkeys", shard):
                if key.startswith("_multipart_") and key.endswith(".meta"):
                    self._cluster.rados(INDEX, "getomapval", shard, key, str(self._entry))
                    self._places.append((shard, key))

    def undo(self):
        """Bring the upload back, whatever has become of it."""
        self._cluster.rados(UPLOADS, "import", str(self._pool))
        [place] = self._places
        self._cluster.rados(INDEX, "setomapval", *place, "--input-file", str(self._entry))

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
