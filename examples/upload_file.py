"""Upload a file; a large one goes in parts, several at a time.

python examples/upload_file.py FILE CONTAINER [NAME]
"""

import argparse
from pathlib import Path

from connect import connect, run
from tqdm import tqdm


def upload_file(driver, path, container_name, object_name):
    """Upload one file under a progress bar and return the new object."""
    container = driver.get_container(container_name)
    size = path.stat().st_size
    mebibytes = {"unit": "iB", "unit_scale": True, "unit_divisor": 1024}
    with tqdm(total=size, desc=object_name, **mebibytes) as bar:
        return driver.upload_object(
            path,
            container,
            object_name,
            extra={"meta_data": {"uploaded_by": "upload_file.py"}},
            ex_progress=lambda done, total: bar.update(done - bar.n),
        )


def main():
    """Read the command line and upload."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("container")
    parser.add_argument("name", nargs="?")
    given = parser.parse_args()
    if given.file.is_dir():
        parser.error(
            f"{given.file} is a directory: sync_directory.py, parallel_upload.py and "
            "backup_directory.py take one"
        )
    with connect() as driver:
        obj = upload_file(driver, given.file, given.container, given.name or given.file.name)
    print(f"{obj.name}: {obj.size:,} bytes, ETag {obj.hash}")


if __name__ == "__main__":
    run(main)
