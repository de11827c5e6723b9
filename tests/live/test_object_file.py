"""Objects as files on a real server, read and written by what reads and writes files."""

import csv
import gzip
import io
import shutil
import tarfile
import zipfile

import numpy
import pandas
import pyarrow
import pyarrow.parquet
import pytest
from live.oracle import MIB, expected_etag, noise, stored_body, stored_keys, unfinished_uploads
from live.program import output
from PIL import Image

KIB = 1024
BODY = noise(18 * MIB)


@pytest.fixture
def store(s3, counted, proxy, remote):
    """Store bytes, return the object as the driver behind the proxy has it, and begin to count."""

    def put(body, key="key"):
        s3.upload_fileobj(io.BytesIO(body), remote.name, key)
        obj = counted.get_object(remote.name, key)
        proxy.requests.clear()
        return obj

    return put


@pytest.fixture
def new_file(counted, remote):
    """Open an object for writing."""
    return lambda **options: counted.ex_open(remote, "wb", object_name="key", **options)


def copied(file):
    """Return what a file holds, copied as programs do."""
    sink = io.BytesIO()
    shutil.copyfileobj(file, sink, 64 * KIB)
    return sink.getvalue()


@pytest.mark.parametrize("size", [0, 1, 64 * KIB, 64 * KIB + 1, 5 * MIB, 18 * MIB])
def test_reading_on(counted, store, proxy, size):
    """Objects of all sizes are read to their end; a small one takes one request."""
    with counted.ex_open(store(BODY[:size])) as file:
        assert copied(file) == BODY[:size]
    assert size > 64 * KIB or len(proxy.requests) == 1


