"""Charts as SVG that goes into a page: text in the page's own colour, light or dark."""

import io

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.results import OURS

#: Replaced by ``currentColor`` in the SVG.
INK = "#010203"
OUR_COLOUR = "#e8590c"
PEER_COLOUR = "#8296ab"
PALETTE = ("#e8590c", "#4dabf7", "#82c91e", "#be4bdb", "#fab005", "#15aabf", "#8296ab", "#f06595")
STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
MIB = 1024**2


def bars(results, records, field, *, label, scale=1.0):
    """Return bars: a panel for each scenario, a bar for each client."""
    with mpl.rc_context({**STYLE, "svg.hashsalt": records[0]["name"] + field}):
        names = list(records[0]["runs"])
        figure = Figure(figsize=(9, 0.6 + 0.27 * len(names)), layout="constrained")
        axes = figure.subplots(1, len(records), sharey=True, squeeze=False)[0]
        axes[0].invert_yaxis()
        for axis, record in zip(axes, records, strict=True):
            _panel(axis, results, record, names, field, scale)
            axis.set_xlabel(label)
        return _svg(figure)


def _panel(axis, results, record, names, field, scale):
    values = [results.median(record["name"], name, field) for name in names]
    colours = [OUR_COLOUR if name == OURS else PEER_COLOUR for name in names]
    widths = [(value or 0) / scale for value in values]
    axis.barh(names, widths, color=colours)
    axis.set_title(_short(record), fontsize=9)
    axis.set_xlim(0, (max(widths) or 1) * 1.28)
    for position, width in enumerate(widths):
        text = results.excuse(record["name"], names[position]) or f"{width:.3g}"
        axis.text(width, position, f" {text}", va="center", fontsize=8)


def _short(record):
    large = record["count"] == 1
    amount = f"{record['size'] / MIB:g} MiB" if large else f"{record['count']:,}"
    words = [f"{record['operation'].replace('_', ' ')}, {amount}"]
    if record["link"]["rate"]:
        words.append(f"{record['link']['delay'] * 1000:g} ms")
    if record["frontend"]:
        words.append(record["frontend"])
    if record["threads"] > 1:
        words.append(f"{record['threads']} threads")
    if record["chunk"] < MIB:
        words.append(f"{record['chunk']} bytes")
    return ", ".join(words)


def growth(results, records, field, *, label, scale=1.0):
    """Return lines: a panel for each direction, a line for each client, over the size."""
    with mpl.rc_context({**STYLE, "svg.hashsalt": "growth" + field}):
        operations = list(dict.fromkeys(record["operation"] for record in records))
        figure = Figure(figsize=(9, 3.4), layout="constrained")
        axes = figure.subplots(1, len(operations), squeeze=False)[0]
        for axis, operation in zip(axes, operations, strict=True):
            rows = [record for record in records if record["operation"] == operation]
            _lines(axis, results, rows, field, scale)
            axis.set_title(operation.replace("_", " "), fontsize=9)
            axis.set_xlabel("MiB")
            axis.set_ylabel(label)
        axes[-1].legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
        return _svg(figure)


def _lines(axis, results, rows, field, scale):
    names = list(rows[0]["runs"])
    for number, name in enumerate(names):
        points = [(row["size"] / MIB, results.median(row["name"], name, field)) for row in rows]
        points = [(size, value / scale) for size, value in points if value]
        if points:
            colour = PALETTE[number % len(PALETTE)]
            line = "-" if number < len(PALETTE) else "--"
            width = 2.4 if name == OURS else 1.2
            axis.plot(
                *zip(*points, strict=True),
                line,
                color=colour,
                lw=width,
                marker="o",
                ms=3,
                label=name,
            )
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    sizes = [row["size"] / MIB for row in rows]
    axis.set_xticks(sizes, [f"{size:g}" for size in sizes])


def _svg(figure):
    figure.patch.set_alpha(0)
    for axis in figure.axes:
        axis.patch.set_alpha(0)
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None}, transparent=True)
    text = stream.getvalue()
    return text[text.index("<svg") :].replace(INK, "currentColor")
