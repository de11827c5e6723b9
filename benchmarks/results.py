"""Reads files of results: medians, and where a peer is faster.

A file has one line of JSON about the machine and the versions, and then one for each run.
"""

import json
import statistics
from pathlib import Path

from benchmarks.peers import NATIVE, PYTHON
from benchmarks.scenarios import COMPARED, OURS, scenarios

DIRECTORY = Path(__file__).parent / "results"
PEERS = PYTHON + NATIVE
#: Less is not told from what runs differ by.
NOISE = 1.05


def parse(path):
    """Return the first line of a file, and its rows."""
    head, *rows = map(json.loads, Path(path).read_text().splitlines())
    return head, rows


class Table:
    """The runs of one scenario over one scheme, of one file.

    :param head: First line of the file.
    :param rows: The runs.
    """

    def __init__(self, head, rows):
        self.head, self.rows = head, rows
        self.scenario = scenarios()[rows[0]["scenario"]]
        self.scheme = rows[0]["scheme"]
        self.runs = {row["client"]: [] for row in rows}
        for row in rows:
            self.runs[row["client"]].append(row)
        compared = COMPARED.get(self.scenario.operation, OURS)
        self.ours = compared if compared in self.runs else OURS

    @property
    def title(self):
        """What was done, in words."""
        return self.scenario.title(self.rows[0]["size"], self.rows[0]["count"])

    def failure(self, client):
        """Return why a client has no figures, or ``None``."""
        return next((run["fails"] for run in self.runs.get(client, ()) if "fails" in run), None)

    def median(self, client, field):
        """Return the median of a field, or ``None`` where there is none."""
        if client not in self.runs or self.failure(client):
            return None
        return statistics.median(run[field] for run in self.runs[client])

    def best(self, field, clients):
        """Return the lowest median among clients, and whose it is; ``None`` if there is none."""
        medians = ((self.median(client, field), client) for client in clients)
        return min((pair for pair in medians if pair[0] is not None), default=None)

    def loss(self):
        """Return the seconds of the fastest peer, and which it is, if it is faster than ours."""
        ours, best = self.median(self.ours, "wall"), self.best("wall", PEERS)
        return best if ours and best and ours >= best[0] * NOISE else None


class Results:
    """The newest runs of every scenario over each scheme.

    :param paths: Files of results.
    """

    def __init__(self, paths):
        files = sorted((parse(path) for path in paths), key=lambda pair: pair[0]["date"])
        found = {}
        for head, rows in files:
            for name, scheme in dict.fromkeys((row["scenario"], row["scheme"]) for row in rows):
                own = [row for row in rows if (row["scenario"], row["scheme"]) == (name, scheme)]
                found[name, scheme] = Table(head, own)
        order = [(name, scheme) for name in scenarios() for scheme in ("https", "http")]
        self.tables = {key: found[key] for key in order if key in found}
        used = {table.head["date"]: table.head for table in self.tables.values()}
        self.heads = [used[date] for date in sorted(used)]

    def summary(self):
        """Yield lines of text with the medians."""
        for table in self.tables.values():
            yield f"\n{table.title}, {table.scheme}"
            for client in table.runs:
                figures = [table.median(client, field) for field in ("wall", "cpu", "memory")]
                if figures[0] is None:
                    yield f"  {client:40} {table.failure(client)}"
                else:
                    wall, cpu, memory = figures
                    yield f"  {client:40} {wall:8.3f} s {cpu:8.3f} s CPU {memory / 1024:8.1f} MiB"
