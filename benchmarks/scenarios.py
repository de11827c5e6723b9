"""What is measured: one table."""

from itertools import product
from typing import NamedTuple

from benchmarks.network import MIB, Link
from benchmarks.peers import NATIVE, PYTHON

KIB, GIB = 1024, 1024**3
LOOPBACK, NEAR, FAR = Link(), Link(0.020, 10 * MIB), Link(0.100, 5 * MIB)
#: Downloads over it leave about two fifths of two cores idle.
LAN = Link(0.001, 125_000_000, shared=True)
SLOW = {megabits: Link(0.050, megabits * 125_000, shared=True) for megabits in (1, 8)}
OURS = "aurora"
UNVERIFIED, UNSYNCED = "aurora:ex_verify=False", "aurora:ex_durable=False"
ONE_CONNECTION = "aurora:ex_max_concurrency=1"
#: What verification costs those who do it themselves; not counted among the peers.
VERIFIED_PEER = "minio_verified"
EVERYBODY = (OURS, *PYTHON, *NATIVE)
#: Who takes part in the quick set, beside this driver.
QUICK = ("boto3", "minio", "obstore")
BOTH, HTTPS = ("https", "http"), ("https",)
TRANSFERS = {
    "upload_file": "file upload",
    "upload_stream": "upload of a stream of unknown size",
    "download_file": "file download",
    "download_stream": "streamed download",
}
#: The row that stands for this driver: no other client syncs what it has saved to the disk.
COMPARED = {"download_file": UNSYNCED}
VARIANTS = {
    "download_file": (UNSYNCED, f"{UNSYNCED},ex_verify=False", VERIFIED_PEER),
    "download_stream": (UNVERIFIED, VERIFIED_PEER),
}


class Scenario(NamedTuple):
    """One workload.

    :param text: What is done, with ``{size}`` and ``{count}``.
    :param operation: What :func:`benchmarks.worker.prepare` knows it by.
    :param size: Bytes of the object, or of each small object.
    :param threads: Threads that share one client.
    :param server: ``radosgw``, the same with words for its frontend, or ``sink``.
    :param turns: Runs of each client at most.
    :param patience: Seconds. A client whose runs have taken as long together has no further turn.
    :param quick: Schemes in which the quick set has it.
    :param oldest: Oldest Ceph that can do it.
    """

    group: str
    name: str
    text: str
    operation: str
    size: int
    count: int = 1
    link: Link = LOOPBACK
    chunk: int = MIB
    threads: int = 1
    server: str = "radosgw"
    clients: tuple = EVERYBODY
    schemes: tuple = BOTH
    turns: int = 5
    patience: float = 6.0
    quick: tuple = ()
    oldest: int = 0

    @property
    def is_transfer(self):
        """Whether one large object is moved."""
        return self.operation in TRANSFERS

    def title(self, size, count):
        """Return what is done, in words, with the amounts of a run."""
        units = (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB"), (1, "bytes")
        unit, name = next(pair for pair in units if size >= pair[0])
        return self.text.format(size=f"{size / unit:g} {name}", count=f"{count:,}")

    def quickly(self):
        """Return what the quick set has of it."""
        known = tuple(one for one in self.clients if one.startswith(OURS) or one in QUICK)
        return self._replace(clients=known, schemes=self.quick, turns=3)


def scenarios():
    """Return all scenarios by name."""
    every = (*_large(), *_checksums(), *_small(), *_growth())
    return {scenario.name: scenario for scenario in every}


def _large():
    far = {"patience": 11.0}
    alone = {"clients": (OURS, ONE_CONNECTION), "schemes": HTTPS, "turns": 3, "patience": 1e9}
    places = (
        ("loopback", 256, LOOPBACK, {"quick": BOTH}),
        ("lan", 256, LAN, {}),
        ("near", 128, NEAR, far | {"quick": HTTPS}),
        ("far", 128, FAR, far),
        *((f"slow-{megabits}", 16, link, alone) for megabits, link in SLOW.items()),
    )
    for (place, size, link, more), (operation, text) in product(places, TRANSFERS.items()):
        name = f"{place}-{operation.replace('_', '-')}"
        clients = {"clients": EVERYBODY + VARIANTS.get(operation, ())}
        where = f", {link}" if link.rate else ""
        row = place.partition("-")[0], name, f"{{size}} {text}{where}", operation, size * MIB
        yield Scenario(*row, link=link, **clients | more)


def _checksums():
    for operation, text in TRANSFERS.items():
        name = f"checksums-{operation.replace('_', '-')}"
        ours = OURS, *VARIANTS.get(operation, ("aurora_unchecked",))
        settings = {"clients": (*ours, "boto3", "minio", "obstore", "s5cmd"), "oldest": 20}
        row = name, f"{{size}} {text}, with checksums", operation, 256 * MIB
        yield Scenario("checksums", *row, patience=10.0, **settings)


def _small():
    many, nodelay = {"threads": 16}, {"server": "radosgw tcp_nodelay=1", "turns": 3}
    for name, size, count, more in (
        ("put", 4 * KIB, 200, {"quick": BOTH}),
        ("get", 4 * KIB, 200, {"quick": HTTPS}),
        ("threads-put", 64 * KIB, 1500, many | {"quick": HTTPS}),
        ("threads-get", 64 * KIB, 1500, many | {"quick": HTTPS}),
        ("tiny-put", 4 * KIB, 2000, many),
        ("tiny-get", 4 * KIB, 2000, many),
        ("nodelay-put", 4 * KIB, 200, nodelay),
        ("nodelay-get", 4 * KIB, 200, nodelay),
    ):
        verb = name.rpartition("-")[2]
        how = "on 16 threads" if "threads" in more else "one after another"
        where = ", radosgw with tcp_nodelay=1" if "server" in more else ""
        text = f"{{count}} {verb.upper()}s of {{size}}, {how}{where}"
        yield Scenario("small", f"small-{name}", text, f"{verb}_small", size, count, **more)
    text = "{count} look-ups (HEAD), one after another"
    yield Scenario("small", "look-up", text, "look_up", 4 * KIB, 200)
    text = "{size} uploaded in chunks of 64 bytes"
    yield Scenario("small", "tiny-chunks", text, "upload_stream", 12 * MIB, chunk=64)
    yield Scenario("keys", "list", "listing {count} keys", "list_keys", 16, 5000, quick=BOTH)
    yield Scenario("keys", "delete", "deleting {count} keys", "delete_keys", 16, 5000, turns=3)


def _growth():
    for way, size in product(("upload", "download"), (64, 256, 1024, 4096)):
        row = f"growth-{way}-{size}", f"{{size}} file {way}", f"{way}_file", size * MIB
        ours = COMPARED.get(f"{way}_file", OURS)
        clients = (ours, "libcloud_s3_rgw", "boto3", "obstore")  # others would take hours
        yield Scenario("growth", *row, clients=clients, turns=3, patience=60.0)
    text = "{size} stream of unknown size, to a server that keeps nothing"
    sink = {"server": "sink", "clients": (OURS,), "schemes": HTTPS, "turns": 1}
    yield Scenario("sink", "sink", text, "upload_stream", 60 * GIB, **sink)
