"""Conditions on objects made of parts, and on deleting: checked by a request of their own."""

import io
import os
import threading
from email.utils import formatdate
from functools import partial

import pytest
from unit.memory_s3 import Answer, composite, error

from libcloud_aurora import errors
from libcloud_aurora._transfer.workers import Ending

PART = 1000
DATA = os.urandom(PART + 777)
ETAG = composite([DATA[:PART], DATA[PART:]])
NONE, OLD, OTHER = {"If-None-Match": "*"}, {"if-match": '"old"'}, {"If-Match": "other"}


@pytest.fixture
def new_driver(new_driver, tiny_parts):
    """Make drivers whose parts are small."""
    return partial(new_driver, ex_part_size=PART)


@pytest.fixture(params=["file", "stream", "resumed"])
def upload(request, tmp_path, driver, container):
    """Upload an object of two parts under conditions."""

    def send(headers, **arguments):
        given = {"headers": headers, "ex_check_condition": True, **arguments}
        (tmp_path / "source").write_bytes(DATA)
        if request.param == "stream":
            return driver.upload_object_via_stream(io.BytesIO(DATA), container, "k", **given)
        given["ex_resume"] = request.param == "resumed"
        return driver.upload_object(tmp_path / "source", container, "k", **given)

    return send


def completes(s3):
    return [seen for seen in s3.sent("POST") if "uploadId" in seen.params]


@pytest.mark.parametrize("headers", [NONE, OLD, {"If-Match": "*"}])
def test_a_condition_that_holds_is_sent_with_the_end(s3, upload, headers):
    """A HEAD looks at the key, and Complete carries the condition for servers that heed it."""
    if headers is not NONE:
        s3.put("k", b"old", "old")
    assert upload(headers).hash == ETAG
    complete = s3.requests[-1]
    assert [seen.key for seen in s3.sent("HEAD")][-1:] == ["k"]
    ((name, value),) = headers.items()
    assert complete.headers[name.lower()] == value
    assert name.lower() not in s3.sent("POST")[0].headers
    assert s3.buckets["photos"]["k"].data == DATA


@pytest.mark.parametrize("workers", [1, 10])
def test_ctrl_c_while_a_condition_is_checked_stores_nothing(
    s3, new_driver, container, keyboard, monkeypatch, workers
):
    """An upload that Ctrl-C ends before its completion has been asked for is aborted."""

    def look(request):
        if request.method == "HEAD" and s3.uploads and not pressed:
            pressed.append(request)
            if workers == 1:
                raise KeyboardInterrupt
            keyboard.press()
            assert ends.wait(10)

    def begin(ending, *cause, real=Ending.begin):
        real(ending, *cause)
        ends.set()

    pressed, ends = [], threading.Event()
    monkeypatch.setattr(Ending, "begin", begin)
    s3.faults.append(look)
    with pytest.raises(KeyboardInterrupt):
        new_driver(ex_max_concurrency=workers).upload_object_via_stream(
            io.BytesIO(DATA), container, "k", headers=NONE, ex_check_condition=True
        )
    assert (completes(s3), s3.uploads) == ([], {})


@pytest.mark.parametrize("headers", [NONE, OTHER])
def test_a_condition_that_does_not_hold_stores_nothing(s3, upload, headers):
    """What is there stays, and the error says what it is, before any byte is sent."""
    s3.put("k", b"old", "old")
    with pytest.raises(errors.AuroraObjectsError, match=r"not changed.*'old'") as caught:
        upload(headers)
    assert (caught.value.code, caught.value.http_status) == ("PreconditionFailed", 412)
    assert (s3.sent("POST"), s3.sent("PUT")) == ([], [])
    assert s3.buckets["photos"]["k"].data == b"old"


def test_a_condition_is_checked_again_before_the_end(s3, upload):
    """What somebody has stored while the parts were sent stays as it is."""

    def store(request):
        if request.method == "PUT" and "partNumber" in request.params:
            s3.put("k", b"old", "old")

    s3.faults.append(store)
    with pytest.raises(errors.AuroraObjectsError, match=r"not changed.*'old'"):
        upload(NONE)
    assert completes(s3) == []
    assert s3.buckets["photos"]["k"].data == b"old"


def test_a_condition_is_checked_before_an_upload_goes_on(s3, driver, container, tmp_path):
    """An upload of an earlier call is not continued for nothing, and stays."""
    (tmp_path / "source").write_bytes(DATA)
    s3.begin("k", {1: DATA[:PART]})
    s3.put("k", b"old", "old")
    given = {"headers": NONE, "ex_check_condition": True, "ex_resume": True}
    with pytest.raises(errors.AuroraObjectsError, match=r"not changed.*'old'"):
        driver.upload_object(tmp_path / "source", container, "k", **given)
    assert s3.sent("PUT") == []
    assert len(s3.uploads) == 1


def test_nothing_to_match_is_an_error(s3, upload):
    """An object that must be there and is not is not made."""
    with pytest.raises(errors.ObjectNotFoundError):
        upload(OLD)
    assert completes(s3) == []


