"""Many objects deleted at once, of which the server loses one for a while."""

from __future__ import annotations

import contextlib

import pytest
from faults.listener import Listener
from libcloud.storage.base import Container

from libcloud_aurora import AuroraObjectsStorageDriver, errors

#: radosgw writes the id of a version even where there is none.
LEFT = (
    "<DeleteResult><Error><Key>k</Key><VersionId></VersionId><Code>{}</Code></Error></DeleteResult>"
)


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


def test_what_was_left_is_known_even_if_the_next_request_breaks():
    """Objects that one response has named are named, whatever becomes of the next request."""

    def serve(peer):
        peer.ask()
        if len(server.asked) == 1:
            peer.answer(LEFT.format("SlowDown").encode())
        peer.end()

    with Listener(serve) as server:
        driver = AuroraObjectsStorageDriver(
            "key", "secret", secure=False, host="127.0.0.1", port=server.port, retry_delay=0.01
        )
        with pytest.raises(errors.DeleteFailedError, match="'k': SlowDown"):
            driver.ex_delete_objects(Container("b", {}, driver), ["k", "l"])
        driver.close()
