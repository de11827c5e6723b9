"""swh.objstorage: the archive of Software Heritage on libcloud."""

import hashlib
import os
import zlib

import pytest
from live.oracle import MIB, noise
from swh.objstorage.exc import ObjNotFoundError

SECTION = "swh.objstorage"
CONTAINER = "archive"


def id_of(content):
    """Return the identifier of a content."""
    return {"sha1": hashlib.sha1(content).digest()}  # noqa: S324 - what the archive uses


def test_page(page, stored):
    """The content that the page adds is stored under its SHA-1, compressed."""
    assert zlib.decompress(stored(page.obj_id["sha1"].hex()), wbits=31) == b"Hello"


@pytest.mark.parametrize("size", [0, 1, 17 * MIB])
def test_add_contains_get(page, size):
    """A content of any size is added, found and got back."""
    content = noise(size, seed=1)
    assert id_of(content) not in page.storage
    page.storage.add(content, id_of(content))
    assert id_of(content) in page.storage
    assert page.storage.get(id_of(content)) == content


def test_missing(page):
    """What was never added is the archive's own error."""
    with pytest.raises(ObjNotFoundError):
        page.storage.get(id_of(b"never added"))


def test_delete(page):
    """Where deleting is allowed a content is deleted; the driver warns of the word it was given."""
    account = {"key": os.environ["AURORA_ACCESS_KEY"], "secret": os.environ["AURORA_SECRET_KEY"]}
    with pytest.warns(UserWarning, match="allow_delete"):
        storage = page.AuroraObjStorage(
            container_name=CONTAINER, compression="none", allow_delete=True, **account
        )
    storage.add(b"gone", id_of(b"gone"))
    storage.delete(id_of(b"gone"))
    assert id_of(b"gone") not in storage
