"""Objects that radosgw encrypts with a key it is given with each request (SSE-C)."""

import base64

import pytest
from botocore.exceptions import ClientError
from live.ceph import Cluster
from live.interruption import Interruption
from live.oracle import (
    MIB,
    PART,
    backend,
    expected_etag,
    md5,
    noise,
    stored_keys,
    unfinished_uploads,
)
from servers.proxy import Proxy
from workers import wait_for_workers

import libcloud_aurora
from libcloud_aurora.errors import AuroraObjectsError, EncryptionKeyError, ObjectNotFoundError

KEY, OTHER = noise(32, seed=1), noise(32, seed=2)
LARGE = noise(12 * MIB + 1)
SIZES = [0, 1, 4096, PART, PART + 1, len(LARGE)]
PREFIX = "x-amz-server-side-encryption-customer-"


@pytest.fixture(scope="module")
def keyed_cluster():
    """A Ceph whose radosgw takes keys over plain http, as for tests only."""
    with Cluster({"rgw crypt require ssl": "false"}) as running:
        yield running


@pytest.fixture
def proxy(keyed_cluster):
    """A proxy before it."""
    with Proxy(keyed_cluster.host, keyed_cluster.port) as running:
        yield running


@pytest.fixture
def keyed(keyed_cluster, proxy):
    """A driver behind the proxy."""
    owner = keyed_cluster.owner
    with libcloud_aurora.AuroraObjectsStorageDriver(
        owner.access_key, owner.secret_key, False, "127.0.0.1", proxy.port, retry_delay=0.01
    ) as made:
        yield made
    wait_for_workers()


@pytest.fixture
def witness(keyed_cluster):
    """The same account, seen by boto3."""
    return backend(keyed_cluster, keyed_cluster.owner).client


@pytest.fixture
def container(keyed, witness):
    """A container that at the end has no unfinished upload, and is emptied and removed."""
    container = keyed.create_container("encrypted")
    yield container
    unfinished = unfinished_uploads(witness, container.name)
    keyed.ex_cleanup_all_multipart_uploads(container)
    keyed.ex_empty_container(container)
    container.delete()
    assert unfinished == []


