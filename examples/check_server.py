"""Ask a server what it can do: ``python check_server.py CONTAINER``. Nothing is changed."""

import argparse
import time
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from urllib.parse import quote

from connect import connect, run


def checks(driver, name):
    """Yield what was asked and what came of it, one after another."""
    began = time.monotonic()
    answer = driver.connection.request("/")
    seconds = time.monotonic() - began
    yield "server", answer.headers.get("server") or "does not say"
    yield "first response", f"{1000 * seconds:.0f} ms"
    difference = parsedate_to_datetime(answer.headers["date"]) - datetime.now(timezone.utc)
    yield "its clock, compared with this one", f"{difference.total_seconds():+.0f} s"
    page = driver.connection.request(f"/{name}", {"max-keys": "5000"}).object
    yield "most objects of one page", page.findtext("{*}MaxKeys") or "does not say"
    found = next(driver.iterate_container_objects(driver.get_container(name)), None)
    if found is None:
        yield "objects", "none, so nothing more can be asked"
        return
    obj = driver.get_object(name, found.name)
    yield "an object", f"{obj.name!r}, {obj.size} bytes"
    first = driver.download_object_range_as_stream(obj, 0, min(obj.size, 4096) or None)
    yield "its first bytes", f"{sum(map(len, first))} received"
    yield "metadata", f"{len(obj.meta_data)} fields"
    path, asked = f"/{name}/{quote(obj.name)}", {"x-amz-checksum-mode": "ENABLED"}
    head = driver.connection.request(path, {"partNumber": "1"}, headers=asked, method="HEAD")
    sums = [field for field in head.headers if field.startswith("x-amz-checksum-")]
    yield "its parts, if the server says", head.headers.get("x-amz-mp-parts-count", "does not say")
    yield "checksums of the object", ", ".join(sums) or "none"


def main():
    """Print a line for each check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("container", help="a container with at least one object")
    arguments = parser.parse_args()
    with connect(timeout=20) as driver:
        for asked, found in checks(driver, arguments.container):
            print(f"{asked:36}{found}", flush=True)


if __name__ == "__main__":
    run(main)
