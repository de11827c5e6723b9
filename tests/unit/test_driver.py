"""driver: what AuroraObjectsStorageDriver promises as a whole."""

import contextlib
import inspect
import logging
import subprocess
import sys
from unittest import mock

import libcloud
import pytest
from libcloud.base import DriverType
from libcloud.storage.base import Container, Object, StorageDriver
from libcloud.storage.drivers.auroraobjects import AuroraObjectsStorageDriver as Theirs
from libcloud.storage.drivers.s3 import BaseS3StorageDriver
from libcloud.storage.providers import DRIVERS, get_driver
from libcloud.storage.types import (
    ContainerAlreadyExistsError,
    ContainerDoesNotExistError,
    ContainerIsNotEmptyError,
    ObjectDoesNotExistError,
    Provider,
)
from unit.memory_s3 import Answer, error

import libcloud_aurora
from libcloud_aurora import AuroraObjectsStorageDriver, errors


@pytest.mark.parametrize("name", [Provider.AURORAOBJECTS, "auroraobjects", "AuroraObjects"])
def test_libcloud_finds_the_driver_by_name(name):
    """Importing the package makes libcloud's look-ups return this driver, in any case."""
    assert get_driver(name) is AuroraObjectsStorageDriver
    assert libcloud.get_driver(DriverType.STORAGE, name) is AuroraObjectsStorageDriver


def test_registering_is_idempotent_and_touches_nothing_else():
    """register() may be called again; libcloud's own class stays where it is."""
    before = dict(DRIVERS)
    libcloud_aurora.register()
    assert before == DRIVERS
    assert DRIVERS[Provider.AURORAOBJECTS][1] == "AuroraObjectsStorageDriver"
    assert Theirs is not AuroraObjectsStorageDriver


