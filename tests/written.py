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


#: Roles that colour a cell, see docs/_static/pages.css; a page declares those that it uses.
GOOD, LATER, KNOWN, BAD, NONE = "good", "later", "known", "bad", "none"


def list_table(titles, rows, *, colour):
    """
    Return a table, the first column of which has headings.

    :param colour: Given the text of a cell, returns its role, or ``None``.
    """
    options = [f"   :{option}" for option in ("class: narrow", "header-rows: 1", "stub-columns: 1")]
    lines = [".. list-table::", *options, ""]
    coloured = [
        [row[0], *(f":{role}:`{text}`" if (role := colour(text)) else text for text in row[1:])]
        for row in rows
    ]
    for row in (titles, *coloured):
        lines += [f"   {'  ' if n else '* '}- {text}".rstrip() for n, text in enumerate(row)]
    return "\n".join(lines)
