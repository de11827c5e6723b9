"""One policy for every request: what is tried again, how often, how patiently, and what is told."""

from __future__ import annotations

import itertools
import logging
import re
from collections import Counter
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from faults.scene import ATTEMPTS, LARGE, MIB, content
from libcloud.common.types import LibcloudError
from libcloud.storage.types import ContainerDoesNotExistError, ObjectDoesNotExistError
from servers import plan

from libcloud_aurora.config import RetryPolicy


@pytest.mark.parametrize("failures", range(ATTEMPTS))
def test_fewer_failures_than_attempts_are_survived(scene, driver, failures):
    """A request that fails up to four times is sent once more and succeeds."""
    scene.proxy.plan = plan.times(failures, plan.ANSWER_503)
    assert driver.get_container(scene.bucket).name == scene.bucket
    assert len(scene.proxy.requests) == failures + 1


@pytest.mark.parametrize("attempts", [1, 2, 5])
def test_the_last_error_has_the_history(scene, attempts):
    """After the last attempt the error carries one text for each, and says how many there were."""
    driver = scene.driver(ex_max_attempts=attempts)
    scene.proxy.plan = plan.always(plan.ANSWER_503)
    with pytest.raises(LibcloudError) as caught:
        driver.list_containers()
    assert len(scene.proxy.requests) == attempts
    assert len(caught.value.history) == attempts
    assert all("503" in text for text in caught.value.history)
    assert (caught.value.http_status, caught.value.code) == (503, "SlowDown")
    assert caught.value.request_id == "tx-injected"


def test_the_history_tells_different_failures(scene, driver):
    """Each attempt's own failure is in the history, in order."""
    faults = itertools.chain(
        [plan.ANSWER_503, plan.RESET, plan.ANSWER_500, plan.LOSE], itertools.repeat(plan.HTML_502)
    )
    scene.proxy.plan = plan.Plan(lambda request: next(faults))
    with pytest.raises(LibcloudError) as caught:
        driver.list_containers()
    history = caught.value.history
    assert ["503" in history[0], "500" in history[2], "502" in history[4]] == [True] * 3
    assert len(set(history)) >= 4


def test_attempts_count_for_a_part_not_for_a_transfer(scene, driver):
    """Every part of an upload may fail four times."""
    failed = Counter()

    def choose(request):
        failed[request.target] += 1
        return plan.ANSWER_503 if failed[request.target] < ATTEMPTS else None

    scene.proxy.plan = plan.Plan(choose)
    stored = driver.upload_object_via_stream(iter([content(LARGE)]), scene.container(driver), "key")
    assert stored.size == LARGE
    assert scene.backend.get(scene.bucket, "key") == content(LARGE)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("RequestTimeout", 400),
        ("RequestTimeout", 408),
        ("BadDigest", 400),
        ("XAmzContentSHA256Mismatch", 400),
        ("OperationAborted", 409),
        ("ConcurrentModification", 409),
        ("Locked", 423),
        ("TooManyRequests", 429),
        ("InternalError", 500),
        ("UnknownError", 500),
        ("BadGateway", 502),
        ("SlowDown", 503),
        ("GatewayTimeout", 504),
    ],
)
def test_what_passes_is_tried_again(scene, driver, code, status):
    """A failure that passes by itself is not shown to the caller."""
    scene.proxy.plan = plan.once(plan.error_answer(code, status, code))
    body = content(1000)
    driver.upload_object_via_stream(iter([body]), scene.container(driver), "key")
    assert scene.backend.get(scene.bucket, "key") == body
    assert len(scene.proxy.seen("put")) == 2


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("AccessDenied", 403),
        ("QuotaExceeded", 403),
        ("SignatureDoesNotMatch", 403),
        ("InvalidAccessKeyId", 403),
        ("NoSuchBucket", 404),
        ("MethodNotAllowed", 405),
        ("EntityTooLarge", 400),
        ("PreconditionFailed", 412),
        ("NotImplemented", 501),
        ("InsufficientCapacity", 507),
    ],
)
def test_what_does_not_pass_is_not_tried_again(scene, driver, code, status):
    """A refusal is reported after one request."""
    scene.proxy.plan = plan.always(plan.error_answer(code, status, code))
    with pytest.raises(LibcloudError, match=code) as caught:
        driver.upload_object_via_stream(iter([b"x"]), scene.container(driver), "key")
    assert caught.value.code == code
    assert len(scene.proxy.requests) == 1


