"""The table of the fault matrix: committed as JSON, shown in the docs, written by the tests."""

from __future__ import annotations

import json
import os
from pathlib import Path

from faults.matrix import EVERY, ONE_IN_EIGHT, OPERATIONS, Cell
from servers.plan import FAULTS

RECORD = Path(__file__).with_name("matrix.json")
PAGE = Path(__file__).parents[2] / "docs" / "fault-matrix.rst"
#: Set to any text to record what comes out instead of comparing it.
WRITE = "WRITE_FAULT_MATRIX"

INTRODUCTION = """\
.. Written by the tests: make it anew with ``{write}=1 pytest tests/faults/test_matrix.py``.

Fault matrix
============

Each row is a fault between the driver and the server, each column an operation. A proxy in front of
a real S3 server caused the fault, and a test recorded the outcome. After a ``stall`` no more bytes
arrive, in a ``trickle`` one arrives now and then, and a ``slow server`` pauses within its
responses. A ``restart of the server`` breaks all connections at once.

``right``
    The operation succeeded, and every byte and every name was compared.
``not touched``
    The fault cannot affect this operation, which sends nothing in the direction that is broken.
an error class
    The operation ended with this error, which names the cause. Files were as before, no object was
    incomplete, and no part, temporary file, thread or connection was left behind.
``altered bytes``
    The fault cannot be detected: radosgw sends no checksum for a range of an object. Over
    ``https``, which is the default, TLS detects it.

There are three limits that the table does not show:

* A stream is verified at its last byte: ``HashMismatchError`` comes at the end of the iteration,
  when the other bytes have already been handed out.
* In a listing, the flipped bit hit the markup. In a name, it could not be detected over plain
  ``http``.
* When the response to the request that begins an upload is lost, an upload without parts may be
  left behind, because its id never arrived. It holds no data, and
  ``ex_cleanup_all_multipart_uploads`` removes it.
"""

SHARES = {
    ONE_IN_EIGHT: "One request in eight is broken\n------------------------------",
    EVERY: "Every request is broken\n-----------------------",
}

#: Columns of one table: as many as a page is wide.
GROUPS = [list(OPERATIONS)[start : start + 5] for start in range(0, len(OPERATIONS), 5)]


def writing() -> bool:
    """Whether this run records the table."""
    return bool(os.environ.get(WRITE))


def load() -> dict[str, str]:
    """Return the committed outcomes, or none."""
    return json.loads(RECORD.read_text()) if RECORD.exists() else {}


def entry(cell: Cell) -> str:
    """Return the cell's name in the record."""
    return f"{cell.share} / {cell.fault.name} / {cell.operation}"


def save(outcomes: dict[str, str]) -> None:
    """Write the record, in the order of the tests, and the page."""
    cells = [
        Cell(share, fault, each) for share in SHARES for fault in FAULTS for each in OPERATIONS
    ]
    outcomes = {key: outcomes[key] for cell in cells if (key := entry(cell)) in outcomes}
    RECORD.write_text(json.dumps(outcomes, indent=1) + "\n")
    PAGE.write_text(render(outcomes))


def render(outcomes: dict[str, str]) -> str:
    """Return the page of the docs."""
    sections = [INTRODUCTION.format(write=WRITE)]
    for share, title in SHARES.items():
        sections += [title]
        sections += [list_table(share, group, outcomes) for group in GROUPS]
    return "\n".join(sections)


def list_table(share: str, operations: list[str], outcomes: dict[str, str]) -> str:
    """Return a table of one share: a row for each fault, a column for each operation."""
    rows = [["fault", *operations]]
    for fault in FAULTS:
        found = [outcomes.get(entry(Cell(share, fault, each)), "") for each in operations]
        rows.append([fault.name, *found])
    lines = [
        ".. list-table::",
        "   :class: narrow",
        "   :header-rows: 1",
        "   :stub-columns: 1",
        "",
    ]
    for row in rows:
        lines += [f"   {'* ' if n == 0 else '  '}- {text}" for n, text in enumerate(row)]
    return "\n".join(["", *lines, ""])
