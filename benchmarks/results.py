"""Reads files of results: medians, ratios, and what failed."""

import json
import statistics
from pathlib import Path

DIRECTORY = Path(__file__).parent / "results"
OURS = "aurora"


def load(path):
    """Return the results of one file."""
    return Results(json.loads(Path(path).read_text()))


def newest(directory=DIRECTORY):
    """Return the newest results in a directory."""
    paths = sorted(Path(directory).glob("*.json"))
    if not paths:
        raise FileNotFoundError(f"no results in {directory}")
    return max(map(load, paths), key=lambda results: results.document["date"])


class Results:
    """One file of results.

    :param document: What the file holds.
    """

    def __init__(self, document):
        self.document = document
        self.records = {record["name"]: record for record in document["results"]}

    def group(self, name):
        """Return the scenarios of a group, in the order they were run."""
        return [record for record in self.records.values() if record["group"] == name]

    def clients(self, scenario):
        """Return the names of the clients that tried a scenario."""
        return list(self.records[scenario]["runs"]) if scenario in self.records else []

    def failure(self, scenario, client):
        """Return why a client failed, or ``None``."""
        runs = self.records[scenario]["runs"][client]
        return next((run["fails"] for run in runs if "fails" in run), None)

    def excuse(self, scenario, client):
        """Return in a word why a client has no figure, or an empty text if it has one."""
        reason = self.failure(scenario, client) or ""
        return "cannot" if reason.startswith("has no ") else "fails" if reason else ""

    def median(self, scenario, client, field):
        """Return the median of a field, or ``None`` where there is none."""
        runs = self.records.get(scenario, {}).get("runs", {}).get(client, ())
        if not runs or any("fails" in run for run in runs):
            return None
        return statistics.median(run[field] for run in runs)

    def best(self, scenario, field, clients):
        """Return the lowest median among clients, and whose it is; ``None`` if all failed."""
        medians = ((self.median(scenario, client, field), client) for client in clients)
        return min((pair for pair in medians if pair[0] is not None), default=None)

    def requests(self, scenario, client):
        """Return how many requests one run took, or ``None``."""
        counters = self.records.get(scenario, {}).get("requests", {}).get(client)
        return counters and counters["requests"]

    def connections(self, scenario, client):
        """Return how many connections one run opened, or ``None``."""
        counters = self.records.get(scenario, {}).get("requests", {}).get(client)
        return counters and counters["connections"]
