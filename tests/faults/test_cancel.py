"""Ctrl-C and errors of the caller's own code, at every stage, leave nothing behind."""

from __future__ import annotations

import logging
import os
import threading
import time
from queue import SimpleQueue

import pytest
from faults.gate import Gate
from faults.matrix import large_object
from faults.scene import LARGE, MIB, SMALL, content
from libcloud.common.types import LibcloudError
from servers import plan
from servers.proxy import Proxy
from workers import workers

UPLOAD_STAGES = [
    ("initiate", "head"),
    ("initiate", "answer"),
    ("part", "head"),
    ("part", "body"),
    ("part", "answer"),
    ("complete", "head"),
    ("complete", "answer"),
]
DOWNLOAD_STAGES = [("get", "head"), ("get", "answer"), ("get", "half")]
concurrency = pytest.mark.parametrize("workers", [1, 10])


def upload_stream(scene, driver, **more):
    """Upload 12 MiB as a stream."""
    pieces = (content(LARGE)[start : start + MIB] for start in range(0, LARGE, MIB))
    return driver.upload_object_via_stream(pieces, scene.container(driver), "key", **more)


def upload_file(scene, driver, **more):
    """Upload 12 MiB from a file."""
    path = scene.file("source", content(LARGE))
    return driver.upload_object(path, scene.container(driver), "key", **more)


def write(scene, driver, **more):
    """Write 12 MiB to an object that is opened as a file."""
    container = scene.container(driver)
    with driver.ex_open(container, "wb", object_name="key", **more) as file:
        for start in range(0, LARGE, MIB):
            file.write(content(LARGE)[start : start + MIB])
    return file.obj


def download_file(scene, driver, **more):
    """Download 12 MiB to a file that exists."""
    target = scene.file("target", b"old")
    obj = large_object(scene, driver)
    try:
        return driver.download_object(obj, target, True, **more)
    finally:
        with open(target, "rb") as file:
            assert file.read() in (b"old", content(LARGE))


def download_stream(scene, driver, **more):
    """Download 12 MiB as a stream."""
    obj = large_object(scene, driver)
    return b"".join(driver.download_object_as_stream(obj, **more))


uploads = pytest.mark.parametrize(
    "upload", [upload_stream, upload_file, write], ids=lambda f: f.__name__
)
downloads = pytest.mark.parametrize(
    "download", [download_file, download_stream], ids=lambda f: f.__name__
)


@concurrency
@pytest.mark.parametrize(("operation", "stage"), UPLOAD_STAGES)
@uploads
def test_interrupted_upload(scene, keyboard, caplog, upload, operation, stage, workers):
    """
    Ctrl-C at any stage of an upload ends it: no part, no thread, no half object.

    The log blames nobody else for the connections that the driver has broken.
    """
    caplog.set_level(logging.INFO, "libcloud_aurora")
    driver = scene.driver(ex_max_concurrency=workers)
    scene.proxy.plan = plan.once(
        plan.hook(stage, lambda request: keyboard.press()), plan.is_any(operation)
    )
    scene.may_leave_empty_uploads = operation == "initiate"
    with pytest.raises(KeyboardInterrupt):
        upload(scene, driver)
    if operation == "part" and workers > 1:
        again = [line for line in caplog.messages if "next in" in line]
        # moto answers 500 to an abort that meets a part's end.
        assert [line for line in again if "HTTP 500" not in line] == []
    if scene.backend.exists(scene.bucket, "key"):
        assert operation == "complete"
        assert scene.backend.get(scene.bucket, "key") == content(LARGE)


@concurrency
@pytest.mark.parametrize(("operation", "stage"), DOWNLOAD_STAGES)
@downloads
def test_interrupted_download(scene, keyboard, download, operation, stage, workers):
    """Ctrl-C at any stage of a download ends it: the old file, no temporary one, no connection."""
    driver = scene.driver(ex_max_concurrency=workers)
    scene.proxy.plan = plan.once(
        plan.hook(stage, lambda request: keyboard.press()), plan.is_any(operation)
    )
    with pytest.raises(KeyboardInterrupt):
        download(scene, driver)


