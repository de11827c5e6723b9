"""Headers of uploads and copies: sent, done afterwards, checked, carried over, or refused."""

import base64
import hashlib
import re
from decimal import Decimal

import pytest
from libcloud.storage.base import Container, Object
from unit.memory_s3 import Answer, error, md5

from libcloud_aurora import errors
from libcloud_aurora._s3 import headers as s3_headers
from libcloud_aurora._s3 import xml
from libcloud_aurora._s3.headers import TABLE, Fate, Way

PART = 1000
DATA = bytes(range(250)) * 10
UNTIL = "2099-12-31T00:00:00Z"
LOCK = {
    "x-amz-object-lock-mode": "GOVERNANCE",
    "x-amz-object-lock-retain-until-date": UNTIL,
    "X-Amz-Object-Lock-Legal-Hold": "ON",
}
RETENTION = (
    f"<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>{UNTIL}</RetainUntilDate></Retention>"
)
OWNED = [
    "Host", "Content-Length", "Transfer-Encoding", "Authorization", "Date", "X-Amz-Date",
    "x-amz-content-sha256", "x-amz-security-token", "x-amz-copy-source", "x-amz-copy-source-range",
    "x-amz-metadata-directive", "x-amz-tagging-directive", "User-Agent", "Expect", "Connection",
]  # fmt: skip


def content_md5(data):
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def tagging(*pairs):
    rows = "".join(f"<Tag><Key>{name}</Key><Value>{value}</Value></Tag>" for name, value in pairs)
    return f"<Tagging><TagSet>{rows}</TagSet></Tagging>"


@pytest.fixture
def small_parts(tiny_parts, new_driver):
    """A driver that cuts an object into parts of 1,000 bytes, one after the other."""
    return new_driver(ex_part_size=PART, ex_max_concurrency=1)


@pytest.fixture(params=["file", "stream"])
def upload(request, tmp_path, small_parts, container, s3):
    """Upload bytes as a file or as a stream."""
    s3.requests.clear()

    def send(data, **arguments):
        if request.param == "file":
            (tmp_path / "f").write_bytes(data)
            return small_parts.upload_object(tmp_path / "f", container, "k", **arguments)
        return small_parts.upload_object_via_stream([data], container, "k", **arguments)

    return send


@pytest.fixture
def resume(tmp_path, small_parts, container, s3):
    """Go on with an upload of ``DATA`` that has been begun before."""
    (tmp_path / "f").write_bytes(DATA)

    def send(**arguments):
        s3.begin("k", {1: DATA[:PART]}, {"content-type": "application/octet-stream"})
        s3.requests.clear()
        return small_parts.upload_object(
            tmp_path / "f", container, "k", ex_resume=True, **arguments
        )

    return send


@pytest.fixture
def source(s3, driver, container):
    """An object with all that a copy could lose."""
    s3.put(
        "source",
        b"content",
        **{
            "content-type": "a/b",
            "cache-control": "no-store",
            "x-amz-meta-a": "1",
            "x-amz-storage-class": "cold",
            "x-amz-website-redirect-location": "/elsewhere",
            "x-amz-tagging-count": "1",
        },
    )
    obj = driver.get_object("photos", "source")
    driver.ex_set_object_tags(obj, {"t": "1"})
    s3.requests.clear()
    return obj


def test_every_header_has_one_row():
    """A header falls under the first pattern that fits, and there is one for any."""
    assert s3_headers.row_of("x-amz-server-side-encryption") == "x-amz-server-side-encryption*"
    assert s3_headers.row_of("x-amz-server-side-encryption-customer-key").endswith("customer-*")
    assert s3_headers.row_of("x-amz-anything") == "x-amz-*"
    assert s3_headers.row_of("anything") == "*"
    assert {fate for fates in TABLE.values() for fate in fates} == set(Fate)
    assert {len(fates) for fates in TABLE.values()} == {len(Way)}


