"""Downloads that go on where an earlier call was cut off, by what it has left on the disk."""

import contextlib
import errno
import fcntl
import gc
import json
import os
import stat
import threading

import pytest
from libcloud.storage.base import Object
from unit.ctrl_c import PACKAGE, calls_of, pressed_after
from unit.memory_s3 import error, md5

from libcloud_aurora import errors
from libcloud_aurora._transfer.files import Destination
from libcloud_aurora._transfer.open_file import OpenFile
from libcloud_aurora._transfer.partial import Partial

MIB = 1_048_576
UNIT = 65_536
DATA = os.urandom(9 * UNIT + 99)
SIZE, ETAG = len(DATA), md5(DATA)
#: What lies beside "file", under a name of its own: 8 digits of the SHA-256 of the whole name.
JOURNAL, PART = ".file.3b9c358f.resume.journal", ".file.3b9c358f.resume.part"


@pytest.fixture
def target(tmp_path):
    return tmp_path / "file"


@pytest.fixture
def journal(tmp_path):
    return tmp_path / JOURNAL


@pytest.fixture
def part(tmp_path):
    return tmp_path / PART


def names(target):
    return sorted(path.name for path in target.parent.iterdir())


def handle(container, driver, key="k", size=SIZE):
    return Object(key, size, None, None, None, container, driver)


@pytest.fixture
def resume(s3, container, new_driver, target):
    """Download the object, and return the spans that were fetched beside its first byte."""
    driver = new_driver(ex_max_concurrency=1)
    s3.put("k", DATA)

    def resume(path=target, **arguments):
        s3.requests.clear()
        obj = handle(container, driver)
        assert driver.download_object(obj, path, ex_resume=True, **arguments) is True
        spans = [sent.headers["range"][6:].split("-") for sent in s3.requests]
        return [(int(start), int(last) + 1) for start, last in spans if (start, last) != ("0", "0")]

    return resume


@pytest.fixture
def leave(journal, part):
    """Leave what a download that was cut off leaves: its bytes, and the spans it has noted."""

    def leave(*spans, path="/photos/k", etag=ETAG, size=SIZE, data=DATA):
        lines = [[path, etag, size], *(list(span) for span in spans)]
        journal.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        part.write_bytes(data)
        for each in (journal, part):
            each.chmod(0o600)

    return leave


WHOLE = [(0, SIZE)]


# What is fetched


def test_a_new_download_fetches_everything(resume, target):
    """At first all bytes are missing, and the file appears when they are there."""
    assert resume() == WHOLE
    assert target.read_bytes() == DATA
    assert names(target) == ["file"]


def test_what_has_arrived_is_not_fetched_again(resume, leave, target):
    """After a crash the noted bytes are kept, and only the others are fetched."""
    leave((0, 2 * UNIT), (5 * UNIT, 6 * UNIT + 7))
    assert resume() == [(2 * UNIT, 5 * UNIT), (6 * UNIT + 7, SIZE)]
    assert target.read_bytes() == DATA
    assert names(target) == ["file"]


def test_what_has_arrived_outlives_a_refusal(resume, leave, target, monkeypatch):
    """What an earlier call has left stays where this one is refused for want of hard links."""

    def refused(*paths):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refused)
    leave((0, 2 * UNIT))
    with pytest.raises(errors.AuroraObjectsError, match="no hard links"):
        resume()
    assert resume(overwrite_existing=True) == [(2 * UNIT, SIZE)]


def test_spans_that_overlap_count_once(resume, leave, target):
    """Spans noted twice, or within each other, or out of order, are not fetched."""
    leave((30, 40), (5, 20), (0, 10), (6, 8))
    assert resume() == [(20, 30), (40, SIZE)]
    assert target.read_bytes() == DATA


def test_all_that_is_there_needs_no_range(resume, leave, target):
    """Where only the end was missing, the version is asked for, and the file appears."""
    leave((0, SIZE))
    assert resume() == []
    assert target.read_bytes() == DATA
    assert names(target) == ["file"]


