"""Every header on every way to store an object: what becomes of it, and what is in effect then."""

import base64
import contextlib
import warnings
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import NamedTuple

import pytest
import requests
from botocore.exceptions import ClientError
from libcloud.storage.base import Container
from live.ceph import Cluster
from live.oracle import PART, backend, md5, noise, unfinished_uploads
from servers.proxy import Proxy
from workers import wait_for_workers
from written import GOOD, KNOWN, LATER, NONE, Page, list_table

import libcloud_aurora
from libcloud_aurora._s3.encryption import CustomerKey
from libcloud_aurora._s3.headers import MAX_FIELDS, TABLE, Fate, Way, row_of
from libcloud_aurora.errors import AuroraObjectsError, EncryptionKeyError, HashMismatchError

PAGE = Page("headers.rst", "WRITE_HEADERS")

SMALL, LARGE = b"content", noise(PART + 1)
KEY = noise(32)
UNTIL = (datetime.now(timezone.utc) + timedelta(days=2)).strftime("%Y-%m-%dT00:00:00Z")
LOCK = {
    "x-amz-object-lock-mode": "GOVERNANCE",
    "x-amz-object-lock-retain-until-date": UNTIL,
}
EVERYBODY = "http://acs.amazonaws.com/groups/global/AllUsers"
#: What radosgw knows as the key "testkey" of its KMS for tests.
KMS = {
    "rgw crypt require ssl": "false",
    "rgw crypt s3 kms backend": "testing",
    "rgw crypt s3 kms encryption keys": f"testkey={base64.b64encode(KEY).decode()}",
}

PROPERTIES = {"acl", "tagging", "retention", "legal-hold"}

#: What is sent for each row of the table.
SAMPLES = {
    "content-type": {"Content-Type": "text/x-sample"},
    "content-encoding": {"Content-Encoding": "x-sample"},
    "content-disposition": {"Content-Disposition": "attachment; filename=sample"},
    "content-language": {"Content-Language": "nl"},
    "cache-control": {"Cache-Control": "max-age=7"},
    "expires": {"Expires": "Thu, 01 Dec 2033 16:00:00 GMT"},
    "x-robots-tag": {"X-Robots-Tag": "noindex"},
    "x-amz-meta-*": {"x-amz-meta-Sample": "ż"},
    "x-amz-storage-class": {"x-amz-storage-class": "COLD"},
    "x-amz-website-redirect-location": {"x-amz-website-redirect-location": "/elsewhere"},
    "x-amz-acl": {"x-amz-acl": "public-read"},
    "x-amz-grant-*": {"x-amz-grant-read": f'uri="{EVERYBODY}"'},
    "x-amz-tagging": {"x-amz-tagging": "a%20b=%C5%BC&n=1"},
    "x-amz-object-lock-mode": LOCK,
    "x-amz-object-lock-retain-until-date": LOCK,
    "x-amz-object-lock-legal-hold": {"x-amz-object-lock-legal-hold": "ON"},
    "x-amz-server-side-encryption-customer-*": CustomerKey.of(KEY).headers(),
    "x-amz-server-side-encryption*": {
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": "testkey",
    },
    "content-md5": {"Content-MD5": base64.b64encode(md5(b"other").digest()).decode()},
    "if-match": {"If-Match": '"0"'},
    "if-none-match": {"If-None-Match": "*"},
    "if-*": {"If-Unmodified-Since": "Thu, 01 Dec 1994 16:00:00 GMT"},
    "range": {"Range": "bytes=0-1"},
    "x-delete-*": {"X-Delete-After": "10"},
    "x-amz-*": {"x-amz-expected-bucket-owner": "somebody"},
    "*": {"X-Sample": "1"},
}
CELLS = [
    (pattern, way) for pattern in TABLE for way in Way if TABLE[pattern][way] is not Fate.NOTHING
]
CARRIED = [pattern for pattern in TABLE if TABLE[pattern][Way.KEEPING] is Fate.CARRIED]

