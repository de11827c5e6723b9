"""The page of benchmark results, made from the newest file of results by every build."""

import sys
from pathlib import Path

from sphinx.util.docutils import SphinxDirective

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

from benchmarks import page, results  # noqa: E402 (the repository's root is not installed)


class BenchmarkResults(SphinxDirective):
    """Everything ``benchmarks.page`` says about the newest results."""

    def run(self):
        """Return the parsed page, and rebuild it when the results change."""
        for path in results.DIRECTORY.glob("*.json"):
            self.env.note_dependency(str(path))
        text = page.page(results.newest())
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def setup(app):
    """Register the directive."""
    app.add_directive("benchmark-results", BenchmarkResults)
    return {"parallel_read_safe": True}
