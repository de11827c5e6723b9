"""accsr: directories pushed and pulled."""

from pathlib import Path

import pytest
from live.oracle import MIB, noise

SECTION = "accsr"
CONTAINER = "datasets"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory of the test's own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(files):
    """Write files below the working directory."""
    for name, body in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(body)


def test_page(stored, page):
    """The file that the page pushes is below the page's base path."""
    assert stored("first/results/hello.txt") == b"Hello"


def test_push_and_pull(page, here):
    """A tree is pushed and pulled again, whatever the sizes; a second push has nothing to send."""
    files = {"tree/a.bin": noise(MIB), "tree/sub/b.bin": noise(17 * MIB), "tree/c.txt": b"c"}
    write(files)
    assert len(page.storage.push("tree").synced_files) == 3
    page.storage.pull("tree", local_base_dir="back")
    assert {name: (here / "back" / name).read_bytes() for name in files} == files


def test_second_push_sends_nothing(page, here):
    """A file is not sent again as long as its MD5 is the object's."""
    write({"same/a.bin": noise(MIB)})
    page.storage.push("same")
    assert page.storage.push("same").files_to_sync == []


def test_parts_need_force(page, here, stored):
    """An object stored in parts counts as changed, as the page says."""
    write({"large/a.bin": noise(6 * MIB)})
    page.storage.push("large")
    with pytest.raises(FileExistsError):
        page.storage.push("large")
    write({"large/a.bin": noise(6 * MIB, seed=1)})
    page.storage.push("large", force=True)
    assert stored("first/large/a.bin") == noise(6 * MIB, seed=1)


def test_empty_files_are_not_pulled(page, here, stored):
    """An empty file is pushed, but accsr takes it for a directory when it pulls."""
    write({"empty/a.txt": b"a", "empty/b.txt": b""})
    page.storage.push("empty")
    assert stored("first/empty/b.txt") == b""
    page.storage.pull("empty", local_base_dir="back")
    assert [path.name for path in (here / "back" / "empty").iterdir()] == ["a.txt"]


def test_delete(page, here, container):
    """What is deleted is not listed any more."""
    write({"gone/a.txt": b"a"})
    page.storage.push("gone")
    assert [obj.name for obj in page.storage.list_objects("gone")] == ["first/gone/a.txt"]
    page.storage.delete("gone")
    assert page.storage.list_objects("gone") == []
