"""
The threads of one transfer, a bounded window of work on them, and the one order of ending.

Threads begin and end with their transfer. Ctrl-C at any moment leaves no lock held: a
:class:`threading.Condition` may stay locked when Ctrl-C arrives just as it is entered, and so may
whatever is built on one: events, semaphores, futures, executors. Simple queues are entered and left
in one step, so the caller's thread uses nothing else here but locks that know who holds them:
:func:`let_go` releases what Ctrl-C has left locked.
"""

from __future__ import annotations

import _thread
import contextlib
import math
import os
import queue  # gevent and eventlet replace what is in it, maybe after this import
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from queue import Empty
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from libcloud_aurora._wire.retry import LOOKING_SECONDS, Stop, logger
from libcloud_aurora.config import MIB
from libcloud_aurora.errors import AuroraObjectsError, NetworkTimeoutError

T = TypeVar("T")
#: Seconds after which a request that cannot be interrupted is left alone: it resolves a name, or
#: waits for a SOCKS proxy.
LEAVING_SECONDS = 1.0
#: How often to look for Ctrl-C, four times a second, before a thread that was started, but does not
#: begin, is taken for dead. Not seconds: the process may have been stopped meanwhile.
MOST_LOOKS = 40
#: Seconds after which an iterator that ends leaves a thread alone: the garbage collector may end
#: the iterator in a log handler whose lock the thread waits for.
ABANDONED_SECONDS = 10.0
#: Seconds that a body being sent may take to reach the end of a chunk before it is cut off.
BODY_SECONDS = 10.0
#: Seconds that requests get to reach their full speed before anything is counted.
SETTLING_SECONDS = 0.1
#: Fewest seconds, and bytes for each request, that a trial counts.
TRIAL_SECONDS, TRIAL_SIZE = 0.1, 2 * MIB
#: Further requests must bring at least this share of what they could bring at best.
WORTH = 0.2
#: Seconds until more requests are tried again; twice as long each time.
AGAIN_SECONDS = 2.0


class Interrupt(Protocol):
    """Breaks the requests of some threads, or only those that send no body."""

    def __call__(self, threads: Iterable[int], *, bodies: bool) -> None: ...


def take(
    entries: queue.SimpleQueue[T],
    seconds: float = math.inf,
    *,
    look: Callable[[], object] = lambda: None,
) -> T:
    """
    Wait for an entry of a queue, and look for Ctrl-C now and then.

    :param look: Called each time.
    :raises Empty: if none comes in time.
    """
    until = time.monotonic() + seconds
    while True:
        left = until - time.monotonic()
        try:
            return entries.get(timeout=max(0.0, min(left, LOOKING_SECONDS)))
        except Empty:
            if left <= LOOKING_SECONDS:
                raise
            look()


def let_go(lock: threading.RLock) -> None:
    """
    Release what Ctrl-C has left locked in this thread.

    On Python 3.14 and PyPy it may come between a lock and its block:
    https://github.com/python/cpython/issues/148874
    """
    with contextlib.suppress(RuntimeError):  # it is not this thread's
        while True:
            lock.release()


class CancelledError(Exception):
    """A call was not made, because the transfer it belongs to has ended."""


class Outcome(Generic[T]):
    """The result of a call in another thread, passed to ``then`` when the call ends."""

    def __init__(self, then: Callable[[Outcome[T]], object]) -> None:
        self._then = then
        self._answer: tuple[Any, BaseException | None] | None = None
        # Ctrl-C may lose what is taken from it.
        self._made: queue.SimpleQueue[None] = queue.SimpleQueue()

    def settle(self, value: T | None, error: BaseException | None = None) -> None:
        """Take what the call has returned or raised."""
        self._answer = value, error
        self._made.put(None)
        self._then(self)

    def done(self) -> bool:
        return self._answer is not None

    def result(self, seconds: float = math.inf, look: Callable[[], object] = lambda: None) -> T:
        """Wait for the call and return what it has returned, or raise what it has raised."""
        while (answer := self._answer) is None:
            try:
                take(self._made, seconds, look=look)
            except Empty:
                raise NetworkTimeoutError(f"no response within {seconds:.1f} s") from None
        value: T
        value, error = answer
        try:
            if error is not None:
                raise error
            return value
        finally:  # the error's traceback holds this frame: a cycle would keep what it concerns
            del self, answer, error


