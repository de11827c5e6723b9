"""_s3.signing: what servers say about time, and this machine's clock corrected by it."""

import sys
import threading
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from libcloud_aurora._s3 import signing

NOON = datetime(2026, 7, 1, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Wed, 01 Jul 2026 12:00:00 GMT", NOON),
        ("Wed, 01 Jul 2026 14:00:00 +0200", NOON),
        ("", None),
        (None, None),
        ("yesterday", None),
        ("Wed, 99 Jul 2026 12:00:00 GMT", None),
    ],
)
def test_times_in_headers(text, expected):
    """A Date header is read as UTC, anything else is no time."""
    assert signing.http_time(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-07-01T12:00:00.000Z", NOON),
        ("2026-07-01T12:00:00Z", NOON),
        ("2026-07-01T14:00:00+02:00", NOON),
        ("2026-07-01T12:00:00", NOON),
        ("", None),
        (None, None),
        ("soon", None),
    ],
)
def test_times_in_documents(text, expected):
    """A time in a document has a zone, UTC if it names none; anything else is no time."""
    assert signing.moment(text) == expected


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        ({"retry-after": "3"}, 3),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "-1"}, 0),
        ({"retry-after": "²"}, 0),
        ({"retry-after": "1.5"}, 0),
        ({"retry-after": "Wed, 01 Jul 2026 12:00:09 GMT"}, 0),
        (
            {
                "retry-after": "Wed, 01 Jul 2026 12:00:09 GMT",
                "date": "Wed, 01 Jul 2026 12:00:00 GMT",
            },
            9,
        ),
        (
            {
                "retry-after": "Wed, 01 Jul 2026 11:00:00 GMT",
                "date": "Wed, 01 Jul 2026 12:00:00 GMT",
            },
            0,
        ),
    ],
)
def test_retry_after_is_seconds_or_a_date(headers, seconds):
    """Retry-After is a number of seconds, or a date compared with the server's own."""
    assert signing.seconds_to_wait(headers) == seconds


def test_the_clock_is_this_machines_at_first():
    """Without a correction the clock tells this machine's time."""
    before = datetime.now(timezone.utc)
    assert before <= signing.Clock().now() <= datetime.now(timezone.utc)


@pytest.mark.parametrize("hours", [-1, 1, 24])
def test_the_clock_follows_the_server(hours):
    """A clock that is hours wrong goes by the server's; a second time changes nothing."""
    clock = signing.Clock()
    date = datetime.now(timezone.utc) + timedelta(hours=hours)
    assert clock.correct(format_datetime(date, usegmt=True), clock.now())
    assert abs(clock.now() - date) < timedelta(seconds=5)
    assert not clock.correct(format_datetime(date, usegmt=True), clock.now())


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_a_date_that_cannot_be_read_changes_nothing(date):
    """Without a readable Date header there is nothing to correct."""
    clock = signing.Clock()
    assert not clock.correct(date, clock.now())


@given(st.text(max_size=40) | st.datetimes().map(format_datetime))
@example("Fri, 31 Dec 9999 23:59:59 GMT")
@example("Mon, 01 Jan 0001 00:00:00 GMT")
@example("Mon, 01 Jan 0001 00:00:00 +2359")
def test_no_date_breaks_the_clock(date):
    """Whatever a server sends as Date, the clock still tells a time that can be signed."""
    clock = signing.Clock()
    clock.correct(date, clock.now())
    (clock.now() + timedelta(days=7)).strftime("%Y%m%dT%H%M%SZ")
    clock.correct(date, clock.now())


@given(st.text(max_size=30), st.text(max_size=30))
@example("Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 01 Jan 0001 00:00:00 GMT")
def test_any_retry_after_is_a_number(retry_after, date):
    """Whatever a server sends as Retry-After, it is a number of seconds, 0 or more."""
    assert signing.seconds_to_wait({"retry-after": retry_after, "date": date}) >= 0


@pytest.mark.parametrize("hours", [-1, 1, 24])
def test_a_request_signed_before_the_correction_is_worth_sending_again(hours):
    """What counts is the time a request was signed with, not who corrected the clock first."""
    clock = signing.Clock()
    signed = clock.now()
    date = signed + timedelta(hours=hours)
    said = format_datetime(date, usegmt=True)
    assert clock.correct(said, signed)
    assert clock.correct(said, signed)
    assert abs(clock.now() - date) < timedelta(seconds=5)
    assert not clock.correct(said, clock.now())


def test_a_correction_can_be_taken_back():
    """A correction that the server has not believed is undone, but not the one before it."""
    clock = signing.Clock()
    first = datetime.now(timezone.utc) + timedelta(hours=1)
    clock.correct(format_datetime(first, usegmt=True), clock.now())
    second = first + timedelta(hours=24)
    clock.correct(format_datetime(second, usegmt=True), clock.now())
    clock.restore()
    clock.restore()
    assert abs(clock.now() - first) < timedelta(seconds=5)


def test_threads_that_correct_at_once_do_not_correct_twice():
    """Many corrections by the same Date at once are one correction."""
    clock, together = signing.Clock(), threading.Barrier(16)
    signed = clock.now()
    said = format_datetime(signed + timedelta(hours=1), usegmt=True)
    worth = []

    def correct():
        together.wait(10)
        worth.append(clock.correct(said, signed))

    threads = [threading.Thread(target=correct) for _ in range(16)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    finally:
        sys.setswitchinterval(interval)
    assert worth == [True] * 16
    assert abs(clock.now() - signed - timedelta(hours=1)) < timedelta(seconds=5)