def test_the_import_registers_in_a_fresh_interpreter():
    """import libcloud_aurora is all that is needed."""
    code = (
        "import libcloud_aurora\n"
        "from libcloud.storage.providers import get_driver\n"
        "print(get_driver('auroraobjects').__module__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60)
    assert done.stdout.decode().startswith("libcloud_aurora")


def test_logging_is_silent_by_default():
    """The package's logger has a NullHandler."""
    handlers = logging.getLogger("libcloud_aurora").handlers
    assert any(isinstance(each, logging.NullHandler) for each in handlers)


def test_every_public_name_is_there():
    """All names of __all__ exist, and the version is one."""
    for name in libcloud_aurora.__all__:
        assert hasattr(libcloud_aurora, name)
    assert libcloud_aurora.__version__.count(".") == 2


def test_key_and_secret_are_enough(new_driver):
    """Made with key and secret by position, the driver goes to o.auroraobjects.eu by https."""
    driver = new_driver("key", "secret")
    assert isinstance(driver, BaseS3StorageDriver)
    assert (driver.connection.host, driver.connection.port) == ("o.auroraobjects.eu", 443)
    assert driver.connection.secure
    assert (driver.key, driver.secret, driver.region_name) == ("key", "secret", "us-east-1")


def test_making_a_driver_contacts_nobody(s3, new_driver):
    """Construction sends nothing."""
    new_driver()
    assert s3.requests == []


@pytest.mark.parametrize(
    ("arguments", "host", "port"),
    [
        ({"host": None, "port": None}, "o.auroraobjects.eu", 443),
        ({"secure": False}, "o.auroraobjects.eu", 80),
        ({"port": 8443}, "o.auroraobjects.eu", 8443),
        ({"host": "localhost"}, "localhost", 443),
        ({"host": "localhost", "port": 9000, "secure": False}, "localhost", 9000),
    ],
)
def test_endpoints(new_driver, arguments, host, port):
    """Host and port may be given, alone or together; None is the default."""
    connection = new_driver(**arguments).connection
    assert (connection.host, int(connection.port)) == (host, port)


def test_two_drivers_never_meet(new_driver):
    """Drivers of different endpoints have nothing of each other, and the class stays as it is."""
    one, two = new_driver(host="one"), new_driver(host="two", port=9000)
    assert (one.connection.host, two.connection.host) == ("one", "two")
    assert AuroraObjectsStorageDriver.connectionCls.host == "o.auroraobjects.eu"


def test_a_pth_file_is_enough_for_a_program_without_settings(tmp_path):
    """A line in the directory of Python's packages registers the driver as Python starts."""
    (tmp_path / "libcloud_aurora.pth").write_text("import libcloud_aurora\n")
    program = f"""
import site
site.addsitedir({str(tmp_path)!r})
from libcloud.storage.providers import get_driver
print(get_driver("auroraobjects").__module__)
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert said.stdout.strip() == "libcloud_aurora.driver", said.stderr


def test_the_connection_may_be_mocked(s3, driver):
    """A test that replaces it gets it back, and so does the driver."""
    connection = driver.connection
    with mock.patch.object(driver, "connection"):
        assert driver.connection is not connection
    assert driver.connection is connection
    assert driver.list_containers()


def test_a_subclass_may_list_as_libcloud_does(s3, container, driver):
    """A method that a program overrides gets no argument that libcloud's does not have."""

    class Own(AuroraObjectsStorageDriver):
        def iterate_container_objects(self, container, prefix=None, ex_prefix=None):
            return iter([prefix, ex_prefix])

    own = Own("key", "secret")
    assert own.list_container_objects(container, "a/") == ["a/", None]
    with pytest.raises(TypeError, match="ex_limit"):
        own.list_container_objects(container, ex_limit=1)


def test_a_container_is_placed_where_the_driver_says(s3, driver):
    """As with libcloud's S3 driver, and in words that XML can carry."""
    driver.create_container("here")
    assert s3.sent("PUT")[0].body in (None, b"")
    driver.ex_location_name = "eu:<ssd>"
    driver.create_container("there")
    assert b"<LocationConstraint>eu:&lt;ssd&gt;</LocationConstraint>" in s3.sent("PUT")[1].body


def test_another_connection_may_be_assigned(s3, new_driver):
    """All requests go over a connection that is assigned later, or that has another host then."""
    driver = new_driver(host="one")
    driver.connection = new_driver(host="two").connection
    assert driver.connection.host == "two"
    driver.connection.host = "three"
    driver.get_container("photos")
    assert driver.upload_object_via_stream(b"x" * 6_000_000, Container("photos", {}, driver), "k")
    driver.close()
    hosts = {sent.headers["host"] for sent in s3.requests}
    assert hosts == {"three"}


def test_all_arguments_of_libcloud_are_taken(new_driver):
    """Every argument of libcloud's S3 drivers is accepted, by position and keyword."""
    driver = new_driver(
        "k", "s", secure=True, host="h", port=1, api_version="1", region="eu", token="t",
        timeout=5, backoff=3, proxy_url="http://proxy:3128",
    )  # fmt: skip
    assert driver.region_name == "eu"
    assert driver.connection.connection.session.timeout == 5
    assert driver.connection.connection.proxies["https"] == "http://proxy:3128"
    positional = AuroraObjectsStorageDriver("k", "s", False, "h", 99, "1", "eu", "t")
    assert positional.connection.port == 99
    positional.close()


def test_unknown_arguments_warn(new_driver):
    """Unknown keywords warn and are otherwise ignored."""
    with pytest.warns(UserWarning, match="'project'"):
        new_driver(project="x")


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"key": ""}, "key"),
        ({"secret": None}, "secret"),
        ({"port": 0}, "port"),
        ({"ex_part_size": 1}, "ex_part_size"),
        ({"timeout": -1}, "timeout"),
        ({"retry_delay": "x"}, "retry_delay"),
    ],
)
def test_wrong_arguments_are_named(arguments, name):
    """A wrong argument is a ValueError that names it."""
    with pytest.raises(ValueError, match=name):
        AuroraObjectsStorageDriver(**{"key": "k", "secret": "s", **arguments})


def test_the_repr_has_no_secret(new_driver):
    """The repr names host and access key only."""
    driver = new_driver("AKEY", "the-secret", token="the-token")
    assert repr(driver) == "<AuroraObjectsStorageDriver: host=o.auroraobjects.eu, key=AKEY>"


def test_every_method_of_libcloud_takes_its_arguments():
    """Every public method of libcloud's storage API keeps its arguments, by name and place."""
    for name, method in inspect.getmembers(StorageDriver, inspect.isfunction):
        if name.startswith("_"):
            continue
        ours = list(inspect.signature(getattr(AuroraObjectsStorageDriver, name)).parameters)
        theirs = list(inspect.signature(method).parameters)
        assert ours[: len(theirs)] == theirs, name


@pytest.mark.parametrize(
    "name", [each for each in dir(AuroraObjectsStorageDriver) if each[0] != "_"]
)
def test_every_public_method_is_documented(name):
    """Every public method has a docstring, its own or libcloud's."""
    assert inspect.getdoc(getattr(AuroraObjectsStorageDriver, name)) or not callable(
        getattr(AuroraObjectsStorageDriver, name)
    )


def test_containers_live(s3, driver):
    """A container is made, found, listed and deleted."""
    made = driver.create_container("new")
    assert isinstance(made, Container)
    assert s3.sent("PUT")[0].body == b""
    assert driver.get_container("new").name == "new"
    assert [each.name for each in driver.iterate_containers()] == ["photos", "new"]
    assert made.delete() is True
    with pytest.raises(ContainerDoesNotExistError):
        driver.get_container("new")