def check_process(pid: int) -> None:
    """Refuse to continue in a forked child what its parent has begun."""
    if pid != os.getpid():
        raise AuroraObjectsError(
            "an iterator that was started before a fork cannot continue in the child; start a new "
            "one."
        )


class _Worker(threading.Thread):
    """A thread of a crew, known by its class: a user's thread may have any name."""


def may_wait() -> bool:
    """
    Tell whether a crew may be waited for here.

    A worker in which the garbage collector closes a stream might wait for itself, and while Python
    shuts down, workers do not run.
    """
    return not (sys.is_finalizing() or isinstance(threading.current_thread(), _Worker))


class Crew:
    """
    The threads of one transfer: started as calls come, ended by :meth:`close`.

    Each thread is started by another one that lives only for this, because starting a thread waits
    on a condition. If no thread can be started, calls are made in the thread that submits them. If
    none begins, as when memory is short, whoever waits gets an error.

    It is entered twice, ``with crew, crew:``, because Ctrl-C may arrive just as one exit begins.

    :param size: Most threads.
    :param stop: Sign that is given when the crew is closed.
    :param leaving_seconds: Seconds after which calls that have not ended are left alone.
    """

    def __init__(
        self,
        size: int,
        interrupt: Interrupt | None = None,
        *,
        stop: Stop | None = None,
        leaving_seconds: float = math.inf,
    ) -> None:
        self._interrupt = interrupt
        self._stop = stop or Stop()
        self._leaving_seconds = leaving_seconds
        self._lock = threading.RLock()
        self._calls: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._left: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._pid = os.getpid()
        self._hired = 0
        self._looks = 0.0  # for a worker that begins
        self._free = 0  # idle workers minus waiting calls
        self._active: set[int] = set()
        self._closed = False
        self._size = size

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(
        self, call: Callable[[], T], then: Callable[[Outcome[T]], object] = lambda outcome: None
    ) -> Outcome[T]:
        """Let another thread make a call, and return its outcome."""
        outcome = Outcome(then)
        self._calls.put((outcome, call))
        with self._lock:
            hires = self._free <= 0 and self._hired < self._size
            self._hired += hires
            self._free -= not hires
        if hires:
            try:
                _thread.start_new_thread(self._hire, ())
            except RuntimeError:
                self._dismiss()
        return outcome

    def _hire(self) -> None:  # pragma: no cover - coverage does not see a thread as bare as this
        """Start a worker; if that fails and there is no other, be one."""
        try:
            # The callback wakes the worker of a crew that was not closed; Ctrl-C might arrive in a
            # __del__.
            work = partial(_work, weakref.ref(self, self._calls.put), self._calls)
            _Worker(target=work, name="libcloud-aurora", daemon=True).start()
        except RuntimeError:
            self._dismiss()

    def _dismiss(self) -> None:
        """Make do with one worker fewer; without any, make the calls here."""
        with self._lock:
            self._hired -= 1
            self._free -= 1
            alone = self._hired == 0
        if alone:
            self._calls.put(None)
            _work(weakref.ref(self), self._calls)

    def begin(self) -> bool:
        """Count a call that this thread is about to make; refuse it if the crew is closed."""
        with self._lock:
            self._looks = -math.inf
            if not self._closed:
                self._active.add(threading.get_ident())
            return not self._closed

    def ended(self) -> None:
        """Count a call that this thread has made, or given up."""
        with self._lock:
            self._active.discard(threading.get_ident())
            self._free += 1
            if self._closed:
                self._left.put(None)

    def look(self) -> None:
        """
        Note that somebody still waits.

        :raises AuroraObjectsError: if no worker begins.
        """
        self._looks += 1
        if self._looks > MOST_LOOKS:
            raise AuroraObjectsError("threads can be started, but none begins: is memory short?")

    def busy(self) -> int:
        """Return how many calls are being made."""
        return len(self._active)

    def result(self, outcome: Outcome[T], seconds: float = math.inf) -> T:
        """Return what a submitted call has returned."""
        check_process(self._pid)
        try:
            return outcome.result(seconds, self.look)
        finally:
            del outcome  # holds the error, whose traceback holds this frame

    def taken(self, pieces: queue.SimpleQueue[T]) -> T:
        """Return what a submitted call puts into a queue."""
        check_process(self._pid)
        return take(pieces, look=self.look)

    def close(self) -> None:
        """Let no further call begin, wait for those under way, and raise what came meanwhile."""
        self._closed = True
        self._stop.set()
        first: BaseException | None = None
        began = time.monotonic()
        while self._pid == os.getpid() and may_wait():  # a fork has no worker
            try:
                let_go(self._lock)
                with self._lock:
                    active = list(self._active)
                passed = time.monotonic() - began
                if not active or passed >= self._leaving_seconds:
                    break
                self._wait(active, bodies=first is not None or passed > BODY_SECONDS)
            except BaseException as error:  # noqa: BLE001 - raised below
                first = first or error
        for _ in range(self._size):
            self._calls.put(None)
        if first is not None:
            raise first

    def _wait(self, active: list[int], *, bodies: bool) -> None:
        """Wait for a call to end, and make sure that it does."""
        try:
            if self._interrupt is not None:
                self._interrupt(active, bodies=bodies)
        finally:  # whatever it raises: greenlets run only while this one waits
            with contextlib.suppress(Empty):  # one without a socket yet is interrupted next time
                self._left.get(timeout=0.1)


