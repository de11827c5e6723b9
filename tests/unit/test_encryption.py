"""_s3.encryption: keys of customers, and transfers with one."""

import base64
import hashlib
import pickle
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from libcloud.storage.base import Container, Object
from unit.memory_s3 import Answer, composite, error, md5

from libcloud_aurora import errors
from libcloud_aurora._s3 import encryption
from libcloud_aurora._s3.encryption import PREFIX, SOURCE_PREFIX, CustomerKey, Hidden

KEY, OTHER = bytes(range(32)), bytes(range(32, 64))
MD5 = base64.b64encode(hashlib.md5(KEY, usedforsecurity=False).digest()).decode()
DATA = bytes(range(256)) * 4096 * 12
PART = 100_000
SENT = DATA[: 2 * PART + 777]
#: What makes two names of a key in headers one.
READY = {
    "X-Amz-Server-Side-Encryption-Customer-Algorithm": "AES256",
    "X-Amz-Server-Side-Encryption-Customer-Key": base64.b64encode(KEY).decode(),
    "X-Amz-Server-Side-Encryption-Customer-Key-MD5": MD5,
}


def shows(text, key=KEY):
    """Tell whether a text holds the key in a form somebody could read it from."""
    forms = [base64.b64encode(key).decode(), key.hex(), repr(key), key.decode("latin-1")]
    return any(form in text for form in forms)


# The pure module


def test_a_key_becomes_three_headers():
    """Algorithm, key and MD5, for an object and for the source of a copy."""
    headers = CustomerKey.of(KEY).headers()
    assert headers == {name.lower(): value for name, value in READY.items()}
    assert CustomerKey.of(KEY).headers(SOURCE_PREFIX) == {
        f"x-amz-copy-source-{name[6:]}": value for name, value in headers.items()
    }


def test_no_repr_shows_a_key():
    """Neither the repr of a key nor that of its headers shows it."""
    key = CustomerKey.of(KEY)
    assert not any(shows(text) or MD5 in text for text in (repr(key), str(key)))
    assert repr(key.headers()).count("'...'") == 2
    assert f"{Hidden('x')}" == "x"


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_bytes_are_a_key(kind):
    """Bytes, bytearrays and memoryviews of 32 bytes are keys; nothing is none."""
    assert encryption.customer_key("x", kind(KEY)) == CustomerKey.of(KEY)
    assert encryption.customer_key("x", None) is None


@pytest.mark.parametrize("wrong", [b"", KEY[:31], KEY + b"x", KEY.decode(), READY, 32])
def test_what_is_no_key_is_named_and_not_shown(wrong):
    """A ValueError names the argument, and tells length or type of what was given."""
    with pytest.raises(ValueError, match="ex_customer_key must be 32 bytes, not") as caught:
        encryption.customer_key("ex_customer_key", wrong)
    assert not shows(str(caught.value))
    assert str(wrong) not in str(caught.value) or wrong in (b"", 32)


def test_headers_are_split():
    """Ready-made headers become a key, whatever their case; the MD5 and the algorithm may miss."""
    assert encryption.only_key("a", None, {"A": "1", **READY}) == ({"A": "1"}, CustomerKey.of(KEY))
    only = {f"{PREFIX}key": READY["X-Amz-Server-Side-Encryption-Customer-Key"]}
    assert encryption.only_key("a", None, only) == ({}, CustomerKey.of(KEY))
    assert encryption.only_key("a", None, only, SOURCE_PREFIX) == (only, None)
    assert encryption.only_key("a", None, {"A": "1"}) == ({"A": "1"}, None)


@pytest.mark.parametrize(
    "change",
    [
        {"algorithm": "aws:kms"},
        {"key": ""},
        {"key": "not base64"},
        {"key": base64.b64encode(KEY[:31]).decode()},
        {"key": base64.b64encode(KEY).decode() + "\n"},
        {"key": KEY},
        {"key-md5": "x"},
        {"context": "x"},
    ],
)
def test_wrong_headers_are_named_and_not_shown(change):
    """A ValueError says what the headers must be, and shows none of them."""
    headers = CustomerKey.of(KEY).headers()
    headers.update({PREFIX + name: value for name, value in change.items()})
    with pytest.raises(ValueError, match=f"headers: {PREFIX}") as caught:
        encryption.only_key("a", None, headers)
    assert not shows(str(caught.value))