def seen_by_boto3(s3, container, name, key):
    """Return an object's bytes as another client reads them with a key, or without one."""
    asked = {"Bucket": container.name, "Key": name}
    if key:
        asked |= {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": key}
    return s3.get_object(**asked)["Body"].read()


def stored(s3, container, name, body, key=KEY):
    """Check that an object holds the bytes, and that they are read with this key only."""
    assert seen_by_boto3(s3, container, name, key) == body
    for wrong in {KEY, OTHER, None} - {key} if key else ():
        with pytest.raises(ClientError, match="InvalidArgument"):
            seen_by_boto3(s3, container, name, wrong)
    return True


def upload(driver, container, name, body, **arguments):
    """Upload with the tests' key."""
    arguments = {"ex_customer_key": KEY} | arguments
    return driver.upload_object_via_stream([body], container, name, **arguments)


def ready_made(key):
    """Return the headers that carry a key, as other programs build them."""
    return {
        "X-Amz-Server-Side-Encryption-Customer-Algorithm": "AES256",
        "X-Amz-Server-Side-Encryption-Customer-Key": base64.b64encode(key).decode(),
        "X-Amz-Server-Side-Encryption-Customer-Key-MD5": base64.b64encode(
            md5(key).digest()
        ).decode(),
    }


@pytest.mark.parametrize("size", SIZES)
def test_upload_and_download(keyed, witness, container, tmp_path, size):
    """Objects of any size come back with the key, have the ETag of their plain bytes, verified."""
    body, target = LARGE[:size], tmp_path / "target"
    (tmp_path / "file").write_bytes(body)
    streamed = upload(keyed, container, "streamed", body)
    filed = keyed.upload_object(
        str(tmp_path / "file"), container, "filed", ex_customer_key=bytearray(KEY)
    )
    for obj in (streamed, filed):
        assert obj.hash == expected_etag(body)
        assert stored(witness, container, obj.name, body)
        found = keyed.get_object(container.name, obj.name, ex_customer_key=KEY)
        assert (found.size, found.hash) == (size, obj.hash)
        assert keyed.download_object(found, str(target), True, ex_customer_key=KEY)
        assert target.read_bytes() == body
        chunks = keyed.download_object_as_stream(found, 4097, ex_customer_key=KEY)
        assert b"".join(chunks) == body


@pytest.mark.parametrize("size", [5, len(LARGE)])
def test_headers_instead_of_the_argument(keyed, witness, container, tmp_path, size):
    """The three headers do the same in both uploads, and the dict is not changed."""
    headers = ready_made(KEY)
    (tmp_path / "file").write_bytes(LARGE[:size])
    keyed.upload_object(str(tmp_path / "file"), container, "filed", headers=headers)
    keyed.upload_object_via_stream([LARGE[:size]], container, "streamed", headers=headers)
    assert stored(witness, container, "filed", LARGE[:size])
    assert stored(witness, container, "streamed", LARGE[:size])
    assert headers == ready_made(KEY)


@pytest.mark.parametrize(
    ("start", "end"),
    [(0, 1), (17, 5000), (PART - 1, PART + 1), (PART, None), (4095, 2 * PART + 7), (1, None)],
)
def test_ranges(keyed, container, tmp_path, start, end):
    """Ranges that cross blocks of the cipher and parts hold the right bytes."""
    obj = upload(keyed, container, "key", LARGE)
    target = tmp_path / "target"
    assert keyed.download_object_range(obj, str(target), start, end, ex_customer_key=KEY)
    assert target.read_bytes() == LARGE[start:end]
    chunks = keyed.download_object_range_as_stream(obj, start, end, ex_customer_key=KEY)
    assert b"".join(chunks) == LARGE[start:end]


READS = {
    "get": lambda d, o, p, k: d.get_object(o.container.name, o.name, ex_customer_key=k),
    "file": lambda d, o, p, k: d.download_object(o, str(p / "target"), ex_customer_key=k),
    "resuming": lambda d, o, p, k: d.download_object(
        o, str(p / "target"), ex_resume=True, ex_customer_key=k
    ),
    "stream": lambda d, o, p, k: list(d.download_object_as_stream(o, ex_customer_key=k)),
    "copy": lambda d, o, p, k: d.ex_copy_object(
        o, o.container, "copy", ex_source_customer_key=k, ex_customer_key=k
    ),
}


@pytest.mark.parametrize("size", [0, 1, len(LARGE)])
@pytest.mark.parametrize("key", [OTHER, None], ids=["wrong", "missing"])
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_wrong_and_missing_keys(keyed, witness, container, tmp_path, read, key, size):
    """Without the key there is an error that says so, and nothing appears."""
    obj = upload(keyed, container, "key", LARGE[:size])
    said = "another key" if key else "encrypted with its owner's key"
    with pytest.raises(EncryptionKeyError, match=said) as caught:
        read(keyed, obj, tmp_path, key)
    assert (caught.value.http_status, caught.value.key) == (400, "key")
    assert list(tmp_path.iterdir()) == []
    assert stored_keys(witness, container.name) == ["key"]


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_key_for_what_is_not_encrypted(keyed, container, tmp_path, read):
    """An object without a key is not taken for one with it: somebody may have replaced it."""
    obj = upload(keyed, container, "key", b"plain", ex_customer_key=None)
    with pytest.raises(EncryptionKeyError, match="does not confirm that the object is encrypted"):
        read(keyed, obj, tmp_path, KEY)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ObjectNotFoundError):
        keyed.get_object(container.name, "none", ex_customer_key=KEY)


COPIES = {
    "same key": (KEY, KEY),
    "encrypted": (None, KEY),
    "decrypted": (KEY, None),
}


@pytest.mark.parametrize("size", [0, 1, PART + 1, len(LARGE)])
@pytest.mark.parametrize(("old", "new"), COPIES.values(), ids=COPIES)
def test_copies(keyed, witness, container, old, new, size):
    """The server copies with the same key, to a key and from one; type and metadata stay."""
    extra = {"content_type": "text/x", "meta_data": {"a": "1"}}
    obj = upload(keyed, container, "key", LARGE[:size], ex_customer_key=old, extra=extra)
    copy = keyed.ex_copy_object(
        obj, container, "copy", ex_source_customer_key=old, ex_customer_key=new
    )
    assert (copy.size, copy.extra["content_type"], copy.meta_data) == (size, "text/x", {"a": "1"})
    assert stored(witness, container, "copy", LARGE[:size], new)
    fetched = keyed.download_object_as_stream(copy, ex_customer_key=new)
    assert b"".join(fetched) == LARGE[:size]


