"""_s3.objects: libcloud's containers and objects from S3's answers, and headers from extras."""

from datetime import datetime, timezone

import pytest
from libcloud.storage.base import Container

import libcloud_aurora
from libcloud_aurora._s3 import objects

DRIVER = libcloud_aurora.AuroraObjectsStorageDriver("key", "secret")
CONTAINER = Container(name="photos", extra={}, driver=DRIVER)
URL = "https://o.auroraobjects.eu/photos/k"
NOON = datetime(2026, 7, 1, 12, tzinfo=timezone.utc)


def wanted(extra, headers=None, storage_class=None):
    return objects.Wanted(
        CONTAINER,
        "k",
        extra={"content_type": "text/plain", **extra},
        headers=headers or {},
        storage_class=storage_class,
        customer_key=None,
    )


@pytest.mark.parametrize("extra", [None, {}, {"meta_data": None}, {"meta_data": {}}])
def test_no_extra_means_no_metadata(extra):
    """Without extra, or without metadata in it, there is none."""
    given, _ = objects.lift_content_type(extra, None)
    assert objects.clean_meta_data(given.get("meta_data")) == {}


def test_metadata_becomes_text_in_a_copy():
    """Values become text, names keep underscores, and the caller's dicts are not changed."""
    meta = {"file_name": "a", "count": 3, "ratio": 0.5, "text": "ż"}
    extra = {"meta_data": meta, "content_type": "text/plain"}
    given, _ = objects.lift_content_type(extra, None)
    assert (given, given is extra) == (extra, False)
    cleaned = objects.clean_meta_data(given["meta_data"])
    assert cleaned == {"file_name": "a", "count": "3", "ratio": "0.5", "text": "ż"}
    assert extra == {"meta_data": {**meta, "count": 3}, "content_type": "text/plain"}
    assert extra["meta_data"] is meta


@pytest.mark.parametrize(
    ("extra", "name"), [("text", "extra"), ([1], "extra"), ({"meta_data": [1]}, "meta_data")]
)
def test_extras_that_are_no_dicts_are_refused(extra, name):
    """An extra, or metadata, that is no dict is a TypeError that names it."""
    with pytest.raises(TypeError, match=f"^{name} must be a dict"):
        objects.clean_meta_data(objects.lift_content_type(extra, None)[0]["meta_data"])


@pytest.mark.parametrize("name", ["", "a b", "a:b", "ż", "a\nb", 7, None])
def test_metadata_names_no_header_can_have_are_refused(name):
    """A metadata name that cannot be part of a header is a ValueError that shows it."""
    with pytest.raises(ValueError, match="meta_data name") as caught:
        objects.clean_meta_data({name: "x"})
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize("value", [b"bytes", None, ["x"], {"a": 1}, object()])
def test_metadata_that_is_no_text_is_refused(value):
    """A metadata value that is neither text nor a number is a TypeError that names it."""
    with pytest.raises(TypeError, match="meta_data\\['n'\\] must be text or a number"):
        objects.clean_meta_data({"n": value})


def test_metadata_names_that_are_one_header_are_refused():
    """Names that differ in case only would store one value of the two: a ValueError."""
    with pytest.raises(ValueError, match=r"'Foo', 'foo'"):
        objects.clean_meta_data({"Foo": 1, "foo": 2})


@pytest.mark.parametrize("text", ["voilà", "Å", "Š", "àa", "à à", "\u00a0", "\u0085x\u2028"])
def test_only_blanks_are_trimmed_from_a_header(text):
    """Letters whose UTF-8 ends in what latin-1 takes for white space are sent whole."""
    try:
        sent = objects.wire_value("x", f"  {text} ")
    except ValueError:
        assert any(ord(c) < 32 for c in text)
        return
    assert sent.encode("latin-1").decode() == text


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("standard", "STANDARD"),
        ("reduced_redundancy", "REDUCED_REDUNDANCY"),
        ("STANDARD_IA", "STANDARD_IA"),
        ("onezone_ia", "ONEZONE_IA"),
        ("intelligent_tiering", "INTELLIGENT_TIERING"),
        ("glacier", "GLACIER"),
        ("glacier_ir", "GLACIER_IR"),
        ("deep_archive", "DEEP_ARCHIVE"),
        ("cold-Store.2", "cold-Store.2"),
    ],
)
def test_storage_classes_are_asked_for_by_name(given, sent):
    """libcloud's names become Amazon's, any other name goes out as it is."""
    assert objects.storage_class_headers(given) == {"x-amz-storage-class": sent}


def test_no_storage_class_is_sent_when_none_is_asked_for():
    """Without a storage class the server chooses."""
    assert objects.storage_class_headers(None) == {}


@pytest.mark.parametrize("given", ["", "a b", "a\nb", 7, b"standard"])
def test_impossible_storage_classes_are_refused(given):
    """What cannot be the name of a storage class is a ValueError that names the argument."""
    with pytest.raises(ValueError, match="ex_storage_class"):
        objects.storage_class_headers(given)


