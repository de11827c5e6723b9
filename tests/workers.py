"""The threads of transfers, found by the name that logs and debuggers show."""

import threading

NAME = "libcloud-aurora"


def workers():
    """Return the threads of the driver's transfers that live."""
    return [each for each in threading.enumerate() if each.name.startswith(NAME)]


def wait_for_workers():
    """Wait until the threads of ended transfers are gone, and fail if one is not."""
    for worker in workers():
        worker.join(10)
    assert workers() == []
