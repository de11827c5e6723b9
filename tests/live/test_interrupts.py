"""Whatever stops a transfer, at whichever stage, nothing is left: no part, file or thread."""

import pytest
from live.oracle import MIB, noise, stored_body, stored_keys, unfinished_uploads
from servers import plan

BODY = noise(18 * MIB)
CAUSES = {"Ctrl-C": KeyboardInterrupt, "an exception": RuntimeError, "an exit": SystemExit}
each_cause = pytest.mark.parametrize("cause", CAUSES.values(), ids=CAUSES)


@pytest.fixture
def large(s3, remote, counted):
    """A large object, stored by boto3."""
    s3.put_object(Bucket=remote.name, Key="large", Body=BODY)
    return counted.get_object(remote.name, "large")


@pytest.fixture
def file(tmp_path):
    """A large file in a directory of its own."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_bytes(BODY)
    return tmp_path / "source" / "file"


def stopping_at(limit, cause):
    """Return a progress function that raises once ``limit`` bytes are done."""

    def progress(done, total):
        if done >= limit:
            raise cause("stop")

    return progress


def upload(driver, way, container, file, **options):
    """Upload a file by its name, or the same bytes as a stream."""
    if way == "file":
        return driver.upload_object(str(file), container, "key", **options)
    return driver.upload_object_via_stream(iter([BODY]), container, "key", **options)


DOWNLOADS = {
    "file": lambda d, o, path: d.download_object(o, path, True),
    "range": lambda d, o, path: d.download_object_range(o, path, 1, None, True),
    "stream": lambda d, o, path: list(d.download_object_as_stream(o)),
}


@each_cause
@pytest.mark.parametrize("after", [0, 1, 5, 12, 17], ids="after {} MiB".format)
def test_source_stops(driver, s3, bucket, cause, after):
    """When reading the source is stopped, the cause comes out and nothing is stored."""

    def source():
        for index in range(after):
            yield BODY[index * MIB : (index + 1) * MIB]
        raise cause("stop")

    with pytest.raises(cause, match="stop"):
        driver.upload_object_via_stream(source(), bucket, "key")
    assert stored_keys(s3, bucket.name) == []
    assert unfinished_uploads(s3, bucket.name) == []


@each_cause
@pytest.mark.parametrize("limit", [0, 1, 6 * MIB, 18 * MIB])
@pytest.mark.parametrize("way", ["file", "stream"])
def test_progress_stops_an_upload(driver, s3, bucket, file, cause, limit, way):
    """An exception from progress cancels an upload: no part is left, nor half an object."""
    progress = stopping_at(limit, cause)
    with pytest.raises(cause, match="stop"):
        upload(driver, way, bucket, file, ex_progress=progress)
    assert unfinished_uploads(s3, bucket.name) == []
    if stored_keys(s3, bucket.name):
        assert stored_body(s3, bucket, "key") == BODY


@each_cause
@pytest.mark.parametrize("limit", [0, 1, 6 * MIB, 18 * MIB])
def test_progress_stops_a_download(driver, s3, bucket, cause, limit, tmp_path):
    """An exception from progress cancels a download: the destination is the old file."""
    s3.put_object(Bucket=bucket.name, Key="key", Body=BODY)
    item = driver.get_object(bucket.name, "key")
    (tmp_path / "copy").write_bytes(b"old")
    with pytest.raises(cause, match="stop"):
        driver.download_object(
            item, str(tmp_path / "copy"), True, ex_progress=stopping_at(limit, cause)
        )
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]
    assert (tmp_path / "copy").read_bytes() in (b"old", BODY)


@each_cause
def test_progress_stops_a_stream(driver, s3, bucket, cause):
    """An exception from progress ends a streamed download."""
    s3.put_object(Bucket=bucket.name, Key="key", Body=BODY)
    item = driver.get_object(bucket.name, "key")
    with pytest.raises(cause, match="stop"):
        list(driver.download_object_as_stream(item, ex_progress=stopping_at(3 * MIB, cause)))


@pytest.fixture
def ctrl_c(keyboard):
    """Plan a Ctrl-C at a stage of the first request that matches."""
    return lambda stage, when: plan.once(plan.hook(stage, lambda request: keyboard.press()), when)


#: When the key is pressed: before the server sees a request, or after it has acted on it.
UPLOAD_STAGES = {
    "begun": ("answer", plan.is_any("initiate")),
    "before the first part": ("head", lambda r: r.part == 1),
    "after the first part": ("answer", lambda r: r.part == 1),
    "before a middle part": ("head", lambda r: r.part == 3),
    "after the last part": ("answer", lambda r: r.part == 4),
    "before completing": ("head", plan.is_any("complete")),
    "completed": ("answer", plan.is_any("complete")),
}


@pytest.mark.parametrize(("stage", "when"), UPLOAD_STAGES.values(), ids=UPLOAD_STAGES)
@pytest.mark.parametrize("way", ["file", "stream"])
def test_ctrl_c_during_an_upload(ctrl_c, counted, proxy, s3, remote, file, stage, when, way):
    """A real Ctrl-C at any request of an upload leaves no part: all of the object, or none."""
    proxy.plan = ctrl_c(stage, when)
    with pytest.raises(KeyboardInterrupt):
        upload(counted, way, remote, file)
    assert unfinished_uploads(s3, remote.name) == []
    if stored_keys(s3, remote.name):
        assert stored_body(s3, remote, "key") == BODY


@pytest.mark.parametrize("at", [1, 2, 4])
@pytest.mark.parametrize("way", DOWNLOADS)
def test_ctrl_c_during_a_download(ctrl_c, counted, proxy, large, at, way, tmp_path):
    """A real Ctrl-C at any request of a download leaves the old file and nothing else."""
    (tmp_path / "copy").write_bytes(b"old")
    proxy.plan = ctrl_c("head", lambda request: len(proxy.seen("get")) == at)
    with pytest.raises(KeyboardInterrupt):
        DOWNLOADS[way](counted, large, str(tmp_path / "copy"))
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]
    assert (tmp_path / "copy").read_bytes() == b"old"


@pytest.mark.parametrize("stage", ["head", "answer"], ids=["before", "after"])
def test_ctrl_c_while_cleaning_up(ctrl_c, counted, proxy, s3, remote, stage):
    """Ctrl-C while a failed upload is aborted does not leave its parts behind."""

    def source():
        yield BODY
        raise RuntimeError("stop")

    proxy.plan = ctrl_c(stage, plan.is_any("abort"))
    with pytest.raises((RuntimeError, KeyboardInterrupt)):
        counted.upload_object_via_stream(source(), remote, "key")
    assert unfinished_uploads(s3, remote.name) == []
    assert stored_keys(s3, remote.name) == []


def test_the_driver_works_on_after_an_interrupt(ctrl_c, counted, proxy, s3, remote, file):
    """A driver whose transfer was interrupted does the next one."""
    proxy.plan = ctrl_c("head", lambda request: request.part == 2)
    with pytest.raises(KeyboardInterrupt):
        counted.upload_object(str(file), remote, "key")
    counted.upload_object(str(file), remote, "key")
    assert stored_body(s3, remote, "key") == BODY
