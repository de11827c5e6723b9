"""_resume: a download that survives a crash."""

import fcntl
import json
import os
import stat
import zlib

import pytest
from libcloud.storage.base import Object
from unit.memory_s3 import error, md5

from libcloud_aurora import errors
from libcloud_aurora._resume import Partial

MIB = 1_048_576
DATA = os.urandom(9 * MIB + 99)
#: What lies beside "file", under a name of its own: 8 digits of the SHA-256 of the whole name.
JOURNAL, PART = ".file.3b9c358f.resume.journal", ".file.3b9c358f.resume.part"


@pytest.fixture
def target(tmp_path):
    return tmp_path / "file"


def names(target):
    return sorted(path.name for path in target.parent.iterdir())


def fill(partial, start, stop):
    """Write bytes of the object as a range does, and note them."""
    note = partial.recorder()
    for at in range(start, stop, MIB):
        piece = memoryview(DATA)[at : min(at + MIB, stop)]
        os.pwrite(partial.descriptor, piece, at)
        note(at, piece)


def test_a_new_download_misses_everything(target):
    """At first all bytes are missing, and the file appears when they are there."""
    with Partial(target, "/b/k") as partial:
        partial.begin("etag", len(DATA))
        assert partial.missing(len(DATA)) == [(0, len(DATA))]
        fill(partial, 0, len(DATA))
        partial.finish()
    assert names(target) == ["file"]
    assert target.read_bytes() == DATA


def test_what_has_arrived_is_not_missing_any_more(target):
    """After a crash the noted bytes are kept, and only the others are missing."""
    with Partial(target, "/b/k") as partial:
        partial.begin("etag", len(DATA))
        fill(partial, 0, 2 * MIB)
        fill(partial, 5 * MIB, 6 * MIB + 7)
    with Partial(target, "/b/k") as partial:
        partial.begin("etag", len(DATA))
        assert partial.missing(len(DATA)) == [(2 * MIB, 5 * MIB), (6 * MIB, len(DATA))]
    assert names(target) == [JOURNAL, PART]


