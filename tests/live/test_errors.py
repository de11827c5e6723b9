"""Each wrong thing has one exception, the same in every method."""

import pytest
import requests
from libcloud.common.types import InvalidCredsError, LibcloudError
from libcloud.storage.types import (
    ContainerAlreadyExistsError,
    ContainerDoesNotExistError,
    ContainerIsNotEmptyError,
    InvalidContainerNameError,
    ObjectDoesNotExistError,
)
from live.operations import (
    ALL,
    IN_A_CONTAINER,
    ON_OBJECTS,
    foreign_container,
    foreign_object,
)
from live.oracle import stored_keys

from libcloud_aurora import errors


def run(operation, driver, name, path, key="key"):
    """Run one operation of the table on a container and an object that other code has built."""
    container = foreign_container(driver, name)
    return operation(driver, container, foreign_object(container, key), path)


def in_each(operations):
    """Parametrise a test with the operations of a table."""
    return pytest.mark.parametrize("operation", operations.values(), ids=operations)


@pytest.fixture
def theirs(make_s3, cluster, request):
    """A bucket with one private object that belongs to the stranger."""
    account = make_s3(cluster.stranger)
    account.create_bucket(Bucket="theirs")
    account.put_object(Bucket="theirs", Key="key", Body=b"private")
    yield "theirs"
    assert account.get_object(Bucket="theirs", Key="key")["Body"].read() == b"private"
    account.delete_object(Bucket="theirs", Key="key")
    account.delete_bucket(Bucket="theirs")


@pytest.mark.parametrize("field", ["access_key", "secret_key"])
@in_each(ALL)
def test_wrong_credentials_are_invalid_creds(
    make_driver, cluster, bucket, operation, field, tmp_path
):
    """A wrong key or a wrong secret is ``InvalidCredsError`` in every method."""
    wrong = cluster.owner._replace(**{field: "WRONG"})
    with pytest.raises(InvalidCredsError) as caught:
        run(operation, make_driver(wrong), bucket.name, tmp_path)
    assert caught.value.code in ("InvalidAccessKeyId", "SignatureDoesNotMatch")
    assert caught.value.http_status == 403
    assert cluster.owner.secret_key not in f"{caught.value} {caught.value!r}"


@in_each(IN_A_CONTAINER)
def test_missing_container(driver, operation, tmp_path):
    """A missing container is ``ContainerDoesNotExistError`` in every method."""
    with pytest.raises(ContainerDoesNotExistError) as caught:
        run(operation, driver, "nowhere", tmp_path)
    error = caught.value
    assert (error.code, error.http_status, error.bucket) == ("NoSuchBucket", 404, "nowhere")
    assert error.container_name == "nowhere"
    assert "nowhere" in str(error)


@in_each(ON_OBJECTS)
def test_missing_object(driver, bucket, operation, tmp_path):
    """A missing object is ``ObjectDoesNotExistError`` in every method that reads."""
    with pytest.raises(ObjectDoesNotExistError) as caught:
        run(operation, driver, bucket.name, tmp_path)
    error = caught.value
    assert (error.code, error.http_status) == ("NoSuchKey", 404)
    assert (error.bucket, error.key, error.object_name) == (bucket.name, "key", "key")
    assert list(tmp_path.iterdir()) == []


def test_deleting_a_missing_object_succeeds(driver, bucket):
    """Deleting what is not there is success, as everywhere in S3."""
    assert driver.delete_object(foreign_object(bucket, "key")) is True


#: get_container returns what may be open in parts (test_policies), and deleting lists failures.
OTHERWISE = ("get_container", "ex_delete_objects")


@in_each({name: IN_A_CONTAINER[name] for name in IN_A_CONTAINER if name not in OTHERWISE})
def test_somebody_elses_container(driver, theirs, operation, tmp_path):
    """Somebody else's container is "access denied", and the text says so."""
    with pytest.raises(errors.AccessDeniedError, match="another account") as caught:
        run(operation, driver, theirs, tmp_path)
    error = caught.value
    assert not isinstance(error, InvalidCredsError)
    assert (error.code, error.http_status, error.bucket) == ("AccessDenied", 403, theirs)
    assert error.request_id
    assert not (tmp_path / "copy").exists()


def test_deleting_from_somebody_elses_container(driver, theirs):
    """Objects in somebody else's container are left, whether it is said of each or of all."""
    with pytest.raises(errors.DeleteFailedError, match="'key': ") as caught:
        run(IN_A_CONTAINER["ex_delete_objects"], driver, theirs, None)
    assert "AccessDenied AccessDenied" not in str(caught.value)
    assert list(caught.value.failures) == ["key"]
    assert isinstance(caught.value.__cause__, errors.AccessDeniedError)
    assert caught.value.__cause__.code == "AccessDenied"


def test_somebody_elses_name_is_taken(driver, theirs):
    """A name that another account holds is ``ContainerAlreadyExistsError``."""
    with pytest.raises(ContainerAlreadyExistsError):
        driver.create_container(theirs)


def test_creating_a_container_twice(driver, bucket):
    """Creating a container that exists is ``ContainerAlreadyExistsError``, for its owner too."""
    with pytest.raises(ContainerAlreadyExistsError) as caught:
        driver.create_container(bucket.name)
    assert caught.value.bucket == caught.value.container_name == bucket.name


@pytest.mark.parametrize("name", ["UPPER", "under_score", "ab", "x" * 64, "a..b", "10.1.2.3"])
def test_names_that_the_server_refuses(driver, name):
    """A container name that radosgw does not allow is ``InvalidContainerNameError``."""
    with pytest.raises(InvalidContainerNameError) as caught:
        driver.create_container(name)
    assert name in str(caught.value)


def test_deleting_a_container_with_objects(driver, s3, bucket):
    """Deleting a container with objects is ``ContainerIsNotEmptyError`` and deletes nothing."""
    s3.put_object(Bucket=bucket.name, Key="key", Body=b"-")
    with pytest.raises(ContainerIsNotEmptyError) as caught:
        driver.delete_container(bucket)
    assert (caught.value.code, caught.value.http_status) == ("BucketNotEmpty", 409)
    assert stored_keys(s3, bucket.name) == ["key"]


@in_each(ALL)
def test_no_server(make_driver, operation, tmp_path):
    """A server that is not there is a ``LibcloudError`` and a ``requests.RequestException``."""
    driver = make_driver(port=1, ex_max_attempts=2)
    with pytest.raises(LibcloudError) as caught:
        run(operation, driver, "anything", tmp_path)
    assert isinstance(caught.value, requests.RequestException)
    assert isinstance(caught.value, errors.NetworkError)
    assert len(caught.value.history) == 2


def test_errors_carry_the_servers_request_id(driver, bucket):
    """An error names the request, so that the operator can find it."""
    with pytest.raises(ObjectDoesNotExistError) as caught:
        list(driver.download_object_as_stream(foreign_object(bucket, "key")))
    assert caught.value.request_id.startswith("tx")


def test_range_behind_the_end(driver, s3, bucket, tmp_path):
    """A range that starts at the object's end is an error with radosgw's code; no file appears."""
    s3.put_object(Bucket=bucket.name, Key="key", Body=b"12345")
    item = driver.get_object(bucket.name, "key")
    for call in (
        lambda: list(driver.download_object_range_as_stream(item, 5)),
        lambda: driver.download_object_range(item, str(tmp_path / "copy"), 5),
    ):
        with pytest.raises(errors.AuroraObjectsError) as caught:
            call()
        assert (caught.value.code, caught.value.http_status) == ("InvalidRange", 416)
    assert list(tmp_path.iterdir()) == []