def _work(crew_of: Callable[[], Crew | None], calls: queue.SimpleQueue[Any]) -> None:
    """Make calls; between two of them, a crew that is no longer referenced may go."""
    while (each := calls.get()) is not None and (crew := crew_of()) is not None:
        outcome, call = each
        try:
            if not crew.begin():
                raise CancelledError
            outcome.settle(call())
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            outcome.settle(None, error)
        crew.ended()
        del each, outcome, call, crew  # what they hold must not wait for the next one


class Task(NamedTuple):
    """Something to do on a worker, and the bytes of memory it holds until it is done."""

    call: Callable[[], object]
    size: int = 0


class Trial:
    """
    How many requests to make at once: twice as many as long as these bring more bytes a second.

    Where they do not, it goes back to fewer, and tries again after a while.

    :param now: How many to begin with; as an attribute, how many to make now.
    :param most: Most of them.
    """

    def __init__(self, now: int, most: int) -> None:
        self.now, self._most = now, most
        self._fewer, self._rate = 0, 0.0
        self._again = AGAIN_SECONDS
        self._pause_ends = 0.0
        self._begins = math.inf
        self._since: float | None = None
        self._moved = 0

    def begin(self) -> None:
        """Note that so many requests are being made, and count what they bring once they settle."""
        if self._begins == math.inf:
            self._begins = max(self._pause_ends, time.monotonic() + SETTLING_SECONDS)
            self._since, self._moved = None, 0

    def count(self, moved: int) -> None:
        """Count bytes that have arrived."""
        now = time.monotonic()
        if now < self._begins or self.now == self._fewer:
            return
        if self._since is None:
            self._since = now
            return
        self._moved += moved
        seconds = now - self._since
        if seconds >= TRIAL_SECONDS and self._moved >= self.now * TRIAL_SIZE:
            self._decide(self._moved / seconds)

    def _decide(self, rate: float) -> None:
        if self._fewer and rate < self._rate * (1 + WORTH * (self.now / self._fewer - 1)):
            self.now, self._fewer = self._fewer, 0
            self._pause_ends = time.monotonic() + self._again
            self._again *= 2
        else:
            self._fewer, self._rate = self.now, rate
            self.now = min(2 * self.now, self._most)
        self._begins = math.inf


