"""A transfer whose process was killed goes on where it stopped, and mixes nothing."""

import json
import threading
import time

import pytest
from live.oracle import (
    MIB,
    PART,
    begin_upload,
    expected_etag,
    listed_uploads,
    noise,
    stored_body,
    stored_etag,
    stored_head,
    stored_keys,
)
from live.program import running
from servers import plan

from libcloud_aurora.errors import UploadNotFoundError

BODY = noise(62 * MIB)
PARTS = 13
UPLOAD = 'driver.upload_object(sys.argv[1], container, "key", ex_resume=True)\n'
DOWNLOAD = """
driver.download_object(container.get_object("key"), sys.argv[1], overwrite_existing=True,
                       ex_resume=RESUME, ex_progress=lambda done, total: print(done, flush=True))
"""
RESUMED = DOWNLOAD.replace("RESUME", "True")
ARRIVED = 36 * MIB  # what a download has written when it is killed
LATE = 40 * MIB  # from where on it gets nothing


@pytest.fixture
def file(tmp_path):
    """A file of 13 parts."""
    path = tmp_path / "file"
    path.write_bytes(BODY)
    return path


@pytest.fixture
def kill(proxy, cluster):
    """Run a program until requests matching ``last`` arrive, then ``kill -9`` it."""

    def answered(matches):
        return any(matches(request) and request.status for request in proxy.requests)

    def run_and_kill(code, container, argument, done, last, arrived=0, ready=lambda: True):
        hold, before = plan.Hold(), proxy.open_connections
        proxy.plan = plan.always(plan.hook("head", hold), last)
        with running(
            code,
            user=cluster.owner,
            port=proxy.port,
            bucket=container.name,
            arguments=[argument],
        ) as process:
            assert proxy.wait_for(lambda: all(map(answered, done)), 60)
            assert hold.reached.wait(60)
            while arrived and int(process.stdout.readline()) < arrived:
                pass
            deadline = time.monotonic() + 60
            while not ready():
                assert time.monotonic() < deadline
                threading.Event().wait(0.01)
            process.kill()
            process.wait()
        proxy.plan = plan.never()
        hold.released.set()
        assert proxy.wait_for(lambda: proxy.open_connections <= before)

    return run_and_kill


def part(number):
    """Return a match for the request that sends this part."""
    return lambda request: request.part == number


def late_part(request):
    """Match the parts that a killed upload does not get done."""
    return request.part > 3


def test_killed_upload(counted, proxy, s3, remote, file, kill):
    """After kill -9, ``ex_resume=True`` keeps the parts that arrived and sends only the rest."""
    kill(UPLOAD, remote, file, [part(1), part(2), part(3)], late_part)
    assert len(listed_uploads(s3, remote.name)) == 1
    before = len(proxy.requests)
    uploaded = counted.upload_object(str(file), remote, "key", ex_resume=True)
    sent = sorted(request.part for request in proxy.requests[before:] if request.part)
    assert not {1, 2, 3} & set(sent)
    assert len(sent) == len(set(sent)) <= PARTS - 3
    assert uploaded.hash == stored_etag(s3, remote, "key") == expected_etag(BODY)
    assert stored_body(s3, remote, "key") == BODY


def test_killed_upload_of_a_file_that_changed(counted, proxy, s3, remote, file, kill):
    """Parts that do not match the file any more are sent again; the object is the file."""
    kill(UPLOAD, remote, file, [part(1), part(2), part(3)], late_part)
    changed = noise(5, seed=3) + BODY[5:]
    file.write_bytes(changed)
    before = len(proxy.requests)
    counted.upload_object(str(file), remote, "key", ex_resume=True)
    sent = {request.part for request in proxy.requests[before:] if request.part}
    assert 1 in sent
    assert not {2, 3} & sent
    assert stored_body(s3, remote, "key") == changed


def test_killed_upload_then_a_plain_one(counted, s3, remote, file, kill):
    """Without ``ex_resume`` the old parts are not used, and stay until they are cleaned up."""
    kill(UPLOAD, remote, file, [part(1)], late_part)
    counted.upload_object(str(file), remote, "key")
    assert stored_body(s3, remote, "key") == BODY
    assert len(listed_uploads(s3, remote.name)) == 1
    counted.ex_cleanup_all_multipart_uploads(remote)


