"""Presigned URLs, and cleaning up after others."""

import re
from datetime import datetime, timedelta, timezone
from email.message import Message
from urllib.parse import parse_qs, unquote, urlsplit

import botocore.session
import pytest
from libcloud.storage.base import Container, Object
from unit.memory_s3 import error

from libcloud_aurora._s3.signing import Signer
from libcloud_aurora.errors import AccessDeniedError, AuroraObjectsError


@pytest.fixture
def obj(driver):
    return Object("a b/ż", 1, None, {}, {}, Container("photos", {}, driver), driver)


def test_a_presigned_url_is_amazons_example():
    """Amazon's example of a presigned GET has Amazon's signature."""
    query = Signer(
        "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    ).presigned_query(
        method="GET",
        path="/test.txt",
        headers={"host": "examplebucket.s3.amazonaws.com"},
        expires_seconds=86_400,
        now=datetime(2013, 5, 24, tzinfo=timezone.utc),
    )
    assert query == (
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524"
        "%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400"
        "&X-Amz-SignedHeaders=host&X-Amz-Signature="
        "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_a_url_works_for_a_while_without_credentials(s3, driver, obj, method):
    """The URL leads to the object, says how long it works, and nothing is sent to make it."""
    url = driver.ex_get_object_presigned_url(obj, 2, method)
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    assert (parts.scheme, parts.netloc) == ("https", "o.auroraobjects.eu")
    assert parts.path == "/photos/a%20b/%C5%BC"
    assert query["X-Amz-Expires"] == ["7200"]
    assert query["X-Amz-SignedHeaders"] == ["host"]
    assert len(query["X-Amz-Signature"][0]) == 64
    assert "secret" not in url
    assert s3.requests == []


def test_the_default_is_a_day_of_get(driver, obj):
    """Without arguments the URL works for GET, for 24 hours."""
    url = driver.ex_get_object_presigned_url(obj)
    assert "X-Amz-Expires=86400" in url


def test_a_url_names_another_endpoint_and_the_token(new_driver, obj):
    """Scheme, host and port are the driver's, and a session token is part of the URL."""
    driver = new_driver(secure=False, host="localhost", port=9000, token="t/k")
    url = driver.ex_get_object_presigned_url(obj)
    assert url.startswith("http://localhost:9000/photos/a%20b")
    assert "X-Amz-Security-Token=t%2Fk&" in url


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({}, ("get_object", {})),
        (
            {"ex_response_headers": {"content-Type": "text/x", "Cache-Control": "no-store"}},
            (
                "get_object",
                {"ResponseContentType": "text/x", "ResponseCacheControl": "no-store"},
            ),
        ),
        (
            {"ex_method": "PUT", "ex_content_type": "image/x; a=b"},
            ("put_object", {"ContentType": "image/x; a=b"}),
        ),
    ],
    ids=["plain", "response", "content type"],
)
def test_botocore_presigns_the_same(new_driver, ours, theirs):
    """botocore makes the same URL at the same time."""
    driver = new_driver("AKEY", "SKEY")
    obj = Object("a b/ż+", 1, None, {}, {}, Container("photos", {}, driver), driver)
    client = botocore.session.get_session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url="https://o.auroraobjects.eu",
        aws_access_key_id="AKEY",
        aws_secret_access_key="SKEY",
        config=botocore.config.Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
    for _ in range(5):
        url = driver.ex_get_object_presigned_url(obj, timedelta(hours=1), **ours)
        call, parameters = theirs
        other = client.generate_presigned_url(
            call, {"Bucket": "photos", "Key": "a b/ż+", **parameters}, ExpiresIn=3600
        )
        if (
            parse_qs(urlsplit(url).query)["X-Amz-Date"]
            == (parse_qs(urlsplit(other).query)["X-Amz-Date"])
        ):
            break
    assert urlsplit(url).path == urlsplit(other).path
    assert parse_qs(urlsplit(url).query) == parse_qs(urlsplit(other).query)


@pytest.mark.parametrize("name", ["../a/./b..", "..", ".", "../../x", "a/..", "a/.b/..c/..."])
def test_dot_segments_survive_clients_that_collapse_them(driver, name):
    """No segment is "." or "..", encoded or not, so that no client leaves the container."""
    obj = Object(name, 1, None, {}, {}, Container("photos", {}, driver), driver)
    path = urlsplit(driver.ex_get_object_presigned_url(obj)).path
    assert unquote(path) == f"/photos/{name}"
    assert {".", ".."}.isdisjoint(unquote(segment) for segment in path.split("/"))


@pytest.mark.parametrize(
    "expiry",
    [
        *(0, -1, 168.01, 0.0001, "24", None, True, float("nan"), float("inf"), 10**400),
        *(timedelta(0), timedelta(days=7, seconds=1), timedelta(days=-1), timedelta.max),
    ],
)
def test_impossible_lives_are_refused(driver, obj, expiry):
    """A life outside 1 second to 7 days is a ValueError that names it."""
    with pytest.raises(ValueError, match="ex_expiry"):
        driver.ex_get_object_presigned_url(obj, expiry)