INTRODUCTION = """\
.. Written by the tests: make it anew with ``{write}=1 pytest tests/live/test_headers.py``.

.. role:: good
.. role:: later
.. role:: known
.. role:: none

Headers
=======

Uploads and copies take ``headers``, a dict of further headers. radosgw ignores some of them,
depending on how the object is stored and on the version of Ceph. The driver makes up for this where
it can, and refuses the rest. The table holds for Ceph 16, 18 and 20: a test stores an object for
each cell and reads back what is in effect.

:good:`sent`
    It is part of the request that stores the object or begins the upload, and the server honours
    it.
:later:`done afterwards`
    Once the object is stored, and before the call returns, the driver sets it with a separate
    request, which names the version if there is one. In between, the object does not have it. If
    that request fails, the object stays, and the error says what it lacks, which version it is, and
    which call sets it.
:later:`compared`
    It can no longer be set on an upload that an earlier call has begun. If the finished object
    differs, the server copies it onto itself with what this call asks for.
:good:`checked`
    The driver compares it with the MD5 of the bytes. If they differ, nothing is stored, and the
    call raises a ``HashMismatchError``.
:good:`carried over`
    The copy has what the original has.
:none:`not copied`
    The copy is as if it had been uploaded without it.
:known:`refused`
    The call raises a ``ValueError`` that says why, before anything is sent.

The columns are the ways to store an object: in *one part*; in *parts*; with ``ex_resume``, where an
earlier call has begun the upload (*resumed*); and as a *copy* for which the header is *not given*
or *given*.
"""
CONCLUSION = """
``content_type``, ``meta_data``, ``acl`` and ``tags`` in ``extra``, ``ex_storage_class`` and
``ex_customer_key`` set the same headers. Two different values for one header raise a
``ValueError``.

Headers that the driver sets itself are refused by name: ``Host``, ``Content-Length``,
``Transfer-Encoding``, ``Authorization``, ``X-Amz-Date``, ``User-Agent`` and the like. So are values
that no server accepts. Any other header is sent, because a proxy may need it, and a warning says
that the server does not keep it.

With ``ex_check_condition=True``, uploads check ``If-Match`` and ``If-None-Match: *`` also where the
table says *refused*: see :doc:`transfers`.

Encryption by the server counts only if the response confirms it. If the server does not know the
kind that was asked for, the upload ends with an
:class:`~libcloud_aurora.errors.EncryptionKeyError`. Ceph 16 and 18 copy what
they have encrypted themselves only in parts, so such a copy has an ETag of parts.

An object can have at most {fields} metadata fields, because many clients cannot read a response
with more than 100 headers. radosgw accepts about 16 KiB of headers, and only 4 KiB before 16.2.15.
If they are too large, the error says so.
"""
#: The colours of the cells.
ROLES = {
    Fate.SENT.value: GOOD,
    Fate.AFTERWARDS.value: LATER,
    Fate.COMPARED.value: LATER,
    Fate.CHECKED.value: GOOD,
    Fate.CARRIED.value: GOOD,
    Fate.NOT_COPIED.value: NONE,
    Fate.REFUSED.value: KNOWN,
}
TITLES = ["Header", "one part", "parts", "resumed", "copy, not given", "copy, given"]


class Bench(NamedTuple):
    """A driver behind a proxy, the same account as boto3 sees it, and a container."""

    driver: libcloud_aurora.AuroraObjectsStorageDriver
    proxy: Proxy
    s3: object
    container: Container
    directory: Path


@pytest.fixture(scope="module")
def kms_cluster():
    """A Ceph that encrypts by a KMS, and takes keys over plain http, as for tests only."""
    with Cluster(KMS) as running:
        yield running


@pytest.fixture(scope="module")
def containers(kms_cluster):
    """A plain container, and one whose objects can be locked; the cluster ends with them."""
    s3 = backend(kms_cluster, kms_cluster.owner).client
    s3.create_bucket(Bucket="plain")
    s3.create_bucket(Bucket="lockable", ObjectLockEnabledForBucket=True)
    return s3