@pytest.mark.parametrize("read", [lambda member: member.read(), copied], ids=["whole", "pieces"])
def test_a_member_of_an_archive(counted, store, proxy, read):
    """A member of 1 MiB of 200 MiB takes at most 6 requests, and 512 KiB more than it has."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        for number in range(200):
            packed.writestr(f"directory/member-{number:03d}.bin", noise(MIB, number))
    obj = store(archive.getvalue())
    with counted.ex_open(obj) as file, zipfile.ZipFile(file) as packed:
        assert read(packed.open("directory/member-123.bin")) == noise(MIB, 123)
    assert len(proxy.requests) <= 6
    assert proxy.bytes_down <= MIB + 512 * KIB


@pytest.mark.parametrize("mode", ["r:", "r|"])
def test_an_archive_is_listed_and_unpacked(counted, store, mode):
    """tarfile reads an archive of many small files and some large ones."""
    archive, sizes = io.BytesIO(), [10, 200_000, 3 * MIB] * 5
    with tarfile.open(fileobj=archive, mode="w") as packed:
        for number, size in enumerate(sizes):
            member = tarfile.TarInfo(str(number))
            member.size = size
            packed.addfile(member, io.BytesIO(BODY))
    with (
        counted.ex_open(store(archive.getvalue())) as file,
        tarfile.open(fileobj=file, mode=mode) as packed,
    ):
        for member, size in zip(packed, sizes, strict=True):
            assert packed.extractfile(member).read() == BODY[:size]


def test_a_column_of_a_table(counted, store, proxy):
    """A column of a Parquet file of 8 row groups takes at most 12 requests."""
    rows, random = 400_000, numpy.random.default_rng(1)
    table = pyarrow.table({f"c{number}": random.integers(2**62, size=rows) for number in range(10)})
    written = io.BytesIO()
    pyarrow.parquet.write_table(table, written, row_group_size=rows // 8, use_dictionary=False)
    obj = store(written.getvalue())
    with counted.ex_open(obj) as file:
        opened = pyarrow.parquet.ParquetFile(file)
        assert opened.num_row_groups == 8
        assert opened.read(columns=["c5"]) == table.select(["c5"])
    assert len(proxy.requests) <= 12
    assert proxy.bytes_down < obj.size / 3
    proxy.requests.clear()
    with counted.ex_open(obj) as file:
        read = pandas.read_parquet(file, columns=["c5"])
        assert (read["c5"] == table["c5"].to_numpy()).all()
    assert len(proxy.requests) <= 12


def test_tables_and_pictures(counted, store, new_file):
    """pandas writes and reads tables; Pillow reads a picture, and its size from one request."""
    frame = pandas.DataFrame({"name": ["żółw", "kot"] * 50_000, "size": range(100_000)})
    with new_file() as file:
        frame.to_parquet(file)
    with counted.ex_open(file.obj) as file:
        assert pandas.read_parquet(file).equals(frame)
    with new_file() as file:
        frame.to_csv(file, index=False)
    with counted.ex_open(file.obj) as file:
        assert pandas.read_csv(file).equals(frame)
    picture = Image.frombytes("RGB", (1000, 700), noise(2_100_000))
    with new_file() as file:
        picture.save(file, "PNG")
    with counted.ex_open(file.obj) as file, Image.open(file) as seen:
        assert seen.size == (1000, 700)
        assert seen.tobytes() == picture.tobytes()


def test_text(counted, new_file):
    """A text wrapper writes and reads lines."""
    with new_file() as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        csv.writer(text).writerows([number, "żółw"] for number in range(100_000))
        text.flush()
    with io.TextIOWrapper(counted.ex_open(file.obj), encoding="utf-8", newline="") as text:
        assert list(csv.reader(text)) == [[str(number), "żółw"] for number in range(100_000)]


def test_archives_are_written(counted, new_file):
    """zipfile, tarfile and gzip write what they read again."""
    with new_file() as file, zipfile.ZipFile(file, "w") as packed:
        packed.writestr("a", BODY)
    with counted.ex_open(file.obj) as file, zipfile.ZipFile(file) as packed:
        assert packed.read("a") == BODY
    with new_file() as file, tarfile.open(fileobj=file, mode="w|gz") as packed:
        member = tarfile.TarInfo("a")
        member.size = len(BODY)
        packed.addfile(member, io.BytesIO(BODY))
    with counted.ex_open(file.obj) as file, tarfile.open(fileobj=file, mode="r|gz") as packed:
        assert packed.extractfile(packed.next()).read() == BODY
    with new_file() as file, gzip.open(file, "w", compresslevel=1) as packed:
        packed.write(BODY)
    with counted.ex_open(file.obj) as file, gzip.open(file) as packed:
        assert packed.read() == BODY


@pytest.mark.parametrize("size", [0, 1, 5 * MIB, 5 * MIB + 1, 18 * MIB])
def test_what_is_written_is_stored(s3, remote, new_file, proxy, size):
    """Any number of bytes becomes an object; up to one part with one request."""
    proxy.requests.clear()
    with new_file(extra={"meta_data": {"a": "b"}, "tags": {"c": "d"}}) as file:
        for start in range(0, size, 300_000):
            file.write(BODY[start : min(size, start + 300_000)])
    assert size > 5 * MIB or len(proxy.requests) == 1
    assert stored_body(s3, remote, "key") == BODY[:size]
    assert (file.obj.size, file.obj.hash) == (size, expected_etag(BODY[:size]))
    assert s3.head_object(Bucket=remote.name, Key="key")["Metadata"] == {"a": "b"}
    tags = s3.get_object_tagging(Bucket=remote.name, Key="key")["TagSet"]
    assert tags == [{"Key": "c", "Value": "d"}]


@pytest.mark.parametrize("size", [1, 18 * MIB])
@pytest.mark.parametrize("end", ["exception", "abort", "forgotten"])
@pytest.mark.filterwarnings("ignore:object 'key' is not stored:ResourceWarning")
def test_nothing_is_left_of_a_file_that_is_given_up(s3, remote, new_file, size, end):
    """An exception, abort(), or a file that nobody holds any more leave no object and no part."""
    file = new_file()
    if end == "exception":
        with pytest.raises(ZeroDivisionError), file:  # noqa: PT012
            file.write(BODY[:size])
            raise ZeroDivisionError
    else:
        file.write(BODY[:size])
    if end == "abort":
        file.abort()
    del file
    assert stored_keys(s3, remote.name) == []
    assert unfinished_uploads(s3, remote.name) == []


@pytest.mark.parametrize("line", ["", "raise SystemExit"])
def test_nothing_is_left_when_python_ends(s3, cluster, bucket, line):
    """A file that is still open when a program ends is aborted."""
    code = f"""
file = driver.ex_open(container, "wb", object_name="key")
file.write(bytes({12 * MIB}))
{line}
"""
    output(code, user=cluster.owner, port=cluster.port, bucket=bucket.name)
    assert stored_keys(s3, bucket.name) == []
    assert unfinished_uploads(s3, bucket.name) == []


def test_a_version_is_read(s3, driver, bucket):
    """A file of a version is that version, whatever is stored meanwhile."""
    s3.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=bucket.name, Key="key", Body=BODY)
    [obj] = driver.ex_iterate_object_versions(bucket)
    with driver.ex_open(obj) as file:
        s3.put_object(Bucket=bucket.name, Key="key", Body=b"new")
        assert copied(file) == BODY
    driver.ex_empty_container(bucket, ex_versions=True)


def test_an_encrypted_object(cluster, make_driver, bucket):
    """A customer's key opens a file for writing and for reading."""
    driver = make_driver(secure=True, port=cluster.tls_port, ex_verify_ssl=str(cluster.ca_file))
    with driver.ex_open(bucket, "wb", object_name="key", ex_customer_key=bytes(32)) as file:
        file.write(BODY)
    with driver.ex_open(file.obj, ex_customer_key=bytes(32)) as file:
        assert copied(file) == BODY
