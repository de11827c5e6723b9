"""What is waited for when an upload has to end: how long, and what a second Ctrl-C does."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest
from faults.listener import Listener
from faults.scene import LARGE, MIB, content
from libcloud.storage.base import Container
from servers import plan
from workers import wait_for_workers

from libcloud_aurora import AuroraObjectsStorageDriver
from libcloud_aurora._s3.signing import ChunkedBody
from libcloud_aurora._transfer import sources

concurrency = pytest.mark.parametrize("workers", [1, 10])


@pytest.fixture(autouse=True)
def _not_ahead(monkeypatch):
    """A stream that fails after its first part does so when its upload has begun."""
    monkeypatch.setattr(sources, "AHEAD_SECONDS", 0)


def upload(scene, driver, failing=False):
    """Upload 12 MiB as a stream, which may fail after its first part."""

    def pieces():
        for start in range(0, LARGE, MIB):
            if failing and start > 6 * MIB:
                raise ValueError("the source has failed")
            yield content(LARGE)[start : start + MIB]

    return driver.upload_object_via_stream(pieces(), scene.container(driver), "key")


def silent(operation, act=lambda request: None, times=1):
    """Act at the first requests of an operation, and never answer any of them."""
    stall = replace(plan.STALL, stage="head", call=act)
    first = plan.times(times, stall, plan.is_any(operation))
    return plan.in_turn(first, plan.always(plan.STALL, plan.is_any(operation)))


def operations(scene):
    return [request.operation for request in scene.proxy.requests]


@pytest.fixture
def unfinished(scene):
    """Check that the log names an upload that is left, and remove it."""

    def check(caplog):
        uploads = scene.backend.uploads(scene.bucket)
        (named,) = (upload_id for upload_id in uploads if upload_id in caplog.text)
        del uploads[named]
        assert not any(uploads.values())  # begun by an Initiate that took longer than the timeout
        scene.backend.abort_all(scene.bucket)

    return check


@concurrency
@pytest.mark.parametrize("operation", ["complete", "abort"])
def test_a_second_ctrl_c_ends_the_wait(scene, keyboard, unfinished, caplog, operation, workers):
    """With a second Ctrl-C nothing is waited for any more, and the log names the upload."""
    driver = scene.driver(ex_max_concurrency=workers, timeout=60)
    # Without threads the request is sent once more. A Ctrl-C between the two might leave a socket
    # that connects to the garbage collector.
    presses, times = (1, 2) if workers == 1 else (2, 1)
    scene.proxy.plan = silent(operation, lambda request: keyboard.press(presses), times)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        upload(scene, driver, failing=operation == "abort")
    assert time.monotonic() - began < 30
    assert operations(scene)[-1] == operation
    unfinished(caplog)


@concurrency
def test_a_second_ctrl_c_does_not_wait_for_the_abort_after_the_first(
    scene, keyboard, unfinished, caplog, workers
):
    """Where the first Ctrl-C has ended the upload, the second one ends the wait for its abort."""
    driver = scene.driver(ex_max_concurrency=workers, timeout=60)
    press = plan.once(plan.hook("body", lambda request: keyboard.press()), lambda r: r.part == 1)
    scene.proxy.plan = plan.in_turn(press, silent("abort", lambda request: keyboard.press()))
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        upload(scene, driver)
    assert time.monotonic() - began < 30
    unfinished(caplog)


def test_a_second_ctrl_c_does_not_wait_for_the_begin(scene, keyboard, caplog):
    """An upload whose begin is not answered ends with a second Ctrl-C, and the log says so."""
    driver = scene.driver(timeout=60)
    scene.proxy.plan = silent("initiate", lambda request: keyboard.press(2))
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        upload(scene, driver)
    assert time.monotonic() - began < 30
    wait_for_workers()
    assert operations(scene) == ["initiate"]
    assert "may have begun" in caplog.text


@concurrency
def test_an_upload_that_was_interrupted_as_it_began_is_begun_anew(scene, keyboard, workers):
    """Ctrl-C while a resumable upload begins leaves no upload whose time to end is running."""
    driver = scene.driver(ex_max_concurrency=workers)
    press = plan.hook("answer", lambda request: keyboard.press())
    scene.proxy.plan = plan.once(press, plan.is_any("initiate"))
    path, container = scene.file("file", content(LARGE)), scene.container(driver)
    with pytest.raises(KeyboardInterrupt):
        driver.upload_object(path, container, "key", ex_resume=True)
    assert len(scene.backend.uploads(scene.bucket)) == (workers == 1)  # whose id nobody knows
    driver.upload_object(path, container, "key", ex_resume=True)
    assert scene.backend.get(scene.bucket, "key") == content(LARGE)


@concurrency
@pytest.mark.parametrize("way", ["Ctrl-C", "failure"])
def test_an_abort_that_is_not_answered(scene, keyboard, unfinished, caplog, workers, way):
    """After Ctrl-C or a failure the abort has the timeout once, however often it may be tried."""
    driver = scene.driver(ex_max_concurrency=workers, timeout=2)
    press = plan.once(plan.hook("body", lambda request: keyboard.press()), lambda r: r.part == 1)
    stop = press if way == "Ctrl-C" else plan.never()
    scene.proxy.plan = plan.in_turn(stop, silent("abort"))
    with pytest.raises((KeyboardInterrupt, ValueError)):
        upload(scene, driver, failing=way == "failure")
    assert operations(scene).count("abort") == 1
    unfinished(caplog)


@concurrency
def test_a_completion_that_is_not_answered(scene, keyboard, unfinished, caplog, workers):
    """After Ctrl-C the completion has the timeout; the parts stay, for it may come about."""
    driver = scene.driver(ex_max_concurrency=workers, timeout=1)
    scene.proxy.plan = silent("complete", lambda request: keyboard.press())
    with pytest.raises(KeyboardInterrupt):
        upload(scene, driver)
    wait_for_workers()
    assert "abort" not in operations(scene)
    assert "are kept" in caplog.text
    unfinished(caplog)


@concurrency
def test_a_completion_that_is_answered_after_ctrl_c(scene, keyboard, caplog, workers):
    """Ctrl-C waits for a completion that the server is at: the object is there, as the log says."""
    driver = scene.driver(ex_max_concurrency=workers)
    press = plan.hook("answer", lambda request: keyboard.press())
    scene.proxy.plan = plan.once(press, plan.is_any("complete"))
    with pytest.raises(KeyboardInterrupt):
        upload(scene, driver)
    assert scene.backend.get(scene.bucket, "key") == content(LARGE)
    assert "abort" not in operations(scene)
    assert "is stored" in caplog.text


@concurrency
@pytest.mark.parametrize("status", [403, 503])
def test_a_completion_that_is_refused_after_ctrl_c(scene, keyboard, workers, status):
    """
    A completion that is refused once Ctrl-C has come is not tried again but aborted.

    Without threads, Ctrl-C breaks the first one off, which the server may still be at.
    """
    driver = scene.driver(ex_max_concurrency=workers)
    refusal = plan.error_answer("refused", status, "AccessDenied" if status == 403 else "SlowDown")
    refusal = replace(refusal, stage="head", call=lambda request: keyboard.press())
    later = plan.always(replace(refusal, call=None), plan.is_any("complete"))
    scene.proxy.plan = plan.in_turn(plan.once(refusal, plan.is_any("complete")), later)
    with pytest.raises(KeyboardInterrupt):
        upload(scene, driver)
    if workers > 1:
        assert operations(scene)[-2:] == ["abort", "abort"]
    else:
        assert "abort" not in operations(scene)
        scene.backend.abort_all(scene.bucket)
    assert scene.backend.keys(scene.bucket) == []


@concurrency
@pytest.mark.parametrize("status", [500, 502, 504])
def test_a_completion_that_may_have_been_made_when_ctrl_c_comes(scene, keyboard, workers, status):
    """What a proxy says of a server that has ended says nothing of the upload: its parts stay."""
    driver = scene.driver(ex_max_concurrency=workers)
    answer = plan.error_answer("ended", status, "InternalError").masking()
    answer = replace(answer, stage="head", call=lambda request: keyboard.press())
    scene.proxy.plan = plan.always(answer, plan.is_any("complete"))
    with pytest.raises(KeyboardInterrupt):
        upload(scene, driver)
    assert "abort" not in operations(scene)


@concurrency
def test_a_failed_upload_is_aborted_in_spite_of_ctrl_c(scene, keyboard, workers):
    """A first Ctrl-C while a failed upload is aborted waits for that."""
    driver = scene.driver(ex_max_concurrency=workers)
    scene.proxy.plan = plan.once(
        plan.hook("head", lambda request: keyboard.press()), plan.is_any("abort")
    )
    with pytest.raises(KeyboardInterrupt):
        upload(scene, driver, failing=True)


def test_who_cannot_be_interrupted_is_not_waited_for(authority, keyboard, monkeypatch):
    """A second Ctrl-C does not wait for a SOCKS proxy; an upload begun later is aborted."""
    go_on = threading.Event()

    def serve(peer):
        with peer.sock.makefile("rb") as said:
            said.read(said.read(2)[1])
            if peer.number == 1:  # the abort has a connection of its own
                keyboard.press(2)
            assert go_on.wait(60)
            peer.say(b"\5\0")
            said.read(10)
        peer.say(b"\5\0\0\1", bytes(6))
        while True:
            peer.ask()
            peer.answer(b"<R><UploadId>late</UploadId></R>")

    with Listener(serve) as server:
        monkeypatch.setenv("ALL_PROXY", f"socks5://127.0.0.1:{server.port}")
        driver = driver_of(server, authority, secure=False)
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            driver.upload_object_via_stream([content(LARGE)], Container("b", {}, driver), "key")
        assert time.monotonic() - began < 30
        go_on.set()
        assert server.wait_for(lambda: server.asked[-1:] and "late" in server.asked[-1].target)
        wait_for_workers()
        assert server.asked[-1].line.startswith("DELETE")
        driver.close()


# Bodies that go up


def driver_of(server, authority, **settings):
    """Make a driver of a server that may speak TLS."""
    return AuroraObjectsStorageDriver(
        "key",
        "secret",
        host="127.0.0.1",
        port=server.port,
        timeout=60,
        **{"ex_verify_ssl": str(authority.bundle), **settings},
    )


@pytest.fixture(params=["http", "https"])
def interrupted(request, authority, keyboard, tmp_path):
    """Upload a part of 32 MiB, of which the server reads little before Ctrl-C; return what came."""
    context = authority.server_context("127.0.0.1") if request.param == "https" else None
    (tmp_path / "file").write_bytes(content(33 * MIB))

    def interrupted(presses, reads_on):
        parts, ended = [], threading.Event()

        def serve(peer):
            while True:
                asked = peer.ask(body=False)
                if asked.line.startswith("PUT"):
                    parts.append(asked)
                    if len(parts) == 1:
                        keyboard.press(presses)
                    if not reads_on:
                        ended.wait(60)
                    while piece := peer.sock.recv(65_536):
                        asked.body += piece
                else:
                    peer.answer(b"<R><UploadId>id</UploadId></R>")

        with Listener(serve, tls=context, receive_buffer=65_536) as server:
            secure = context is not None
            driver = driver_of(server, authority, secure=secure, ex_part_size=32 * MIB)
            container = Container("b", {}, driver)
            began = time.monotonic()
            with pytest.raises(KeyboardInterrupt):
                driver.upload_object(tmp_path / "file", container, "key")
            seconds = time.monotonic() - began
            ended.set()
            assert server.wait_for(lambda: server.open_connections < 3)
            wait_for_workers()  # an abort that nobody waits for may still connect
            driver.close()
        return parts[0].body, seconds

    return interrupted


def test_ctrl_c_ends_a_body_with_a_chunk(interrupted, monkeypatch):
    """Ctrl-C lets a chunk of a part go to its end and ends the body there, as it may end."""
    monkeypatch.setattr("libcloud_aurora._transfer.workers.BODY_SECONDS", 60)
    body, seconds = interrupted(presses=1, reads_on=True)
    assert seconds < 30
    assert len(body) < 8 * MIB
    sizes = []
    while body:
        head, _, body = body.partition(b"\r\n")
        sizes.append(int(head.partition(b";chunk-signature=")[0], 16))
        assert body[sizes[-1] :].startswith(b"\r\n")
        body = body[sizes[-1] + 2 :]
    assert sizes == [*[MIB] * (len(sizes) - 1), 0]


@pytest.mark.parametrize(("presses", "patience"), [(1, 0.5), (2, 60)])
def test_a_body_that_nobody_takes_is_cut_off(interrupted, monkeypatch, presses, patience):
    """A chunk has a few seconds after Ctrl-C, and none after a second one."""
    monkeypatch.setattr("libcloud_aurora._transfer.workers.BODY_SECONDS", patience)
    _, seconds = interrupted(presses=presses, reads_on=False)
    assert seconds < 30


def test_a_connection_over_which_a_body_ended_early_is_not_used_again(authority):
    """The server might take the next request for the rest of the body."""

    def serve(peer):
        while True:
            asked = peer.ask(body=False)
            while asked.line.startswith("PUT") and not asked.body.endswith(b"\r\n\r\n"):
                asked.body += peer.sock.recv(65_536)
            peer.answer()

    with Listener(serve) as server:
        driver = driver_of(server, authority, secure=False)
        whole = ChunkedBody(9, lambda: iter([(memoryview(b"x" * 9),)]))
        short = ChunkedBody(99, lambda: iter([(memoryview(b"x" * 9),)]))
        for body, connections in ((whole, 1), (whole, 1), (short, 1), (whole, 2), (whole, 2)):
            driver.connection.request("/b/k", method="PUT", data=body)
            assert server.connections == connections
        driver.close()
