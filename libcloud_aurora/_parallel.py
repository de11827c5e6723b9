"""A bounded window of work on threads, and the one order of ending."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from typing import NamedTuple, TypeVar

from libcloud_aurora._threads import Outcome, Stop, Workers, may_wait
from libcloud_aurora.errors import AuroraObjectsError

T = TypeVar("T")


class CancelledError(Exception):
    """A call was not made, because what it was for has ended."""


class Gate:
    """Counts the calls of one transfer that run, and lets none begin once it is closed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended: SimpleQueue[None] = SimpleQueue()
        self._pid = os.getpid()
        self._active = 0
        self._closed = False

    def guard(self, call: Callable[[], T]) -> Callable[[], T]:
        """Return the call, to be counted while it runs, and cancelled if the gate is closed."""

        def guarded() -> T:
            with self._lock:
                if self._closed:
                    raise CancelledError
                self._active += 1
            try:
                return call()
            finally:
                self._leave()

        return guarded

    def _leave(self) -> None:
        with self._lock:
            self._active -= 1
            if self._closed:
                self._ended.put(None)

    def close(self) -> None:
        """
        Wait until nothing runs any more; a Ctrl-C meanwhile is raised afterwards.

        A forked child has nothing to wait for. Nor may a worker wait, when the garbage collector
        closes an abandoned stream in it, nor a program that ends with a stream half read.
        """
        if self._is_foreign() or not may_wait():
            self._closed = True
            return
        interrupt: KeyboardInterrupt | None = None
        while True:
            try:
                with self._lock:
                    self._closed = True
                    active = self._active
                if not active:
                    break
                self._ended.get()
            except KeyboardInterrupt as exc:
                interrupt = exc
        if interrupt is not None:
            raise interrupt

    def result(self, outcome: Outcome[T]) -> T:
        """
        Return what a guarded call has returned.

        :raises AuroraObjectsError: in a forked child, where nobody makes the call.
        """
        if self._is_foreign():
            raise AuroraObjectsError(
                "an iterator of AuroraObjects that was begun before a fork cannot go on in the "
                "child; begin it again."
            )
        try:
            return outcome.result()
        finally:
            del outcome  # holds the error, whose traceback holds this frame

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
        self.stop = Stop()
        self._gate = Gate()
        self._workers = workers
        self._limit = limit
        self._budget = budget
        self._on_bytes = on_bytes
        self._running: dict[Outcome[object], int] = {}
        self._events: SimpleQueue[int | Outcome[object]] = SimpleQueue()

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
                guarded = self._gate.guard(task.call)
                self._running[self._workers.submit(guarded, self._events.put)] = task.size
            while self._running:
                self._collect(on_result)
            while not self._events.empty():
                self._collect(on_result)
        finally:
            self.stop.set()
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
            try:
                result = event.result()
            finally:
                del event  # holds the error, whose traceback holds this frame
            on_result(result)
