"""Objects that other programs have stored through Swift in segments, which radosgw joins."""

import hashlib
import http.client
import json
from contextlib import closing
from types import SimpleNamespace

import pytest
from live.oracle import MIB, noise

from libcloud_aurora import errors

SECRET = "secret"
SEGMENTS = [noise(size) for size in (3 * MIB, 3 * MIB, 2 * MIB + 1)]
WHOLE = b"".join(SEGMENTS)


@pytest.fixture(scope="module")
def swift(cluster):
    """Return a function that sends a PUT through Swift, as the owner."""
    name = f"{cluster.owner.name}:swift"
    user = ("--uid", cluster.owner.name, "--subuser", name)
    cluster.admin("subuser", "create", *user, "--access", "full")
    key = ("--key-type", "swift", "--secret", SECRET)
    cluster.admin("key", "create", "--subuser", name, *key)

    def ask(method, path, body=b"", **headers):
        with closing(http.client.HTTPConnection(cluster.host, cluster.port)) as connection:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            response.read()
            assert response.status // 100 == 2
            return response.headers

    login = ask("GET", "/auth/v1.0", **{"X-Auth-User": name, "X-Auth-Key": SECRET})
    token = {"X-Auth-Token": login["X-Auth-Token"]}

    def put(path, body=b"", **headers):
        ask("PUT", f"/swift/v1/{path}", body, **token, **headers)

    return put


@pytest.fixture(params=["dynamic", "static"])
def joined(request, swift, driver, bucket):
    """A large object in three segments, by a prefix (DLO) or by a list (SLO)."""
    rows = []
    for number, segment in enumerate(SEGMENTS):
        path = f"{bucket.name}/segments/{number}"
        swift(path, segment)
        etag = hashlib.md5(segment, usedforsecurity=False).hexdigest()
        rows.append({"path": f"/{path}", "etag": etag, "size_bytes": len(segment)})
    if request.param == "static":
        swift(f"{bucket.name}/joined?multipart-manifest=put", json.dumps(rows).encode())
    else:
        swift(f"{bucket.name}/joined", **{"X-Object-Manifest": f"{bucket.name}/segments/"})
    asked = driver.get_object(bucket.name, "joined")
    (listed,) = bucket.list_objects("joined")
    return SimpleNamespace(asked=asked, listed=listed)


@pytest.mark.parametrize("source", ["asked", "listed"])
def test_it_is_read_whole(driver, joined, source, tmp_path):
    """It is downloaded with one request, although radosgw refuses its own ETag in conditions."""
    obj = getattr(joined, source)
    assert joined.asked.size == len(WHOLE)
    for resume in (False, True):
        target = tmp_path / str(resume)
        assert driver.download_object(obj, target, ex_resume=resume) is True
        assert target.read_bytes() == WHOLE
    assert b"".join(driver.download_object_as_stream(obj)) == WHOLE


@pytest.mark.parametrize("source", ["asked", "listed"])
def test_it_is_not_opened_as_a_file(driver, joined, source):
    """Nothing pins its ranges to one version, so the error says how it is read instead."""
    with pytest.raises(
        errors.AuroraObjectsError, match="has no ETag that names a version"
    ) as caught:
        driver.ex_open(getattr(joined, source))
    assert "download_object_as_stream() reads it" in str(caught.value)


@pytest.mark.parametrize(
    ("start", "end"), [(0, 1), (5, None), (3 * MIB - 1, 6 * MIB + 1), (7 * MIB, 99 * MIB)]
)
def test_ranges_of_it_are_read(driver, joined, start, end, tmp_path):
    """A range of it is exact, although radosgw says that each begins with the first byte."""
    for obj in (joined.asked, joined.listed):
        stream = driver.download_object_range_as_stream(obj, start, end)
        assert b"".join(stream) == WHOLE[start:end]
        driver.download_object_range(obj, tmp_path / "f", start, end, overwrite_existing=True)
        assert (tmp_path / "f").read_bytes() == WHOLE[start:end]


def test_it_is_not_copied(driver, joined, bucket):
    """A copy would be empty, or of the same segments, so it is refused."""
    with pytest.raises(errors.AuroraObjectsError, match="Download and upload it instead"):
        driver.ex_copy_object(joined.asked, bucket, "copy", {"meta_data": {"a": "1"}})
    assert bucket.list_objects("copy") == []
