"""A bounded window of work on threads, and the one order of ending."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import NamedTuple, TypeVar

from libcloud_aurora.errors import AuroraObjectsError

T = TypeVar("T")

#: What the names of worker threads begin with.
THREAD_NAME = "libcloud-aurora"


class Workers:
    """The threads of one driver: started when first needed, reused, ended by :meth:`close`."""

    def __init__(self, max_workers: int) -> None:
        self.max_workers = max_workers
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None

    def submit(self, task: Callable[[], T]) -> Future[T]:
        with self._lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(
                    self.max_workers, thread_name_prefix=THREAD_NAME
                )
            return self._executor.submit(task)

    def close(self) -> None:
        """End the threads once their work is done."""
        with self._lock:
            executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=True)


class Gate:
    """
    Counts the tasks of one transfer that run, and lets none begin once it is closed.

    Futures cannot do that: Ctrl-C inside ``submit`` loses one whose task runs all the same.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._pid = os.getpid()
        self._active = 0
        self._closed = False

    def guard(self, call: Callable[[], T]) -> Callable[[], T]:
        """Return the call, to be counted while it runs, and cancelled if the gate is closed."""

        def guarded() -> T:
            with self._changed:
                if self._closed:
                    raise CancelledError
                self._active += 1
            try:
                return call()
            finally:
                with self._changed:
                    self._active -= 1
                    self._changed.notify_all()

        return guarded

    def close(self) -> None:
        """
        Wait until nothing runs any more; a Ctrl-C meanwhile is raised afterwards.

        A forked child has nothing to wait for. Nor must a worker wait, for itself in the end, when
        the garbage collector closes an abandoned stream in it.
        """
        if self._is_foreign() or threading.current_thread().name.startswith(THREAD_NAME):
            self._closed = True
            return
        interrupt: KeyboardInterrupt | None = None
        while True:
            try:
                with self._changed:
                    self._closed = True
                    self._changed.wait_for(lambda: self._active == 0)
                break
            except KeyboardInterrupt as exc:
                interrupt = exc
        if interrupt is not None:
            raise interrupt

    def result(self, future: Future[T]) -> T:
        """
        Return what a guarded call has returned.

        :raises AuroraObjectsError: in a forked child, where nobody runs the call.
        """
        if self._is_foreign():
            raise AuroraObjectsError(
                "an iterator of AuroraObjects that was begun before a fork cannot go on in the "
                "child; begin it again."
            )
        return future.result()

    def _is_foreign(self) -> bool:
        return self._pid != os.getpid()


class Task(NamedTuple):
    """Something to do on a worker, and the bytes of memory it holds until it is done."""

    call: Callable[[], object]
    size: int = 0


class Window:
    """
    Runs the tasks of one transfer, a few at a time.

    The caller's thread pulls the tasks, reports progress and collects results; workers do the rest.
    With a limit of 1 everything happens in the caller's thread.

    :param workers: Threads to run on.
    :param limit: Most tasks at once.
    :param budget: Most bytes that running tasks may hold; a larger task runs alone.
    :param on_bytes: Called in the caller's thread with each count given to :meth:`moved`.
    """

    def __init__(
        self,
        workers: Workers,
        *,
        limit: int,
        budget: int = 0,
        on_bytes: Callable[[int], None] = lambda count: None,
    ) -> None:
        self.stop = threading.Event()
        self._gate = Gate()
        self._workers = workers
        self._limit = limit
        self._budget = budget
        self._on_bytes = on_bytes
        self._running: dict[Future[object], int] = {}
        self._events: SimpleQueue[int | Future[object]] = SimpleQueue()

    def moved(self, count: int) -> None:
        """Report bytes moved, from any thread."""
        if self._limit == 1:
            self._on_bytes(count)
        else:
            self._events.put(count)

    def run(self, tasks: Iterable[Task], on_result: Callable[[object], None]) -> None:
        """
        Run all tasks and hand over their results as they come.

        Whatever ends it - the last result, the first failure of a task, of the iterable or of a
        callback, or Ctrl-C - no task runs any more when it returns.
        """
        if self._limit == 1:
            for task in tasks:
                on_result(task.call())
            return
        try:
            for task in tasks:
                while self._is_full(task):
                    self._collect(on_result)
                future = self._workers.submit(self._gate.guard(task.call))
                self._running[future] = task.size
                future.add_done_callback(self._events.put)
            while self._running:
                self._collect(on_result)
            while not self._events.empty():
                self._collect(on_result)
        finally:
            self.stop.set()
            for future in self._running:
                future.cancel()
            self._gate.close()

    def _is_full(self, task: Task) -> bool:
        held = sum(self._running.values())
        crowded = len(self._running) >= self._limit or held + task.size > self._budget > 0
        return bool(self._running) and crowded

    def _collect(self, on_result: Callable[[object], None]) -> None:
        event = self._events.get()
        if isinstance(event, int):
            self._on_bytes(event)
        else:
            del self._running[event]
            on_result(event.result())
