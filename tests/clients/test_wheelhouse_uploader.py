"""wheelhouse-uploader: a package index in a container."""

import json

import pytest

SECTION = "wheelhouse-uploader"
CONTAINER = "wheels"


def test_page(page, stored):
    """The wheel is stored, with an index and its hash."""
    name = "letters-1.0-py3-none-any.whl"
    assert stored(name) == b"not really a wheel"
    assert name in stored("index.html").decode()
    assert json.loads(stored("metadata.json"))[name]["size"] == 18


def test_old_builds_are_deleted(page, container):
    """Of many development builds the last five stay."""
    page.uploader.max_workers = 1
    for number in range(7):
        page.Path("dist", f"sealing-1.0.dev{number}-py3-none-any.whl").write_text(str(number))
    page.uploader.upload("dist", "wheels")
    assert len(container.list_objects(prefix="sealing-")) == 5


def test_there_is_no_cdn(page):
    """Its call for a CDN address is refused as the driver refuses it."""
    with pytest.raises(NotImplementedError, match="CDN"):
        page.uploader.get_container_cdn_url("wheels")
