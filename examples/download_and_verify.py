"""Download an object to a file that is either complete and verified or not there at all.

python examples/download_and_verify.py CONTAINER NAME FILE
"""

import argparse

from connect import connect, run
from libcloud.storage.types import ObjectHashMismatchError
from tqdm import tqdm


def download_and_verify(driver, container_name, object_name, path):
    """Download one object under a progress bar; the driver verifies it."""
    obj = driver.get_object(container_name, object_name)
    mebibytes = {"unit": "iB", "unit_scale": True, "unit_divisor": 1024}
    with tqdm(total=obj.size, desc=object_name, **mebibytes) as bar:
        driver.download_object(
            obj,
            path,
            overwrite_existing=True,
            ex_progress=lambda done, total: bar.update(done - bar.n),
        )
    return obj


def main():
    """Read the command line and download."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("container")
    parser.add_argument("name")
    parser.add_argument("file")
    given = parser.parse_args()
    with connect() as driver:
        try:
            obj = download_and_verify(driver, given.container, given.name, given.file)
        except ObjectHashMismatchError as error:
            raise SystemExit(f"{given.file} is untouched: {error}") from error
    print(f"{given.file}: {obj.size:,} bytes, verified against ETag {obj.hash}")


if __name__ == "__main__":
    run(main)