@pytest.mark.parametrize(
    ("expiry", "seconds"),
    [(1 / 3600, 1), (168, 604_800), (timedelta(seconds=1), 1), (timedelta(days=7), 604_800)],
)
def test_a_life_is_hours_or_a_timedelta(driver, obj, expiry, seconds):
    """A life is given in hours or as a timedelta, from one second to seven days."""
    url = driver.ex_get_object_presigned_url(obj, expiry)
    assert parse_qs(urlsplit(url).query)["X-Amz-Expires"] == [str(seconds)]


@pytest.mark.parametrize(
    "name", ["żółw 📷.txt", 'a "ż" \\ b', "'ż%20;=*", "ż", "plain.txt", "tab-ż"]
)
def test_a_file_name_beyond_ascii_is_named_twice(driver, obj, name):
    """A name beyond ASCII goes as RFC 6266 says, beside one that any client can read."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    given = {"content-disposition": f'attachment; filename="{escaped}"; x=y'}
    url = driver.ex_get_object_presigned_url(obj, ex_response_headers=given)
    (value,) = parse_qs(urlsplit(url).query)["response-content-disposition"]
    assert value.isascii()
    message = Message()
    message["Content-Disposition"] = value
    both = message.get_params(header="Content-Disposition")
    assert ("attachment", "") in both
    assert ("x", "y") in both
    assert ("filename*" in value) == (not name.isascii())
    extended = re.search(r"filename\*=UTF-8''([^;]*)", value)
    assert (unquote(extended[1]) if extended else message.get_filename()) == name


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"ex_response_headers": {"X-Other": "a"}}, "no server sets 'X-Other'"),
        ({"ex_response_headers": {"Expires": "a\nb"}}, "control characters"),
        ({"ex_response_headers": {"Content-Language": "ż"}}, "Content-Language must be ASCII"),
        (
            {"ex_response_headers": {"Content-Disposition": "attachment; filename=ż"}},
            "except for a filename in double quotes",
        ),
        (
            {"ex_response_headers": {"Expires": "x"}, "ex_method": "PUT"},
            "ex_response_headers: only GET and HEAD take them, not PUT",
        ),
        ({"ex_content_type": "text/x"}, "ex_content_type: only PUT sends one, not GET"),
        ({"ex_content_type": "a\nb", "ex_method": "PUT"}, "ex_content_type.*control characters"),
    ],
)
def test_what_no_url_can_say_is_refused(driver, obj, arguments, says):
    """Headers that a URL cannot set or sign are a ValueError that says what can be."""
    with pytest.raises(ValueError, match=says):
        driver.ex_get_object_presigned_url(obj, **arguments)


@pytest.mark.parametrize("given", ["Content-Type", [("Expires", "x")]])
def test_response_headers_are_a_dict(driver, obj, given):
    """Another type is a TypeError that names the argument."""
    with pytest.raises(TypeError, match="ex_response_headers must be a dict"):
        driver.ex_get_object_presigned_url(obj, ex_response_headers=given)


@pytest.mark.parametrize("method", ["POST", "get", "", None, ["GET"]])
def test_other_methods_are_refused(driver, obj, method):
    """A method nothing can be presigned for is a ValueError that names it."""
    with pytest.raises(ValueError, match="ex_method"):
        driver.ex_get_object_presigned_url(obj, ex_method=method)


@pytest.fixture
def uploads(s3):
    """Uploads in progress of three ages, and one of which nothing says when it began."""
    now = datetime.now(timezone.utc)
    for key, age in (
        ("a/new", timedelta(hours=1)),
        ("a/old", timedelta(days=3)),
        ("b/old", timedelta(days=9)),
    ):
        s3.begin(key, initiated=(now - age).strftime("%Y-%m-%dT%H:%M:%S.000Z"))
    s3.begin("b/dateless", initiated="someday")
    return lambda: {upload["key"] for upload in s3.uploads.values()}


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        ({}, set()),
        ({"prefix": "a/"}, {"b/old", "b/dateless"}),
        ({"older_than": timedelta(days=2)}, {"a/new", "b/dateless"}),
        ({"prefix": "a/", "older_than": timedelta(days=2)}, {"a/new", "b/old", "b/dateless"}),
    ],
)
def test_unfinished_uploads_are_cleaned_up(s3, driver, container, uploads, arguments, left):
    """All uploads in progress, those of a prefix, or those older than a time are aborted."""
    assert driver.ex_cleanup_all_multipart_uploads(container, **arguments) is None
    assert uploads() == left


def test_a_time_without_a_zone_is_utc(s3, driver, container, uploads):
    """An upload whose time names no zone is compared all the same."""
    s3.begin("b/zoneless", initiated="2020-01-01T00:00:00")
    driver.ex_cleanup_all_multipart_uploads(container, older_than=timedelta(days=2))
    assert uploads() == {"a/new", "b/dateless"}


def test_what_may_not_be_aborted_is_an_error_after_all_others_are(s3, driver, container, uploads):
    """An upload that these keys may not abort keeps no other one, and is not passed over."""
    s3.fail(1, error(403, "AccessDenied"), method="DELETE", key="a/old")
    s3.fail(1, error(403, "AccessDenied"), method="DELETE", key="b/old")
    with pytest.raises(AccessDeniedError, match="a/old"):
        driver.ex_cleanup_all_multipart_uploads(container)
    assert uploads() == {"a/old", "b/old"}


@pytest.mark.parametrize(
    ("status", "code"),
    [(503, "ServiceUnavailable"), (500, "UnknownError"), (409, "BucketAlreadyExists")],
    ids=["20", "18", "by the same radosgw"],
)
def test_a_locked_upload_keeps_no_other(s3, new_driver, container, uploads, status, code):
    """A radosgw that was killed while it completed an upload has locked that, and no other."""
    s3.fail(2, error(status, code), method="DELETE", key="a/old")
    s3.fail(2, error(status, code), method="DELETE", key="b/old")
    with pytest.raises(AuroraObjectsError, match=f"a/old.*{code}.*locked for ten minutes"):
        new_driver(ex_max_attempts=2).ex_cleanup_all_multipart_uploads(container)
    assert uploads() == {"a/old", "b/old"}


def test_cleaning_up_ends_with_a_server_that_fails(s3, driver, container, uploads):
    """Whoever has a thousand uploads does not wait a thousand times for a server that is down."""
    s3.fail(5, error(503, "SlowDown"), method="DELETE", key="a/old")
    with pytest.raises(AuroraObjectsError, match="SlowDown"):
        driver.ex_cleanup_all_multipart_uploads(container)
    assert uploads() == {"a/old", "b/old", "b/dateless"}


def test_keys_that_may_look_at_nothing_are_told_so(s3, driver, container, uploads):
    """Where neither parts nor objects may be looked at, nothing is removed, and not in silence."""
    s3.faults.append(
        lambda seen: (
            error(403, "AccessDenied")
            if seen.method in ("HEAD", "GET") and "uploads" not in seen.params
            else None
        )
    )
    with pytest.raises(AccessDeniedError):
        driver.ex_cleanup_all_multipart_uploads(container)
    assert uploads() == {"a/new", "a/old", "b/old", "b/dateless"}


@pytest.mark.parametrize("listed", [True, False], ids=["listed", "latest only"])
def test_another_account_s_uploads_are_aborted(s3, driver, container, caplog, listed):
    """The owner may abort what others have left, unless it may have become the object there."""
    long_ago = {"initiated": "2001-01-01T00:00:00.000Z"}
    for key in ("k", "gone"):
        s3.begin(key, {1: b"theirs"}, **long_ago)
    kept = s3.begin("same", {1: b"theirs"}, **long_ago)
    s3.put("same", b"stored since")
    denied = {"uploadId"} if listed else {"uploadId", "versions"}
    s3.faults.append(
        lambda seen: (
            error(403, "AccessDenied")
            if seen.method == "GET" and denied & set(seen.params)
            else None
        )
    )
    driver.ex_cleanup_all_multipart_uploads(container)
    assert list(s3.uploads) == [kept]
    assert f"upload {kept} is kept" in caplog.text


def test_an_upload_that_is_being_completed_is_aborted_later(s3, driver, container, uploads):
    """Ceph 18 and 20 call a name taken while they complete its upload; abort until they have."""
    s3.fail(2, error(409, "BucketAlreadyExists"), method="DELETE", key="a/old")
    driver.ex_cleanup_all_multipart_uploads(container)
    assert uploads() == set()


def test_an_age_is_a_timedelta(s3, driver, container):
    """A number in its place, or a negative one, is an error that names the argument."""
    s3.requests.clear()
    with pytest.raises(TypeError, match="older_than must be a timedelta, not int"):
        driver.ex_cleanup_all_multipart_uploads(container, older_than=5)
    with pytest.raises(ValueError, match="older_than must not be negative, and is -1 day"):
        driver.ex_cleanup_all_multipart_uploads(container, older_than=timedelta(days=-1))
    assert s3.requests == []


def test_a_header_of_a_url_is_text(driver, obj):
    """As in uploads, what would be sent as its repr is a TypeError that names the header."""
    with pytest.raises(TypeError, match="'Cache-Control' must be text or a number, not NoneType"):
        driver.ex_get_object_presigned_url(obj, ex_response_headers={"Cache-Control": None})
