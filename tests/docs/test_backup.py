"""What the backup example does when something goes wrong."""

import gzip
import io
import os
import tarfile

import backup_directory
import pytest
from example_runs import make_tree, tree
from libcloud.storage.types import ObjectHashMismatchError
from moto.s3.models import s3_backends


def test_failed_packer_fails_the_upload(driver, container, tmp_path):
    """A file that vanishes while it is packed fails the backup, and no object is left."""
    source = make_tree(tmp_path / "source")
    packer = backup_directory.Packer(source)
    (source / "zażółć 📷.bin").unlink()

    with pytest.raises(FileNotFoundError):
        backup_directory.back_up(driver, packer, container, "backup")

    assert container.list_objects() == []


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


def test_interrupted_restore_leaves_nothing(driver, container, tmp_path, monkeypatch):
    """A Ctrl-C in the middle of a restore leaves nothing of the directory."""
    packer = backup_directory.Packer(make_tree(tmp_path / "source"))
    obj = backup_directory.back_up(driver, packer, container, "backup")

    def interrupted(target, member):
        raise KeyboardInterrupt

    monkeypatch.setattr(backup_directory, "settle", interrupted)
    with pytest.raises(KeyboardInterrupt):
        backup_directory.restore(driver, obj, tmp_path / "restored")

    assert list(tmp_path.iterdir()) == [tmp_path / "source"]


def test_one_file_is_restored(driver, container, tmp_path):
    """Of a backup, one file can be restored, and one that it has not is named."""
    source, restored = make_tree(tmp_path / "source"), tmp_path / "restored"
    obj = backup_directory.back_up(driver, backup_directory.Packer(source), container, "backup")

    assert backup_directory.restore(driver, obj, restored, "a/b/text") == 1
    files = [path for path in restored.rglob("*") if path.is_file()]
    assert files == [restored / "a" / "b" / "text"]
    assert files[0].read_bytes() == (source / "a" / "b" / "text").read_bytes()

    with pytest.raises(backup_directory.BackupError, match="has no file 'a/none'"):
        backup_directory.restore(driver, obj, tmp_path / "other", "a/none")
    assert not (tmp_path / "other").exists()


def test_the_last_backups_are_kept(driver, container):
    """Of the backups of a name the last ones stay, and whatever has another name."""
    old = [f"photos-2026-0{month}-01T000000Z.tar.gz" for month in range(1, 6)]
    other = ["photos-new.tar.gz", "photos.tar.gz", "photos2-2026-01-01T000000Z.tar.gz", "photos/a"]
    for name in [*old, *other]:
        driver.upload_object_via_stream([b"x"], container, name)

    assert backup_directory.prune(container, "photos", 3) == 2
    assert backup_directory.prune(container, "photos", 9) == 0

    assert {obj.name for obj in container.list_objects()} == {*old[2:], *other}


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
