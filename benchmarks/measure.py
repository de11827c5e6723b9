"""Wall time, CPU seconds and peak memory of a piece of work in this process."""

import contextlib
import resource
import time
from pathlib import Path


def status_bytes(field, pid="self"):
    """Return a memory figure of a process in bytes; 0 once the process has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    for line in text.splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return 0


def cpu_seconds(who):
    """Return user and system CPU seconds of this process or of its ended children."""
    usage = resource.getrusage(who)
    return usage.ru_utime, usage.ru_stime


class Meter:
    """Measures what happens inside a ``with`` block.

    For a program, the CPU time is that of its process and the memory is its whole peak. For a
    library, the memory is the growth of the peak (VmHWM) over what the imports had taken.

    :param program: The :class:`~benchmarks.programs.Program` that does the work, if one does.
    """

    def __init__(self, program=None):
        self._program = program
        self._who = resource.RUSAGE_CHILDREN if program else resource.RUSAGE_SELF

    def __enter__(self):
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts again from here
        self._memory = status_bytes("VmRSS")
        self._cpu = cpu_seconds(self._who)
        self._start = time.perf_counter()
        return self

    def __exit__(self, *exc_info):
        self.wall = time.perf_counter() - self._start
        user, system = cpu_seconds(self._who)
        self.system = system - self._cpu[1]
        self.cpu = user - self._cpu[0] + self.system
        self.memory = max(0, status_bytes("VmHWM") - self._memory)
        if self._program:
            self.memory = self._program.peak

    def figures(self):
        """Return what was measured; ``system`` is the kernel's share of ``cpu``."""
        figures = {"wall": self.wall, "cpu": self.cpu, "system": self.system}
        return {**figures, "memory": self.memory}
