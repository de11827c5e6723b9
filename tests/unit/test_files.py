"""The file an object is saved as: where it lies, and that it appears whole or not at all."""

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from libcloud.storage.base import Object
from unit.memory_s3 import Answer, md5

from libcloud_aurora._transfer.open_file import OpenFile
from libcloud_aurora.errors import (
    AuroraObjectsError,
    DirectoryNotFoundError,
    InvalidObjectNameError,
)

MIB = 1_048_576


def listing(directory):
    return sorted(path.name for path in directory.rglob("*"))


@pytest.fixture
def umask():
    old = os.umask(0o027)
    yield
    os.umask(old)


@pytest.fixture
def save(s3, container, driver):
    """Save an object at a path; a callback sees the temporary file, before its first byte."""

    def save(path, key="k", data=b"new", *, overwrite=True, begun=None, driver=driver, **arguments):
        s3.put(key, data)
        obj = Object(key, len(data), None, None, None, container, driver)
        if begun is not None:
            arguments["ex_progress"] = lambda done, total: begun() if done == 0 else None
        s3.requests.clear()
        return driver.download_object(obj, path, overwrite, **arguments)

    return save


# Where it lies


def test_a_path_of_a_file_is_the_destination(save, tmp_path):
    """A path that does not exist yet is where the object goes, whatever its name."""
    assert save(tmp_path / "new", "../other/key") is True
    assert listing(tmp_path) == ["new"]


@pytest.mark.parametrize("kind", [str, os.fsencode, lambda path: path])
def test_paths_of_all_kinds_are_taken(save, tmp_path, kind):
    """A path may be text, bytes, as in libcloud, or a pathlib.Path."""
    save(kind(tmp_path / "ż"))
    assert listing(tmp_path) == ["ż"]


@pytest.mark.parametrize("path", ["a\0b", b"a\0b", "", "n" * 256])
def test_a_path_no_file_can_have_is_refused(s3, save, path):
    """An impossible path is a ValueError that names the argument, and nothing is sent."""
    with pytest.raises(ValueError, match="destination_path must not"):
        save(path)
    assert s3.requests == []


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_directory_takes_an_object_under_its_own_name(save, tmp_path, slash):
    """In a directory the object gets its own name, sub-directories included."""
    save(f"{tmp_path}{slash}", "a/c/b.txt")
    assert (tmp_path / "a" / "c" / "b.txt").read_bytes() == b"new"
    assert listing(tmp_path) == ["a", "b.txt", "c"]


@pytest.mark.parametrize(
    "key",
    ["..", ".", "../x", "a/../../x", "a/../b", "/etc/passwd", "a/", "/", "x/..", "a\0b", "\0"],
)
def test_no_key_escapes_the_directory(s3, save, tmp_path, key):
    """A key that leads elsewhere is refused, nothing is sent and nothing is made."""
    directory = tmp_path / "inside"
    directory.mkdir()
    with pytest.raises(InvalidObjectNameError):
        save(directory, key)
    assert s3.requests == []
    assert listing(tmp_path) == ["inside"]


@pytest.mark.parametrize("key", ["n" * 256, "a/" + "ż" * 128, "a/" + "n" * 256 + "/b"])
@pytest.mark.parametrize("resume", [True, False])
def test_a_key_with_too_long_a_name_is_refused(s3, save, tmp_path, key, resume):
    """A key of which no file or directory can have a part as its name is refused at once."""
    with pytest.raises(InvalidObjectNameError, match="cannot be saved under its own name"):
        save(tmp_path, key, ex_resume=resume)
    assert s3.requests == []
    assert listing(tmp_path) == []


def test_no_key_escapes_through_a_link(save, tmp_path):
    """A link inside the directory that leads out of it is not followed."""
    outside, directory = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    directory.mkdir()
    (directory / "link").symlink_to(outside)
    with pytest.raises(InvalidObjectNameError, match="cannot be saved under its own name"):
        save(directory, "link/x")
    assert listing(outside) == []


