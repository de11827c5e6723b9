"""_wire.retry: which failures are transient, how long to wait, and the loop that tries again."""

import contextlib
import logging
import threading

import pytest
from unit.memory_s3 import Answer, error

from libcloud_aurora._wire.retry import PROGRESS_SIZE, Retrier, Stop
from libcloud_aurora.config import RetryPolicy
from libcloud_aurora.errors import AuroraObjectsError, NetworkError, NetworkTimeoutError

SLOW = error(503, "SlowDown")


@pytest.fixture
def pauses(driver):
    """The pauses of this driver's connection, which are not waited for."""
    made = []
    driver.connection.retrier = Retrier(
        RetryPolicy(), sleep=lambda stop, seconds: made.append(seconds), fraction=lambda: 1.0
    )
    return made


@pytest.fixture
def request_photo(s3, driver):
    """Send a request that meets these answers in turn, before the object that is there."""
    s3.put("k", b"x")

    def request_photo(*answers, method="GET", **arguments):
        for answer in answers:
            s3.fail(1, answer)
        return driver.connection.request("/photos/k", method=method, **arguments)

    return request_photo


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("RequestTimeout", 400),
        ("BadDigest", 400),
        ("XAmzContentSHA256Mismatch", 400),
        ("OperationAborted", 409),
        ("ConcurrentModification", 409),
        ("SlowDown", 503),
        ("InternalError", 500),
        ("UnknownError", 500),
        ("BadGateway", 502),
        ("ServiceUnavailable", 503),
        ("GatewayTimeout", 504),
        ("TooManyRequests", 429),
        ("Locked", 423),
        ("RequestTimeout", 408),
    ],
)
def test_transient_failures_are_overcome(s3, request_photo, code, status):
    """A server that is busy, or got a damaged body, is asked again."""
    assert request_photo(error(status, code)).body == "x"
    assert len(s3.requests) == 2


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("AccessDenied", 403),
        ("NoSuchBucket", 404),
        ("NoSuchKey", 404),
        ("InvalidPart", 400),
        ("BucketNotEmpty", 409),
        ("PreconditionFailed", 412),
        ("InvalidRange", 416),
        ("NotImplemented", 501),
        ("RequestTimeTooSkewed", 403),
        ("MovedPermanently", 301),
    ],
)
def test_final_failures_are_not_repeated(s3, request_photo, pauses, code, status):
    """What the same request would meet again is not asked again, be it after other failures."""
    with pytest.raises(AuroraObjectsError, match=code):
        request_photo(error(status, code))
    assert len(s3.requests) == 1
    with pytest.raises(AuroraObjectsError, match=code) as caught:
        request_photo(SLOW, error(status, code))
    assert len(s3.requests) == 3
    assert (len(caught.value.history), pauses) == (2, [0.5])


@pytest.mark.parametrize(("data", "sent"), [(b"body", 2), (b"", 1)])
def test_a_put_that_meets_no_such_key_is_transient(s3, request_photo, data, sent):
    """radosgw answers a PUT whose body was cut off with NoSuchKey; only then it is transient."""
    is_final = pytest.raises(AuroraObjectsError, match="NoSuchKey")
    with is_final if sent == 1 else contextlib.nullcontext():
        request_photo(error(404, "NoSuchKey"), method="PUT", data=data)
    assert len(s3.requests) == sent


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (ConnectionResetError(104, "reset"), NetworkError),
        (TimeoutError("x"), NetworkTimeoutError),
    ],
)
def test_broken_connections_are_transient(s3, request_photo, cause, kind):
    """A request without a response is sent again, until the attempts are used up."""
    assert request_photo(*[cause] * 4).body == "x"
    with pytest.raises(kind, match="after 5 attempts"):
        request_photo(*[cause] * 5)
    assert len(s3.requests) == 10


def test_success_at_once_needs_no_pause(s3, request_photo, pauses):
    """A request that succeeds is sent once."""
    assert request_photo().body == "x"
    assert (len(s3.requests), pauses) == (1, [])


def test_pauses_grow(request_photo, pauses):
    """After four transient failures the fifth attempt succeeds, with the pauses of the policy."""
    assert request_photo(*[SLOW] * 4).body == "x"
    assert pauses == [0.5, 1.0, 2.0, 4.0]


def test_the_last_error_carries_the_history(s3, request_photo, pauses):
    """When the attempts are used up, the last error comes, with a text for each attempt."""
    with pytest.raises(
        AuroraObjectsError, match=r"InternalError \(HTTP 500\)\. \(after 5 attempts\)"
    ) as caught:
        request_photo(*[SLOW] * 4, error(500, "InternalError"))
    texts = [text.partition("failed: ")[2].partition(" ")[0] for text in caught.value.history]
    assert texts == ["SlowDown"] * 4 + ["InternalError"]
    assert (len(s3.requests), len(pauses)) == (5, 4)


