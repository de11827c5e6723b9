"""_files: the destination is the old file or the complete new one."""

import errno
import os
import stat

import pytest

from libcloud_aurora import _files
from libcloud_aurora.errors import AuroraObjectsError, InvalidKeyError


def listing(directory):
    return sorted(path.name for path in directory.rglob("*"))


@pytest.fixture
def umask():
    old = os.umask(0o027)
    yield
    os.umask(old)


def test_a_path_of_a_file_is_the_destination(tmp_path):
    """A path that does not exist yet is where the object goes, whatever its name."""
    target = _files.destination(tmp_path / "new", "../other/key", overwrite=False)
    assert target == tmp_path / "new"


def test_a_path_of_bytes_is_taken(tmp_path):
    """A path as bytes is as good as text, as in libcloud."""
    target = _files.destination(os.fsencode(tmp_path / "ż"), "k", overwrite=False)
    assert target == tmp_path / "ż"


@pytest.mark.parametrize("path", ["a\0b", b"a\0b"])
def test_a_path_with_a_nul_is_refused(path):
    """A path no file can have is a ValueError that names the argument."""
    with pytest.raises(ValueError, match="destination_path"):
        _files.destination(path, "k", overwrite=True)


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_directory_takes_an_object_under_its_own_name(tmp_path, slash):
    """In a directory the object gets its own name, sub-directories included."""
    target = _files.destination(f"{tmp_path}{slash}", "a/b.txt", overwrite=False)
    assert target == tmp_path / "a" / "b.txt"


@pytest.mark.parametrize(
    "key",
    ["..", ".", "../x", "a/../../x", "a/../b", "/etc/passwd", "a/", "/", "x/..", "a\0b", "\0"],
)
def test_no_key_escapes_the_directory(tmp_path, key):
    """A key that leads elsewhere is refused, and nothing is made."""
    directory = tmp_path / "inside"
    directory.mkdir()
    with pytest.raises(InvalidKeyError, match="cannot be saved under its own name"):
        _files.destination(directory, key, overwrite=True)
    assert listing(tmp_path) == ["inside"]


def test_no_key_escapes_through_a_link(tmp_path):
    """A link inside the directory that leads out of it is not followed."""
    outside, directory = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    directory.mkdir()
    (directory / "link").symlink_to(outside)
    with pytest.raises(InvalidKeyError):
        _files.destination(directory, "link/x", overwrite=True)


def test_a_linked_directory_is_as_good_as_its_target(tmp_path):
    """The directory itself may be reached by a link."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    target = _files.destination(tmp_path / "link", "x", overwrite=False)
    assert target == tmp_path / "real" / "x"


def test_a_linked_file_is_replaced_at_its_target(tmp_path):
    """The destination of a link is the file it leads to, so that the link stays."""
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    target = _files.destination(tmp_path / "link", "x", overwrite=True)
    assert target == tmp_path / "real"


@pytest.mark.parametrize("path", ["missing/file", "missing/"])
def test_a_missing_directory_is_named(tmp_path, path):
    """A directory that does not exist is an error that names it."""
    with pytest.raises(AuroraObjectsError, match="missing' does not exist"):
        _files.destination(f"{tmp_path}/{path}", "k", overwrite=True)


def test_an_existing_file_is_kept(tmp_path):
    """Without leave to overwrite, an existing file is an error, in a directory too."""
    (tmp_path / "k").write_bytes(b"old")
    for path in (tmp_path / "k", tmp_path):
        with pytest.raises(AuroraObjectsError, match="overwrite_existing is False"):
            _files.destination(path, "k", overwrite=False)
        assert _files.destination(path, "k", overwrite=True) == tmp_path / "k"


def test_only_regular_files_are_replaced(tmp_path):
    """A pipe, a device or a directory in the place of the file is an error."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dir" / "k").mkdir(parents=True)
    for path in (tmp_path / "pipe", tmp_path / "dir"):
        with pytest.raises(AuroraObjectsError, match="is not a regular file"):
            _files.destination(path, "k", overwrite=True)


def test_a_file_appears_complete(tmp_path):
    """While it is written, the file lies under another name beside its place; then it appears."""
    target = tmp_path / "file"
    with _files.appearing(target, 3) as descriptor:
        (temporary,) = listing(tmp_path)
        assert temporary.startswith(".file.")
        assert temporary.endswith(".part")
        os.pwrite(descriptor, b"new", 0)
    assert listing(tmp_path) == ["file"]
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt, GeneratorExit])
def test_nothing_is_left_of_a_failure(tmp_path, kind):
    """A failure leaves the old file, no temporary file, and no directory made for it."""
    (tmp_path / "old").write_bytes(b"old")
    for target in (tmp_path / "old", tmp_path / "a" / "b" / "new"):
        with pytest.raises(kind), _files.appearing(target, 10) as descriptor:  # noqa: PT012
            os.pwrite(descriptor, b"half", 0)
            raise kind
    assert listing(tmp_path) == ["old"]
    assert (tmp_path / "old").read_bytes() == b"old"


