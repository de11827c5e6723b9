"""Every file of examples/, run as a user runs it, against an S3 server on this machine."""

import ast
import os
import re
import shutil
import subprocess
from pathlib import Path

import parallel_upload
import pytest
from example_runs import (
    EXAMPLES,
    checksums,
    make_many,
    make_tree,
    press_ctrl_c,
    run,
    running,
    tree,
)
from moto.s3.models import s3_backends


@pytest.fixture
def environment(account):
    """Return an environment with the keys of the account."""
    return account.environment()


def test_instantiate_needs_no_server(environment):
    """The documented two lines make a driver and contact nobody."""
    environment["AURORA_ENDPOINT"] = "http://127.0.0.1:1"

    assert run("instantiate.py", environment=environment) == ""


def test_file_goes_up_and_comes_back(environment, container, tmp_path):
    """A file that is uploaded by one example is downloaded and verified by the other."""
    source, copy = tmp_path / "source file", tmp_path / "copy"
    source.write_bytes(bytes(range(256)) * 50_000)

    sent = run("upload_file.py", source, container.name, environment=environment)
    fetched = run(
        "download_and_verify.py", container.name, source.name, copy, environment=environment
    )

    assert "12,800,000 bytes" in sent
    assert "verified" in fetched
    assert copy.read_bytes() == source.read_bytes()


def test_stream_goes_up(environment, container):
    """Whatever comes through standard input becomes an object."""
    data = b"0123456789abcdef" * 400_000

    run("stream_upload.py", container.name, "piped", stdin=data, environment=environment)

    assert b"".join(container.get_object("piped").as_stream()) == data


def test_listing_shows_names_and_sums(environment, container, driver):
    """The listing shows containers without arguments, else objects below a prefix."""
    for name in ("a/żółw", "a/2", "b"):
        driver.upload_object_via_stream(iter([b"x" * 500]), container, name)

    containers = run("list_objects.py", environment=environment)
    objects = run("list_objects.py", container.name, "a/", environment=environment)

    assert container.name in containers.split()
    assert "a/żółw" in objects
    assert "1,000  bytes in 2 objects" in objects


def test_directory_is_backed_up_and_restored(environment, container, tmp_path):
    """A backup is restored when the source is gone: every file, every directory, every byte."""
    source, restored = make_tree(tmp_path / "source"), tmp_path / "new" / "restored"
    wanted = tree(source)

    saved = run("backup_directory.py", source, container.name, environment=environment)
    shutil.rmtree(source)
    back = run(
        *("backup_directory.py", "--restore", restored, container.name, "source.tar.gz"),
        environment=environment,
    )

    assert re.search(r"source.tar.gz: 3 files of [0-9,]+ bytes backed up and verified", saved)
    assert f"{restored}: 3 files restored" in back
    assert tree(restored) == wanted


def test_the_last_backups_are_kept_and_one_file_comes_back(environment, container, tmp_path):
    """With --keep a backup is named by its time and older ones go; --file restores one file."""
    source, restored = make_tree(tmp_path / "source"), tmp_path / "restored"
    for year in (2024, 2025):
        old = f"source-{year}-01-01T000000Z.tar.gz"
        container.upload_object_via_stream([b"old"], old)
    command = ("backup_directory.py", "--keep", "2", source, container.name)

    said = run(*command, environment=environment)
    left = [obj.name for obj in container.list_objects()]
    run(
        *("backup_directory.py", "--restore", "--file", "a/b/text", restored),
        *(container.name, left[-1]),
        environment=environment,
    )
    several = run(*command[:2], "0", *command[3:], environment=environment, expect=2)
    file = run(command[0], "--file", "x", *command[3:], environment=environment, expect=2)

    assert "older backups deleted: 1" in said
    assert left[0] == "source-2025-01-01T000000Z.tar.gz"
    assert re.fullmatch(r"source-\d{4}-\d\d-\d\dT\d{6}Z.tar.gz", left[1])
    assert [path.name for path in restored.rglob("*") if path.is_file()] == ["text"]
    assert "at least 1" in several
    assert "--file is for --restore" in file


def stored(container):
    """Return what is stored: name, ETag and time of each object."""
    return [(obj.name, obj.hash, obj.extra["last_modified"]) for obj in container.list_objects()]


def test_restoring_uploads_nothing(environment, container, tmp_path):
    """Restoring leaves the backup as it is, and refuses a directory that is there."""
    source = make_tree(tmp_path / "source")
    run("backup_directory.py", source, container.name, "backup", environment=environment)
    before = stored(container)
    shutil.rmtree(source / "a")
    command = ("backup_directory.py", "--restore", source, container.name)

    there = run(*command, "backup", environment=environment, expect=2)
    unnamed = run(*command, environment=environment, expect=2)

    assert f"{source} already exists" in there
    assert "name of the backup" in unnamed
    assert stored(container) == before


