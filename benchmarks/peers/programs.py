"""Clients that are programs: start one, feed it, read from it, and watch its memory.

A program gets a whole directory of small objects at once: it would otherwise start once for each.
"""

import contextlib
import os
import subprocess
import threading

from benchmarks.peers import CHUNK, Peer


class ProgramPeer(Peer):
    """A command line with its environment, and the peak memory of what was run.

    :param command: Path and first arguments.
    :param environment: Added to the environment.
    :param base: What precedes a key in the program's way to name an object.
    """

    #: The program's words for copying a file, and for uploading what it reads.
    copy, pipe = "cp", "pipe"
    peak = 0

    def __init__(self, target, command, environment, base):
        super().__init__(target)
        self._command, self._base = command, base
        self._environment = {**os.environ, **environment}

    def url(self, key):
        """Return how the program names an object."""
        return f"{self._base}{key}"

    def upload_file(self, path, key):
        self.run(self.copy, path, self.url(key))

    def upload_stream(self, source, key):
        self.run(self.pipe, self.url(key), feed=source)

    def download_file(self, key, path):
        self.run(self.copy, self.url(key), path)

    def download_stream(self, key):
        return self.run("cat", self.url(key))

    def run(self, *arguments, feed=None, count=len):
        """Run to the end; return the sum of a count over what standard output has."""
        process = subprocess.Popen(
            [*self._command, *map(str, arguments)],
            env=self._environment,
            stdin=subprocess.DEVNULL if feed is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        errors = []
        tasks = [
            threading.Thread(target=self._watch, args=[process.pid]),
            threading.Thread(target=lambda: errors.append(process.stderr.read())),
        ]
        if feed is not None:
            tasks.append(threading.Thread(target=self._feed, args=[process.stdin, feed]))
        for task in tasks:
            task.start()
        with process.stdout as output:
            total = sum(map(count, iter(lambda: output.read1(CHUNK), b"")))
        for task in tasks:
            task.join()
        if process.wait():
            text = errors[0].decode(errors="replace").strip() or f"exit code {process.returncode}"
            raise OSError(text.splitlines()[-1])
        return total

    def lines(self, *arguments):
        """Run to the end; return how many lines standard output has."""
        return self.run(*arguments, count=lambda data: data.count(b"\n"))

    def _watch(self, pid):
        """Follow VmHWM, which only grows, until the process has given its memory back."""
        pause = threading.Event()
        while peak := status_kib("VmHWM", pid):
            self.peak = max(self.peak, peak)
            pause.wait(0.005)

    def _feed(self, pipe, source):
        with contextlib.suppress(BrokenPipeError), pipe:  # its exit code says why it ended
            for chunk in source:
                pipe.write(chunk)


def status_kib(field, pid="self"):
    """Return a memory figure of a process in KiB; 0 once the process has ended."""
    try:
        with open(f"/proc/{pid}/status") as file:
            return next((int(line.split()[1]) for line in file if line.startswith(f"{field}:")), 0)
    except (FileNotFoundError, ProcessLookupError):
        return 0