def test_a_container_is_made_once(s3, driver):
    """A container that exists is an error, although radosgw would answer 200."""
    with pytest.raises(ContainerAlreadyExistsError):
        driver.create_container("photos")
    assert s3.sent("PUT") == []


def test_somebody_elses_container_exists(s3, driver):
    """A container of another account exists already as well."""
    s3.fail(1, Answer(403), method="HEAD")
    s3.fail(1, error(403, "AccessDenied"), method="GET")
    s3.fail(1, error(409, "BucketAlreadyExists"), method="PUT")
    with pytest.raises(ContainerAlreadyExistsError):
        driver.create_container("theirs")


def test_a_container_whose_answer_was_lost_is_ours(s3, driver):
    """When the first attempt has made it, the refusal of the second is a success."""
    s3.fail(1, error(500, "InternalError"), method="PUT")
    s3.fail(1, error(409, "BucketAlreadyOwnedByYou"), method="PUT")
    s3.fail(1, Answer(404), method="HEAD")
    s3.fail(1, error(404, "NoSuchBucket"), method="GET")
    assert driver.create_container("photos").name == "photos"


@pytest.mark.parametrize("attempts", [1, 2])
def test_a_container_that_others_delete_has_no_key_either(s3, new_driver, attempts):
    """What radosgw says then means that it is gone, which a second attempt takes for a success."""
    driver = new_driver(ex_max_attempts=attempts)
    container = Container("photos", {}, driver)
    s3.fail(attempts - 1, error(500, "InternalError"), method="DELETE")
    s3.fail(1, error(404, "NoSuchKey"), method="DELETE")
    if attempts == 2:
        assert driver.delete_container(container) is True
    else:
        with pytest.raises(errors.ContainerNotFoundError, match="NoSuchKey"):
            driver.delete_container(container)


def test_a_container_whose_answer_was_lost_may_be_somebody_elses(s3, driver):
    """A container of another account is not taken for the one that the first attempt has made."""
    s3.fail(1, error(500, "InternalError"), method="PUT")
    s3.fail(1, error(409, "BucketAlreadyExists"), method="PUT")
    denied = {"HEAD": Answer(403), "GET": error(403, "AccessDenied")}
    s3.faults.append(lambda seen: denied.get(seen.method) if s3.sent("PUT") else None)
    with pytest.raises(ContainerAlreadyExistsError):
        driver.create_container("theirs")


def test_wrong_keys_are_told_by_iterate_containers(s3, driver):
    """The request is sent by the call, not by the first step: programs call it as a probe."""
    s3.fail(1, error(403, "SignatureDoesNotMatch"), method="GET")
    with pytest.raises(errors.InvalidCredentialsError):
        driver.iterate_containers()


def test_wrong_keys_are_told_by_get_container(s3, driver):
    """get_container finds out wrong credentials."""
    s3.faults.append(
        lambda request: (
            Answer(403) if request.method == "HEAD" else error(403, "InvalidAccessKeyId")
        )
    )
    with pytest.raises(errors.InvalidCredentialsError):
        driver.get_container("photos")


def test_what_head_refuses_create_decides(s3, driver):
    """HEAD tells a container that is ours; whatever it refuses, the request to make one decides."""
    s3.fail(1, Answer(400), method="HEAD")
    s3.fail(1, Answer(400), method="GET")
    assert driver.create_container("new").name == "new"
    s3.fail(1, Answer(501), method="HEAD")
    with pytest.raises(errors.AuroraObjectsError, match="NotImplemented"):
        driver.create_container("newer")
    assert "newer" not in s3.buckets


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (error(403, "AccessDenied"), None),
        (error(403, "UserSuspended"), errors.AccessDeniedError),
        (error(403, "SignatureDoesNotMatch"), errors.InvalidCredentialsError),
        (error(404, "NoSuchBucket"), errors.ContainerNotFoundError),
    ],
    ids=["policy", "suspended", "secret", "missing"],
)
def test_a_container_behind_a_policy_is_returned(s3, driver, answer, kind):
    """Where HEAD is denied, other calls may work: the container is returned, as by libcloud."""
    s3.faults.append(lambda seen: Answer(answer.status) if seen.method == "HEAD" else answer)
    with pytest.raises(kind) if kind else contextlib.nullcontext():
        assert driver.get_container("photos").name == "photos"


def test_deleting_a_container_again_is_a_success_only_after_a_retry(s3, driver, container):
    """404 is an error at the first attempt, and a success after one whose answer was lost."""
    s3.fail(1, error(500, "InternalError"), method="DELETE")
    del s3.buckets["photos"]
    assert driver.delete_container(container) is True
    with pytest.raises(ContainerDoesNotExistError):
        driver.delete_container(container)


def test_a_container_with_objects_is_not_deleted(s3, driver, container):
    """A container that holds objects is ContainerIsNotEmptyError."""
    s3.put("k", b"x")
    with pytest.raises(ContainerIsNotEmptyError):
        container.delete()


