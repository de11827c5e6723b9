"""The table of the fault matrix: committed as JSON, shown in the docs, written by the tests."""

from __future__ import annotations

from pathlib import Path

from faults.matrix import ALTERED, EVERY, NOT_TOUCHED, ONE_IN_EIGHT, OPERATIONS, RIGHT, Cell
from servers.plan import FAULTS
from written import BAD, GOOD, KNOWN, NONE, Page, list_table

PAGE = Page("fault-matrix.rst", "WRITE_FAULT_MATRIX", Path(__file__).with_name("matrix.json"))

INTRODUCTION = """\
.. Written by the tests: make it anew with ``{write}=1 pytest tests/faults/test_matrix.py``.

.. role:: good
.. role:: known
.. role:: bad
.. role:: none

Fault matrix
============

Each row is a fault between the driver and the server, each column an operation. A proxy in front of
a real S3 server caused the fault, and a test recorded the outcome. After a ``stall`` no more bytes
arrive, in a ``trickle`` one arrives now and then, and a ``slow server`` pauses within its
responses. A ``restart of the server`` breaks all connections at once; new ones are accepted.

:good:`right`
    The operation succeeded, and every byte and every name was compared.
:none:`not touched`
    The fault cannot affect this operation, which sends nothing in the direction that is broken.
:known:`an error class`
    The operation ended with this error, which names the cause. Files were as before, no object was
    incomplete, and no part, temporary file, thread or connection was left behind.
:bad:`altered bytes`
    The fault cannot be detected: radosgw sends no checksum for a range of an object. Over
    ``https``, which is the default, TLS detects it.

There are three limits that the table does not show:

* A stream is verified at its last byte, and so is an open object that is read in order:
  ``HashMismatchError`` comes at the end, when the other bytes have already been handed out.
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

#: Columns of one table, as many as fit: uploads, downloads, and the rest.
GROUPS = [list(OPERATIONS)[start:stop] for start, stop in ((0, 4), (4, 8), (8, None))]

#: Roles of the cells that have no error.
ROLES = {RIGHT: GOOD, NOT_TOUCHED: NONE, ALTERED: BAD, "": None}


def entry(cell: Cell) -> str:
    """Return the cell's name in the record."""
    return f"{cell.share} / {cell.fault.name} / {cell.operation}"


def save(outcomes: dict[str, str]) -> None:
    """Write the record, in the order of the tests, and the page."""
    cells = [
        Cell(share, fault, each) for share in SHARES for fault in FAULTS for each in OPERATIONS
    ]
    outcomes = {key: outcomes[key] for cell in cells if (key := entry(cell)) in outcomes}
    PAGE.save(outcomes, render(outcomes))


def render(outcomes: dict[str, str]) -> str:
    """Return the page of the docs."""
    sections = [INTRODUCTION.format(write=PAGE.variable)]
    for share, title in SHARES.items():
        sections += [title]
        sections += [table(share, group, outcomes) for group in GROUPS]
    return "\n".join(sections)


def table(share: str, operations: list[str], outcomes: dict[str, str]) -> str:
    """Return a table of one share: a row for each fault, a column for each operation."""
    rows = [
        [fault.name, *(outcomes.get(entry(Cell(share, fault, each)), "") for each in operations)]
        for fault in FAULTS
    ]
    text = list_table(["fault", *operations], rows, colour=lambda cell: ROLES.get(cell, KNOWN))
    return f"\n{text}\n"
