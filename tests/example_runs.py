"""Run the scripts of examples/ as a user does, with the keys of some account."""

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

EXAMPLES = Path(__file__).parents[1] / "examples"


class Account(NamedTuple):
    """Where an S3 server is, and the keys to it."""

    endpoint: str
    access_key: str
    secret_key: str

    def environment(self):
        """Return an environment in which the examples find this account."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("AURORA_")}
        return environment | {
            "AURORA_ENDPOINT": self.endpoint,
            "AURORA_ACCESS_KEY": self.access_key,
            "AURORA_SECRET_KEY": self.secret_key,
            "PYTHONIOENCODING": "utf-8",
            "PYTHONWARNINGS": "error",
        }


def run(name, *arguments, environment, stdin=b"", expect=0):
    """Run one example, check its exit code, and return what it printed."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *map(str, arguments)],
        env=environment,
        input=stdin,
        capture_output=True,
        timeout=120,
        check=False,
    )
    output, errors = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == expect, f"{name} ended with {done.returncode}:\n{output}\n{errors}"
    return output if expect == 0 else output + errors


@contextlib.contextmanager
def running(name, *arguments, environment, stdin=None):
    """Start one example in a process group of its own, and yield the process."""
    with subprocess.Popen(
        [sys.executable, str(EXAMPLES / name), *map(str, arguments)],
        env=environment,
        stdin=stdin,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def press_ctrl_c(process):
    """Interrupt a program and its children as a terminal does; return the lines it says."""
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)  # to the end: the last child has closed it, too
    assert process.returncode == 1
    return errors.decode().splitlines()


def tree(directory):
    """Return everything in a directory: relative path to bytes, None for a directory."""
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() if path.is_file() else None
        for path in Path(directory).rglob("*")
    }


def make_tree(directory):
    """Fill a directory with files whose archive is larger than one part, and return it."""
    (directory / "empty directory").mkdir(parents=True)
    (directory / "empty file").touch()
    (directory / "zażółć 📷.bin").write_bytes(os.urandom(7 * 1024**2))
    (directory / "a" / "b").mkdir(parents=True)
    (directory / "a" / "b" / "text").write_text("line\n" * 100_000)
    return directory


def make_many(directory, count):
    """Fill a directory with many small files in a few directories, and return it."""
    for number in range(count):
        path = directory / f"{number % 7} żółw" / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(str(number).encode() * (number % 50))
    return directory


def checksums(directory):
    """Return what the checksums example prints of a directory's files."""
    files = {str(path.relative_to(directory.parent)): path for path in directory.rglob("*.txt")}
    return [
        f"{hashlib.sha256(files[name].read_bytes()).hexdigest()}  {name}" for name in sorted(files)
    ]
