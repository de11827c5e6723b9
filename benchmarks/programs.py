"""Clients that are programs: start one, feed it, read from it, and watch its memory."""

import os
import subprocess
import threading

from benchmarks.measure import status_bytes

CHUNK = 1024**2
POLL_SECONDS = 0.005


class Program:
    """A command line with its environment, and the peak memory of what was run.

    :param command: Path and first arguments.
    :param environment: Added to the environment.
    :param base: What precedes a key in the program's way to name an object.
    """

    def __init__(self, command, environment, base):
        self.peak = 0
        self._command = [str(word) for word in command]
        self._environment = {**os.environ, **environment}
        self._base = base

    def url(self, key):
        """Return how the program names an object."""
        return f"{self._base}{key}"

    def run(self, *arguments, feed=None, lines=False):
        """Run to the end; return the number of bytes, or of lines, of standard output."""
        process = subprocess.Popen(
            [*self._command, *map(str, arguments)],
            env=self._environment,
            stdin=subprocess.DEVNULL if feed is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        errors = []
        watchers = [
            threading.Thread(target=self._watch, args=(process.pid,)),
            threading.Thread(target=lambda: errors.append(process.stderr.read())),
        ]
        if feed is not None:
            watchers.append(threading.Thread(target=_feed, args=(process.stdin, feed)))
        for watcher in watchers:
            watcher.start()
        size, newlines = _drain(process.stdout)
        for watcher in watchers:
            watcher.join()
        process.stderr.close()
        if process.wait():
            text = errors[0].decode(errors="replace").strip()
            raise OSError(text.splitlines()[-1] if text else f"exit code {process.returncode}")
        return newlines if lines else size

    def _watch(self, pid):
        """Follow VmHWM, which only grows, until the process has given its memory back."""
        pause = threading.Event()
        while peak := status_bytes("VmHWM", pid):
            self.peak = max(self.peak, peak)
            pause.wait(POLL_SECONDS)


def _feed(pipe, source):
    try:
        with pipe:
            for chunk in source:
                pipe.write(chunk)
    except BrokenPipeError:
        return  # the program ended early; its exit code says so


def _drain(pipe):
    size = newlines = 0
    with pipe:
        while data := pipe.read1(CHUNK):
            size += len(data)
            newlines += data.count(b"\n")
    return size, newlines