@pytest.mark.parametrize(
    "other",
    [
        {"path": "/photos/other"},
        {"path": "/other/k"},
        {"etag": md5(DATA[::-1])},
        {"size": SIZE - 1},
    ],
    ids=["key", "container", "version", "size"],
)
def test_another_version_starts_afresh(resume, leave, target, other):
    """What belongs to another object, version or size is thrown away."""
    leave((0, SIZE - 1), data=DATA[::-1], **other)
    assert resume() == WHOLE
    assert target.read_bytes() == DATA


def test_a_file_shorter_than_its_notes_starts_afresh(resume, leave, target):
    """Where noted bytes are not in the file, it has been lost or altered: all is fetched again."""
    leave((0, 3 * UNIT), (4 * UNIT, 6 * UNIT), data=DATA[: 3 * UNIT])
    assert resume() == WHOLE
    assert target.read_bytes() == DATA


def test_notes_of_a_lost_file_never_count_again(s3, container, new_driver, leave, part, target):
    """Notes whose bytes are lost do not come back once a later call has made the file longer."""
    driver, data = new_driver(ex_verify=False), DATA * 16
    s3.put("k", data)
    leave((0, len(data) // 2), etag=md5(data), size=len(data))
    part.unlink()
    obj, second_half = handle(container, driver, size=len(data)), threading.Event()

    def refuse(request):
        if request.headers.get("range") == f"bytes=0-{len(data) // 2 - 1}":
            assert second_half.wait(10)
            return error(403, "AccessDenied")
        return None

    def progress(done, total):
        if done == total // 2:
            second_half.set()

    s3.faults.append(refuse)
    with pytest.raises(errors.AccessDeniedError):
        driver.download_object(obj, target, ex_resume=True, ex_progress=progress)
    s3.faults.clear()
    assert driver.download_object(obj, target, ex_resume=True)
    assert target.read_bytes() == data


def test_bytes_that_are_others_are_fetched_again(resume, leave, target):
    """Bytes that have changed since they were noted are noticed by the object's hash."""
    leave((0, 3 * UNIT), data=DATA[:UNIT] + b"damage" + DATA[UNIT + 6 :])
    assert resume()[0] == (3 * UNIT, SIZE)
    assert target.read_bytes() == DATA


def test_bytes_after_the_end_are_cut_off(resume, leave, target):
    """A partial file that is longer than the object ends where the object does."""
    leave((0, UNIT), data=DATA + bytes(1000))
    resume()
    assert target.read_bytes() == DATA


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"[",
        b"{}",
        b"7",
        b"[1]",
        b"[0, 5, 0]",
        b"\x00\xff",
        b"[0, 5",
        b'["a", "b"]',
        b"[null, null]",
        b"[true, 5]",
        b"[-5, 3]",
        b"[1.5, 2.5]",
        b"[5, 1]",
        b"[0, 1e30]",
        b"[0, 99999999999999999999]",
        b"[0, " + b"9" * 5000 + b"]",
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b"[" * 500 + b"]" * 500,
        bytes(range(256)) * 300,
        b"\xef\xbb\xbf[0, 5]",
    ],
    ids=range(23),
)
@pytest.mark.parametrize("first", [True, False])
def test_a_damaged_journal_is_no_error(resume, leave, journal, target, first, line):
    """A journal of which a crash has left a part, or rubbish, means fetching again."""
    leave()
    head = journal.read_bytes()
    journal.write_bytes(line + b"\n" + head if first else head + line + b"\n")
    assert resume() == WHOLE
    assert target.read_bytes() == DATA
    assert names(target) == ["file"]


@pytest.mark.parametrize(
    "identity", [[], ["/photos/k"], ["/photos/k", [[[]]], {}], [["/photos/k"]]]
)
def test_a_damaged_identity_is_another_version(resume, leave, journal, target, identity):
    """A first line that names no version means fetching again."""
    leave()
    journal.write_text(f"{json.dumps(identity)}\n[0, 5]\n")
    assert resume() == WHOLE
    assert target.read_bytes() == DATA