@pytest.mark.parametrize(
    ("transfer", "operation"),
    [
        *((upload, each) for upload in (upload_file, write) for each in ("part", "complete")),
        (download_file, "get"),
        (download_stream, "get"),
    ],
)
def test_ctrl_c_just_before_the_caller_s_thread_sleeps(scene, keyboard, transfer, operation):
    """Ctrl-C that does not wake the caller's thread, since it comes too early, is seen soon."""
    seen = SimpleQueue()
    scene.proxy.plan = plan.once(
        plan.hook("answer", lambda request: seen.put(keyboard.slip())),
        # A stream's first range is fetched by the caller's thread, which sleeps on the socket then.
        lambda each: each.operation == operation and not each.byte_range.startswith("bytes=0-"),
    )
    with pytest.raises(KeyboardInterrupt):
        transfer(scene, scene.driver())
    assert seen.get(timeout=10)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, LibcloudError])
@pytest.mark.parametrize("pieces", [0, 6, 11])
@concurrency
def test_an_iterator_that_fails(scene, workers, pieces, error):
    """An exception from the caller's iterator comes out as it is, and nothing is stored."""
    driver = scene.driver(ex_max_concurrency=workers)

    def failing():
        for _ in range(pieces):
            yield content(MIB)
        raise error("the caller's own")

    with pytest.raises(error, match="the caller's own"):
        driver.upload_object_via_stream(failing(), scene.container(driver), "key")
    assert scene.backend.keys(scene.bucket) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
@pytest.mark.parametrize("transfer", [upload_stream, upload_file, download_file, download_stream])
@pytest.mark.parametrize("calls", [1, 3])
@concurrency
def test_a_progress_callback_that_fails(scene, workers, calls, transfer, error):
    """An exception from ex_progress cancels the transfer and comes out as it is."""
    driver = scene.driver(ex_max_concurrency=workers)
    left = iter(range(calls - 1))

    def progress(done, total):
        if next(left, None) is None:
            raise error("the caller's own")

    with pytest.raises(error, match="the caller's own"):
        transfer(scene, driver, ex_progress=progress)


@concurrency
@pytest.mark.parametrize("taken", [0, 1, 20])
@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_consumer_that_stops(scene, workers, taken, size):
    """A consumer that stops early leaves no connection checked out and no work running."""
    driver = scene.driver(ex_max_concurrency=workers)
    obj = large_object(scene, driver)
    if size < LARGE:
        obj = scene.store(driver, "key", content(size))
    stream = driver.download_object_as_stream(obj, 10_000)
    for _, chunk in zip(range(taken), stream, strict=False):
        assert chunk
    stream.close()
    assert driver.get_container(scene.bucket).name == scene.bucket


@pytest.fixture(
    params=[
        ("http", "connect"),
        ("https", "connect"),
        ("https", "handshake"),
        ("proxy", "connect"),
        ("proxy", "tunnel"),
        ("proxy", "handshake"),
    ],
    ids="-".join,
)
def gate(request, scene, authority):
    """A gate and a driver that gets one connection through it, the way there being http or so."""
    way, stage = request.param
    tls = None if way == "http" else authority.server_context("127.0.0.1")
    with (
        Proxy(scene.backend.host, scene.backend.port, tls=tls) as server,
        Gate(server.port, stage, is_proxy=way == "proxy") as gate,
    ):
        port, proxy_url = gate.port, None
        if way == "proxy":
            port, proxy_url = server.port, f"http://127.0.0.1:{gate.port}"
        gate.driver = scene.driver(
            secure=way != "http",
            port=port,
            proxy_url=proxy_url,
            timeout=60,
            ex_verify_ssl=str(authority.bundle),
        )
        began = time.monotonic()
        yield gate
        assert time.monotonic() - began < 30
        gate.driver.close()
        assert server.wait_until_idle()
        assert gate.wait_until_idle()


@uploads
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_upload_does_not_wait_for_who_connects(scene, gate, upload, error):
    """A part whose SYN, CONNECT or handshake is not answered ends as soon as the upload does."""

    def progress(done, total):
        if gate.stuck.is_set():
            raise error("the caller's own")

    gate.driver.get_container(scene.bucket)  # over the connection that passes
    with pytest.raises(error, match="the caller's own"):
        upload(scene, gate.driver, ex_progress=progress)


@downloads
def test_a_download_does_not_wait_for_who_connects(scene, gate, download, keyboard):
    """A range whose SYN, CONNECT or handshake is not answered ends as soon as Ctrl-C comes."""
    gate.then = keyboard.press
    with pytest.raises(KeyboardInterrupt):
        download(scene, gate.driver)