def test_failed_restore_can_be_repeated(environment, container, tmp_path):
    """A restore that fails is one line and leaves no directory, so the right command works."""
    source, restored = make_tree(tmp_path / "source"), tmp_path / "restored"
    run("backup_directory.py", source, container.name, environment=environment)
    container.upload_object_via_stream([b"no archive"], "text")
    command = ("backup_directory.py", "--restore", restored, container.name)

    missing = run(*command, "source.tgz", environment=environment, expect=1)
    damaged = run(*command, "text", environment=environment, expect=1)
    run(*command, "source.tar.gz", environment=environment)

    assert re.fullmatch(r"ObjectNotFoundError: .*source.tgz.*\n", missing)
    assert "BackupError: 'text' is not a complete archive" in damaged.splitlines()[-1]
    assert tree(restored) == tree(source)


def test_many_files_go_up_and_come_back(environment, container, tmp_path):
    """Every file and every byte comes back; what no object can be is named and does no harm."""
    source, back = make_many(tmp_path / "źródło", 150), tmp_path / "back"
    wanted = {f"{source.name}/{name}": data for name, data in tree(source).items()}
    (source / "empty").mkdir()
    (source / "link").symlink_to(source)
    (source / "broken link").symlink_to("nowhere")
    os.mkfifo(source / "pipe")

    output = run("parallel_upload.py", source, container.name, environment=environment)
    run(
        *("parallel_upload.py", source, container.name, "--restore-to", back),
        environment=environment,
    )

    assert {k: v for k, v in tree(back).items() if k != source.name} == wanted
    assert "150 files done, 0 failed" in output
    for name, what in (
        ("empty", "an empty directory"),
        ("link", "a symbolic link"),
        ("broken link", "a symbolic link"),
        ("pipe", "not a file"),
    ):
        assert f"left out: {str(source / name)!r} is {what}" in output


def test_failed_file_is_named_at_the_end(environment, container, tmp_path):
    """A name that is not UTF-8 fails alone: all other files go up, and the exit code is 1."""
    source = make_many(tmp_path / "source", 20)
    Path(os.fsdecode(os.fsencode(source) + b"/\xff")).write_bytes(b"x")

    output = run("parallel_upload.py", source, container.name, environment=environment, expect=1)

    assert "20 files done, 1 failed" in output
    assert re.search(r"failed: '.*/source/\\udcff': InvalidObjectNameError", output)
    assert len(container.list_objects()) == 20


def test_restoring_replaces_nothing(environment, container, tmp_path):
    """A file that is there already stays, is named at the end, and all others come back."""
    source, back = make_many(tmp_path / "source", 20), tmp_path / "back"
    (back / "source" / "3 żółw").mkdir(parents=True)
    (back / "source" / "3 żółw" / "3.txt").write_text("precious")
    run("parallel_upload.py", source, container.name, environment=environment)

    output = run(
        *("parallel_upload.py", source, container.name, "--restore-to", back),
        environment=environment,
        expect=1,
    )

    assert "failed: 'source/3 żółw/3.txt'" in output
    assert tree(back / "source") == tree(source) | {"3 żółw/3.txt": b"precious"}


def test_a_restore_may_be_run_again(environment, container, driver, cls, tmp_path):
    """A second run fetches what is missing, and leaves what is right as it is."""
    source, back = make_many(tmp_path / "photos", 10), tmp_path / "back"
    (source / "large").write_bytes(bytes(range(256)) * 25_000)
    run("parallel_upload.py", source, container.name, environment=environment)
    given = driver._settings.arguments | {"ex_part_size": 6 * 1024**2}
    with cls(**given) as other:
        other.upload_object_via_stream([b"x" * 7 * 1024**2], container, "photos/of others")
    command = ("parallel_upload.py", source, container.name, "--restore-to", back)

    run(*command, environment=environment)
    (back / "photos" / "3 żółw" / "3.txt").unlink()
    before = {path: path.stat().st_mtime_ns for path in back.rglob("*") if path.is_file()}
    output = run(*command, environment=environment)

    assert "12 files done, 0 failed" in output
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert tree(back / "photos") == tree(source) | {"of others": b"x" * 7 * 1024**2}


