"""_buffers: memory that is used again and again."""

from libcloud_aurora._buffers import Buffers


def test_buffers_are_used_again():
    """A buffer that is given back is taken again if it is large enough."""
    buffers = Buffers()
    first = buffers.take(10)
    buffers.give(first)
    assert buffers.take(8) is first
    buffers.give(first)
    larger = buffers.take(11)
    assert larger is not first
    assert len(larger) == 11


def test_smaller_buffers_are_not_kept():
    """Once a larger buffer is asked for, the smaller ones are gone."""
    buffers = Buffers()
    for buffer in [buffers.take(10) for _ in range(3)]:
        buffers.give(buffer)
    buffers.take(11)
    assert len(buffers.take(8)) == 8
