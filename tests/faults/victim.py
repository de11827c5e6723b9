"""A program that transfers objects in children of its own, to be killed at any moment.

Each line on standard input is a transfer as JSON. The process id of the child that does it is
printed at once, and ``end`` when it is gone, however it went.
"""

from __future__ import annotations

import json
import os
import sys

from libcloud.storage.base import Container, Object

from libcloud_aurora import AuroraObjectsStorageDriver


def transfer(order: dict) -> None:
    """Upload or download one file."""
    driver = AuroraObjectsStorageDriver(
        order["key"], order["secret"], secure=False, host="127.0.0.1", port=order["port"]
    )
    container = Container(order["bucket"], {}, driver)
    if order["direction"] == "up":
        driver.upload_object(order["path"], container, order["name"])
    else:
        obj = Object(order["name"], order["size"], None, {}, {}, container, driver)
        driver.download_object(obj, order["path"], overwrite_existing=True)
    driver.close()


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    """Run transfers until the input ends."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                transfer(json.loads(line))
            finally:
                os._exit(0)
        say(str(child))
        os.waitpid(child, 0)
        say("end")


if __name__ == "__main__":
    main()