@pytest.mark.parametrize(
    ("number", "content"), [(20, noise(10)), (1, noise(PART + 1)), (2, noise(PART, seed=9))]
)
def test_stray_parts(driver, s3, bucket, file, number, content):
    """A part that cannot belong to the file's plan never reaches the object."""
    upload_id = begin_upload(s3, bucket.name, "key")
    s3.upload_part(
        Bucket=bucket.name, Key="key", UploadId=upload_id, PartNumber=number, Body=content
    )
    uploaded = driver.upload_object(str(file), bucket, "key", ex_resume=True)
    assert stored_body(s3, bucket, "key") == BODY
    assert uploaded.hash == expected_etag(BODY)
    assert listed_uploads(s3, bucket.name) == {}


@pytest.mark.parametrize("ending", ["complete", "abort"])
@pytest.mark.parametrize("moment", ["list-parts", "part"])
def test_an_upload_that_ends_meanwhile(counted, proxy, s3, remote, tmp_path, moment, ending):
    """What a killed program has asked for may be done late: the file is uploaded all the same."""
    body = noise(3 * PART)
    (tmp_path / "file").write_bytes(body)
    begun = {"Bucket": remote.name, "Key": "key"}
    begun["UploadId"] = begin_upload(s3, remote.name, "key")
    parts = [
        {
            "PartNumber": number,
            "ETag": s3.upload_part(**begun, PartNumber=number, Body=piece)["ETag"],
        }
        for number, piece in enumerate((body[:PART], body[PART:-PART], body[-PART:]), 1)
    ]

    def end(request):
        if ending == "complete":
            s3.complete_multipart_upload(**begun, MultipartUpload={"Parts": parts})
        else:
            s3.abort_multipart_upload(**begun)

    seen = []
    proxy.plan = plan.once(plan.hook("head", end), plan.is_any(moment))
    obj = counted.upload_object(
        str(tmp_path / "file"),
        remote,
        "key",
        ex_resume=True,
        ex_progress=lambda *numbers: seen.append(numbers),
    )
    assert stored_body(s3, remote, "key") == body
    assert obj.hash == stored_etag(s3, remote, "key")
    assert seen == sorted(seen)
    assert seen[-1] == (len(body), len(body))
    assert listed_uploads(s3, remote.name) == {}


def test_upload_of_a_neighbour_is_left_alone(driver, s3, bucket, file):
    """Resuming touches uploads of exactly this key, not of keys that begin with it."""
    for key in ("key2", "key/x"):
        begin_upload(s3, bucket.name, key)
    driver.upload_object(str(file), bucket, "key", ex_resume=True)
    assert sorted(listed_uploads(s3, bucket.name).values()) == ["key/x", "key2"]
    driver.ex_cleanup_all_multipart_uploads(bucket)


def test_nothing_to_resume(driver, s3, bucket, file, tmp_path):
    """``ex_resume=True`` without an earlier attempt is an ordinary transfer."""
    item = driver.upload_object(str(file), bucket, "key", ex_resume=True)
    assert stored_body(s3, bucket, "key") == BODY
    driver.download_object(item, str(tmp_path / "copy"), ex_resume=True)
    assert (tmp_path / "copy").read_bytes() == BODY
    assert {path.name for path in tmp_path.iterdir()} == {"copy", "file"}


def is_read(request):
    """Match requests that fetch bytes."""
    return request.operation == "get"


def start_of(request):
    """Return the first byte that a request asks for."""
    return int(request.byte_range.removeprefix("bytes=").split("-")[0])


def late_read(request):
    """Match the ranges that a killed download does not get."""
    return is_read(request) and start_of(request) >= LATE


@pytest.fixture
def stored(s3, remote):
    """The name of a large object in the container."""
    s3.put_object(Bucket=remote.name, Key="key", Body=BODY)
    return "key"


@pytest.mark.parametrize("concurrency", [1, 16])
def test_killed_download(counted, proxy, remote, stored, kill, concurrency, tmp_path):
    """After kill -9 the old file is there; ``ex_resume=True`` fetches again less than 8 MiB."""
    (tmp_path / "copy").write_bytes(b"old")
    code = f"driver = connect(ex_max_concurrency={concurrency})\n{RESUMED}"
    known = ARRIVED - 8 * MIB

    def ready():
        (journal,) = tmp_path.glob(".*.journal")
        spans = map(json.loads, journal.read_text().splitlines(keepends=True)[1:])
        return sum(stop - start for start, stop in spans) >= known

    kill(code, remote, tmp_path / "copy", [is_read], late_read, ARRIVED, ready)
    assert (tmp_path / "copy").read_bytes() == b"old"
    before = proxy.bytes_down
    item = counted.get_object(remote.name, stored)
    assert counted.download_object(item, str(tmp_path / "copy"), True, ex_resume=True) is True
    assert (tmp_path / "copy").read_bytes() == BODY
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]
    assert proxy.bytes_down - before <= len(BODY) - known + 1  # a byte that names the version