def test_pieces_of_any_size_are_noted(target):
    """Small pieces are noted together, and a range that begins elsewhere is noted apart."""
    with Partial(target, "/b/k") as partial:
        partial.begin("etag", len(DATA))
        note = partial.recorder()
        for at in [*range(0, MIB, MIB // 4), *range(4 * MIB, 5 * MIB, MIB // 4)]:
            piece = memoryview(DATA)[at : at + MIB // 4]
            os.pwrite(partial.descriptor, piece, at)
            note(at, piece)
    with Partial(target, "/b/k") as partial:
        partial.begin("etag", len(DATA))
        assert partial.missing(5 * MIB) == [(MIB, 4 * MIB)]


@pytest.mark.parametrize(
    ("path", "etag", "size"),
    [("/b/other", "etag", 100), ("/b/k", "other", 100), ("/b/k", "etag", 101)],
)
def test_another_version_starts_afresh(target, path, etag, size):
    """What belongs to another object, version or size is thrown away."""
    with Partial(target, "/b/k") as partial:
        partial.begin("etag", 100)
        os.pwrite(partial.descriptor, bytes(100), 0)
    with Partial(target, path) as partial:
        partial.begin(etag, size)
        assert partial.missing(size) == [(0, size)]


def test_bytes_that_never_reached_the_disk_are_missing(target):
    """A note whose bytes are not in the file, or are others, counts for nothing."""
    with Partial(target, "/b/k") as partial:
        partial.begin("etag", len(DATA))
        fill(partial, 0, 3 * MIB)
        os.pwrite(partial.descriptor, b"damage", MIB)
    with Partial(target, "/b/k") as partial:
        partial.begin("etag", len(DATA))
        assert partial.missing(len(DATA)) == [(MIB, 2 * MIB), (3 * MIB, len(DATA))]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "\n",
        "[",
        "{}",
        "7",
        "[1,2]",
        "\x00\xff",
        "[0, 5",
        '["a", "b", "c"]',
        "[null, null, null]",
        "[-5, 3, 0]",
        "[1.5, 2.5, 0]",
        "[5, 1, 0]",
        "[0, 1e30, 0]",
        "[0, 99999999999999999999, 0]",
    ],
    ids=range(15),
)
@pytest.mark.parametrize("first", [True, False])
def test_a_damaged_journal_is_no_error(target, first, line):
    """A journal of which a crash has left a part, or rubbish, means fetching again."""
    head = json.dumps(["/b/k", "etag", 100])
    text = f"{line}\n{head}\n" if first else f"{head}\n{line}\n"
    (target.parent / JOURNAL).write_bytes(text.encode("latin-1"))
    with Partial(target, "/b/k") as partial:
        partial.begin("etag", 100)
        assert partial.missing(100) == [(0, 100)]


def test_notes_that_overlap_count_once(target):
    """Spans noted twice, or within each other, are not missing."""
    spans = [(0, 10), (5, 20), (6, 8), (30, 40)]
    lines = [["/b/k", "etag", 50]]
    lines += [[a, b, zlib.crc32(DATA[a:b])] for a, b in spans]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (target.parent / JOURNAL).write_text(text)
    (target.parent / PART).write_bytes(DATA[:50])
    with Partial(target, "/b/k") as partial:
        partial.begin("etag", 50)
        assert partial.missing(50) == [(20, 30), (40, 50)]


def test_two_at_once_are_refused(target):
    """Another download to the same place at the same time is an error that says so."""
    with Partial(target, "/b/k"), pytest.raises(errors.AuroraObjectsError, match="another process"):
        Partial(target, "/b/k")


@pytest.mark.parametrize("left", ["nothing", "another's"])
def test_a_journal_that_its_last_owner_removes_is_made_anew(target, monkeypatch, left):
    """A journal removed between being opened and being locked is not locked in vain."""
    locked, journal = fcntl.flock, target.parent / JOURNAL

    def late(descriptor, how):
        locked(descriptor, how)
        monkeypatch.setattr(fcntl, "flock", locked)
        journal.unlink()
        if left != "nothing":
            journal.write_text("")

    monkeypatch.setattr(fcntl, "flock", late)
    with Partial(target, "/b/k"):
        assert journal.exists()
        with pytest.raises(errors.AuroraObjectsError, match="another process"):
            Partial(target, "/b/k")


def test_long_names_that_begin_alike_have_journals_of_their_own(tmp_path):
    """Files whose names differ only after the part a hidden name can hold do not collide."""
    one, other = (tmp_path / f"{'n' * 200}{end}" for end in "ab")
    with Partial(one, "/b/one"), Partial(other, "/b/other"):
        assert len(list(tmp_path.iterdir())) == 4


def test_a_place_that_cannot_be_written_is_an_error(target):
    """A partial file that cannot be opened is an error of the family, and leaves no lock."""
    (target.parent / PART).mkdir()
    with pytest.raises(errors.AuroraObjectsError, match="cannot be resumed"):
        Partial(target, "/b/k")
    (target.parent / PART).rmdir()
    with Partial(target, "/b/k") as partial:
        partial.discard()


def test_discarding_leaves_nothing(target):
    """Both files can be removed, more than once."""
    with Partial(target, "/b/k") as partial:
        partial.discard()
        partial.discard()
    assert names(target) == []


def handle(container, driver):
    return Object("k", len(DATA), None, None, None, container, driver)


@pytest.mark.parametrize("concurrency", [1, 10])
def test_a_broken_download_goes_on(s3, container, new_driver, target, concurrency):
    """With ex_resume a download that failed is completed, and the bytes it had are not fetched."""
    driver = new_driver(ex_max_concurrency=concurrency)
    s3.put("k", DATA)
    obj = handle(container, driver)
    s3.faults.append(
        lambda request: (
            error(403, "AccessDenied")
            if f"-{len(DATA) - 1}" in request.headers.get("range", "")
            else None
        )
    )
    with pytest.raises(errors.AccessDeniedError):
        driver.download_object(obj, str(target), ex_resume=True)
    assert names(target) == [JOURNAL, PART]
    s3.faults.clear()
    s3.requests.clear()
    seen = []
    assert driver.download_object(
        obj, str(target), ex_resume=True, ex_progress=lambda *numbers: seen.append(numbers)
    )
    assert target.read_bytes() == DATA
    assert names(target) == ["file"]
    assert seen == sorted(set(seen))
    assert seen[-1] == (len(DATA), len(DATA))


@pytest.mark.parametrize("size", [0, 1, MIB, len(DATA)])
def test_a_download_that_never_broke(s3, container, driver, target, size):
    """With ex_resume and nothing to go on with, the file arrives as always."""
    s3.put("k", DATA[:size])
    obj = Object("k", None, None, None, None, container, driver)
    driver.download_object(obj, str(target), ex_resume=True)
    assert target.read_bytes() == DATA[:size]
    assert names(target) == ["file"]


def test_another_object_by_then_is_fetched_anew(s3, container, driver, target):
    """When the object was replaced in between, nothing of the old one is used."""
    with Partial(target, "/photos/k") as partial:
        partial.begin(md5(DATA), len(DATA))
        fill(partial, 0, 5 * MIB)
    s3.put("k", DATA[::-1])
    driver.download_object(handle(container, driver), str(target), ex_resume=True)
    assert target.read_bytes() == DATA[::-1]


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


def test_a_directory_that_cannot_be_made_is_an_error(tmp_path):
    """A file in the place of a directory is an error of the family."""
    (tmp_path / "sub").write_bytes(b"")
    with pytest.raises(errors.AuroraObjectsError, match="cannot be resumed"):
        Partial(tmp_path / "sub" / "f", "/b/k")


@pytest.mark.parametrize(("mode", "meanwhile"), [(0o444, 0o644), (0o400, 0o600), (0o640, 0o640)])
def test_a_read_only_file_is_replaced_by_a_resumed_one(target, mode, meanwhile):
    """The partial file stays writable, and no more readable; permissions come at the end."""
    target.write_bytes(b"old")
    target.chmod(mode)
    for _ in range(2):
        with Partial(target, "/b/k") as partial:
            partial.begin("etag", 100)
            assert stat.S_IMODE(os.fstat(partial.descriptor).st_mode) == meanwhile
    with Partial(target, "/b/k") as partial:
        partial.finish()
    assert stat.S_IMODE(target.stat().st_mode) == mode
    assert names(target) == ["file"]


def test_a_whole_download_removes_what_was_to_be_resumed(s3, container, driver, target):
    """Once the file is there without ex_resume, nothing is left to go on with."""
    s3.put("k", DATA)
    with Partial(target, "/photos/k") as partial:
        partial.begin(md5(DATA), len(DATA))
    driver.download_object(handle(container, driver), str(target))
    assert names(target) == ["file"]


def test_a_whole_download_leaves_alone_what_another_resumes(s3, container, driver, target):
    """The files of a download that is under way are not taken away from it."""
    s3.put("k", DATA)
    with Partial(target, "/photos/k") as partial:
        partial.begin(md5(DATA), len(DATA))
        driver.download_object(handle(container, driver), str(target))
        assert names(target) == [JOURNAL, PART, "file"]