def test_a_linked_directory_is_as_good_as_its_target(save, tmp_path):
    """The directory itself may be reached by a link."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    save(tmp_path / "link", "x")
    assert listing(tmp_path / "real") == ["x"]


@pytest.mark.parametrize("old", [b"old", None])
@pytest.mark.parametrize("resume", [True, False])
def test_a_linked_file_is_replaced_at_its_target(save, tmp_path, old, resume):
    """The destination of a link is the file it leads to, there or not, so that the link stays."""
    if old is not None:
        (tmp_path / "real").write_bytes(old)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    save(tmp_path / "link", ex_resume=resume)
    assert (tmp_path / "link").is_symlink()
    assert not (tmp_path / "real").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


@pytest.mark.parametrize("path", ["missing/file", "missing/", f"{'n' * 252}missing/"])
def test_a_missing_directory_is_named(s3, save, tmp_path, path):
    """A directory that does not exist is an error that names it, and nothing is sent."""
    with pytest.raises(DirectoryNotFoundError, match="missing' does not exist") as caught:
        save(f"{tmp_path}/{path}")
    assert caught.value.errno == errno.ENOENT
    assert caught.value.filename == str(
        (tmp_path / path).parent if "/f" in path else tmp_path / path
    )
    assert s3.requests == []


def test_an_existing_file_is_kept(s3, save, tmp_path):
    """Without leave to overwrite, an existing file is an error, in a directory too."""
    (tmp_path / "k").write_bytes(b"old")
    for path in (tmp_path / "k", tmp_path):
        with pytest.raises(AuroraObjectsError, match="overwrite_existing is False"):
            save(path, overwrite=False)
        assert s3.requests == []
        assert (tmp_path / "k").read_bytes() == b"old"
    assert save(tmp_path / "k", overwrite=True)
    assert (tmp_path / "k").read_bytes() == b"new"


def test_only_regular_files_are_replaced(s3, save, tmp_path):
    """A pipe or a directory in the place of the file is an error, which says what it is."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dir" / "k").mkdir(parents=True)
    for path, said in (("pipe", "is not a regular file"), ("dir", "is a directory")):
        with pytest.raises(AuroraObjectsError, match=said):
            save(tmp_path / path)
    assert s3.requests == []


@pytest.mark.parametrize("overwrite", [True, False])
def test_standard_output_is_refused_with_the_way_that_works(s3, save, overwrite):
    """A name such as /dev/stdout that leads to a pipe is refused by name, with what to do."""
    reading, writing = os.pipe()
    try:
        with pytest.raises(AuroraObjectsError) as caught:
            save(f"/dev/fd/{writing}", overwrite=overwrite)
    finally:
        os.close(reading)
        os.close(writing)
    assert str(caught.value) == (
        f"'/dev/fd/{writing}' is not a regular file: write the chunks of "
        "download_object_as_stream() to it."
    )
    assert s3.requests == []


@pytest.mark.parametrize(
    "name",
    ["/dev/fd/{}", "//dev/fd/{}", "/proc/self/fd/{}", "/proc/{1}/task/{1}/fd/{0}", "{2}/link"],
)
def test_a_name_of_an_open_file_is_refused(s3, save, tmp_path, name):
    """A file that /dev/stdout leads to would be replaced, with all that was written to it."""
    log = tmp_path / "log"
    with log.open("wb") as file:
        file.write(b"before")
        file.flush()
        (tmp_path / "link").symlink_to(f"/dev/fd/{file.fileno()}")
        with pytest.raises(AuroraObjectsError, match="write the chunks of"):
            save(name.format(file.fileno(), os.getpid(), tmp_path))
    assert (log.read_bytes(), s3.requests) == (b"before", [])


def test_names_are_the_locales(tmp_path):
    """Where names are not in UTF-8, no other character gets into that of the hidden file."""
    program = """if True:
        import os
        from libcloud_aurora._transfer.files import Destination
        path = os.fsdecode(os.environb[b"SAVED"])
        hidden = Destination(path, "k", overwrite=True).hidden("part")
        os.close(os.open(hidden, os.O_CREAT | os.O_WRONLY))
    """
    name = os.fsencode(tmp_path) + "/żółw".encode()
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "SAVED": name}
    subprocess.run([sys.executable, "-c", program], env={**os.environ, **plain}, check=True)
    (made,) = os.listdir(tmp_path)
    assert made.startswith(".")
    assert made.endswith("w.part")


