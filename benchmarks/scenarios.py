"""What is measured: operations with sizes, over links, against a radosgw of a kind."""

from typing import NamedTuple

from benchmarks.wan import Link

MIB = 1024**2
KIB = 1024
LOOPBACK = Link()
NEAR = Link(0.020, 10 * MIB)
FAR = Link(0.100, 5 * MIB)
GIB = 1024**3
GROWTH_SIZES = (64, 256, 1024, 4096)
#: One of each kind: sizes up to 4 GiB take long.
GROWTH_CLIENTS = ("aurora", "libcloud_s3_rgw", "boto3", "obstore")


class Scenario(NamedTuple):
    """One workload.

    :param operation: Name of a function in :mod:`benchmarks.operations`.
    :param size: Bytes of the object, or of each small object.
    :param count: How many small objects; 1 for a transfer.
    :param threads: Threads of the client that share one handle.
    :param frontend: Words for radosgw's frontend beyond its default.
    :param server: What is talked to, of :func:`benchmarks.servers.serving`.
    :param clients: Names of those that take part; empty for all.
    :param repeat: Runs of each client at most.
    :param patience: Seconds. A client whose runs have taken as long together has no further turn.
    """

    name: str
    title: str
    operation: str
    size: int
    link: Link = LOOPBACK
    count: int = 1
    chunk: int = MIB
    threads: int = 1
    frontend: str = ""
    server: str = "radosgw"
    clients: tuple = ()
    repeat: int = 5
    patience: float = 6.0
    group: str = "loopback"

    @property
    def text(self):
        """What is done, in words."""
        sizes = {"mebibytes": self.size // MIB, "gibibytes": self.size / GIB}
        return self.title.format(**sizes, count=self.count)

    @property
    def is_transfer(self):
        """Whether one large object is moved."""
        return self.operation.startswith(("upload", "download"))

    def small(self, divisor):
        """Return the same with less work, for a quick look."""
        if self.is_transfer:
            return self._replace(size=max(self.size // divisor, 8 * MIB), repeat=1)
        return self._replace(count=max(self.count // divisor, 16), repeat=1)


TRANSFERS = {
    "upload_file": "file upload",
    "upload_stream": "upload of a stream of unknown size",
    "download_file": "file download",
    "download_stream": "streamed download",
}


def scenarios():
    """Return all scenarios by name."""
    every = (*_transfers(), *_small(), *_growth(), *_sink())
    return {scenario.name: scenario for scenario in every}


def _transfers():
    for operation, title in TRANSFERS.items():
        name = f"loopback-{operation.replace('_', '-')}"
        yield Scenario(name, f"{{mebibytes}} MiB {title}, loopback", operation, 256 * MIB)
    for link, place in ((NEAR, "near"), (FAR, "far")):
        for operation, title in TRANSFERS.items():
            yield Scenario(
                f"{place}-{operation.replace('_', '-')}",
                f"{{mebibytes}} MiB {title}, {link.describe()}",
                operation,
                128 * MIB,
                link,
                patience=11.0,
                group="wan",
            )


def _small():
    for frontend, kind in (("", ""), ("tcp_nodelay=1", "-nodelay")):
        server = f" (radosgw with {frontend})" if frontend else ""
        for way in ("put", "get"):
            verb = way.upper()
            yield Scenario(
                f"small-{way}{kind}",
                f"{{count:,}} {verb}s of 4 KiB, one after another{server}",
                f"{way}_small",
                4 * KIB,
                count=200,
                frontend=frontend,
                group="small",
            )
    yield Scenario(
        "look-up",
        "{count:,} look-ups (HEAD), one after another",
        "look_up",
        4 * KIB,
        count=200,
        group="small",
    )
    for way in ("put", "get"):
        yield Scenario(
            f"threads-{way}",
            f"{{count:,}} {way.upper()}s of 4 KiB over 16 threads sharing one client",
            f"{way}_small",
            4 * KIB,
            count=2000,
            threads=16,
            group="small",
        )
    chunks = "{mebibytes} MiB uploaded in chunks of 64 bytes"
    yield Scenario("tiny-chunks", chunks, "upload_stream", 12 * MIB, chunk=64, group="small")
    yield Scenario("list", "listing {count:,} keys", "list_keys", 16, count=5000, group="keys")
    yield Scenario(
        "delete", "deleting {count:,} keys", "delete_keys", 16, count=5000, repeat=2, group="keys"
    )


def _growth():
    for size in GROWTH_SIZES:
        for operation in ("upload_file", "download_file"):
            yield Scenario(
                f"growth-{operation.partition('_')[0]}-{size}",
                f"{{mebibytes:,}} MiB {TRANSFERS[operation]}, loopback",
                operation,
                size * MIB,
                clients=GROWTH_CLIENTS,
                repeat=3,
                group="growth",
            )


def _sink():
    yield Scenario(
        "sink",
        "{gibibytes:g} GiB upload of a stream of unknown size, to a server that keeps nothing",
        "upload_stream",
        60 * GIB,
        server="sink",
        clients=("aurora",),
        repeat=1,
        group="sink",
    )