def test_a_key_is_given_once():
    """Argument and headers may both give the key, if it is the same."""
    key = CustomerKey.of(KEY)
    assert encryption.only_key("x", KEY, READY) == ({}, key)
    assert encryption.only_key("x", KEY, {}) == ({}, key)
    assert encryption.only_key("x", None, READY) == ({}, key)
    assert encryption.only_key("x", None, {}) == ({}, None)
    with pytest.raises(ValueError, match="x and the headers contain different keys"):
        encryption.only_key("x", OTHER, READY)


@given(st.binary(min_size=32, max_size=32))
def test_any_key_goes_through_headers(raw):
    """What a key becomes is read as the same key."""
    assert encryption.only_key("a", None, CustomerKey.of(raw).headers()) == (
        {},
        CustomerKey.of(raw),
    )


@pytest.mark.parametrize(
    ("code", "said", "keyed", "advice"),
    [
        ("InvalidRequest", "", True, encryption.INSECURE),
        ("InvalidRequest", "", False, ""),
        ("InvalidRequest", "must be made over a secure connection.", True, encryption.INSECURE),
        ("InvalidRequest", "stored using a form of Server Side Encryption.", False, "MISSING"),
        ("InvalidArgument", "Requests specifying Server Side Encryption", False, "MISSING"),
        ("InvalidArgument", "The calculated MD5 hash of the key did not match", True, "WRONG"),
        ("InvalidRequest", "The encryption parameters are not applicable", True, "WRONG"),
        ("InvalidArgument", "", True, ""),
        ("AccessDenied", "no", True, ""),
    ],
)
def test_answers_about_keys(code, said, keyed, advice):
    """What radosgw and AWS say about keys becomes advice; other answers do not."""
    advice = getattr(encryption, advice, advice)
    assert encryption.trouble(code, said, keyed=keyed) == advice


# Uploads


@pytest.fixture
def new_driver(new_driver, tiny_parts):
    """Make drivers whose parts are small."""
    return partial(new_driver, ex_part_size=PART)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(SENT)
    return str(path)


def with_key(s3, method=None):
    """Return the requests that carried a key."""
    return [seen for seen in s3.sent(method) if f"{PREFIX}key" in seen.headers]


@pytest.mark.parametrize("size", [0, 1, len(SENT)])
@pytest.mark.parametrize("given", [{"ex_customer_key": KEY}, {"headers": READY}, "both"])
def test_uploads_carry_the_key(s3, driver, container, tmp_path, size, given):
    """Both uploads carry the key in each request that needs it, whole or in parts."""
    given = {"ex_customer_key": KEY, "headers": dict(READY)} if given == "both" else given
    (tmp_path / "f").write_bytes(DATA[:size])
    driver.upload_object(str(tmp_path / "f"), container, "filed", **given)
    driver.upload_object_via_stream([DATA[:size]], container, "streamed", **given)
    for name in ("filed", "streamed"):
        assert s3.buckets["photos"][name].data == DATA[:size]
        assert s3.keys.objects[f"/photos/{name}"] == MD5
    assert given.get("headers", READY) == READY
    assert with_key(s3, "PUT") == s3.sent("PUT")
    assert with_key(s3, "POST") == s3.sent("POST")


@pytest.mark.parametrize("value", [KEY[:5], "text", KEY + KEY])
def test_wrong_keys_are_refused_first(s3, driver, container, file, value):
    """Every method refuses what is no key before anything is sent."""
    s3.requests.clear()
    obj = Object("k", 1, None, {}, {}, container, driver)
    wrong = {"ex_customer_key": value}
    for call in (
        lambda: driver.upload_object(file, container, "k", **wrong),
        lambda: driver.upload_object_via_stream([b""], container, "k", **wrong),
        lambda: driver.get_object("photos", "k", **wrong),
        lambda: driver.download_object(obj, file + "2", **wrong),
        lambda: list(driver.download_object_as_stream(obj, **wrong)),
        lambda: driver.download_object_range(obj, file + "2", 0, **wrong),
        lambda: list(driver.download_object_range_as_stream(obj, 0, **wrong)),
        lambda: driver.ex_copy_object(obj, container, "x", **wrong),
    ):
        with pytest.raises(ValueError, match="ex_customer_key must be 32 bytes"):
            call()
    with pytest.raises(ValueError, match="ex_source_customer_key must be 32 bytes"):
        driver.ex_copy_object(obj, container, "x", ex_source_customer_key=value)
    assert s3.requests == []