@pytest.mark.parametrize("place", [str, os.path.dirname], ids=["file", "directory"])
def test_a_mounted_file_is_refused_with_the_way_that_works(s3, save, tmp_path, monkeypatch, place):
    """A file that a container has mounted cannot be replaced, which is said before a request."""
    target = tmp_path / "a b\\c"
    target.write_bytes(b"old")
    target.with_name("link").symlink_to(target)
    name = str(target).replace("\\", "\\134").replace(" ", "\\040")
    table = tmp_path / "mountinfo"
    monkeypatch.setattr("libcloud_aurora._transfer.files.MOUNTS", table)
    table.write_text(f"664 622 254:0 {name} /elsewhere rw - ext4 /dev/vda rw\n")
    assert save(place(target), target.name)
    table.write_text(f"664 622 254:0 /elsewhere {name} rw - ext4 /dev/vda rw\n")
    for path in (place(target), target.with_name("link")):
        with pytest.raises(AuroraObjectsError, match="mount its directory instead"):
            save(path, target.name)
        assert s3.requests == []
    assert save(tmp_path / "other")
    table.unlink()
    assert save(place(target), target.name)


# That it appears whole or not at all


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_file_appears_complete(save, tmp_path, overwrite):
    """While it is written, the file lies under another name beside its place; then it appears."""
    seen = []

    def begun():
        (temporary,) = tmp_path.iterdir()
        seen.append((temporary.name, temporary.stat().st_ino))

    save(tmp_path / "file", overwrite=overwrite, begun=begun)
    ((name, number),) = seen
    assert name.startswith(".file.")
    assert name.endswith(".part")
    assert listing(tmp_path) == ["file"]
    assert (tmp_path / "file").stat().st_ino == number
    assert (tmp_path / "file").read_bytes() == b"new"


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt, GeneratorExit])
def test_nothing_is_left_of_a_failure(save, tmp_path, kind):
    """A failure leaves the old file, no temporary file, and no directory made for it."""
    (tmp_path / "old").write_bytes(b"old")

    def begun():
        assert len(listing(tmp_path)) > 1
        raise kind

    for path, key in ((tmp_path / "old", "k"), (tmp_path, "a/b/new")):
        with pytest.raises(kind):
            save(path, key, begun=begun)
    assert listing(tmp_path) == ["old"]
    assert (tmp_path / "old").read_bytes() == b"old"


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize(("module", "call"), [(Path, "mkdir"), (os, "open")])
@pytest.mark.parametrize("kind", [OSError, KeyboardInterrupt])
def test_no_directory_is_left_if_a_file_cannot_be_made(
    save, tmp_path, monkeypatch, resume, module, call, kind
):
    """What fails as directories or the file in them are made takes those directories away."""
    real = getattr(module, call)

    def failing(path, *arguments, **named):
        directory, name = os.path.split(path)
        if os.path.exists(directory) and (name == "b" or name.startswith(".new.")):
            raise kind
        return real(path, *arguments, **named)

    monkeypatch.setattr(module, call, failing)
    with pytest.raises((kind, AuroraObjectsError)):
        save(tmp_path, "a/b/new", ex_resume=resume)
    assert listing(tmp_path) == []


def test_directories_in_use_survive_a_failure(save, tmp_path):
    """A directory made for a file stays if something else is in it by then."""

    def begun():
        (tmp_path / "a" / "other").write_bytes(b"")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        save(tmp_path, "a/b/new", begun=begun)
    assert listing(tmp_path) == ["a", "other"]


@pytest.mark.parametrize(
    "name", ["n" * 255, "ż" * 127, "📷" * 60, "📷" * 63], ids=["1 byte", "2 bytes", "4", "more"]
)
@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("overwrite", [True, False])
def test_long_names_have_room_for_the_hidden_ones(save, tmp_path, name, resume, overwrite):
    """Any name that a file can have can be a destination."""
    save(tmp_path / name, ex_resume=resume, overwrite=overwrite)
    assert listing(tmp_path) == [name]


