"""A stream that is cut into parts, and a file that is read by offset."""

import array
import errno
import gzip
import io
import os
import random
import tempfile
import tracemalloc
import zlib
from collections import deque
from itertools import repeat

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from libcloud_aurora._s3.signing import views_of
from libcloud_aurora._transfer.sources import (
    KEPT_SIZE,
    FileParts,
    StreamParts,
    UnreadableError,
    as_bytes,
    chunks_of,
)
from libcloud_aurora.config import BUFFER_SIZE
from libcloud_aurora.errors import FileChangedError

MIB = 1_048_576

pytestmark = pytest.mark.usefixtures("tiny_parts")
#: What pytest sets up for a test serves all of its examples.
any_example = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def cut(stream, part_size, size=None):
    """Return the bytes of each part, giving every buffer back for reuse."""
    found = []
    parts = StreamParts(stream, part_size, size)
    for part in parts:
        found.append(content(part))
        assert (part.number, part.size) == (len(found), len(found[-1]))
        parts.release(part)
    return found


def content(part):
    """Return the bytes of a part."""
    return b"".join(map(bytes, views_of(part.body)))


@any_example
@given(
    st.lists(st.binary(max_size=30), max_size=12),
    st.integers(1, 40),
    st.sampled_from([bytes, bytearray, memoryview]),
)
@example([], 5, bytes)
@example([b""], 5, bytes)
@example([b"12345", b"", b"12345"], 5, bytes)
def test_any_chunks_make_the_same_parts(chunks, size, kind):
    """However a stream is cut into chunks, its parts are the same: all full but the last."""
    data = b"".join(chunks)
    expected = [data[at : at + size] for at in range(0, len(data), size)] or [b""]
    assert cut(iter([kind(chunk) for chunk in chunks]), size) == expected


@any_example
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=9), max_size=9))
def test_text_goes_as_utf_8(chunks):
    """Chunks of text are sent as UTF-8."""
    assert b"".join(cut(chunks, 7)) == "".join(chunks).encode()


class Reader:
    """A file-like object of which nothing is known but read()."""

    def __init__(self, *chunks):
        self.chunks = list(chunks)

    def read(self, size):
        return self.chunks.pop(0) if self.chunks else b""


class OldIterator:
    """An object that can only say what comes next."""

    def __init__(self, *chunks):
        self.chunks = list(chunks)

    def __next__(self):
        if not self.chunks:
            raise StopIteration
        return self.chunks.pop(0)


class Sized(list):
    """An iterable whose length counts chunks, not bytes."""


@pytest.mark.parametrize(
    "stream",
    [
        b"hello world",
        bytearray(b"hello world"),
        memoryview(b"hello world"),
        "hello world",
        ["hello", b" ", "world"],
        ("hello", b" world"),
        Sized(["hello ", "world"]),
        iter([b"hello world"]),
        (chunk for chunk in (b"hello", b"", b" world", b"")),
        OldIterator(b"hello ", b"world"),
        io.BytesIO(b"hello world"),
        io.StringIO("hello world"),
        io.BufferedReader(io.BytesIO(b"hello world")),
        Reader(b"hello ", b"world"),
        map(bytes, [b"hello ", b"world"]),
        iter([array.array("B", b"hello world")]),
        iter([array.array("H", b"hello worl"), b"d"]),
    ],
    ids=lambda stream: type(stream).__name__,
)
def test_all_kinds_of_input_are_taken(stream):
    """Files, iterables of bytes or text, old iterators and plain bytes give their bytes."""
    assert cut(stream, 4) == [b"hell", b"o wo", b"rld"]


def test_spooled_and_compressed_files_are_taken():
    """A spooled file and a file that decompresses as it is read give their bytes."""
    with tempfile.SpooledTemporaryFile() as spooled:
        spooled.write(b"spooled")
        spooled.seek(0)
        assert cut(spooled, 10) == [b"spooled"]
    packed = io.BytesIO(gzip.compress(b"packed"))
    with gzip.open(packed) as unpacked:
        assert cut(unpacked, 10) == [b"packed"]


def test_an_empty_chunk_is_not_the_end():
    """A compressing generator, which yields empty chunks, is read to its end."""
    data = os.urandom(100_000)

    def compress():
        packer = zlib.compressobj()
        for at in range(0, len(data), 10):
            yield packer.compress(data[at : at + 10])
        yield packer.flush()

    assert zlib.decompress(b"".join(cut(compress(), 999))) == data


