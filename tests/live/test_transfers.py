"""Large objects move in parts, in parallel, each byte once, and never in a mixture of versions."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest
from live.oracle import (
    MIB,
    PART,
    expected_etag,
    noise,
    stored_body,
    stored_etag,
    stored_keys,
)
from servers import plan
from workers import workers

from libcloud_aurora import errors

BODY = noise(23 * MIB + 7)
PARTS = 5


@pytest.fixture
def large(s3, remote, counted):
    """A large object, stored by boto3."""
    s3.put_object(Bucket=remote.name, Key="large", Body=BODY)
    return counted.get_object(remote.name, "large")


@pytest.fixture
def file(tmp_path):
    """A large file."""
    path = tmp_path / "file"
    path.write_bytes(BODY)
    return path


def before(when, call):
    """Plan a call before the server sees the first request that matches."""
    return plan.once(plan.hook("head", lambda request: call()), when)


def second_read(proxy):
    """Match the second request that fetches bytes."""
    return lambda request: request.operation == "get" and len(proxy.seen("get")) == 2


def upload(driver, way, container, file, **options):
    """Upload a file by its name or as a stream."""
    if way == "file":
        return driver.upload_object(str(file), container, "key", **options)
    chunks = (BODY[start : start + 333_333] for start in range(0, len(BODY), 333_333))
    return driver.upload_object_via_stream(chunks, container, "key", **options)


def download(driver, way, item, directory):
    """Download an object to the file ``copy``, or as a stream."""
    if way == "file":
        return driver.download_object(item, str(directory / "copy"))
    return list(driver.download_object_as_stream(item))


each_way = pytest.mark.parametrize("way", ["file", "stream"])


@each_way
@pytest.mark.parametrize("concurrency", [1, 2, 10])
def test_each_part_is_sent_once(make_driver, proxy, s3, remote, file, way, concurrency):
    """A large upload sends each of its parts once, 5 MiB each, whatever the concurrency."""
    driver = make_driver(port=proxy.port, ex_max_concurrency=concurrency)
    uploaded = upload(driver, way, remote, file)
    assert stored_body(s3, remote, "key") == BODY
    assert uploaded.hash == stored_etag(s3, remote, "key") == expected_etag(BODY)
    length = "x-amz-decoded-content-length"
    sent = {request.part: int(request.headers[length]) for request in proxy.seen("part")}
    assert len(proxy.seen("part")) == PARTS
    assert sent == {1: PART, 2: PART, 3: PART, 4: PART, 5: len(BODY) - 4 * PART}


@each_way
def test_parts_travel_at_the_same_time(make_driver, proxy, s3, remote, file, way):
    """Several parts are in flight at once: while the first is held back, others arrive."""
    driver = make_driver(port=proxy.port, ex_max_concurrency=3)
    first = plan.Hold()
    proxy.plan = plan.in_turn(
        plan.once(plan.hook("head", first), lambda request: request.part == 1),
        before(lambda request: request.part == 3, first.released.set),
    )
    upload(driver, way, remote, file)
    assert stored_body(s3, remote, "key") == BODY


def test_one_at_a_time_starts_no_thread(make_driver, s3, bucket, file, tmp_path):
    """``ex_max_concurrency=1`` moves everything in the caller's thread."""
    driver = make_driver(ex_max_concurrency=1)
    threads = set()

    def watch(done, total):
        threads.update(workers())

    item = driver.upload_object(str(file), bucket, "key", ex_progress=watch)
    driver.upload_object_via_stream(iter([BODY]), bucket, "key", ex_progress=watch)
    driver.download_object(item, str(tmp_path / "copy"), ex_progress=watch)
    assert b"".join(driver.download_object_as_stream(item, ex_progress=watch)) == BODY
    assert (tmp_path / "copy").read_bytes() == BODY
    assert threads == set()


@each_way
def test_part_size(make_driver, s3, bucket, file, way):
    """``ex_part_size`` sets the size of parts."""
    uploaded = upload(make_driver(ex_part_size=8 * MIB), way, bucket, file)
    assert uploaded.hash == stored_etag(s3, bucket, "key") == expected_etag(BODY, 8 * MIB)
    assert stored_body(s3, bucket, "key") == BODY


@pytest.mark.parametrize("part_size", [PART, 6 * MIB, 16 * MIB])
def test_downloads_of_objects_in_parts(make_driver, s3, bucket, file, part_size, tmp_path):
    """Objects made of parts of any whole MiB come down verified, by other settings as well."""
    item = upload(make_driver(ex_part_size=part_size), "file", bucket, file)
    reader = make_driver()
    assert reader.download_object(item, str(tmp_path / "copy")) is True
    assert (tmp_path / "copy").read_bytes() == BODY
    assert b"".join(reader.download_object_as_stream(item)) == BODY