@pytest.mark.parametrize("answer", [error(412, "PreconditionFailed"), error(404, "NoSuchKey")])
def test_a_server_that_checks_has_the_last_word(s3, upload, answer):
    """A writer between the look and the end is not overwritten where the server compares."""
    s3.fail(1, answer, method="POST", query="uploadId=2~upload1")
    with pytest.raises(errors.AuroraObjectsError, match=r"PreconditionFailed|NoSuchKey"):
        upload(NONE)
    assert len(completes(s3)) == 1
    assert "k" not in s3.buckets["photos"]


def test_a_refusal_that_is_the_uploads_own_success(s3, upload):
    """If the response to the end is lost, the second try finds the object of the first."""
    refused = []

    def lose(request):
        if request.method != "POST" or "uploadId" not in request.params:
            return None
        if refused:
            return error(412, "PreconditionFailed")
        refused.append(s3._keyed(request))
        return error(503, "SlowDown")

    s3.faults.append(lose)
    assert upload(NONE).hash == ETAG


@pytest.mark.parametrize(
    "failure", [error(503, "SlowDown"), ConnectionError("lost")], ids=["503", "lost"]
)
@pytest.mark.parametrize("may_look", [True, False], ids=["looks", "may not list parts"])
def test_an_object_of_another_writer_with_the_same_bytes(s3, upload, failure, may_look):
    """While the upload is there, the object may be anybody's: nobody is told that it is theirs."""

    def overtake(request):
        if request.method != "POST" or "uploadId" not in request.params:
            return None
        s3.put("k", DATA, ETAG, theirs="yes", **{"last-modified": formatdate(usegmt=True)})
        return failure

    s3.faults.append(overtake)
    if not may_look:
        s3.faults.append(
            lambda request: (
                Answer(403)
                if request.method == "GET" and completes(s3) and "uploadId" in request.params
                else None
            )
        )
    with pytest.raises(errors.AuroraObjectsError, match=r"upload1, or may have done so"):
        upload(NONE)
    assert s3.buckets["photos"]["k"].headers["theirs"] == "yes"
    assert (len(s3.uploads), s3.sent("DELETE")) == (1, [])


@pytest.mark.parametrize("value", ['"etag"', ""])
def test_if_none_match_knows_the_star_only(s3, upload, value):
    """A condition that cannot be checked is refused before anything is sent."""
    with pytest.raises(ValueError, match=r"if-none-match can only be checked if it is \*"):
        upload({"If-None-Match": value})
    assert s3.sent("POST") == []


def test_conditions_are_refused_unless_they_are_to_be_checked(s3, upload):
    """The refusal names what allows them."""
    with pytest.raises(ValueError, match="ex_check_condition=True"):
        upload(NONE, ex_check_condition=False)


@pytest.fixture(params=["stream", "writer"])
def put(request, driver, container):
    """Store an object of one part under conditions."""

    def send(headers, **arguments):
        if request.param == "stream":
            driver.upload_object_via_stream(
                iter([b"x"]), container, "k", headers=headers, **arguments
            )
        else:
            with driver.ex_open(
                container, "wb", object_name="k", headers=headers, ex_check_condition=True
            ) as file:
                file.write(b"x")

    return send


def test_in_one_part_a_condition_is_sent_and_checked(s3, put):
    """Before Ceph 20, radosgw overlooks it in a container with versions: the driver looks first."""
    put(NONE, ex_check_condition=True)
    (sent,) = s3.sent("PUT")
    assert sent.headers["if-none-match"] == "*"
    s3.faults.append(
        lambda seen: s3._keyed(seen) if seen.headers.pop("if-none-match", None) else None
    )
    with pytest.raises(errors.AuroraObjectsError, match="was not changed") as caught:
        put(NONE, ex_check_condition=True)
    assert caught.value.code == "PreconditionFailed"
    assert len(s3.sent("PUT")) == 1


def test_in_one_part_any_condition_may_be_checked(s3, driver, container):
    """An ETag that must not be there is compared without its quotes, here and by the server."""

    def put(etag):
        return driver.upload_object_via_stream(
            [b"x"], container, "k", headers={"If-None-Match": etag}, ex_check_condition=True
        )

    s3.put("k", b"old", "old")
    with pytest.raises(errors.AuroraObjectsError, match="was not changed"):
        put('"old"')
    assert s3.sent("PUT") == []
    put('"other"')
    assert s3.sent("PUT")[0].headers["if-none-match"] == "other"


def test_in_one_part_the_server_decides_where_these_keys_may_not_look(s3, put):
    """Keys without the right to list are told 403 of what does not exist; they may store it."""
    s3.faults.append(
        lambda seen: error(403, "AccessDenied") if seen.method in ("HEAD", "GET") else None
    )
    put(NONE, ex_check_condition=True)
    assert s3.buckets["photos"]["k"].data == b"x"


def test_in_one_part_the_server_compares_the_etag_of_an_encrypted_object(s3, put):
    """Without its key it cannot be looked at; the request itself carries the condition."""
    s3.put("k", b"old", "old")
    s3.keys.objects["/photos/k"] = "somebody's"
    put(OLD, ex_check_condition=True)
    assert s3.sent("PUT")[0].headers["if-match"] == "old"


