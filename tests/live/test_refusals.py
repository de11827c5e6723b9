"""What cannot work is refused before anything is sent."""

import pytest
from libcloud.common.types import LibcloudError
from libcloud.storage.types import InvalidContainerNameError, ObjectDoesNotExistError
from live.operations import ON_DELETE, ON_OBJECTS, ON_UPLOADS, foreign_container, foreign_object
from live.oracle import noise

WITH_A_KEY = {**ON_OBJECTS, **ON_UPLOADS, **ON_DELETE}
BAD_KEYS = {
    "empty": "",
    "1,025 letters": "k" * 1025,
    "1,026 bytes": "\u00e9" * 513,
    "not UTF-8": "a\udcff",
    "NUL": "a\0b",
}
BAD_NAMES = {
    "empty": "",
    "slash": "a/b",
    "query": "bucket?acl",
    "up": "../x",
    "dots": "..",
    "dot": ".",
    "fragment": "a#b",
    "newline": "a\nb",
}


@pytest.fixture
def nothing_sent(proxy):
    """Fail the test if a request reached the server."""
    yield
    assert proxy.requests == []


@pytest.mark.usefixtures("nothing_sent")
@pytest.mark.parametrize("key", BAD_KEYS.values(), ids=BAD_KEYS)
@pytest.mark.parametrize("operation", WITH_A_KEY.values(), ids=WITH_A_KEY)
def test_bad_keys(counted, operation, key, tmp_path):
    """A key that S3 cannot hold is refused in every method, clearly, and nothing is sent."""
    container = foreign_container(counted, "bucket")
    with pytest.raises(ObjectDoesNotExistError) as caught:
        operation(counted, container, foreign_object(container, key), tmp_path)
    assert isinstance(caught.value, ValueError)
    assert "object name" in str(caught.value)
    assert not (tmp_path / "copy").exists()


@pytest.mark.usefixtures("nothing_sent")
@pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES)
@pytest.mark.parametrize("method", ["create_container", "get_container"])
def test_bad_container_names(counted, method, name):
    """A name no container can have is ``InvalidContainerNameError``; nothing is sent."""
    with pytest.raises(InvalidContainerNameError) as caught:
        getattr(counted, method)(name)
    assert isinstance(caught.value, ValueError)
    assert repr(name) in str(caught.value)


@pytest.mark.usefixtures("nothing_sent")
@pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES)
@pytest.mark.parametrize("operation", WITH_A_KEY.values(), ids=WITH_A_KEY)
def test_bad_container_names_in_objects(counted, operation, name, tmp_path):
    """No method follows a container whose name would lead somewhere else."""
    container = foreign_container(counted, name)
    with pytest.raises(InvalidContainerNameError):
        operation(counted, container, foreign_object(container, "key"), tmp_path)


@pytest.mark.usefixtures("nothing_sent")
@pytest.mark.parametrize("kind", [5, 2.5, object(), True])
def test_a_stream_that_is_none(counted, kind):
    """Something that cannot be read is a ``TypeError``; nothing is sent."""
    with pytest.raises(TypeError):
        counted.upload_object_via_stream(kind, foreign_container(counted, "bucket"), "key")


@pytest.mark.usefixtures("nothing_sent")
@pytest.mark.parametrize("piece", [5, None, object(), [b"x"]])
def test_a_stream_of_something_else(counted, piece):
    """A stream that yields neither bytes nor text is a ``TypeError``; nothing is sent."""
    with pytest.raises(TypeError):
        counted.upload_object_via_stream(
            iter([b"first", piece]), foreign_container(counted, "bucket"), "key"
        )


@pytest.mark.usefixtures("nothing_sent")
def test_a_file_that_is_missing(counted, tmp_path):
    """A missing file is ``FileNotFoundError``; nothing is sent."""
    container = foreign_container(counted, "bucket")
    with pytest.raises(OSError, match="absent"):
        counted.upload_object(str(tmp_path / "absent"), container, "key")


@pytest.mark.usefixtures("nothing_sent")
def test_a_directory_is_no_file(counted, tmp_path):
    """A directory cannot be uploaded; nothing is sent."""
    with pytest.raises((OSError, ValueError)):
        counted.upload_object(str(tmp_path), foreign_container(counted, "bucket"), "key")