def test_ctrl_c_while_the_caller_s_thread_connects(scene, gate, keyboard):
    """Ctrl-C ends a request that still connects, and leaves no socket."""
    gate.driver.get_container(scene.bucket)
    gate.driver.close()  # the next request needs another connection

    def press():
        gate.wait_until_stuck()
        keyboard.press()

    presser = threading.Thread(target=press)
    presser.start()
    with pytest.raises(KeyboardInterrupt):
        gate.driver.get_container(scene.bucket)
    presser.join()


@pytest.mark.parametrize(
    "transfer",
    [upload_stream, upload_file, download_file, download_stream],
    ids=lambda f: f.__name__,
)
def test_a_server_that_is_down_for_a_while(scene, transfer):
    """With the default pauses, every request of a transfer sits out a restart of 3.5 s."""
    driver = scene.driver(retry_delay=None)
    fails_until = []

    def is_down(request):
        if request.operation not in ("part", "get"):
            return False
        if not fails_until:
            fails_until.append(time.monotonic() + 3.5)
        return time.monotonic() < fails_until[0]

    scene.proxy.plan = plan.always(plan.RESET, is_down)
    transfer(scene, driver)
    assert sum(request.fault == plan.RESET.name for request in scene.proxy.requests) >= 3


@uploads
@pytest.mark.parametrize("operation", ["initiate", "part", "complete"])
@pytest.mark.parametrize(
    "fault",
    [plan.error_answer("denied", 403, "AccessDenied"), plan.ANSWER_503, plan.RESET],
    ids=lambda fault: fault.name,
)
def test_an_upload_cut_at_each_stage(scene, driver, upload, operation, fault):
    """A stage of an upload that fails for good leaves no upload, and no object but the old one."""
    scene.backend.put(scene.bucket, "key", b"old")
    scene.proxy.plan = plan.always(fault, plan.is_any(operation))
    with pytest.raises(LibcloudError) as caught:
        upload(scene, driver)
    assert scene.backend.get(scene.bucket, "key") == b"old"
    if (operation, fault) == ("complete", plan.RESET):  # the server may still be completing it
        (left,) = scene.backend.uploads(scene.bucket)
        assert left in str(caught.value)
        scene.backend.abort_all(scene.bucket)


@downloads
@pytest.mark.parametrize("first", [0, 1, 2])
@pytest.mark.parametrize(
    "fault",
    [plan.error_answer("denied", 403, "AccessDenied"), plan.ANSWER_503, plan.RESET],
    ids=lambda fault: fault.name,
)
def test_a_download_cut_at_each_stage(scene, driver, download, first, fault):
    """A range of a download that fails for good leaves the old file and nothing else."""
    order = []

    def fails(request):
        if request.byte_range not in order:
            order.append(request.byte_range)
        return order.index(request.byte_range) >= first

    scene.proxy.plan = plan.always(fault, fails)
    with pytest.raises(LibcloudError):
        download(scene, driver)


@pytest.mark.parametrize("transfer", [upload_stream, upload_file, download_file, download_stream])
def test_transfers_have_workers(scene, transfer):
    """The threads that no test may leave are there while a transfer runs."""
    driver = scene.driver(ex_max_concurrency=2)
    both, seen = threading.Barrier(2), []
    comes_down = transfer in (download_file, download_stream)
    most = 2 + comes_down  # the third one hashes

    def count(request):
        both.wait(10)
        until = time.monotonic() + 10
        while len(workers()) > most and time.monotonic() < until:
            time.sleep(0.01)  # the thread that has begun the upload may be at its end
        seen.append(len(workers()))

    def is_shared(request):
        is_alone = transfer is download_stream and request.byte_range.startswith("bytes=0-")
        return request.part in (1, 2) or (request.operation == "get" and not is_alone)

    # A file's other range is asked for once the first response has begun.
    stage = "half" if comes_down else "answer"
    scene.proxy.plan = plan.times(2, plan.hook(stage, count), is_shared)
    transfer(scene, driver)
    assert len(seen) == 2
    assert 2 <= min(seen) <= max(seen) <= most


@pytest.mark.parametrize("room", [0, 9 * MIB], ids=["first range", "last range"])
def test_a_full_disk(scene, driver, monkeypatch, room):
    """A full disk ends a download at once, in an OSError with the path; the old file stays."""
    written = os.pwrite

    def full(descriptor, data, offset):
        if offset > room:
            raise OSError(28, "No space left on device")
        return written(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*target") as caught:
        download_file(scene, driver)
    assert (type(caught.value), caught.value.errno) == (OSError, 28)
    assert 1 <= len(scene.proxy.seen("get")) <= 3