def test_download_fetches_each_byte_once(counted, proxy, large, tmp_path):
    """A large download is several pinned ranges that cover the object without overlap."""
    counted.download_object(large, str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_bytes() == BODY
    assert proxy.bytes_down == len(BODY)
    reads = proxy.seen("get")
    assert len(reads) > 2
    edges = sorted(tuple(map(int, r.headers["range"][6:].split("-"))) for r in reads)
    assert edges[0][0] == 0
    assert all(one[1] + 1 == two[0] for one, two in itertools.pairwise(edges))
    pins = [request.headers.get("if-match") for request in reads]
    assert pins.count(None) <= 1


def test_small_download_is_one_request(counted, proxy, s3, remote, tmp_path):
    """A small object is one GET."""
    s3.put_object(Bucket=remote.name, Key="small", Body=noise(100_000))
    item = counted.get_object(remote.name, "small")
    known = len(proxy.requests)
    counted.download_object(item, str(tmp_path / "copy"))
    assert [request.method for request in proxy.requests[known:]] == ["GET"]


def test_ranges_travel_at_the_same_time(counted, proxy, large, tmp_path):
    """While one range is held back, others arrive."""
    second = plan.Hold()
    proxy.plan = plan.in_turn(
        plan.once(plan.hook("head", second), second_read(proxy)),
        before(lambda request: len(proxy.seen("get")) == 3, second.released.set),
    )
    counted.download_object(large, str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_bytes() == BODY


def test_a_consumer_that_stops_early(counted, proxy, large):
    """Taking one chunk of a stream costs one range of 1 MiB, and leaves nothing running."""
    stream = counted.download_object_as_stream(large, 65_536)
    assert len(proxy.seen("get")) == 1
    assert next(stream) == BODY[:65_536]
    stream.close()
    assert len(proxy.seen("get")) == 1
    assert proxy.bytes_down <= MIB


def test_reading_on_after_stopping(counted, large):
    """A driver whose streams were left half-read goes on working."""
    for _ in range(15):
        stream = counted.download_object_as_stream(large, MIB)
        for _ in range(4):
            next(stream)
        stream.close()
    assert b"".join(counted.download_object_as_stream(large)) == BODY


@pytest.mark.parametrize(("promised", "given"), [(10, 9), (10, 11), (12 * MIB, 11 * MIB), (5, 0)])
def test_wrong_size_hint(driver, s3, bucket, promised, given):
    """A stream that does not keep the size it promised is an error, and stores nothing."""
    with pytest.raises((ValueError, errors.AuroraObjectsError)):
        driver.upload_object_via_stream(iter([noise(given)]), bucket, "key", ex_size=promised)
    assert stored_keys(s3, bucket.name) == []


@pytest.mark.parametrize("change", ["grow", "shrink", "touch"])
def test_file_that_changes(counted, proxy, s3, remote, file, change):
    """A file that changes while it is sent is an error, and stores nothing."""

    def meddle():
        with open(file, "r+b") as open_file:
            if change == "shrink":
                open_file.truncate(6 * MIB)
            else:
                open_file.seek(0, 2 if change == "grow" else 0)
                open_file.write(b"changed")

    proxy.plan = before(lambda request: request.part == 2, meddle)
    with pytest.raises(errors.FileChangedError):
        counted.upload_object(str(file), remote, "key")
    assert stored_keys(s3, remote.name) == []


@each_way
def test_object_replaced_meanwhile(counted, proxy, s3, large, way, tmp_path):
    """An object that is replaced during its download is an error, never a mixture."""
    other = noise(len(BODY), seed=1)
    proxy.plan = before(
        second_read(proxy),
        lambda: s3.put_object(Bucket=large.container.name, Key="large", Body=other),
    )
    if way == "file":
        with pytest.raises(errors.ObjectChangedError):
            counted.download_object(large, str(tmp_path / "copy"))
    else:
        received = []
        with pytest.raises(errors.ObjectChangedError):
            received.extend(counted.download_object_as_stream(large))
        assert BODY.startswith(b"".join(received))
    assert list(tmp_path.iterdir()) == []


@each_way
def test_object_deleted_meanwhile(counted, proxy, s3, large, way, tmp_path):
    """An object that is deleted during its download is an error, and leaves no file."""
    proxy.plan = before(
        second_read(proxy),
        lambda: s3.delete_object(Bucket=large.container.name, Key="large"),
    )
    with pytest.raises((errors.ObjectNotFoundError, errors.ObjectChangedError)):
        download(counted, way, large, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_unverified_downloads(make_driver, bucket, s3, tmp_path):
    """``ex_verify=False`` downloads the same bytes."""
    s3.put_object(Bucket=bucket.name, Key="key", Body=BODY)
    driver = make_driver(ex_verify=False)
    item = driver.get_object(bucket.name, "key")
    driver.download_object(item, str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_bytes() == BODY
    assert b"".join(driver.download_object_as_stream(item)) == BODY


@pytest.mark.usefixtures("hasty_threads")
def test_sixteen_threads_share_a_driver(driver, s3, bucket, tmp_path):
    """Sixteen threads share one driver, and each gets its own bytes, sizes and hashes."""

    def work(number):
        body, key, target = noise(3000 + number, seed=number), f"{number}", tmp_path / f"{number}"
        large = noise(6 * MIB, seed=number) if number % 8 == 0 else body
        for _ in range(4):
            item = driver.upload_object_via_stream(iter([large]), bucket, key)
            assert (item.size, item.hash) == (len(large), expected_etag(large))
            found = driver.get_object(bucket.name, key)
            assert (found.size, found.hash) == (item.size, item.hash)
            assert b"".join(driver.download_object_as_stream(found)) == large
            driver.download_object(found, str(target), overwrite_existing=True)
            assert target.read_bytes() == large
            assert [o.name for o in driver.list_container_objects(bucket, prefix=key)]
            with pytest.raises(errors.ObjectNotFoundError) as caught:
                driver.get_object(bucket.name, f"{key}-missing")
            assert caught.value.key == f"{key}-missing"

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(16)))
    assert len(stored_keys(s3, bucket.name)) == 16
