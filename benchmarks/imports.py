"""How long an import takes, in fresh interpreters, in turn."""

import os
import statistics
import subprocess
import sys

MODULES = ("libcloud_aurora", "libcloud.storage.drivers.s3")
CODE = """\
import time
start = time.perf_counter()
import {module}
print(time.perf_counter() - start)
"""


def import_seconds(package, repeat=11):
    """Return the median seconds of each import."""
    environment = {**os.environ, "PYTHONPATH": str(package)}
    times = {module: [] for module in MODULES}
    for _ in range(repeat):
        for module in MODULES:
            command = [sys.executable, "-c", CODE.format(module=module)]
            output = subprocess.check_output(command, env=environment, text=True)
            times[module].append(float(output))
    return {module: statistics.median(values) for module, values in times.items()}
