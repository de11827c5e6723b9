"""The threads of transfers, known by their class: a thread of a user's may have any name."""

import threading
import time


def workers():
    """Return the threads of the driver's transfers that live, or are about to."""
    return [
        each
        for each in threading.enumerate()
        if type(each).__module__.startswith("libcloud_aurora.")
    ]


def wait_for_workers():
    """Wait until the threads of ended transfers are gone, and fail if one is not."""
    deadline = time.monotonic() + 10
    while (left := workers()) and time.monotonic() < deadline:
        for worker in left:
            if worker.is_alive():  # one that is about to start cannot be joined yet
                worker.join(1)
    assert workers() == []