@pytest.mark.parametrize("name", ["", "/", "?", "a/b", ".."])
def test_impossible_containers_send_nothing(s3, driver, name):
    """An impossible container name is refused in every method, before anything is sent."""
    container = Container(name, {}, driver)
    obj = Object("k", 1, None, {}, {}, container, driver)
    for call in (
        lambda: driver.get_container(name),
        lambda: driver.create_container(name),
        lambda: driver.delete_container(container),
        lambda: driver.get_object(name, "k"),
        lambda: driver.delete_object(obj),
        lambda: list(driver.iterate_container_objects(container)),
        lambda: list(driver.ex_iterate_multipart_uploads(container)),
        lambda: driver.upload_object_via_stream(b"x", container, "k"),
        lambda: list(driver.download_object_as_stream(obj)),
    ):
        with pytest.raises(errors.InvalidContainerNameError):
            call()
    assert s3.requests == []


def test_names_are_no_containers_and_objects(s3, driver, container):
    """A name where an instance belongs is a TypeError that says what belongs there."""
    s3.requests.clear()
    for call in (
        lambda: driver.upload_object_via_stream(b"", "photos", "k"),
        lambda: driver.list_container_objects("photos"),
        lambda: list(driver.ex_iterate_multipart_uploads("photos")),
        lambda: driver.delete_container("photos"),
    ):
        with pytest.raises(TypeError, match="container must be a Container, not str"):
            call()
    for call in (
        lambda: driver.download_object_as_stream("k"),
        lambda: driver.download_object("k", "file"),
        lambda: driver.delete_object("k"),
        lambda: driver.ex_get_object_presigned_url("k"),
        lambda: driver.ex_copy_object("k", container),
    ):
        with pytest.raises(TypeError, match="obj must be an Object, not str"):
            call()
    assert s3.requests == []


def test_get_object_is_one_head(s3, driver):
    """An object is found with one HEAD."""
    s3.put("k", b"abc", **{"content-type": "text/x", "x-amz-meta-a": "1"})
    obj = driver.get_object("photos", "k")
    assert (obj.name, obj.size, obj.meta_data) == ("k", 3, {"a": "1"})
    assert obj.extra["last_modified"] == "Wed, 01 Jul 2026 12:00:00 GMT"
    assert [sent.method for sent in s3.requests] == ["HEAD"]


def test_get_object_tells_what_is_missing(s3, driver):
    """A missing object and a missing container are different errors."""
    with pytest.raises(ObjectDoesNotExistError):
        driver.get_object("photos", "k")
    with pytest.raises(ContainerDoesNotExistError):
        driver.get_object("none", "k")


@pytest.mark.parametrize(
    "headers", [{"content-length": length} for length in ("", "x", "²", "-1", "9" * 5000)]
)
def test_a_head_without_a_length_is_a_libcloud_error(s3, driver, headers):
    """A HEAD that does not say the size is MalformedAnswerError."""

    def fault(request):
        answer = Answer(200, b"", headers)
        return answer if request.method == "HEAD" else None

    s3.faults.append(fault)
    with pytest.raises(errors.MalformedAnswerError):
        driver.get_object("photos", "k")


@pytest.mark.parametrize(
    "key", ["..", ".", "a/../b", "a//b", "/lead", "../other/x", "\t", "\x01", "📷"]
)
def test_keys_reach_exactly_their_object(s3, driver, container, key):
    """Whatever the key, all operations reach that object and no other."""
    obj = driver.upload_object_via_stream(b"content", container, key)
    assert list(s3.buckets["photos"]) == [key]
    assert driver.get_object("photos", key).size == 7
    assert b"".join(obj.as_stream()) == b"content"
    assert [each.name for each in container.list_objects()] == [key]
    assert obj.delete() is True
    assert s3.buckets == {"photos": {}}


def test_objects_others_have_built_are_taken(s3, driver):
    """Containers and objects with None for size, hash and extra, by hand, work."""
    s3.put("k", b"content")
    container = Container("photos", None, driver)
    obj = Object("k", None, None, None, None, container, driver)
    assert b"".join(driver.download_object_as_stream(obj)) == b"content"
    assert driver.delete_object(obj) is True


def test_the_seams_of_libclouds_tests_are_there(driver):
    """Names that libcloud's own tests and programs reach into exist."""
    container = Container("photos", {}, driver)
    assert driver._get_container_path(container) == "/photos"
    assert driver._get_object_path(container, "a b/c") == "/photos/a%20b/c"
    assert driver.supports_s3_multipart_upload
    assert driver._clean_object_name("a b") == "a%20b"
    assert driver._to_storage_class_headers("cold") == {"x-amz-storage-class": "cold"}
    with pytest.raises(ValueError, match="ex_storage_class"):
        driver._to_storage_class_headers("a b")
