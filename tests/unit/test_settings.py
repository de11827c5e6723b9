"""_settings: the constructor's arguments, checked in one place."""

import pickle

import pytest

from libcloud_aurora._settings import Settings, warn_unknown

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
}


def settings(**changed):
    return Settings(**{**DEFAULTS, **changed})


def test_the_defaults_are_valid():
    """The defaults make credentials, a transfer and a retry policy."""
    made = settings(token="t")
    assert (made.credentials.access_key, made.credentials.secret_key) == ("key", "top-secret")
    assert made.credentials.token == "t"
    assert (made.transfer.part_size, made.transfer.max_concurrency) == (5_242_880, None)
    assert made.transfer.verify is True
    assert (made.retry.max_attempts, made.retry.delay_seconds, made.retry.backoff) == (5, 0.5, 2.0)


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
    assert (made.transfer.part_size, made.transfer.max_concurrency) == (8_388_608, 1)
    assert made.transfer.verify is False


@pytest.mark.parametrize("name", ["key", "secret", "token"])
@pytest.mark.parametrize("value", ["hidden\n", " hidden", "hid\tden", "hidden\r\n", "hidden\x7f"])
def test_a_line_end_in_a_credential_is_found_at_once(name, value):
    """A key read with its line end is refused where it is given, and is not shown."""
    with pytest.raises(ValueError, match=f"{name} holds what cannot be sent") as caught:
        settings(**{name: value})
    assert "hid" not in str(caught.value)


@pytest.mark.parametrize("name", ["key", "token"])
def test_what_is_sent_is_ascii(name):
    """What goes into a header is ASCII; a secret, which is only signed with, may be any text."""
    with pytest.raises(ValueError, match=name):
        settings(**{name: "żółw"})
    assert settings(secret="żółw and more").credentials.secret_key == "żółw and more"
    assert settings(key="api key").credentials.access_key == "api key"


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
        ("retry_delay", -1),
        ("backoff", 0.5),
        ("ex_part_size", 1_048_576),
        ("ex_part_size", "5"),
        ("ex_max_concurrency", 0),
        ("ex_max_concurrency", 1.5),
        ("ex_max_attempts", 0),
        ("ex_verify", "yes"),
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
    ],
)
def test_right_values_are_accepted(name, value):
    """Arguments in range are kept as they are."""
    assert getattr(settings(**{name: value}), name) == value


def test_the_secret_is_not_in_the_repr_nor_in_an_error():
    """The repr shows no secret, token or proxy password, and errors do not quote a wrong secret."""
    shown = repr(settings(token="the-token", proxy_url="http://user:password@proxy"))
    assert "top-secret" not in shown
    assert "the-token" not in shown
    assert "password" not in shown
    with pytest.raises(ValueError, match="secret") as caught:
        settings(secret=b"top-secret")
    assert "top-secret" not in str(caught.value)


def test_settings_are_frozen_and_pickle():
    """Settings cannot be changed, and a pickled copy is equal."""
    made = settings()
    for name in ("key", "other"):
        with pytest.raises(AttributeError):
            setattr(made, name, "other")
    assert pickle.loads(pickle.dumps(made)) == made  # noqa: S301


def test_arguments_make_the_same_settings():
    """What arguments() returns makes equal settings."""
    made = settings(port=8080, region="eu")
    assert made.arguments() == {**DEFAULTS, "port": 8080, "region": "eu"}
    assert Settings(**made.arguments()) == made


def test_unknown_arguments_warn():
    """Each unknown argument is a warning that names it."""
    with pytest.warns(UserWarning, match="does not know") as caught:
        warn_unknown({"project": "x", "profile": "y"})
    assert [str(warning.message) for warning in caught] == [
        "AuroraObjects does not know the argument 'project'",
        "AuroraObjects does not know the argument 'profile'",
    ]
