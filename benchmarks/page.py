"""The page of results as reStructuredText, made from a file of results and from nothing else."""

import re

from benchmarks import charts
from benchmarks.gap import gaps
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
    "sink": "A very long stream",
}
#: Charts of each group: field, label, and what one unit of the axis is.
CHARTS = {
    "loopback": (("wall", "seconds", 1), ("cpu", "client CPU seconds", 1), ("memory", "MiB", MIB)),
    "wan": (("wall", "seconds", 1),),
    "small": (("wall", "seconds", 1), ("cpu", "client CPU seconds", 1)),
    "keys": (("wall", "seconds", 1), ("cpu", "client CPU seconds", 1)),
    "growth": (("wall", "seconds", 1), ("cpu", "client CPU seconds", 1), ("memory", "MiB", MIB)),
    "sink": (),
}
PANELS = 4
STYLE = """\
<style>
table.benchmark { font-size: 75%; }
.benchmark-chart svg { max-width: 100%; height: auto; }
</style>"""
TITLES = (
    "Client",
    "Runs",
    "Wall s",
    "from, to",
    f"{TIMES} ours",
    "MiB/s",
    "CPU s",
    "Server CPU s",
    "Memory MiB",
    "Requests",
    "Connections",
)


def page(results):
    """Return the whole text below the page's title."""
    sections = [raw(STYLE), what(results), *network(results), kept(results), *remaining(results)]
    sections += [group(results, name) for name in GROUPS if results.group(name)]
    return "\n\n".join([*sections, failures(results)])


def what(results):
    """Return what was measured on, and with what."""
    document = results.document
    machine = document["machine"]
    dates = sorted({document["date"][:10], *(one["date"][:10] for one in document["results"])})
    lines = [
        f"Measured {' and '.join(dates)} on {machine['cores']} cores of "
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
    reason = WHY.get(verdict.name)
    return f" {reason}" if reason else ""


def remaining(results):
    """Return what the distance to native clients consists of, where one is faster."""
    found = gaps(results)
    if not found:
        return []
    text = (
        "Where nothing but this machine is the limit and a native client takes less time: seconds"
        " of this driver less those of the native client. *Hashing* is what SHA-256 takes for "
        "uploads and MD5 for downloads, measured alone; *Python* is all other user CPU time, that"
        " is the interpreter and copies; *kernel* is the client's system CPU time, that is mostly"
        " copies to sockets and files; *server* is the CPU time of radosgw and OSD. CPU times add"
        " up over cores, so they are not parts of the wall time; below zero the native client "
        "needs more."
    )
    titles = ("Workload", "Native", "Wall", "Hashing", "Python", "Kernel", "Server")
    rows = [(*one[:2], *(f"{seconds:+.2f}" for seconds in one[2:])) for one in found]
    return ["\n".join([*heading("The gap to native clients"), text, "", table(titles, rows)])]


def group(results, name):
    """Return the charts and the table of one group of scenarios."""
    records = results.group(name)
    lines = heading(GROUPS[name])
    for field, label, scale in CHARTS[name]:
        lines += chart(results, name, records, field, label, scale)
    for record in records:
        lines += ["", f"**{record['title']}**", "", table(*figures(results, record))]
        lines += ["", *part_sizes(record)]
    return "\n".join(lines)


def part_sizes(record):
    """Return the parts that arrived at a sink, if it was one."""
    sizes = record["runs"].get(OURS, [{}])[-1].get("sizes")
    if not sizes:
        return []
    parts = sum(count for _, count in sizes)
    text = ", ".join(f"{count:,} of {size / MIB:g} MiB" for size, count in sizes)
    return [f"{parts:,} parts arrived: {text}.", ""]


def chart(results, name, records, field, label, scale):
    """Return the charts of one field, a few panels in a row."""
    if name == "growth":
        return drawing(charts.growth(results, records, field, label=label, scale=scale), label)
    lines = []
    for start in range(0, len(records), PANELS):
        row = records[start : start + PANELS]
        lines += drawing(charts.bars(results, row, field, label=label, scale=scale), label)
    return lines


def drawing(svg, label):
    """Return a drawing as lines; other formats than HTML have the table below it."""
    start = f'<div class="benchmark-chart" role="img" aria-label="{label} of each client">'
    return ["", raw(f"{start}{svg}</div>"), ""]


def raw(html):
    """Return a block of HTML."""
    return "\n".join([".. raw:: html", "", *(f"   {line}" for line in html.splitlines())])


def figures(results, record):
    """Return titles and rows of one scenario; columns that nobody has are left out."""
    rows = [row(results, record, client) for client in record["runs"]]
    used = [column for column in range(len(TITLES)) if any(one[column] != "" for one in rows)]
    return [TITLES[column] for column in used], [[one[column] for column in used] for one in rows]


def row(results, record, client):
    """Return the row of one client: medians, and the ratio to this driver."""
    name, runs = record["name"], record["runs"][client]
    fields = ("wall", "cpu", "server_cpu", "memory")
    wall, cpu, server, memory = (results.median(name, client, field) for field in fields)
    if wall is None:
        return (client, "", "fails", *[""] * 8)
    ours = results.median(name, OURS, "wall")
    walls = [run["wall"] for run in runs]
    return (
        client,
        len(runs),
        f"{wall:.3f}",
        f"{min(walls):.2f}, {max(walls):.2f}" if len(runs) > 1 else "",
        f"{wall / ours:.2f}" if ours else "",
        f"{record['size'] / MIB / wall:.3g}" if record["count"] == 1 else "",
        f"{cpu:.3f}",
        f"{server:.2f}",
        f"{memory / MIB:.1f}",
        results.requests(name, client) or "",
        results.connections(name, client) or "",
    )


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
    lines = [".. list-table::", "   :class: benchmark", "   :header-rows: 1", ""]
    for row in (titles, *rows):
        lines += [f"   {'  -' if column else '* -'} {cell}" for column, cell in enumerate(row)]
    return "\n".join(lines)


def escape(text):
    """Return text, without markup and addresses, that may stand between double backquotes."""
    plain = re.sub(r"<[^<>]*>", " ", text.replace("`", "'"))
    return " ".join(re.sub(r" at 0x[0-9a-f]+", "", plain).split())[:160]
