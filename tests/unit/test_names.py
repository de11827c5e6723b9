"""_s3.names: what may be a bucket or a key, and the path that names it on the wire."""

from enum import Enum
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from libcloud.storage.base import Container, Object

from libcloud_aurora._s3.names import (
    ObjectPath,
    bucket_of,
    bucket_path,
    path_of,
    quote_key,
    unquote_keys,
)
from libcloud_aurora.errors import InvalidContainerNameError, InvalidObjectNameError

KEYS = {
    "..": "..",
    ".": ".",
    "a/../b": "a/../b",
    "a//b": "a//b",
    "/lead": "/lead",
    "../other/x": "../other/x",
    "x/": "x/",
    "/": "/",
    "a\tb": "a%09b",
    "a\nb": "a%0Ab",
    "a\rb": "a%0Db",
    "\x01": "%01",
    "\x7f": "%7F",
    "📷": "%F0%9F%93%B7",
    "é": "%C3%A9",
    "e\u0301": "e%CC%81",
    "a b": "a%20b",
    "a+b": "a%2Bb",
    "a%2Fb": "a%252Fb",
    "a?b#c": "a%3Fb%23c",
    "~": "~",
    "\uffff": "%EF%BF%BF",
    "k" * 1024: "k" * 1024,
    "ż" * 512: "%C5%BC" * 512,
}


@pytest.mark.parametrize(("key", "expected"), KEYS.items(), ids=lambda text: ascii(text)[:20])
def test_keys_are_encoded_and_nothing_else(key, expected):
    """A key on the wire is percent-encoded; dots and slashes stay where they are."""
    assert quote_key(key) == expected


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_every_key_comes_back(key):
    """Decoding the path of any key gives the key, and the path needs no further encoding."""
    if len(key.encode()) > 1024:
        with pytest.raises(InvalidObjectNameError):
            quote_key(key)
        return
    path = quote_key(key)
    assert unquote(path) == key
    assert path.isascii()
    assert not set(path) & set('?#+ \\"<>{}|^`\n')


@given(st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=40))
def test_two_keys_never_share_a_path(one, two):
    """Different keys have different paths."""
    try:
        paths = quote_key(one), quote_key(two)
    except InvalidObjectNameError:
        return
    assert (paths[0] == paths[1]) == (one == two)


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("", "it has 0 bytes of UTF-8, but only 1 to 1024 are allowed"),
        ("k" * 1025, "it has 1025 bytes"),
        ("ż" * 513, "it has 1026 bytes"),
        ("a\0b", "it contains a NUL character"),
        ("a\udce4", "it is not valid Unicode"),
        (None, "it is not text"),
        (b"bytes", "it is not text"),
        (7, "it is not text"),
    ],
)
def test_names_no_object_can_have_are_refused(key, problem):
    """An impossible key is an error that names it and says what is wrong; nothing is sent."""
    with pytest.raises(InvalidObjectNameError, match="Nothing was sent") as caught:
        quote_key(key, "photos")
    assert problem in str(caught.value)
    assert (caught.value.bucket, caught.value.key) == ("photos", str(key))
    assert len(str(caught.value)) < 250
    str(caught.value).encode()


@pytest.mark.parametrize("name", ["photos", "a.b-c", "Foo_Bar", "1abc", "x" * 255, "tenant:photos"])
def test_containers_of_old_rules_stay_in_reach(name):
    """Names that only older rules allowed are accepted."""
    assert bucket_path(name) == "/" + name.replace(":", "%3A")


@pytest.mark.parametrize(
    "name",
    ["", "/", "?", "a/b", "b?acl", "../x", "..", ".", "a b", "é", "x" * 256, "a\n", None, b"b", 7],
)
def test_names_no_container_can_have_are_refused(name):
    """An impossible container name is an error that names it, before anything is sent."""
    with pytest.raises(InvalidContainerNameError, match="Nothing was sent") as caught:
        bucket_path(name)
    assert repr(name) in str(caught.value)
    assert caught.value.bucket == str(name)
    assert isinstance(caught.value, ValueError)