@pytest.mark.parametrize("name", OWNED)
def test_what_the_driver_sets_is_refused_by_name(s3, upload, source, driver, container, name):
    """A header that the driver owns is a ValueError before anything is sent."""
    s3.requests.clear()
    for data in (b"x", DATA):
        with pytest.raises(ValueError, match=f"{name.lower()} is refused: the driver sets it"):
            upload(data, headers={name: "1"})
    with pytest.raises(ValueError, match=f"{name.lower()} is refused: the driver sets it"):
        driver.ex_copy_object(source, container, "copy", headers={name: "1"})
    assert s3.requests == []


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("Range", "connection.request"),
        ("If-Modified-Since", "connection.request"),
        ("x-delete-after", "lifecycle"),
        ("x-amz-expected-bucket-owner", "connection.request"),
        ("x-amz-bypass-governance-retention", "connection.request"),
    ],
)
def test_what_servers_ignore_is_refused(s3, upload, name, instead):
    """A header of S3 that radosgw ignores is a ValueError that says what to do."""
    with pytest.raises(ValueError, match=f"headers: {name.lower()} is refused: .*{instead}"):
        upload(DATA, headers={name: "1"})
    assert s3.requests == []


def test_encryption_by_the_server_is_refused_where_it_may_be_ignored(s3, resume, driver, source):
    """A copy and a resumed upload take no request for encryption."""
    headers = {"x-amz-server-side-encryption": "aws:kms"}
    with pytest.raises(ValueError, match="not every server honours it here"):
        resume(headers=headers)
    with pytest.raises(ValueError, match="not every server honours it here"):
        driver.ex_copy_object(source, source.container, "copy", headers=headers)
    assert s3.requests == []


@pytest.mark.parametrize("answer", [{}, {"x-amz-server-side-encryption": "AES256"}])
@pytest.mark.parametrize("data", [b"x", DATA], ids=["one part", "parts"])
def test_encryption_that_the_server_ignores_is_an_error(s3, upload, data, answer):
    """A response that does not name the encryption that was asked for is an error."""

    def ignore(request):
        if request.method == "POST":
            upload_id = s3.begin("k")
            return Answer(200, f"<R><UploadId>{upload_id}</UploadId></R>".encode(), answer)
        return Answer(200, b"", {"etag": f'"{md5(b"x")}"', **answer})

    s3.faults.append(lambda request: ignore(request) if request.method != "DELETE" else None)
    with pytest.raises(errors.EncryptionKeyError, match="is encrypted as asked"):
        upload(data, headers={"x-amz-server-side-encryption": "aws:kms"})
    assert s3.uploads == {}


def test_unknown_headers_are_sent_with_a_warning(s3, upload):
    """What is no header of S3 may be for a proxy: it is sent, and a warning names it."""
    with pytest.warns(
        UserWarning, match="headers: the server does not keep 'access-control"
    ) as caught:
        upload(b"x", headers={"Access-Control-Allow-Origin": "*"})
    assert s3.requests[0].headers["access-control-allow-origin"] == "*"
    assert caught[0].filename == __file__


def test_unknown_extras_give_a_warning(s3, upload, source):
    """A key of extra that no object of libcloud has is a warning; an object's own are not."""
    with pytest.warns(UserWarning, match="extra: 'content_disposition' is unknown, and ignored"):
        upload(b"x", extra={"content_disposition": "attachment"})
    upload(b"x", extra={**source.extra, "content_encoding": "gzip", "owner": {}, "md5_hash": "x"})


