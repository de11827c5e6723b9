"""The Ceph that ``python -m live.ceph`` starts for a shell."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from example_runs import EXAMPLES

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("arguments", "count", "scheme"), [([], 3, "http"), (["--tls"], 4, "https")]
)
def test_shell_gets_what_the_examples_need(arguments, count, scheme):
    """A shell that runs the printed lines passes address, keys and certificate to the examples."""
    bare = {k: v for k, v in os.environ.items() if not k.startswith("AURORA_")}
    with subprocess.Popen(
        [sys.executable, "-m", "live.ceph", *arguments],
        cwd=TESTS,
        stdout=subprocess.PIPE,
        text=True,
    ) as ceph:
        lines = [ceph.stdout.readline() for _ in range(count)]
        program = f'"{sys.executable}" "{EXAMPLES / "list_objects.py"}"'
        script = f"{''.join(lines)}echo $AURORA_ENDPOINT\n{program}"
        found = subprocess.run(["sh", "-ec", script], env=bare, capture_output=True, text=True)
        ceph.send_signal(signal.SIGINT)
        assert ceph.wait(60) == 0

    assert found.stdout.startswith(f"{scheme}://")
    assert (found.returncode, found.stderr) == (0, "")
