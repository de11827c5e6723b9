"""The page of benchmark results is made from any results that the harness can write."""

import json
import sys
from pathlib import Path

import docutils.core
import pytest
from libcloud.storage.base import Container

REPOSITORY = Path(__file__).resolve().parents[2]
FIELDS = ("wall", "cpu", "memory")
CLIENTS = ("aurora", "boto3", "minio", "obstore", "libcloud_s3_rgw")


@pytest.fixture(scope="module")
def benchmarks():
    """The harness is not installed: it is imported from the repository."""
    sys.path.insert(0, str(REPOSITORY))
    from benchmarks import page, results, scenarios

    yield page, results, scenarios
    sys.path.remove(str(REPOSITORY))
    for name in [name for name in sys.modules if name.partition(".")[0] == "benchmarks"]:
        del sys.modules[name]


def run(number):
    """Return the figures of one made-up run."""
    figures = {"wall": 1.5 * number, "cpu": 0.5 * number, "memory": 5 * number << 20}
    return {**figures, "system": 0.1 * number, "server_cpu": 0.2}


def record(scenario, number):
    """Return a scenario as the runner describes it, with made-up runs."""
    counters = {"requests": 3, "connections": 2, "methods": {"GET": 3}, "proxy_cpu": 0.1}
    runs = {client: [run(index + number)] for index, client in enumerate(CLIENTS, 1)}
    runs["minio"] = [{"fails": "OSError: `no` <way> *out*"}]
    described = {**scenario._asdict(), "title": scenario.text, "link": scenario.link._asdict()}
    requests = dict.fromkeys(CLIENTS, counters) | {"minio": None}
    date = "2026-01-02T03:04:05+00:00"
    return {"date": date, "runs": runs, "requests": requests, **described}


@pytest.fixture(scope="module")
def document(benchmarks):
    """Results of every scenario there is."""
    _, _, scenarios = benchmarks
    records = [record(item, index) for index, item in enumerate(scenarios.scenarios().values())]
    return {
        "date": "2026-01-02T03:04:05+00:00",
        "quick": False,
        "machine": {
            "processor": "Test",
            "cores": 2,
            "memory": 8 << 30,
            "kernel": "6",
            "load before": 0.0,
        },
        "versions": {"Python": "3.11"},
        "hashes": {"md5": 5e8, "sha256": 1e9},
        "imports": {"libcloud_aurora": 0.2, "libcloud.storage.drivers.s3": 0.1},
        "network": [{"link": "slow", "round trip ms": 40.5}, {"link": "far", "round trip ms": 201}],
        "results": records,
    }


@pytest.fixture(scope="module")
def text(benchmarks, document):
    """The page of these results."""
    page, results, _ = benchmarks
    return page.page(results.Results(document))


def rendered(text):
    """Return a page as HTML; a warning is an error."""
    settings = {"halt_level": 2, "report_level": 2}
    page = f"Title\n=====\n\n{text}\n"
    return docutils.core.publish_string(page, writer="html", settings_overrides=settings).decode()


def test_page_of_every_scenario(benchmarks, text):
    """Results of all scenarios become a page without a warning, with a chart for each group."""
    page, _, _ = benchmarks

    html = rendered(text)

    assert html.count("<svg") >= len(page.GROUPS)
    assert "What failed" in html
    assert "Where we lose" in html


def test_charts_take_the_colour_of_the_page(text):
    """Text and axes of the charts have the colour of the text around them, light or dark."""
    assert "currentColor" in text
    assert "#010203" not in text


def test_charts_say_how_much_is_moved(text):
    """A chart's titles have the size of the object or the number of objects."""
    assert "upload file, 256 MiB" in text
    assert "list keys, 5,000" in text


def test_a_client_without_a_function_has_not_failed(benchmarks, document):
    """A workload that a client has no function for is told from one in which it fails."""
    _, results, _ = benchmarks
    runs = {"a": [{"fails": "has no look_up"}], "b": [{"fails": "OSError"}], "c": [run(1)]}
    found = results.Results({"results": [{"name": "one", "runs": runs}]})

    assert [found.excuse("one", client) for client in "abc"] == ["cannot", "fails", ""]


def test_reasons_are_readable(benchmarks):
    """Markup and addresses are left out of the reason for a failure."""
    page, _, _ = benchmarks

    assert page.escape("E: <Code>`No`</Code> in <X object at 0x7f> at 0x1") == "E: 'No' in"


def test_charts_are_the_same_every_time(benchmarks, document):
    """The same results make the same drawing, byte for byte."""
    page, results, _ = benchmarks
    found = results.Results(document)
    records = found.group("keys")

    first, second = (page.chart(found, "keys", records, "cpu", "s", 1) for _ in range(2))

    assert first == second