def test_a_header_given_twice_is_refused(s3, upload):
    """Two values for one header, wherever they come from, are a ValueError that shows both."""
    with pytest.raises(ValueError, match="x-amz-acl is given twice, as 'private' and as 'public"):
        upload(b"x", headers={"X-Amz-Acl": "private"}, extra={"acl": "public-read"})
    with pytest.raises(ValueError, match="expires is given twice"):
        upload(b"x", headers={"Expires": "0", "expires": "1"})
    with pytest.raises(ValueError, match="x-amz-tagging is given twice"):
        upload(b"x", headers={"x-amz-tagging": "a=1"}, extra={"tags": {"a": "2"}})
    assert s3.requests == []
    upload(b"x", headers={"X-Amz-Acl": "private"}, extra={"acl": "private"})


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"x-amz-object-lock-mode": "GOVERNANCE"}, "must be given together"),
        ({"x-amz-object-lock-retain-until-date": UNTIL}, "must be given together"),
        ({**LOCK, "x-amz-object-lock-mode": "governance"}, "GOVERNANCE or COMPLIANCE, not 'gov"),
        ({**LOCK, "x-amz-object-lock-retain-until-date": "soon"}, "like 2030-.*, not 'soon'"),
        ({"x-amz-object-lock-legal-hold": "yes"}, "ON or OFF, not 'yes'"),
        ({"Content-MD5": md5(b"x")}, "16 bytes in base64"),
        ({"x-amz-tagging": "a=1&a=2"}, "names a tag twice"),
        ({"x-amz-tagging": "=1"}, "1 to 128 bytes"),
    ],
)
def test_values_that_cannot_be_right_are_refused(s3, upload, headers, said):
    """What any server would refuse once the object is stored is a ValueError before."""
    with pytest.raises(ValueError, match=said):
        upload(DATA, headers=headers)
    assert s3.requests == []


@pytest.mark.parametrize("count", [80, 81])
def test_more_metadata_than_clients_can_read_is_refused(s3, upload, count):
    """80 fields of metadata are stored, and one more is a ValueError with the limit."""
    extra = {"meta_data": {f"n{number}": "v" for number in range(count - 1)}}
    headers = {"x-amz-meta-more": "v"}
    if count == 80:
        upload(b"x", extra=extra, headers=headers)
        return
    with pytest.raises(ValueError, match="meta_data has 81 fields, but only 80 are allowed"):
        upload(b"x", extra=extra, headers=headers)
    assert s3.requests == []


def test_names_of_metadata_that_radosgw_does_not_keep_are_refused(s3, upload):
    """80 characters are stored, and one more is a ValueError with the limit."""
    upload(b"x", extra={"meta_data": {"n" * 80: "v"}})
    before = len(s3.requests)
    with pytest.raises(
        ValueError, match="has 81 characters, but radosgw keeps none of more than 80"
    ):
        upload(b"x", extra={"meta_data": {"n" * 81: "v"}})
    assert len(s3.requests) == before


def test_metadata_may_have_any_name(s3, upload):
    """A field of metadata is never taken for a header that its name resembles."""
    names = ["csp-directive", "customer-key", "encryption-iv", "authorization"]
    upload(b"x", extra={"meta_data": dict.fromkeys(names, "4711")})
    kept = s3.buckets["photos"]["k"].headers
    assert [kept[f"x-amz-meta-{name}"] for name in names] == ["4711"] * len(names)


def test_metadata_given_in_two_ways_is_refused_if_it_is_one_field(s3, upload):
    """radosgw would drop one of the two, or refuse the signature."""
    with pytest.raises(ValueError, match="must differ in more than case"):
        upload(b"x", extra={"meta_data": {"a-b": "2"}}, headers={"X-Amz-Meta-a_b": "1"})
    assert s3.requests == []


@pytest.mark.parametrize("value", [None, b"no-cache", ["no-cache"]])
def test_values_that_are_no_text_are_refused(s3, upload, value):
    """What would be sent as its repr is a TypeError that names the header."""
    before = len(s3.requests)
    with pytest.raises(TypeError, match="must be text or a number"):
        upload(b"x", headers={"Cache-Control": value})
    assert len(s3.requests) == before


@pytest.mark.parametrize("extra", [{"meta_data": {"a": "\udcff"}}, {"acl": "\udcff"}])
def test_text_that_is_not_unicode_is_refused_by_name(s3, upload, extra):
    """As of a file name in another encoding: a ValueError that names the header, and no request."""
    before = len(s3.requests)
    with pytest.raises(
        ValueError, match=r"header 'x-amz-(meta-a|acl)' has text that is not Unicode"
    ):
        upload(b"x", extra=extra)
    assert len(s3.requests) == before


