"""Every fault in every operation: right in the end, or an error that says why; nothing left."""

from __future__ import annotations

import pytest
from faults import matrix, table
from faults.matrix import EVERY, ONE_IN_EIGHT, Cell


@pytest.fixture(scope="module")
def recorded():
    """The committed outcomes; a run that writes the table replaces them."""
    outcomes = table.PAGE.load()
    yield outcomes
    if table.PAGE.writing():
        table.save(outcomes)


def compare(recorded: dict[str, str], cell: Cell, outcome: str) -> None:
    """Record the outcome, or compare it with the committed one."""
    if table.PAGE.writing():
        recorded[table.entry(cell)] = outcome
    assert recorded.get(table.entry(cell)) == outcome


@pytest.mark.parametrize("cell", matrix.cells(ONE_IN_EIGHT), ids=matrix.name)
def test_one_request_in_eight(cell, scene, recorded):
    """With one request in eight broken every operation ends right, as the docs' table says."""
    outcome = cell.run(scene)
    assert outcome in matrix.allowed(cell)
    compare(recorded, cell, outcome)


@pytest.mark.parametrize("cell", matrix.cells(EVERY), ids=matrix.name)
def test_every_request(cell, scene, recorded):
    """With every request broken an operation ends soon, in an error that names the cause."""
    outcome = cell.run(scene)
    assert outcome in matrix.allowed(cell) or outcome.split()[0].endswith("Error")
    compare(recorded, cell, outcome)


def test_the_page_is_current(recorded):
    """The page of the docs shows what these tests find."""
    if not table.PAGE.writing():
        assert table.PAGE.path.read_text() == table.render(recorded)
