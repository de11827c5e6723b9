"""What the sync example transfers, leaves alone and deletes, and what it refuses."""

import os
import re
import signal
from pathlib import Path

import parallel_upload
import pytest
import sync_directory
from example_runs import make_many, make_tree, run, running, tree
from servers import plan
from servers.proxy import Proxy

MIB = 1024**2
LARGE = bytes(range(256)) * 4 * 1024 * 7  # 7 MiB: two parts


@pytest.fixture
def sync(account, container):
    """Return a function that runs the example with the test's container."""

    def call(direction, directory, *more, expect=0):
        command = ("sync_directory.py", direction, directory, container.name, *more)
        return run(*command, environment=account.environment(), expect=expect)

    return call


def stored(container):
    """Return what is stored: name, ETag and time of each object."""
    return [(obj.name, obj.hash, obj.extra["last_modified"]) for obj in container.list_objects()]


def on_disk(directory):
    """Return the inode and time of each file: both change when a file is replaced."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def test_a_second_run_does_nothing(sync, container, tmp_path):
    """What has gone up and come down is the same, and a second run of either transfers nothing."""
    source, copy = make_tree(tmp_path / "photos"), tmp_path / "copy"
    wanted = tree(source)
    del wanted["empty directory"]

    first = [sync("up", source), sync("down", copy, "photos")]
    objects, files = stored(container), on_disk(copy)
    second = [sync("up", source, "--delete"), sync("down", copy, "photos/", "--delete")]

    assert tree(copy) == wanted
    assert [obj.name for obj in container.list_objects()] == sorted(
        f"photos/{name}" for name, data in wanted.items() if data is not None
    )
    assert f"left out: {str(source / 'empty directory')!r} is an empty directory" in first[0]
    for said in first:
        assert "3 transferred, 0 unchanged, 0 deleted, 0 failed" in said
    for said in second:
        assert "0 transferred, 3 unchanged, 0 deleted, 0 failed" in said
    assert (stored(container), on_disk(copy)) == (objects, files)


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_change_of_the_same_size_is_found(sync, container, tmp_path, direction):
    """A file that differs in one byte is transferred, small or in parts, and nothing else is."""
    source = tmp_path / "photos"
    for name, data in (("small", b"a"), ("large", LARGE), ("same", b"same"), ("other", LARGE)):
        container.upload_object_via_stream([data], f"photos/{name}")
        source.mkdir(exist_ok=True)
        (source / name).write_bytes(data)
    for path in (source / "small", source / "large"):
        path.write_bytes(b"b" + path.read_bytes()[1:])
        os.utime(path, (0, 0))

    said = sync(direction, source)

    assert "2 transferred, 2 unchanged" in said
    first = b"b" if direction == "up" else b"a"
    assert (source / "small").read_bytes() == first
    assert (source / "large").read_bytes()[:1] == (first if direction == "up" else LARGE[:1])
    for path in source.iterdir():
        obj = container.get_object(f"photos/{path.name}")
        assert b"".join(obj.as_stream()) == path.read_bytes()


@pytest.mark.parametrize("part_size", [8 * MIB, 6 * MIB])
def test_parts_of_other_programs_are_known(sync, driver, cls, container, tmp_path, part_size):
    """An object that another program has sent, in parts of a usual size or not, is left alone."""
    data = LARGE * 2
    with cls(**(driver._settings.arguments | {"ex_part_size": part_size})) as other:
        other.upload_object_via_stream([data], container, "photos/large")
    source = tmp_path / "photos"
    source.mkdir()
    (source / "large").write_bytes(data)
    objects, files = stored(container), on_disk(source)

    for direction in ("up", "down"):
        assert "0 transferred, 1 unchanged" in sync(direction, source)

    assert (stored(container), on_disk(source)) == (objects, files)


def test_only_what_is_asked_for_is_deleted(sync, container, tmp_path):
    """Without --delete what only one side has stays; with it objects go, but no other prefix's."""
    source = make_many(tmp_path / "photos", 3)
    for name in ("photos/old", "photos//etc/passwd", "photos/gone/", "photos/", "photos/0 żółw/"):
        container.upload_object_via_stream(b"", name)
    for name in ("photos2/a", "a"):
        container.upload_object_via_stream(b"x", name)
    before = len(container.list_objects())

    kept = sync("up", source)
    assert "3 transferred, 0 unchanged, 0 deleted" in kept
    assert len(container.list_objects()) == before + 3

    said = sync("up", source, "--delete")

    assert "0 transferred, 3 unchanged, 3 deleted" in said
    for name in ("photos/old", "photos//etc/passwd", "photos/gone/"):
        assert f"deleted: {name!r}" in said
    assert {obj.name for obj in container.list_objects()} == {
        *("photos/", "photos/0 żółw/", "photos2/a", "a"),
        *(f"photos/{number} żółw/{number}.txt" for number in range(3)),
    }


