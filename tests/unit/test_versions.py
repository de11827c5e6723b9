"""Versions of objects: listed, read, copied, linked and deleted one by one."""

import re
from email.utils import formatdate
from urllib.parse import parse_qs, quote, urlsplit
from xml.etree import ElementTree

import pytest
from libcloud.storage.base import Object
from unit.memory_s3 import Answer, composite, error, md5

from libcloud_aurora import errors

#: Name, id, and bytes or None for a delete marker: the newest first.
HISTORY = [
    ("a \x01+", "v3", None),
    ("a \x01+", "v2", b"second"),
    ("a \x01+", "null", b"first"),
    ("b", "v9", b"only"),
]


class History:
    """
    What a container with versioning answers about its versions, two on a page.

    As with radosgw, nothing comes after a version that is gone.
    """

    def __init__(self):
        self.rows = list(HISTORY)

    def __call__(self, request):
        if "versions" in request.params:
            return self.page(request.params)
        if "delete" in request.params:
            return self.deletes(request.body)
        if "versionId" in request.params:
            return self.of_one(request)
        return None

    def page(self, params):
        """Return a page, which goes on after the version that the markers name."""
        found = [row for row in self.rows if row[0].startswith(params.get("prefix", ""))]
        if "key-marker" in params:
            after = params["key-marker"], params["version-id-marker"]
            named = [row[:2] for row in found]
            found = found[named.index(after) + 1 :] if after in named else []
        rows = "".join(
            self.row(*row, is_latest=row is next(each for each in self.rows if each[0] == row[0]))
            for row in found[:2]
        )
        state = f"<IsTruncated>{str(len(found) > 2).lower()}</IsTruncated>"
        body = f"<ListVersionsResult><Prefix/>{state}{rows}</ListVersionsResult>"
        return Answer(200, body.encode())

    @staticmethod
    def row(key, version_id, data, *, is_latest):
        """Return a row as radosgw has it."""
        kind = "DeleteMarker" if data is None else "Version"
        size = (
            "" if data is None else f"<Size>{len(data)}</Size><ETag>&quot;{md5(data)}&quot;</ETag>"
        )
        return (
            f"<{kind}><Key>{quote(key)}</Key><VersionId>{version_id}</VersionId>"
            f"<IsLatest>{str(is_latest).lower()}</IsLatest>"
            f"<LastModified>2026-07-01T12:00:00.000Z</LastModified>{size}"
            f"<Owner><ID>me</ID><DisplayName>Me</DisplayName></Owner></{kind}>"
        )

    def deletes(self, body):
        """Delete the versions that a document names."""
        for each in ElementTree.fromstring(body):  # noqa: S314 - our own
            named = each.findtext("Key"), each.findtext("VersionId")
            self.rows = [row for row in self.rows if row[:2] != named]
        return Answer(200, b"<DeleteResult/>")

    def of_one(self, request):
        """Answer about one version."""
        named = request.key, request.params["versionId"]
        data = next((row[2] for row in self.rows if row[:2] == named), None)
        if request.method == "DELETE":
            self.rows = [row for row in self.rows if row[:2] != named]
            return Answer(204)
        if data is None:
            return error(404, "NoSuchKey")
        headers = {"etag": f'"{md5(data)}"', "x-amz-version-id": named[1]}
        if request.method == "HEAD":
            return Answer(200, b"", {**headers, "content-length": str(len(data))})
        return Answer(200, data, headers)


@pytest.fixture
def history(s3):
    """The versions that the container ``photos`` has."""
    answers = History()
    s3.faults.append(answers)
    return answers


@pytest.fixture
def versions(history, driver, container):
    """The same, as the driver lists them."""
    return list(driver.ex_iterate_object_versions(container))


def test_versions_and_delete_markers_are_listed_in_order(s3, versions):
    """All versions come page by page, each with its id, its size and what it is."""
    assert [
        (each.name, each.extra["ex_version_id"], each.size, each.hash, each.extra["version_id"])
        for each in versions
    ] == [
        (name, found, len(data or b""), md5(data) if data else "", found)
        for name, found, data in HISTORY
    ]
    assert [each.extra["ex_is_delete_marker"] for each in versions] == [True, False, False, False]
    assert [each.extra["ex_is_latest"] for each in versions] == [True, False, False, True]
    assert versions[1].extra["owner"] == {"id": "me", "display_name": "Me"}
    assert versions[1].extra["last_modified"] == "2026-07-01T12:00:00.000Z"
    markers = [
        (sent.params.get("key-marker"), sent.params.get("version-id-marker"))
        for sent in s3.sent("GET")
    ]
    assert markers == [(None, None), ("a \x01+", "v2")]


