"""django-storages: its apache_libcloud backend as Django's default storage."""

import pytest
import requests
from live.oracle import MIB, noise

SECTION = "django-storages"
CONTAINER = "media"


@pytest.fixture(scope="module")
def storage(page):
    """Django's default storage, as the page sets it up."""
    return page.default_storage


def test_page(page, stored):
    """The file that the page saves holds what the page says."""
    assert stored(page.name) == b"Hello\nWorld\n"


def test_text_is_saved_by_lines(page, storage, stored):
    """Django hands text over line by line; all of it arrives, and is read back."""
    text = "".join(f"line {number}\n" for number in range(3000)) + "no newline at the end"
    name = storage.save("text.txt", page.ContentFile(text))
    assert stored(name) == text.encode()
    assert storage.open(name).read() == text.encode()
    assert storage.size(name) == len(text)


def test_17_mib(page, storage, stored):
    """A file of several parts comes back whole, not only its first part."""
    body = noise(17 * MIB)
    name = storage.save("large.bin", page.ContentFile(body))
    assert storage.size(name) == len(body)
    assert storage.open(name).read() == body
    assert stored(name) == body


def test_empty_file(page, storage):
    """An empty file is saved, has size 0 and is read back."""
    name = storage.save("empty", page.ContentFile(b""))
    assert storage.exists(name)
    assert storage.size(name) == 0
    assert storage.open(name).read() == b""


def test_written_file(storage, stored):
    """A file opened for writing is stored when it is closed."""
    with storage.open("written.txt", "wb") as file:
        file.write(b"written")
    assert stored("written.txt") == b"written"


def test_exists_and_delete(page, storage):
    """A deleted file does not exist any more; deleting and opening what is missing is Django's."""
    name = storage.save("gone.txt", page.ContentFile(b"x"))
    assert storage.exists(name)
    storage.delete(name)
    assert not storage.exists(name)
    storage.delete(name)
    with pytest.raises(FileNotFoundError):
        storage.open(name).read()


def test_names_are_not_taken_twice(page, storage):
    """Saving under a name that exists takes another name, as Django promises."""
    first, second = (storage.save("twice.txt", page.ContentFile(body)) for body in (b"1", b"2"))
    assert first != second
    assert [storage.open(name).read() for name in (first, second)] == [b"1", b"2"]


def test_listdir(page, storage):
    """Directories and files are told apart."""
    for name in ("tree/a.txt", "tree/b.txt", "root.txt"):
        storage.save(name, page.ContentFile(b"x"))
    directories, files = storage.listdir("")
    assert "tree" in directories
    assert "root.txt" in files
    assert storage.listdir("tree") == ([], ["a.txt", "b.txt"])


def test_url_needs_the_class_of_the_page(page, storage, cluster):
    """url() raises what Django expects of a storage without URLs; the page's class has them."""
    with pytest.raises(NotImplementedError, match="CDN"):
        storage.url(page.name)
    url = page.AuroraStorage().url(page.name)
    assert url.startswith("https://o.auroraobjects.eu/media/letters/hello.txt?")
    answer = requests.get(url, verify=cluster.ca_file, timeout=30)
    assert (answer.status_code, answer.content) == (200, b"Hello\nWorld\n")
