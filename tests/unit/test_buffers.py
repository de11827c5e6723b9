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