def test_numbers_of_any_kind_are_text(s3, upload):
    """Those of NumPy and decimal ones are registered as numbers, and are sent as they print."""
    number = Decimal("1.50")
    upload(b"x", extra={"meta_data": {"price": number}, "tags": {"price": number}})
    sent = s3.sent("PUT")[-1].headers
    assert (sent["x-amz-meta-price"], sent["x-amz-tagging"]) == ("1.50", "price=1.50")


@pytest.mark.parametrize(("size", "told"), [(4000, True), (10, False)])
def test_metadata_that_is_too_large_is_named(s3, upload, size, told):
    """A 400 without a body says that the metadata is too large, if the headers are large."""
    s3.fail(1, Answer(400), method="PUT")
    with pytest.raises(errors.AuroraObjectsError) as caught:
        upload(b"x", extra={"meta_data": {"n": "v" * size}})
    assert ("The metadata is too large: the request had 4," in str(caught.value)) is told


@pytest.mark.parametrize("data", [b"", b"x", DATA], ids=["empty", "one part", "parts"])
def test_content_md5_is_checked_before_anything_is_stored(s3, upload, data):
    """A wrong Content-MD5 stores nothing; a right one is no header that is sent."""
    upload(data, headers={"Content-MD5": content_md5(data)})
    assert all("content-md5" not in sent.headers for sent in s3.requests)
    del s3.buckets["photos"]["k"]
    with pytest.raises(errors.HashMismatchError, match=f"MD5 {md5(data)}, but Content-MD5 says"):
        upload(data, headers={"Content-MD5": content_md5(b"other")})
    assert s3.buckets["photos"] == s3.uploads == {}


def test_content_md5_of_a_resumed_upload_is_checked(s3, resume, container, small_parts):
    """The bytes of parts that the server has count as well; a wrong MD5 keeps the parts."""
    resume(headers={"Content-MD5": content_md5(DATA)})
    assert s3.buckets["photos"].pop("k").data == DATA
    with pytest.raises(errors.HashMismatchError, match="Content-MD5 says"):
        resume(headers={"Content-MD5": content_md5(b"other")})
    assert s3.buckets["photos"] == {}
    assert len(s3.uploads) == 1


def test_the_source_of_a_copy_is_compared_otherwise(s3, driver, source):
    """Content-MD5 of a copy is a ValueError."""
    with pytest.raises(ValueError, match="content-md5 is refused: what"):
        driver.ex_copy_object(
            source, source.container, "copy", headers={"Content-MD5": content_md5(b"content")}
        )


def test_tags_and_locks_of_one_part_are_sent(s3, upload):
    """An object of one request carries its tags and its lock in that request."""
    upload(b"x", extra={"tags": {"a b": "ż&", "n": 1}}, headers=LOCK)
    (sent,) = s3.requests
    assert sent.headers["x-amz-tagging"] == "a%20b=%C5%BC%26&n=1"
    assert sent.headers["x-amz-object-lock-legal-hold"] == "ON"
    upload(b"x", headers={"x-amz-tagging": "note=a+b"})  # radosgw would keep the plus
    assert s3.requests[-1].headers["x-amz-tagging"] == "note=a%20b"
    upload(b"x", extra={"tags": {}})
    assert "x-amz-tagging" not in s3.requests[-1].headers


@pytest.mark.parametrize("version", [None, "v1"])
def test_tags_and_locks_of_parts_are_set_afterwards(s3, upload, version):
    """They take one request each, which names the version, the lock before all else."""
    answer = {"x-amz-version-id": version} if version else {}

    def complete(request):
        if request.method == "POST" and "uploadId" in request.params:
            done = s3._complete(request)
            return done._replace(headers={**done.headers, **answer})
        return None

    s3.faults.append(complete)
    upload(DATA, extra={"tags": {"a": "<1>"}}, headers=LOCK)
    begun, *_, first, second, third = s3.requests
    assert not {"x-amz-tagging", *map(str.lower, LOCK)} & set(begun.headers)
    assert [sent.params for sent in (first, second, third)] == [
        {name: "", **({"versionId": version} if version else {})}
        for name in ("retention", "legal-hold", "tagging")
    ]
    assert s3.property_of("k", "retention", version) == RETENTION
    assert (
        s3.property_of("k", "legal-hold", version) == "<LegalHold><Status>ON</Status></LegalHold>"
    )
    assert s3.property_of("k", "tagging", version) == tagging(("a", "&lt;1&gt;"))
    assert len(s3.requests) == 1 + 3 + 1 + 3