def test_each_version_that_is_left_is_named(s3, history, driver, container):
    """Of versions that may not be deleted, the error tells how many there are, and which."""

    def refuse(request):
        if "delete" not in request.params:
            return None
        said = "<Code>AccessDenied</Code><Message>forbidden by object lock</Message>"
        rows = (
            f"<Error><Key>b</Key><VersionId>{number}</VersionId>{said}</Error>"
            for number in ("v1", "v2")
        )
        return Answer(200, f"<DeleteResult>{''.join(rows)}</DeleteResult>".encode())

    s3.faults.insert(0, refuse)
    with pytest.raises(errors.DeleteFailedError, match=r"^2 objects") as caught:
        driver.ex_empty_container(container, ex_versions=True)
    said = "'b' (version v1), 'b' (version v2): AccessDenied forbidden by object lock"
    assert said in str(caught.value)
    assert caught.value.failures == {"b": "AccessDenied forbidden by object lock"}


def test_versions_of_a_prefix(history, driver, container):
    """A prefix picks names."""
    (found,) = driver.ex_iterate_object_versions(container, "b")
    assert found.name == "b"


def test_a_page_of_versions_that_is_repeated_is_an_error(s3, driver, container):
    """A server that sends the same page again and again is no endless loop."""
    row = "<Version><Key>k</Key><VersionId>v</VersionId><Size>1</Size></Version>"
    body = f"<ListVersionsResult><IsTruncated>true</IsTruncated>{row}</ListVersionsResult>"
    s3.faults.append(lambda request: Answer(200, body.encode()))
    with pytest.raises(errors.MalformedAnswerError, match="repeats a page"):
        list(driver.ex_iterate_object_versions(container))


def test_a_version_without_an_id_is_an_error(s3, driver, container):
    """A row that does not say which version it is could have another one deleted."""
    body = "<ListVersionsResult><Version><Key>k</Key><Size>1</Size></Version></ListVersionsResult>"
    s3.faults.append(lambda request: Answer(200, body.encode()))
    with pytest.raises(errors.MalformedAnswerError, match="VersionId"):
        list(driver.ex_iterate_object_versions(container))


def test_a_version_of_no_readable_size_is_an_error(s3, driver, container):
    """A page that is damaged counts as a failed attempt, and the next one is read."""
    row = "<Version><Key>k</Key><VersionId>v</VersionId><Size>{}</Size></Version>"
    pages = [f"<ListVersionsResult>{row.format(size)}</ListVersionsResult>" for size in ("x", 1)]
    s3.faults.append(lambda request: Answer(200, pages.pop(0).encode()))
    (version,) = driver.ex_iterate_object_versions(container)
    assert version.size == 1


