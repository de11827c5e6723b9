"""Copies that the server makes."""

import threading

import pytest
import requests
from libcloud.storage.base import Container, Object
from unit.memory_s3 import Answer, composite, error, md5

from libcloud_aurora import errors

MIB = 1_048_576
GIB = 1024 * MIB


@pytest.fixture
def source(s3, driver, container):
    s3.put("a b", b"content", **{"content-type": "text/x", "x-amz-meta-a": "1"})
    return Object("a b", 7, None, {}, {}, container, driver)


def test_a_copy_is_made_by_the_server(s3, driver, source):
    """A copy costs no bytes here, and is returned as an object."""
    s3.buckets["other"] = {}
    copy = driver.ex_copy_object(source, Container("other", {}, driver), "new")
    assert s3.buckets["other"]["new"].data == b"content"
    assert (copy.name, copy.size, copy.hash) == ("new", 7, md5(b"content"))
    assert copy.meta_data == {"a": "1"}
    (sent,) = s3.sent("PUT")
    assert sent.headers["x-amz-copy-source"] == "/photos/a%20b"
    assert sent.headers["x-amz-metadata-directive"] == "COPY"
    assert sent.body == b""


def test_a_copy_that_may_not_be_read_is_made(s3, driver, source):
    """Who may write there need not be allowed to read: what is known is returned."""
    denied = {"HEAD": Answer(403), "GET": error(403, "AccessDenied")}
    s3.faults.append(lambda seen: denied.get(seen.method) if seen.key == "new" else None)
    copy = driver.ex_copy_object(source, source.container, "new", {"content_type": "text/y"})
    assert (copy.name, copy.size, copy.hash) == ("new", 7, md5(b"content"))
    assert copy.extra["content_type"] == "text/y"
    assert s3.buckets["photos"]["new"].data == b"content"


def test_a_copy_that_is_deleted_at_once_was_made(s3, driver, source):
    """Whoever deletes it afterwards does not make the copy a failure."""

    def delete(seen):
        if seen.method == "HEAD" and seen.key == "new":
            s3.buckets["photos"].pop("new", None)

    s3.faults.append(delete)
    copy = driver.ex_copy_object(source, source.container, "new")
    assert (copy.name, copy.size, copy.hash) == ("new", 7, md5(b"content"))


@pytest.mark.parametrize("data", [b"", b"content"], ids=["empty", "small"])
@pytest.mark.parametrize("extra", [{}, {"meta_data": {"b": "2"}}], ids=["kept", "replaced"])
@pytest.mark.parametrize("code", ["NotImplemented", "EntityTooLarge"])
def test_what_no_single_request_copies_is_copied_in_parts(s3, driver, container, data, extra, code):
    """As what Ceph 16 and 18 have encrypted: a part can be a copy, with metadata and tags."""
    s3.put("k", data, **{"x-amz-meta-a": "1", "x-amz-tagging-count": "1"})
    tags = b"<Tagging><TagSet><Tag><Key>t</Key><Value>v</Value></Tag></TagSet></Tagging>"

    def refuse(seen):
        if seen.method == "GET" and "tagging" in seen.params:
            return Answer(200, tags)
        whole = "x-amz-copy-source" in seen.headers and "partNumber" not in seen.params
        return error(400, code) if whole else None

    s3.faults.append(refuse)
    copy = driver.ex_copy_object(driver.get_object("photos", "k"), container, "new", extra)
    assert s3.buckets["photos"]["new"].data == data
    assert copy.meta_data == extra.get("meta_data", {"a": "1"})
    tagged = [
        b"<Key>t</Key>" in each.body or "x-amz-tagging" in each.headers for each in s3.requests
    ]
    assert any(tagged)


def test_a_copy_that_is_not_allowed_is_tried_once(s3, driver, source):
    """What forbids a copy forbids one in parts, too: nothing else is sent."""
    s3.fail(1, error(403, "AccessDenied"), method="PUT")
    with pytest.raises(errors.AccessDeniedError):
        driver.ex_copy_object(source, source.container, "new")
    assert (len(s3.sent("PUT")), s3.sent("POST")) == (1, [])


def test_what_cannot_be_done_afterwards_is_no_reason_to_copy_again(s3, driver, source):
    """Only a refused copy is made in parts, and not one that lacks what the server has not."""
    s3.faults.append(
        lambda seen: error(501, "NotImplemented") if "legal-hold" in seen.query else None
    )
    with pytest.raises(errors.AuroraObjectsError, match="NotImplemented"):
        driver.ex_copy_object(
            source, source.container, "new", headers={"x-amz-object-lock-legal-hold": "ON"}
        )
    assert s3.sent("POST") == []