def test_an_object_stays_if_it_cannot_be_locked(s3, upload, small_parts):
    """The error names what the object lacks and the calls that set it, and they work."""
    s3.fail(
        1, error(400, "InvalidRequest", "bucket object lock not configured"), query="retention="
    )
    with pytest.raises(errors.AuroraObjectsError) as caught:
        upload(DATA, extra={"tags": {"a": "1"}}, headers=LOCK)
    said = str(caught.value)
    assert said.startswith(
        "object 'k' in container 'photos' is stored, but without its retention and legal hold and "
        "tags. To set that: "
    )
    assert "It failed because: PUT ?retention of object 'k'" in said
    assert s3.buckets["photos"]["k"].data == DATA
    assert s3.sent("DELETE") == []
    assert s3.property_of("k", "tagging") is None
    for call in re.findall(r"driver\.connection\.request\(.*?\)(?=[;.])", said):
        eval(call, {"driver": small_parts})  # noqa: S307 - what the message tells the user to do
    assert s3.property_of("k", "retention") == RETENTION
    assert s3.property_of("k", "tagging") == tagging(("a", "1"))


def test_ctrl_c_before_tags_are_set_is_logged(s3, upload, caplog):
    """The object stays, and the log says what it lacks."""
    s3.fail(1, KeyboardInterrupt(), query="tagging=")
    with pytest.raises(KeyboardInterrupt):
        upload(DATA, extra={"tags": {"a": "1"}})
    assert s3.buckets["photos"]["k"].data == DATA
    assert "stored, but maybe without its tags" in caplog.text
    assert s3.sent("DELETE") == []


def test_an_object_is_private_if_its_last_call_asks_for_no_access(s3, resume):
    """Nobody can see with which access an earlier call has begun the upload."""
    resume()
    assert s3.requests[-1].params == {"acl": ""}
    assert s3.requests[-1].headers["x-amz-acl"] == "private"


def test_no_tags_are_none_after_a_resumed_upload(s3, resume):
    """Ceph 20 keeps those that an earlier call has begun the upload with."""
    resume(extra={"tags": {}})
    assert s3.property_of("k", "tagging") == tagging()


def test_access_that_cannot_be_set_after_a_resumed_upload_is_named(s3, resume):
    """The call that sets access carries it as a header."""
    s3.fail(1, error(400, "InvalidArgument"), query="acl=")
    with pytest.raises(errors.AuroraObjectsError, match=r"without its access.*'x-amz-acl': 'no'"):
        resume(extra={"acl": "no"})
    assert s3.buckets["photos"]["k"].data == DATA


def test_tags_that_cannot_be_set_after_a_new_upload_leave_it(
    s3, driver, container, tmp_path, caplog
):
    """With ex_resume and nothing to resume, the object stays as well, and no parts are kept."""
    caplog.set_level("INFO")
    (tmp_path / "large").write_bytes(bytes(6 * 1024**2))
    s3.fail(1, error(403, "AccessDenied"), query="tagging=")
    with pytest.raises(errors.AccessDeniedError, match="without its tags"):
        driver.upload_object(
            tmp_path / "large", container, "k", {"tags": {"a": "1"}}, ex_resume=True
        )
    assert "k" in s3.buckets["photos"]
    assert "are kept" not in caplog.text