def unaware(s3):
    """Make the server one that knows no keys of customers."""
    s3.keys.answered = lambda *request: {}


@pytest.mark.parametrize("resume", [True, False])
def test_a_server_that_knows_no_keys_gets_no_part(s3, driver, container, file, caplog, resume):
    """Where the answer to Initiate names no key, no byte is sent and no upload remains."""
    unaware(s3)
    with pytest.raises(errors.EncryptionKeyError, match="does not support such keys"):
        driver.upload_object(file, container, "k", ex_customer_key=KEY, ex_resume=resume)
    assert s3.sent("PUT") == []
    assert s3.uploads == {}
    assert "may have begun" not in caplog.text


@pytest.mark.parametrize("code", ["AccessDenied", "SlowDown"])
def test_an_upload_that_is_not_confirmed_and_not_aborted(s3, driver, container, file, caplog, code):
    """The error is about the key, and the log names the upload that remains."""
    unaware(s3)
    s3.fail(9, error(403 if code == "AccessDenied" else 503, code), method="DELETE")
    with pytest.raises(errors.EncryptionKeyError, match="does not support such keys"):
        driver.upload_object(file, container, "k", ex_customer_key=KEY)
    (upload,) = s3.uploads
    assert (
        f"upload {upload} of object 'k' in container 'photos' could not be aborted" in caplog.text
    )
    assert code in caplog.text


def test_a_part_that_is_not_confirmed_is_not_taken_for_an_object(s3, driver, container, file):
    """The advice is about parts: an object that is there is none to delete."""
    s3.put("k", b"older")
    answered = s3.keys.answered
    s3.keys.answered = lambda method, path, params, headers: (
        {} if "partNumber" in params else answered(method, path, params, headers)
    )
    with pytest.raises(errors.EncryptionKeyError, match="No object was stored") as caught:
        driver.upload_object(file, container, "k", ex_customer_key=KEY)
    assert "delete it" not in str(caught.value)
    assert s3.buckets["photos"]["k"].data == b"older"
    assert s3.uploads == {}


def test_a_server_that_knows_no_keys_is_told_of(s3, driver, container):
    """A PUT whose answer names no key is an error that says what was stored."""
    unaware(s3)
    with pytest.raises(errors.EncryptionKeyError, match="readable without the key") as caught:
        driver.upload_object_via_stream([b"x"], container, "a b", ex_customer_key=KEY)
    assert (caught.value.bucket, caught.value.key) == ("photos", "a b")
    assert caught.value.http_status == 200


def test_plain_http_is_named(s3, driver, container):
    """radosgw's empty refusal over plain http becomes an error that names https."""
    s3.fail(1, error(400, "InvalidRequest"), method="PUT")
    with pytest.raises(errors.EncryptionKeyError, match="only over https"):
        driver.upload_object_via_stream([b"x"], container, "k", ex_customer_key=KEY)


def begin(s3, md5):
    """Begin an upload of the file with two of its parts, under a key or under none."""
    s3.uploads["2~old"] = {
        "bucket": "photos",
        "key": "k",
        "parts": {1: SENT[:PART], 2: SENT[PART : 2 * PART]},
        "headers": {},
        "initiated": "2026-07-01T12:00:00.000Z",
    }
    s3.keys.uploads["/photos/k"] = md5


def test_an_upload_goes_on_with_its_key(s3, driver, container, file):
    """One part that the server holds is sent again, and its answer shows the key."""
    begin(s3, MD5)
    driver.upload_object(file, container, "k", ex_resume=True, ex_customer_key=KEY)
    bodies = [seen for seen in s3.sent("PUT") if "x-amz-copy-source" not in seen.headers]
    assert sorted(int(seen.params["partNumber"]) for seen in bodies) == [2, 3]
    assert s3.keys.objects["/photos/k"] == MD5
    assert s3.buckets["photos"]["k"].data == SENT


def test_an_upload_that_is_all_there_does_not_go_on_without_its_key(s3, driver, container, file):
    """Even with nothing left to send, the object that is there is not replaced."""
    begin(s3, MD5)
    s3.uploads["2~old"]["parts"][3] = SENT[2 * PART :]
    s3.put("k", b"older")
    with pytest.raises(errors.EncryptionKeyError):
        driver.upload_object(file, container, "k", ex_resume=True)
    assert s3.buckets["photos"]["k"].data == b"older"