def test_a_copy_keeps_its_name_unless_told(s3, driver, source):
    """Without a name the copy has the original's."""
    s3.buckets["other"] = {}
    assert driver.ex_copy_object(source, Container("other", {}, driver)).name == "a b"


@pytest.mark.parametrize(
    ("extra", "kind", "meta"),
    [
        ({"content_type": "text/y"}, "text/y", {"a": "1"}),
        ({"meta_data": {"b": "2"}}, "text/x", {"b": "2"}),
        ({"content_type": "text/y", "meta_data": {"b": "2"}}, "text/y", {"b": "2"}),
    ],
)
def test_a_copy_may_get_another_type_or_metadata(s3, driver, container, source, extra, kind, meta):
    """What is given replaces the original's, what is not given is kept."""
    copy = driver.ex_copy_object(source, container, "new", extra)
    assert (copy.extra["content_type"], copy.meta_data) == (kind, meta)


def test_a_copy_may_lose_its_metadata(s3, driver, container, source):
    """Metadata that is given as none at all is none; the type is kept."""
    copy = driver.ex_copy_object(source, container, "new", {"meta_data": {}})
    assert (copy.extra["content_type"], copy.meta_data) == ("text/x", {})


def test_headers_of_a_copy_count(s3, driver, container, source):
    """Headers replace the original's of the same name, and the others are kept."""
    headers = {"Cache-Control": "no-store", "X-Amz-Meta-A": "2", "x-amz-meta-z": "3"}
    copy = driver.ex_copy_object(source, container, "new", headers=headers)
    assert copy.meta_data == {"a": "2", "z": "3"}
    (sent,) = s3.sent("PUT")
    assert sent.headers["cache-control"] == "no-store"
    assert sent.headers["x-amz-metadata-directive"] == "REPLACE"
    assert copy.extra["content_type"] == "text/x"


@pytest.mark.parametrize("length", [{}, {"content-length": "²"}, {"content-length": "9" * 5000}])
def test_a_source_without_a_length_is_a_libcloud_error(s3, driver, container, source, length):
    """A HEAD that does not say how long the original is, is MalformedAnswerError."""
    s3.faults.append(
        lambda request: (
            Answer(200, b"", {"content-length": "", **length}) if request.method == "HEAD" else None
        )
    )
    with pytest.raises(errors.MalformedAnswerError):
        driver.ex_copy_object(source, container, "new")


def test_an_object_may_be_copied_onto_itself_with_a_change(s3, driver, container, source):
    """New metadata for an object is a copy onto itself; without a change it is refused."""
    copy = driver.ex_copy_object(source, container, extra={"meta_data": {"b": "2"}})
    assert copy.meta_data == {"b": "2"}
    copy = driver.ex_copy_object(source, container, ex_storage_class="cold")
    assert s3.sent("PUT")[-1].headers["x-amz-metadata-directive"] == "REPLACE"
    assert copy.meta_data == {"b": "2"}
    driver.ex_copy_object(source, container, extra={"acl": "public-read"})
    assert s3.sent("PUT")[-1].headers["x-amz-acl"] == "public-read"
    s3.requests.clear()
    with pytest.raises(ValueError, match="onto itself"):
        driver.ex_copy_object(source, container)
    assert s3.requests == []


def test_a_source_replaced_at_once_is_an_error(s3, driver, container, source):
    """A copy of another object than was looked at is an error that says so."""

    def replace(request):
        if request.method == "PUT":
            s3.put("a b", b"another")

    s3.faults.append(replace)
    with pytest.raises(errors.ObjectChangedError, match="was replaced while it was copied"):
        driver.ex_copy_object(source, container, "new")


@pytest.mark.parametrize("name", ["new", "a b"])
def test_a_server_may_give_the_copy_another_etag(s3, driver, container, source, name):
    """Servers that give the copy of parts a plain ETag copy all the same, onto itself too."""
    other = md5(b"another way to name the same bytes")

    def rename(request):
        if request.method == "PUT":
            if name == "a b":
                s3.fail(1, Answer(200, b"", {"etag": f'"{other}"', "content-length": "1"}))
            return Answer(
                200, f"<CopyObjectResult><ETag>{other}</ETag></CopyObjectResult>".encode()
            )
        return None

    s3.faults.append(rename)
    s3.put("new", b"what was copied")
    extra = {"meta_data": {"changed": "1"}}
    assert driver.ex_copy_object(source, container, name, extra).name == name