def test_killed_download_of_an_object_that_changed(counted, s3, remote, stored, kill, tmp_path):
    """When the object is another one by now, resuming fetches all of the new one."""
    kill(RESUMED, remote, tmp_path / "copy", [is_read], late_read, ARRIVED)
    other = noise(len(BODY), seed=1)
    s3.put_object(Bucket=remote.name, Key=stored, Body=other)
    item = counted.get_object(remote.name, stored)
    counted.download_object(item, str(tmp_path / "copy"), ex_resume=True)
    assert (tmp_path / "copy").read_bytes() == other
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_killed_download_then_damage(counted, remote, stored, kill, tmp_path):
    """What a crash left beside the destination is verified before it is used."""
    kill(RESUMED, remote, tmp_path / "copy", [is_read], late_read, ARRIVED)
    for path in tmp_path.iterdir():
        content = bytearray(path.read_bytes())
        content[len(content) // 10] ^= 1
        path.write_bytes(content)
    item = counted.get_object(remote.name, stored)
    counted.download_object(item, str(tmp_path / "copy"), ex_resume=True)
    assert (tmp_path / "copy").read_bytes() == BODY


@pytest.mark.parametrize("ways", ["upload", "download"])
def test_kill_without_resume(counted, s3, remote, stored, file, kill, ways, tmp_path):
    """A killed transfer changes neither the object nor the file it was to replace."""
    if ways == "upload":
        code = 'driver.upload_object(sys.argv[1], container, "key")\n'
        file.write_bytes(noise(len(BODY), seed=5))
        kill(code, remote, file, [part(1)], late_part)
        assert stored_body(s3, remote, stored) == BODY
        counted.ex_cleanup_all_multipart_uploads(remote)
        assert stored_keys(s3, remote.name) == ["key"]
    else:
        (tmp_path / "copy").write_bytes(b"old")
        code = DOWNLOAD.replace("RESUME", "False")
        kill(code, remote, tmp_path / "copy", [is_read], late_read, ARRIVED)
        assert (tmp_path / "copy").read_bytes() == b"old"


@pytest.mark.parametrize(
    "extra",
    [
        {"content_type": "text/new", "acl": "private", "meta_data": {"v": "new"}},
        {"content_type": "text/old", "meta_data": {"v": "old", "gone": "1"}},
    ],
    ids=["anew", "the same without access"],
)
def test_resumed_upload_has_what_this_call_asks_for(driver, s3, bucket, tmp_path, extra):
    """Whatever an upload was begun with, the object has the access and metadata of this call."""
    (tmp_path / "file").write_bytes(noise(12 * MIB))
    begun = s3.create_multipart_upload(
        Bucket=bucket.name,
        Key="key",
        ACL="public-read",
        ContentType="text/old",
        Metadata={"v": "old", "gone": "1"},
    )
    s3.upload_part(
        Bucket=bucket.name,
        Key="key",
        UploadId=begun["UploadId"],
        PartNumber=1,
        Body=noise(12 * MIB)[:PART],
    )
    obj = driver.upload_object(str(tmp_path / "file"), bucket, "key", extra, ex_resume=True)
    head = stored_head(s3, bucket, "key")
    assert (head["ContentType"], head["Metadata"]) == (extra["content_type"], extra["meta_data"])
    grants = s3.get_object_acl(Bucket=bucket.name, Key="key")["Grants"]
    assert [grant["Grantee"]["Type"] for grant in grants] == ["CanonicalUser"]
    assert stored_body(s3, bucket, "key") == noise(12 * MIB)
    assert obj.hash == stored_etag(s3, bucket, "key")


def test_an_upload_that_disappears_before_its_end_is_sent_anew(remote, proxy, s3, file):
    """As by a rule of the lifecycle: radosgw says 500 to its completion, and the file is sent."""
    begin_upload(s3, remote.name, "key")

    def abort(request):
        for upload_id in listed_uploads(s3, remote.name):
            s3.abort_multipart_upload(Bucket=remote.name, Key="key", UploadId=upload_id)

    proxy.plan = plan.once(plan.hook("head", abort), plan.is_any("complete"))
    obj = remote.driver.upload_object(str(file), remote, "key", ex_resume=True)
    assert stored_body(s3, remote, "key") == BODY
    assert obj.hash == stored_etag(s3, remote, "key")
    s3.delete_object(Bucket=remote.name, Key="key")  # else it passes for this upload's
    proxy.plan = plan.once(plan.hook("head", abort), plan.is_any("complete"))
    with pytest.raises(UploadNotFoundError, match="is gone"):
        remote.driver.upload_object(str(file), remote, "key")
