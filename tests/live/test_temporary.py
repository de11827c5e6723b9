"""Temporary credentials, which radosgw's STS gives for a role: each request carries a token."""

import contextlib
import json

import boto3
import pytest
from libcloud.common.types import LibcloudError
from live.ceph import Cluster
from live.keys import KEYS
from live.operations import foreign_object
from live.oracle import MIB, noise
from live.test_presigned import METHODS, with_curl, with_requests

from libcloud_aurora import AuroraObjectsStorageDriver
from libcloud_aurora.errors import AccessDeniedError

STS = {"rgw_sts_key": "sixteen letters!", "rgw_s3_auth_use_sts": "true"}


def policy(**statement):
    """Return a policy that allows something."""
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]}
    return json.dumps(document)


@pytest.fixture(scope="module")
def cluster():
    """A Ceph with STS, and two roles that its owner may assume: one may all, one nothing."""
    with Cluster(STS) as running:
        trust = policy(
            Principal={"AWS": [f"arn:aws:iam:::user/{running.owner.name}"]},
            Action=["sts:AssumeRole"],
        )
        for name in ("mover", "idler"):
            role = ("--role-name", name)
            running.admin("role", "create", *role, "--assume-role-policy-doc", trust)
        rights = policy(Action=["s3:*"], Resource=["arn:aws:s3:::*"])
        arguments = ("--role-name", "mover", "--policy-name", "all", "--policy-doc", rights)
        running.admin("role-policy", "put", *arguments)
        yield running


@pytest.fixture(scope="module")
def assume(cluster):
    """Return what STS gives for a role: an access key, a secret key and a session token."""
    sts = boto3.client(
        "sts",
        endpoint_url=cluster.endpoint,
        aws_access_key_id=cluster.owner.access_key,
        aws_secret_access_key=cluster.owner.secret_key,
        region_name="us-east-1",
    )

    def call(role):
        answer = sts.assume_role(RoleArn=f"arn:aws:iam:::role/{role}", RoleSessionName="tests")
        found = answer["Credentials"]
        return found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"]

    return call


@pytest.fixture
def connect(cluster):
    """Make drivers with temporary credentials, and close them."""
    with contextlib.ExitStack() as made:

        def make(key, secret, token):
            address = {"secure": False, "host": cluster.host, "port": cluster.port}
            return made.enter_context(
                AuroraObjectsStorageDriver(key, secret, token=token, **address)
            )

        yield make


@pytest.fixture
def temporary(assume, connect):
    """A driver of the role that may all."""
    return connect(*assume("mover"))


@pytest.fixture
def container(temporary):
    """A container that the role has made, and that is empty at the end."""
    made = temporary.create_container("temporary")
    yield made
    assert list(temporary.ex_iterate_multipart_uploads(made)) == []
    temporary.ex_empty_container(made)
    made.delete()


def test_transfers(temporary, container, tmp_path):
    """Every kind of request works with a token: parts, ranges, copies, listings, deletions."""
    body = noise(12 * MIB)
    item = temporary.upload_object_via_stream(iter([body]), container, "a key")
    temporary.ex_copy_object(item, container, "copy")
    temporary.download_object(item, str(tmp_path / "file"))

    assert [found.name for found in temporary.list_containers()] == ["temporary"]
    assert [found.name for found in container.list_objects()] == ["a key", "copy"]
    assert (tmp_path / "file").read_bytes() == body
    assert b"".join(temporary.download_object_as_stream(item)) == body
    temporary.ex_delete_objects(container, ["copy"])
    item.delete()
    assert container.list_objects() == []


@pytest.mark.parametrize("client", [with_curl, with_requests])
def test_presigned(temporary, container, client):
    """A presigned URL carries the token, for every method and every key."""
    for key in KEYS.values():
        item = foreign_object(container, key)
        answers = [
            client(method, temporary.ex_get_object_presigned_url(item, ex_method=method))[0]
            for method in METHODS
        ]
        assert answers == [200, 200, 200, 204], key
    assert container.list_objects() == []


@pytest.mark.parametrize(("token", "status"), [(None, 403), ("", 403), ("wrong", 400)])
def test_without_the_right_token(assume, connect, token, status):
    """Temporary keys without their token are refused."""
    driver = connect(*assume("mover")[:2], token)
    with pytest.raises(LibcloudError) as caught:
        driver.list_containers()
    assert caught.value.http_status == status


def test_role_without_rights(assume, connect, container):
    """What a role may not do is denied, and no text shows its secret or its token."""
    keys = assume("idler")
    driver = connect(*keys)
    with pytest.raises(AccessDeniedError) as caught:
        driver.upload_object_via_stream([b"x"], container, "key")
    for secret in keys[1:]:
        assert secret not in f"{caught.value!s} {caught.value!r} {driver!r}"
    assert container.list_objects() == []
