"""A SOCKS proxy of the environment, as many companies and every ``ssh -D`` have one."""

from __future__ import annotations

import io
import socket
import struct
import threading
import time
from dataclasses import replace

import pytest
from faults.scene import LARGE, Scene, content
from servers import plan
from servers.server import Server, pump


class Socks(Server):
    """RFC 1928: no authentication, CONNECT to a name or an IPv4 address; all lead to one port."""

    def __init__(self, target: int):
        super().__init__()
        self.target = target
        self.asked: list[tuple[str, int]] = []

    def serve(self, client: socket.socket, number: int) -> None:
        """Note where a client wants to go, and let it go to the target."""
        said = client.makefile("rb")
        said.read(said.read(2)[1])
        client.sendall(b"\5\0")
        kind = said.read(4)[3]
        host = said.read(4 if kind == 1 else said.read(1)[0])
        (port,) = struct.unpack(">H", said.read(2))
        self.asked.append((host.decode() if kind == 3 else socket.inet_ntoa(host), port))
        with said, socket.create_connection(("127.0.0.1", self.target)) as onward:
            client.sendall(b"\5\0\0\1" + bytes(6))
            pump(client, onward)


@pytest.fixture
def socks(scene: Scene, monkeypatch):
    """A SOCKS server that leads to the scene's proxy, named by the environment."""
    with Socks(scene.proxy.port) as server:
        monkeypatch.setenv("ALL_PROXY", f"socks5h://127.0.0.1:{server.port}")
        yield server


def test_transfers_go_through_a_socks_proxy(scene: Scene, socks):
    """Objects go up and down through it, in parts and in ranges, and no other way."""
    with scene.driver(host="localhost", port=1) as driver:
        body = content(LARGE)
        container = driver.get_container(scene.bucket)
        obj = driver.upload_object_via_stream(io.BytesIO(body), container, "key")
        assert scene.backend.get(scene.bucket, "key") == body
        assert b"".join(driver.download_object_as_stream(obj)) == body
    assert set(socks.asked) == {("localhost", 1)}


def test_transfers_through_a_socks_proxy_end(scene: Scene, socks, tmp_path):
    """A download that is broken off through it leaves neither a file nor a socket, and at once."""
    stalled = threading.Event()
    stall = replace(plan.STALL, stage="head", call=lambda request: stalled.set())
    scene.proxy.plan = plan.always(
        stall, lambda request: not request.byte_range.startswith("bytes=0-")
    )

    def interrupt(done, total):
        if done:
            assert stalled.wait(10)
            raise KeyboardInterrupt

    with scene.driver(host="localhost", port=1, timeout=60) as driver:
        obj = scene.store(driver, "key", content(LARGE))
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            driver.download_object(obj, tmp_path / "file", ex_progress=interrupt)
        assert time.monotonic() - began < 30
    assert list(tmp_path.iterdir()) == []
    assert scene.proxy.wait_until_idle()
