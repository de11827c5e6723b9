"""_retry: which failures pass, how long to wait, and the one loop that tries again."""

import logging

import pytest

from libcloud_aurora._retry import PROGRESS_SIZE, Retrier, is_transient
from libcloud_aurora._threads import Stop
from libcloud_aurora.config import RetryPolicy
from libcloud_aurora.errors import (
    AuroraObjectsError,
    MalformedAnswerError,
    NetworkError,
    NetworkTimeoutError,
)


def failure(code=None, status=None, retry_after=0.0):
    error = AuroraObjectsError(f"{code} {status}", code=code, http_status=status)
    error.retry_after = retry_after
    return error


class Operation:
    """Fails with each error in turn, then returns its number of calls."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.calls = 0

    def __call__(self):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return self.calls


@pytest.fixture
def pauses():
    return []


@pytest.fixture
def retrier(pauses):
    return Retrier(RetryPolicy(), sleep=pauses.append, fraction=lambda: 1.0)


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
def test_failures_that_pass_are_transient(code, status):
    """A server that is busy, or got a damaged body, may be asked again."""
    assert is_transient(failure(code, status))


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
        (None, None),
    ],
)
def test_failures_that_stay_are_final(code, status):
    """What the same request would meet again is not asked again."""
    assert not is_transient(failure(code, status))


def test_a_put_that_meets_no_such_key_is_transient():
    """radosgw answers a PUT whose body was cut off with NoSuchKey; only then it passes."""
    assert is_transient(failure("NoSuchKey", 404), "PUT")
    assert not is_transient(failure("NoSuchBucket", 404), "PUT")


@pytest.mark.parametrize("kind", [NetworkError, NetworkTimeoutError, MalformedAnswerError])
def test_broken_connections_and_answers_are_transient(kind):
    """A request without a proper answer is sent again, unless the certificate is wrong."""
    error = kind("broken")
    assert is_transient(error)
    error.is_final = True
    assert not is_transient(error)


def test_success_at_once_needs_no_pause(retrier, pauses):
    """An operation that succeeds is called once."""
    assert retrier.run(Operation()) == (1, ())
    assert pauses == []


def test_passing_failures_are_survived(retrier, pauses):
    """After four passing failures the fifth attempt succeeds, with the pauses of the policy."""
    errors = [failure("SlowDown", 503) for _ in range(4)]
    result, history = retrier.run(Operation(*errors))
    assert result == 5
    assert history == ("SlowDown 503",) * 4
    assert pauses == [0.5, 1.0, 2.0, 4.0]


def test_the_last_error_carries_the_history(retrier, pauses):
    """When the attempts are used up, the last error comes, with a text for each attempt."""
    errors = [failure("SlowDown", 503) for _ in range(4)] + [failure("InternalError", 500)]
    operation = Operation(*errors)
    with pytest.raises(
        AuroraObjectsError, match=r"InternalError 500 \(after 5 attempts\)"
    ) as caught:
        retrier.run(operation)
    assert caught.value.history == ("SlowDown 503",) * 4 + ("InternalError 500",)
    assert operation.calls == 5
    assert len(pauses) == 4


def test_final_failures_are_not_repeated(retrier, pauses):
    """A failure that stays is raised after one attempt, or after the passing ones before it."""
    operation = Operation(failure("SlowDown", 503), failure("AccessDenied", 403))
    with pytest.raises(AuroraObjectsError, match="AccessDenied"):
        retrier.run(operation)
    assert operation.calls == 2
    assert pauses == [0.5]


def test_other_exceptions_pass_through(retrier, pauses):
    """What is no failure of a request is not caught."""
    with pytest.raises(ZeroDivisionError):
        retrier.run(Operation(ZeroDivisionError()))
    assert pauses == []


def test_the_number_of_attempts_can_be_given(retrier):
    """A caller may ask for one attempt only."""
    operation = Operation(failure("SlowDown", 503))
    with pytest.raises(AuroraObjectsError):
        retrier.run(operation, attempts=1)
    assert operation.calls == 1


def test_the_method_decides_about_no_such_key(retrier):
    """A PUT is repeated after NoSuchKey."""
    assert retrier.run(Operation(failure("NoSuchKey", 404)), method="PUT")[0] == 2


def test_the_servers_wish_makes_the_pause_longer(retrier, pauses):
    """Retry-After of 3 seconds is waited for, one of an hour is capped at 20 seconds."""
    retrier.run(Operation(failure("SlowDown", 503, 3.0), failure("SlowDown", 503, 3600.0)))
    assert pauses == [3.0, 20.0]


@pytest.mark.parametrize(("moved", "expected"), [(PROGRESS_SIZE, 21), (PROGRESS_SIZE - 1, 5)])
def test_attempts_that_get_on_start_the_count_anew(retrier, moved, expected):
    """An attempt that moved a mebibyte was worth it, so a long transfer survives many breaks."""
    position = 0

    class Breaking(Operation):
        def __call__(self):
            nonlocal position
            position += moved
            return super().__call__()

    operation = Breaking(*(failure("SlowDown", 503) for _ in range(20)))
    try:
        retrier.run(operation, progress=lambda: position)
    except AuroraObjectsError:
        assert expected == 5
    assert operation.calls == expected


def test_each_retry_is_a_line_of_the_log(retrier, caplog):
    """One line at INFO says which attempt failed, why, and how long the pause is."""
    caplog.set_level(logging.INFO, "libcloud_aurora")
    retrier.run(Operation(failure("SlowDown", 503)))
    assert [record.getMessage() for record in caplog.records] == [
        "attempt 1 failed, next in 0.50 s: SlowDown 503"
    ]


def test_a_pause_ends_with_the_transfer(retrier):
    """Once a transfer is stopped, its retries end with the failure they were about."""
    stop = Stop()
    stop.set()
    operation = Operation(failure("SlowDown", 503, retry_after=20.0))
    with pytest.raises(AuroraObjectsError, match="SlowDown"):
        retrier.stopping_with(stop).run(operation)
    assert operation.calls == 1


def test_a_pause_of_a_running_transfer_is_waited_for(pauses):
    """While a transfer runs, its retries go on."""
    policy = RetryPolicy(delay_seconds=0)
    retrier = Retrier(policy).stopping_with(Stop())
    assert retrier.run(Operation(failure("SlowDown", 503)))[0] == 2
    assert retrier.policy is policy
