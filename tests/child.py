"""A forked child of a test."""

import os


def in_a_child(call):
    """Return what a call says in a forked child."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, str(call()).encode())
        except Exception as error:  # noqa: BLE001 - the parent is told
            os.write(writing, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(child, 0)
    return said