@pytest.mark.parametrize("stream", [7, None, object()])
def test_what_is_no_stream_is_refused(stream):
    """An object that is neither a file nor an iterable is a TypeError."""
    with pytest.raises(TypeError, match="iterator must be a file or an iterable"):
        list(chunks_of(stream))


@pytest.mark.parametrize("chunk", [7, None, [b"x"], {"a": 1}])
def test_what_is_no_chunk_is_refused(chunk):
    """A chunk that is neither bytes nor text is a TypeError that says what it is."""
    with pytest.raises(TypeError, match=f"not {type(chunk).__name__}"):
        cut(iter([chunk]), 4)


def test_a_file_that_does_not_block_is_refused():
    """A read() that returns None does not end the stream silently."""
    with pytest.raises(TypeError, match="read\\(\\) returned None"):
        cut(Reader(b"x", None), 4)


def test_chunks_become_bytes_like_without_a_copy():
    """Bytes-like chunks are used in place, whatever their item size."""
    assert as_bytes("ż") == b"\xc5\xbc"
    numbers = array.array("I", [1, 2])
    view = as_bytes(numbers)
    assert (view.format, len(view), view.obj) == ("B", 8, numbers)


def test_an_empty_chunk_may_have_any_shape():
    """Rows of a table of which there are none are an empty chunk."""
    empty = memoryview(bytes(6)).cast("B", (2, 3))[:0]
    assert cut(iter([b"ab", empty, b"c"]), 5) == [b"abc"]


def test_a_view_with_gaps_is_sent_as_its_bytes():
    """A view of every second byte is a chunk of these bytes."""
    assert cut(iter([memoryview(b"abcdef")[::2]]), 5) == [b"ace"]


def test_a_failure_of_the_stream_passes_through():
    """An exception of the caller's iterator is what the caller gets."""

    def failing():
        yield b"12"
        raise RuntimeError("disk gone")

    with pytest.raises(RuntimeError, match="disk gone"):
        cut(failing(), 4)


@pytest.mark.parametrize(
    ("chunks", "only"),
    [([], b""), ([b"123"], b"123"), ([b"12345"], b"12345"), ([b"12", b"", b"345", b""], b"12345")],
)
def test_a_short_stream_has_an_only_part(chunks, only):
    """A stream that ends within its first part has that part only."""
    part = StreamParts(iter(chunks), 5).only_part()
    assert content(part) == only
    assert part.size == len(only)


def test_a_longer_stream_keeps_its_first_part():
    """A stream that goes on has no only part, and loses nothing by being asked."""
    parts = StreamParts(iter([b"1234567"]), 5)
    assert parts.only_part() is None
    assert [content(part) for part in parts] == [b"12345", b"67"]
    parts.check_unchanged()


@pytest.mark.parametrize("size", [0, 1, 5, 12])
def test_a_promised_size_is_kept(size):
    """A stream of exactly the promised size is cut as planned."""
    data = bytes(range(size))
    expected = [data[at : at + 5] for at in range(0, size, 5)] or [b""]
    assert cut(io.BytesIO(data), 5, size) == expected


@pytest.mark.parametrize(("holds", "promised"), [(3, 4), (0, 1), (9, 10), (10, 15), (5, 15)])
def test_a_stream_that_is_too_short_is_an_error(holds, promised):
    """A stream that holds fewer bytes than promised is an error that says how many."""
    with pytest.raises(ValueError, match=f"has {holds} bytes, not {promised} \\(ex_size\\)"):
        cut(io.BytesIO(bytes(holds)), 5, promised)


@pytest.mark.parametrize(("holds", "promised"), [(5, 4), (11, 10), (100, 10), (1, 0)])
def test_a_stream_that_is_too_long_is_an_error(holds, promised):
    """A stream that holds more bytes than promised is an error that names ex_size."""
    with pytest.raises(ValueError, match=f"longer than {promised} bytes.*ex_size"):
        cut(io.BytesIO(bytes(holds)), 5, promised)


@pytest.mark.parametrize("size", [-1, 5 * 1024**4 + 1, "5", 1.5, True])
def test_impossible_sizes_are_refused(size):
    """A size no object can have is a ValueError that names the argument."""
    with pytest.raises(ValueError, match="ex_size"):
        StreamParts(b"", 5 * MIB, size)