def test_a_copy_to_another_key(keyed_cluster, keyed, witness, container):
    """Ceph 20 re-encrypts; 16 and 18 do not: an error says so, and the server has what it had."""
    obj = upload(keyed, container, "key", b"content")
    upload(keyed, container, "copy", b"old")
    for name in ("copy", "key"):
        keys = {"ex_source_customer_key": KEY, "ex_customer_key": OTHER}
        if keyed_cluster.version >= (20,):
            keyed.ex_copy_object(obj, container, name, **keys)
            assert stored(witness, container, name, b"content", OTHER)
        else:
            with pytest.raises(EncryptionKeyError, match="does not copy from one key to another"):
                keyed.ex_copy_object(obj, container, name, **keys)
    if keyed_cluster.version < (20,):
        assert stored(witness, container, "copy", b"old")
        assert stored(witness, container, "key", b"content")


@pytest.mark.parametrize(
    ("name", "other"), [("50%25", "50%"), ("k%41", "kA"), ("p%zz", "p"), ("x?versionId=null", "x")]
)
def test_no_copy_is_another_objects(keyed_cluster, keyed, witness, container, name, other):
    """
    A name that the server misreads in copies by parts is refused, and all objects stay.

    Ceph 16 and 18 decode the name twice, and each version takes what looks like a version for one.
    """
    obj = upload(keyed, container, name, b"mine")
    upload(keyed, container, other, b"their")
    for copy in (name, "copy"):
        given = {"extra": {"content_type": "text/x"}, "ex_source_customer_key": KEY}
        given["ex_customer_key"] = KEY
        if keyed_cluster.version >= (20,) and "%" in name:
            keyed.ex_copy_object(obj, container, copy, **given)
            assert stored(witness, container, copy, b"mine")
        else:
            with pytest.raises(AuroraObjectsError, match="misreads its name"):
                keyed.ex_copy_object(obj, container, copy, **given)
    assert stored(witness, container, name, b"mine")
    assert stored(witness, container, other, b"their")


def test_an_object_is_encrypted_where_it_is(keyed, witness, container):
    """A copy onto itself gives an object a key, and takes it away."""
    obj = upload(keyed, container, "key", LARGE, ex_customer_key=None)
    keyed.ex_copy_object(obj, container, ex_customer_key=KEY)
    assert stored(witness, container, "key", LARGE)
    keyed.ex_copy_object(obj, container, ex_source_customer_key=KEY)
    assert stored(witness, container, "key", LARGE, None)


@pytest.fixture
def file(tmp_path):
    """A file of three parts."""
    path = tmp_path / "file"
    path.write_bytes(LARGE)
    return str(path)