def test_without_the_check_one_part_needs_one_request(s3, driver, container):
    """The condition is the server's alone to heed."""
    s3.requests.clear()
    driver.upload_object_via_stream(iter([b"x"]), container, "k", headers=NONE)
    assert [seen.method for seen in s3.requests] == ["PUT"]


def test_an_encrypted_object_is_there(s3, upload):
    """One that cannot be looked at without its key is one; whether its ETag fits is not known."""
    s3.put("k", b"old", "old")
    s3.keys.objects["/photos/k"] = "somebody's"
    with pytest.raises(errors.AuroraObjectsError, match="its ETag is 'unknown'") as caught:
        upload(NONE)
    assert caught.value.code == "PreconditionFailed"
    with pytest.raises(errors.EncryptionKeyError):
        upload(OLD)
    assert (s3.sent("POST"), s3.sent("PUT")) == ([], [])


def test_nothing_to_match_is_final_in_one_part(s3, driver, container):
    """Ceph 20 says NoSuchKey, which without a condition is a body that was cut off."""
    s3.fail(9, error(404, "NoSuchKey"), method="PUT")
    with pytest.raises(errors.ObjectNotFoundError):
        driver.upload_object_via_stream(iter([b"x"]), container, "k", headers=OLD)
    assert len(s3.sent("PUT")) == 1


def test_only_the_object_that_is_known_is_deleted(s3, driver):
    """Deleting carries the ETag, after a look at what is there."""
    s3.put("k", b"old")
    obj = driver.get_object("photos", "k")
    s3.put("k", b"new")
    with pytest.raises(errors.AuroraObjectsError, match="not changed"):
        driver.delete_object(obj, ex_check_condition=True)
    assert s3.sent("DELETE") == []
    new = driver.get_object("photos", "k")
    assert driver.delete_object(new, ex_check_condition=True)
    assert s3.sent("DELETE")[0].headers["if-match"] == f'"{new.hash}"'
    assert driver.delete_object(new, ex_check_condition=True), "gone is deleted"
    assert len(s3.sent("DELETE")) == 1


@pytest.fixture
def refused(s3, driver):
    """Return a function that deletes an object, which is refused and then looked at."""
    s3.put("k", b"old")
    obj = driver.get_object("photos", "k")

    def delete(then):
        def refuse(request):
            if request.method == "DELETE":
                then()
                return error(412, "PreconditionFailed")
            return None

        s3.faults.append(refuse)
        return driver.delete_object(obj, ex_check_condition=True)

    yield delete
    assert len(s3.sent("DELETE")) == 1


def test_a_refused_deletion_of_what_is_gone_counts(s3, refused):
    """Ceph 20 refuses where an earlier attempt has left a delete marker: a look decides."""
    assert refused(lambda: s3.buckets["photos"].pop("k"))


def test_a_refused_deletion_of_what_is_there_is_an_error(s3, refused):
    """An object that another client has put in its place stays."""
    with pytest.raises(errors.AuroraObjectsError, match="PreconditionFailed"):
        refused(lambda: s3.put("k", b"new"))


def test_a_refused_deletion_of_what_cannot_be_looked_at_is_an_error(s3, refused):
    """The error is that of the deletion, whatever the look says."""
    with pytest.raises(errors.AuroraObjectsError, match="PreconditionFailed"):
        refused(lambda: s3.fail(9, error(400, "InvalidRequest"), method="HEAD"))


def test_an_object_without_an_etag_cannot_be_compared(s3, driver):
    """The refusal comes before any request."""
    s3.put("k", b"old")
    obj = driver.get_object("photos", "k")
    obj.hash = ""
    with pytest.raises(ValueError, match="ex_check_condition"):
        driver.delete_object(obj, ex_check_condition=True)
    assert s3.sent("DELETE") == []


def test_what_cannot_be_looked_at_is_left(s3, driver):
    """A look that fails is no permission."""
    s3.put("k", b"old")
    obj = driver.get_object("photos", "k")
    s3.fail(9, Answer(403, b""), method="HEAD")
    s3.fail(9, error(403, "AccessDenied"), method="GET")
    with pytest.raises(errors.AccessDeniedError):
        driver.delete_object(obj, ex_check_condition=True)
    assert s3.sent("DELETE") == []


@pytest.mark.parametrize("form", ["{}", '"{}"'], ids=["bare", "quoted"])
def test_an_object_of_one_part_is_replaced_if_it_is_the_known_one(s3, driver, container, form):
    """The ETag goes out bare: radosgw before Ceph 20 takes no other for the same."""
    known = driver.upload_object_via_stream([b"old"], container, "k").hash
    headers = {"If-Match": form.format(known)}
    driver.upload_object_via_stream([b"new"], container, "k", headers=headers)
    with pytest.raises(errors.AuroraObjectsError, match="PreconditionFailed"):
        driver.upload_object_via_stream([b"newer"], container, "k", headers=headers)
    assert s3.buckets["photos"]["k"].data == b"new"