@pytest.mark.usefixtures("nothing_sent")
@pytest.mark.parametrize("chunk_size", [-1, "many", 1.5])
def test_bad_chunk_sizes(counted, chunk_size):
    """A chunk size below 0, or that is no integer, is an error that names it; nothing is sent."""
    item = foreign_object(foreign_container(counted, "bucket"), "key")
    with pytest.raises((ValueError, TypeError), match="chunk_size"):
        next(counted.download_object_as_stream(item, chunk_size))
    with pytest.raises((ValueError, TypeError), match="chunk_size"):
        next(counted.download_object_range_as_stream(item, 0, 5, chunk_size))


@pytest.mark.usefixtures("nothing_sent")
@pytest.mark.parametrize(("start", "end"), [(-1, None), (-1, 5), (5, 5), (5, 4), (0, 0)])
def test_bad_ranges(counted, start, end, tmp_path):
    """A range that is empty or negative is a ``ValueError``; nothing is sent."""
    item = foreign_object(foreign_container(counted, "bucket"), "key")
    with pytest.raises(ValueError, match="bytes"):
        list(counted.download_object_range_as_stream(item, start, end))
    with pytest.raises(ValueError, match="bytes"):
        counted.download_object_range(item, str(tmp_path / "copy"), start, end)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("nothing_sent")
@pytest.mark.parametrize(
    "call",
    [
        lambda d, o, path: d.download_object(o, path),
        lambda d, o, path: d.download_object_range(o, path, 0, 5),
        lambda d, o, path: o.download(path),
        lambda d, o, path: d.download_object(o, path, ex_resume=True),
    ],
    ids=["download_object", "download_object_range", "Object.download", "resumed"],
)
def test_overwriting_is_refused_before_anything_is_fetched(counted, call, tmp_path):
    """An existing destination is an error, unchanged, and the object is not even asked for."""
    (tmp_path / "copy").write_bytes(b"precious")
    item = foreign_object(foreign_container(counted, "bucket"), "key")
    with pytest.raises(LibcloudError, match="exists"):
        call(counted, item, str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_bytes() == b"precious"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.usefixtures("nothing_sent")
def test_a_destination_in_no_directory(counted, tmp_path):
    """A destination whose directory does not exist is an error before anything is fetched."""
    item = foreign_object(foreign_container(counted, "bucket"), "key")
    with pytest.raises((OSError, LibcloudError)):
        counted.download_object(item, str(tmp_path / "absent" / "copy"))


@pytest.mark.usefixtures("nothing_sent")
@pytest.mark.parametrize("key", ["..", ".", "/", "../x", "a/../../x", "/etc/passwd", "a/.."])
def test_no_key_escapes_a_directory(counted, key, tmp_path):
    """Downloading into a directory never writes outside it; such a key needs an explicit file."""
    inside = tmp_path / "inside"
    inside.mkdir()
    item = foreign_object(foreign_container(counted, "bucket"), key)
    with pytest.raises(LibcloudError):
        counted.download_object(item, str(inside))
    assert [path.name for path in tmp_path.rglob("*")] == ["inside"]


@pytest.mark.usefixtures("nothing_sent")
@pytest.mark.parametrize(
    "extra",
    [
        {"meta_data": {"bad name": "x"}},
        {"meta_data": {"": "x"}},
        {"meta_data": {"n\u00e4me": "x"}},
        {"meta_data": {"name": "two\nlines"}},
        {"content_type": "text/plain\r\nx-amz-acl: public-read"},
        {"acl": "public\nread"},
    ],
)
def test_extra_that_no_header_can_hold(counted, extra):
    """Metadata that no header can carry is an error; no header is smuggled in; nothing is sent."""
    with pytest.raises((ValueError, TypeError)):
        counted.upload_object_via_stream(
            iter([b"x"]), foreign_container(counted, "bucket"), "key", extra=extra
        )


@pytest.mark.usefixtures("nothing_sent")
def test_bad_storage_class(counted):
    """A storage class that cannot be one is a ``ValueError``; nothing is sent."""
    with pytest.raises(ValueError, match="ex_storage_class"):
        counted.upload_object_via_stream(
            iter([b"x"]), foreign_container(counted, "bucket"), "key", ex_storage_class="a\nb"
        )


@pytest.mark.usefixtures("nothing_sent")
@pytest.mark.parametrize("size", [-1, 5 * 1024**4 + 1, "big"])
def test_bad_size_hints(counted, size):
    """A size hint that no object can have is refused before the first byte."""
    with pytest.raises((ValueError, TypeError), match="ex_size"):
        counted.upload_object_via_stream(
            iter([noise(5)]), foreign_container(counted, "bucket"), "key", ex_size=size
        )