# What is left


def test_what_a_signal_raises_while_space_is_reserved_is_not_lost(resume, target, monkeypatch):
    """A time limit may be an OSError, which is not the file system's that cannot reserve."""

    def limited(*arguments):
        raise TimeoutError("the task's time limit")

    monkeypatch.setattr(os, "posix_fallocate", limited)
    with pytest.raises(TimeoutError, match=r"^the task's time limit$"):
        resume()
    assert names(target) == []


def test_a_disk_that_is_too_small_is_left_as_it_was(resume, target, monkeypatch):
    """Of a download for which there is no room, no hidden file stays."""

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        resume()
    assert names(target) == []


@pytest.mark.parametrize(("concurrency", "ranges"), [(1, 2), (10, 4)])
def test_a_broken_download_goes_on(
    s3, container, new_driver, target, monkeypatch, concurrency, ranges
):
    """With ex_resume a download that failed is completed, and the bytes it had are not fetched."""
    driver, data = new_driver(ex_max_concurrency=concurrency), DATA * 32
    s3.put("k", data)
    obj = handle(container, driver, size=len(data))
    write, written, all_others = os.pwrite, [], threading.Event()

    def count(descriptor, view, offset):
        written.append(write(descriptor, view, offset))
        if sum(written) >= len(data) * (ranges - 1) // ranges:  # all ranges but one
            all_others.set()
        return written[-1]

    def refuse(request):
        if f"-{len(data) - 1}" in request.headers.get("range", ""):
            assert all_others.wait(10)
            return error(403, "AccessDenied")
        return None

    monkeypatch.setattr(os, "pwrite", count)
    s3.faults.append(refuse)
    with pytest.raises(errors.AccessDeniedError):
        driver.download_object(obj, str(target), ex_resume=True)
    assert names(target) == [JOURNAL, PART]
    s3.faults.clear()
    s3.requests.clear()
    seen = []
    assert driver.download_object(
        obj, str(target), ex_resume=True, ex_progress=lambda *numbers: seen.append(numbers)
    )
    assert target.read_bytes() == data
    assert names(target) == ["file"]
    assert seen == sorted(set(seen))
    assert seen[-1] == (len(data), len(data))
    last = len(data) * (ranges - 1) // ranges
    assert seen[0] == (last, len(data))
    fetched = [sent.headers["range"] for sent in s3.requests]
    assert fetched == ["bytes=0-0", f"bytes={last}-{len(data) - 1}"]


def test_what_has_arrived_is_noted_soon(s3, container, new_driver, target, journal):
    """Of what has arrived, a crash at any moment costs less than 8 MiB, whatever the ranges."""
    driver, data = new_driver(ex_max_concurrency=1), DATA * 64
    s3.put("k", data)

    def check(done, total):
        spans = [json.loads(line) for line in journal.read_text().splitlines()[1:]]
        noted = sum(stop - start for start, stop in spans)
        assert done - 8 * MIB < noted <= done
        lines.append(len(spans))

    lines = []
    obj = handle(container, driver, size=len(data))
    driver.download_object(obj, target, ex_resume=True, ex_progress=check)
    assert max(lines) == len(data) // (8 * MIB)


@pytest.mark.parametrize("size", [0, 1, UNIT, len(DATA)])
def test_a_download_that_never_broke(s3, container, driver, target, size):
    """With ex_resume and nothing to go on with, the file arrives as always."""
    s3.put("k", DATA[:size])
    driver.download_object(handle(container, driver, size=None), str(target), ex_resume=True)
    assert target.read_bytes() == DATA[:size]
    assert names(target) == ["file"]


