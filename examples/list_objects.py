"""List containers, or the objects of one; listings of any length take constant memory.

python examples/list_objects.py [CONTAINER [PREFIX]]
"""

import argparse

from connect import connect, run


def list_objects(driver, container_name, prefix=None):
    """Print a line for each object; return their number and their bytes."""
    container = driver.get_container(container_name)
    count = size = 0
    for obj in driver.iterate_container_objects(container, prefix=prefix):
        print(f"{obj.size:>15,}  {obj.extra['last_modified']}  {obj.name}")
        count += 1
        size += obj.size
    return count, size


def main():
    """List the containers, or the objects of one whose names begin with a prefix."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("container", nargs="?")
    parser.add_argument("prefix", nargs="?")
    given = parser.parse_args()
    with connect() as driver:
        if given.container is None:
            for container in driver.iterate_containers():
                print(container.name)
            return
        count, size = list_objects(driver, given.container, given.prefix)
    print(f"{size:>15,}  bytes in {count:,} objects")


if __name__ == "__main__":
    run(main)
