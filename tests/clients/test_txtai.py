"""txtai: indexes in an object store; its cloud module alone, without models."""

import tarfile

import pytest
from live.oracle import MIB, noise

SECTION = "txtai"
CONTAINER = "indexes"
pytestmark = pytest.mark.usefixtures("alone")


def test_page(page, stored):
    """The index that the page saves is stored, and loaded again."""
    assert stored("first/index.tar.gz")[:2] == b"\x1f\x8b"
    assert page.cloud.exists("index.tar.gz")
    assert not page.cloud.exists("another.tar.gz")


@pytest.mark.parametrize("size", [1, 17 * MIB])
def test_save_and_load(page, tmp_path, size):
    """An archive of any size comes back as it was saved."""
    (tmp_path / "data").write_bytes(noise(size))
    with tarfile.open(tmp_path / "big.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "data", "data")
    before = (tmp_path / "big.tar.gz").read_bytes()
    page.cloud.save(str(tmp_path / "big.tar.gz"))
    (tmp_path / "big.tar.gz").unlink()
    page.cloud.load(str(tmp_path / "big.tar.gz"))
    assert (tmp_path / "big.tar.gz").read_bytes() == before


def test_directories(page, tmp_path):
    """All files of a directory are saved and loaded, each under its name."""
    (tmp_path / "index").mkdir()
    for name in ("config", "documents"):
        (tmp_path / "index" / name).write_text(name)
    page.cloud.save(str(tmp_path / "index"))
    page.cloud.load(str(tmp_path / "loaded"))
    assert (tmp_path / "loaded" / "first" / "config").read_text() == "config"


def test_a_container_is_made(page, driver):
    """A container that does not exist is no error, and is made by the first save."""
    cloud = page.CloudFactory.create({**page.cloud.config, "container": "indexes-of-another"})
    assert not cloud.exists()
    cloud.save("index.tar.gz")
    container = driver.get_container("indexes-of-another")
    driver.ex_empty_container(container)
    container.delete()
