"""The charts and tables of the newest benchmark results, made whenever the pages are built."""

from sphinx.util.docutils import SphinxDirective

from benchmarks.page import page
from benchmarks.results import DIRECTORY, Results

NONE = "No results are in the repository."


class BenchmarkResults(SphinxDirective):
    """Everything below the description of how it was measured."""

    def run(self):
        """Return the parsed sections."""
        paths = sorted(DIRECTORY.glob("*.jsonl"))
        for path in (DIRECTORY, *paths):
            self.env.note_dependency(str(path))
        text = page(Results(paths)) if paths else NONE
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def setup(app):
    """Register the directive."""
    app.add_directive("benchmark-results", BenchmarkResults)
    return {"parallel_read_safe": True}
