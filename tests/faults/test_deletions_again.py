"""Many objects deleted at once, of which the server loses one for a while."""

from __future__ import annotations

import contextlib

import pytest
from faults.listener import Listener
from libcloud.storage.base import Container

from libcloud_aurora import AuroraObjectsStorageDriver, errors

LEFT = "<DeleteResult><Error><Key>k</Key><Code>{}</Code></Error></DeleteResult>"


@pytest.mark.parametrize(
    ("code", "times", "requests"),
    [("UnknownError", 2, 3), ("UnknownError", 9, 5), ("AccessDenied", 9, 1)],
)
def test_an_object_left_by_a_transient_failure_is_deleted_again(code, times, requests):
    """What is left is asked for again, and nothing else, which might get more delete markers."""

    def serve(peer):
        while True:
            peer.ask()
            is_left = len(server.asked) <= times
            peer.answer((LEFT.format(code) if is_left else "<DeleteResult/>").encode())

    with Listener(serve) as server:
        driver = AuroraObjectsStorageDriver(
            "key", "secret", secure=False, host="127.0.0.1", port=server.port, retry_delay=0.01
        )
        fails = pytest.raises(errors.DeleteFailedError, match=code)
        with fails if times == 9 else contextlib.nullcontext():
            driver.ex_delete_objects(Container("b", {}, driver), ["k", "l"])
        driver.close()
        assert len(server.asked) == requests
        first, *again = (b"<Key>l</Key>" in each.body for each in server.asked)
        assert first
        assert not any(again)
