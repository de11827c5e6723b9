"""Composer: checkpoints of MosaicML's trainer; its object store alone, without PyTorch."""

import pytest
from live.oracle import MIB, noise

SECTION = "Composer"
CONTAINER = "checkpoints"
pytestmark = pytest.mark.usefixtures("alone")


def test_page(page, stored):
    """The checkpoint that the page uploads is stored, and downloaded again."""
    assert stored("run-1/checkpoint.pt") == b"weights"
    assert page.Path("restored.pt").read_bytes() == b"weights"


@pytest.mark.parametrize("size", [0, 1, 17 * MIB])
def test_upload_and_download(page, tmp_path, size):
    """A file of any size comes back, and both callbacks hear how far it has come."""
    body, heard = noise(size), []
    (tmp_path / "file").write_bytes(body)
    page.store.upload_object("file", tmp_path / "file", lambda *moved: heard.append(moved))
    assert page.store.get_object_size("file") == size
    page.store.download_object("file", tmp_path / "copy", callback=lambda *m: heard.append(m))
    assert (tmp_path / "copy").read_bytes() == body
    assert {(size, size)} <= set(heard)


def test_listing(page):
    """Names are listed by prefix."""
    assert page.store.list_objects("run-1/") == ["run-1/checkpoint.pt"]


def test_missing(page, tmp_path):
    """What does not exist is the error of files."""
    with pytest.raises(FileNotFoundError, match="auroraobjects://checkpoints/missing"):
        page.store.download_object("missing", tmp_path / "copy")
