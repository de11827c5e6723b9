"""Run the scripts of examples/ as a user does, with the keys of some account."""

import os
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
