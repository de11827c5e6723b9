"""Runs scenarios: every client in turn, each time in a fresh process, and again from the start."""

import datetime
import json
import os
import subprocess
import sys
import tempfile

from benchmarks.stage import Stage
from benchmarks.wan import REPOSITORY, Proxy

TIMEOUT_SECONDS = 1800
#: Objects above this size are not moved once more only to count requests.
LARGEST_COUNTED = 256 * 1024**2
#: Settings of the user's that must not reach a client.
FOREIGN = ("AWS_", "S3_", "RCLONE_", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")


class Runner:
    """Measures clients.

    :param clients: Names of modules in :mod:`benchmarks.clients`, with settings after a colon:
        ``aurora:ex_max_concurrency=8``.
    :param package: Directory that holds ``libcloud_aurora``, to measure another version of it.
    :param say: Takes a line of progress.
    """

    def __init__(self, clients, *, package=REPOSITORY, say=print):
        self._clients = clients
        self._package = package
        self._say = say

    def measure(self, server, scenario):
        """Run one scenario and return its record."""
        date = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        runs = {client: [] for client in self._clients if takes_part(client, scenario)}
        requests = {}
        address = server.host, server.port
        with Stage(server, scenario) as stage, Proxy(address, scenario.link) as proxy:
            shaped = bool(scenario.link.rate)
            port = proxy.port if shaped else server.port
            for turn in range(scenario.repeat):
                for client in runs:
                    if turn and enough(runs[client], scenario.patience):
                        continue
                    runs[client].append(self._run(stage, client, f"{turn}", port))
                    if shaped:
                        runs[client][-1]["proxy"] = proxy.counters()
            for client in runs:
                requests[client] = self._count(stage, client, runs[client], proxy, shaped=shaped)
        return {"date": date, "runs": runs, "requests": requests, **describe(scenario)}

    def _count(self, stage, client, runs, proxy, *, shaped):
        """Return the proxy's counters; where timing goes without the proxy, in a run of its own."""
        if "fails" in runs[-1] or stage.scenario.size > LARGEST_COUNTED:
            return None
        if not shaped:
            proxy.counters()
            self._run(stage, client, "count", proxy.port)
            return proxy.counters()
        return runs[-1]["proxy"]

    def _run(self, stage, client, turn, port):
        name, options = parse_client(client)
        job = stage.job(f"{client.partition(':')[0]}-{turn}", port)
        job["client"] = name
        job["target"]["options"] = options
        stage.server.facts()
        answer = self._start(job)
        answer.update(stage.server.facts())
        wrong = stage.check_and_clear(job)
        if wrong and "fails" not in answer:
            answer = {"fails": wrong}
        self._say(f"{stage.scenario.name:24} {turn:5} {client:28} {summary(answer)}")
        return answer

    def _start(self, job):
        """Run a job in a process of its own."""
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)
        }
        environment["PYTHONPATH"] = f"{self._package}{os.pathsep}{REPOSITORY}"
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
                )
            except subprocess.TimeoutExpired:
                return {"fails": f"not finished after {TIMEOUT_SECONDS} s"}
        try:
            return json.loads(done.stdout.splitlines()[-1])
        except (IndexError, ValueError):
            return {"fails": f"exit code {done.returncode}: {done.stderr[-200:]}"}


def takes_part(client, scenario):
    """Tell whether a scenario is for a client."""
    return not scenario.clients or client.partition(":")[0] in scenario.clients


def enough(runs, patience):
    """Tell whether a client has no further turn: it has failed, or has taken its time."""
    if any("fails" in run for run in runs):
        return True
    return sum(run["wall"] for run in runs) >= patience


def parse_client(text):
    """Split ``name:setting=number,…``."""
    name, _, settings = text.partition(":")
    pairs = (pair.split("=") for pair in settings.split(",") if pair)
    return name, {key: int(value) for key, value in pairs}


def describe(scenario):
    """Return a scenario as the results keep it."""
    return {**scenario._asdict(), "title": scenario.text, "link": scenario.link._asdict()}


def summary(answer):
    """Return one run in words."""
    if "fails" in answer:
        return f"fails: {answer['fails']}"
    memory = answer["memory"] / 1024**2
    return f"{answer['wall']:8.3f} s  {answer['cpu']:7.3f} s CPU  {memory:7.1f} MiB"