def test_two_downloads_to_one_file_do_not_meet(save, tmp_path):
    """Two files that are to appear in the same place are written apart; the last one stays."""
    save(tmp_path / "f", "one", b"one", begun=lambda: save(tmp_path / "f", "two", b"two"))
    assert listing(tmp_path) == ["f"]
    assert (tmp_path / "f").read_bytes() == b"one"


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.write_bytes(b"other"),
        lambda path: path.symlink_to("nowhere"),
        lambda path: path.mkdir(),
    ],
    ids=["file", "link", "directory"],
)
def test_what_is_made_meanwhile_is_never_replaced(save, tmp_path, make, resume):
    """With overwrite_existing=False, what appears at the destination meanwhile stays as it is."""
    path = tmp_path / "f"
    with pytest.raises(AuroraObjectsError, match="overwrite_existing is False"):
        save(path, overwrite=False, begun=lambda: make(path), ex_resume=resume)
    left = listing(tmp_path)
    assert [name for name in left if not name.startswith(".")] == ["f"]
    assert len(left) == (3 if resume else 1)  # what has arrived can still be had
    assert path.is_symlink() or path.is_dir() or path.read_bytes() == b"other"


@pytest.mark.usefixtures("hasty_threads")
@pytest.mark.parametrize("resume", [True, False])
def test_of_two_threads_one_makes_the_file(s3, container, driver, tmp_path, resume):
    """Of two threads that save to one path without overwriting, exactly one is told True."""
    contents = {"one": b"1" * 1000, "two": b"2" * 1000}
    for key, data in contents.items():
        s3.put(key, data)
    for number in range(10):
        path, both = tmp_path / f"f{number}", threading.Barrier(2)
        told, refused = [], []

        def progress(done, total, both=both):
            if not resume and done == 0:
                both.wait(10)  # neither has found the other's file

        def save(key, path=path, told=told, refused=refused, progress=progress):
            obj = Object(key, 1000, None, None, None, container, driver)
            try:
                driver.download_object(obj, path, ex_progress=progress, ex_resume=resume)
            except AuroraObjectsError as error:
                refused.append(str(error))
            else:
                told.append(key)

        threads = [threading.Thread(target=save, args=(key,)) for key in contents]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (winner,), (reason,) = told, refused
        assert "already exists" in reason or "another process" in reason
        assert path.read_bytes() == contents[winner]


@pytest.mark.parametrize("resume", [True, False])
def test_file_systems_without_links_are_told_first(save, tmp_path, monkeypatch, resume):
    """Where a file cannot appear without the risk of replacing one, no byte is written."""

    def refused(*paths):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refused)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", lambda *write: pytest.fail("a byte was written"))
        with pytest.raises(AuroraObjectsError, match="no hard links") as caught:
            save(tmp_path / "f", overwrite=False, ex_resume=resume)
    assert "Use overwrite_existing=True" in str(caught.value)
    assert listing(tmp_path) == []
    assert save(tmp_path / "f", overwrite=True, ex_resume=resume)
    assert listing(tmp_path) == ["f"]


@pytest.mark.parametrize("resume", [True, False])
def test_ctrl_c_leaves_no_name_of_a_probe(save, tmp_path, monkeypatch, resume):
    """Ctrl-C as hard links are tried leaves nothing that would keep the next call from its work."""

    def interrupted(*paths, link=os.link):
        link(*paths)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", interrupted)
        with pytest.raises(KeyboardInterrupt):
            save(tmp_path / "f", overwrite=False, ex_resume=resume)
    assert not [name for name in listing(tmp_path) if name.endswith(".link")]
    assert save(tmp_path / "f", overwrite=False, ex_resume=resume)
    assert listing(tmp_path) == ["f"]


# Permissions


@pytest.mark.parametrize("resume", [True, False])
def test_a_new_file_has_the_usual_permissions(save, tmp_path, umask, resume):
    """A new file has the permissions that the umask gives."""
    save(tmp_path / "new", ex_resume=resume)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
    assert listing(tmp_path) == ["new"]


