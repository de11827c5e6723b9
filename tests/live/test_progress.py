"""Progress is told truthfully, and in the caller's thread."""

import threading

import pytest
from live.oracle import MIB, PART, noise


class Recorder:
    """Remembers what progress was told, and in which thread."""

    def __init__(self):
        self.done, self.totals, self.threads = [], set(), set()

    def __call__(self, done, total):
        self.done.append(done)
        self.totals.add(total)
        self.threads.add(threading.get_ident())

    def check(self, size, total):
        """Progress grows, ends at the size and came in this thread."""
        assert self.done == sorted(self.done)
        assert self.done[-1] == size
        assert self.totals == {total}
        assert self.threads == {threading.get_ident()}


@pytest.mark.parametrize("size", [0, 10, 23 * MIB], ids=["empty", "small", "parts"])
def test_progress(driver, bucket, size, tmp_path):
    """Progress comes in the caller's thread, never falls back, and ends exactly at the size."""
    (tmp_path / "file").write_bytes(noise(size))
    calls = [Recorder() for _ in range(5)]
    item = driver.upload_object(str(tmp_path / "file"), bucket, "key", ex_progress=calls[0])
    driver.upload_object_via_stream(iter([noise(size)]), bucket, "key", ex_progress=calls[1])
    driver.upload_object_via_stream(
        iter([noise(size)]), bucket, "key", ex_size=size, ex_progress=calls[2]
    )
    driver.download_object(item, str(tmp_path / "copy"), ex_progress=calls[3])
    list(driver.download_object_as_stream(item, ex_progress=calls[4]))
    for recorder, total in zip(calls, (size, None, size, size, size), strict=True):
        recorder.check(size, total)
    assert len(calls[0].done) >= -(-size // PART)