@pytest.mark.parametrize("acl", [None, "", "public-read"])
def test_a_new_objects_headers(acl):
    """Type, access, metadata and storage class go out as headers, each only if given."""
    asked = wanted({"acl": acl, "meta_data": {"file_name": "ż"}}, {"Expires": "0"}, "cold")
    assert asked.asked == {
        "content-type": "text/plain",
        "expires": "0",
        "x-amz-storage-class": "cold",
        "x-amz-meta-file_name": "ż",
        **({"x-amz-acl": acl} if acl else {}),
    }


@pytest.mark.parametrize(
    ("extra", "headers", "name"),
    [
        ({"acl": "a\nb"}, {}, "x-amz-acl"),
        ({"content_type": "a\x00b"}, {}, "content-type"),
        ({"meta_data": {"n": "a\rb"}}, {}, "x-amz-meta-n"),
        ({}, {"Cache-Control": "a\x7fb"}, "Cache-Control"),
        ({}, {"a b": "c"}, "a b"),
    ],
)
def test_what_cannot_be_sent_is_refused_by_name(extra, headers, name):
    """A control character in a value, or a blank in a name, is a ValueError that names it."""
    with pytest.raises(ValueError, match=f"header.* {name!r}"):
        wanted(extra, headers)


SHOWN = {"content-type": "text/plain", "x-amz-meta-file-name": "ż", "content-length": "3"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"server": "Ceph", "etag": '"x"', "date": "now"}, True),
        ({"x-amz-storage-class": "STANDARD"}, True),
        ({"x-amz-storage-class": "cold"}, False),
        ({"content-type": "text/html"}, False),
        ({"cache-control": "no-store"}, False),
        ({"x-amz-meta-file-name": "z"}, False),
        ({"x-amz-meta-other": "1"}, False),
    ],
)
def test_an_object_is_what_was_asked_for_if_nothing_differs(change, expected):
    """Type, metadata and storage class are compared with what HEAD shows, dates and sizes not."""
    asked = wanted({"meta_data": {"file_name": "ż"}})
    assert asked.describes(objects.ObjectHead({**SHOWN, **change}, 3, "x")) is expected


def test_what_head_does_not_show_is_not_compared():
    """Access, tags and locks are set by requests of their own, so that no copy is needed."""
    head = objects.ObjectHead({"content-type": "text/plain"}, 3, "x")
    lock = {"X-Amz-Object-Lock-Legal-Hold": "ON", "x-amz-grant-read": "id=somebody"}
    assert wanted({"acl": "public-read", "tags": {"a": "b"}}, lock).describes(head)


def test_a_new_object_is_known_without_a_request():
    """What was asked for and what the answer said make libcloud's object."""
    asked = wanted({"acl": "private", "meta_data": {"n": 1}}, storage_class="glacier")
    obj = asked.object(3, objects.Stored("abc", "v1"), DRIVER)
    assert (obj.name, obj.size, obj.hash) == ("k", 3, "abc")
    assert (obj.container, obj.driver) == (CONTAINER, DRIVER)
    assert obj.meta_data == {"n": "1"}
    assert obj.extra == {
        "last_modified": None,
        "ex_last_modified": None,
        "etag": '"abc"',
        "content_type": "text/plain",
        "storage_class": "GLACIER",
        "version_id": "v1",
        "acl": "private",
        "url": URL,
    }
    plain = wanted({}).object(3, objects.Stored("abc"), DRIVER)
    assert (plain.extra["storage_class"], plain.extra["version_id"]) == ("STANDARD", None)
    headers = {"X-Amz-Storage-Class": "COLD", "x-amz-acl": "public-read"}
    given = wanted({}, headers).object(3, objects.Stored("abc"), DRIVER)
    assert (given.extra["storage_class"], given.extra["acl"]) == ("COLD", "public-read")


def test_a_copy_keeps_what_is_not_given_anew():
    """The description of an object goes along, unless something else is given."""
    source = {**SHOWN, "cache-control": "no-store", "etag": '"x"', "x-amz-storage-class": "cold"}
    described = {"content-type": "text/plain", "cache-control": "no-store"}
    meta, stored = {"x-amz-meta-file-name": "ż"}, {"x-amz-storage-class": "cold"}
    assert wanted({}).kept_headers(source, {}) == {**described, **meta, **stored}
    assert wanted({}).kept_headers(source, {"meta_data": {}}) == {**described, **stored}
    assert (
        wanted({}, {"Cache-Control": "x"}, "other").kept_headers(source, {"content_type": "a/b"})
        == meta
    )
    anew = wanted({}, {"x-amz-meta-file_name": "k"}).kept_headers(source, {})  # is the same field
    assert anew == {**described, **stored}