def test_damage_that_stays_leaves_nothing_to_resume(s3, container, driver, target):
    """When the bytes never match the ETag, what has arrived is not kept."""
    s3.put("k", DATA, "0" * 32)
    with pytest.raises(errors.HashMismatchError):
        driver.download_object(handle(container, driver), str(target), ex_resume=True)
    assert names(target) == []


def test_an_object_with_slashes_gets_its_directories(s3, container, driver, tmp_path):
    """With ex_resume too, an object in a directory gets the directories of its name."""
    s3.put("sub/dir/f", DATA)
    (obj,) = container.list_objects()
    s3.fail(1, error(403, "AccessDenied"), method="GET")
    with pytest.raises(errors.AccessDeniedError):
        driver.download_object(obj, str(tmp_path), ex_resume=True)
    driver.download_object(obj, str(tmp_path), ex_resume=True)
    assert (tmp_path / "sub" / "dir" / "f").read_bytes() == DATA
    assert [path.name for path in (tmp_path / "sub" / "dir").iterdir()] == ["f"]


def test_discarding_leaves_no_directories(s3, container, driver, tmp_path):
    """What is not kept takes the directories with it that were made for it, if they are empty."""
    s3.put("sub/f", DATA, "0" * 32)
    (obj,) = container.list_objects()
    with pytest.raises(errors.HashMismatchError):
        driver.download_object(obj, str(tmp_path), ex_resume=True)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_made_is_an_error(s3, container, driver, tmp_path):
    """A file in the place of a directory is an error of the family."""
    s3.put("sub/f", DATA)
    (tmp_path / "sub").write_bytes(b"")
    with pytest.raises(errors.AuroraObjectsError, match="cannot be resumed"):
        driver.download_object(handle(container, driver, "sub/f"), tmp_path, ex_resume=True)


@pytest.mark.parametrize(("mode", "meanwhile"), [(0o444, 0o600), (0o400, 0o600), (0o640, 0o600)])
def test_a_read_only_file_is_replaced_by_a_resumed_one(resume, target, part, mode, meanwhile):
    """The partial file is its owner's alone; the old file's permissions come at the end."""
    target.write_bytes(b"old")
    target.chmod(mode)
    seen = []

    def progress(done, total):
        seen.append(stat.S_IMODE(part.stat().st_mode))
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        resume(overwrite_existing=True, ex_progress=progress)
    resume(overwrite_existing=True, ex_progress=progress)
    assert set(seen) == {meanwhile}
    assert stat.S_IMODE(target.stat().st_mode) == mode
    assert names(target) == ["file"]


def test_a_whole_download_removes_what_was_to_be_resumed(s3, container, driver, target, leave):
    """Once the file is there without ex_resume, nothing is left to go on with."""
    s3.put("k", DATA)
    leave((0, UNIT))
    driver.download_object(handle(container, driver), str(target))
    assert names(target) == ["file"]


def test_a_journal_alone_is_removed_too(s3, container, driver, target, leave, part):
    """A crash may have left only the journal."""
    s3.put("k", DATA)
    leave()
    part.unlink()
    driver.download_object(handle(container, driver), str(target))
    assert names(target) == ["file"]


# Two at once


def test_two_at_once_are_refused(resume, target):
    """Another download to the same place at the same time is an error that says so."""
    refused = []

    def progress(done, total):
        with pytest.raises(errors.AuroraObjectsError, match="another process") as caught:
            resume()
        refused.append(caught.value)

    resume(ex_progress=progress)
    assert refused
    assert target.read_bytes() == DATA
    assert names(target) == ["file"]


def test_a_whole_download_leaves_alone_what_another_resumes(
    s3, container, driver, target, leave, journal
):
    """The files of a download that is under way are not taken away from it."""
    s3.put("k", DATA)
    leave((0, UNIT))
    with open(journal) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        driver.download_object(handle(container, driver), str(target))
    assert names(target) == [JOURNAL, PART, "file"]


