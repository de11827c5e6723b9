"""Reads never mix two versions of an object, and go on at the byte where they were cut."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults.scene import LARGE, MIB, content
from libcloud.common.types import LibcloudError
from libcloud.storage.types import ObjectDoesNotExistError
from servers import plan

NEW = 2
RANGE = (MIB, 9 * MIB)


def to_file(scene, driver, obj, target):
    """Download to a file and return what is in it."""
    driver.download_object(obj, str(target), overwrite_existing=True)
    return target.read_bytes()


def as_stream(scene, driver, obj, target):
    """Download as a stream and return the bytes."""
    return b"".join(driver.download_object_as_stream(obj, 100_000))


def range_to_file(scene, driver, obj, target):
    """Download a range to a file and return what is in it."""
    driver.download_object_range(obj, str(target), *RANGE, overwrite_existing=True)
    return target.read_bytes()


def range_as_stream(scene, driver, obj, target):
    """Download a range as a stream and return the bytes."""
    return b"".join(driver.download_object_range_as_stream(obj, *RANGE))


WAYS = {
    to_file: slice(None),
    as_stream: slice(None),
    range_to_file: slice(*RANGE),
    range_as_stream: slice(*RANGE),
}
ways = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)


@pytest.fixture
def target(tmp_path) -> Path:
    """A destination that holds something already."""
    path = tmp_path / "target"
    path.write_bytes(b"old")
    return path


def replace(scene, size=LARGE):
    """Return an action that stores another version of the object."""
    return lambda request: scene.backend.put_parts(scene.bucket, "key", content(size, NEW))


@pytest.mark.parametrize(("concurrency", "size"), [(10, LARGE), (1, LARGE), (10, LARGE - MIB)])
@pytest.mark.parametrize("stage", ["head", "answer", "half"])
@ways
def test_replaced_while_it_is_read(scene, target, way, stage, concurrency, size):
    """An object replaced at any moment of its download is an error or the complete new object."""
    driver = scene.driver(ex_max_concurrency=concurrency)
    obj = scene.store(driver, "key", content(LARGE))
    number = 1 if stage == "head" else 0
    scene.proxy.plan = plan.Plan(
        lambda request: plan.hook(stage, replace(scene, size)) if request.number == number else None
    )
    versions = [content(LARGE)[WAYS[way]], content(size, NEW)[WAYS[way]]]
    try:
        came = way(scene, driver, obj, target)
    except LibcloudError as error:
        kind, kept = type(error).__name__, target.read_bytes()
        assert (kind, kept) == ("ObjectChangedError", b"old")
    else:
        assert any(came == version for version in versions)


@ways
def test_replaced_after_a_cut(scene, driver, target, way):
    """A download that is cut while its object is replaced is never a mixture."""
    obj = scene.store(driver, "key", content(LARGE))
    cut = plan.Fault("cut and replaced", "cut-down", stage="half", call=replace(scene))
    scene.proxy.plan = plan.once(cut, plan.is_any("get"))
    versions = [content(LARGE)[WAYS[way]], content(LARGE, NEW)[WAYS[way]]]
    try:
        came = way(scene, driver, obj, target)
    except LibcloudError as error:
        kind = type(error).__name__
        assert kind == "ObjectChangedError"
    else:
        assert any(came == version for version in versions)


@ways
def test_deleted_while_it_is_read(scene, driver, target, way):
    """An object deleted during its download is an error and leaves the old file."""
    obj = scene.store(driver, "key", content(LARGE))

    def delete(request):
        scene.backend.client.delete_object(Bucket=scene.bucket, Key="key")

    cut = plan.Fault("cut and deleted", "cut-down", stage="half", call=delete)
    scene.proxy.plan = plan.once(cut, plan.is_any("get"))
    with pytest.raises(LibcloudError) as caught:
        way(scene, driver, obj, target)
    assert isinstance(caught.value, ObjectDoesNotExistError) or "changed" in str(caught.value)
    assert target.read_bytes() == b"old"


@pytest.mark.parametrize("fault", [plan.CUT_DOWN, plan.FIN_DOWN], ids=lambda fault: fault.name)
@ways
def test_a_cut_download_goes_on_at_the_byte(scene, target, way, fault):
    """After a cut only the missing bytes are fetched, pinned to the version that was begun."""
    driver = scene.driver(ex_max_concurrency=1)
    obj = scene.store(driver, "key", content(LARGE))
    scene.proxy.plan = plan.once(fault, plan.is_any("get"))
    expected = content(LARGE)[WAYS[way]]
    assert way(scene, driver, obj, target) == expected
    gets = scene.proxy.seen("get")
    again = sum(request.bytes_down for request in gets) - len(expected)
    assert again <= (MIB if fault is plan.FIN_DOWN else len(expected) // 2)
    assert all(request.headers["If-Match"] for request in gets[1:])
    assert all(request.byte_range.startswith("bytes=") for request in gets[1:])


def test_every_range_is_pinned(scene, driver, target):
    """Every range after the first names the ETag; together they are the object, once."""
    obj = scene.store(driver, "key", content(LARGE))
    assert to_file(scene, driver, obj, target) == content(LARGE)
    first, *others = scene.proxy.seen("get")
    assert others
    pins = {request.headers["If-Match"].strip('"') for request in others}
    assert pins == {scene.backend.etag(scene.bucket, "key")}
    assert first.bytes_down + sum(request.bytes_down for request in others) == LARGE


def test_a_wrong_size_does_not_fetch_an_object_twice(scene, driver, target):
    """An object that is thought to be empty, and is not, is not read whole before its ranges."""
    body = content(4 * LARGE)
    obj = scene.store(driver, "key", body)
    obj.size = 0
    driver.download_object(obj, target, overwrite_existing=True, ex_resume=True)
    assert target.read_bytes() == body
    assert scene.proxy.seen("get")[0].bytes_down < 3 * LARGE  # what was under way is lost


@pytest.mark.parametrize(
    "header", ["bytes 100-199/12582912", "bytes 5-4/12582912", "nonsense", "bytes */12582912", ""]
)
@ways
def test_a_wrong_content_range_is_refused(scene, driver, target, way, header):
    """An answer that is another range than the one asked for is never put in its place."""
    obj = scene.store(driver, "key", content(LARGE))
    wrong = plan.Fault("wrong range", "answer", status=206, body=b"x" * 100)
    wrong = wrong.saying("Content-Range", header).saying("ETag", f'"{obj.hash}"')
    scene.proxy.plan = plan.always(wrong, lambda request: request.byte_range != "")
    with pytest.raises(LibcloudError):
        way(scene, driver, obj, target)
    assert target.read_bytes() == b"old"


@ways
def test_a_later_range_from_elsewhere(scene, driver, target, way):
    """Bytes of another place than asked for, in a later range, are asked for again."""
    obj = scene.store(driver, "key", content(LARGE))

    def choose(request):
        if request.number != 1:
            return None
        start, stop = map(int, request.byte_range.removeprefix("bytes=").split("-"))
        body = content(LARGE)[start - 5 : stop - 4]
        shifted = plan.Fault("elsewhere", "answer", status=206, body=body)
        place = f"bytes {start - 5}-{stop - 5}/{LARGE}"
        return shifted.saying("Content-Range", place).saying("ETag", f'"{obj.hash}"')

    scene.proxy.plan = plan.Plan(choose)
    assert way(scene, driver, obj, target) == content(LARGE)[WAYS[way]]
    assert [request.fault for request in scene.proxy.requests].count("elsewhere") == 1


@ways
def test_a_server_without_ranges(scene, driver, target, way):
    """A server that answers a range with the whole object is understood or refused."""
    obj = scene.store(driver, "key", content(LARGE))
    whole = plan.Fault("whole", "answer", status=200, body=content(LARGE))
    scene.proxy.plan = plan.always(whole.saying("ETag", f'"{obj.hash}"'))
    try:
        came = way(scene, driver, obj, target)
    except LibcloudError:
        assert target.read_bytes() == b"old"
    else:
        assert came == content(LARGE)[WAYS[way]]


@pytest.mark.parametrize("size", [1, MIB, 5 * MIB, LARGE])
def test_damage_is_repaired_in_a_file(scene, driver, target, size):
    """A download to a file with one flipped bit is fetched again."""
    obj = scene.store(driver, "key", content(size))
    scene.proxy.plan = plan.once(plan.FLIP_DOWN, plan.is_any("get"))
    assert to_file(scene, driver, obj, target) == content(size)


@pytest.mark.parametrize("size", [1, MIB])
def test_damage_is_repaired_in_a_small_stream(scene, driver, target, size):
    """A streamed object that fits in the first range is right before its first byte comes out."""
    obj = scene.store(driver, "key", content(size))
    scene.proxy.plan = plan.once(plan.FLIP_DOWN, plan.is_any("get"))
    assert as_stream(scene, driver, obj, target) == content(size)


@pytest.mark.parametrize("size", [5 * MIB, LARGE])
@pytest.mark.parametrize("concurrency", [1, 10])
def test_damage_is_reported_in_a_large_stream(scene, target, size, concurrency):
    """A flipped bit in a stream that was handed out ends in an error that names both hashes."""
    driver = scene.driver(ex_max_concurrency=concurrency)
    obj = scene.store(driver, "key", content(size))
    scene.proxy.plan = plan.once(plan.FLIP_DOWN, plan.is_any("get"))
    with pytest.raises(LibcloudError, match=obj.hash) as caught:
        as_stream(scene, driver, obj, target)
    assert type(caught.value).__name__ == "HashMismatchError"


def test_verification_can_be_turned_off(scene, target):
    """With ex_verify=False the bytes come as they came."""
    driver = scene.driver(ex_verify=False)
    obj = scene.store(driver, "key", content(5 * MIB))
    scene.proxy.plan = plan.once(plan.FLIP_DOWN, plan.is_any("get"))
    came = to_file(scene, driver, obj, target)
    assert sum(a != b for a, b in zip(came, content(5 * MIB), strict=True)) == 1
