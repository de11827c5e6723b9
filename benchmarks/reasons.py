"""``python -m benchmarks.reasons``: which missed goals need a reason, and which reasons do not."""

import sys

from benchmarks.goals import unexplained
from benchmarks.results import load, newest
from benchmarks.why import WHY


def main():
    """Print what has to change in ``why.py`` for a file of results, or for the newest."""
    results = load(sys.argv[1]) if len(sys.argv) > 1 else newest()
    without, stale = unexplained(results, WHY)
    for name in without:
        print(f'    "{name}": "",')
    for name in stale:
        print(f"    # no longer missed: {name}")
    sys.exit(bool(without or stale))


if __name__ == "__main__":
    main()
