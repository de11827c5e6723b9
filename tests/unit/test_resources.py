"""_resources: what all threads of one driver share, and how it ends."""

import gc
import io
import os
import pickle
import threading
import weakref

import pytest
from libcloud.storage.base import Container, Object
from unit.memory_s3 import error

import libcloud_aurora
from libcloud_aurora import errors
from libcloud_aurora._resources import Resources
from libcloud_aurora._transport import AuroraTransport

MIB = 1_048_576


def workers():
    return [t for t in threading.enumerate() if t.name.startswith("libcloud-aurora")]


@pytest.fixture(autouse=True)
def no_threads_left():
    yield
    gc.collect()
    for thread in workers():
        thread.join(10)
    assert workers() == []


def test_each_thread_has_a_connection_of_its_own(driver):
    """One thread keeps its connection, another one has its own, over the same pool."""
    mine = driver.connection
    assert driver.connection is mine
    others = []
    thread = threading.Thread(target=lambda: others.append(driver.connection))
    thread.start()
    thread.join()
    assert others[0] is not mine
    assert others[0].driver is mine.driver is driver
    pools = {each.connection.session.get_adapter("https://x/") for each in (mine, others[0])}
    assert len(pools) == 1


def test_connections_end_with_their_threads(driver):
    """The connection of a thread that has ended is not kept."""
    found = []
    thread = threading.Thread(target=lambda: found.append(weakref.ref(driver.connection)))
    thread.start()
    thread.join()
    del thread
    gc.collect()
    assert found[0]() is None


def test_a_connection_can_be_set(driver):
    """Who sets driver.connection, as libcloud's own tests do, gets that one, ready to sign."""
    connection = driver.connectionCls("key", "secret", True, "h", 443)
    driver.connection = connection
    assert driver.connection is connection
    assert connection.signer is driver._signer


def test_threads_start_when_needed_and_end_with_close(s3, container, new_driver):
    """No thread runs before a transfer needs it, and none after close; the driver works on."""
    driver = new_driver()
    assert workers() == []
    for _ in range(2):
        driver.upload_object_via_stream(bytes(11 * MIB), container, "k")
        assert workers()
        driver.close()
        assert workers() == []


def test_a_with_block_closes(s3, container):
    """Leaving the block ends the threads, after an exception as well."""
    with (  # noqa: PT012
        pytest.raises(RuntimeError),
        libcloud_aurora.AuroraObjectsStorageDriver("key", "secret") as driver,
    ):
        driver.upload_object_via_stream(bytes(11 * MIB), container, "k")
        raise RuntimeError
    assert workers() == []


def test_a_driver_that_is_dropped_ends_its_threads(s3, container):
    """A driver that nobody holds any more is collected, and its threads end."""
    driver = libcloud_aurora.AuroraObjectsStorageDriver("key", "secret")
    driver.upload_object_via_stream(bytes(11 * MIB), Container("photos", {}, driver), "k")
    running, gone = workers(), weakref.ref(driver)
    assert running
    del driver
    gc.collect()
    for thread in running:
        thread.join(10)
    assert gone() is None
    assert not any(thread.is_alive() for thread in running)


def test_sequential_drivers_start_no_thread(s3, container, new_driver):
    """With ex_max_concurrency=1 no transfer and no listing starts a thread."""
    driver = new_driver(ex_max_concurrency=1)
    obj = driver.upload_object_via_stream(bytes(11 * MIB), container, "k")
    assert sum(map(len, driver.download_object_as_stream(obj))) == 11 * MIB
    for number in range(1500):
        s3.put(f"k{number}", b"")
    assert len(driver.list_container_objects(container)) == 1501
    assert workers() == []


def test_another_process_has_its_own(monkeypatch):
    """Resources belong to the process that made them."""
    resources = Resources(2)
    assert resources.usable()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert not resources.usable()


def test_a_driver_in_another_process_makes_its_own(driver, monkeypatch):
    """When the process is another one, sockets and threads are made anew."""
    before = driver._shared()
    assert driver._shared() is before
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert driver._shared() is not before


