"""The threads of a driver, built so that Ctrl-C at any moment leaves no lock held.

A :class:`threading.Condition` may stay locked when Ctrl-C arrives just as it is entered, and so may
whatever is made of one: events, semaphores, futures, executors. Locks and simple queues are entered
and left in one step, so the main thread uses nothing else here.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import weakref
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Generic, NoReturn, TypeVar

T = TypeVar("T")

#: What the names of worker threads begin with.
THREAD_NAME = "libcloud-aurora"


def may_wait() -> bool:
    """
    Tell whether these threads may be waited for here.

    Not by one of them, which might wait for itself; nor once Python ends, when they stand still:
    what was left open is closed then.
    """
    return not (sys.is_finalizing() or is_worker())


def is_worker() -> bool:
    """Tell whether this is run by one of these threads."""
    return threading.current_thread().name.startswith(THREAD_NAME)


class Outcome(Generic[T]):
    """
    What a call that another thread makes comes to.

    An error's traceback holds the frames it has passed, so these let go of it: else it would
    live, with the parts it concerns, until the garbage collector finds the cycle.

    :param call: The call.
    :param then: Told, in that thread, once it is made.
    """

    def __init__(
        self, call: Callable[[], T], then: Callable[[Outcome[T]], object] = lambda outcome: None
    ) -> None:
        self._call: Callable[[], T] | None = call
        self._then = then
        self._box: SimpleQueue[Callable[[], T]] = SimpleQueue()

    def settle(self) -> None:
        """Make the call; nothing of it is kept but what it returns or raises."""
        call, self._call = self._call, None
        try:
            value = call()  # type: ignore[misc]
            self._box.put(lambda: value)
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            self._box.put(partial(_throw, error))
        self._then(self)
        del call, self

    def done(self) -> bool:
        return not self._box.empty()

    def result(self) -> T:
        """Wait for the call and return what it has returned, or raise what it has raised."""
        answer = self._box.get()
        self._box.put(answer)
        try:
            return answer()
        finally:
            del self, answer


def _throw(error: BaseException) -> NoReturn:
    try:
        raise error
    finally:
        del error


class _Crew:
    """The threads of :class:`Workers`, which may be forgotten: the threads do not know them."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._free = 0  # idle threads less waiting tasks

    def add(self, task: Callable[[], None]) -> None:
        with self._lock:
            hired = self._free <= 0 and len(self._threads) < self._size
            if hired:
                name = f"{THREAD_NAME}_{len(self._threads)}"
                self._threads.append(threading.Thread(target=self._work, name=name, daemon=True))
            else:
                self._free -= 1
        self._tasks.put(task)
        if hired:
            self._threads[-1].start()

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()
            del task  # what it holds must not wait for the next one
            with self._lock:
                self._free += 1

    def end(self) -> None:
        """Let each thread end once all tasks so far are done."""
        for _ in self._threads:
            self._tasks.put(None)

    def join(self) -> None:
        for thread in self._threads if may_wait() else ():
            with contextlib.suppress(RuntimeError):  # one that was not started
                thread.join()


class Workers:
    """
    The threads of one driver: started when first needed, reused, ended by :meth:`close`.

    They end, too, when the driver is forgotten, and are no reason for a program not to end. A
    forked child has its own.
    """

    def __init__(self, max_workers: int) -> None:
        self.max_workers = max_workers
        self._forget()

    def _forget(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._crew: _Crew | None = None

    def submit(
        self, call: Callable[[], T], then: Callable[[Outcome[T]], object] = lambda outcome: None
    ) -> Outcome[T]:
        """Let another thread make a call, and return what it will come to."""
        if self._pid != os.getpid():
            self._forget()
        outcome = Outcome(call, then)
        with self._lock:
            if self._crew is None:
                self._crew = _Crew(self.max_workers)
                weakref.finalize(self, self._crew.end)
            self._crew.add(outcome.settle)
        return outcome

    def close(self) -> None:
        """End the threads once their work is done."""
        with self._lock:
            crew, self._crew = self._crew, None
            if crew is not None:
                crew.end()
        if crew is not None:
            crew.join()


class Stop:
    """A sign that is given once, and that pauses end at."""

    def __init__(self) -> None:
        self._given = False
        self._barrier = threading.Lock()
        self._barrier.acquire()

    def set(self) -> None:
        if not self._given:
            self._given = True
            self._barrier.release()

    def is_set(self) -> bool:
        return self._given

    def wait(self, seconds: float) -> bool:
        """Wait for the sign, but not longer, and tell whether it was given."""
        if self._barrier.acquire(timeout=seconds):
            self._barrier.release()
        return self._given