def test_a_missing_source_is_an_error(s3, driver, container, source):
    """Copying what is not there says so."""
    s3.buckets["photos"].clear()
    with pytest.raises(errors.ObjectNotFoundError):
        driver.ex_copy_object(source, container, "new")


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"<CopyObjectResult>"),
        Answer(200, b""),
        error(200, "InternalError"),
        error(503, "SlowDown"),
        requests.ConnectionError("lost"),
    ],
)
def test_only_an_etag_is_a_success(s3, driver, container, source, answer):
    """An answer that ends before its ETag is no success, and the copy is asked for again."""
    s3.fail(1, answer, method="PUT")
    assert driver.ex_copy_object(source, container, "new").size == 7
    assert len(s3.sent("PUT")) == 2


class Large:
    """The bytes of an object that would not fit in memory: a span of them says where it was."""

    def __init__(self, size, name=""):
        self.size = size
        self.name = name

    def __len__(self):
        return self.size

    def __getitem__(self, span):
        return f"{self.name}{span.start}-{span.stop};".encode()


SIZE = 5 * GIB + 1
SPANS = [(at, min(at + 64 * MIB, SIZE)) for at in range(0, SIZE, 64 * MIB)]
COPIED = [f"{start}-{stop};".encode() for start, stop in SPANS]


@pytest.fixture(params=[1, 10], ids=["sequential", "parallel"])
def copy(request, new_driver, s3, container):
    """Copy an object that is too large for one request."""
    driver = new_driver(ex_max_concurrency=request.param)
    kept = {"content-type": "text/x", "x-amz-meta-a": "1"}
    s3.put("large", Large(SIZE), composite([b"large"]), **kept)
    large = Object("large", SIZE, None, None, None, container, driver)
    return lambda *arguments, **more: driver.ex_copy_object(
        large, container, "new", *arguments, **more
    )


def test_a_large_copy_goes_by_parts(s3, copy):
    """What one CopyObject cannot copy is copied by parts, each pinned to the original's ETag."""
    obj = copy({"acl": "private"})
    stored = s3.buckets["photos"]["new"]
    assert stored.data == b"".join(COPIED)
    assert obj.hash == stored.etag == composite(COPIED)
    assert len(SPANS) == 81
    assert {sent.headers["x-amz-copy-source-if-match"] for sent in s3.sent("PUT")} == {
        composite([b"large"])
    }
    (begun,) = (sent for sent in s3.sent("POST") if sent.query == "uploads=")
    assert begun.headers["x-amz-acl"] == "private"
    assert (obj.extra["content_type"], obj.meta_data) == ("text/x", {"a": "1"})
    assert s3.uploads == {}


@pytest.mark.parametrize("size", [5 * GIB, 5 * GIB + 1])
def test_five_gib_are_the_most_of_one_request(s3, driver, container, size):
    """An object of exactly 5 GiB is copied with one request."""
    s3.put("large", Large(size), composite([b"large"]))
    large = Object("large", size, None, None, None, container, driver)
    driver.ex_copy_object(large, container, "new")
    assert len(s3.sent("PUT")) == (1 if size == 5 * GIB else 81)


def test_parts_of_a_copy_that_fail_are_copied_again(s3, copy):
    """A part that fails, or whose answer ends early, is copied again."""
    s3.fail(1, error(503, "SlowDown"), method="PUT")
    s3.fail(1, Answer(200, b"<CopyPartResult>"), method="PUT")
    copy()
    assert s3.buckets["photos"]["new"].data == b"".join(COPIED)
    assert len(s3.sent("PUT")) == 83


def test_a_part_that_times_out_while_others_are_copied_uses_up_no_attempt(
    s3, new_driver, container
):
    """A server that is too slow for so many parts at once is asked for fewer."""
    arrived, one_is_done = [], threading.Event()

    def slow(request):
        if request.method == "PUT":
            number = request.params["partNumber"]
            arrived.append(number)
            if len(arrived) > 16:  # which is the most at once
                one_is_done.set()
            if number == "1" and arrived.count("1") == 1:
                assert one_is_done.wait(10)
                return TimeoutError("timed out")
        return None

    s3.faults.append(slow)
    s3.put("large", Large(SIZE), composite([b"large"]))
    large = Object("large", SIZE, None, None, None, container, None)
    new_driver(ex_max_attempts=1).ex_copy_object(large, container, "new")
    assert s3.buckets["photos"]["new"].data == b"".join(COPIED)
    assert arrived.count("1") == 2


