"""Drivers can be closed, forgotten, pickled and forked."""

import gc
import pickle

import pytest
from live.oracle import MIB, noise, stored_body
from live.program import output
from workers import wait_for_workers, workers

import libcloud_aurora

BODY = noise(12 * MIB)


@pytest.fixture
def run(cluster, bucket):
    """Run a program with a driver of its own and return what it prints."""

    def run_program(code):
        return output(code, user=cluster.owner, port=cluster.port, bucket=bucket.name)

    return run_program


def upload(driver, container):
    """Upload 12 MiB in three parts, and wait until the transfer's threads are gone."""
    driver.upload_object_via_stream(iter([BODY]), container, "key")
    wait_for_workers()


def test_threads_end_with_their_transfer(driver, bucket, tmp_path):
    """No thread outlives a transfer, of any kind; it has some while it runs."""
    seen = []

    def watch(done, total):
        seen.append(len(workers()))

    item = driver.upload_object_via_stream(iter([BODY]), bucket, "key", ex_progress=watch)
    for transfer in (
        lambda: driver.download_object(item, str(tmp_path / "copy"), ex_progress=watch),
        lambda: driver.upload_object(str(tmp_path / "copy"), bucket, "again", ex_progress=watch),
        lambda: list(driver.download_object_as_stream(item, ex_progress=watch)),
    ):
        assert max(seen) > 0
        wait_for_workers()
        seen.clear()
        transfer()
    assert max(seen) > 0
    wait_for_workers()


def test_connections_are_reused(counted, proxy, remote):
    """Transfers one after another share connections: as many as one of them has parts."""
    for _ in range(3):
        upload(counted, remote)
    assert len(proxy.seen("part")) == 9
    assert proxy.connections <= 3


def test_close(counted, proxy, remote):
    """``close`` ends the driver's connections; a second call does nothing; the driver works on."""
    upload(counted, remote)
    counted.close()
    assert proxy.wait_until_idle()
    counted.close()
    upload(counted, remote)


def test_with(make_driver, proxy, remote):
    """A ``with`` block ends the driver's connections."""
    with make_driver(port=proxy.port) as driver:
        upload(driver, remote)
        remote.driver.close()
        assert proxy.open_connections > 0
    assert proxy.wait_until_idle()


def test_forgotten_driver(cluster, proxy, new_bucket):
    """A driver that nobody refers to any more takes its connections with it."""
    driver = libcloud_aurora.AuroraObjectsStorageDriver(
        cluster.owner.access_key,
        cluster.owner.secret_key,
        secure=False,
        host=cluster.host,
        port=proxy.port,
    )
    container = driver.get_container(new_bucket())
    upload(driver, container)
    assert proxy.open_connections > 0
    del driver, container
    gc.collect()
    assert proxy.wait_until_idle()


def test_program_that_never_closes(run):
    """A program that forgets to close its driver ends by itself."""
    code = (
        'driver.upload_object_via_stream(iter([bytes(12 << 20)]), container, "key")\nprint("end")\n'
    )
    assert run(code) == "end\n"


def test_program_that_leaves_a_stream_open(run):
    """A program that ends with a stream half read ends by itself."""
    code = """
item = driver.upload_object_via_stream(iter([bytes(40 << 20)]), container, "key")
stream = driver.download_object_as_stream(item)
for _ in range(5):
    next(stream)
print("end")
"""
    assert run(code) == "end\n"


def copied(thing):
    """Return what arrives when a thing is sent to another process."""
    return pickle.loads(pickle.dumps(thing))  # noqa: S301 - our own bytes


def test_pickle(driver, s3, bucket):
    """Drivers, containers and objects pickle; the copies work on their own."""
    item = driver.upload_object_via_stream(iter([BODY]), bucket, "key")
    with copied(driver) as copy:
        assert copy.get_container(bucket.name).name == bucket.name
    container = copied(bucket)
    with container.driver:
        container.upload_object_via_stream(iter([BODY]), "copy")
    assert stored_body(s3, bucket, "copy") == BODY
    again = copied(item)
    with again.driver:
        assert b"".join(again.as_stream()) == BODY


def test_fork(run):
    """After a fork, parent and child each transfer on with the driver they share."""
    code = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
body = os.urandom(12 << 20)
item = driver.upload_object_via_stream(iter([body]), container, "parent")
child = os.fork()
name = "child" if child == 0 else "again"
again = driver.upload_object_via_stream(iter([body]), container, name)
good = b"".join(driver.download_object_as_stream(again)) == body
if child == 0:
    os._exit(0 if good else 1)
print(good, os.waitpid(child, 0)[1], len(driver.list_container_objects(container)))
"""
    assert run(code) == "True 0 3\n"


def test_fork_in_the_middle(run):
    """A fork during a transfer harms neither the transfer nor the child's own."""
    code = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
child = None
def source():
    global child
    for index in range(12):
        if index == 8:
            child = os.fork()
            if child == 0:
                own = driver.upload_object_via_stream(iter([b"c" * (6 << 20)]), container, "own")
                os._exit(0 if own.size == 6 << 20 else 1)
        yield b"p" * (1 << 20)
item = driver.upload_object_via_stream(source(), container, "parent")
good = b"".join(driver.download_object_as_stream(item)) == b"p" * (12 << 20)
print(good, os.waitpid(child, 0)[1])
"""
    assert run(code) == "True 0\n"
