"""Salt: the functions and the states of libcloud_storage, on a minion without a master."""

import getpass
import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from clients.page import commands
from live.oracle import MIB, noise

from libcloud_aurora.errors import (
    ContainerExistsError,
    ContainerNotEmptyError,
    ContainerNotFoundError,
    InvalidCredentialsError,
    ObjectNotFoundError,
)

SECTION = "Salt"
CONTAINER = "backups"
MINION = """
root_dir: {root}/root
user: {user}
file_client: local
file_roots: {{base: [{root}/srv/salt]}}
enable_fqdns_grains: False
"""
HERE = """
    host: {host}
    port: {port}
    ex_verify_ssl: {ca_file}
"""
WRONG = """
  wrong: {{driver: AURORAOBJECTS, key: {key}, secret: wrong, host: {host}, port: {port},
          ex_verify_ssl: {ca_file}}}
"""


@pytest.fixture(scope="module")
def root(cluster, tmp_path_factory):
    """A minion's directory, with the page's files: the profile leads to the cluster."""
    root = tmp_path_factory.mktemp("salt")
    (root / "etc" / "salt" / "minion.d").mkdir(parents=True)
    (root / "srv" / "salt").mkdir(parents=True)
    user = getpass.getuser()
    (root / "etc" / "salt" / "minion").write_text(MINION.format(root=root, user=user))
    for command, lines in commands(SECTION):
        if command.startswith("cat "):
            path, lines = (text.replace("/srv/", f"{root}/srv/") for text in (command[4:], lines))
            path = path.replace("/etc/", f"{root}/etc/")
            Path(path).write_text(lines)
    key, secret = cluster.owner[1:]
    place = {"host": cluster.host, "port": cluster.tls_port, "ca_file": cluster.ca_file}
    profile = root / "etc" / "salt" / "minion.d" / "aurora.conf"
    text = profile.read_text().replace("key: ...", f"key: {key}")
    text = text.replace("secret: ...", f"secret: {secret}")
    profile.write_text((text + HERE + WRONG).format(key=key, **place))
    return root


@pytest.fixture(scope="module")
def _registered():
    """The file of the top of the page, without which a minion has libcloud's own driver."""
    path = Path(sysconfig.get_path("purelib"), "libcloud_aurora.pth")
    path.write_text("import libcloud_aurora\n")
    yield
    path.unlink()


@pytest.fixture(scope="module")
def page(root, container, _registered):
    """What the page's commands print, in the order in which they ran."""
    (root / "srv" / "letters").mkdir()
    (root / "srv" / "letters" / "hello.txt").write_text("Hello")
    programs = Path(sys.executable).parent
    answers = []
    for command, _ in commands(SECTION):
        program, *arguments = command.replace("/srv/", f"{root}/srv/").split()
        if program == "salt-call":
            arguments += ["--config-dir", root / "etc" / "salt", "--out", "json"]
            done = subprocess.run([programs / program, *arguments], capture_output=True, cwd=root)
            assert done.returncode == 0, done.stderr.decode()
            answers.append(json.loads(done.stdout)["local"])
    return answers


@pytest.fixture(scope="module")
def call(root, page):
    """Call a function of Salt as ``salt-call`` does, but without starting Python."""
    import salt.client  # warns of itself, which is an error outside of fixtures and tests

    return salt.client.Caller(str(root / "etc" / "salt" / "minion")).cmd


@pytest.fixture
def storage(call):
    """Call a function of the module, with the page's profile behind its other arguments."""

    def storage(function, *arguments, **options):
        return call(f"libcloud_storage.{function}", *arguments, "aurora", **options)

    return storage


@pytest.fixture
def state(call):
    """Apply one state of the state module and return what it says."""

    def state(function, **options):
        options.setdefault("profile", "aurora")
        [said] = call("state.single", f"libcloud_storage.{function}", **options).values()
        return said

    return state


def test_page(page, root, stored):
    """The functions and the states that the page shows store a file and restore it."""
    *functions, states = page
    assert functions == ["letters/hello.txt", True]
    assert [said["result"] for said in states.values()] == [True, True, True]
    assert stored("letters/hello.txt") == stored("letters/again.txt") == b"Hello"
    for name in ("copy.txt", "restored.txt"):
        assert (root / "srv" / "letters" / name).read_text() == "Hello"


def test_page_twice(page, call):
    """The page's states can be applied again."""
    assert all(said["result"] for said in call("state.apply", "letters").values())


@pytest.mark.parametrize("size", [0, 1, 17 * MIB])
def test_upload_and_download(storage, stored, tmp_path, size):
    """A file of any size is uploaded, replaced and downloaded, under a name of any letters."""
    name, body = f"żółw {size}/a+b.bin", noise(size)
    (tmp_path / "file").write_bytes(body)
    for _ in range(2):
        assert storage("upload_object", str(tmp_path / "file"), CONTAINER, name) == name
    assert stored(name) == body
    assert storage("download_object", CONTAINER, name, str(tmp_path / "copy")) is True
    assert (tmp_path / "copy").read_bytes() == body


