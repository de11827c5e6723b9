"""Pages of the documentation that tests write, from what they have recorded."""

import json
import os
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


class Page:
    """
    A page, and the record that is committed with the tests.

    :param variable: Environment variable that is set, to any text, to record what comes out.
    """

    def __init__(self, name, variable, record=None):
        self.path = DOCS / name
        self.variable = variable
        self.record = record

    def writing(self):
        """Tell whether this run records what it finds, instead of comparing it."""
        return bool(os.environ.get(self.variable))

    def load(self):
        """Return what is recorded, or nothing."""
        return json.loads(self.record.read_text()) if self.record.exists() else {}

    def save(self, found, text):
        """Write the record and the page."""
        self.record.write_text(json.dumps(found, indent=1) + "\n")
        self.path.write_text(text)


def list_table(rows, *, options=()):
    """Return rows as a table, whose first row and first column are headings."""
    lines = [".. list-table::", *options, "   :header-rows: 1", "   :stub-columns: 1", ""]
    for row in rows:
        lines += [f"   {'  ' if n else '* '}- {text}".rstrip() for n, text in enumerate(row)]
    return "\n".join(lines)


#: Cells in small type, as wide as the page.
NARROW = ("   :class: narrow",)
