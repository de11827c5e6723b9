"""Why goals are missed: name of a scenario to a sentence of reStructuredText for the page."""

WHY: dict[str, str] = {}
