"""config: settings, checked when they are made, alone and as the driver's arguments."""

import copy
import inspect
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libcloud_aurora import AuroraObjectsStorageDriver
from libcloud_aurora.config import RetryPolicy, Settings, check_number

DEFAULTS = {
    "key": "key",
    "secret": "top-secret",
    "secure": True,
    "host": "o.auroraobjects.eu",
    "port": None,
    "api_version": None,
    "region": None,
    "token": None,
    "timeout": None,
    "retry_delay": None,
    "backoff": None,
    "proxy_url": None,
    "ex_part_size": 5_242_880,
    "ex_max_concurrency": None,
    "ex_max_attempts": 5,
    "ex_verify": True,
    "ex_verify_ssl": True,
    "ex_allow_plain_keys": False,
    "ex_anonymous": False,
}


def settings(**changed):
    return Settings.of({**DEFAULTS, **changed})


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


@pytest.mark.parametrize(
    ("attempt", "fraction", "expected"),
    [(1, 1, 0.5), (1, 0, 0.25), (2, 1, 1), (3, 0.5, 1.5), (6, 1, 16), (7, 1, 20), (100, 0, 10)],
)
def test_pauses_grow_with_jitter_up_to_the_cap(attempt, fraction, expected):
    """The pause is from a half to all of a bound that doubles from half a second to 20 seconds."""
    assert RetryPolicy().pause_seconds(attempt, fraction=fraction) == expected


@pytest.mark.parametrize(("attempts", "seconds"), [(RetryPolicy().max_attempts, 3.5), (10, 45)])
def test_a_restart_is_sat_out(attempts, seconds):
    """Whatever the dice say, the attempts take longer than a server needs to start again."""
    policy = RetryPolicy(attempts)
    pauses = [policy.pause_seconds(each, fraction=0) for each in range(1, attempts)]
    assert sum(pauses) > seconds


@pytest.mark.parametrize(("retry_after", "expected"), [(0, 0.375), (3, 3), (20, 20), (86_400, 20)])
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


@pytest.mark.parametrize("value", [settings(), settings().retry, settings().transfer])
def test_settings_are_frozen_and_have_names(value):
    """A setting is given by its name, cannot be changed, and a misspelt one is an error."""
    with pytest.raises(TypeError):
        type(value)(max_attempt=7)
    with pytest.raises(AttributeError):
        value.max_attempt = 7
    with pytest.raises(AttributeError):
        setattr(value, value._fields[0], 7)


# The driver's arguments


def test_the_defaults_are_the_documented_ones():
    """Without arguments: parts of 5 MiB, 16 or ten at once, verified; five attempts."""
    made = settings()
    assert (made.transfer.part_size, made.transfer.verify) == (5_242_880, True)
    assert (made.transfer.file_concurrency, made.transfer.stream_concurrency) == (16, 10)
    assert (made.retry.max_attempts, made.retry.delay_seconds, made.retry.backoff) == (5, 0.5, 2.0)


def test_these_are_the_constructors_arguments():
    """Every argument of the constructor is checked here, by its own name and default."""
    parameters = dict(inspect.signature(AuroraObjectsStorageDriver).parameters)
    parameters.pop("unknown")
    assert list(parameters) == list(DEFAULTS)
    defaults = {name: parameter.default for name, parameter in parameters.items()}
    filled_in = {"key": "", "secret": None, "host": None}
    assert defaults == {**DEFAULTS, **filled_in}


def test_a_given_concurrency_is_for_files_and_streams():
    """Who asks for a number of requests gets it everywhere."""
    transfer = settings(ex_max_concurrency=3).transfer
    assert (transfer.file_concurrency, transfer.stream_concurrency) == (3, 3)


def test_given_numbers_reach_the_policies():
    """Delay, back-off and attempts, parts and concurrency are those given."""
    made = settings(
        retry_delay=0,
        backoff=3,
        ex_max_attempts=2,
        ex_part_size=8_388_608,
        ex_max_concurrency=1,
        ex_verify=False,
    )
    assert (made.retry.max_attempts, made.retry.delay_seconds, made.retry.backoff) == (2, 0, 3)
    assert (made.transfer.part_size, made.transfer.verify) == (8_388_608, False)
    assert (made.transfer.file_concurrency, made.transfer.stream_concurrency) == (1, 1)


@pytest.mark.parametrize("name", ["key", "secret", "token"])
@pytest.mark.parametrize("value", ["hidden\n", " hidden", "hid\tden", "hidden\r\n", "hidden\x7f"])
def test_a_line_end_in_a_credential_is_found_at_once(name, value):
    """A key read with its line end is refused where it is given, and is not shown."""
    with pytest.raises(ValueError, match=f"{name} has characters that cannot be sent") as caught:
        settings(**{name: value})
    assert "hid" not in str(caught.value)


