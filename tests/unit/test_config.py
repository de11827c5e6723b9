"""config: frozen settings, checked when they are made."""

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libcloud_aurora.config import RetryPolicy, TransferConfig, check_number


@pytest.mark.parametrize(
    ("value", "low", "high", "integer"),
    [(1, 1, 1, True), (0, 0, 5, False), (2.5, 0, 5, False), (10**30, 0, float("inf"), True)],
)
def test_numbers_in_range_pass(value, low, high, integer):
    """A number in the range is no error."""
    check_number("x", value, low=low, high=high, integer=integer)


@pytest.mark.parametrize("value", [0, 6, True, "3", None, 2.5, float("nan"), [1]])
def test_other_values_are_refused_by_name(value):
    """What is no integer in the range is an error with the argument's name, limits and value."""
    with pytest.raises(ValueError, match="count must be an integer from 1 to 5, not") as caught:
        check_number("count", value, low=1, high=5, integer=True)
    assert repr(value) in str(caught.value)


def test_a_limit_without_end_is_worded_so():
    """A range without an upper end says "of at least"."""
    with pytest.raises(ValueError, match="x must be a number of at least 3, not 2"):
        check_number("x", 2, low=3)


def test_the_defaults_are_the_documented_ones():
    """Without arguments: parts of 5 MiB, 16 or ten at once, verified; five attempts."""
    transfer, retry = TransferConfig(), RetryPolicy()
    assert (transfer.part_size, transfer.verify) == (5_242_880, True)
    assert (transfer.file_concurrency, transfer.stream_concurrency) == (16, 10)
    assert (retry.max_attempts, retry.delay_seconds, retry.backoff) == (5, 0.5, 2.0)


def test_a_given_concurrency_is_for_files_and_streams():
    """Who asks for a number of requests gets it everywhere."""
    transfer = TransferConfig(max_concurrency=3)
    assert (transfer.file_concurrency, transfer.stream_concurrency) == (3, 3)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("ex_part_size", {"part_size": 5_242_879}),
        ("ex_part_size", {"part_size": 5_368_709_121}),
        ("ex_part_size", {"part_size": 6e6}),
        ("ex_max_concurrency", {"max_concurrency": 0}),
        ("ex_max_concurrency", {"max_concurrency": 257}),
        ("ex_verify", {"verify": 1}),
    ],
)
def test_wrong_transfer_settings_name_the_drivers_argument(name, arguments):
    """The error of a wrong transfer setting names the constructor's argument."""
    with pytest.raises(ValueError, match=name):
        TransferConfig(**arguments)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("ex_max_attempts", {"max_attempts": 0}),
        ("ex_max_attempts", {"max_attempts": 101}),
        ("ex_max_attempts", {"max_attempts": 2.0}),
        ("retry_delay", {"delay_seconds": -0.1}),
        ("retry_delay", {"delay_seconds": float("nan")}),
        ("backoff", {"backoff": 0.9}),
        ("backoff", {"backoff": 1e200}),
        ("backoff", {"backoff": "2"}),
    ],
)
def test_wrong_retry_settings_name_the_drivers_argument(name, arguments):
    """The error of a wrong retry setting names the constructor's argument."""
    with pytest.raises(ValueError, match=name):
        RetryPolicy(**arguments)


@pytest.mark.parametrize("kind", [TransferConfig, RetryPolicy])
def test_settings_are_frozen_and_keyword_only(kind):
    """Settings cannot be changed, nor made by position."""
    made = kind()
    for name in (*made._fields, "other"):
        with pytest.raises(AttributeError):
            setattr(made, name, 7)
    with pytest.raises(TypeError):
        kind(7)


@pytest.mark.parametrize(
    ("attempt", "fraction", "expected"),
    [(1, 1, 0.5), (1, 0, 0), (2, 1, 1), (3, 0.5, 1), (6, 1, 16), (7, 1, 20), (100, 1, 20)],
)
def test_pauses_grow_with_full_jitter_up_to_the_cap(attempt, fraction, expected):
    """The pause is a random share of a bound that doubles from half a second to 20 seconds."""
    assert RetryPolicy().pause_seconds(attempt, fraction=fraction) == expected


@pytest.mark.parametrize(("retry_after", "expected"), [(0, 0.25), (3, 3), (20, 20), (86_400, 20)])
def test_the_servers_wish_is_honoured_and_capped(retry_after, expected):
    """Retry-After is the least pause, and never more than the cap."""
    assert RetryPolicy().pause_seconds(1, fraction=0.5, retry_after=retry_after) == expected


@given(
    st.floats(0, 20),
    st.floats(1, 100),
    st.integers(1, 100),
    st.floats(0, 1),
    st.floats(0),
)
def test_no_accepted_setting_makes_a_pause_longer_than_the_cap(
    delay, backoff, attempt, fraction, retry_after
):
    """Whatever is accepted as a setting, a pause is from 0 to 20 seconds."""
    policy = RetryPolicy(delay_seconds=delay, backoff=backoff, max_attempts=100)
    pause = policy.pause_seconds(attempt, fraction=fraction, retry_after=retry_after)
    assert 0 <= pause <= 20


@pytest.mark.parametrize("made", [TransferConfig(max_concurrency=3), RetryPolicy(max_attempts=2)])
def test_settings_travel(made):
    """Settings can be pickled and copied."""
    assert pickle.loads(pickle.dumps(made)) == copy.deepcopy(made) == made  # noqa: S301
