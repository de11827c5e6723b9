"""Campaigns: what tests show once or twice, many times over and at random moments.

``make campaigns`` runs all of them, which takes more than an hour and, for the power cuts, root;
``make campaigns ARGS="kills interrupts=300"`` some, with a number of one's own. Each ends with its
counts, or with the first thing that went wrong.
"""

import datetime
import platform
import subprocess
import sys
import time

from campaigns import durability, interrupts, kills, power_cuts, restarts

#: What is run, and how often: cuts, kills of each kind, interrupts, minutes, files.
CAMPAIGNS = {
    "power-cuts": (power_cuts.run, 50),
    "kills": (kills.run, 50),
    "interrupts": (interrupts.run, 1500),
    "restarts": (restarts.run, 30),
    "durability": (durability.run, 2000),
}


def main(arguments):
    """Run the campaigns that are named, or all."""
    ceph = subprocess.check_output(["radosgw", "--version"], text=True, cwd="/").split()[2]
    print(f"{datetime.date.today()}, Python {platform.python_version()}, Ceph {ceph}")
    for argument in arguments or CAMPAIGNS:
        name, _, number = argument.partition("=")
        run, usual = CAMPAIGNS[name]
        began = time.monotonic()
        counts = run(int(number or usual))
        print(f"{name}, {time.monotonic() - began:.0f} s:", flush=True)
        for outcome, count in sorted(counts.items()):
            print(f"  {outcome}: {count}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