@pytest.fixture
def make_bench(kms_cluster, containers, tmp_path):
    """Return what a cell needs; at the end no unfinished upload is left."""
    owner = kms_cluster.owner
    with contextlib.ExitStack() as stack:
        proxy = stack.enter_context(Proxy(kms_cluster.host, kms_cluster.port))
        driver = libcloud_aurora.AuroraObjectsStorageDriver(
            owner.access_key, owner.secret_key, False, "127.0.0.1", proxy.port, retry_delay=0.01
        )
        stack.enter_context(driver)

        def make(name):
            return Bench(driver, proxy, containers, Container(name, {}, driver), tmp_path)

        yield make
    wait_for_workers()
    for name in ("plain", "lockable"):
        assert unfinished_uploads(containers, name) == []


def key_of(pattern, way):
    """Return a name that no other cell uses."""
    return f"{pattern.replace('*', 'x')}/{way.name}"


def put(bench, key, headers, body=SMALL):
    """Store an object of one part."""
    return bench.driver.upload_object_via_stream([body], bench.container, key, headers=headers)


def one_part(bench, key, headers):
    """Upload an object with one request."""
    return put(bench, key, headers)


def parts(bench, key, headers):
    """Upload an object in two parts."""
    return put(bench, key, headers, LARGE)


def resume(bench, key, headers):
    """Go on with an upload that somebody has begun without these headers, but for a key."""
    keyed = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": KEY} if "customer" in key else {}
    place = {"Bucket": bench.container.name, "Key": key}
    upload_id = bench.s3.create_multipart_upload(
        **place, **keyed, ContentType="application/octet-stream"
    )["UploadId"]
    (bench.directory / "file").write_bytes(LARGE)
    try:
        return bench.driver.upload_object(
            bench.directory / "file", bench.container, key, headers=headers, ex_resume=True
        )
    except (ValueError, HashMismatchError):
        bench.s3.abort_multipart_upload(**place, UploadId=upload_id)
        raise


def replace(bench, key, headers):
    """Copy an object to which the headers are given."""
    source = put(bench, f"{key}-source", {})
    bench.proxy.requests.clear()
    return bench.driver.ex_copy_object(source, bench.container, key, headers=headers)


WAYS = {Way.ONE_PART: one_part, Way.PARTS: parts, Way.RESUME: resume, Way.REPLACING: replace}


def outcome(bench, key, headers, store):
    """Return what becomes of headers, as the requests show."""
    name = next(iter(headers))
    try:
        store(bench, key, headers)
    except ValueError:
        assert not bench.proxy.requests
        return Fate.REFUSED
    except HashMismatchError:
        return Fate.CHECKED
    except AuroraObjectsError as error:  # the condition holds, as the server says
        if error.code != "PreconditionFailed":
            raise
    changing = [each for each in bench.proxy.requests if PROPERTIES & set(each.query)]
    if store is resume and not name.startswith(("x-amz-acl", "x-amz-grant")):
        changing = [each for each in changing if "acl" not in each.query]  # private by default
    storing = [each for each in bench.proxy.requests if each not in changing]
    carrying = [each for each in storing if name in each.headers]
    if store is resume and any("x-amz-copy-source" in each.headers for each in carrying):
        return Fate.COMPARED
    assert bool(carrying) is not bool(changing)
    return Fate.SENT if carrying else Fate.AFTERWARDS


def in_effect(bench, key, pattern):
    """Return what another client reads of the headers of a row, ``None`` where there is nothing."""
    place = {"Bucket": bench.container.name, "Key": key}
    if pattern == "x-amz-tagging":
        tags = bench.s3.get_object_tagging(**place)["TagSet"]
        return {tag["Key"]: tag["Value"] for tag in tags} or None
    if pattern in ("x-amz-acl", "x-amz-grant-*"):
        grants = bench.s3.get_object_acl(**place)["Grants"]
        return [each["Permission"] for each in grants if each["Grantee"].get("URI")] or None
    try:
        answer = bench.s3.head_object(**place)["ResponseMetadata"]["HTTPHeaders"]
    except ClientError as error:  # encrypted with a key that this request does not have
        return error.response["ResponseMetadata"]["HTTPStatusCode"]
    name = next(name for name in SAMPLES[pattern] if row_of(name.lower()) == pattern).lower()
    value = answer.get(name)
    return value and value.encode("latin-1").decode()


