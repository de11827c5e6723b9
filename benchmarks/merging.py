"""Puts records into a file of results, one scenario at a time."""

import json

from benchmarks.scenarios import scenarios


def merge(document, record):
    """Put a record in its place, instead of an earlier one of the same scenario."""
    records = {one["name"]: one for one in document["results"]}
    records[record["name"]] = record
    order = [name for name in scenarios() if name in records]
    document["results"] = [records[name] for name in order]


def write(path, document):
    """Write a document so that a kill leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps(document, indent=1) + "\n")
    partial.replace(path)
