"""The page of benchmark results is made from any results that the harness can write."""

import json
import sys
from pathlib import Path

import docutils.core
import pytest

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
    return {"wall": 1.5 * number, "cpu": 0.5 * number, "memory": 5 * number << 20}


def record(scenario, number):
    """Return a scenario as the runner describes it, with made-up runs."""
    counters = {"requests": 3, "connections": 2, "methods": {"GET": 3}, "proxy_cpu": 0.1}
    runs = {client: [run(index + number)] for index, client in enumerate(CLIENTS, 1)}
    runs["minio"] = [{"fails": "OSError: `no` <way> *out*"}]
    described = {**scenario._asdict(), "title": scenario.text, "link": scenario.link._asdict()}
    requests = dict.fromkeys(CLIENTS, counters) | {"minio": None}
    return {"runs": runs, "requests": requests, **described}


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