def test_a_forked_child_works(s3, container, driver):
    """After a real fork the child uploads and lists with connections of its own."""
    mine = driver.connection
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            assert driver.connection is not mine
            driver.upload_object_via_stream(bytes(6 * MIB), container, "child")
            os.write(writing, str([obj.name for obj in container.list_objects()]).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    assert said == b"['child']"
    assert driver.connection is mine


def test_drivers_containers_and_objects_pickle(s3, container, driver):
    """A pickled driver has the same settings and works; so do its containers and objects."""
    obj = driver.upload_object_via_stream(b"content", container, "k")
    for twin in (pickle.loads(pickle.dumps(driver)), pickle.loads(pickle.dumps(obj)).driver):  # noqa: S301
        assert twin._settings == driver._settings
        assert type(twin) is type(driver)
        assert [each.name for each in twin.list_containers()] == ["photos"]
        twin.close()
    twin = pickle.loads(pickle.dumps(obj))  # noqa: S301
    assert b"".join(twin.as_stream()) == b"content"
    twin.driver.close()
    twin = pickle.loads(pickle.dumps(container))  # noqa: S301
    assert [each.name for each in twin.list_objects()] == ["k"]
    twin.driver.close()


def test_many_threads_share_a_driver(s3, container, driver):
    """Sixteen threads that share one driver each get their own answers."""
    for number in range(16):
        s3.put(f"k{number}", f"content {number}".encode())
    wrong = []

    def work(number):
        for _ in range(10):
            obj = driver.get_object("photos", f"k{number}")
            if b"".join(driver.download_object_as_stream(obj)) != f"content {number}".encode():
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    ("concurrency", "size", "opened"), [(None, 400, 16), (4, 400, 4), (None, 10, 2), (1, 400, 0)]
)
def test_no_more_connections_are_opened_ahead_than_used(
    s3, container, new_driver, tmp_path, monkeypatch, concurrency, size, opened
):
    """Connections are opened for the ranges fetched at once, however many there are in all."""
    counts = []
    monkeypatch.setattr(
        AuroraTransport, "open_ahead", lambda self, count, submit: counts.append(count)
    )
    driver = new_driver(ex_max_concurrency=concurrency)
    obj = Object("missing", size * MIB, None, {}, {}, container, driver)
    with pytest.raises(libcloud_aurora.KeyNotFoundError):
        driver.download_object(obj, str(tmp_path / "file"))
    assert sum(counts) == opened


def drained(chunks):
    for _ in chunks:
        pass


@pytest.mark.parametrize(
    ("method", "work"),
    [
        ("PUT", lambda driver, obj, path: driver.upload_object(path, obj.container, "new")),
        (
            "PUT",
            lambda driver, obj, path: driver.upload_object_via_stream(
                io.BytesIO(bytes(12 * MIB)), obj.container, "new"
            ),
        ),
        ("GET", lambda driver, obj, path: driver.download_object(obj, f"{path}.new")),
        ("GET", lambda driver, obj, path: drained(driver.download_object_as_stream(obj))),
    ],
    ids=["upload_object", "upload_object_via_stream", "download_object", "as_stream"],
)
def test_a_failure_ends_with_who_caught_it(s3, driver, tmp_path, method, work):
    """An error is part of no cycle: the memory of a failed transfer is free without a collector."""
    path = tmp_path / "file"
    path.write_bytes(bytes(12 * MIB))
    container = Container("photos", {}, driver)
    obj = driver.upload_object(str(path), container, "old")
    refused = error(403, "AccessDenied")
    s3.faults.append(lambda seen: refused if is_later(seen, method) else None)

    gone = threading.Event()

    def caught():
        try:
            work(driver, obj, str(path))
        except errors.AccessDeniedError as failure:  # pytest.raises would hold it
            return weakref.ref(failure, lambda _: gone.set())

    gc.collect()
    gc.disable()
    try:
        watched = caught()
        assert gone.wait(10)  # the worker that failed may be at its end still
        assert watched() is None
    finally:
        gc.enable()


def is_later(seen, method):
    """Tell a part or a range from the first one."""
    first = seen.params.get("partNumber") == "1" or seen.headers.get("range", "").startswith(
        "bytes=0-"
    )
    return seen.method == method and not first