def test_directories_in_use_survive_a_failure(tmp_path):
    """A directory made for a file stays if something else is in it by then."""
    with (  # noqa: PT012
        pytest.raises(RuntimeError),
        _files.appearing(tmp_path / "a" / "b" / "new", None),
    ):
        (tmp_path / "a" / "other").write_bytes(b"")
        raise RuntimeError
    assert listing(tmp_path) == ["a", "other"]


def test_missing_directories_are_made(tmp_path):
    """An object with slashes in its name gets its directories."""
    with _files.appearing(tmp_path / "a" / "b" / "new", None):
        pass
    assert listing(tmp_path) == ["a", "b", "new"]


def test_a_new_file_has_the_usual_permissions(tmp_path, umask):
    """A new file has the permissions that the umask gives."""
    with _files.appearing(tmp_path / "new", None):
        pass
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


def test_a_replaced_file_keeps_its_permissions(tmp_path, umask):
    """A file that replaces another has that one's permissions."""
    (tmp_path / "old").touch()
    (tmp_path / "old").chmod(0o604)
    with _files.appearing(tmp_path / "old", None):
        pass
    assert stat.S_IMODE((tmp_path / "old").stat().st_mode) == 0o604


@pytest.mark.parametrize(
    "name", ["n" * 255, "ż" * 127, "📷" * 60, "📷" * 63], ids=["1 byte", "2 bytes", "4", "more"]
)
def test_long_names_have_room_for_the_temporary_one(tmp_path, name):
    """Any name that a file can have can be a destination."""
    with _files.appearing(tmp_path / name, None):
        pass
    assert listing(tmp_path) == [name]


def test_two_downloads_to_one_file_do_not_meet(tmp_path):
    """Two files that are to appear in the same place are written apart; the last one stays."""
    with (
        _files.appearing(tmp_path / "f", None) as one,
        _files.appearing(tmp_path / "f", None) as two,
    ):
        os.pwrite(one, b"one", 0)
        os.pwrite(two, b"two", 0)
    assert listing(tmp_path) == ["f"]
    assert (tmp_path / "f").read_bytes() == b"one"


def test_a_full_disk_shows_at_once(tmp_path):
    """Space that cannot be had is an error before the first byte, and nothing is left."""
    with pytest.raises(OSError) as caught, _files.appearing(tmp_path / "huge", 2**62):  # noqa: PT011
        pytest.fail("the space was there")
    assert caught.value.errno in (errno.EFBIG, errno.ENOSPC)
    assert listing(tmp_path) == []


def test_space_is_reserved_where_the_system_can(tmp_path):
    """A file has its whole length before its bytes come."""
    with open(tmp_path / "f", "wb") as file:
        _files.reserve(file.fileno(), 12_345)
        assert os.fstat(file.fileno()).st_size == 12_345


def test_systems_that_cannot_reserve_are_fine(monkeypatch):
    """Where space cannot be reserved, on a pipe or another system, nothing happens."""
    reading, writing = os.pipe()
    _files.reserve(writing, 100)
    monkeypatch.delattr(os, "posix_fallocate")
    _files.reserve(writing, 100)
    os.close(reading)
    os.close(writing)


def test_buffers_are_written_at_their_offset(tmp_path):
    """All of a buffer is written where it belongs."""
    with open(tmp_path / "f", "w+b") as file:
        _files.write_all(file.fileno(), memoryview(b"world"), 6)
        _files.write_all(file.fileno(), memoryview(b"hello "), 0)
        _files.write_all(file.fileno(), memoryview(b""), 50)
    assert (tmp_path / "f").read_bytes() == b"hello world"


def test_a_span_is_read_in_pieces(tmp_path):
    """A span of a file comes in pieces with their offsets, and ends where the file ends."""
    (tmp_path / "f").write_bytes(b"0123456789")
    with open(tmp_path / "f", "rb") as file:
        pieces = list(_files.read_pieces(file.fileno(), 3, 9, 4))
        assert pieces == [(3, b"3456"), (7, b"78")]
        assert list(_files.read_pieces(file.fileno(), 8, 99, 4)) == [(8, b"89")]
        assert list(_files.read_pieces(file.fileno(), 5, 5, 4)) == []


def test_a_destination_needs_a_name():
    """An empty path is no destination: ValueError names the argument."""
    with pytest.raises(ValueError, match="destination_path must not be empty"):
        _files.destination("", "k", overwrite=True)