def test_upload_with_extra(storage, driver, container, tmp_path):
    """A type, metadata, headers and the driver's own arguments reach the object."""
    (tmp_path / "file").write_text("x")
    extra = {"content_type": "text/x-letter", "meta_data": {"to": "Zoë", "pages": 3}}
    storage(
        *("upload_object", str(tmp_path / "file"), CONTAINER, "typed"),
        extra=extra,
        verify_hash=False,
        headers={"Cache-Control": "no-store"},
        ex_storage_class="COLD",
    )
    obj = container.get_object("typed")
    assert obj.extra["content_type"] == "text/x-letter"
    assert obj.meta_data == {"to": "Zoë", "pages": "3"}
    [listed] = storage("list_container_objects", CONTAINER, prefix="typed")
    assert listed["extra"]["storage_class"] == "COLD"
    head = driver.connection.request(f"/{CONTAINER}/typed", method="HEAD")
    assert head.headers["cache-control"] == "no-store"


def test_listing(storage, tmp_path):
    """Containers and their objects are listed, those of a prefix, too."""
    (tmp_path / "file").write_text("x")
    storage("upload_object", str(tmp_path / "file"), CONTAINER, "listed/x")
    assert CONTAINER in [found["name"] for found in storage("list_containers")]
    [found] = storage("list_container_objects", CONTAINER, prefix="listed/")
    assert (found["name"], found["size"], found["container"]) == ("listed/x", 1, CONTAINER)
    assert "listed/x" in [each["name"] for each in storage("list_container_objects", CONTAINER)]


def test_listed_objects_are_json(storage, page):
    """Salt's returners can write what it lists."""
    import salt.utils.json

    listed = storage("list_container_objects", CONTAINER)
    assert salt.utils.json.loads(salt.utils.json.dumps(listed)) == listed


def test_delete(storage, container, tmp_path):
    """A deleted object is gone; a missing one is an error, and so is its download."""
    (tmp_path / "file").write_text("x")
    storage("upload_object", str(tmp_path / "file"), CONTAINER, "gone")
    assert storage("delete_object", CONTAINER, "gone") is True
    with pytest.raises(ObjectNotFoundError):
        storage("delete_object", CONTAINER, "gone")
    with pytest.raises(ObjectNotFoundError):
        storage("download_object", CONTAINER, "gone", str(tmp_path / "copy"))
    assert not (tmp_path / "copy").exists()


def test_containers(storage, driver):
    """Containers are made, found and deleted; a name that is taken is an error."""
    assert storage("create_container", "made-by-salt")["name"] == "made-by-salt"
    with pytest.raises(ContainerExistsError):
        storage("create_container", "made-by-salt")
    assert storage("get_container", "made-by-salt")["name"] == "made-by-salt"
    assert storage("delete_container", "made-by-salt") is True
    with pytest.raises(ContainerNotFoundError):
        storage("get_container", "made-by-salt")
    with pytest.raises(ContainerNotEmptyError):
        storage("delete_container", CONTAINER)


def test_wrong_secret(call):
    """A profile with a wrong secret is an error that says so."""
    with pytest.raises(InvalidCredentialsError, match="secret"):
        call("libcloud_storage.list_containers", "wrong")


def test_container_states(state, driver):
    """Containers are made and deleted by states, and doing it again changes nothing."""
    for function in ("container_present", "container_absent"):
        said = [state(function, name="kept-by-salt") for _ in range(2)]
        assert [each["result"] for each in said] == [True, True]
        assert "already" in said[1]["comment"]


def test_states_do_not_know_test(state, driver):
    """With ``test=True`` the states change things all the same, as the page says."""
    state("container_present", name="tested-by-salt", test=True)
    driver.get_container("tested-by-salt").delete()


def test_file_present_twice(state, tmp_path):
    """A file that exists is replaced only if the state says so, and fails otherwise."""
    target = {"container": CONTAINER, "name": "letters/hello.txt", "path": str(tmp_path / "file")}
    assert state("file_present", **target)["result"]
    said = state("file_present", **target)
    assert said["result"] is False
    assert "overwrite_existing" in said["comment"]
    assert state("file_present", overwrite_existing=True, **target)["result"]


@pytest.mark.parametrize("function", ["object_present", "object_absent"])
def test_states_that_ask_for_an_object(state, tmp_path, function):
    """These states call a method that libcloud has never had, as the page says."""
    options = {"path": str(tmp_path)} if function == "object_present" else {}
    said = state(function, container=CONTAINER, name="letters/hello.txt", **options)
    assert said["result"] is False
    assert "no attribute 'get_container_object'" in said["comment"]
