"""How long an import takes, in fresh interpreters, in turn.

Both packages have their bytecode, as pip writes it when it installs one: otherwise the time would
be that of compiling this package from a checkout, next to a libcloud that is compiled.
"""

import os
import statistics
import subprocess
import sys
import tempfile

MODULES = ("libcloud_aurora", "libcloud.storage.drivers.s3")
CODE = """\
import time
start = time.perf_counter()
import {module}
print(time.perf_counter() - start)
"""


def import_seconds(package, repeat=11):
    """Return the median seconds of each import."""
    times = {module: [] for module in MODULES}
    with tempfile.TemporaryDirectory(prefix="bench-") as bytecode:
        environment = {**os.environ, "PYTHONPATH": str(package), "PYTHONPYCACHEPREFIX": bytecode}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for module in MODULES:
            _import_once(module, environment)
        for _ in range(repeat):
            for module in MODULES:
                times[module].append(_import_once(module, environment))
    return {module: statistics.median(values) for module, values in times.items()}


def _import_once(module, environment):
    command = [sys.executable, "-c", CODE.format(module=module)]
    return float(subprocess.check_output(command, env=environment, text=True))
