"""Charts as SVG that goes into a page: text in the page's own colour, light or dark."""

import io

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.scenarios import OURS

#: Replaced by ``currentColor`` in the SVG.
INK = "#010203"
OUR_COLOUR, VARIANT_COLOUR, PEER_COLOUR = "#e8590c", "#d9a400", "#6f87a0"
#: How strong a bar is, by scheme.
STRENGTH = {"https": 1.0, "http": 0.5}
#: Title of each panel, and what one unit of it is.
FIELDS = {"wall": ("time, s", 1), "cpu": ("CPU time, s", 1), "memory": ("memory, MiB", 1024)}
#: Inches: the figure is as wide as the text of the page, its names are left of the bars.
WIDTH, NAMES, TITLE = 7.6, 2.0, 0.3
SETTINGS = {
    "ex_verify=False": "unverified",
    "ex_durable=False": "unsynced",
    "ex_max_concurrency=1": "one connection",
}
COLOURED = ("text.color", "axes.edgecolor", "ytick.color")
STYLE = {"svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9, "axes.titlesize": 9}


def label(client):
    """Return a client's name, with its settings in words."""
    name, *settings = client.replace(":", ",").split(",")
    return ", ".join([name, *(SETTINGS.get(one, one) for one in settings)])


def short(value):
    """Return a number with three digits, or all of them before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def bars(tables):
    """Return bars for one workload: a panel for each field, a bar for each client and scheme."""
    names = {client: None for table in tables for client in table.runs}
    names = sorted(names, key=lambda name: not name.startswith(OURS))
    salt = {"svg.hashsalt": tables[0].scenario.name}
    with mpl.rc_context(STYLE | dict.fromkeys(COLOURED, INK) | salt):
        height = TITLE + len(names) * (0.14 + 0.1 * len(tables))
        figure = Figure(figsize=(WIDTH, height))
        figure.subplots_adjust(NAMES / WIDTH, 0, 1, 1 - TITLE / height, wspace=0.1)
        panels = figure.subplots(1, len(FIELDS), sharey=True)
        panels[0].set_yticks(range(len(names)), map(label, names))
        panels[0].set_ylim(len(names) - 0.5, -0.5)
        for panel, field in zip(panels, FIELDS, strict=True):
            fill(panel, field, names, tables)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None}, transparent=True)
    text = stream.getvalue()
    return text[text.index("<svg") :].replace(INK, "currentColor")


def fill(panel, field, names, tables):
    """Draw the bars of one field, with their values."""
    title, unit = FIELDS[field]
    thick = 0.8 / len(tables)
    highest = 0
    for number, table in enumerate(tables):
        values = [(table.median(name, field) or 0) / unit for name in names]
        highest = max(highest, *values)
        drawn = panel.barh(
            [row + (number - (len(tables) - 1) / 2) * thick for row in range(len(names))],
            values,
            thick * 0.9,
            color=[colour(name, table) for name in names],
            alpha=STRENGTH[table.scheme],
        )
        pairs = zip(names, values, strict=True)
        texts = [mark(table, name) or short(value) for name, value in pairs]
        panel.bar_label(drawn, texts, padding=3, fontsize=7.5)
    panel.set_title(title, loc="left")
    panel.set_xlim(0, (highest or 1) * 1.3)
    panel.xaxis.set_visible(False)
    panel.tick_params(length=0)
    panel.spines[["top", "right", "bottom"]].set_visible(False)


def colour(client, table):
    """Return the colour of a bar."""
    if client == table.ours:
        return OUR_COLOUR
    return VARIANT_COLOUR if client.startswith(OURS) else PEER_COLOUR


def mark(table, client):
    """Return in a word why a client has no figure, or an empty text if it has one."""
    if client not in table.runs:
        return "not run"
    reason = table.failure(client) or ""
    return "cannot" if reason.startswith("has no ") else "fails" if reason else ""
