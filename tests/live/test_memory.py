"""Memory stays below the documented number, whatever the size of the object."""

import pytest
from live.oracle import MIB
from live.program import output

UP, DOWN = 64 * MIB, 32 * MIB
PROGRAMS = {
    "stream up": (
        UP,
        """
chunks = (b"x" * MIB for _ in range(SIZE // MIB))  # new memory each time
driver.upload_object_via_stream(chunks, container, "key")
""",
    ),
    "stream up, small chunks": (
        UP,
        """
body = bytes(4096)
driver.upload_object_via_stream((body for _ in range(SIZE // 4096)), container, "key")
""",
    ),
    "file up": (DOWN, 'driver.upload_object(sys.argv[1], container, "key")\n'),
    "file down": (DOWN, 'driver.download_object(container.get_object("large"), sys.argv[2])\n'),
    "stream down": (
        DOWN,
        """
for chunk in driver.download_object_as_stream(container.get_object("large")):
    pass
""",
    ),
    "stream down, with a pause": (
        DOWN,
        """
import time
for number, chunk in enumerate(driver.download_object_as_stream(container.get_object("large"))):
    time.sleep(2 * (number == 50))
""",
    ),
    "file written": (
        UP,
        """
with driver.ex_open(container, "wb", object_name="key") as file:
    for _ in range(SIZE // 4096):
        file.write(bytes(4096))
""",
    ),
    "file read on": (
        DOWN + 16 * MIB,
        """
with driver.ex_open(container.get_object("large")) as file:
    while file.read(100_000):
        pass
""",
    ),
    "file read here and there": (
        DOWN,
        """
with driver.ex_open(container.get_object("large")) as file:
    for start in [*range(0, SIZE, MIB), *range(0, SIZE, 9 * MIB)]:
        file.seek(start)
        file.read(300_000)
""",
    ),
    "range down": (
        DOWN,
        'driver.download_object_range(container.get_object("large"), sys.argv[2], 5)\n',
    ),
}


@pytest.fixture
def large_file(tmp_path):
    """A sparse file of 200 MiB."""
    path = tmp_path / "large"
    with open(path, "wb") as file:
        file.truncate(200 * MIB)
    return path


@pytest.mark.parametrize(("ceiling", "code"), PROGRAMS.values(), ids=PROGRAMS)
def test_peak(cluster, s3, bucket, ceiling, code, large_file, tmp_path):
    """Moving 200 MiB adds less to the process's peak memory than the documented ceiling."""
    if "get_object" in code:
        s3.upload_file(str(large_file), bucket.name, "large")
    prepare = f"""
MIB, SIZE = {MIB}, {200 * MIB}
item = driver.upload_object_via_stream(iter([b"warm"]), container, "warm")
b"".join(driver.download_object_as_stream(item))
forget_peak()
before = peak()
"""
    printed = output(
        prepare + code + "print(peak() - before)\n",
        user=cluster.owner,
        port=cluster.port,
        bucket=bucket.name,
        arguments=(large_file, tmp_path / "copy"),
    )
    assert 0 <= int(printed) < ceiling
