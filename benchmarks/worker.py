"""One run by one client, in a process of its own: a job as JSON in, its figures as JSON out."""

import contextlib
import importlib
import json
import resource
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from benchmarks.data import Source, small_body
from benchmarks.peers import Target
from benchmarks.peers.programs import ProgramPeer, status_kib

#: What the methods of a client are given, of a job; others need more.
ARGUMENTS = {
    "upload_file": ("path", "key"),
    "upload_stream": ("source", "key"),
    "download_file": ("key", "path"),
    "download_stream": ("key",),
    "put_directory": ("directory", "prefix", "threads"),
    "get_directory": ("prefix", "directory", "threads"),
    "list_keys": ("prefix",),
    "delete_keys": ("prefix", "keys"),
}


def prepare(client, job):
    """Make ready and return what is timed, which may return how much it did."""
    operation, keys, size = job["operation"], job["keys"], job["size"]
    if operation.endswith("_small") and isinstance(client, ProgramPeer):
        operation = operation.replace("small", "directory")
        if operation == "get_directory":
            Path(job["directory"]).mkdir()  # whose files are counted afterwards
    if operation in ARGUMENTS:
        job["source"] = Source(size, job["chunk"])
        return partial(getattr(client, operation), *(job[name] for name in ARGUMENTS[operation]))
    if operation == "look_up":
        look_up = client.look_up
        return lambda: sum(look_up(key) == size for key in keys)
    bodies = [small_body(key, size) for key in keys]
    if operation == "put_small":
        paths = [f"{job['directory']}/{key.rpartition('/')[2]}" for key in keys]
        return lambda: len(over_threads(job["threads"], client.put, keys, bodies, paths))
    found = client.references(keys)
    get = lambda reference, body: client.get(reference) == body  # noqa: E731
    return lambda: sum(over_threads(job["threads"], get, found, bodies))


def over_threads(threads, function, *items):
    """Return the results of a function, called one after another or by threads."""
    if threads == 1:
        return list(map(function, *items))
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, *items))


def perform(job):
    """Run a job and return its figures: seconds, and KiB by which the peak of memory grew.

    CPU and memory of a program are those of its process; its memory is its whole peak.
    """
    module = importlib.import_module(f"benchmarks.peers.{job['client']}")
    client = module.Client(Target(**job["target"]))
    program = isinstance(client, ProgramPeer)
    run = prepare(client, job)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts again from here
    memory, cpu, start = status_kib("VmRSS"), cpu_seconds(program), time.perf_counter()
    done = run()
    wall, cpu = time.perf_counter() - start, cpu_seconds(program) - cpu
    memory = client.peak if program else max(0, status_kib("VmHWM") - memory)
    if done is not None and done != job["expected"]:
        raise ValueError(f"{done} where {job['expected']} was expected")
    return {"wall": round(wall, 6), "cpu": round(cpu, 6), "memory": memory}


def cpu_seconds(program):
    """Return the CPU seconds of this process, or of its ended children."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN if program else resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main():
    """Print the figures, or why there are none."""
    warnings.simplefilter("ignore")
    try:
        answer = perform(json.load(sys.stdin))
    except AttributeError as error:
        module = type(error.obj).__module__
        missing = module.startswith("benchmarks.peers.")
        answer = {"fails": f"has no {error.name}" if missing else f"AttributeError: {error}"}
    except Exception as error:  # noqa: BLE001 (whatever a client raises is its result)
        text = " ".join(str(error).split())
        answer = {"fails": f"{type(error).__name__}: {text}"[:300]}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
