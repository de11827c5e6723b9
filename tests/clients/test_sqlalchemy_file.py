"""sqlalchemy-file: files in columns, stored when the session commits."""

from importlib.metadata import version

import pytest
from live.oracle import MIB, noise
from sqlalchemy import select

from libcloud_aurora.errors import ObjectNotFoundError

SECTION = "sqlalchemy-file"
CONTAINER = "attachments"
READS_ONE_CHUNK = version("sqlalchemy-file").startswith("0.6.")  # the newest for Python 3.10


@pytest.fixture
def session(page):
    """A session on the page's database."""
    with page.Session(page.engine) as session:
        yield session


@pytest.fixture
def save(page, session):
    """Commit a letter with this content and return it as another session finds it."""

    def save(body, **attributes):
        letter = page.Letter(content=page.File(body, **attributes))
        session.add(letter)
        session.commit()
        session.expire_all()
        return session.scalars(select(page.Letter).where(page.Letter.id == letter.id)).one()

    return save


def test_page(page, session, stored):
    """The letter that the page commits is in its container."""
    content = session.scalars(select(page.Letter)).first().content
    assert stored(content.file_id) == b"Hello"
    assert content.file.read() == b"Hello"


def test_upload_on_commit(page, session, container):
    """A file is uploaded when the session commits, with its name and type, and has no URL."""
    before = len(container.list_objects())
    letter = page.Letter(content=page.File("text", filename="näme.txt", content_type="text/plain"))
    session.add(letter)
    assert len(container.list_objects()) == before
    session.commit()
    obj = container.get_object(letter.content.file_id)
    assert obj.extra["content_type"] == "text/plain"
    assert obj.meta_data["filename"] == letter.content.file.filename == "näme.txt"
    assert letter.content.url is None


@pytest.mark.parametrize("size", [0, 1, 5 * MIB, 17 * MIB])
def test_read_back(save, stored, size):
    """A file of any size is read back whole, by older versions in the way the page says."""
    body = noise(size)
    content = save(body, filename="body.bin").content
    assert content.size == size
    assert stored(content.file_id) == body
    options = {"chunk_size": content.file.object.size} if READS_ONE_CHUNK else {}
    assert content.file.read(**options) == body


def test_delete(save, session, container):
    """Deleting the row deletes the object."""
    letter = save(b"gone")
    name = letter.content.file_id
    session.delete(letter)
    session.commit()
    with pytest.raises(ObjectNotFoundError):
        container.get_object(name)


def test_rollback_stores_nothing(page, session, container):
    """What is rolled back after it was flushed leaves no object."""
    before = {obj.name for obj in container.list_objects()}
    session.add(page.Letter(content=page.File(b"never")))
    session.flush()
    assert {obj.name for obj in container.list_objects()} != before
    session.rollback()
    assert {obj.name for obj in container.list_objects()} == before