@pytest.mark.parametrize("name", ["key", "token"])
def test_what_is_sent_is_ascii(name):
    """What goes into a header is ASCII; a secret, which is only signed with, may be any text."""
    with pytest.raises(ValueError, match=name):
        settings(**{name: "żółw"})
    assert settings(secret="żółw and more").arguments["secret"] == "żółw and more"
    assert settings(key="api key").arguments["key"] == "api key"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("key", ""),
        ("key", None),
        ("key", 7),
        ("secret", ""),
        ("secret", None),
        ("secret", b"bytes"),
        ("host", ""),
        ("host", None),
        ("host", "https://o.auroraobjects.eu"),
        ("host", "o.auroraobjects.eu/path"),
        ("host", "user@o.auroraobjects.eu"),
        ("host", "o.auroraobjects.eu?x"),
        ("host", "o auroraobjects"),
        ("host", "localhost:8080"),
        ("host", "."),
        ("region", "eu-1\n"),
        ("region", "północ"),
        ("region", "a/b"),
        ("region", 1),
        ("port", 0),
        ("port", 65_536),
        ("port", -1),
        ("port", "http"),
        ("port", [80]),
        ("timeout", 0),
        ("timeout", -1),
        ("timeout", "60"),
        ("timeout", float("nan")),
        ("timeout", float("inf")),
        ("retry_delay", -0.1),
        ("retry_delay", float("nan")),
        ("backoff", 0.9),
        ("backoff", 1e200),
        ("backoff", "2"),
        ("ex_part_size", None),
        ("ex_part_size", 5_242_879),
        ("ex_part_size", 5_368_709_121),
        ("ex_part_size", 6e6),
        ("ex_part_size", "5"),
        ("ex_max_concurrency", 0),
        ("ex_max_concurrency", 257),
        ("ex_max_concurrency", 1.5),
        ("ex_max_attempts", None),
        ("ex_max_attempts", 0),
        ("ex_max_attempts", 101),
        ("ex_max_attempts", 2.0),
        ("secure", None),
        ("secure", ""),
        ("secure", "false"),
        ("ex_verify", 1),
        ("ex_verify", "yes"),
        ("ex_allow_plain_keys", None),
        ("ex_allow_plain_keys", 1),
        ("ex_verify_ssl", None),
        ("ex_verify_ssl", 1),
        ("ex_verify_ssl", "/no/such/ca.pem"),
    ],
)
def test_wrong_values_are_refused_by_name(name, value):
    """Every wrong argument is a ValueError that names it."""
    with pytest.raises(ValueError, match=f"^{name} must be"):
        settings(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("region", ""),
        ("region", "eu-1"),
        ("port", 8080),
        ("port", "8080"),
        ("port", 65_535),
        ("host", "localhost"),
        ("host", "::1"),
        ("host", "127.0.0.1"),
        ("timeout", 0.5),
        ("timeout", 3600),
        ("ex_verify_ssl", False),
        ("ex_verify_ssl", __file__),
        ("ex_allow_plain_keys", True),
    ],
)
def test_right_values_are_accepted(name, value):
    """Arguments in range are kept as they are."""
    assert settings(**{name: value}).arguments == {**DEFAULTS, name: value}


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ("O.AuroraObjects.EU", "o.auroraobjects.eu"),
        ("localhost.", "localhost"),
        ("2001:DB8::1", "2001:db8::1"),
        ("fe80::1%Eth0", "fe80::1%Eth0"),
    ],
)
def test_a_host_has_one_spelling(given, host):
    """A host's name goes out in lower case, and without a dot at its end."""
    assert settings(host=given).arguments["host"] == host


def test_the_secret_is_in_no_repr_nor_in_an_error():
    """No repr shows a secret, token or proxy password, and errors do not quote a wrong secret."""
    given = {"token": "the-token", "proxy_url": "http://user:password@proxy:8080"}
    shown = repr(settings(**given)) + repr(AuroraObjectsStorageDriver("key", "top-secret", **given))
    assert "top-secret" not in shown
    assert "the-token" not in shown
    assert "password" not in shown
    with pytest.raises(ValueError, match="secret") as caught:
        settings(secret=b"top-secret")
    assert "top-secret" not in str(caught.value)


def test_settings_keep_their_own_arguments():
    """What the caller does to the arguments afterwards changes no setting."""
    arguments = dict(DEFAULTS)
    made = Settings.of(arguments)
    arguments["region"] = "eu"
    assert made.arguments == DEFAULTS


def pickled(thing):
    return pickle.loads(pickle.dumps(thing))  # noqa: S301


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickled])
def test_settings_travel(copied):
    """A copy of settings, pickled or not, holds the same."""
    twin = copied(settings(port=8080, ex_max_concurrency=3, ex_max_attempts=2, retry_delay=0))
    assert twin.arguments["port"] == 8080
    assert (twin.transfer.file_concurrency, twin.transfer.stream_concurrency) == (3, 3)
    assert (twin.retry.max_attempts, twin.retry.delay_seconds) == (2, 0)
    assert Settings.of(twin.arguments).arguments == twin.arguments


def test_only_libclouds_arguments_go_to_libcloud():
    """libcloud's driver is made with every argument it knows, and no other."""
    own = {"token", *(name for name in DEFAULTS if name.startswith("ex_"))}
    passed = settings(port=8080).libcloud_arguments()
    assert passed == {
        name: value for name, value in {**DEFAULTS, "port": 8080}.items() if name not in own
    }


def test_unknown_arguments_warn():
    """Each unknown argument is a warning that names it, and points at the caller."""
    with pytest.warns(UserWarning, match="ignores") as caught:
        AuroraObjectsStorageDriver("key", "secret", project="x", profile="y")
    assert [str(warning.message) for warning in caught] == [
        "AuroraObjects ignores the unknown argument 'project'",
        "AuroraObjects ignores the unknown argument 'profile'",
    ]
    assert {warning.filename for warning in caught} == {__file__}
