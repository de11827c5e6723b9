"""A wrong clock is corrected once from the server's, and said so."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from faults.scene import content
from libcloud.common.types import LibcloudError
from servers import plan

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
TOLERANCE = timedelta(minutes=15)
SKEWED = plan.error_answer("skewed", 403, "RequestTimeTooSkewed")


def signed_at(request):
    """Return the time a request was signed with."""
    return datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%S%z")


def server_in(offset):
    """Refuse requests as a server whose clock is off by this much."""

    def choose(request):
        now = datetime.now(timezone.utc) + offset
        if abs(now - signed_at(request)) <= TOLERANCE:
            return None
        return SKEWED.saying("Date", format_datetime(now, usegmt=True))

    return plan.Plan(choose)


@pytest.mark.parametrize("offset", [HOUR, -HOUR, 400 * 24 * HOUR], ids=str)
def test_corrected_once(scene, driver, offset, caplog):
    """The first refusal sets the clock, with a WARNING; from then on it is right."""
    scene.proxy.plan = server_in(offset)
    stored = driver.upload_object_via_stream(iter([b"x"]), scene.container(driver), "key")
    assert stored.name == "key"
    assert len(scene.proxy.requests) == 2
    assert scene.backend.get(scene.bucket, "key") == b"x"
    driver.delete_object(stored)
    assert len(scene.proxy.requests) == 3
    warnings = [r for r in caplog.records if r.name == "libcloud_aurora" and r.levelno >= 30]
    assert [record.levelno for record in warnings] == [logging.WARNING]


def test_corrected_for_a_head(scene, driver):
    """A refusal of a HEAD has no body: the driver asks why, and corrects the clock."""
    scene.proxy.plan = server_in(HOUR)
    scene.backend.put(scene.bucket, "key", b"x")
    assert driver.get_container(scene.bucket).name == scene.bucket
    assert driver.get_object(scene.bucket, "key").size == 1


def test_corrected_in_a_transfer(scene, driver):
    """Ten workers with a wrong clock finish the transfer."""
    scene.proxy.plan = server_in(HOUR)
    size = 12 * 1024**2
    obj = scene.store(driver, "key", content(size))
    target = scene.directory / "target"
    assert driver.download_object(obj, str(target)) is True
    assert target.read_bytes() == content(size)


@pytest.mark.parametrize("offset", [HOUR, -HOUR], ids=str)
def test_corrected_for_all_threads(scene, driver, offset):
    """Sixteen threads that begin at once with a wrong clock all get what they ask for."""
    scene.proxy.plan = server_in(offset)
    scene.backend.put(scene.bucket, "key", b"x")
    together = threading.Barrier(16)

    def ask(_):
        together.wait(30)
        return driver.get_object(scene.bucket, "key").size

    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(ask, range(16))) == [1] * 16
    driver.get_object(scene.bucket, "key")
    assert abs(signed_at(scene.proxy.requests[-1]) - datetime.now(timezone.utc) - offset) < MINUTE


def test_each_driver_has_its_own_clock(scene):
    """A correction is the driver's own; another driver meets its own server."""
    one, other = scene.driver(), scene.driver()
    scene.proxy.plan = server_in(HOUR)
    one.get_container(scene.bucket)
    scene.proxy.plan = server_in(timedelta(0))
    before = len(scene.proxy.requests)
    other.get_container(scene.bucket)
    assert len(scene.proxy.requests) == before + 1


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 99 Foo 2026 25:00:00 GMT", None])
def test_without_a_usable_date(scene, driver, date):
    """A refusal that does not tell the time is an error that says what is wrong."""
    fault = SKEWED if date is None else SKEWED.saying("Date", date)
    scene.proxy.plan = plan.always(fault)
    with pytest.raises(LibcloudError, match="RequestTimeTooSkewed"):
        driver.list_containers()
    assert len(scene.proxy.requests) <= 2


@pytest.mark.parametrize("offset", [HOUR, timedelta(0)], ids=str)
def test_never_satisfied(scene, driver, offset):
    """A server that refuses whatever the time is not asked for ever."""
    date = format_datetime(datetime.now(timezone.utc) + offset, usegmt=True)
    scene.proxy.plan = plan.always(SKEWED.saying("Date", date))
    with pytest.raises(LibcloudError, match="RequestTimeTooSkewed"):
        driver.list_containers()
    assert len(scene.proxy.requests) <= 2