@pytest.mark.parametrize("begun", [None, "another"])
def test_an_upload_does_not_go_on_with_another_key(s3, driver, container, file, begun):
    """An upload begun without the key, or with another one, is not completed."""
    begin(s3, begun)
    with pytest.raises(errors.EncryptionKeyError, match="begun with"):
        driver.upload_object(file, container, "k", ex_resume=True, ex_customer_key=KEY)
    assert "k" not in s3.buckets["photos"]


# Downloads


@pytest.fixture
def stored(s3, driver, container):
    s3.put("k", DATA)
    s3.keys.objects["/photos/k"] = MD5
    return Object("k", None, None, None, None, container, driver)


def test_downloads_carry_the_key(s3, driver, stored, tmp_path):
    """All downloads carry the key in each request."""
    key = {"ex_customer_key": KEY}
    target = tmp_path / "target"
    assert driver.get_object("photos", "k", **key).size == len(DATA)
    assert driver.download_object(stored, str(target), **key)
    assert target.read_bytes() == DATA
    assert driver.download_object(stored, str(target), True, ex_resume=True, **key)
    assert target.read_bytes() == DATA
    assert b"".join(driver.download_object_as_stream(stored, **key)) == DATA
    assert driver.download_object_range(stored, str(target), 5, 4_500_000, True, **key)
    assert target.read_bytes() == DATA[5:4_500_000]
    assert b"".join(driver.download_object_range_as_stream(stored, 5, 9, **key)) == DATA[5:9]
    reads = [seen for seen in s3.requests if seen.key]
    assert with_key(s3) == reads


def test_downloads_are_verified(s3, driver, stored, tmp_path):
    """The ETag of an encrypted object is that of its plain bytes, and is compared."""
    s3.put("k", b"damaged", md5(b"whole"))
    target = tmp_path / "target"
    with pytest.raises(errors.HashMismatchError):
        driver.download_object(stored, str(target), ex_customer_key=KEY)
    assert not target.exists()


@pytest.mark.parametrize("size", [0, 3])
@pytest.mark.parametrize(("key", "said"), [(None, "its owner"), (OTHER, "another key")])
def test_no_key_and_another_key(s3, driver, stored, key, said, size):
    """A key that is missing or wrong is an error of its own, for empty objects too."""
    s3.put("k", b"x" * size)
    with pytest.raises(errors.EncryptionKeyError, match=said) as caught:
        driver.get_object("photos", "k", ex_customer_key=key)
    assert caught.value.code == "InvalidArgument"
    with pytest.raises(errors.EncryptionKeyError, match=said):
        list(driver.download_object_as_stream(stored, ex_customer_key=key))


def test_an_object_that_is_not_encrypted(s3, driver, stored):
    """An object that was replaced by a plain one does not pass for the encrypted one."""
    s3.keys.objects.clear()
    for call in (
        lambda: driver.get_object("photos", "k", ex_customer_key=KEY),
        lambda: list(driver.download_object_as_stream(stored, ex_customer_key=KEY)),
    ):
        with pytest.raises(errors.EncryptionKeyError, match="begun without that key") as caught:
            call()
        assert "What was just stored" not in str(caught.value)


def test_errors_and_objects_pickle_without_the_key(s3, driver, stored):
    """A pickle of what comes back, or of an error, holds no key."""
    found = driver.get_object("photos", "k", ex_customer_key=KEY)
    with pytest.raises(errors.EncryptionKeyError) as caught:
        driver.get_object("photos", "k", ex_customer_key=OTHER)
    for thing, key in ((found, KEY), (caught.value, OTHER)):
        dumped = pickle.dumps(thing)
        assert key not in dumped
        assert base64.b64encode(key) not in dumped


# Copies


@pytest.mark.parametrize("size", [0, 7, len(SENT)])
@pytest.mark.parametrize(("old", "new"), [(KEY, KEY), (None, KEY), (KEY, None)])
def test_copies_go_by_parts(s3, driver, container, old, new, size):
    """A copy with a key is made of parts, which carry both keys; an empty one is just stored."""
    driver.upload_object_via_stream([DATA[:size]], container, "k", ex_customer_key=old)
    obj = Object("k", size, None, {}, {}, container, driver)
    s3.requests.clear()
    copy = driver.ex_copy_object(
        obj, container, "new", ex_source_customer_key=old, ex_customer_key=new
    )
    assert (copy.name, copy.size) == ("new", size)
    assert s3.buckets["photos"]["new"].data == DATA[:size]
    assert s3.keys.objects["/photos/new"] == (MD5 if new else None)
    if size:
        assert copy.hash == composite([DATA[:size]])
        (part,) = s3.sent("PUT")
        assert (f"{SOURCE_PREFIX}key" in part.headers) is (old is not None)
        assert f"{PREFIX}key" in part.headers