#: What is in effect where it is not the value that was sent.
EFFECTS = {
    "x-amz-tagging": {"a b": "ż", "n": "1"},
    "x-amz-acl": ["READ"],
    "x-amz-grant-*": ["READ"],
    "x-amz-object-lock-retain-until-date": UNTIL.replace("Z", ".000000000Z"),
    "x-amz-server-side-encryption-customer-*": 400,
}


def expected(pattern):
    """Return what another client reads where the headers of a row are in effect."""
    values = {name.lower(): value for name, value in SAMPLES[pattern].items()}
    given = next(value for name, value in values.items() if row_of(name) == pattern)
    return EFFECTS.get(pattern, given)


@pytest.mark.parametrize(("pattern", "way"), CELLS)
def test_what_becomes_of_a_header(make_bench, pattern, way):
    """A header is sent, done afterwards, checked, carried over or refused as the table says."""
    bench = make_bench("lockable" if "lock" in pattern else "plain")
    key, headers = key_of(pattern, way), SAMPLES[pattern]
    if way is Way.KEEPING:
        found = {kept_by(bench, key, pattern, more) for more in ({}, {"x-amz-meta-More": "1"})}
        assert found == {TABLE[pattern][way]}
        return
    conditional = pattern in ("if-match", "if-none-match")
    if conditional:
        put(bench, key, {})
        bench.proxy.requests.clear()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert outcome(bench, key, headers, WAYS[way]) is TABLE[pattern][way]
    assert bool(said) is (pattern == "*")
    is_stored = TABLE[pattern][way] in (Fate.SENT, Fate.AFTERWARDS, Fate.COMPARED)
    if is_stored and not conditional and pattern != "*":
        assert in_effect(bench, key, pattern) == expected(pattern)
    if conditional and is_stored:
        with pytest.raises(AuroraObjectsError, match="PreconditionFailed"):
            WAYS[way](bench, key, headers)
    elif not conditional and not is_stored:
        with pytest.raises(ClientError, match="404"):
            bench.s3.head_object(Bucket=bench.container.name, Key=key)


def kept_by(bench, key, pattern, more):
    """Return whether a copy has what its original has."""
    source = put(bench, f"{key}-source", SAMPLES[pattern])
    arguments = {}
    if "customer" in pattern:
        arguments["ex_source_customer_key"] = KEY
    bench.driver.ex_copy_object(source, bench.container, key, headers=more, **arguments)
    found = in_effect(bench, key, pattern)
    return Fate.CARRIED if found == expected(pattern) else Fate.NOT_COPIED


@pytest.mark.parametrize("body", [b"", SMALL, LARGE], ids=["empty", "small", "large"])
def test_the_kms_encrypts_copies(make_bench, kms_cluster, body):
    """A copy of what a KMS encrypts is encrypted and whole, also on Ceph 16 and 18."""
    bench = make_bench("plain")
    headers = SAMPLES["x-amz-server-side-encryption*"] | {"x-amz-tagging": "a=b"}
    extra = {"meta_data": {"by": "us"}}
    source = bench.driver.upload_object_via_stream(
        [body], bench.container, "kms", extra=extra, headers=headers
    )
    for name, more in (("kept", {}), ("replaced", {"extra": {"meta_data": {"by": "them"}}})):
        copy = bench.driver.ex_copy_object(source, bench.container, f"kms-{name}", **more)
        assert in_effect(bench, copy.name, "x-amz-server-side-encryption*") == "aws:kms"
        assert b"".join(bench.driver.download_object_as_stream(copy)) == body
        assert bench.driver.ex_get_object_tags(copy) == {"a": "b"}
        stored = bench.driver.get_object("plain", copy.name)
        assert stored.meta_data == {"by": "them" if more else "us"}


def test_encryption_that_radosgw_does_not_know_is_an_error(make_bench, kms_cluster):
    """AES256 needs a Vault: Ceph 18 and 20 refuse it, and Ceph 16 would store plain bytes."""
    bench = make_bench("plain")
    for body in (SMALL, LARGE):
        with pytest.raises(AuroraObjectsError) as caught:
            put(bench, "aes", {"x-amz-server-side-encryption": "AES256"}, body)
        if kms_cluster.version < (17,):
            assert type(caught.value) is EncryptionKeyError
        else:
            assert caught.value.code == "InvalidArgument"


