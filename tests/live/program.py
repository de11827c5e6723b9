"""Small programs that use the driver in a process of their own, to be measured or killed."""

import contextlib
import os
import subprocess
import sys

PREAMBLE = """\
import os, re, sys
import libcloud_aurora

def peak():
    with open("/proc/self/status") as status:
        return int(re.search(r"VmHWM:\\s+(\\d+)", status.read())[1]) * 1024

def forget_peak():
    with open("/proc/self/clear_refs", "w") as control:
        control.write("5")

def connect(**settings):
    return libcloud_aurora.AuroraObjectsStorageDriver(
        os.environ["ACCESS_KEY"], os.environ["SECRET_KEY"], secure=False, host="127.0.0.1",
        port=int(os.environ["PORT"]), retry_delay=0.01, **settings
    )

driver = connect()
container = driver.get_container(os.environ["BUCKET"])
"""


@contextlib.contextmanager
def running(code, *, user, port, bucket, arguments=(), within=()):
    """
    Run code that knows ``connect``, ``driver`` and ``container``; kill it at the end.

    :param within: the beginning of the command, such as ``unshare`` and its options.
    """
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "ACCESS_KEY": user.access_key,
        "SECRET_KEY": user.secret_key,
        "PORT": str(port),
        "BUCKET": bucket,
    }
    command = [*within, sys.executable, "-c", PREAMBLE + code, *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
    with process:
        try:
            yield process
        finally:
            process.kill()


def output(code, **settings):
    """Run code to its end and return what it printed; a failure is the test's failure."""
    with running(code, **settings) as process:
        printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0, printed
    return printed