@pytest.mark.parametrize("left", ["nothing", "another's"])
def test_a_journal_that_its_last_owner_removes_is_made_anew(
    resume, target, journal, monkeypatch, left
):
    """A journal removed between being opened and being locked is not locked in vain."""
    locked, refused = fcntl.flock, []

    def late(descriptor, how):
        locked(descriptor, how)
        monkeypatch.setattr(fcntl, "flock", locked)
        journal.unlink()
        if left != "nothing":
            journal.write_text("")
            journal.chmod(0o600)

    def progress(done, total):
        assert journal.exists()
        with pytest.raises(errors.AuroraObjectsError, match="another process") as caught:
            resume()
        refused.append(caught.value)

    monkeypatch.setattr(fcntl, "flock", late)
    resume(ex_progress=progress)
    assert refused
    assert names(target) == ["file"]


def test_long_names_that_begin_alike_have_journals_of_their_own(resume, tmp_path):
    """Files whose names differ only after the part a hidden name can hold do not collide."""
    one, other = (tmp_path / f"{'n' * 200}{end}" for end in "ab")
    resume(one, ex_progress=lambda done, total: done or resume(other))
    assert sorted(tmp_path.iterdir()) == [one, other]
    assert one.read_bytes() == other.read_bytes() == DATA


def test_of_a_large_object_a_thousandth_is_noted_at_once(target, journal, monkeypatch):
    """More notes would cost more time, and its journal would be long."""
    monkeypatch.setattr(OpenFile, "reserve", lambda self, size: None)
    with Partial(Destination(target, "k", overwrite=True, durable=True), "/photos/k") as kept:
        kept.begin(ETAG, 16_000 * MIB)
        kept.record(0, 16 * MIB - 1)
        assert len(journal.read_text().splitlines()) == 1
        kept.record(16 * MIB - 1, 16 * MIB)
        assert journal.read_text().splitlines()[1:] == [f"[0, {16 * MIB}]"]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_keeps_no_lock(resume, target):
    """A process that is forked while a download is under way does not hold its lock."""
    ended, end = os.pipe()

    def progress(done, total):
        children.append(os.fork())
        if children[-1] == 0:
            os.close(end)
            os.read(ended, 1)  # until the test is over
            os._exit(0)
        raise KeyboardInterrupt

    children = []
    with pytest.raises(KeyboardInterrupt):
        resume(ex_progress=progress)
    assert resume() == WHOLE
    os.close(end)
    os.waitpid(children[0], 0)
    os.close(ended)
    assert names(target) == ["file"]


def test_a_failure_leaves_no_lock(resume, leave, part, target):
    """A partial file that cannot be opened is an error of the family, and can be put right."""
    leave((0, UNIT))
    part.unlink()
    part.mkdir()
    for _ in range(2):
        with pytest.raises(errors.AuroraObjectsError, match="cannot be resumed"):
            resume()
    part.rmdir()
    assert resume() == WHOLE
    assert names(target) == ["file"]


# Files of others


def linked(path):
    os.link(path, path.with_name("elsewhere"))


def writable_by_others(path):
    path.chmod(0o666)


def writable_by_the_group(path):
    path.chmod(0o620)


def replaced_by_a_link(path):
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def replaced_by_a_pipe(path):
    path.unlink()
    os.mkfifo(path, 0o600)


WAYS = [linked, writable_by_others, writable_by_the_group, replaced_by_a_link, replaced_by_a_pipe]


@pytest.mark.parametrize("name", [JOURNAL, PART], ids=["journal", "part"])
@pytest.mark.parametrize("spoil", WAYS, ids=lambda spoil: spoil.__name__)
def test_what_others_may_write_is_not_trusted(resume, leave, s3, target, name, spoil):
    """A partial file or journal that is not this user's alone is refused, and stays as it is."""
    leave((0, UNIT))
    path = target.parent / name
    spoil(path)
    before = path.lstat()
    for _ in range(2):
        with pytest.raises(errors.AuroraObjectsError, match=r"not trusted|cannot be resumed"):
            resume()
    assert not target.exists()
    after = path.lstat()
    assert after[:7] == before[:7]  # mode, inode, device, links, owner, group and size
    # All times but that of the access, which looking at a link may change.
    assert (after.st_mtime_ns, after.st_ctime_ns) == (before.st_mtime_ns, before.st_ctime_ns)
    path.unlink()
    resume()
    assert target.read_bytes() == DATA


