"""What the backup example does when something goes wrong."""

import gzip
import io
import os
import tarfile
import threading

import backup_directory
import pytest
from example_runs import make_tree, tree
from libcloud.storage.types import ObjectHashMismatchError
from moto.s3.models import s3_backends


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


def archive_of(*members):
    """Return a compressed tar of empty members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for member in members:
            archive.addfile(member)
    return buffer.getvalue()


def link():
    """Return a member that points out of any directory."""
    member = tarfile.TarInfo("link")
    member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return member


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (archive_of(tarfile.TarInfo("file"), tarfile.TarInfo("../escaped")), "outside"),
        (archive_of(tarfile.TarInfo("file"), link()), "'link' is neither a file nor a directory"),
        (b"no archive at all", "'backup' is not a complete archive"),
        (archive_of(tarfile.TarInfo("file"))[:-9], "'backup' is not a complete archive"),
        (archive_of(tarfile.TarInfo("file"))[:-8] + bytes(8), "'backup' is not a complete archive"),
        (gzip.compress(b"x" * 2000), "'backup' is not a complete archive"),
    ],
    ids=["escape", "link", "text", "cut", "wrong checksum", "no tar"],
)
def test_bad_archive_leaves_nothing(driver, container, tmp_path, data, says):
    """An archive that is damaged, or points elsewhere, is refused, and nothing is left of it."""
    obj = driver.upload_object_via_stream([data], container, "backup")

    with pytest.raises(backup_directory.BackupError, match=says):
        backup_directory.restore(driver, obj, tmp_path / "restored")

    assert list(tmp_path.iterdir()) == []


def test_damaged_object_leaves_nothing(driver, container, tmp_path):
    """An archive that is not what its ETag says is refused in the end, and nothing is left."""
    packer = backup_directory.Packer(make_tree(tmp_path / "source"))
    backup_directory.back_up(driver, packer, container, "backup")
    for backend in s3_backends.values():
        backend["aws"].buckets[container.name].keys["backup"]._etag = "0" * 32

    with pytest.raises(ObjectHashMismatchError):
        backup_directory.restore(driver, container.get_object("backup"), tmp_path / "restored")

    assert list(tmp_path.iterdir()) == [tmp_path / "source"]


def test_interrupted_restore_leaves_nothing(driver, container, tmp_path):
    """A Ctrl-C in the middle of a restore leaves nothing of the directory."""
    packer = backup_directory.Packer(make_tree(tmp_path / "source"))
    obj = backup_directory.back_up(driver, packer, container, "backup")

    class Interrupted:
        def download_object_as_stream(self, *arguments, **settings):
            yield next(driver.download_object_as_stream(*arguments, **settings))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backup_directory.restore(Interrupted(), obj, tmp_path / "restored")

    assert list(tmp_path.iterdir()) == [tmp_path / "source"]


def test_times_and_permissions_come_back(driver, container, tmp_path):
    """Files and directories have the times and permissions that they had."""
    source, restored = make_tree(tmp_path / "source"), tmp_path / "restored"
    (source / "a" / "b" / "text").chmod(0o640)
    (source / "a").chmod(0o500)
    os.utime(source / "a", (1_500_000_000, 1_500_000_000))
    obj = backup_directory.back_up(driver, backup_directory.Packer(source), container, "backup")

    assert backup_directory.restore(driver, obj, restored) == 3

    assert tree(restored) == tree(source)
    for path in source.rglob("*"):
        was, now = path.stat(), (restored / path.relative_to(source)).stat()
        assert (now.st_mode, int(now.st_mtime)) == (was.st_mode, int(was.st_mtime)), path
    for directory in (source, restored):
        (directory / "a").chmod(0o700)
