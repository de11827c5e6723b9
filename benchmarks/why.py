"""Why goals are missed: name of a goal to sentences of reStructuredText for the page.

``python -m benchmarks.reasons`` prints the missed goals that have none here, ready to be filled in,
and the reasons here that no missed goal needs. A test compares the same with the newest results.
"""

WHY: dict[str, str] = {}
