"""The page of results as reStructuredText, made from files of results and from nothing else."""

import re
from itertools import groupby

from benchmarks import charts
from benchmarks.reasons import reason

GROUPS = {
    "loopback": "Large objects on one machine",
    "lan": "Large objects over a network of 1 Gbit/s",
    "near": "Large objects over 20 ms and 10 MiB/s per connection",
    "far": "Large objects over 100 ms and 5 MiB/s per connection",
    "slow": "Large objects over a slow link that all connections share",
    "checksums": "Large objects on a server that stores checksums",
    "small": "Small objects",
    "keys": "Many keys",
    "growth": "How cost grows with size",
    "sink": "A very long stream",
}
STYLE = """\
<style>
table.benchmark { font-size: 75%; }
.benchmark-chart svg { max-width: 100%; height: auto; }
</style>"""
LEGEND = (
    "Bars are medians, and shorter is better. Strong bars are https, pale bars plain http. This "
    "driver is orange, and yellow with settings that are not compared with others."
)
OF_OURS = "\N{MULTIPLICATION SIGN} ours"
COLUMNS = ("Client", "Runs", "Time s", "from, to", OF_OURS, "MiB/s", "CPU s", OF_OURS)
COLUMNS += ("Memory MiB", "Connections")


def page(results):
    """Return the whole text below the page's title."""
    tables = list(results.tables.values())
    parts = [raw(STYLE), *losses(tables), heading("Charts"), LEGEND]
    for group, text in GROUPS.items():
        own = [table for table in tables if table.scenario.group == group]
        if own:
            parts += [heading(text, "~"), *drawings(own)]
    parts += [heading("Figures"), *measured(results)]
    for table in tables:
        parts += [f"**{table.title}, {table.scheme}**, {date(table.head)}", figures(table)]
    return "\n\n".join([*parts, *failures(tables), *details(results)])


def date(head):
    """Return the day of a file of results."""
    return head["date"][:10]


def measured(results):
    """Yield what was measured on, file by file."""
    for head in results.heads:
        groups = {one.scenario.group for one in results.tables.values() if one.head is head}
        names = "; ".join(text for name, text in GROUPS.items() if name in groups)
        text = f"* {date(head)} ({names}): version {head['versions']['libcloud-aurora']}, on "
        yield f"{text}{head['machine']}."


def drawings(tables):
    """Yield the charts of a group."""
    for title, own in groupby(tables, lambda one: one.title):
        yield f"**{title}**"
        yield raw(f'<div class="benchmark-chart">{charts.bars(list(own))}</div>')


def raw(html):
    """Return a block of HTML."""
    return "\n".join([".. raw:: html", "", *(f"   {line}" for line in html.splitlines())])


def losses(tables):
    """Yield where a peer is faster, by how much, and why."""
    found: dict[str, list[str]] = {}
    for table in tables:
        if loss := table.loss():
            (theirs, peer), ours = loss, table.median(table.ours, "wall")
            found.setdefault(reason(table.scenario.name), []).append(
                f"* {table.title}, {table.scheme}: {ours:.3g} s against {theirs:.3g} s of {peer}, "
                f"which is {ours / theirs:.2f} times as long."
            )
    if found:
        yield heading("Where a peer is faster")
    for why, where in found.items():
        yield "\n".join(where)
        yield why


def figures(table):
    """Return the table of one scenario; columns that nobody has are left out."""
    rows = [row(table, client) for client in table.runs]
    used = [column for column in range(len(COLUMNS)) if any(one[column] != "" for one in rows)]
    cut = [[one[column] for column in used] for one in rows]
    return list_table([COLUMNS[column] for column in used], cut)


def row(table, client):
    """Return the row of one client: medians, and the ratio to this driver."""
    wall, cpu, memory = (table.median(client, field) for field in ("wall", "cpu", "memory"))
    if wall is None:
        return (charts.label(client), "", charts.mark(table, client), *[""] * 7)
    runs = table.runs[client]
    ours, our_cpu = (table.median(table.ours, field) for field in ("wall", "cpu"))
    walls = [run["wall"] for run in runs]
    return (
        charts.label(client),
        len(runs),
        f"{wall:.3f}",
        f"{min(walls):.2f}, {max(walls):.2f}" if len(runs) > 1 else "",
        f"{wall / ours:.2f}" if ours else "",
        charts.short(runs[0]["size"] / 1024**2 / wall) if table.scenario.is_transfer else "",
        f"{cpu:.3f}",
        f"{cpu / our_cpu:.2f}" if our_cpu else "",
        f"{memory / 1024:.1f}",
        runs[-1].get("connections", ""),
    )


def failures(tables):
    """Yield every failure with its reason."""
    rows = [
        (charts.label(client), f"{table.title}, {table.scheme}", f"``{escape(reason)}``")
        for table in tables
        for client in table.runs
        if (reason := table.failure(client)) and not reason.startswith("has no ")
    ]
    if rows:
        yield heading("What failed")
        yield list_table(("Client", "Workload", "Reason"), rows)


def details(results):
    """Yield the versions."""
    yield heading("Versions")
    names = dict.fromkeys(name for head in results.heads for name in head["versions"])
    rows = [(name, *(head["versions"].get(name, "") for head in results.heads)) for name in names]
    yield list_table(("What", *map(date, results.heads)), rows)


def heading(text, line="-"):
    """Return a heading of the page's second level, or of the one below."""
    return f"{text}\n{line * len(text)}"


def list_table(titles, rows):
    """Return a table."""
    lines = [".. list-table::", "   :class: benchmark", "   :header-rows: 1", ""]
    for row in (titles, *rows):
        lines += [f"   {'  -' if column else '* -'} {cell}" for column, cell in enumerate(row)]
    return "\n".join(lines)


def escape(text):
    """Return text, without markup and addresses, that may stand between double backquotes."""
    plain = re.sub(r"<[^<>]*>", " ", text.replace("`", "'"))
    return " ".join(re.sub(r" at 0x[0-9a-f]+", "", plain).split())[:160]
