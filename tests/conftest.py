"""What holds for every tier: its order, its sockets, its patience, and what coverage counts."""

import gc
import os
import signal
import sys
from pathlib import Path

import coverage
import hypothesis
import pytest
from keyboard import Keyboard

TIERS = ("unit", "faults", "upstream", "docs", "live", "clients")
COVERED = ("unit", "faults")
AUTHORITIES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
LOOPBACK = ["127.0.0.1", "::1", "localhost"]

# How fast an example runs says more about what else the machine does than about the package.
hypothesis.settings.register_profile(
    "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("patient")


def tier_of(item):
    """Return the name of the directory below tests/ that a test is in."""
    return item.path.relative_to(Path(__file__).parent).parts[0]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Run the quick tiers first; those with mocks open no socket, others reach this machine."""
    items.sort(key=lambda item: TIERS.index(tier_of(item)))
    for item in items:
        tier = tier_of(item)
        if tier in ("faults", "live"):
            item.add_marker(tier)
        if tier in ("unit", "upstream"):
            item.add_marker("disable_socket")
        else:
            item.add_marker(pytest.mark.allow_hosts(LOOPBACK))


def pytest_collection_finish():
    """Let collectors pass over what lives as long as the session: the modules and their tests."""
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item):
    """Stop measuring coverage after the tiers that must reach all of the package by themselves."""
    measuring = coverage.Coverage.current()
    if measuring is not None and tier_of(item) not in COVERED:
        measuring.stop()


def pytest_configure(config):
    """
    Let Ctrl-C reach the tests, and what they start, also where a shell started them with ``&``.

    A shell without job control makes such programs ignore it, and so would all that they start.
    Nor do they get this machine's proxies or authorities.
    """
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.upper() in AUTHORITIES:
            del os.environ[name]
    if sys.version_info < (3, 13):
        # There, ssl leaves a socket to the collector if Ctrl-C or a reset ends its handshake.
        warning = "ignore:unclosed <ssl.SSLSocket:ResourceWarning"
        config.addinivalue_line("filterwarnings", warning)
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def keyboard():
    """A keyboard whose Ctrl-C works for the whole test."""
    keyboard = Keyboard()
    with keyboard.at_hand():
        yield keyboard


@pytest.fixture
def hasty_threads():
    """Threads that take turns as often as they can, so that races show."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)