def test_a_copy_by_parts_keeps_the_same(make_bench):
    """A copy that a key makes one of parts keeps all that others keep, but the encryption."""
    bench = make_bench("plain")
    rows = [pattern for pattern in CARRIED if "encryption" not in pattern]
    headers = {name: value for row in rows for name, value in SAMPLES[row].items()}
    source = put(bench, "by-parts", headers, LARGE)
    # A key that the original has: a copy from one key to another is not for every version.
    bench.driver.ex_copy_object(source, bench.container, "keyed", ex_customer_key=KEY)
    obj = bench.driver.get_object("plain", "keyed", ex_customer_key=KEY)
    bench.driver.ex_copy_object(obj, bench.container, "open", ex_source_customer_key=KEY)
    assert {row: in_effect(bench, "open", row) for row in rows} == {
        row: expected(row) for row in rows
    }
    assert bench.driver.ex_get_object_tags(obj) == EFFECTS["x-amz-tagging"]


def test_copying_onto_itself_loses_nothing(make_bench):
    """A change of one header keeps all others, and the tags."""
    bench = make_bench("plain")
    rows = [pattern for pattern in CARRIED if "encryption" not in pattern]
    headers = {name: value for row in rows for name, value in SAMPLES[row].items()}
    obj = put(bench, "itself", headers)
    bench.driver.ex_copy_object(obj, bench.container, headers={"Cache-Control": "no-store"})
    rows.remove("cache-control")
    assert {row: in_effect(bench, "itself", row) for row in rows} == {
        row: expected(row) for row in rows
    }
    assert in_effect(bench, "itself", "cache-control") == "no-store"


def test_what_is_done_afterwards_names_the_version(make_bench):
    """Tags and locks of an object in parts are those of the version that was stored."""
    bench = make_bench("lockable")
    extra = {"tags": {"of": "the new version"}}
    put(bench, "versions", {})
    bench.driver.upload_object_via_stream(
        [LARGE], bench.container, "versions", extra=extra, headers={**LOCK}
    )
    new, old = bench.s3.list_object_versions(Bucket="lockable", Prefix="versions")["Versions"]
    named = [request.query.get("versionId") for request in bench.proxy.requests[-2:]]
    assert named == [new["VersionId"]] * 2
    tags = [
        bench.s3.get_object_tagging(Bucket="lockable", Key="versions", VersionId=each["VersionId"])
        for each in (new, old)
    ]
    assert [each["TagSet"] for each in tags] == [[{"Key": "of", "Value": "the new version"}], []]
    with pytest.raises(ClientError, match="AccessDenied"):
        bench.s3.delete_object(Bucket="lockable", Key="versions", VersionId=new["VersionId"])


def test_a_lock_that_the_container_refuses_is_named(make_bench):
    """One part is refused; an object in parts stays, and the error says what to do."""
    bench = make_bench("plain")
    with pytest.raises(AuroraObjectsError, match="InvalidRequest"):
        put(bench, "unlocked", LOCK)
    with pytest.raises(AuroraObjectsError, match="is stored, but without its retention") as caught:
        put(bench, "unlocked", LOCK, LARGE)
    call = "driver.connection.request('/plain/unlocked?retention=', method='PUT', data='<"
    assert call in str(caught.value)
    assert bench.driver.get_object("plain", "unlocked").size == len(LARGE)


