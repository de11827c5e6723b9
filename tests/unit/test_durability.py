"""What is done before a file appears and after, so that a power cut leaves the old or the new."""

import contextlib
import os
import re
from pathlib import Path

import pytest
from libcloud.storage.base import Object

MIB = 1_048_576
DATA = os.urandom(17 * MIB)  # noted after each 8 MiB, and the rest not any more
#: What can be lost or kept by a power cut depends on the order of these.
CALLS = (
    "pwrite",
    "write",
    "ftruncate",
    "fchmod",
    "fdatasync",
    "fsync",
    "replace",
    "link",
    "unlink",
)


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """The system calls on files of this test, in order, each once where it is repeated."""
    seen = []

    def place(argument):
        if isinstance(argument, int):
            argument = os.readlink(f"/proc/self/fd/{argument}")
        if not str(argument).startswith(str(tmp_path)):
            return None
        text = os.path.relpath(argument, tmp_path)
        return re.sub(r"\.(\w+)\.[0-9a-f.]*(resume\.)?(\w+)$", r"<\1 \2\3>", text)

    def watch(name):
        real = getattr(os, name)

        def call(first, *rest, **named):
            places = [place(first)]
            if name in ("replace", "link"):
                places.append(place(rest[0]))
            about = " ".join([name, *filter(None, places)])
            if places[0] is not None and about not in seen[-1:]:
                seen.append(about)
            return real(first, *rest, **named)

        monkeypatch.setattr(os, name, call)

    def unlink(path, missing_ok=False):
        with contextlib.suppress(*[FileNotFoundError] * missing_ok):
            os.unlink(path)

    for name in CALLS:
        watch(name)
    monkeypatch.setattr(Path, "unlink", unlink)  # Python 3.10's has kept the real os.unlink
    return seen


@pytest.fixture
def save(s3, container, new_driver):
    driver = new_driver(ex_max_concurrency=1)

    def save(path, key="f", **arguments):
        s3.put(key, DATA)
        obj = Object(key, len(DATA), None, None, None, container, driver)
        driver.download_object(obj, path, **arguments)

    return save


LINKED = ["link <f part> f", "unlink <f part>"]
REPLACED = ["replace <f part> f"]
PROBED = ["link <f part> <f link>", "unlink <f link>"]


@pytest.mark.parametrize(
    ("overwrite", "probed", "placed"), [(True, [], REPLACED), (False, PROBED, LINKED)]
)
def test_a_file_is_on_the_disk_before_its_name_is(save, calls, tmp_path, overwrite, probed, placed):
    """Bytes are synced, then the file appears, then its directory is synced."""
    save(tmp_path / "f", overwrite_existing=overwrite)
    assert calls == [*probed, "pwrite <f part>", "fdatasync <f part>", *placed, "fsync ."]


def test_directories_are_synced_as_far_as_they_were_made(save, calls, tmp_path):
    """Each directory that was made for a file has its name synced, too."""
    (tmp_path / "a").mkdir()
    save(tmp_path, "a/b/c/f", overwrite_existing=True)
    assert calls[-4:] == ["replace a/b/c/<f part> a/b/c/f", "fsync a/b/c", "fsync a/b", "fsync a"]


def test_a_file_that_need_not_last_is_not_waited_for(save, calls, tmp_path):
    """With ex_durable=False nothing is synced, and the file appears in the same way."""
    save(tmp_path / "f", ex_durable=False)
    save(tmp_path / "f", overwrite_existing=True, ex_durable=False)
    assert calls == [*PROBED, "pwrite <f part>", *LINKED, "pwrite <f part>", *REPLACED]


NOTED = ["pwrite <f resume.part>", "fdatasync <f resume.part>", "write <f resume.journal>"]


@pytest.mark.parametrize("durable", [True, False])
def test_a_resumed_file_is_on_the_disk_before_its_journal_goes(save, calls, tmp_path, durable):
    """Bytes are synced before they are noted; the journal goes when all else is on the disk."""
    save(tmp_path / "f", overwrite_existing=True, ex_resume=True, ex_durable=durable)
    begun = calls.index("pwrite <f resume.part>")
    assert calls[:begun] == [
        "unlink <f resume.link>",  # that a kill may have left
        "ftruncate <f resume.journal>",
        "ftruncate <f resume.part>",
        "write <f resume.journal>",
    ]
    assert calls[begun : begun + 7] == [*NOTED * 2, "pwrite <f resume.part>"]
    ending = [call for call in calls[begun + 7 :] if "mode" not in call]
    assert ending == [
        "ftruncate <f resume.part>",
        "fchmod <f resume.part>",
        *["fdatasync <f resume.part>"] * durable,
        "replace <f resume.part> f",
        *["fsync ."] * durable,
        "unlink <f resume.journal>",
    ]