def test_a_failure_to_find_the_usual_permissions_is_the_one_raised(save, tmp_path, monkeypatch):
    """If no file can be made to look at its permissions, the error says why."""

    def full(path, *arguments, real=os.open, **named):
        if str(path).endswith(".mode"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, *arguments, **named)

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(OSError, match="No space left"):
        save(tmp_path / "new", ex_resume=True)


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("mode", [0o604, 0o400, 0o777, 0o4755, 0o2755, 0o1644, 0o7777])
def test_a_replaced_file_keeps_its_permissions(save, tmp_path, umask, mode, resume):
    """A file that replaces another has its permissions, but never setuid, setgid or sticky."""
    path = tmp_path / "old"
    path.touch()
    path.chmod(mode)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    save(path, ex_resume=resume)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == mode & 0o777


# Space and bytes


@pytest.mark.parametrize("resume", [True, False])
def test_a_full_disk_shows_at_once(s3, save, tmp_path, resume):
    """Space that cannot be had is an error before the first byte, and no file is left."""
    huge = {"content-range": f"bytes 0-0/{10**18 - 1}", "etag": '"x"'}
    s3.faults.append(lambda request: Answer(206, b"x", huge) if request.key else None)
    with pytest.raises(OSError, match=r"large|space") as caught:
        save(tmp_path / "huge", ex_resume=resume)
    assert caught.value.errno in (errno.EFBIG, errno.ENOSPC)
    assert "huge" not in listing(tmp_path)
    assert resume or listing(tmp_path) == []