def test_a_version_is_downloaded_as_it_was(versions, driver, tmp_path):
    """Downloads of a version, whole or in part, are of this version and are verified."""
    assert b"".join(driver.download_object_as_stream(versions[2])) == b"first"
    assert b"".join(driver.download_object_as_stream(versions[1])) == b"second"
    driver.download_object(versions[2], tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"first"


def test_a_version_that_only_its_id_names(history, driver, container):
    """An object made by hand is the version that its ``extra`` names."""
    obj = Object("b", 0, None, {"ex_version_id": "v9"}, {}, container, driver)
    assert b"".join(obj.as_stream()) == b"only"


def test_a_delete_marker_has_no_bytes(versions, driver):
    """What was deleted is not found."""
    with pytest.raises(errors.ObjectNotFoundError):
        list(driver.download_object_as_stream(versions[0]))


def test_a_version_is_copied_and_may_replace_the_latest(s3, driver, container, versions):
    """A copy of an old version onto its own name is no copy onto itself."""
    s3.put("a \x01+", b"first")
    driver.ex_copy_object(versions[2], container)
    (sent,) = s3.sent("PUT")
    assert sent.headers["x-amz-copy-source"] == "/photos/a%20%01%2B?versionId=null"
    with pytest.raises(ValueError, match="onto itself"):
        driver.ex_copy_object(driver.get_object("photos", "a \x01+"), container)


def test_a_url_is_for_the_version(versions, driver):
    """A presigned URL of a version names and signs it, and a plain one names it."""
    url = driver.ex_get_object_presigned_url(versions[1])
    assert parse_qs(urlsplit(url).query)["versionId"] == ["v2"]
    plain = driver.ex_get_object_public_url(versions[1])
    assert plain == versions[1].extra["url"] == f"{url.partition('?')[0]}?versionId=v2"


def test_one_version_is_deleted(s3, driver, versions, history):
    """Deleting a version deletes this one for good, and leaves the others."""
    assert driver.delete_object(versions[1]) is True
    assert history.rows == [row for row in HISTORY if row[1] != "v2"]


def test_many_versions_are_deleted_together(s3, driver, container, versions, history):
    """Versions go with one request, those whose names XML cannot carry with one each."""
    driver.ex_delete_objects(container, versions)
    assert history.rows == []
    (sent,) = s3.sent("POST")
    assert re.sub(rb".*?<Object>", b"<Object>", sent.body, count=1) == (
        b"<Object><Key>b</Key><VersionId>v9</VersionId></Object></Delete>"
    )
    assert [sent.params for sent in s3.sent("DELETE")] == [
        {"versionId": "v3"},
        {"versionId": "v2"},
        {"versionId": "null"},
    ]


def test_two_versions_of_a_name_are_both_deleted(s3, driver, container, history):
    """A name may come as often as it has versions, but no version twice in one request."""
    row = {"container": container, "driver": driver, "meta_data": {}, "size": 0, "hash": None}
    found = [Object("b", extra={"ex_version_id": each}, **row) for each in ("1", "2", "1")]
    driver.ex_delete_objects(container, [*found, "b"])
    (sent,) = s3.sent("POST")
    assert re.findall(rb"<Object>(.*?)</Object>", sent.body) == [
        b"<Key>b</Key><VersionId>1</VersionId>",
        b"<Key>b</Key><VersionId>2</VersionId>",
        b"<Key>b</Key>",
    ]


@pytest.mark.parametrize(("prefix", "left"), [(None, []), ("b", HISTORY[:3])])
def test_a_container_is_emptied_with_its_versions(history, driver, container, prefix, left):
    """``ex_versions`` deletes all versions and delete markers, or those of a prefix."""
    driver.ex_empty_container(container, prefix, ex_versions=True)
    assert history.rows == left


def test_an_upload_in_parts_says_which_version_it_is(s3, new_driver, container, tiny_parts):
    """``version_id`` comes from the response that completes the upload."""
    etag = composite([b"ab", b"c"])
    root = "CompleteMultipartUploadResult"
    body = f"<{root}><ETag>{etag}</ETag></{root}>"
    done = Answer(200, body.encode(), {"x-amz-version-id": "v7"})
    s3.fail(1, done, method="POST", query="uploadId=2~upload1")
    obj = new_driver(ex_part_size=2).upload_object_via_stream(b"abc", container, "k")
    assert (obj.hash, obj.extra["etag"], obj.extra["version_id"]) == (etag, f'"{etag}"', "v7")


def test_a_lost_completion_says_which_version_it_is(s3, new_driver, container, tiny_parts):
    """Where the response is lost, ``version_id`` is that of the object that is found."""
    etag, now = composite([b"ab", b"c"]), formatdate(usegmt=True)

    def lost(request):
        if request.method == "POST" and "uploadId" in request.params:
            s3.put("k", b"abc", etag, **{"x-amz-version-id": "v8", "last-modified": now})
            s3.uploads.clear()
            return error(500, "InternalError")
        return None

    s3.faults.append(lost)
    obj = new_driver(ex_part_size=2).upload_object_via_stream(b"abc", container, "k")
    assert (obj.hash, obj.extra["version_id"]) == (etag, "v8")


def test_what_may_be_left_of_a_container_is_said(s3, driver, container):
    """A container without objects that cannot be deleted gets advice on what is left."""
    s3.fail(1, error(409, "BucketNotEmpty"), method="DELETE")
    with pytest.raises(errors.ContainerNotEmptyError) as caught:
        driver.delete_container(container)
    for said in ("old versions", "delete markers", "ex_versions=True"):
        assert said in str(caught.value)