class Window(Stop):
    """
    Runs the tasks of one transfer, a few at a time, and is the sign at which their requests stop.

    The caller's thread pulls tasks and reports progress; with a limit of 1 it does them as well.

    :param limit: Most tasks at once; fewer once some took too long while others made progress, and
        more again after some successes: after ever more, each time the window has narrowed.
    :param first: How many to begin with; more as long as they bring more bytes a second.
    :param budget: Most bytes that running tasks may hold; a larger task runs alone.
    :param on_bytes: Called in the caller's thread with each count given to :meth:`report`.
    """

    def __init__(
        self,
        *,
        limit: int,
        first: int | None = None,
        budget: int = 0,
        on_bytes: Callable[[int], None] = lambda count: None,
        interrupt: Interrupt | None = None,
    ) -> None:
        super().__init__()
        self._interrupt = interrupt
        self._threads = limit
        self._limit = min(first or limit, limit)
        self._trial = Trial(self._limit, limit) if self._limit < limit else None
        self._budget = budget
        self._on_bytes = on_bytes
        self._raised: list[AuroraObjectsError] = []
        self._running: dict[Outcome[object], int] = {}
        self._events: queue.SimpleQueue[int | Outcome[object]] = queue.SimpleQueue()
        self._lock = threading.RLock()
        self._waiting = 0  # requests, for a place among fewer
        self._widest = 0  # before it narrowed, and when it last did
        self._narrowed = -math.inf
        self._ended = -math.inf  # when the last task did
        self._patience = 1
        self._succeeded = 0
        self._crew: Crew | None = None

    def count(self, moved: int) -> None:
        """Count bytes moved, from any thread."""
        with self._lock:
            self.moved += moved
            if self._trial is not None:
                self._trial.count(moved)
                self._limit = self._trial.now

    def report(self, count: int) -> None:
        """Count bytes moved, from any thread, and tell the caller's."""
        self.count(count)
        if self._threads > 1:
            self._events.put(count)
            return
        try:
            self._on_bytes(count)
        except AuroraObjectsError as error:  # no failure of the request, which would be retried
            self._raised.append(error)
            self.set()

    def narrow(self, why: str, began: float) -> bool:
        """
        Halve the number of requests, and wait for a place among them, unless there was only one.

        Timeouts of requests under way together count once: one silence of a network ends them all.

        :param began: When the request that timed out, or was cut off, began.
        """
        if self.is_set():  # which breaks connections, too
            return False
        with self._lock:
            if self._under_way() <= 1 and self._ended < began:
                return False
            if is_new := began > self._narrowed:
                self._widest = self._widest or self._limit
                self._limit, self._trial = max(1, self._limit // 2), None
                self._narrowed = time.monotonic()
                self._patience, self._succeeded = 2 * self._patience, 0
            self._waiting += 1
        if is_new:
            logger.info("at most %d requests share the link from now on: %s", self._limit, why)
        while not self.wait(0.2):
            with self._lock:
                if self._under_way() < self._limit:
                    self._waiting -= 1
                    return True
        return False

    def _under_way(self) -> int:
        """Return how many requests are made, and do not wait for a place."""
        return self._crew.busy() - self._waiting if self._crew else 1

    def _done(self, outcome: Outcome[object]) -> None:
        """Tell the caller's thread, and after many successes allow more at once."""
        with self._lock:
            self._ended = time.monotonic()
            self._succeeded += 1
            if self._limit < self._widest and self._succeeded >= self._limit * self._patience:
                self._limit, self._succeeded = min(2 * self._limit, self._widest), 0
        self._events.put(outcome)

    def run(self, tasks: Iterable[Task]) -> None:
        """Run all tasks; whatever ends that, Ctrl-C included, none runs when this returns."""
        with self, self:
            for task in tasks:
                self.start(task)
            self.finish()

    def start(self, task: Task) -> None:
        """Begin a task once there is room for it; callers enter the window as they do a crew."""
        if self._threads == 1:
            task.call()
            if self._raised:
                raise self._raised.pop()
            return
        self._crew = self._crew or Crew(self._threads, self._interrupt, stop=self)
        while self._is_full(task) or not self._events.empty():
            self._collect()
        self._running[self._crew.submit(task.call, self._done)] = task.size
        with self._lock:
            if self._trial is not None and len(self._running) == self._limit:
                self._trial.begin()

    def finish(self) -> None:
        """Wait until all tasks have been done."""
        while self._running or not self._events.empty():
            self._collect()

    def __enter__(self) -> Window:
        return self

    def __exit__(self, *_: object) -> None:
        let_go(self._lock)
        if self._crew is not None:
            self._crew.close()
            self._crew = None
            self._running.clear()  # a failed task holds parts, and the queue holds the task
            with contextlib.suppress(Empty):
                while True:
                    self._events.get_nowait()

    def _is_full(self, task: Task) -> bool:
        held = sum(self._running.values())
        crowded = len(self._running) >= self._limit or held + task.size > self._budget > 0
        return bool(self._running) and crowded

    def _collect(self) -> None:
        event = take(self._events, look=self._crew.look if self._crew else lambda: None)
        if isinstance(event, int):
            self._on_bytes(event)
            return
        del self._running[event]
        try:
            event.result()
        finally:
            del event  # holds the error, whose traceback holds this frame


class Ending:
    """
    How long an upload that has to end waits for the responses that decide what is left of it.

    Its requests are made in another thread, where Ctrl-C does not break them, or are repeated. Once
    the upload has to end, it waits for them for some seconds in all, or until the next Ctrl-C.
    """

    def __init__(self, seconds: float, interrupt: Interrupt, *, threads: bool) -> None:
        self._seconds = seconds
        self._interrupt = interrupt
        self._threads = threads
        self._stop = Stop()
        self._until: float | None = None
        self._presses: set[int] = set()

    def begin(self, cause: BaseException | None = None) -> None:
        """End pauses and start the clock, or restart it without a cause; each cause counts once."""
        if not isinstance(cause, (Exception, type(None))):
            self._presses.add(id(cause))
        now = time.monotonic()
        if cause is None or self._until is None:
            self._until = now + self._seconds
        elif len(self._presses) > 1:
            self._until = now
        self._stop.set()

    def left(self) -> float:
        """Return the seconds for which it may still wait; infinite before it has begun."""
        return math.inf if self._until is None else max(0.0, self._until - time.monotonic())

    def run(self, call: Callable[[Stop], T]) -> T:
        """Make a call and wait for it; it gets a sign that ends its pauses."""
        stop = self._stop = Stop(self._until)
        crew = Crew(1, self._interrupt, stop=stop, leaving_seconds=LEAVING_SECONDS)
        with crew, crew:
            made = crew.submit(partial(call, stop)) if self._threads else None
            try:
                return crew.result(made, self.left()) if made else call(stop)
            except BaseException as error:
                answered = made.done() if made else isinstance(error, Exception)
                if not answered:
                    self.begin(error)
                    with contextlib.suppress(AuroraObjectsError):
                        if self.left():
                            _ = made.result(self.left()) if made else call(Stop(self._until))
                raise
            finally:
                if made and not made.done():
                    self._until = time.monotonic()  # it is given up
                del made  # holds the error, whose traceback holds this frame


class Buffers:
    """Memory for the parts or ranges of a transfer: fresh memory would be zeroed each time."""

    def __init__(self) -> None:
        self._free: deque[bytearray] = deque()

    def take(self, size: int) -> bytearray:
        """Return a buffer of at least this size; as sizes grow, smaller ones are dropped."""
        with contextlib.suppress(IndexError):
            buffer = self._free.pop()
            if len(buffer) >= size:
                return buffer
            del buffer
            self._free.clear()
        return bytearray(size)

    def give(self, buffer: Any) -> None:
        self._free.append(buffer)
