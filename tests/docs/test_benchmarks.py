"""The page of benchmark results is made from any results that the harness can write."""

import json
import socket
import socketserver
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docutils.core
import pytest
from libcloud.storage.base import Container

REPOSITORY = Path(__file__).resolve().parents[2]
PEERS = {"boto3": 2.0, "minio": None, "obstore": 0.5}
MIB = 1 << 20


class Quarter(socketserver.BaseRequestHandler):
    """Answers a byte with a quarter of a MiB."""

    def handle(self):
        self.request.recv(1)
        self.request.sendall(bytes(MIB // 4))


@pytest.fixture(scope="module")
def benchmarks():
    """The harness is not installed: it is imported from the repository."""
    sys.path.insert(0, str(REPOSITORY))
    import benchmarks.network
    import benchmarks.page
    import benchmarks.reasons
    import benchmarks.results
    import benchmarks.scenarios
    import benchmarks.servers

    yield benchmarks
    sys.path.remove(str(REPOSITORY))
    for name in [name for name in sys.modules if name.partition(".")[0] == "benchmarks"]:
        del sys.modules[name]


def rows(scenario, scheme):
    """Return made-up runs of a scenario: minio fails, and obstore takes half of our time."""
    known = {"scenario": scenario.name, "scheme": scheme, "connections": 3}
    known |= {"size": scenario.size, "count": scenario.count}
    ours = {client: 1.0 for client in scenario.clients if client.startswith("aurora")}
    for client, wall in (ours | PEERS).items():
        figures = {"wall": wall, "cpu": wall, "memory": 2048} if wall else {"fails": "`no` <way>"}
        yield known | {"client": client} | figures


@pytest.fixture(scope="module")
def write(benchmarks, tmp_path_factory):
    """A function that writes a file of results of some scenarios and returns its path."""
    table = benchmarks.scenarios.scenarios()

    def write(names=table, day=2):
        path = tmp_path_factory.mktemp("results") / "one.jsonl"
        head = {"date": f"2026-01-0{day}T03:04:05+00:00", "machine": "Test"}
        head |= {"versions": {"libcloud-aurora": f"1.{day}"}}
        lines = [
            row
            for name in names
            for scheme in ("https", "http")
            for row in rows(table[name], scheme)
        ]
        path.write_text("\n".join(map(json.dumps, [head, *lines])))
        return path

    return write


def test_page_of_results(benchmarks, write):
    """Results of every group become a page without a warning, with a chart for each workload."""
    table = benchmarks.scenarios.scenarios().values()
    names = {scenario.group: scenario.name for scenario in table}.values()
    results = benchmarks.results.Results([write([*names, "loopback-upload-file"])])
    settings = {"halt_level": 2, "report_level": 2}
    page = f"Title\n=====\n\n{benchmarks.page.page(results)}\n"

    html = docutils.core.publish_string(page, writer="html", settings_overrides=settings).decode()

    titles = {table.title for table in results.tables.values()}
    assert html.count("<svg") == len(titles)
    assert "#010203" not in html
    for text in (
        "Where a peer is faster",
        "What failed",
        "256 MiB file upload",
        "5,000 keys",
    ):
        assert text in html


def test_charts_are_the_same_every_time(benchmarks, write):
    """The same results make the same drawing, byte for byte."""
    tables = list(benchmarks.results.Results([write(["list"])]).tables.values())

    assert benchmarks.page.charts.bars(tables) == benchmarks.page.charts.bars(tables)


def test_newest_runs_of_each_scenario_are_shown(benchmarks, write):
    """Of several files the page shows each workload as it was measured last."""
    paths = [write(["list"], day=3), write(["list", "delete"], day=1), write(["list"], day=2)]
    found = benchmarks.results.Results(paths)

    assert found.tables["list", "https"].head["versions"]["libcloud-aurora"] == "1.3"
    assert found.tables["delete", "http"].head["versions"]["libcloud-aurora"] == "1.1"
    assert len(found.heads) == 2


def test_a_client_without_a_function_has_not_failed(benchmarks, write):
    """A workload that a client has no function for is told from one in which it fails."""
    table = benchmarks.results.Results([write(["look-up"])]).tables["look-up", "https"]
    table.runs["s5cmd"] = [{"fails": "has no look_up"}]

    marks = {name: benchmarks.page.charts.mark(table, name) for name in ("s5cmd", "minio", "boto3")}
    assert marks == {"s5cmd": "cannot", "minio": "fails", "boto3": ""}
    assert benchmarks.page.charts.mark(table, "s3fs") == "not run"


def test_downloads_to_files_are_compared_without_a_sync(benchmarks, write):
    """What stands for this driver is the row that does what the others do."""
    names = ["loopback-download-file", "loopback-upload-file"]
    found = benchmarks.results.Results([write(names)])

    assert found.tables[names[0], "https"].ours == "aurora:ex_durable=False"
    assert found.tables[names[1], "https"].ours == "aurora"


def test_a_faster_peer_is_a_loss(benchmarks, write):
    """The fastest peer counts, one that fails does not, and what is noise is no loss."""
    table = benchmarks.results.Results([write(["list"])]).tables["list", "https"]

    assert table.loss() == (0.5, "obstore")
    table.runs["obstore"][0]["wall"] = 0.96
    assert table.loss() is None


def test_reasons_for_failures_are_readable(benchmarks):
    """Markup and addresses are left out of the reason for a failure."""
    text = benchmarks.page.escape("E: <Code>`No`</Code> in <X object at 0x7f> at 0x1")

    assert text == "E: 'No' in"


def test_committed_results_are_explained(benchmarks):
    """No workload and no client is unknown, and each faster peer has its reason."""
    paths = list(benchmarks.results.DIRECTORY.glob("*.jsonl"))
    results = benchmarks.results.Results(paths)
    known = benchmarks.scenarios.scenarios()

    for path in paths:
        for row in benchmarks.results.parse(path)[1]:
            assert row["client"] in known[row["scenario"]].clients, path
    unexplained = [
        name
        for (name, _), table in results.tables.items()
        if table.loss() and not benchmarks.reasons.reason(name)
    ]
    assert unexplained == []


def test_readme_says_what_was_measured(benchmarks):
    """Each ratio over https that README gives is that of the newest committed runs."""
    results = benchmarks.results.Results(benchmarks.results.DIRECTORY.glob("*.jsonl"))
    readme = " ".join((REPOSITORY / "README.rst").read_text().split())

    def ratio(name):
        table = results.tables[name, "https"]
        best, _ = table.best("wall", benchmarks.results.PEERS)
        return f"{table.median('aurora', 'wall') / best:.2f}"

    for text, *names in (
        ("{} up, {} down; * a stream", "near-upload-file", "near-download-file"),
        ("{} up, {} down; * a file of 256", "near-upload-stream", "near-download-stream"),
        ("1 Gbit/s: {} up, {} down; a stream", "lan-upload-file", "lan-download-file"),
        ("a stream {} up, {} down; * 200", "lan-upload-stream", "lan-download-stream"),
        ("one after another: {}; a listing of 5,000 keys: {}.", "small-get", "list"),
    ):
        assert text.format(*map(ratio, names)) in readme


@pytest.mark.parametrize("shared", [False, True])
def test_network_has_its_delay_and_its_rate(benchmarks, shared):
    """Nothing arrives sooner than its link, or one that is shared, can carry it."""
    link = benchmarks.network.Link(0.005, MIB, shared=shared)

    def fetch(_):
        began = time.monotonic()  # to open it takes a round trip, and so does the request
        with socket.create_connection(("127.0.0.1", proxy.port)) as connection:
            connection.sendall(b"?")
            assert connection.recv(1)
            first = time.monotonic() - began
            while connection.recv(MIB):
                pass
            return began, first, time.monotonic()

    with (
        socketserver.ThreadingTCPServer(("127.0.0.1", 0), Quarter) as server,
        benchmarks.network.Proxy(server.server_address, link) as proxy,
        ThreadPoolExecutor(2) as pool,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        begins, firsts, ends = zip(*pool.map(fetch, range(2)), strict=True)
        server.shutdown()

    assert min(firsts) >= 0.02
    # Of a shared link, the second may have begun after the first and end last.
    assert max(ends) - min(begins) >= 0.02 + 0.25 * (1 + shared)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_sink_answers_with_the_etags_of_what_arrives(benchmarks, cls, scheme):
    """A stream to the sink has the size and ETag that the driver expects, and can be deleted."""
    with benchmarks.servers.serving("sink") as sink:
        settings = {"secure": scheme == "https", "ex_verify_ssl": str(sink.authority)}
        host = benchmarks.servers.HOST
        with cls("key", "secret", host=host, port=sink.ports[scheme], **settings) as driver:
            obj = Container("bucket", None, driver).upload_object_via_stream(
                [bytes(6 << 20)] * 2, "key"
            )

            assert driver.get_object("bucket", "key").size == obj.size == 12 << 20
            assert driver.get_object("bucket", "key").hash == obj.hash
            assert obj.delete()
