"""The page of results as reStructuredText, made from a file of results and from nothing else."""

from benchmarks import charts
from benchmarks.goals import TIMES, verdicts
from benchmarks.results import OURS
from benchmarks.why import WHY

MIB = 1024**2
GROUPS = {
    "loopback": "Large objects on loopback",
    "wan": "Large objects over a network",
    "small": "Small objects",
    "keys": "Many keys",
    "growth": "How cost grows with size",
}
#: Charts of each group: field, label, and what one unit of the axis is.
CHARTS = {
    "loopback": (("wall", "seconds", 1), ("cpu", "client CPU seconds", 1), ("memory", "MiB", MIB)),
    "wan": (("wall", "seconds", 1),),
    "small": (("wall", "seconds", 1), ("cpu", "client CPU seconds", 1)),
    "keys": (("wall", "seconds", 1), ("cpu", "client CPU seconds", 1)),
    "growth": (("wall", "seconds", 1), ("cpu", "client CPU seconds", 1), ("memory", "MiB", MIB)),
}
PANELS = 4


def page(results):
    """Return the whole text below the page's title."""
    sections = [what(results), *network(results), kept(results)]
    sections += [group(results, name) for name in GROUPS if results.group(name)]
    return "\n\n".join([*sections, failures(results)])


def what(results):
    """Return what was measured on, and with what."""
    document = results.document
    machine = document["machine"]
    lines = [
        f"Measured {document['date'][:10]} on {machine['cores']} cores of "
        f"{machine['processor']} with {machine['memory'] / 1024**3:.0f} GiB of memory, Linux "
        f"{machine['kernel']}; the load was {machine['load before']:.1f} before it began.",
    ]
    if document["quick"]:
        lines += ["", ".. warning:: These are the results of a quick run: once, with less work."]
    versions = [(name, version) for name, version in document["versions"].items()]
    return "\n".join([*lines, "", table(("What", "Version"), versions)])


def network(results):
    """Return what the simulated network was measured to be, if it was."""
    checks = results.document.get("network")
    if not checks:
        return []
    titles = checks[0]
    rows = [(title, *(check[title] for check in checks)) for title in titles if title != "link"]
    heads = ("", *(check["link"] for check in checks))
    text = "The network as a program of a few lines finds it; 12x means 12 connections at once."
    return ["\n".join([*heading("The network"), text, "", table(heads, rows)])]


def kept(results):
    """Return the table of goals, and a reason for each that is missed."""
    found = verdicts(results)
    rows = []
    for before, one in zip([None, *found], found, strict=False):
        workload = "" if before and before.title == one.title else one.title
        rows.append((workload, one.goal, f"{one.measured} {one.against}", verdict_text(one)))
    reached = sum(one.reached for one in found)
    lines = [*heading("Goals"), f"{reached} of {len(found)} goals are reached.", ""]
    lines += [table(("Workload", "Goal", "Measured", "Reached"), rows)]
    missed = [one for one in found if not one.reached]
    if missed:
        lines += ["", *heading("Where we lose")]
        lines += [
            f"* {one.title}: {one.measured}, the goal is {one.goal}.{why(one)}" for one in missed
        ]
    return "\n".join(lines)


def verdict_text(verdict):
    """Return whether a goal is reached, visibly."""
    return "yes" if verdict.reached else "**no**"


def why(verdict):
    """Return the known reason for a missed goal."""
    reason = WHY.get(verdict.scenario)
    return f" {reason}" if reason else ""


def group(results, name):
    """Return the charts and the table of one group of scenarios."""
    records = results.group(name)
    lines = heading(GROUPS[name])
    for field, label, scale in CHARTS[name]:
        lines += chart(results, name, records, field, label, scale)
    for record in records:
        lines += ["", f"**{record['title']}**", "", table(*figures(results, record))]
    return "\n".join(lines)


def chart(results, name, records, field, label, scale):
    """Return the charts of one field, a few panels in a row."""
    if name == "growth":
        return raw(charts.growth(results, records, field, label=label, scale=scale), label)
    lines = []
    for start in range(0, len(records), PANELS):
        row = records[start : start + PANELS]
        lines += raw(charts.bars(results, row, field, label=label, scale=scale), label)
    return lines


def raw(svg, label):
    """Return a drawing as a block of HTML; other formats have the table below it."""
    start = f'<div class="benchmark-chart" role="img" aria-label="{label} of each client">'
    body = [f"   {line}" for line in f"{start}{svg}</div>".splitlines()]
    return ["", ".. raw:: html", "", *body, ""]


def figures(results, record):
    """Return titles and rows of one scenario: medians, and ratios to this driver."""
    titles = ("Client", "Wall s", f"{TIMES} ours", "CPU s", "Memory MiB", "Requests", "Connections")
    rows = []
    ours = results.median(record["name"], OURS, "wall")
    for client in record["runs"]:
        name = record["name"]
        wall, cpu, memory = (results.median(name, client, f) for f in ("wall", "cpu", "memory"))
        if wall is None:
            rows.append((client, "fails", *[""] * 5))
            continue
        ratio = f"{wall / ours:.2f}" if ours else ""
        counts = (results.requests(name, client) or "", results.connections(name, client) or "")
        rows.append((client, f"{wall:.3f}", ratio, f"{cpu:.3f}", f"{memory / MIB:.1f}", *counts))
    return titles, rows


def failures(results):
    """Return every failure with its reason."""
    rows = []
    for name, record in results.records.items():
        for client in record["runs"]:
            reason = results.failure(name, client)
            if reason:
                rows.append((client, record["title"], f"``{escape(reason)}``"))
    if not rows:
        return ""
    lines = [*heading("What failed"), table(("Client", "Workload", "Reason"), rows)]
    return "\n".join(lines)


def heading(text):
    """Return a heading of the page's second level."""
    return [text, "-" * len(text), ""]


def table(titles, rows):
    """Return a table."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in (titles, *rows):
        lines += [f"   {'  -' if column else '* -'} {cell}" for column, cell in enumerate(row)]
    return "\n".join(lines)


def escape(text):
    """Return text that may stand between double backquotes."""
    return " ".join(text.replace("`", "'").split())[:160]
