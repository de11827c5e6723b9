"""``python -m benchmarks.slow``: transfers over 1 Mbit/s that all connections share.

With the default settings they must take at most 1.1 times as long as over one connection. The
four transfers run at once, each over a link of its own, since they sleep nearly all the time; it
takes a quarter of an hour.
"""

import statistics
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from benchmarks.runner import Runner
from benchmarks.scenarios import MIB, TRANSFERS, Scenario
from benchmarks.servers import serving
from benchmarks.stage import Stage
from benchmarks.wan import REPOSITORY, Link

sys.path.insert(0, str(REPOSITORY / "tests"))
SLOW = Link(0.020, 125_000, shared=True)
SIZE = 16 * MIB
REPEAT = 3
DEFAULT, ONE = "aurora", "aurora:ex_max_concurrency=1"
MOST = 1.1


def main():
    """Print the medians of each transfer, and fail if one takes too long."""
    slow = [
        Scenario(name, title, name, SIZE, SLOW, repeat=REPEAT, patience=float("inf"))
        for name, title in TRANSFERS.items()
    ]
    with serving("radosgw", "") as server:
        with Stage(server, slow[1]) as stage:
            stage.warm_up()
        with ThreadPoolExecutor(len(slow)) as pool:
            measure = partial(Runner([DEFAULT, ONE]).measure, server)
            records = list(pool.map(measure, slow))
    print(f"{SIZE // MIB} MiB, {SLOW.describe()}: the bytes alone take {SIZE / SLOW.rate:.1f} s")
    sys.exit(max(map(judged, records)))


def judged(record):
    """Print what was measured of one transfer, and tell whether it missed the goal."""
    runs = record["runs"]
    fails = [run["fails"] for each in runs.values() for run in each if "fails" in run]
    if fails:
        print(f"{record['title']}: {fails}")
        return True
    default, one = (statistics.median(run["wall"] for run in runs[key]) for key in (DEFAULT, ONE))
    print(f"{record['title']}: {default:.1f} s, over one connection {one:.1f} s")
    return default > MOST * one


if __name__ == "__main__":
    main()