def test_a_copy_that_is_replaced_at_once_is_not_locked(s3, driver, source):
    """What is done afterwards is never done to another object."""

    def replaced(request):
        if request.method == "HEAD" and request.key == "copy":
            s3.put("copy", b"another")

    s3.faults.append(replaced)
    with pytest.raises(errors.ObjectChangedError):
        driver.ex_copy_object(source, source.container, "copy", headers=LOCK)
    assert s3.property_of("copy", "retention") is None


def test_a_copy_loses_nothing(s3, driver, source):
    """Onto itself with a change, or elsewhere, a copy keeps all that is not given."""
    for name in ("copy", "source"):
        copy = driver.ex_copy_object(
            source, source.container, name, headers={"Cache-Control": "max-age=1"}
        )
        stored = s3.buckets["photos"][name].headers
        assert stored["x-amz-website-redirect-location"] == "/elsewhere"
        assert stored["cache-control"] == "max-age=1"
        assert (copy.meta_data, copy.extra["storage_class"]) == ({"a": "1"}, "cold")
        assert copy.extra["content_type"] == "a/b"
        assert driver.ex_get_object_tags(copy) == {"t": "1"}


def test_a_plain_copy_asks_for_no_tags(s3, driver, source):
    """The server copies tags itself where nothing is replaced."""
    driver.ex_copy_object(source, source.container, "copy")
    assert [sent.method for sent in s3.requests] == ["HEAD", "PUT", "HEAD"]


def test_tags_of_a_copy_replace_the_originals(s3, driver, source):
    """Tags that are given count, also none at all; a change of tags is a change."""
    copy = driver.ex_copy_object(source, source.container, "copy", extra={"tags": {"n": "2"}})
    assert driver.ex_get_object_tags(copy) == {"n": "2"}
    copy = driver.ex_copy_object(source, source.container, "bare", extra={"tags": {}})
    assert driver.ex_get_object_tags(copy) == {}
    driver.ex_copy_object(source, source.container, extra={"tags": {"n": "3"}})
    assert driver.ex_get_object_tags(source) == {"n": "3"}


def test_a_lock_is_not_copied_but_set(s3, driver, source):
    """The original's lock is none of the copy, which gets what is given, afterwards."""
    s3.buckets["photos"]["source"].headers["x-amz-object-lock-mode"] = "GOVERNANCE"
    driver.ex_copy_object(source, source.container, "copy")
    assert s3.sent("PUT")[0].headers["x-amz-metadata-directive"] == "REPLACE"
    assert s3.property_of("copy", "retention") is None
    driver.ex_copy_object(source, source.container, "locked", headers=LOCK)
    assert s3.property_of("locked", "retention") == RETENTION


def test_a_copy_with_a_key_keeps_tags(s3, driver, source):
    """A copy that is made by parts gets its tags afterwards, and no encryption of another kind."""
    own = {"x-amz-server-side-encryption": "AES256", "x-amz-meta-encryption-iv": "1"}
    s3.buckets["photos"]["source"].headers.update(own)
    driver.ex_copy_object(source, source.container, "copy", ex_customer_key=bytes(32))
    (begun,) = (sent for sent in s3.sent("POST") if "uploads" in sent.params)
    assert "x-amz-server-side-encryption" not in begun.headers
    assert begun.headers["x-amz-meta-encryption-iv"] == "1"
    assert s3.property_of("copy", "tagging") == tagging(("t", "1"))


def test_access_and_tags_take_one_request_each(s3, driver, source, container):
    """Nothing is sent but the change, and the object stays as it is."""
    before = s3.buckets["photos"]["source"]
    driver.ex_set_object_acl(source, "public-read")
    driver.ex_set_object_tags(source, {"a": "1", "b": 2})
    driver.ex_set_container_acl(container, "private")
    assert driver.ex_get_object_tags(source) == {"a": "1", "b": "2"}
    driver.ex_set_object_tags(source, {})
    assert [(sent.method, sent.path, sent.query) for sent in s3.requests] == [
        ("PUT", "/photos/source", "acl="),
        ("PUT", "/photos/source", "tagging="),
        ("PUT", "/photos", "acl="),
        ("GET", "/photos/source", "tagging="),
        ("PUT", "/photos/source", "tagging="),
    ]
    assert s3.properties["photos", "source", "acl", None].headers["x-amz-acl"] == "public-read"
    assert s3.property_of("", "acl") == ""
    assert s3.property_of("source", "tagging") == tagging()
    assert s3.buckets["photos"]["source"] == before