def test_files_without_objects_are_deleted(sync, container, tmp_path):
    """Going down, --delete removes files and the directories that they leave empty, no links."""
    copy, other = make_many(tmp_path / "copy", 3), tmp_path / "other"
    other.write_text("precious")
    (copy / "link").symlink_to(other)
    (copy / "marked").mkdir()
    (copy / "marked" / "old").touch()
    for name in ("marked/", "new/empty/", "0 żółw/0.txt"):
        container.upload_object_via_stream(b"", f"photos/{name}")

    assert "0 deleted" in sync("down", copy, "photos")
    assert (copy / "1 żółw" / "1.txt").exists()
    said = sync("down", copy, "photos", "--delete")

    assert "0 transferred, 3 unchanged, 3 deleted" in said
    assert tree(copy) == {
        **dict.fromkeys(("marked", "new", "new/empty", "0 żółw")),
        "0 żółw/0.txt": b"",
        "link": b"precious",
    }


def test_an_empty_name_is_the_whole_container(sync, container, tmp_path):
    """With an empty name, files and objects have the same names."""
    source, copy = make_many(tmp_path / "photos", 3), tmp_path / "copy"

    sync("up", source, "")
    sync("down", copy, "")

    assert {obj.name for obj in container.list_objects()} == {
        path.relative_to(source).as_posix() for path in source.rglob("*.txt")
    }
    assert tree(copy) == tree(source)


def test_names_that_harm_are_refused(sync, container, tmp_path):
    """Names that collide, or lead outside or through a link, fail alone, and nothing is deleted."""
    copy, outside = tmp_path / "copy", tmp_path / "outside"
    outside.mkdir()
    (copy / "directory").mkdir(parents=True)
    (copy / "old").touch()
    (copy / "link").symlink_to(outside)
    (copy / "file link").symlink_to(outside / "file")
    harmful = {
        "a//b": "FileExistsError: another object",
        "a/b": "FileExistsError: another object",
        "c": "FileExistsError: another object",
        "../e": "ValueError: its name leads out",
        "e/../f": "ValueError: its name leads out",
        f"{outside}/g": "ValueError: its name leads out",
        "slash/": "ValueError: no file has a name that ends in a slash",
        "link/h": "ValueError: a symbolic link is in its place",
        "link/directory/": "ValueError: a symbolic link is in its place",
        "file link": "ValueError: a symbolic link is in its place",
        "directory": "IsADirectoryError: ",
        "old/x": "FileExistsError: ",
        "x" * 300: "OSError: ",
    }
    for name in (*harmful, "c/d", "good"):
        data = b"" if name == "link/directory/" else name
        container.upload_object_via_stream(data, f"photos/{name}")

    said = sync("down", copy, "photos", "--delete", expect=1)

    assert f"2 transferred, 0 unchanged, 0 deleted, {len(harmful)} failed" in said
    assert "nothing was deleted, because of the failures" in said
    for name, why in harmful.items():
        assert f"failed: {f'photos/{name}'.rstrip('/')!r}"[:-1] in said, name
        assert why in said
    assert list(outside.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "outside"]
    assert (copy / "old").exists()
    assert tree(copy)["c/d"] == b"c/d"