def test_directory_markers_become_directories(environment, container, tmp_path):
    """Empty objects with which other programs mark directories are restored as such."""
    for name in ("photos/", "photos/empty/", "photos/full/", "photos/full/a"):
        container.upload_object_via_stream(b"", name)
    command = ("parallel_upload.py", "photos", container.name, "--restore-to", tmp_path / "back")

    for _ in range(2):
        assert "1 files done, 0 failed" in run(*command, environment=environment)

    assert (tmp_path / "back" / "photos" / "empty").is_dir()
    assert (tmp_path / "back" / "photos" / "full" / "a").read_bytes() == b""


def test_keys_that_fall_on_one_path_fail(environment, container, tmp_path):
    """No object replaces another one's file: those that would are named, all others are done."""
    for name in ("a//b", "a/b", "c", "c/d", "e/../f", "g/", "h"):
        container.upload_object_via_stream(name, f"photos/{name}")

    output = run(
        *("parallel_upload.py", "photos", container.name, "--restore-to", tmp_path / "back"),
        environment=environment,
        expect=1,
    )

    assert "2 files done, 5 failed" in output
    for name in ("a//b", "a/b", "c"):
        assert re.search(f"failed: 'photos/{name}': FileExistsError: another object", output)
    assert "failed: 'photos/e/../f': ValueError: its name leads out" in output
    assert "failed: 'photos/g/': ValueError: no file has a name" in output
    assert tree(tmp_path / "back") == {
        "photos": None,
        "photos/c": None,
        "photos/c/d": b"c/d",
        "photos/h": b"h",
    }


def test_name_without_objects_is_an_error(environment, container, tmp_path):
    """To restore a name that no object begins with is an error, and makes no directory."""
    container.upload_object_via_stream([b"x"], "photos2/a.jpg")
    back = tmp_path / "back"

    says = run(
        *("parallel_upload.py", "photos", container.name, "--restore-to", back),
        environment=environment,
        expect=1,
    )

    assert says == f"no object in {container.name!r} begins with 'photos/'\n"
    assert not back.exists()


def test_prefix_without_objects_is_an_error(environment, container):
    """A prefix that no object begins with is an error, and there is no list."""
    container.upload_object_via_stream([b"x"], "source/a")

    says = run("dask_checksums.py", container.name, "sauce/", environment=environment, expect=1)

    assert says.splitlines()[-1] == f"no object in {container.name!r} begins with 'sauce/'"


def test_unreadable_directory_is_a_failure(tmp_path):
    """A directory that cannot be read is not passed over in silence."""
    files, left_out, [(name, error)] = parallel_upload.find_files(tmp_path / "vanished")

    assert files == left_out == []
    assert name == str(tmp_path / "vanished")
    assert isinstance(error, FileNotFoundError)


def test_checksums_on_two_processes(environment, container, tmp_path):
    """The list is that of sha256sum, and a prefix picks objects."""
    source = make_many(tmp_path / "source", 30)
    run("parallel_upload.py", source, container.name, environment=environment)

    everything = run("dask_checksums.py", container.name, environment=environment)
    some = run("dask_checksums.py", container.name, "source/3", environment=environment)

    assert everything.splitlines() == checksums(source)
    assert some.splitlines() == [line for line in everything.splitlines() if "source/3" in line]


def test_damaged_object_is_named_at_the_end(environment, container):
    """An object that is not what was stored has no checksum; all others have."""
    for name in ("good", "bad", "better"):
        container.upload_object_via_stream([name], name)
    for backend in s3_backends.values():
        backend["aws"].buckets[container.name].keys["bad"].value = b"bid"

    output = run("dask_checksums.py", container.name, environment=environment, expect=1)

    assert re.findall(r"^[0-9a-f]{64}  (.*)$", output, re.MULTILINE) == ["better", "good"]
    assert "failed: 'bad': HashMismatchError" in output


def test_check_server(environment, container):
    """The server tells what it can do, and nothing of it changes."""
    container.upload_object_via_stream([b"x" * 5000], "a/1")
    before = [(obj.name, obj.hash) for obj in container.list_objects()]
    says = run("check_server.py", container.name, environment=environment)
    assert re.search("its first bytes +4096 received", says)
    assert [(obj.name, obj.hash) for obj in container.list_objects()] == before


def test_ctrl_c_ends_the_workers(environment, container, tmp_path):
    """A Ctrl-C in the terminal ends program and workers, with one line."""
    source = make_many(tmp_path / "source", 400)
    run("parallel_upload.py", source, container.name, environment=environment)

    with running("dask_checksums.py", container.name, environment=environment) as process:
        process.stderr.read(1)  # the progress bar: work has begun
        assert press_ctrl_c(process)[-1].startswith("interrupted: ")