def test_other_exceptions_pass_through(s3, request_photo, pauses):
    """What is no failure of a request is not caught."""
    with pytest.raises(ZeroDivisionError):
        request_photo(ZeroDivisionError())
    assert (len(s3.requests), pauses) == (1, [])


def test_a_request_may_be_sent_once_only(s3, request_photo):
    """A caller may ask for one attempt only."""
    with pytest.raises(AuroraObjectsError, match="SlowDown"):
        request_photo(SLOW, retry_failed=False)
    assert len(s3.requests) == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("3", 3.0),
        ("3600", 20.0),
        ("0", 0.5),
        ("", 0.5),
        ("-1", 0.5),
        ("soon", 0.5),
        ("²", 0.5),
        ("Wed, 01 Jul 2026 12:00:09 GMT", 9.0),
    ],
)
def test_the_servers_wish_makes_the_pause_longer(request_photo, pauses, header, seconds):
    """Retry-After, in seconds or as a date, is waited for, but no longer than 20 seconds."""
    headers = {"retry-after": header, "date": "Wed, 01 Jul 2026 12:00:00 GMT"}
    request_photo(Answer(503, b"", headers))
    assert pauses == [seconds]


def test_each_retry_is_a_line_of_the_log(request_photo, pauses, caplog):
    """One line at INFO says which attempt failed, why, and how long the pause is."""
    caplog.set_level(logging.INFO, "libcloud_aurora")
    request_photo(SLOW)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(
        "attempt 1 failed, next in 0.50 s: GET of object 'k' in container 'photos' failed: SlowDown"
    )


class Attempts:
    """Fails a number of times, then returns its number of calls."""

    def __init__(self, failures):
        self.failures = failures
        self.calls = 0
        self.failed = threading.Event()

    def __call__(self):
        self.calls += 1
        if self.calls > self.failures:
            return self.calls
        self.failed.set()
        raise AuroraObjectsError("slow down", code="SlowDown", http_status=503)


@pytest.mark.parametrize(("moved", "expected"), [(PROGRESS_SIZE, 21), (PROGRESS_SIZE - 1, 5)])
def test_attempts_that_get_on_start_the_count_anew(moved, expected):
    """An attempt that moved a mebibyte was worth it, so a long transfer survives many breaks."""
    attempts = Attempts(20)
    retrier = Retrier(RetryPolicy(delay_seconds=0))
    gives_up = pytest.raises(AuroraObjectsError, match="slow down")
    with gives_up if expected == 5 else contextlib.nullcontext():
        retrier.run(attempts, progress=lambda: moved * attempts.calls)
    assert attempts.calls == expected


def test_a_request_alone_has_nobody_to_share_with():
    """Where no others share its link, a request that times out has used up an attempt."""
    stop = Stop()
    assert stop.narrow("timed out", 0.0) is False
    assert not stop.is_set()


class Shared(Stop):
    """The sign of a transfer whose requests share a link."""

    def narrow(self, why, began):
        """Find a place among the others."""
        return True


def test_a_timeout_of_a_transfer_that_moves_is_no_attempt():
    """While other requests of its transfer get on, one that times out does so for free."""
    stop, calls = Shared(), []

    def attempt():
        calls.append(stop.moved)
        stop.moved += len(calls) <= 20
        raise NetworkTimeoutError("timed out")

    with pytest.raises(NetworkTimeoutError) as caught:
        Retrier(RetryPolicy(delay_seconds=0)).run(attempt, stop=stop)
    assert (len(calls), len(caught.value.history)) == (25, 5)


def test_another_failure_of_a_transfer_that_moves_is_an_attempt():
    """Only what was too slow gets another chance for what others have moved."""
    stop, attempts = Stop(), Attempts(20)

    def attempt():
        stop.moved += 1
        return attempts()

    with pytest.raises(AuroraObjectsError):
        Retrier(RetryPolicy(delay_seconds=0)).run(attempt, stop=stop)
    assert attempts.calls == 5


@pytest.mark.parametrize("early", [True, False])
def test_a_pause_ends_with_the_transfer(early):
    """Once a transfer is stopped, its retries end with the failure they were about."""
    stop, attempts, ends = Stop(), Attempts(2), []
    policy = RetryPolicy(delay_seconds=3600, max_delay_seconds=3600)
    retrier = Retrier(policy, fraction=lambda: 1.0)

    def run():
        with pytest.raises(AuroraObjectsError, match="slow down") as caught:
            retrier.run(attempts, stop=stop)
        ends.append(caught.value)

    if early:
        stop.set()
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert attempts.failed.wait(10)
    stop.set()
    thread.join(10)
    assert (len(ends), attempts.calls, stop.is_set()) == (1, 1, True)


def test_a_pause_of_a_running_transfer_is_waited_for():
    """While a transfer runs, its retries go on."""
    stop = Stop()
    assert Retrier(RetryPolicy(delay_seconds=0)).run(Attempts(1), stop=stop) == 2
    assert not stop.is_set()