def test_failed_files_keep_objects_from_deletion(sync, container, tmp_path):
    """When a file cannot go up, all others do, and no object is deleted."""
    source = make_many(tmp_path / "photos", 3)
    Path(os.fsdecode(os.fsencode(source) + b"/\xff")).touch()
    container.upload_object_via_stream(b"x", "photos/old")

    said = sync("up", source, "--delete", expect=1)

    assert "3 transferred, 0 unchanged, 0 deleted, 1 failed" in said
    assert re.search(r"failed: 'photos/\\udcff': InvalidObjectNameError", said)
    assert "photos/old" in {obj.name for obj in container.list_objects()}


def test_what_cannot_be_read_keeps_objects_from_deletion(driver, container, tmp_path, monkeypatch):
    """A directory that cannot be read is a failure, and its objects are not taken for old ones."""
    source = make_many(tmp_path / "photos", 1)
    container.upload_object_via_stream(b"x", "photos/unreadable/a")
    unreadable = (source / "unreadable", PermissionError("denied"))
    files, left_out, _ = parallel_upload.find_files(source)
    monkeypatch.setattr(sync_directory, "find_files", lambda _: (files, left_out, [unreadable]))

    report = sync_directory.sync_up(driver, source, container, "photos/", delete=True)

    assert report.failures == [unreadable]
    assert report.deleted == []
    assert len(container.list_objects()) == 2


def test_an_empty_source_is_an_error(sync, container, tmp_path):
    """A source without files deletes nothing on the other side: it is probably the wrong one."""
    empty, full = tmp_path / "photos", make_many(tmp_path / "full", 3)
    empty.mkdir()
    container.upload_object_via_stream(b"x", "photos/a")
    container.upload_object_via_stream(b"", "markers/b/")
    before = tree(full)

    assert "there is no file in " in sync("up", empty, "--delete", expect=1)
    for name in ("photo", "markers"):
        assert f"no file whose name begins with '{name}/'" in sync(
            "down", full, name, "--delete", expect=1
        )
    assert "is not a directory" in sync("up", tmp_path / "none", expect=2)

    assert len(container.list_objects()) == 2
    assert tree(full) == before


@pytest.mark.parametrize("direction", ["up", "down"])
def test_ctrl_c_leaves_nothing_half_done(account, sync, driver, container, tmp_path, direction):
    """A Ctrl-C leaves whole files and objects only, and another run does the rest."""
    source, copy = make_many(tmp_path / "photos", 40), tmp_path / "copy"
    (source / "!large").write_bytes(LARGE)  # the first, and with one thread all others wait
    if direction == "down":
        sync("up", source)
    hold, is_large = plan.Hold(), plan.is_any("part", "get")
    host, _, port = account.endpoint.removeprefix("http://").partition(":")
    with Proxy(host, int(port)) as proxy:
        proxy.plan = plan.always(
            plan.hook("head", hold),
            lambda request: is_large(request) and request.path.endswith("large"),
        )
        away = account._replace(endpoint=f"http://127.0.0.1:{proxy.port}").environment()
        directory = source if direction == "up" else copy
        command = ("sync_directory.py", direction, directory, container.name, "photos")
        with running(*command, "--threads", "1", environment=away) as process:
            try:
                assert hold.reached.wait(60)
                os.killpg(process.pid, signal.SIGINT)
            finally:
                hold.released.set()
            _, errors = process.communicate(timeout=60)

    assert process.returncode == 1
    assert errors.decode().splitlines()[-1].startswith("interrupted: ")
    assert list(driver.ex_iterate_multipart_uploads(container)) == []
    files = tree(source)
    if direction == "up":
        for obj in container.list_objects():
            assert b"".join(obj.as_stream()) == files[obj.name.removeprefix("photos/")]
    else:
        assert tree(copy).items() <= files.items()
    for again in (("up", source), ("down", copy, "photos")):
        assert "0 failed" in sync(*again)
    assert tree(copy) == files