def test_demo_cleans_up(environment, driver):
    """The demonstration ends well and leaves no container of its own."""
    before = {found.name for found in driver.iterate_containers()}

    output = run("demo.py", environment=environment)

    assert "SHA-256 of each is the source's" in output
    assert "CDNNotSupportedError" in output
    assert max(map(len, output.splitlines())) < 80
    assert re.search(r"^next  +run the programs", output, re.MULTILINE)
    assert {found.name for found in driver.iterate_containers()} == before


def test_demo_keeps_a_container_that_was_there(environment, container):
    """With AURORA_CONTAINER the demonstration uses that container and leaves it as it was."""
    environment["AURORA_CONTAINER"] = container.name

    run("demo.py", environment=environment)

    assert container.list_objects() == []


def test_demo_needs_no_account(environment):
    """Without keys the demonstration starts a server of its own."""
    bare = {k: v for k, v in environment.items() if not k.startswith("AURORA_")}

    output = run("demo.py", environment=bare)

    assert "no account needed" in " ".join(output.split())
    assert re.search(r"^next  +set AURORA_ACCESS_KEY", output, re.MULTILINE)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"AURORA_SECRET_KEY": None}, "'AURORA_SECRET_KEY' is not set"),
        ({"AURORA_ENDPOINT": "127.0.0.1:9000"}, "must look like http://127.0.0.1:9000"),
        (
            {"AURORA_CA_BUNDLE": "/nowhere"},
            "the path of a CA bundle that can be read, not '/nowhere'",
        ),
    ],
)
def test_bad_environment_is_explained(environment, change, says):
    """An example without a key, or with half an address, says what is wrong and fails."""
    environment.update(change)
    given = {name: value for name, value in environment.items() if value is not None}

    output = run("list_objects.py", environment=given, expect=1)

    assert says in output
    assert len(output.splitlines()) == 1


@pytest.mark.parametrize(
    "command",
    [
        f"backup_directory.py {EXAMPLES} no-such-container",
        "dask_checksums.py no-such-container",
        "download_and_verify.py no-such-container name file",
        "list_objects.py no-such-container",
        f"parallel_upload.py {EXAMPLES} no-such-container",
        "stream_upload.py no-such-container name",
        f"sync_directory.py up {EXAMPLES} no-such-container",
        f"upload_file.py {__file__} no-such-container",
    ],
    ids=lambda command: command.split()[0],
)
def test_error_of_the_driver_is_one_line(environment, command):
    """A container that does not exist is one line on standard error, and the exit code is 1."""
    says = run(*command.split(), environment=environment, expect=1)

    assert re.fullmatch(r"ContainerNotFoundError: .*no-such-container.*\n", says)


def test_error_of_the_demonstration_is_one_line(environment):
    """What ends the demonstration is its last line, without a traceback."""
    environment["AURORA_CONTAINER"] = "a/b"

    says = run("demo.py", environment=environment, expect=1)

    assert says.splitlines()[-1].startswith("InvalidContainerNameError: ")
    assert "Traceback" not in says


def test_error_of_the_disk_is_one_line(environment, container, tmp_path):
    """A file that is not there is one line, too."""
    missing = tmp_path / "missing"

    says = run("upload_file.py", missing, container.name, environment=environment, expect=1)

    assert re.fullmatch(r"FileNotFoundError: .*missing'\n", says)


def test_directory_is_no_file_to_upload(environment, container, tmp_path):
    """A directory in place of a file is refused, and the examples that take one are named."""
    says = run("upload_file.py", tmp_path, container.name, environment=environment, expect=2)

    assert f"{tmp_path} is a directory: sync_directory.py, parallel_upload.py and" in says


def test_ctrl_c_is_one_line(environment, container):
    """A Ctrl-C in the middle of an upload is one line, and nothing is left of the object."""
    command = ("stream_upload.py", container.name, "piped")

    with running(*command, environment=environment, stdin=subprocess.PIPE) as process:
        process.stdin.write(bytes(6 * 1024**2))  # more than a pipe holds: it is being read
        process.stdin.flush()
        assert press_ctrl_c(process) == ["interrupted"]

    assert container.list_objects() == []


@pytest.mark.parametrize("tier", ["docs", "live"])
def test_every_example_is_run(tier):
    """No file of examples/ is left out by the tests of either tier."""
    paths = (EXAMPLES.parent / "tests" / tier).glob("test_*.py")
    tests = "".join(path.read_text() for path in paths)
    scripts = {path.name for path in EXAMPLES.glob("*.py") if "__main__" in path.read_text()}

    assert scripts | {"instantiate.py"} <= set(re.findall(r'"(\w+\.py)"', tests))


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_example_says_what_it_does(path):
    """Each example begins with a sentence that says what it is for."""
    assert ast.get_docstring(ast.parse(path.read_text())).split("\n")[0][-1] in ".:"