def begin(witness, container, key):
    """Begin an upload of the file and send its first two parts, as a process that was killed."""
    parts = [LARGE[:PART], LARGE[PART : 2 * PART]]
    asked = {"Bucket": container.name, "Key": "key"}
    if key:
        asked |= {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": key}
    upload_id = witness.create_multipart_upload(**asked)["UploadId"]
    for number, body in enumerate(parts, 1):
        witness.upload_part(**asked, UploadId=upload_id, PartNumber=number, Body=body)


def test_an_upload_goes_on(keyed, witness, container, file, proxy):
    """A resumed upload sends what is missing and one part, whose answer names the key."""
    begin(witness, container, KEY)
    obj = keyed.upload_object(
        file, container, "key", {"meta_data": {"a": "1"}}, ex_resume=True, ex_customer_key=KEY
    )
    assert stored(witness, container, "key", LARGE)
    found = keyed.get_object(container.name, "key", ex_customer_key=KEY)
    assert (found.hash, found.meta_data) == (obj.hash, {"a": "1"})
    sent = [each for each in proxy.requests if each.method == "PUT" and "uploadId" in each.query]
    bodies = [each for each in sent if "x-amz-copy-source" not in each.headers]
    assert sorted(each.query["partNumber"] for each in bodies) == ["2", "3"]


@pytest.mark.parametrize("begun", [None, OTHER], ids=["plain", "other key"])
def test_an_upload_begun_without_the_key_does_not_go_on(keyed, witness, container, file, begun):
    """No object is stored with parts that are not encrypted, or with another key."""
    begin(witness, container, begun)
    with pytest.raises(EncryptionKeyError, match="begun with"):
        keyed.upload_object(file, container, "key", ex_resume=True, ex_customer_key=KEY)
    assert stored_keys(witness, container.name) == []
    keyed.ex_cleanup_all_multipart_uploads(container)


def test_an_upload_begun_with_a_key_does_not_go_on_without(keyed, witness, container, file):
    """An upload that was begun with a key is not gone on with without it."""
    begin(witness, container, KEY)
    with pytest.raises(EncryptionKeyError, match="encrypted with its owner's key"):
        keyed.upload_object(file, container, "key", ex_resume=True)
    keyed.ex_cleanup_all_multipart_uploads(container)


def test_a_download_goes_on(keyed, container, tmp_path):
    """A download that was cut off goes on with the key."""
    obj = upload(keyed, container, "key", LARGE)
    target = tmp_path / "target"

    def cut(done, total):
        if done > 4 * MIB:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        keyed.download_object(
            obj, str(target), ex_resume=True, ex_customer_key=KEY, ex_progress=cut
        )
    keyed.download_object(obj, str(target), ex_resume=True, ex_customer_key=KEY)
    assert target.read_bytes() == LARGE


def test_the_key_goes_where_it_is_needed(keyed, container, proxy):
    """Listing parts, completing and deleting carry no key; what needs it does."""
    obj = upload(keyed, container, "key", LARGE)
    list(keyed.download_object_as_stream(obj, ex_customer_key=KEY))
    keyed.delete_object(obj)
    with_key = {
        (each.method, "partNumber" in each.query)
        for each in proxy.requests
        if f"{PREFIX}key" in each.headers
    }
    assert {("POST", False), ("PUT", True), ("GET", False)} <= with_key
    assert not any(method == "DELETE" for method, _ in with_key)


@pytest.mark.parametrize("size", [1, len(LARGE)])
def test_plain_http_is_refused(cluster, make_driver, bucket, size):
    """By default radosgw takes a key only over https, and the error says so."""
    with pytest.raises(EncryptionKeyError, match="only over https"):
        make_driver().upload_object_via_stream([LARGE[:size]], bucket, "key", ex_customer_key=KEY)


def test_https(cluster, make_driver, bucket):
    """Over https a key is taken without any setting of the server."""
    driver = make_driver(secure=True, port=cluster.tls_port, ex_verify_ssl=str(cluster.ca_file))
    obj = upload(driver, bucket, "key", LARGE)
    assert b"".join(driver.download_object_as_stream(obj, ex_customer_key=KEY)) == LARGE


def test_an_interrupted_completion(keyed, container, proxy, keyed_cluster, tmp_path):
    """The object that shares its data with its upload is copied with its key."""
    interruption = Interruption(keyed_cluster, tmp_path)
    proxy.plan = interruption.plan()
    keyed.upload_object_via_stream(iter([LARGE]), container, "k", ex_customer_key=KEY)
    interruption.collect()
    obj = keyed.get_object(container.name, "k", ex_customer_key=KEY)
    assert b"".join(keyed.download_object_as_stream(obj, ex_customer_key=KEY)) == LARGE


@pytest.mark.parametrize("body", [b"plain", LARGE], ids=["one part", "parts"])
def test_a_condition_sees_an_object_that_is_encrypted(keyed, container, witness, body):
    """What cannot be looked at without its key is there all the same."""
    old = keyed.upload_object_via_stream([b"secret"], container, "key", ex_customer_key=KEY)
    with pytest.raises(AuroraObjectsError) as caught:
        keyed.upload_object_via_stream(
            [body], container, "key", headers={"If-None-Match": "*"}, ex_check_condition=True
        )
    assert caught.value.code == "PreconditionFailed"
    assert keyed.get_object(container.name, "key", ex_customer_key=KEY).hash == old.hash