@pytest.mark.parametrize("resume", [True, False])
def test_space_that_a_failure_has_reserved_is_given_back(save, tmp_path, monkeypatch, resume):
    """A file system may keep what it could get: a full disk would stay full."""

    def partly(number, start, size):
        os.ftruncate(number, size // 2)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", partly)
    with pytest.raises(OSError, match="space"):
        save(tmp_path / "f", data=bytes(12_345), ex_resume=resume)
    assert sum(path.stat().st_size for path in tmp_path.glob(".f*.part")) == 0


@pytest.mark.parametrize(("seconds", "spans"), [(0.0, [16 * MIB, 17 * MIB]), (0.1, [16 * MIB])])
def test_space_is_not_reserved_by_writing(tmp_path, monkeypatch, seconds, spans):
    """Where that takes so long that the C library seems to write, it is left."""
    reserved = []
    clock = SimpleNamespace(thread_time=iter([0.0, seconds]).__next__)
    monkeypatch.setattr("libcloud_aurora._transfer.open_file.time", clock)
    monkeypatch.setattr(os, "posix_fallocate", lambda number, start, size: reserved.append(size))
    with OpenFile(tmp_path / "f", os.O_RDWR | os.O_CREAT) as file:
        file.reserve(17 * MIB)
    assert reserved == spans


def test_space_is_reserved_where_the_system_can(save, tmp_path):
    """A file has its whole length before its bytes come."""
    sizes = []

    def begun():
        (temporary,) = tmp_path.iterdir()
        sizes.append(temporary.stat().st_size)

    save(tmp_path / "f", data=bytes(12_345), begun=begun)
    assert sizes == [12_345]


@pytest.mark.parametrize("refusal", [None, errno.EOPNOTSUPP, errno.EINVAL])
def test_systems_that_cannot_reserve_are_fine(save, tmp_path, monkeypatch, refusal):
    """Where space cannot be reserved, the file arrives all the same."""
    if refusal is None:
        monkeypatch.delattr(os, "posix_fallocate")
    else:

        def refused(*span):
            raise OSError(refusal, os.strerror(refusal))

        monkeypatch.setattr(os, "posix_fallocate", refused)
    save(tmp_path / "f", data=b"content")
    assert (tmp_path / "f").read_bytes() == b"content"


def test_short_writes_are_continued(save, tmp_path, monkeypatch):
    """A disk that takes fewer bytes than it was given gets the rest."""
    write, data = os.pwrite, os.urandom(3 * MIB)
    monkeypatch.setattr(
        os, "pwrite", lambda descriptor, view, offset: write(descriptor, view[:99_999], offset)
    )
    save(tmp_path / "f", data=data)
    assert (tmp_path / "f").read_bytes() == data


def test_bytes_that_others_take_away_are_fetched_again(s3, save, tmp_path, new_driver):
    """What came before its turn is hashed from the file, so that bytes lost there are noticed."""
    data, second, driver = os.urandom(9 * MIB), threading.Event(), new_driver()
    head = {
        "etag": f'"{md5(data)}"',
        "content-range": f"bytes 0-{9 * MIB // 2 - 1}/{9 * MIB}",
        "content-length": str(9 * MIB // 2),
    }
    s3.fail(1, Answer(206, data[:MIB], head), method="GET", key="k")

    def cut(request):
        if request.headers.get("range", "").startswith(f"bytes={MIB}-"):
            assert second.wait(10)  # the other half has come
            (temporary,) = tmp_path.iterdir()
            os.truncate(temporary, MIB)

    s3.faults.append(cut)
    save(
        tmp_path / "f",
        data=data,
        driver=driver,
        ex_progress=lambda done, total: second.set() if done == MIB + total // 2 else None,
    )
    assert (tmp_path / "f").read_bytes() == data
    assert len(s3.requests) == 6


#: What Windows and macOS lack, apart from locks.
LINUX_CALLS = ("preadv", "pwrite", "fchmod", "fdatasync", "posix_fallocate", "geteuid")


@pytest.mark.parametrize("lacking", [*LINUX_CALLS, "locks", "all"])
def test_other_systems_do_with_what_they_have(s3, save, container, tmp_path, monkeypatch, lacking):
    """Where the system lacks a call, files go up and come down all the same."""
    for name in LINUX_CALLS:
        if lacking in (name, "all"):
            monkeypatch.delattr(os, name)
    if lacking in ("locks", "all"):
        monkeypatch.setattr("libcloud_aurora._transfer.open_file.fcntl", None)
    data = os.urandom(5 * MIB + 1)
    (tmp_path / "up").write_bytes(data)
    container.upload_object(str(tmp_path / "up"), "up")
    assert s3.buckets["photos"]["up"].data == data
    save(tmp_path / "down", data=data)
    save(tmp_path / "resumed", data=data, ex_resume=True)
    assert (tmp_path / "down").read_bytes() == (tmp_path / "resumed").read_bytes() == data
    assert listing(tmp_path) == ["down", "resumed", "up"]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_that_ends_takes_no_file_along(s3, container, driver, tmp_path):
    """A child that is forked while a file is saved, and ends there, leaves the file alone."""
    s3.put("k", b"content")
    children, parent = [], os.getpid()

    def fork(*_):
        children.append(os.fork())
        if children[-1] == 0:
            raise SystemExit

    try:
        obj = Object("k", 7, None, None, None, container, driver)
        driver.download_object(obj, tmp_path / "file", ex_progress=lambda *_: children or fork())
    finally:
        if os.getpid() != parent:
            os._exit(0)
    os.waitpid(children[0], 0)
    assert (tmp_path / "file").read_bytes() == b"content"


@pytest.mark.parametrize("times", [1, 99])
def test_a_directory_that_another_removes_is_made_again(
    s3, container, driver, tmp_path, monkeypatch, times
):
    """A download that fails takes along no directory in which another is about to save a file."""
    s3.put("new/k", b"content")
    left = iter(range(times))

    def make(path, *arguments, mkdir=Path.mkdir, **options):
        mkdir(path, *arguments, **options)
        if next(left, None) is not None:
            path.rmdir()

    monkeypatch.setattr(Path, "mkdir", make)
    obj = Object("new/k", 7, None, None, None, container, driver)
    if times == 1:
        driver.download_object(obj, tmp_path)
        assert (tmp_path / "new" / "k").read_bytes() == b"content"
    else:
        with pytest.raises(FileNotFoundError):
            driver.download_object(obj, tmp_path)
