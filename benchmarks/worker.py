"""One run of one operation by one client: a job as JSON in, its figures as JSON out."""

import importlib
import json
import sys
import warnings

from benchmarks import operations
from benchmarks.clients import Target
from benchmarks.measure import Meter
from benchmarks.programs import Program


def perform(job):
    """Run a job and return its figures."""
    client = importlib.import_module(f"benchmarks.clients.{job['client']}")
    handle = client.connect(Target(**job["target"]))
    run = getattr(operations, job["operation"])(client, handle, job)
    with Meter(handle if isinstance(handle, Program) else None) as meter:
        result = run()
    if result != job["expected"]:
        raise ValueError(f"{result} where {job['expected']} was expected")
    return meter.figures()


def main():
    """Print the figures, or why there are none."""
    warnings.simplefilter("ignore")
    job = json.load(sys.stdin)
    try:
        answer = perform(job)
    except AttributeError as error:
        missing = getattr(error.obj, "__name__", "").startswith("benchmarks.clients.")
        answer = {"fails": f"has no {error.name}" if missing else f"AttributeError: {error}"}
    except Exception as error:  # noqa: BLE001 (whatever a client raises is its result)
        text = " ".join(str(error).split())
        answer = {"fails": f"{type(error).__name__}: {text}"[:300]}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
