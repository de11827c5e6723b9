"""Pure: how an object is cut into parts and ranges, and what its ETag must be."""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise, repeat

from libcloud_aurora.config import MAX_OBJECT_SIZE, MAX_PART_SIZE, MAX_PARTS, MIB, MIN_PART_SIZE

#: Parts of an upload of unknown size that keep the first part's size.
EVEN_PARTS = 1_000
#: Parts after which a stream's parts have grown by one more step of whole MiB.
GROWTH_STEP = 100

#: Part sizes in MiB to try first: that of this driver's copies, and other clients' defaults.
COMMON_PART_SIZES = (64, 5, 8, 16, 50, 10, 15, 100, 20, 25, 32, 128, 200, 256, 512)

#: Most ranges of one download, planned all at once; over 160 GB, ranges are larger.
MAX_RANGES = 10_000

_COMPOSITE_ETAG = re.compile(r"[0-9a-f]{32}-([1-9][0-9]{0,4})")
_PLAIN_ETAG = re.compile(r"[0-9a-f]{32}")


def plan_part_sizes(
    object_size: int | None = None, part_size: int = MIN_PART_SIZE
) -> Iterator[int]:
    """
    Yield the sizes of the parts of one upload, in order.

    A known size is cut into equal parts of ``part_size``, or of as few whole MiB as 10,000 parts
    allow. An unknown size keeps ``part_size`` for the first 1,000 parts and then grows gently, so
    that 10,000 parts hold 5 TiB. The limits are radosgw's: 10,000 parts of 5 MiB to 5 GiB each, of
    which the last may be smaller.

    :param object_size: Size of the object in bytes, or ``None`` if it is not known.
    :param part_size: Desired size of a part in bytes.
    :return: Sizes in bytes, which add up to a known size.
    :raises ValueError: if a size is out of range.
    """
    if not MIN_PART_SIZE <= part_size <= MAX_PART_SIZE:
        raise ValueError(f"part_size must be from 5 MiB to 5 GiB, not {part_size!r} bytes")
    if object_size is None:
        return _growing_sizes(part_size)
    if not 0 <= object_size <= MAX_OBJECT_SIZE:
        raise ValueError(f"object_size must be from 0 bytes to 5 TiB, not {object_size!r} bytes")
    needed = -(-object_size // MAX_PARTS)
    size = part_size if needed <= part_size else -(-needed // MIB) * MIB
    return (min(size, object_size - offset) for offset in range(0, object_size, size))


def _growing_sizes(part_size: int) -> Iterator[int]:
    """Grow at each step by the fewest whole MiB with which 10,000 parts hold 5 TiB."""
    groups = (MAX_PARTS - EVEN_PARTS) // GROWTH_STEP
    steps = GROWTH_STEP * groups * (groups + 1) // 2
    missing = max(0, MAX_OBJECT_SIZE - MAX_PARTS * part_size)
    step = -(-missing // (steps * MIB)) * MIB
    for number in range(MAX_PARTS):
        grown = max(0, 1 + (number - EVEN_PARTS) // GROWTH_STEP)
        yield min(part_size + grown * step, MAX_PART_SIZE)


def plan_ranges(
    start: int, stop: int, *, concurrency: int, smallest: int, largest: int
) -> list[tuple[int, int]]:
    """
    Cut a span of bytes into equal ranges, so that all connections end at about the same time.

    :param start: First byte.
    :param stop: Byte after the last.
    :param concurrency: Ranges fetched at once; the count is a multiple of it where sizes allow.
    :param smallest: Fewest bytes worth a request of their own.
    :param largest: Most bytes of one range.
    :return: ``(start, stop)`` of each range, ``stop`` exclusive.
    """
    size = stop - start
    rounds = -(-size // (concurrency * largest))
    count = max(1, min(concurrency * rounds, size // smallest, MAX_RANGES))
    edges = [start + size * index // count for index in range(count + 1)]
    return list(pairwise(edges))


def fit_ranges(
    ranges: Sequence[tuple[int, int]], ends: Sequence[int], *, largest: int, step: int
) -> list[tuple[int, int]]:
    """
    Fit ranges to the parts of an object, each of which can only be hashed from its start on.

    :param ranges: ``(start, stop)`` of ranges that join.
    :param ends: End of each part in bytes.
    :param largest: Longest part with which ranges end where parts end, in bytes.
    :param step: Most bytes of a range where parts are longer: the sooner ranges end, the less is
        left to be hashed after the last.
    :return: Ranges of the same bytes, the first as it was.
    """
    start, first = ranges[0]
    step = max(step, ends[-1] // MAX_RANGES)
    edges = {first}
    is_long = max(end - begin for begin, end in pairwise([0, *ends])) > largest
    for begin, end in ranges[1:]:
        if is_long:
            count = -(-(end - begin) // step)
            edges.update(begin + (end - begin) * index // count for index in range(1, count + 1))
        else:
            edges.add(ends[bisect_left(ends, end)])
    return list(pairwise([start, *sorted(edges)]))


def composite_etag(part_etags: Sequence[str]) -> str:
    """
    Return the ETag radosgw gives an object assembled from parts.

    :param part_etags: MD5 of each part in hexadecimal, in order of the part numbers.
    :return: ``md5(md5(part 1) ... md5(part n))-n`` without quotes.
    """
    digest = hashlib.md5(bytes.fromhex("".join(part_etags)), usedforsecurity=False)
    return f"{digest.hexdigest()}-{len(part_etags)}"


def own_layouts(object_size: int, etag: str, part_size: int) -> list[list[int]]:
    """
    Return the ways in which this driver would have cut an object of this size and ETag.

    :param object_size: Size of the object in bytes.
    :param etag: The object's ETag without quotes.
    :param part_size: The driver's part size in bytes.
    :return: Layouts, each the end of every part in bytes; none if the ETag has another number of
        parts, or is not one of Ceph's.
    """
    count = part_count(etag)
    if count is None or object_size > MAX_OBJECT_SIZE:
        return []
    if count == 1:
        return [[object_size]]
    known = _ends(object_size, plan_part_sizes(object_size, part_size))
    unknown = _ends(object_size, plan_part_sizes(None, part_size))
    return [ends for ends in (known, unknown) if len(ends) == count]


def other_layouts(object_size: int, etag: str) -> Iterator[list[int]]:
    """
    Yield the ways in which other clients may have cut an object: equal parts of whole MiB.

    :param object_size: Size of the object in bytes.
    :param etag: The object's ETag without quotes.
    :return: Layouts that give the ETag's number of parts, the likeliest first.
    """
    count = part_count(etag) or 0
    if count < 2:
        return
    smallest = max(5, -(-object_size // (count * MIB)))
    for megabytes in dict.fromkeys([*COMMON_PART_SIZES, *range(smallest, smallest + 64)]):
        size = megabytes * MIB
        if -(-object_size // size) == count:
            yield _ends(object_size, repeat(size))


def part_count(etag: str) -> int | None:
    """
    Return the number of parts that an ETag indicates.

    :param etag: An ETag without quotes.
    :return: The number; 1 for the MD5 of a plain upload; ``None`` if it is neither.
    """
    if _PLAIN_ETAG.fullmatch(etag):
        return 1
    match = _COMPOSITE_ETAG.fullmatch(etag)
    return int(match[1]) if match else None


def _ends(object_size: int, sizes: Iterator[int]) -> list[int]:
    """Return where each part of an object ends, when parts have these sizes."""
    ends: list[int] = []
    position = 0
    while position < object_size:
        position = min(position + next(sizes), object_size)
        ends.append(position)
    return ends
