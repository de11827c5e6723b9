"""How many of the package's own calls lie between the caller and the request."""

import http.client
import sys
from pathlib import Path

import pytest

import libcloud_aurora

PACKAGE = str(Path(libcloud_aurora.__file__).parent)
DATA = b"x" * (11 * 1024 * 1024)  # three parts


def own_frames():
    """Return the package's functions on this thread's stack, the outermost first."""
    frame, found = sys._getframe(), []
    while frame:
        if frame.f_code.co_filename.startswith(PACKAGE):
            found.append(f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_name}")
        frame = frame.f_back
    return found[::-1]


@pytest.fixture
def depths(monkeypatch):
    """The own frames above each request that http.client begins, by its method and URL."""
    seen = []
    put = http.client.HTTPConnection.putrequest

    def putrequest(connection, method, url, *args, **kwargs):
        seen.append((method, url, own_frames()))
        return put(connection, method, url, *args, **kwargs)

    monkeypatch.setattr(http.client.HTTPConnection, "putrequest", putrequest)
    return seen


def deepest(depths, wanted_method, text):
    """Return the longest stack above the requests whose URL holds a text."""
    stacks = [stack for method, url, stack in depths if method == wanted_method and text in url]
    assert len(stacks) > 0
    return max(stacks, key=len)


def test_a_part_passes_nine(scene, driver, tmp_path, depths):
    """By default a part goes through nine functions in the thread that sends it."""
    container = scene.container(driver)
    (tmp_path / "file").write_bytes(DATA)
    driver.upload_object(tmp_path / "file", container, "filed")
    driver.upload_object_via_stream([DATA], container, "streamed")
    for name in ("filed?", "streamed?"):
        stack = deepest(depths, "PUT", name)
        assert len(stack) <= 9, stack


def test_a_page_of_a_listing_passes_eight(scene, driver, depths):
    """A page of a listing goes through eight functions."""
    driver.list_container_objects(scene.container(driver))
    stack = deepest(depths, "GET", "max-keys=")
    assert len(stack) <= 8, stack


def test_a_head_passes_six(scene, driver, depths):
    """A question about an object goes through six functions."""
    scene.backend.put(scene.bucket, "k", b"x")
    depths.clear()
    driver.get_object(scene.bucket, "k")
    stack = deepest(depths, "HEAD", "/k")
    assert len(stack) <= 6, stack


@pytest.mark.parametrize("way", ["file", "resumed", "stream"])
def test_a_range_passes_nine(scene, driver, tmp_path, depths, way):
    """By default a range goes through nine functions in the thread that fetches it."""
    scene.backend.put(scene.bucket, "k", DATA)
    obj = driver.get_object(scene.bucket, "k")
    depths.clear()
    if way == "stream":
        assert b"".join(driver.download_object_as_stream(obj)) == DATA
    else:
        driver.download_object(obj, tmp_path / "file", ex_resume=way == "resumed")
    stack = deepest(depths, "GET", "/k")
    assert len(stack) <= 9, stack