def test_what_is_missing_is_not_tried_again(scene, driver):
    """A missing object or container costs two requests at most, whatever the method."""
    with pytest.raises(ObjectDoesNotExistError):
        driver.get_object(scene.bucket, "missing")
    with pytest.raises(ContainerDoesNotExistError):
        driver.get_container("no-such-container-at-all")
    assert len(scene.proxy.requests) <= 4


def test_each_retry_is_logged(scene, driver, caplog):
    """Each retry writes one line at INFO to the logger libcloud_aurora."""
    caplog.set_level(logging.INFO, "libcloud_aurora")
    scene.proxy.plan = plan.times(3, plan.ANSWER_503)
    driver.get_container(scene.bucket)
    lines = [r for r in caplog.records if r.name == "libcloud_aurora" and r.levelname == "INFO"]
    assert len(lines) == 3
    assert all("503" in line.getMessage() for line in lines)


class Announced(logging.Handler):
    """Keeps the length of the pause that the log announces, and ends it before it begins."""

    seconds = -1.0

    def emit(self, record):
        self.seconds = float(re.search(r"next in ([0-9.]+) s", record.getMessage())[1])
        raise KeyboardInterrupt


@pytest.fixture
def announced(caplog):
    """The pause of this test, which nobody waits for."""
    caplog.set_level(logging.INFO, "libcloud_aurora")
    handler = Announced()
    logging.getLogger("libcloud_aurora").addHandler(handler)
    yield handler
    logging.getLogger("libcloud_aurora").removeHandler(handler)


def test_retry_after_is_honoured(scene, driver, announced):
    """The driver waits as many seconds as the server asks for."""
    scene.proxy.plan = plan.once(plan.ANSWER_503.after("7"))
    with pytest.raises(KeyboardInterrupt):
        driver.get_container(scene.bucket)
    assert announced.seconds == 7


def test_retry_after_is_honoured_as_a_date(scene, driver, announced):
    """The server may name the moment instead of the seconds."""
    moment = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=10), usegmt=True)
    scene.proxy.plan = plan.once(plan.ANSWER_503.after(moment))
    with pytest.raises(KeyboardInterrupt):
        driver.get_container(scene.bucket)
    assert 3 <= announced.seconds <= 10


@pytest.mark.parametrize(
    "text", ["soon", "-5", "", "nan", "1e-400", "0x10", "\u00b2".encode().decode("latin-1")]
)
def test_a_senseless_retry_after_is_ignored(scene, driver, announced, text):
    """A Retry-After that is no number of seconds does no harm."""
    scene.proxy.plan = plan.once(plan.ANSWER_503.after(text))
    with pytest.raises(KeyboardInterrupt):
        driver.get_container(scene.bucket)
    assert 0 <= announced.seconds < 1


@pytest.mark.parametrize("text", ["86400", "inf", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_retry_after_is_capped(scene, driver, announced, text):
    """No server can make the driver wait longer than the policy's longest pause."""
    scene.proxy.plan = plan.once(plan.ANSWER_503.after(text))
    with pytest.raises(KeyboardInterrupt):
        driver.get_container(scene.bucket)
    assert announced.seconds <= RetryPolicy().max_delay_seconds


@pytest.mark.parametrize("fault", [plan.CUT_UP, plan.EARLY_503, plan.LOSE, plan.FLIP_UP])
def test_bodies_are_sent_again_from_the_first_byte(scene, driver, fault):
    """A body that was cut, refused or damaged on its way is sent again whole."""
    body = content(3 * MIB)
    path = scene.file("source", body)
    scene.proxy.plan = plan.once(fault, plan.is_any("put"))
    driver.upload_object(path, scene.container(driver), "key")
    assert scene.backend.get(scene.bucket, "key") == body
    assert [r.body_length for r in scene.proxy.seen("put")] == [len(body)] * 2


def test_a_stalled_upload_ends(scene):
    """A server that stops reading is given up after the timeout, as is one that never answers."""
    driver = scene.driver(timeout=1, ex_max_attempts=2)
    scene.proxy.plan = plan.always(plan.STALL_UP)
    path = scene.file("source", content(LARGE))
    with pytest.raises(LibcloudError, match=r"(?i)time") as caught:
        driver.upload_object(path, scene.container(driver), "key")
    assert len(caught.value.history) == 2
    scene.may_leave_empty_uploads = len(scene.proxy.seen("initiate")) > 1  # the first took too long
    scene.proxy.plan = plan.never()
    scene.proxy.released.set()


def test_nobody_listens(scene):
    """A refused connection is an error of the network after all attempts."""
    driver = scene.driver(port=1, ex_max_attempts=2)
    with pytest.raises(LibcloudError, match=r"(?i)refused") as caught:
        driver.list_containers()
    assert len(caught.value.history) == 2