def test_a_source_replaced_before_the_last_part_is_an_error(s3, copy):
    """A source replaced on a server that knows no condition is noticed before the copy appears."""

    def replace(request):
        if request.method == "HEAD" and len(s3.sent("PUT")):
            s3.put("large", b"another")

    s3.faults.append(replace)
    with pytest.raises(errors.ObjectChangedError, match="was replaced while it was copied"):
        copy()
    assert "new" not in s3.buckets["photos"]
    assert s3.uploads == {}


@pytest.mark.parametrize(
    ("failure", "method"),
    [
        (error(403, "QuotaExceeded"), "PUT"),
        (error(403, "QuotaExceeded"), "POST"),
        (KeyboardInterrupt(), "PUT"),
        (SystemExit(), "PUT"),
    ],
    ids=["refused", "refused at the end", "Ctrl-C", "exit"],
)
def test_a_large_copy_that_fails_leaves_nothing(s3, copy, failure, method):
    """A failure or Ctrl-C removes the parts."""
    s3.faults.append(
        lambda request: (
            failure if request.method == method and "uploadId" in request.params else None
        )
    )
    with pytest.raises((errors.AuroraObjectsError, KeyboardInterrupt, SystemExit)):
        copy()
    assert s3.sent("DELETE")
    assert s3.uploads == {}
    assert "new" not in s3.buckets["photos"]


def test_a_copy_that_cannot_begin_aborts_nothing(s3, copy):
    """When Initiate is refused, uploads of the same name that others have begun stay."""
    theirs = s3.begin("new", {1: b"x"})
    s3.fail(1, error(403, "AccessDenied"), method="POST")
    with pytest.raises(errors.AccessDeniedError):
        copy()
    assert list(s3.uploads) == [theirs]
    assert s3.sent("DELETE") == []


def test_a_source_replaced_meanwhile_is_an_error(s3, copy):
    """A source that becomes another object is never mixed into the copy."""

    def replace(request):
        if request.params.get("partNumber") == "3":
            s3.put("large", Large(SIZE, "another"), composite([b"another"]))

    s3.faults.append(replace)
    with pytest.raises(errors.AuroraObjectsError, match="PreconditionFailed"):
        copy()
    assert s3.uploads == {}
    assert "new" not in s3.buckets["photos"]


@pytest.mark.parametrize("name", ["If-Match", "if-none-match"])
def test_a_large_copy_takes_no_condition(s3, copy, name):
    """radosgw ignores conditions of copies: they are refused, and nothing is sent."""
    s3.requests.clear()
    with pytest.raises(ValueError, match=f"headers: {name.lower()} is refused"):
        copy(headers={name: "*"})
    assert s3.requests == []


def test_a_large_copy_of_other_parts_is_an_error(s3, copy):
    """A copy that is not made of the parts that were copied is an error."""
    other = f"<R><ETag>{composite([b'other'])}</ETag></R>".encode()
    s3.faults.append(
        lambda request: (
            Answer(200, other)
            if request.method == "POST" and "uploadId" in request.params
            else None
        )
    )
    with pytest.raises(errors.HashMismatchError):
        copy()


def test_other_headers_keep_the_type(s3, driver, container, source):
    """New headers of a copy leave the original's type; a Content-Type among them replaces it."""
    before = driver.get_object("photos", source.name).extra["content_type"]
    copy = driver.ex_copy_object(
        source, container, "new.html", headers={"Cache-Control": "no-store"}
    )
    assert copy.extra["content_type"] == before
    copy = driver.ex_copy_object(source, container, "new", headers={"Content-Type": "x/y"})
    assert copy.extra["content_type"] == "x/y"


@pytest.mark.parametrize("size", [7, 6 * GIB])
def test_what_is_joined_from_segments_is_not_copied(s3, driver, container, source, size):
    """radosgw would copy the list of the segments, or nothing at all, with success."""
    headers = {"x-object-manifest": "photos/segments/", "content-length": str(size)}
    s3.fail(1, Answer(200, b"", {"etag": '"e"', **headers}), method="HEAD")
    with pytest.raises(errors.AuroraObjectsError, match="Download and upload it instead") as caught:
        driver.ex_copy_object(source, container, "new")
    assert (caught.value.bucket, caught.value.key) == ("photos", "a b")
    assert s3.sent("PUT") == []
