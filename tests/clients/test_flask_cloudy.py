"""flask-cloudy: uploads of a Flask application."""

from io import BytesIO
from pathlib import Path

import pytest
from live.oracle import MIB, noise

SECTION = "flask-cloudy"
CONTAINER = "documents"


@pytest.fixture
def upload(page):
    """Upload a body as the file of a form."""

    def upload(body, name, **options):
        return page.storage.upload(page.FileStorage(BytesIO(body), name), **options)

    return upload


def test_page(page, stored):
    """The file that the page uploads is stored, and saved again."""
    assert stored("letters/hello.txt") == b"Hello"
    assert page.letter.provider_name == "auroraobjects"


@pytest.mark.parametrize("size", [0, 1, 17 * MIB])
def test_upload_and_save(page, upload, stored, tmp_path, size):
    """A file of a form, of any size, is uploaded, found and saved."""
    body = noise(size)
    name = upload(body, f"body-{size}.csv").name
    assert stored(name) == body
    assert name in page.storage
    saved = page.storage.get(name).save_to(str(tmp_path))
    assert Path(saved).read_bytes() == body


def test_upload_of_a_path(page, stored, tmp_path):
    """A file on the disk is uploaded."""
    (tmp_path / "file.txt").write_bytes(b"from the disk")
    assert stored(page.storage.upload(str(tmp_path / "file.txt")).name) == b"from the disk"


def test_listing_and_delete(page, upload):
    """The storage lists its objects; a deleted one is gone, and None when it is asked for."""
    gone = upload(b"x", "gone.txt")
    assert gone.name in [obj.name for obj in page.storage]
    gone.delete()
    assert gone.name not in page.storage
    assert page.storage.get(gone.name) is None


def test_object_made_by_the_program(page):
    """An Object that flask-cloudy builds itself, without a size and a hash, can be used."""
    page.storage.create("letters/hello.txt", extra={}, meta_data={}).delete()
    assert "letters/hello.txt" not in page.storage


def test_urls_raise(page, upload):
    """The addresses that flask-cloudy makes up are for other providers, as the page says."""
    obj = upload(b"x", "address.txt")
    with pytest.raises(NotImplementedError, match="CDN"):
        _ = obj.url
    with pytest.raises(TypeError):  # it calls NotImplemented
        obj.download_url()
    assert "/documents/address.txt?" in page.storage.driver.ex_get_object_presigned_url(obj)