def test_a_stream_beyond_the_plan_is_an_error():
    """A stream that goes on after 10,000 parts, which hold 5 TiB, is an error that says so."""
    chunk = bytes(1024 * MIB)  # never touched, so that it takes no memory
    count = total = 0
    with pytest.raises(ValueError, match="longer than 5497558138880 bytes"):  # noqa: PT012
        for part in StreamParts(repeat(chunk), 5 * MIB):
            count, total = part.number, total + part.size
    assert count == 10_000
    assert total >= 5 * 1024**4


def test_memory_of_growing_parts_is_theirs():
    """While parts grow, memory is what the parts hold that are in flight, and one more."""
    chunk, held, budget = bytes(50_000), deque(), 30 * MIB
    sizes = []
    tracemalloc.start()
    try:
        parts = StreamParts(repeat(chunk, 5_000), 100_000)
        for part in parts:
            sizes.append(part.size)
            held.append(part)
            while sum(each.size for each in held) > budget:
                parts.release(held.popleft())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sizes[999] == 100_000 < sizes[1000] == max(sizes) < budget / 2
    assert peak < budget + 2 * max(sizes)


@pytest.mark.parametrize("seed", range(20))
def test_chunks_of_all_sizes_and_kinds_make_the_same_parts(seed):
    """Chunks that are kept and chunks that are copied, in any order, lose and swap nothing."""
    draw = random.Random(seed)
    sizes = [draw.choice([0, 1, 100, KEPT_SIZE - 1, KEPT_SIZE, 3 * KEPT_SIZE]) for _ in range(30)]
    chunks = [draw.randbytes(size) for size in sizes]
    data = b"".join(chunks)

    def reusing():
        memory = bytearray(3 * KEPT_SIZE)
        for chunk in chunks:
            memory[: len(chunk)] = chunk
            kind = draw.choice(["bytes", "bytearray", "a view of memory that is used again"])
            if kind == "bytes":
                yield chunk
            elif kind == "bytearray":
                yield bytearray(chunk)
            else:
                yield memoryview(memory)[: len(chunk)]

    expected = [data[at : at + MIB] for at in range(0, len(data), MIB)]
    assert cut(reusing(), MIB) == expected


