"""``python -m benchmarks``: start a radosgw, measure, and write a file of results."""

import argparse
import datetime
import fnmatch
import json
import signal
import statistics
import sys
from itertools import groupby
from pathlib import Path

from benchmarks.check_wan import LINKS, check
from benchmarks.clients import NAMES
from benchmarks.imports import import_seconds
from benchmarks.machine import machine, versions
from benchmarks.results import DIRECTORY
from benchmarks.runner import Runner, summary
from benchmarks.scenarios import Scenario, scenarios
from benchmarks.stage import Stage
from benchmarks.wan import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "tests"))
QUICK_DIVISOR = 8
MEMORY = 10 << 30
WARM_UP = Scenario("warm-up", "", "upload_stream", 32 << 20)


def main():
    """Measure what the command line selects."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))  # and clean up
    options = arguments()
    chosen = select(options)
    if options.list:
        for scenario in chosen:
            print(f"{scenario.name:28} {scenario.text}")
        return
    document = {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "quick": options.quick,
        "machine": machine(),
        "versions": versions(options.package),
        "imports": import_seconds(options.package),
        "network": [] if options.quick else [check(link) for link in LINKS],
        "results": [],
    }
    runner = Runner(options.clients.split(","), package=options.package)
    for record in run_all(runner, chosen):
        document["results"].append(record)
        Path(options.output).write_text(json.dumps(document, indent=1) + "\n")
        print_medians(record)


def arguments():
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("patterns", nargs="*", default=["*"], help="scenarios, such as 'near-*'")
    parser.add_argument("--list", action="store_true", help="name the scenarios and stop")
    parser.add_argument("--clients", default=",".join(NAMES), help="comma-separated, in this order")
    parser.add_argument("--quick", action="store_true", help="an eighth of the work, once")
    parser.add_argument("--repeat", type=int, help="runs of each client")
    parser.add_argument("--package", default=str(REPOSITORY), help="where libcloud_aurora is")
    parser.add_argument("--output", help="file to write; all of it, in full, goes to results/")
    options = parser.parse_args()
    options.output = options.output or default_output(options)
    return options


def default_output(options):
    """Return where results go: to the committed ones only if they are complete."""
    if options.quick or options.repeat or options.patterns != ["*"]:
        return "benchmark-results.json"
    return DIRECTORY / f"{datetime.date.today().isoformat()}.json"


def select(options):
    """Return the scenarios that match, as large and as often as wanted."""
    chosen = []
    for name, scenario in scenarios().items():
        if any(fnmatch.fnmatch(name, pattern) for pattern in options.patterns):
            if options.quick:
                scenario = scenario.small(QUICK_DIVISOR)
            chosen.append(scenario._replace(repeat=options.repeat or scenario.repeat))
    return chosen


def run_all(runner, chosen):
    """Yield records; scenarios with the same radosgw share a cluster."""
    from live.ceph import Cluster  # of tests/, which is only now importable

    ordered = sorted(chosen, key=lambda scenario: scenario.frontend)
    for frontend, group in groupby(ordered, key=lambda scenario: scenario.frontend):
        with Cluster(frontend=frontend, memory=MEMORY) as cluster:
            with Stage(cluster, WARM_UP) as stage:
                stage.warm_up()
            for scenario in group:
                yield runner.measure(cluster, scenario)


def print_medians(record):
    """Print the medians of a scenario."""
    print(f"\n{record['title']}: medians")
    for client, runs in record["runs"].items():
        good = [run for run in runs if "fails" not in run]
        fields = ("wall", "cpu", "memory")
        line = {field: statistics.median(run[field] for run in good) for field in fields if good}
        requests = (record["requests"][client] or {}).get("requests", "")
        print(f"  {client:34} {summary(line or runs[-1])} {requests} requests", flush=True)


if __name__ == "__main__":
    main()