def test_newest_results_are_chosen(benchmarks, document, tmp_path):
    """Of several files the page shows the one that was measured last."""
    _, results, _ = benchmarks
    for name, year in (("b", 2025), ("a", 2026), ("c", 2024)):
        dated = {**document, "date": f"{year}-01-02T03:04:05+00:00"}
        (tmp_path / f"{name}.json").write_text(json.dumps(dated))

    assert results.newest(tmp_path).document["date"].startswith("2026")


def test_goals_are_judged_by_the_results(benchmarks, document):
    """A goal is reached or missed by the measured ratio, and a failed peer is not a peer."""
    _, results, _ = benchmarks
    from benchmarks.goals import Ratio

    found = results.Results(document)
    ratio = found.median("list", "aurora", "cpu") / found.median("list", "boto3", "cpu")

    assert Ratio("list", "cpu", ("boto3",), ratio).verdict(found).reached
    assert not Ratio("list", "cpu", ("boto3",), ratio * 0.99).verdict(found).reached
    assert Ratio("list", "cpu", ("minio",), 1.0).verdict(found) is None


def test_gap_adds_up_to_the_cpu_time(benchmarks, document):
    """Hashing, the rest of user time and system time are all of the difference in CPU time."""
    _, results, _ = benchmarks
    from benchmarks.gap import gap

    found = results.Results(document)
    ours, theirs = (found.median("list", client, "cpu") for client in ("aurora", "obstore"))

    one = gap(found, found.records["list"], "obstore")

    assert one.hashing + one.python + one.kernel == pytest.approx(ours - theirs)


def test_part_sizes_of_the_sink_are_on_the_page(benchmarks, document):
    """How many parts of which size arrived is said in words."""
    page, _, _ = benchmarks
    runs = {"aurora": [{**run(1), "sizes": [[5 << 20, 1000], [18 << 20, 7]]}]}

    assert page.part_sizes({"runs": runs}) == [
        "1,007 parts arrived: 1,000 of 5 MiB, 7 of 18 MiB.",
        "",
    ]


def test_every_missed_goal_needs_its_reason(benchmarks, document):
    """A missed goal without a reason is found, and so is a reason for a goal that is kept."""
    _, results, _ = benchmarks
    from benchmarks.goals import unexplained, verdicts

    found = results.Results(document)
    kept = next(one.name for one in verdicts(found) if one.reached)
    missed = [one.name for one in verdicts(found) if not one.reached]

    assert unexplained(found, {kept: "Because."}) == (missed, [kept])
    assert unexplained(found, dict.fromkeys(missed, "Because.")) == ([], [])


def test_committed_results_are_whole_and_explained(benchmarks):
    """What is committed is whole, not a quick run, and each missed goal has its reason."""
    _, results, scenarios = benchmarks
    from benchmarks.goals import unexplained
    from benchmarks.why import WHY

    for path in results.DIRECTORY.glob("*.json"):
        document = results.load(path).document
        assert not document["quick"], path
        assert {one["name"] for one in document["results"]} == set(scenarios.scenarios()), path
    if any(results.DIRECTORY.glob("*.json")):
        assert unexplained(results.newest(), WHY) == ([], [])
    else:
        assert not WHY


def test_a_record_replaces_the_earlier_one(benchmarks, document):
    """A scenario measured again takes the place of its earlier record, and the order stays."""
    _, _, scenarios = benchmarks
    from benchmarks.merging import merge

    names = list(scenarios.scenarios())
    merged = {"results": document["results"][1:]}
    for record in (document["results"][0], {**document["results"][1], "date": "later"}):
        merge(merged, record)

    assert [one["name"] for one in merged["results"]] == names
    assert merged["results"][1]["date"] == "later"


def test_sink_answers_with_the_etags_of_what_arrives(benchmarks, cls):
    """A stream to the sink has the size and ETag that the driver expects, and leaves nothing."""
    from benchmarks.servers import serving

    with serving("sink", "") as sink, cls("key", "secret", False, sink.host, sink.port) as driver:
        use_sink(sink, Container("bucket", None, driver))


def use_sink(sink, container):
    """Upload, look up, list and delete."""
    obj = container.upload_object_via_stream([bytes(6 << 20)] * 2, "key")

    facts = sink.facts()
    assert facts["bytes"] == obj.size == 12 << 20
    assert facts["sizes"] == [[2 << 20, 1], [5 << 20, 2]]
    assert container.get_object("key").hash == obj.hash
    assert container.list_objects()[0].size == obj.size
    assert obj.delete()
    assert container.list_objects() == []