def test_a_large_chunk_is_sent_as_it_is():
    """Bytes that cannot change are not copied; each part refers to its share of them."""
    chunk = bytes(4 * KEPT_SIZE)
    parts = list(StreamParts(iter([chunk, chunk]), 3 * KEPT_SIZE))
    views = [list(views_of(part.body)) for part in parts]
    assert [[len(view) // KEPT_SIZE for view in each] for each in views] == [[3], [1, 2], [2]]
    assert all(view.obj is chunk for each in views for view in each)


def test_a_large_chunk_is_sent_as_it_is_after_a_small_one():
    """A chunk that follows the first bytes of a stream is not copied in order to look at these."""
    chunk = bytes(4 * KEPT_SIZE)
    head, *rest = (
        view
        for part in StreamParts(iter([b"header", chunk]), 3 * KEPT_SIZE)
        for view in views_of(part.body)
    )
    assert head == b"header"
    assert all(view.obj is chunk for view in rest)


@pytest.mark.parametrize("kind", [bytearray, lambda data: memoryview(bytearray(data))])
def test_a_chunk_that_may_change_is_copied_part_by_part(kind):
    """Of a chunk of any size that must be copied, only what the next part needs is in memory."""
    chunk = kind(bytes(64 * MIB))
    tracemalloc.start()
    try:
        part = next(iter(StreamParts([chunk], MIB)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert part.size == MIB
    assert peak < 2 * MIB


def test_a_large_chunk_is_not_copied_over_and_over():
    """Of one chunk of many parts only its end is copied."""
    chunk = bytes(8 * MIB)
    parts = list(StreamParts([chunk], 1024, len(chunk)))
    assert len(parts) == 8192
    views = [view for part in parts for view in part.body.views]
    assert sum(len(view) for view in views if view.obj is not chunk) < KEPT_SIZE


def file_parts(path, part_size=5):
    return FileParts(str(path), part_size)


@pytest.mark.parametrize("data", [b"", b"1", b"12345"])
def test_a_small_file_has_an_only_part(tmp_path, data):
    """A file of at most one part has an only part."""
    (tmp_path / "f").write_bytes(data)
    with file_parts(tmp_path / "f") as parts:
        part = parts.only_part()
        assert content(part) == data
        parts.check_unchanged()


def test_parts_of_a_file_are_read_in_any_order(tmp_path):
    """A larger file's parts are read by offset, in any order, any number of times."""
    (tmp_path / "f").write_bytes(b"0123456789ab")
    with file_parts(str(tmp_path / "f")) as parts:
        assert parts.only_part() is None
        found = list(parts)
        assert [(part.number, part.size) for part in found] == [(1, 5), (2, 5), (3, 2)]
        assert [content(part) for part in reversed(found)] == [b"ab", b"56789", b"01234"]
        assert content(found[0]) == b"01234"
        assert [part.body.size for part in found] == [5, 5, 2]
        for part in found:
            parts.release(part)


def test_a_part_of_a_file_holds_one_chunk(tmp_path):
    """Whatever its size, a part of a file is in memory by chunks only."""
    data = os.urandom(2 * BUFFER_SIZE + 7)
    (tmp_path / "f").write_bytes(data + b"next")
    with file_parts(tmp_path / "f", len(data)) as parts:
        part = next(iter(parts))
        sizes = [len(chunk) for (chunk,) in part.body.chunks()]
        assert sizes == [BUFFER_SIZE, BUFFER_SIZE, 7]
        assert content(part) == data
        assert part.memory == BUFFER_SIZE


def test_a_disk_that_fails_is_not_a_network_that_fails(tmp_path, monkeypatch):
    """An error of the file while it is sent is kept apart from those of the connection."""
    broken = OSError(errno.EIO, "Input/output error")

    def preadv(*_):
        raise broken

    (tmp_path / "f").write_bytes(b"0123456789")
    with file_parts(tmp_path / "f") as parts:
        monkeypatch.setattr(os, "preadv", preadv)
        with pytest.raises(UnreadableError) as caught:
            content(next(iter(parts)))
    assert caught.value.reason is broken


def test_a_missing_file_is_an_os_error(tmp_path):
    """A file that cannot be opened is the system's error."""
    with pytest.raises(FileNotFoundError):
        file_parts(tmp_path / "none")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(IsADirectoryError, match=str(tmp_path)):
        file_parts(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_has_no_size_is_refused(tmp_path):
    """A file whose size says nothing is refused, never stored as an empty object."""
    os.mkfifo(tmp_path / "pipe")
    for path in ("/proc/self/status", tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(ValueError, match="regular file"):
            file_parts(path)


def test_a_file_that_cannot_be_cut_is_closed_again(tmp_path):
    """When no plan exists for its size, the file is closed and the error passed on."""
    (tmp_path / "f").write_bytes(b"")
    os.truncate(tmp_path / "f", 5 * 1024**4 + 1)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ValueError, match="5 TiB"):
        file_parts(tmp_path / "f", 5 * MIB)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_that_shrinks_is_an_error(tmp_path):
    """A file that has become shorter is an error that names it."""
    (tmp_path / "f").write_bytes(b"12345")
    with file_parts(tmp_path / "f") as parts:
        os.truncate(tmp_path / "f", 3)
        with pytest.raises(FileChangedError, match="/f' changed while it was sent"):
            parts.only_part()


@pytest.mark.parametrize("change", ["grow", "touch", "write"])
def test_a_file_that_changes_is_an_error(tmp_path, change):
    """A file that has changed is noticed at the end, also if it looks as it did."""
    path = tmp_path / "f"
    path.write_bytes(b"12345")
    before = path.stat()
    with file_parts(path) as parts:
        assert parts.only_part()
        parts.check_unchanged()
        if change == "grow":
            with open(path, "ab") as file:
                file.write(b"6")
        elif change == "touch":
            os.utime(path, ns=(1, 1))
        else:
            while path.stat().st_ctime_ns == before.st_ctime_ns:  # the kernel's clock ticks
                path.write_bytes(b"54321")
                os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
            assert path.stat().st_mtime_ns == before.st_mtime_ns
        with pytest.raises(FileChangedError):
            parts.check_unchanged()


def test_who_is_told_hears_all_that_is_sent(tmp_path):
    """Progress is told the bytes sent so far, and the size where it is known."""
    (tmp_path / "f").write_bytes(b"0123456789")
    seen = []

    def progress(*numbers):
        seen.append(numbers)

    with FileParts(str(tmp_path / "f"), 5, progress) as parts:
        for count in (0, 4, 6):
            parts.moved(count)
    for size in (None, 10):
        StreamParts(b"0123456789", 5, size, progress).moved(7)
    quiet = StreamParts(b"0123456789", 5)
    quiet.moved(7)
    assert seen == [(0, 10), (4, 10), (10, 10), (7, None), (7, 10)]
    assert quiet.sent == 7
