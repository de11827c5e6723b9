"""The sections of docs/programs.rst and their blocks of code."""

import re
import textwrap
from pathlib import Path
from types import SimpleNamespace

from sybil import Sybil
from sybil.parsers.rest import PythonCodeBlockParser

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "programs.rst"
TITLE = re.compile(r"^(\S.*)\n-+\n", re.MULTILINE)
COMMAND = re.compile(r"^    \$ (.*)\n((?:    (?!\$ ).*\n)*)", re.MULTILINE)


def run_section(title):
    """Run the blocks of one section, from the first to the last; return the names they leave."""
    document = Sybil(parsers=[PythonCodeBlockParser()], path=str(ROOT)).parse(PAGE)
    start, end = extents(document.text)[title]
    blocks = [example for example in document.examples() if start <= example.start < end]
    assert blocks, f"no code in {title}"
    for block in blocks:
        block.evaluate()
    return SimpleNamespace(**document.namespace)


def commands(title):
    """Yield the commands of one section's consoles, each with the lines that it prints."""
    text = PAGE.read_text()
    start, end = extents(text)[title]
    for command, lines in COMMAND.findall(re.sub(r"\\\n    > *", "", text[start:end])):
        yield command, textwrap.dedent(lines)


def extents(text):
    """Return where each section of the page starts and ends, by its title."""
    titles = list(TITLE.finditer(text))
    ends = [title.start() for title in titles[1:]] + [len(text)]
    return {title[1]: (title.end(), end) for title, end in zip(titles, ends, strict=True)}