@pytest.mark.parametrize(
    ("raw", "etag"),
    [
        ('"abc"', "abc"),
        ("abc", "abc"),
        (' "abc" ', "abc"),
        ('W/"abc"', "abc"),
        ("", ""),
        (None, ""),
    ],
)
def test_etags_have_no_quotes(raw, etag):
    """An ETag is a text without quotes, and never None."""
    assert objects.strip_etag(raw) == etag


def test_the_headers_of_a_head_make_an_object():
    """Size, hash, metadata and extra come from the headers, under libcloud's names."""
    headers = {
        "content-length": "3",
        "content-type": "text/plain",
        "content-encoding": "gzip",
        "last-modified": "Wed, 01 Jul 2026 12:00:00 GMT",
        "etag": '"abc"',
        "x-amz-storage-class": "cold",
        "x-amz-version-id": "v1",
        "x-amz-meta-file-name": "ż",
        "server": "Ceph",
    }
    obj = objects.object_from_head("k", CONTAINER, objects.ObjectHead(headers, 3, "abc"), DRIVER)
    assert (obj.name, obj.size, obj.hash) == ("k", 3, "abc")
    assert (obj.container, obj.driver) == (CONTAINER, DRIVER)
    assert obj.meta_data == {"file-name": "ż"}
    assert obj.extra == {
        "content_type": "text/plain",
        "content_encoding": "gzip",
        "last_modified": "Wed, 01 Jul 2026 12:00:00 GMT",
        "ex_last_modified": NOON.isoformat(),
        "etag": '"abc"',
        "storage_class": "cold",
        "version_id": "v1",
        "url": URL,
    }


def test_a_row_of_a_listing_makes_an_object():
    """Size, hash, time, storage class and owner come from the row."""
    row = {
        "Size": "3",
        "ETag": '"abc"',
        "LastModified": "2026-07-01T12:00:00.000Z",
        "StorageClass": "STANDARD",
        "Owner/ID": "me",
        "Owner/DisplayName": "Me",
    }
    obj = objects.object_from_row(row, "k", CONTAINER, DRIVER)
    assert (obj.name, obj.size, obj.hash) == ("k", 3, "abc")
    assert obj.meta_data == {
        "owner": {"id": "me", "display_name": "Me"}
    }  # as libcloud's driver has
    assert obj.extra == {
        "last_modified": "2026-07-01T12:00:00.000Z",
        "ex_last_modified": NOON.isoformat(),
        "etag": '"abc"',
        "storage_class": "STANDARD",
        "owner": {"id": "me", "display_name": "Me"},
        "content_type": None,
        "version_id": None,
        "url": URL,
    }


def test_a_row_may_hold_the_size_only():
    """A row without ETag, time, class and owner is an object all the same."""
    obj = objects.object_from_row({"Size": "0"}, "k", CONTAINER, DRIVER)
    assert (obj.size, obj.hash) == (0, "")
    assert obj.extra == {**dict.fromkeys(objects.UNKNOWN), "url": URL}


def test_an_owner_may_have_no_name():
    """An owner without a display name has an empty one."""
    obj = objects.object_from_row({"Size": "0", "Owner/ID": "me"}, "k", CONTAINER, DRIVER)
    assert obj.extra["owner"] == {"id": "me", "display_name": ""}


@pytest.mark.parametrize(
    ("extra", "headers", "content_type"),
    [
        (None, {"Content-Type": "a/b"}, "a/b"),
        ({}, {"content-type": "a/b", "X": "1"}, "a/b"),
        ({"content_type": "a/b"}, {"CONTENT-TYPE": "a/b"}, "a/b"),
        ({"content_type": None}, {"Content-Type": "a/b"}, "a/b"),
        ({"content_type": ""}, {"Content-Type": "a/b"}, "a/b"),
        ({"content_type": "c/d"}, None, "c/d"),
    ],
)
def test_a_content_type_among_the_headers_counts(extra, headers, content_type):
    """A Content-Type among the headers, in any case, counts where extra says none."""
    before = dict(headers or {})
    given, rest = objects.lift_content_type(extra, headers)
    assert given["content_type"] == content_type
    assert not [name for name in rest if name.lower() == "content-type"]
    assert (headers or {}) == before


@pytest.mark.parametrize(
    ("extra", "headers"),
    [
        ({"content_type": "c/d"}, {"Content-Type": "a/b"}),
        ({}, {"Content-Type": "a/b", "content-type": "c/d"}),
    ],
)
def test_two_content_types_are_refused(extra, headers):
    """As of any other header, neither of two values is dropped."""
    with pytest.raises(ValueError, match="content-type is given twice"):
        objects.lift_content_type(extra, headers)


@pytest.mark.parametrize("names", [("a-b", "a_b"), ("A-b", "a_B"), ("x", "X")])
def test_metadata_names_that_become_one_are_refused(names):
    """Names that are the same header are a ValueError that shows both."""
    with pytest.raises(ValueError, match="must differ in more than case"):
        objects.clean_meta_data(dict.fromkeys(names, "1"))
