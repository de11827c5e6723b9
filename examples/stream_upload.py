"""Upload whatever comes through standard input; its size need not be known.

journalctl --output=export | gzip | python examples/stream_upload.py CONTAINER NAME
"""

import argparse
import sys

from connect import connect, run


def stream_upload(driver, stream, container_name, object_name):
    """Upload a stream while it is read, in parts of 5 MiB."""
    container = driver.get_container(container_name)
    return driver.upload_object_via_stream(stream, container, object_name)


def main():
    """Read the command line and upload."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("container")
    parser.add_argument("name")
    given = parser.parse_args()
    with connect() as driver:
        obj = stream_upload(driver, sys.stdin.buffer, given.container, given.name)
    print(f"{obj.name}: {obj.size:,} bytes, ETag {obj.hash}")


if __name__ == "__main__":
    run(main)