def test_access_and_tags_of_an_object_that_is_there(make_bench, kms_cluster):
    """One request changes access or tags, and nothing else; the plain URL then works for all."""
    bench = make_bench("plain")
    headers = {"Cache-Control": "no-store", "x-amz-meta-a": "1"}
    obj = put(bench, "a b/../ż", headers)
    before = bench.s3.head_object(Bucket="plain", Key=obj.name)
    url = bench.driver.ex_get_object_public_url(obj).replace(
        str(bench.proxy.port), str(kms_cluster.port)
    )
    assert requests.get(url, timeout=20).status_code == 403
    bench.proxy.requests.clear()
    bench.driver.ex_set_object_acl(obj, "public-read")
    bench.driver.ex_set_object_tags(obj, {"a&": "<ż>", "n": 1})
    assert len(bench.proxy.requests) == 2
    assert requests.get(url, timeout=20).content == SMALL
    assert bench.driver.ex_get_object_tags(obj) == {"a&": "<ż>", "n": "1"}
    after = bench.s3.head_object(Bucket="plain", Key=obj.name)
    for field in ("LastModified", "ETag", "Metadata", "CacheControl", "ContentType"):
        assert after[field] == before[field]
    bench.driver.ex_set_object_tags(obj, {})
    bench.driver.ex_set_object_acl(obj, "private")
    assert bench.driver.ex_get_object_tags(obj) == {}
    assert requests.get(url, timeout=20).status_code == 403


def test_access_to_a_container(make_bench, kms_cluster):
    """A public container can be listed by everybody; its objects stay as they are."""
    bench = make_bench("plain")
    put(bench, "listed", {})
    url = f"{kms_cluster.endpoint}/plain"
    bench.driver.ex_set_container_acl(bench.container, "public-read")
    assert requests.get(url, timeout=20).status_code == 200
    assert requests.get(f"{url}/listed", timeout=20).status_code == 403
    bench.driver.ex_set_container_acl(bench.container, "private")
    assert requests.get(url, timeout=20).status_code == 403


def test_tags_of_an_encrypted_object_need_no_key(make_bench):
    """Access and tags of an object with a customer's key are changed without the key."""
    bench = make_bench("plain")
    obj = put(bench, "with-key", CustomerKey.of(KEY).headers())
    bench.driver.ex_set_object_tags(obj, {"a": "1"})
    bench.driver.ex_set_object_acl(obj, "private")
    assert bench.driver.ex_get_object_tags(obj) == {"a": "1"}


def test_the_tags_that_are_allowed_are_taken(make_bench):
    """The limits of the driver are the server's, with an upload and afterwards."""
    bench = make_bench("plain")
    tags = {"k" * 128: "v" * 256, "ż" * 64: "", **{f"n{number}": "/+ =" for number in range(8)}}
    obj = bench.driver.upload_object_via_stream(
        [SMALL], bench.container, "tagged", extra={"tags": tags}
    )
    assert bench.driver.ex_get_object_tags(obj) == tags
    bench.driver.ex_set_object_tags(obj, tags)
    assert bench.driver.ex_get_object_tags(obj) == tags


def test_as_many_fields_as_others_can_read(make_bench):
    """An object with all the metadata that the driver takes is read by other clients."""
    bench = make_bench("plain")
    meta_data = {f"n{number}": str(number) for number in range(80)}
    for body in (SMALL, LARGE):
        bench.driver.upload_object_via_stream(
            [body], bench.container, "fields", extra={"meta_data": meta_data}
        )
        assert bench.s3.head_object(Bucket="plain", Key="fields")["Metadata"] == meta_data


@pytest.mark.parametrize("body", [SMALL, noise(PART), LARGE], ids=["small", "one part", "parts"])
def test_metadata_that_is_too_large_is_named(make_bench, body):
    """The error says that it is the metadata, after one attempt."""
    bench = make_bench("plain")
    with pytest.raises(AuroraObjectsError, match="The metadata is too large") as caught:
        put(bench, "large-metadata", {"x-amz-meta-a": "v" * 20_000}, body)
    assert len(caught.value.history) == 1


def render():
    """Return the page of the docs."""
    rows = [[f"``{name}``", *(each.value for each in TABLE[name])] for name in TABLE]
    rows[-1][0] = "any other"
    introduction = INTRODUCTION.format(write=PAGE.variable)
    table = list_table(TITLES, rows, colour=ROLES.get)
    return f"{introduction}\n{table}\n{CONCLUSION.format(fields=MAX_FIELDS)}"


def test_the_page_is_current():
    """The page of the docs shows the table that the other tests have run."""
    if PAGE.writing():
        PAGE.path.write_text(render())
    assert PAGE.path.read_text() == render()