@pytest.mark.parametrize("size", [0, 7])
def test_copies_by_parts_cannot_be_conditional(s3, driver, container, size):
    """radosgw ignores conditions of multipart uploads, so nothing is sent."""
    s3.put("k", DATA[:size])
    obj = driver.get_object("photos", "k")
    condition = {"If-None-Match": "*"}
    with pytest.raises(ValueError, match="if-none-match is refused"):
        driver.ex_copy_object(obj, container, "new", headers=condition, ex_customer_key=KEY)
    assert s3.sent("PUT") == s3.sent("POST") == []


def test_keys_of_a_copy_in_headers(s3, driver, container, stored):
    """Ready-made headers give both keys of a copy, and are no reason to replace metadata."""
    headers = {**CustomerKey.of(KEY).headers(SOURCE_PREFIX), **READY}
    before = dict(headers)
    driver.ex_copy_object(stored, container, "new", headers=headers)
    assert s3.keys.objects["/photos/new"] == MD5
    assert headers == before
    with pytest.raises(ValueError, match="onto itself without a change"):
        driver.ex_copy_object(stored, container, headers=headers)
    driver.ex_copy_object(stored, container, ex_source_customer_key=KEY)
    assert s3.keys.objects["/photos/k"] is None


@pytest.mark.parametrize("name", ["k", "new"])
def test_a_copy_to_another_key_is_refused(s3, driver, container, stored, name):
    """The error names the reason, and the server has what it had."""
    before = dict(s3.buckets["photos"])
    with pytest.raises(errors.EncryptionKeyError, match="from one key to another") as caught:
        driver.ex_copy_object(
            stored, container, name, ex_source_customer_key=KEY, ex_customer_key=OTHER
        )
    assert (caught.value.code, caught.value.key) == ("InvalidArgument", name)
    assert s3.buckets["photos"] == before
    assert s3.uploads == {}


@pytest.mark.parametrize("name", ["50%25", "x?versionId=null"])
def test_a_name_that_servers_misread_in_parts_is_refused(s3, driver, container, name):
    """No part is copied from an object that the server might take for the one that is named."""
    obj = driver.upload_object_via_stream([b"mine"], container, name, ex_customer_key=KEY)
    with pytest.raises(errors.AuroraObjectsError, match="Download and upload it instead"):
        driver.ex_copy_object(obj, container, "new", ex_source_customer_key=KEY)
    assert not any("x-amz-copy-source" in sent.headers for sent in s3.sent())
    assert s3.uploads == {}


@pytest.mark.parametrize("old", [None, KEY])
def test_other_refusals_of_a_copy_stay(s3, driver, container, stored, old):
    """A copy with one key that the server refuses all the same is not explained by two."""
    if old is None:
        s3.keys.objects.clear()
    s3.fail(1, error(400, "InvalidRequest"), method="PUT")
    with pytest.raises(errors.EncryptionKeyError, match="only over https"):
        driver.ex_copy_object(
            stored, container, "new", ex_source_customer_key=old, ex_customer_key=KEY
        )
    assert s3.uploads == {}


def test_a_copy_needs_the_key_of_its_source(s3, driver, container, stored):
    """Without it nothing is begun."""
    with pytest.raises(errors.EncryptionKeyError, match="its owner"):
        driver.ex_copy_object(stored, Container("photos", {}, driver), "new")
    assert s3.sent("PUT") == s3.sent("POST") == []


def test_a_conditional_upload_whose_answer_was_lost(s3, driver, container):
    """The HEAD that decides about a conditional PUT carries the key, too."""

    def lose(request):
        if request.method == "PUT" and "k" not in s3.buckets["photos"]:
            s3.put("k", b"x")
            s3.keys.objects["/photos/k"] = MD5
            return Answer(503)
        return None

    s3.faults.append(lose)
    headers = {"If-None-Match": "*"}
    obj = driver.upload_object_via_stream(
        [b"x"], container, "k", headers=headers, ex_customer_key=KEY
    )
    assert obj.hash == md5(b"x")
    assert len(with_key(s3, "HEAD")) == 1
