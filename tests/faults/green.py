"""A program under gevent or eventlet that ends a transfer after a second, and says what it saw."""

import sys
import time

kind, way, port, authority = sys.argv[1:]
if kind == "gevent":
    from gevent import Timeout, monkey, sleep, spawn

    monkey.patch_all()
else:
    from eventlet import Timeout, monkey_patch, sleep, spawn

    monkey_patch()

from libcloud.storage.base import Container, Object  # noqa: E402

from libcloud_aurora import AuroraObjectsStorageDriver  # noqa: E402

SIZE = 64 * 1024**2
LATE_SECONDS = 10  # until the transfer has ended, or another greenlet gets its turn


def transfer(driver):
    """Move an object that the server never sends, nor takes."""
    container = Container("b", {}, driver)
    if way == "up":
        driver.upload_object_via_stream(iter([bytes(SIZE)]), container, "k")
    else:
        obj = Object("k", SIZE, None, {}, {}, container, driver)
        for _ in driver.download_object_as_stream(obj):
            pass


def tick(longest):
    """Note how long this greenlet has to wait for its turn."""
    while True:
        began = time.monotonic()
        sleep(0.05)
        longest.append(time.monotonic() - began)


longest: list[float] = []
spawn(tick, longest)
settings = {"ex_verify_ssl": authority} if authority else {"secure": False}
with AuroraObjectsStorageDriver("key", "secret", host="127.0.0.1", port=port, **settings) as driver:
    start = time.monotonic()
    try:
        with Timeout(1):
            transfer(driver)
    except BaseException as error:  # noqa: BLE001 - it is said
        longest.append(time.monotonic() - start)
        sleep(0.1)  # in which the other greenlet notes its last turn
        when = "late" if max(longest) > LATE_SECONDS else "in time"
        sys.stdout.write(f"{type(error).__name__} {when}\n")
