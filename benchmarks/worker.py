"""One run by one client, in a process of its own: a job as JSON in, its figures as JSON out."""

import contextlib
import importlib
import json
import resource
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.data import Source, small_body
from benchmarks.peers import Target
from benchmarks.peers.programs import ProgramPeer, status_kib


class Work:
    """Each method makes ready and returns what is timed, which may return how much it did."""

    def __init__(self, client, job):
        self._client, self._job = client, job

    def upload_file(self):
        return lambda: self._client.upload_file(self._job["path"], self._job["key"])

    def upload_stream(self):
        source = Source(self._job["size"], self._job["chunk"])
        return lambda: self._client.upload_stream(source, self._job["key"])

    def download_file(self):
        return lambda: self._client.download_file(self._job["key"], self._job["path"])

    def download_stream(self):
        return lambda: self._client.download_stream(self._job["key"])

    def put_small(self):
        """One after another, or over threads that share the client."""
        prefix, directory, threads = self._each("prefix", "directory", "threads")
        if isinstance(self._client, ProgramPeer):
            return lambda: self._client.put_directory(directory, prefix, threads)
        paths = [f"{directory}/{key.rpartition('/')[2]}" for key in self._job["keys"]]
        bodies = [small_body(key, self._job["size"]) for key in self._job["keys"]]
        return lambda: len(self._map(self._client.put, self._job["keys"], bodies, paths))

    def get_small(self):
        """Each object is compared."""
        prefix, directory, threads = self._each("prefix", "directory", "threads")
        if isinstance(self._client, ProgramPeer):
            Path(directory).mkdir()
            self._job["expected"] = None  # the files are counted afterwards
            return lambda: self._client.get_directory(prefix, directory, threads)
        bodies = [small_body(key, self._job["size"]) for key in self._job["keys"]]
        found = self._client.references(self._job["keys"])
        return lambda: sum(
            self._map(lambda one, body: self._client.get(one) == body, found, bodies)
        )

    def look_up(self):
        look_up, keys = self._client.look_up, self._job["keys"]
        return lambda: sum(look_up(key) == self._job["size"] for key in keys)

    def list_keys(self):
        return lambda: self._client.list_keys(self._job["prefix"])

    def delete_keys(self):
        return lambda: self._client.delete_keys(self._job["prefix"], self._job["keys"])

    def _each(self, *names):
        return [self._job[name] for name in names]

    def _map(self, function, *items):
        if self._job["threads"] == 1:
            return list(map(function, *items))
        with ThreadPoolExecutor(self._job["threads"]) as pool:
            return list(pool.map(function, *items))


def perform(job):
    """Run a job and return its figures: seconds, and KiB by which the peak of memory grew.

    CPU and memory of a program are those of its process; its memory is its whole peak.
    """
    module = importlib.import_module(f"benchmarks.peers.{job['client']}")
    client = module.Client(Target(**job["target"]))
    program = isinstance(client, ProgramPeer)
    run = getattr(Work(client, job), job["operation"])()
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
