"""``python -m benchmarks``: start a radosgw, measure, and write a file of results.

The file is written after each scenario. With --into it is completed, or measured again in part.
"""

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
from benchmarks.machine import hash_speeds, machine, versions
from benchmarks.merging import merge, write
from benchmarks.results import DIRECTORY
from benchmarks.runner import Runner, summary
from benchmarks.scenarios import Scenario, scenarios
from benchmarks.servers import serving
from benchmarks.stage import Stage
from benchmarks.wan import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "tests"))
QUICK_DIVISOR = 8
WARM_UP = Scenario("warm-up", "", "upload_stream", 32 << 20)


def main():
    """Measure what the command line selects."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))  # and clean up
    options = arguments()
    document = continued(options) if options.into else None
    chosen = select(options, document)
    if options.list:
        for scenario in chosen:
            print(f"{scenario.name:28} {scenario.text}")
        return
    document = document or begun(options)
    runner = Runner(options.clients.split(","), package=options.package)
    for record in run_all(runner, chosen):
        merge(document, record)
        write(Path(options.into or options.output), document)
        print_medians(record)


def begun(options):
    """Return a document without results."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "quick": options.quick,
        "machine": machine(),
        "versions": versions(options.package),
        "hashes": hash_speeds(),
        "imports": import_seconds(options.package),
        "network": [] if options.quick else [check(link) for link in LINKS],
        "results": [],
    }


def continued(options):
    """Return an earlier document; what it was measured with must be what is here now."""
    document = json.loads(Path(options.into).read_text())
    now = {"quick": options.quick, "versions": versions(options.package)}
    for field, value in now.items():
        if document[field] != value:
            sys.exit(f"{options.into} has {field} {document[field]}, not {value}")
    return document


def arguments():
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("patterns", nargs="*", default=["*"], help="scenarios, such as 'near-*'")
    parser.add_argument("--list", action="store_true", help="name the scenarios and stop")
    parser.add_argument("--clients", default=",".join(NAMES), help="comma-separated, in this order")
    parser.add_argument("--quick", action="store_true", help="an eighth of the work, once")
    parser.add_argument("--repeat", type=int, help="runs of each client at most")
    parser.add_argument("--patience", type=float, help="seconds after which a client has no turn")
    parser.add_argument("--package", default=str(REPOSITORY), help="where libcloud_aurora is")
    parser.add_argument("--output", help="file to write; all of it, in full, goes to results/")
    parser.add_argument("--into", help="file of earlier results, to replace or add to what it has")
    parser.add_argument("--missing", action="store_true", help="only what --into does not have")
    options = parser.parse_args()
    options.output = options.output or default_output(options)
    return options


def default_output(options):
    """Return where results go: to the committed ones only if they are complete."""
    if options.quick or options.repeat or options.patience or options.patterns != ["*"]:
        return "benchmark-results.json"
    return DIRECTORY / f"{datetime.date.today().isoformat()}.json"


def select(options, document):
    """Return the scenarios that match, as large and as often as wanted."""
    chosen = []
    present = {record["name"] for record in document["results"]} if document else set()
    for name, scenario in scenarios().items():
        if options.missing and name in present:
            continue
        if any(fnmatch.fnmatch(name, pattern) for pattern in options.patterns):
            if options.quick:
                scenario = scenario.small(QUICK_DIVISOR)
            repeat = options.repeat or scenario.repeat
            patience = options.patience or scenario.patience
            chosen.append(scenario._replace(repeat=repeat, patience=patience))
    return chosen


def run_all(runner, chosen):
    """Yield records; scenarios with the same radosgw share a cluster."""

    def kind(scenario):
        return scenario.server, scenario.frontend

    for wanted, group in groupby(sorted(chosen, key=kind), key=kind):
        with serving(*wanted) as server:
            with Stage(server, WARM_UP) as stage:
                stage.warm_up()
            for scenario in group:
                yield runner.measure(server, scenario)


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