@pytest.mark.parametrize("name", [JOURNAL, PART], ids=["journal", "part"])
def test_another_users_files_are_not_trusted(resume, leave, target, name, monkeypatch):
    """A partial file or journal of another owner is refused with advice."""
    leave((0, UNIT))
    path = target.parent / name
    if os.geteuid() == 0:
        os.chown(path, 12_345, -1)
    else:  # then this user becomes another one, as far as the driver can see
        monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    with pytest.raises(errors.AuroraObjectsError, match=r"not trusted\. Remove it"):
        resume()
    assert not target.exists()


@pytest.mark.parametrize("spoil", WAYS, ids=lambda spoil: spoil.__name__)
def test_a_whole_download_minds_no_files_of_others(s3, container, driver, leave, target, spoil):
    """Without ex_resume the file arrives whatever lies beside it, which stays there."""
    s3.put("k", DATA)
    leave((0, UNIT))
    spoil(target.parent / JOURNAL)
    driver.download_object(handle(container, driver), str(target))
    assert target.read_bytes() == DATA
    assert {JOURNAL, PART} < set(names(target))


@pytest.mark.parametrize("version", ["the same", "another"])
def test_a_file_that_appeared_as_the_power_went_is_complete(
    resume, leave, s3, part, target, version
):
    """A partial file that is the destination by another name is our own, and let go of."""
    leave((0, SIZE))
    os.link(part, target)
    with pytest.raises(errors.AuroraObjectsError, match="already exists"):
        resume()
    if version == "another":
        s3.put("k", DATA[::-1])
    resume(overwrite_existing=True)
    assert target.read_bytes() == (DATA if version == "the same" else DATA[::-1])
    assert target.stat().st_nlink == 1
    assert names(target) == ["file"]


@pytest.mark.parametrize("whole", [False, True])
def test_a_probe_that_a_kill_has_left_is_no_hindrance(
    resume, leave, container, driver, part, target, whole
):
    """A name that a killed call has left as it tried hard links goes, and the download goes on."""
    leave((0, UNIT))
    os.link(part, part.with_suffix(".link"))
    if whole:
        driver.download_object(handle(container, driver), target)
    else:
        assert resume() == [(UNIT, SIZE)]
    assert target.read_bytes() == DATA
    assert names(target) == ["file"]


def test_an_old_file_is_whole_while_its_other_name_is_resumed(resume, leave, part, target):
    """What was complete is not written to again: Ctrl-C leaves it as it was."""
    leave((0, SIZE))
    os.link(part, target)

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        resume(overwrite_existing=True, ex_progress=interrupt)
    assert target.read_bytes() == DATA


@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.parametrize("resume", [False, True])
def test_ctrl_c_anywhere_leaves_no_descriptor(s3, container, new_driver, target, resume):
    """Wherever Ctrl-C comes, no file stays open, nor locked: the next call resumes."""
    driver = new_driver(ex_max_concurrency=1)
    s3.put("k", DATA)
    within = f"{PACKAGE}/_transfer/"

    def save():
        driver.download_object(handle(container, driver), target, True, ex_resume=resume)

    def still_open():
        links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
        found = [os.readlink(link) for link in links if os.path.islink(link)]
        return [name for name in found if name.startswith(str(target.parent))]

    for number in range(calls_of(save, within) + 1):
        for path in target.parent.iterdir():
            path.unlink()
        with contextlib.suppress(KeyboardInterrupt):
            pressed_after(number, save, within)
        gc.collect()
        assert still_open() == [], number
        save()
    assert target.read_bytes() == DATA
