"""What the backup example does when something goes wrong."""

import io
import tarfile
import threading

import backup_directory
import pytest
from example_runs import make_tree


def packer_threads():
    """Return the threads that pack."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("packer")]


def test_failed_packer_fails_the_upload(driver, container, tmp_path):
    """A file that vanishes while it is packed fails the backup: no object, no thread is left."""
    source = make_tree(tmp_path / "source")
    packer = backup_directory.Packer(source)
    (source / "zażółć 📷.bin").unlink()

    with pytest.raises(FileNotFoundError):
        backup_directory.back_up(driver, packer, container, "backup")

    assert container.list_objects() == []
    assert not packer_threads()


def test_failed_upload_stops_the_packer(tmp_path):
    """An upload that fails early does not leave the packer waiting for its reader."""

    class BrokenDriver:
        def upload_object_via_stream(self, iterator, *_, **__):
            next(iterator)
            raise ConnectionError("cut")

    packer = backup_directory.Packer(make_tree(tmp_path / "source"))

    with pytest.raises(ConnectionError):
        backup_directory.back_up(BrokenDriver(), packer, None, "backup")

    assert packer.bytes_read < packer.size
    assert not packer_threads()


@pytest.mark.parametrize("change", ["different", "missing", "strange"])
def test_wrong_archive_is_noticed(driver, container, tmp_path, change):
    """A file that is different, missing or strange in the archive is named."""
    packer = backup_directory.Packer(make_tree(tmp_path / "source"))
    obj = backup_directory.back_up(driver, packer, container, "backup")
    expected = dict(packer.checksums)
    if change == "strange":
        del expected["a/b/text"]
    else:
        expected["a/b/text" if change == "different" else "a/b/more"] = "0" * 64

    with pytest.raises(backup_directory.BackupError, match="a/b/"):
        backup_directory.verify(driver, obj, expected)


def test_links_are_named_not_packed(tmp_path):
    """A symbolic link is no part of the backup, and the packer says so."""
    source = make_tree(tmp_path / "source")
    (source / "link").symlink_to("empty file")

    packer = backup_directory.Packer(source)

    assert packer.skipped == [source / "link"]
    assert source / "link" not in packer.paths


def test_archive_cannot_escape_the_directory(tmp_path):
    """A member that points out of the directory is refused before anything is written."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("../escaped"))
    destination = tmp_path / "restored"
    destination.mkdir()

    with pytest.raises(backup_directory.BackupError, match="outside"):
        list(backup_directory.unpacked(iter([buffer.getvalue()]), destination))

    assert list(tmp_path.iterdir()) == [destination]