@given(st.text())
def test_a_bucket_path_has_one_segment(name):
    """Whatever the name, its path is one segment without query, or it is refused."""
    try:
        path = bucket_path(name)
    except InvalidContainerNameError:
        return
    assert unquote(path) == "/" + name
    assert not set(path[1:]) & set("/?#")
    assert path not in ("/", "/.", "/..")


@given(st.lists(st.text("abc%0123456789EF/\u20ac\0", max_size=12), min_size=1, max_size=5))
@example(["%E2%82", "%AC", "a%00b"])
@example(["%E2%82", "%AC", ""])
def test_the_keys_of_a_page_are_decoded_one_by_one(quoted):
    """Keys decoded together are what each would be alone, whatever a server sends."""
    assert unquote_keys(quoted) == [unquote(each) for each in quoted]


def test_a_path_names_an_object():
    """The path of a libcloud object has its names, and the form that goes over the wire."""
    photos = Container("photos", {}, None)
    path = path_of(Object("a b", 1, None, {}, {}, photos, None))
    assert (path.bucket, path.key, path.quoted) == ("photos", "a b", "/photos/a%20b")
    assert repr(path) == "ObjectPath('photos', 'a b')"
    assert bucket_of(photos) == "photos"


@pytest.mark.parametrize("thing", ["photos", None, 7])
def test_a_name_is_no_object_and_no_container(thing):
    """Where an object or a container is wanted, something else is a TypeError that says so."""
    with pytest.raises(TypeError, match=f"obj must be an Object, not {type(thing).__name__}"):
        path_of(thing)
    with pytest.raises(TypeError, match="container must be a Container, not"):
        bucket_of(thing)


def test_a_container_has_a_name_that_containers_can_have():
    """A libcloud container with an impossible name is refused, alone and with an object."""
    wrong = Container("a/b", {}, None)
    with pytest.raises(InvalidContainerNameError):
        bucket_of(wrong)
    with pytest.raises(InvalidContainerNameError):
        path_of(Object("k", 1, None, {}, {}, wrong, None))
    with pytest.raises(InvalidObjectNameError):
        ObjectPath("photos", "")


class Names(str, Enum):
    """Text that has another name as well, which ``str`` and ``format`` return."""

    LOGO = "logo.png"
    BUCKET = "photos"
    TYPE = "image/png"
    COLD = "cold"
    HEADER = "Cache-Control"
    KEY = "x-amz-server-side-encryption-customer-key"
    LONG = 257 * "v"


def test_text_of_a_kind_of_its_own_counts_as_what_it_says(s3, driver):
    """An Enum of text names the object that its value says, in every call and every header."""
    container = driver.get_container(Names.BUCKET)
    obj = driver.upload_object_via_stream(
        [b"x"],
        container,
        Names.LOGO,
        extra={
            "content_type": Names.TYPE,
            "meta_data": {"a": Names.TYPE},
            "tags": {"b": Names.TYPE},
        },
        headers={Names.HEADER: Names.TYPE},
        ex_storage_class=Names.COLD,
    )
    stored = s3.buckets["photos"]["logo.png"].headers
    shown = [stored[name] for name in ("content-type", "x-amz-meta-a", "cache-control")]
    assert shown == ["image/png"] * 3
    assert stored["x-amz-storage-class"] == "cold"
    assert s3.sent("PUT")[0].headers["x-amz-tagging"] == "b=image%2Fpng"
    assert obj.extra["url"].endswith("/photos/logo.png")
    assert driver.get_object("photos", Names.LOGO).size == 1
    shown_as = {"ex_response_headers": {"Content-Type": Names.TYPE}}
    url = driver.ex_get_object_presigned_url(obj, **shown_as)
    assert "/photos/logo.png?" in url
    assert "response-content-type=image%2Fpng" in url
    with pytest.raises(ValueError, match="in base64"):
        driver.upload_object_via_stream([b"x"], container, "k", headers={Names.KEY: Names.TYPE})
    with pytest.raises(ValueError, match="at most 256"):
        driver.ex_set_object_tags(obj, {"b": Names.LONG})
    assert [each.name for each in container.iterate_objects(prefix=Names.LOGO)] == ["logo.png"]
    s3.put("LOGO", b"")
    driver.ex_delete_objects(container, [Names.LOGO])
    assert list(s3.buckets["photos"]) == ["LOGO"]
