"""Requests without a signature: what anybody may do."""

import io
import pickle
from base64 import b64encode

import libcloud
import pytest
from libcloud.common.base import Connection
from libcloud.common.types import LibcloudError
from libcloud.storage.providers import get_driver
from libcloud.utils.loggingconnection import LoggingConnection
from unit.memory_s3 import Answer, error, md5

from libcloud_aurora.errors import AccessDeniedError

DATA = b"a" * 10 + b"b" * 10 + b"c"


@pytest.fixture
def anonymous(s3, new_driver, tiny_parts):
    """A driver without keys, with parts of ten bytes."""
    return new_driver("", "", ex_anonymous=True, ex_part_size=10)


def test_no_request_is_signed(s3, anonymous, tmp_path):
    """Nothing that is read, written, listed or deleted carries a signature or a hash of one."""
    container = anonymous.get_container("photos")
    obj = anonymous.upload_object_via_stream(b"hello", container, "one")
    (tmp_path / "file").write_bytes(DATA)
    anonymous.upload_object(tmp_path / "file", container, "parts")
    anonymous.upload_object_via_stream(iter([DATA]), container, "stream")
    assert b"".join(obj.as_stream()) == b"hello"
    assert {name: stored.data for name, stored in s3.buckets["photos"].items()} == {
        "one": b"hello",
        "parts": DATA,
        "stream": DATA,
    }
    assert s3.uploads == {}
    anonymous.ex_empty_container(container)
    assert s3.buckets["photos"] == {}
    signed = {"authorization", "x-amz-date", "x-amz-content-sha256", "x-amz-decoded-content-length"}
    assert not [seen for seen in s3.requests if signed & set(seen.headers)]


def test_whole_objects_carry_their_md5(s3, anonymous):
    """A whole object, which nobody signs, is checked by its MD5; a part has its plain length."""
    container = anonymous.get_container("photos")
    anonymous.upload_object_via_stream(b"hello", container, "one")
    anonymous.upload_object_via_stream(b"", container, "empty")
    anonymous.upload_object_via_stream(iter([DATA]), container, "parts")
    whole, empty, *parts = s3.sent("PUT")
    assert whole.headers["content-md5"] == b64encode(bytes.fromhex(md5(b"hello"))).decode()
    assert "content-md5" not in empty.headers
    assert sorted(int(part.headers["content-length"]) for part in parts) == [1, 10, 10]


def test_a_failed_part_is_sent_again(s3, anonymous):
    """A part goes from its source again, as signed ones do."""
    s3.fail(1, error(503, "SlowDown"), method="PUT")
    container = anonymous.get_container("photos")
    anonymous.upload_object_via_stream(iter([DATA]), container, "parts")
    assert s3.buckets["photos"]["parts"].data == DATA


def test_a_container_that_is_not_public(s3, anonymous):
    """What is not public is access denied; its public objects are in reach all the same."""
    s3.put("public", b"hello")
    s3.faults.append(
        lambda seen: (
            (Answer(403) if seen.method == "HEAD" else error(403, "AccessDenied"))
            if seen.key != "public"
            else None
        )
    )
    container = anonymous.get_container("photos")
    assert b"".join(container.get_object("public").as_stream()) == b"hello"
    with pytest.raises(AccessDeniedError):
        container.list_objects()


@pytest.mark.parametrize("arguments", [(), ("",), ("", ""), ("", None)])
def test_keys_are_left_out_or_empty(arguments):
    """A driver without keys is asked for by name, wherever it comes from."""
    driver = get_driver("auroraobjects")(*arguments, ex_anonymous=True)
    assert repr(driver).endswith("key=none (anonymous)>")


@pytest.mark.parametrize("given", [{"key": "k"}, {"secret": "s"}, {"token": "t"}])
def test_keys_beside_it_are_refused(new_driver, given):
    """Whoever gives keys as well means one or the other: it is a ValueError, and shows none."""
    with pytest.raises(
        ValueError, match=f"{next(iter(given))} cannot be combined with ex_anonymous"
    ):
        new_driver(**{"key": "", "secret": "", **given, "ex_anonymous": True})


@pytest.mark.parametrize("arguments", [{"key": ""}, {"secret": ""}, {"key": "", "secret": ""}])
def test_empty_keys_alone_are_an_error(new_driver, arguments):
    """A key that is missing by mistake does not make a driver without keys."""
    with pytest.raises(ValueError, match=r"must be non-empty text, unless ex_anonymous=True"):
        new_driver(**arguments)


@pytest.mark.parametrize("value", [1, "yes", None])
def test_it_is_true_or_false(new_driver, value):
    """Another value is a ValueError that names the argument."""
    with pytest.raises(ValueError, match="ex_anonymous must be True or False"):
        new_driver("", "", ex_anonymous=value)


def test_it_survives_pickling(s3, anonymous):
    """A copy in another process sends unsigned requests, too."""
    with pickle.loads(pickle.dumps(anonymous)) as copy:  # noqa: S301 - our own
        copy.get_container("photos")
    assert "authorization" not in s3.requests[-1].headers


def test_no_url_can_be_presigned(anonymous):
    """A URL that needs a signature is refused, because there is nothing to sign it with."""
    obj = anonymous.upload_object_via_stream(b"x", anonymous.get_container("photos"), "k")
    with pytest.raises(ValueError, match="ex_anonymous: a URL cannot be signed"):
        anonymous.ex_get_object_presigned_url(obj)


@pytest.mark.parametrize(
    "login", ["Basic dXNlcjpwYXNz", "dXNlcjpwYXNz", "Digest username=u, response=dXNlcjpwYXNz"]
)
def test_a_login_of_ones_own_is_shown_nowhere(s3, anonymous, monkeypatch, caplog, login):
    """A user's own Authorization header is neither in libcloud's debug log nor in an error."""
    for owner, name in ((LoggingConnection, "log"), (Connection, "conn_class")):
        monkeypatch.setattr(owner, name, getattr(owner, name))  # to be put back
    log = io.StringIO()
    libcloud.enable_debug(log)
    said = f"<Error><Code>AccessDenied</Code><Message>not with {login}</Message></Error>"
    s3.faults.append(lambda seen: Answer(403, said.encode()))
    with pytest.raises(LibcloudError) as caught:
        anonymous.connection.request("/photos/k", headers={"authorization": login})
    assert s3.requests[-1].headers["authorization"] == login
    assert "authorization: ..." in log.getvalue()
    for text in (log.getvalue(), caplog.text, str(caught.value), repr(caught.value)):
        assert "dXNlcjpwYXNz" not in text
        assert "username=u" not in text
