"""A proxy that limits how long a request may take, on a link that is too slow for so many."""

from __future__ import annotations

import threading
import time

import pytest
from faults.listener import Listener
from faults.scene import MIB, content
from libcloud.storage.base import Container
from workers import wait_for_workers

from libcloud_aurora import AuroraObjectsStorageDriver, errors
from libcloud_aurora._wire import retry

PARTS = 8
LIMIT_SECONDS = 0.2
REFUSED = "HTTP/1.1 {} Too Long\r\nContent-Length: 7\r\nConnection: close\r\n\r\ntimeout"


class Link:
    """A link on which so many bodies arrive in time, and no more."""

    def __init__(self, *, fast_enough_for: int, ends: str):
        self.most, self.ends = fast_enough_for, ends
        self.begun, self.under_way, self.cut, self.lock = 0, 0, 0, threading.Lock()
        self.all_begin = threading.Barrier(PARTS, timeout=60)

    def serve(self, peer):
        """Begin and complete uploads at once, and take parts for as long as the link needs."""
        while True:
            request = peer.ask()
            if not request.line.startswith("PUT"):
                peer.answer(b"<R><UploadId>id</UploadId><ETag>e</ETag></R>")
                continue
            with self.lock:
                self.begun += 1
                self.under_way += 1
                is_first = self.begun <= PARTS
            if is_first:  # otherwise they would not be together on a machine that is busy
                self.all_begin.wait()
            time.sleep(LIMIT_SECONDS)
            with self.lock:
                in_time = not is_first and self.under_way <= self.most
                self.cut += not in_time
            time.sleep(LIMIT_SECONDS / 2)  # the others have looked, too
            with self.lock:
                self.under_way -= 1
            if not in_time:
                peer.say(*([REFUSED.format(self.ends)] if self.ends.isdigit() else []))
                peer.end()
            peer.answer(ETag='"' + 32 * "e" + '"')


@pytest.fixture
def upload(monkeypatch, tmp_path):
    """Upload eight parts over a link; the last of those cut off at once uses up an attempt."""
    monkeypatch.setattr(retry, "CUT_SECONDS", LIMIT_SECONDS * 0.9)
    (tmp_path / "file").write_bytes(content(PARTS * 5 * MIB))

    def upload(link):
        with Listener(link.serve) as server:
            driver = AuroraObjectsStorageDriver(
                "key",
                "secret",
                secure=False,
                host="127.0.0.1",
                port=server.port,
                ex_max_attempts=3,
                retry_delay=0.01,
                ex_max_concurrency=PARTS,
            )
            container = Container("b", {}, driver)
            try:
                driver.upload_object(tmp_path / "file", container, "k", verify_hash=False)
            finally:
                driver.close()
                wait_for_workers()

    return upload


@pytest.mark.parametrize("ends", ["close", "408", "499", "504"])
def test_parts_that_a_proxy_cuts_off_narrow_the_window(upload, ends):
    """Fewer requests share the link until each is in time; most use up no attempt."""
    link = Link(fast_enough_for=2, ends=ends)
    upload(link)
    assert link.cut >= PARTS


def test_a_proxy_that_cuts_every_part_off_is_named(upload):
    """Where one part alone takes too long, the error says what to change."""
    with pytest.raises(errors.AuroraObjectsError, match="limits how long a request may take"):
        upload(Link(fast_enough_for=0, ends="499"))
