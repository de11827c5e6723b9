"""file-keeper: its libcloud adapter."""

import json
import os

import pytest
from clients.page import commands
from live.oracle import MIB, noise

SECTION = "file-keeper"
CONTAINER = "uploads"


@pytest.fixture(scope="module")
def storage(page):
    """The page's storage."""
    return page.storage


@pytest.fixture
def make_storage(page):
    """Make another storage of the page's kind, with some settings changed."""

    def make(**changes):
        settings = {
            "type": "file_keeper:libcloud",
            "provider": "auroraobjects",
            "key": os.environ["AURORA_ACCESS_KEY"],
            "secret": os.environ["AURORA_SECRET_KEY"],
            "container_name": CONTAINER,
        }
        return page.fk.make_storage("another", settings | changes)

    return make


def test_page(page, stored):
    """The file that the page uploads is below the page's path."""
    assert stored("public/hello.txt") == b"Hello"
    assert page.letter.size == 5


@pytest.mark.parametrize("size", [0, 1, 17 * MIB])
def test_upload_and_stream(page, storage, stored, size):
    """A file of any size is uploaded and streamed back."""
    body = noise(size)
    info = storage.upload(page.fk.types.Location(f"body-{size}"), page.fk.make_upload(body))
    assert info.size == size
    assert stored(f"public/body-{size}") == body
    assert b"".join(storage.stream(info)) == body
    assert storage.analyze(info.location).hash == info.hash


def test_scan_and_remove(page, storage):
    """What is uploaded is scanned; what is removed is not, and removing it again says so."""
    info = storage.upload(page.fk.types.Location("deep/gone.txt"), page.fk.make_upload(b"x"))
    assert "deep/gone.txt" in list(storage.scan())
    assert storage.remove(info) is True
    assert "deep/gone.txt" not in list(storage.scan())
    assert storage.exists(info) is False
    assert storage.remove(info) is False
    with pytest.raises(page.fk.exc.MissingFileError):
        b"".join(storage.stream(info))


def test_nothing_is_overwritten(page, storage):
    """A location that is taken is file-keeper's own error."""
    with pytest.raises(page.fk.exc.ExistingFileError):
        storage.upload(page.fk.types.Location("hello.txt"), page.fk.make_upload(b"x"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"params": {"host": "127.0.0.1", "port": 1, "ex_max_attempts": 1}}, "127.0.0.1"),
        ({"secret": "wrong"}, "uploads"),
        ({"container_name": "no-such-container"}, "no-such-container"),
    ],
    ids=["endpoint", "secret", "container"],
)
def test_bad_settings(page, make_storage, changes, message):
    """An endpoint nobody answers at, a wrong secret, no container: file-keeper's own error."""
    with pytest.raises(page.fk.exc.InvalidStorageConfigurationError, match=message):
        make_storage(**changes)


def test_container_is_made(make_storage, driver):
    """``initialize`` makes a container that is missing."""
    make_storage(container_name="made-by-file-keeper", initialize=True)
    driver.get_container("made-by-file-keeper").delete()


def test_options_of_ckan(page, stored):
    """The adapter, which CKAN's extends, takes the options that the page gives to CKAN."""
    [text] = [lines for command, lines in commands(SECTION) if command.startswith("cat ")]
    lines = [line.partition(" = ") for line in text.splitlines()]
    prefix = "ckan.files.storage.default."
    options = {
        name.removeprefix(prefix): value for name, _, value in lines if name.startswith(prefix)
    }
    assert options["type"] == "ckan:libcloud"
    storage = page.fk.make_storage(
        "default",
        options
        | {
            "type": "file_keeper:libcloud",
            "key": os.environ["AURORA_ACCESS_KEY"],
            "secret": os.environ["AURORA_SECRET_KEY"],
            "params": json.loads(options["params"]),
        },
    )
    storage.upload(page.fk.types.Location("resources/abc"), page.fk.make_upload(b"of CKAN"))
    assert stored("portal/resources/abc") == b"of CKAN"