@pytest.mark.parametrize("acl", ["", None, 7])
def test_access_must_be_text(s3, driver, source, acl):
    """An ACL that is none is a ValueError, and nothing is sent."""
    for change in (driver.ex_set_object_acl, driver.ex_set_container_acl):
        with pytest.raises(ValueError, match="acl must be text such as"):
            change(source if change == driver.ex_set_object_acl else source.container, acl)
    assert s3.requests == []


@pytest.mark.parametrize(
    ("tags", "kind", "said"),
    [
        (["a"], TypeError, "tags must be a dict, not list"),
        ({1: "a"}, TypeError, "tags must be text"),
        ({"a": b"b"}, TypeError, "tags must be text"),
        ({str(number): "" for number in range(11)}, ValueError, "11 entries, but only 10"),
        ({"": "a"}, ValueError, "1 to 128 bytes"),
        ({"ż" * 65: "a"}, ValueError, "1 to 128 bytes"),
        ({"a": "v" * 257}, ValueError, "at most 256"),
        ({"a": "\x01"}, ValueError, "XML cannot carry"),
        ({"a": "\udcff"}, ValueError, "tags: 'a' or its value is not Unicode"),
    ],
)
def test_tags_that_no_object_can_have_are_refused(s3, driver, upload, source, tags, kind, said):
    """Tags that no server takes are an error that names them, of uploads and of changes."""
    s3.requests.clear()
    with pytest.raises(kind, match=said):
        driver.ex_set_object_tags(source, tags)
    with pytest.raises(kind, match=said):
        upload(DATA, extra={"tags": tags})
    assert s3.requests == []


def test_changing_what_is_not_there_is_told_at_once(s3, driver, source):
    """A missing object is an error after one attempt."""
    s3.buckets["photos"].clear()
    with pytest.raises(errors.ObjectNotFoundError) as caught:
        driver.ex_set_object_tags(source, {"a": "1"})
    assert len(caught.value.history) == 1


def test_tags_that_cannot_be_read_are_none(s3, driver, source):
    """An empty body, as radosgw has it after another client's upload in parts, is no tags."""
    s3.fail(1, Answer(200), query="tagging=")
    assert driver.ex_get_object_tags(source) == {}
    s3.fail(9, Answer(200, b"<Other/>"), query="tagging=")
    with pytest.raises(errors.MalformedAnswerError, match="<Other> where <Tagging> belongs"):
        driver.ex_get_object_tags(source)


def test_tags_survive_xml():
    """Whatever a tag may hold comes back from the document that sets it."""
    tags = {"<&>": "\r\n\t ż'\"", "empty": ""}
    assert xml.tags(xml.tagging(tags)) == tags


@pytest.mark.parametrize(
    ("key", "path"),
    [("a b/ż", "photos/a%20b/%C5%BC"), ("../x", "photos%2F../x"), ("a/../b", "photos/a%2F../b")],
)
def test_a_public_url_is_plain(s3, new_driver, key, path):
    """The URL has no credentials, reaches the exact key, and nothing is sent."""
    driver = new_driver(secure=False, host="localhost", port=9000)
    obj = Object(key, 1, None, {}, {}, Container("photos", {}, driver), driver)
    assert driver.ex_get_object_public_url(obj) == f"http://localhost:9000/{path}"
    assert s3.requests == []


def test_every_object_has_its_url(s3, upload, driver, container):
    """Uploads, listings and HEAD all say what the plain URL is."""
    uploaded = upload(b"x")
    (listed,) = container.list_objects()
    urls = {each.extra["url"] for each in (uploaded, listed, driver.get_object("photos", "k"))}
    assert urls == {"https://o.auroraobjects.eu/photos/k"}
