"""What was promised for each workload, and whether the results keep it."""

from typing import NamedTuple

from benchmarks.clients import NATIVE, PYTHON
from benchmarks.results import OURS

MIB = 1024**2
FIELDS = {"wall": "time", "cpu": "CPU", "memory": "memory"}
TIMES = "\N{MULTIPLICATION SIGN}"
PEERS = tuple(name for name in PYTHON + NATIVE if name != OURS)
PYTHON_PEERS = tuple(name for name in PYTHON if name != OURS)
LIBCLOUD = ("libcloud_auroraobjects", "libcloud_s3_rgw")
WORDS = {PEERS: "best of all", PYTHON_PEERS: "best in Python", NATIVE: "best native"}
TRANSFERS = ("upload-file", "upload-stream", "download-file", "download-stream")


class Verdict(NamedTuple):
    """One goal and what was measured.

    :param scenario: Name of the scenario, ``import`` for the time an import takes.
    :param measured: Our figure, in the unit of the goal.
    :param against: What it is compared with.
    """

    scenario: str
    title: str
    goal: str
    measured: str
    against: str
    reached: bool

    @property
    def name(self):
        """What :data:`benchmarks.why.WHY` knows the goal by: scenario, colon, goal in words."""
        return f"{self.scenario}: {self.goal}"


class Ratio(NamedTuple):
    """At most ``limit`` times the best of some clients."""

    scenario: str
    field: str
    clients: tuple
    limit: float

    def verdict(self, results):
        """Return the verdict, or ``None`` where it was not measured."""
        ours = results.median(self.scenario, OURS, self.field)
        best = results.best(self.scenario, self.field, self.clients)
        if ours is None or best is None:
            return None
        ratio = ours / best[0]
        whom = WORDS.get(self.clients) or " or ".join(self.clients)
        goal = f"{FIELDS[self.field]} ≤ {self.limit:g} {TIMES} {whom}"
        title = results.records[self.scenario]["title"]
        return Verdict(
            self.scenario, title, goal, f"{ratio:.2f} {TIMES}", best[1], ratio <= self.limit
        )


class Bound(NamedTuple):
    """At most so many requests, or bytes of memory."""

    scenario: str
    what: str
    limit: float

    def verdict(self, results):
        """Return the verdict, or ``None`` where it was not measured."""
        if self.what == "memory":
            value, unit, shown = results.median(self.scenario, OURS, "memory"), MIB, "{:.0f} MiB"
        else:
            value, unit, shown = results.requests(self.scenario, OURS), 1, "{:g} requests"
        if value is None:
            return None
        goal = f"≤ {shown.format(self.limit)}"
        measured = shown.format(value / unit)
        title = results.records[self.scenario]["title"]
        return Verdict(self.scenario, title, goal, measured, "", value / unit <= self.limit)


class OfLimit(NamedTuple):
    """At least a share of what the connections could carry."""

    scenario: str
    share: float

    def verdict(self, results):
        """Return the verdict, or ``None`` where it was not measured."""
        wall = results.median(self.scenario, OURS, "wall")
        if wall is None:
            return None
        record = results.records[self.scenario]
        connections = results.connections(self.scenario, OURS)
        limit = record["size"] / (connections * record["link"]["rate"])
        share = limit / wall
        goal = f"≥ {self.share:g} of the limit"
        against = f"({connections} connections: {limit:.2f} s)"
        return Verdict(
            self.scenario, record["title"], goal, f"{share:.2f}", against, share >= self.share
        )


def goals():
    """Return all goals."""
    for place in ("near", "far"):
        for transfer in TRANSFERS:
            yield Ratio(f"{place}-{transfer}", "wall", PEERS, 1.0)
            yield OfLimit(f"{place}-{transfer}", 0.8)
    for transfer in TRANSFERS:
        upload = transfer.startswith("upload")
        yield Ratio(f"loopback-{transfer}", "cpu", ("boto3",), 0.5)
        if upload:
            yield Ratio(f"loopback-{transfer}", "cpu", ("minio",), 1.0)
        yield Ratio(f"loopback-{transfer}", "wall", PYTHON_PEERS, 1.0)
        yield Ratio(f"loopback-{transfer}", "wall", NATIVE, 1.1)
        yield Bound(f"loopback-{transfer}", "memory", 64 if upload else 32)
    yield Ratio("small-get", "wall", PEERS, 0.15)
    yield Ratio("small-put", "wall", PYTHON_PEERS, 1.0)
    yield Ratio("small-put", "cpu", LIBCLOUD, 0.6)
    yield Bound("small-put", "requests", 200)
    yield Bound("look-up", "requests", 200)
    yield Ratio("list", "cpu", LIBCLOUD, 0.5)
    yield Ratio("list", "cpu", ("boto3",), 0.3)
    yield Bound("delete", "requests", 10)
    for size in (64, 256, 1024, 4096):
        yield Bound(f"growth-upload-{size}", "memory", 64)
        yield Bound(f"growth-download-{size}", "memory", 32)


def verdicts(results):
    """Return a verdict for every goal that was measured."""
    found = [verdict for goal in goals() if (verdict := goal.verdict(results))]
    return found + import_verdict(results)


def unexplained(results, reasons):
    """Return the names of missed goals without a reason, and of reasons for no missed goal."""
    missed = [verdict.name for verdict in verdicts(results) if not verdict.reached]
    without = [name for name in missed if not reasons.get(name)]
    stale = [name for name in reasons if name not in missed]
    return without, stale


def import_verdict(results):
    """Return the verdict on the time an import takes, if it was measured."""
    seconds = results.document.get("imports")
    if not seconds:
        return []
    ratio = seconds["libcloud_aurora"] / seconds["libcloud.storage.drivers.s3"]
    against = "libcloud.storage.drivers.s3"
    return [
        Verdict(
            "import",
            "import",
            f"time ≤ 1.15 {TIMES}",
            f"{ratio:.2f} {TIMES}",
            against,
            ratio <= 1.15,
        )
    ]
