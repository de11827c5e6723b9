"""``python -m benchmarks.slow``: only the links that all connections share; takes 20 minutes.

It fails if a transfer takes more than 1.1 times as long by default as over one connection.
"""

import sys

from benchmarks.__main__ import main
from benchmarks.scenarios import ONE_CONNECTION, OURS

MOST = 1.1

sys.argv[1:1] = ["slow-*"]
slower = False
for table in main().tables.values():
    default, one = (table.median(client, "wall") for client in (OURS, ONE_CONNECTION))
    if not default or not one or default > MOST * one:
        print(f"more than {MOST} times as long as over one connection: {table.title}")
        slower = True
sys.exit(slower)
