"""The threads of a transfer: how many there are, and how all of it ends. Steered with events."""

import _thread
import contextlib
import gc
import io
import itertools
import logging
import os
import pickle
import queue
import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from queue import SimpleQueue

import pytest
from child import in_a_child
from keyboard import Keyboard
from libcloud.storage.base import Container
from unit.ctrl_c import calls_of, lines_of, pressed_after, pressed_at
from unit.memory_s3 import error
from workers import wait_for_workers

from libcloud_aurora import AuroraObjectsStorageDriver, errors
from libcloud_aurora._transfer import workers
from libcloud_aurora._transfer.workers import (
    Buffers,
    CancelledError,
    Crew,
    Ending,
    Task,
    Trial,
    Window,
    may_wait,
)
from libcloud_aurora._wire.retry import Retrier, Stop
from libcloud_aurora.config import RetryPolicy

MIB = 1_048_576

pytestmark = pytest.mark.usefixtures("no_thread_left")

#: Python 3.12 and later warn of what these tests are about.
forks = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@pytest.fixture
def crew():
    crew = Crew(3)
    yield crew
    crew.close()


class Gauge:
    """Counts what runs at once, and the most there ever was."""

    def __init__(self):
        self.lock = threading.Lock()
        self.now = self.most = self.begun = 0

    def __enter__(self):
        with self.lock:
            self.begun += 1
            self.now += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *_):
        with self.lock:
            self.now -= 1


# A crew


def test_queues_that_replace_pythons_are_used(s3, container, driver, monkeypatch):
    """gevent and eventlet may replace them after this package has been imported."""
    made = []

    class Replaced(SimpleQueue):
        def __init__(self):
            made.append(sys._getframe(1).f_globals["__name__"])

    s3.put("k", bytes(9 * MIB))
    monkeypatch.setattr("queue.SimpleQueue", Replaced)
    deque(driver.download_object_as_stream(driver.get_object("photos", "k")), maxlen=0)
    assert {name.rpartition(".")[2] for name in made} == {"workers", "stream"}


def test_what_a_call_returns_is_its_outcome(crew):
    """A call is made by another thread, and what it returns can be asked for again and again."""
    outcome = crew.submit(threading.current_thread)
    assert crew.result(outcome) is crew.result(outcome) is not threading.current_thread()
    assert outcome.done()


@pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt])
def test_what_a_call_raises_is_raised(crew, kind):
    """What a call raises, whatever it is, is raised where its result is asked for."""

    def fail():
        raise kind("told")

    with pytest.raises(kind, match="told"):
        crew.result(crew.submit(fail))
    assert crew.result(crew.submit(lambda: 1)) == 1


def test_who_waits_is_told(crew):
    """Once a call is made, the outcome itself is told to whoever asked for that."""
    told, seen = threading.Event(), []
    outcome = crew.submit(lambda: 5, lambda each: seen.append(each) or told.set())
    assert told.wait(10)
    assert seen == [outcome]


def test_an_outcome_keeps_nothing_of_its_call(crew):
    """Once a call is made, what it held is free, also while its outcome is kept."""
    told = threading.Event()
    held = Gauge()
    watched = weakref.ref(held, lambda _: told.set())
    outcome = crew.submit(held.__enter__)
    del held
    assert told.wait(10)
    assert watched() is None
    assert crew.result(outcome) is None


def test_no_more_threads_than_allowed_and_none_without_need(crew, working):
    """No thread runs before a call needs it; calls at once have one each, up to a limit."""
    assert working() == []
    full, go = threading.Barrier(4), threading.Event()
    held = [crew.submit(lambda: (full.wait(10), go.wait(10))) for _ in range(3)]
    waiting = crew.submit(list)
    full.wait(10)
    assert len(working()) == 3
    assert all(thread.daemon for thread in working())  # no reason for a program not to end
    assert not waiting.done()
    go.set()
    assert [crew.result(outcome) is not None for outcome in (*held, waiting)] == [True] * 4


def test_a_free_thread_is_used_again():
    """A crew of one makes all calls in one thread, in order."""
    crew = Crew(1)
    outcomes = [crew.submit(threading.get_ident) for _ in range(20)]
    assert len({crew.result(outcome) for outcome in outcomes}) == 1
    crew.close()


@pytest.mark.parametrize("wait", ["result", "taken", "finish", "close", "pause"])
def test_ctrl_c_just_before_a_wait_is_seen_soon(wait):
    """Ctrl-C that comes too early to wake the caller's thread ends its wait all the same."""
    keyboard, begun, go = Keyboard(), threading.Event(), threading.Event()
    crew, window, seen = Crew(2), Window(limit=2), []

    def work():
        begun.set()
        go.wait(20)

    waits = {
        "result": lambda: crew.result(crew.submit(work)),
        "taken": lambda: crew.submit(work) and crew.taken(SimpleQueue()),
        "finish": lambda: window.start(Task(work)) or window.finish(),
        "close": lambda: crew.submit(work) and begun.wait(10) and crew.close(),
        "pause": lambda: crew.submit(work) and Stop().wait(20),
    }

    def press():
        begun.wait(10)
        time.sleep(0.1)  # the caller's thread sleeps by now
        seen.append(keyboard.slip())
        go.set()

    presser = threading.Thread(target=press)
    with keyboard.at_hand(), window, crew:
        presser.start()
        with pytest.raises(KeyboardInterrupt):
            waits[wait]()
        presser.join()
    assert seen == [True]


def test_closing_waits_for_what_runs_and_begins_nothing():
    """When close returns no call is made any more, and those that waited are never made."""
    begun, closing, made = threading.Event(), threading.Event(), []
    crew = Crew(1, lambda threads, bodies: closing.set())
    running = crew.submit(lambda: begun.set() or (closing.wait(10) and made.append("ran")))
    waiting = [crew.submit(lambda: made.append("waited")) for _ in range(5)]
    assert begun.wait(10)
    crew.close()
    assert made == ["ran"]
    assert running.done()
    for outcome in waiting:
        with pytest.raises(CancelledError):
            crew.result(outcome)
    assert made == ["ran"]
    crew.close()


def test_closing_interrupts_what_runs():
    """Who is still at a call when its crew is closed is interrupted, until it ends; nobody else."""
    interrupted, begun, go, seen = [], threading.Event(), threading.Event(), []

    def interrupt(threads, bodies):
        interrupted.append(set(threads))
        if len(interrupted) == 2:
            go.set()

    crew = Crew(3, interrupt)
    idle = crew.submit(threading.get_ident)
    crew.result(idle)
    while crew._active:
        time.sleep(0.001)  # its result comes a moment before it is idle
    busy = crew.submit(lambda: seen.append(threading.get_ident()) or begun.set() or go.wait(10))
    assert begun.wait(10)
    crew.close()
    assert crew.result(busy) is True
    assert len(interrupted) >= 2
    assert interrupted[0] == set(seen)


def test_whom_the_sign_wakes_begins_no_other_call():
    """A crew is closed before its sign is given."""
    ran, begun = [], threading.Event()

    class Sign(Stop):
        def set(self):
            super().set()
            with contextlib.suppress(CancelledError):
                crew.result(waiting)

    sign = Sign()
    crew = Crew(1, stop=sign)
    crew.submit(lambda: begun.set() or sign.wait(10))
    waiting = crew.submit(lambda: ran.append(1))
    assert begun.wait(10)
    crew.close()
    assert ran == []


def test_threads_are_known_by_their_class(crew):
    """A crew may be waited for in a user's thread of any name, but not in one of the package."""
    assert may_wait()
    assert crew.result(crew.submit(may_wait)) is False
    (name,) = crew.result(crew.submit(lambda: {threading.current_thread().name}))
    seen = []
    user = threading.Thread(target=lambda: seen.append(may_wait()), name=name)
    user.start()
    user.join()
    assert seen == [True]


def test_a_worker_may_close_its_own_crew(crew):
    """A worker that closes it, as the garbage collector may, does not wait for itself."""
    assert crew.result(crew.submit(crew.close)) is None


def test_the_threads_of_a_forgotten_crew_end(working):
    """A crew that was never closed, because Ctrl-C came first, ends with who holds it."""
    crew = Crew(2)
    crew.result(crew.submit(list))
    assert working()
    del crew


def test_a_forgotten_crew_runs_nothing_that_ctrl_c_could_break():
    """Wherever Ctrl-C comes while a crew is forgotten, its threads end, and nothing is reported."""

    def forget():
        crew = Crew(2)
        crew.result(crew.submit(list))

    for calls in range(calls_of(forget) + 1):
        with contextlib.suppress(KeyboardInterrupt):
            pressed_after(calls, forget)


@forks
def test_a_forked_child_waits_for_nobody(crew):
    """In a forked child, where no worker lives on, a crew closes, and a result is an error."""
    begun, end = threading.Event(), threading.Event()
    outcome = crew.submit(lambda: begun.set() or end.wait(10))
    assert begun.wait(10)

    def child():
        with pytest.raises(errors.AuroraObjectsError) as caught:
            crew.result(outcome)
        crew.close()
        return caught.value

    assert "started before a fork" in in_a_child(child)
    end.set()
    assert crew.result(outcome) is True


def test_another_process_says_so_at_once(crew, monkeypatch):
    """A crew made in a process with another id gives no result and does not wait."""
    begun, end = threading.Event(), threading.Event()
    outcome = crew.submit(lambda: begun.set() or end.wait(10))
    assert begun.wait(10)
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: -1)
        with pytest.raises(errors.AuroraObjectsError, match="started before a fork"):
            crew.result(outcome)
        crew.close()
    assert not outcome.done()
    end.set()


# Ctrl-C


def test_ctrl_c_while_waiting_leaves_nothing_locked(crew, keyboard):
    """Ctrl-C while a result is waited for is raised at once, and the workers work on."""
    ready = threading.Event()
    outcome = crew.submit(lambda: ready.wait(10) and keyboard.press())
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        ready.set()
        crew.result(outcome)
    assert crew.result(outcome) is None
    assert crew.result(crew.submit(lambda: 3)) == 3


def test_ctrl_c_while_closing_waits_all_the_same(keyboard):
    """Ctrl-C while the last calls end is raised after they have ended."""
    crew, begun, ended = Crew(2), threading.Event(), []

    def work():
        begun.set()
        with pytest.raises(CancelledError):  # noqa: PT012 - once it is closing
            while True:
                crew.result(crew.submit(int))
        keyboard.press()
        ended.append(1)

    crew.submit(work)
    assert begun.wait(10)
    with pytest.raises(KeyboardInterrupt):
        crew.close()
    assert ended == [1]


def ending(**settings):
    """Return how an upload of a driver ends that waits for ten seconds."""
    return Ending(10, lambda threads, bodies: None, **{"threads": True, **settings})


def test_ctrl_c_waits_for_what_decides_what_is_left(keyboard):
    """Ctrl-C ends the pauses of a call that must have a result, and waits for it."""
    ended = []

    def call(stop):
        keyboard.press()
        ended.append(stop.wait(10))

    with pytest.raises(KeyboardInterrupt):
        ending().run(call)
    assert ended == [True]


@pytest.mark.parametrize("threads", [True, False])
def test_what_decides_what_is_left_returns_and_raises(threads):
    """What such a call returns is returned, and what it raises is raised, in this thread or not."""
    end = ending(threads=threads)
    assert end.run(lambda stop: stop.is_set()) is False
    assert (end.run(lambda stop: threading.get_ident()) == threading.get_ident()) != threads
    with pytest.raises(ZeroDivisionError):
        end.run(lambda stop: 1 // 0)


def test_a_signal_may_raise_any_exception():
    """An exception of a signal handler that is no Ctrl-C waits as well, and is the one raised."""
    keyboard, ended = Keyboard(ZeroDivisionError), []
    with keyboard.at_hand(), pytest.raises(ZeroDivisionError):
        ending().run(lambda stop: keyboard.press() or ended.append(stop.wait(10)))
    assert ended == [True]


def test_ctrl_c_at_any_call_waits_for_what_runs():
    """Wherever Ctrl-C comes when a transfer fails, no task runs any more once it is raised."""
    gauge = Gauge()

    def run():
        begun, go = threading.Barrier(3), threading.Event()

        def work():
            with gauge:
                begun.wait(10)
                go.wait(10)

        def tasks():
            yield Task(work)
            yield Task(work)
            begun.wait(10)
            raise ZeroDivisionError

        with contextlib.suppress(ZeroDivisionError, threading.BrokenBarrierError):
            try:
                Window(limit=2, interrupt=lambda threads, bodies: go.set() or begun.abort()).run(
                    tasks()
                )
            finally:
                left.append(gauge.now)

    left = []
    for calls in range(calls_of(run) + 3):
        with contextlib.suppress(KeyboardInterrupt):
            pressed_after(calls, run)
    assert len(left) > 20
    assert not any(left)


def test_ctrl_c_at_any_line_lets_nothing_hang():
    """Wherever Ctrl-C comes while tasks run, it ends them, and holds no lock that they need."""

    def run():
        window = Window(limit=2, on_bytes=lambda count: None)
        window.run(Task(lambda: window.report(1)) for _ in range(3))

    lines = lines_of(run)
    assert len(lines) > 50
    for line in lines:
        with contextlib.suppress(KeyboardInterrupt):
            pressed_at(line, run)
    run()


def test_what_ctrl_c_leaves_locked_is_let_go():
    """Ctrl-C that comes between a lock and its block, as on Python 3.14, lets nothing hang."""
    crew, window, begun, moved = Crew(1), Window(limit=2), threading.Event(), threading.Event()

    def count():
        begun.set()
        assert moved.wait(10)
        window.report(1)

    def tasks():
        yield Task(count)
        assert begun.wait(10)
        window._lock.acquire()
        moved.set()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), crew, crew:  # noqa: PT012
        crew._lock.acquire()
        crew.submit(lambda: None)
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        window.run(tasks())
    wait_for_workers()


def test_a_stop_ends_pauses():
    """Pauses last their time until the sign is given, and none lasts after that."""
    stop = Stop()
    assert not stop.wait(0)
    assert not stop.is_set()
    stop.set()
    stop.set()
    assert stop.wait(10)
    assert stop.wait(10)
    assert stop.is_set()


def test_a_stop_that_ctrl_c_breaks_off_may_be_given_again():
    """Wherever Ctrl-C comes while the sign is given or waited for, given again it ends pauses."""

    def give():
        stop.set()
        stop.wait(60)

    stop = Stop()
    lines = lines_of(give)
    assert len(lines) > 3
    for line in lines:
        stop = Stop()
        with contextlib.suppress(KeyboardInterrupt):
            pressed_at(line, give)
        began = time.monotonic()
        stop.set()
        assert stop.wait(60)
        assert time.monotonic() - began < 30


# Threads that cannot be started


@pytest.fixture(params=["bare", "whole"])
def only(request, monkeypatch):
    """Let only so many more threads start: an operator's limit, or an interpreter that ends."""

    def limit(count):
        """Return how many calls are made at once at most, of four."""
        left = iter(range(count))

        def refusing(start):
            def begin(*arguments):
                if next(left, None) is None:
                    raise RuntimeError("can't start new thread")
                return start(*arguments)

            return begin

        if request.param == "bare":
            start = refusing(_thread.start_new_thread)
            monkeypatch.setattr(_thread, "start_new_thread", start)
        else:
            monkeypatch.setattr(threading.Thread, "start", refusing(threading.Thread.start))
        # Without any, those that were to start one do the work, and each may find itself alone.
        return 4 if (request.param, count) == ("whole", 0) else max(count, 1)

    return limit


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_threads_do_all_the_work(only, count):
    """Where threads cannot be started, those there are do the work, or else the caller does."""
    most = only(count)
    gauge, done = Gauge(), []

    def work(number):
        with gauge:
            done.append(number)

    window = Window(limit=4, on_bytes=done.append)
    window.run(Task(lambda n=n: work(n) or window.report(100)) for n in range(20))
    assert sorted(done) == [*range(20), *[100] * 20]
    assert gauge.most <= most


def test_threads_that_do_not_begin_are_an_error(monkeypatch):
    """Where memory is short, a thread may end before it begins: nobody waits for it for ever."""
    monkeypatch.setattr(_thread, "start_new_thread", lambda *arguments: 1)
    monkeypatch.setattr(workers, "MOST_LOOKS", 0)
    done = []
    with pytest.raises(errors.AuroraObjectsError, match="none begins"):
        Window(limit=4).run(Task(lambda n=n: done.append(n)) for n in range(20))
    with pytest.raises(errors.AuroraObjectsError, match="none begins"):
        Ending(0, lambda threads, bodies: None, threads=True).run(done.append)
    with Crew(2) as crew, pytest.raises(errors.AuroraObjectsError, match="none begins"):
        crew.taken(queue.SimpleQueue())
    assert done == []


def test_a_thread_that_has_begun_may_take_its_time(monkeypatch):
    """However often somebody looks for what it does."""
    monkeypatch.setattr(workers, "MOST_LOOKS", 0)
    begun, ends = threading.Event(), threading.Event()
    with Crew(1) as crew:
        outcome = crew.submit(lambda: begun.set() or ends.wait(10))
        assert begun.wait(10)
        for _ in range(3):
            crew.look()
        ends.set()
        assert crew.result(outcome)


def test_failures_come_out_without_threads(only):
    """Without any thread, the first failure is raised all the same, and ends the work."""
    only(0)
    begun = []

    def work(number):
        begun.append(number)
        return 1 // (1 - number)

    with pytest.raises(ZeroDivisionError):
        Window(limit=2).run(Task(lambda n=n: work(n)) for n in range(100))
    assert 1 in begun
    assert len(begun) < 100
    assert ending().run(lambda stop: 7) == 7


def test_transfers_work_without_threads(s3, driver, container, only, tmp_path):
    """Uploads, downloads, copies and listings need no thread to come to their end."""
    only(0)
    data = os.urandom(11 * MIB)
    obj = driver.upload_object_via_stream(data, container, "k")
    assert b"".join(driver.download_object_as_stream(obj)) == data
    assert driver.download_object(obj, str(tmp_path / "f"))
    assert (tmp_path / "f").read_bytes() == data
    for number in range(1500):
        s3.put(f"k{number}", b"")
    assert len(driver.list_container_objects(container)) == 1501


# A window of work


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_all_tasks_are_done(limit):
    """Every task runs once."""
    done = []
    Window(limit=limit).run(Task(lambda n=n: done.append(n)) for n in range(50))
    assert sorted(done) == list(range(50))


@pytest.mark.parametrize("limit", [2, 4])
def test_never_more_than_the_limit_at_once(limit):
    """As many tasks run at once as the limit says, and no more."""
    gauge, full = Gauge(), threading.Barrier(limit)

    def work():
        with gauge:
            full.wait(10)

    Window(limit=limit).run(Task(work) for _ in range(limit * 5))
    assert gauge.most == limit


def test_a_limit_of_one_starts_no_thread(only):
    """With a limit of 1 everything happens in the caller's thread, in order."""
    only(0)
    order = []
    window = Window(limit=1, on_bytes=lambda count: order.append(("moved", count)))

    def work(number):
        assert threading.current_thread() is threading.main_thread()
        window.report(number)
        order.append(("done", number))

    window.run(Task(lambda n=n: work(n)) for n in range(2))
    assert order == [("moved", 0), ("done", 0), ("moved", 1), ("done", 1)]


def test_tasks_are_pulled_as_room_appears():
    """The iterable is asked for the next task only while fewer than the limit wait for it."""
    gauge, pulled = Gauge(), []

    def work():
        with gauge:
            pass

    def tasks():
        for number in range(20):
            pulled.append(number)
            yield Task(work)
            assert number - gauge.begun < 3

    Window(limit=2).run(tasks())
    assert pulled == list(range(20))


def test_the_budget_bounds_the_bytes_held():
    """Tasks run at once as far as their bytes fit the budget, and no further."""
    gauge, two, three = Gauge(), threading.Barrier(2), threading.Barrier(3)

    def work():
        with gauge, contextlib.suppress(threading.BrokenBarrierError):
            two.wait(30)
            three.wait(0.2)

    Window(limit=4, budget=10).run([Task(work, 4)] * 6)
    assert gauge.most == 2


def test_a_task_beyond_the_budget_runs_alone():
    """A task larger than the whole budget waits until nothing else runs."""
    gauge, alone = Gauge(), []

    def small():
        with gauge:
            pass

    def large():
        with gauge:
            alone.append(gauge.now)

    tasks = [Task(small, 5), Task(small, 5), Task(large, 99), Task(small, 5)]
    Window(limit=4, budget=10).run(tasks)
    assert alone == [1]


def test_progress_is_reported_in_the_callers_thread():
    """Bytes moved by workers are reported in the thread that called run, all of them."""
    threads, total = set(), [0]

    def on_bytes(count):
        threads.add(threading.current_thread())
        total[0] += count

    window = Window(limit=3, on_bytes=on_bytes)
    window.run(Task(lambda: window.report(7)) for _ in range(30))
    assert threads == {threading.main_thread()}
    assert total == [210]


def test_the_first_cause_is_raised_after_all_have_ended():
    """The failure that came first is raised, once no task runs any more."""
    gauge, failed, go = Gauge(), threading.Event(), threading.Barrier(2)
    window = Window(limit=2)

    def first():
        with gauge:
            go.wait(10)
            failed.set()
            raise KeyError("first")

    def second():
        with gauge:
            go.wait(10)
            window.wait(10)
            raise ValueError("second")

    with pytest.raises(KeyError, match="first"):
        window.run([Task(first), Task(second), Task(second)])
    assert failed.is_set()
    assert window.is_set()
    assert gauge.now == 0
    assert gauge.begun == 2


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("place", ["tasks", "on_bytes"])
def test_failures_of_the_caller_end_the_work_first(kind, place):
    """A failure in the iterable or a callback, or Ctrl-C, ends what runs and is then raised."""
    gauge = Gauge()
    running = threading.Event()

    def fail(_=None):
        running.wait(10)
        raise kind("caller")

    def tasks():
        yield Task(report)
        yield Task(work)
        if place == "tasks":
            fail()

    def report():
        running.wait(10)
        window.report(1)

    def work():
        with gauge:
            running.set()
            window.wait(10)

    window = Window(limit=3, on_bytes=fail if place == "on_bytes" else lambda count: None)
    with pytest.raises(kind, match="caller"):
        window.run(tasks())
    assert gauge.now == 0
    assert gauge.begun == 1


def test_tasks_that_have_not_begun_are_cancelled(only):
    """When a transfer fails, tasks that still wait for a thread never run."""
    only(1)
    begun, ran = threading.Event(), []
    window = Window(limit=3)

    def block():
        begun.set()
        window.wait(10)

    def tasks():
        yield Task(block)
        assert begun.wait(10)
        yield Task(lambda: ran.append(1))
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        window.run(tasks())
    assert ran == []


def test_sequential_failures_end_at_once():
    """With a limit of 1 the first failure is raised and no further task is pulled."""
    pulled = []

    def tasks():
        for number in range(5):
            pulled.append(number)
            yield Task(lambda n=number: 1 // (1 - n))

    with pytest.raises(ZeroDivisionError):
        Window(limit=1).run(tasks())
    assert pulled == [0, 1]


# Requests that time out


class Told(logging.Handler):
    """Tells when the log holds a text."""

    def __init__(self, text):
        super().__init__(logging.INFO)
        self.text = text
        self.event = threading.Event()

    def emit(self, record):
        if self.text in record.getMessage():
            self.event.set()


@pytest.fixture
def narrowed(caplog):
    """An event that says that a window has become narrower."""
    told = Told("requests share the link from now on")
    caplog.set_level(logging.INFO, "libcloud_aurora")
    logger = logging.getLogger("libcloud_aurora")
    logger.addHandler(told)
    yield told.event
    logger.removeHandler(told)


ONCE = Retrier(RetryPolicy(max_attempts=1, delay_seconds=0))


def test_a_request_that_times_out_while_others_get_on_narrows_the_window(narrowed):
    """It uses up no attempt: fewer share the link from then on, and it waits for its place."""
    window, gauge, all_begun = Window(limit=4), Gauge(), threading.Barrier(4)
    moved, attempts, later = threading.Event(), [], Gauge()

    def attempt():
        attempts.append(gauge.now)
        if len(attempts) == 1:
            all_begun.wait(10)
            assert moved.wait(10)
            raise errors.NetworkTimeoutError("slow")

    def fast():
        with gauge:
            all_begun.wait(10)
            window.report(1)
            moved.set()
            assert narrowed.wait(10)

    def work():
        with later:
            pass

    slow = Task(lambda: ONCE.run(attempt, stop=window))
    window.run([slow, *[Task(fast)] * 3, *[Task(work)] * 20])
    assert len(attempts) == 2
    assert attempts[1] <= 1
    assert later.begun == 20
    assert later.most <= 2


def telling(counted, *tasks):
    """Yield tasks, and tell when the window has counted the last one: it may run before that."""
    yield from tasks
    counted.set()


class Clock:
    """A clock that stands still until it is moved."""

    now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def tried(monkeypatch):
    """
    A function that returns how many requests were made, one after another, and for how long.

    Bytes arrive at a rate that depends on how many there are, a MiB of each request at a time.
    """
    clock = Clock()
    monkeypatch.setattr(workers, "time", clock)

    def tried(first, most, rate, seconds=60):
        trial, phases, end = Trial(first, most), [[first, 0.0]], clock.now + seconds
        while clock.now < end:
            trial.begin()
            lasting = trial.now * MIB / rate(trial.now, phases[-1][1])
            clock.now += lasting
            phases[-1][1] += lasting
            for _ in range(phases[-1][0]):
                trial.count(MIB)
            if trial.now != phases[-1][0]:
                phases.append([trial.now, 0.0])
        return phases

    return tried


def numbers(phases):
    """Return how many requests there were, one after another."""
    return [number for number, _ in phases]


@pytest.mark.parametrize("pace", [1, 5, 20, 100])
def test_more_requests_are_made_as_long_as_they_bring_more(tried, pace):
    """Where each has a limit of its own, however low, all are soon made."""
    phases = tried(4, 16, lambda count, _: count * pace * MIB)
    assert numbers(phases) == [4, 8, 16]
    assert all(seconds < 0.3 + 4 / pace for _, seconds in phases[:-1])


@pytest.mark.parametrize("most", [5, 8, 9, 12])
def test_a_last_step_has_to_bring_less_the_smaller_it_is(tried, most):
    """One request more than four can bring a quarter more, and one more than eight an eighth."""
    phases = tried(4, most, lambda count, _: count * 20 * MIB)
    assert numbers(phases)[-1] == most
    assert len(phases) <= 3


@pytest.mark.parametrize("gain", [0.5, 1.0, 1.15])
def test_no_more_requests_are_made_than_bring_more(tried, gain):
    """Where they share a limit, twice as many are tried now and then, and more and more rarely."""
    phases = tried(4, 16, lambda count, _: 100 * MIB * (gain if count > 4 else 1))
    assert set(numbers(phases)) == {4, 8}
    few = [seconds for count, seconds in phases if count == 4]
    many = [seconds for count, seconds in phases if count == 8]
    assert all(seconds < 0.6 for seconds in many)
    assert few[1] > 2
    assert all(later > 1.5 * earlier for earlier, later in itertools.pairwise(few[1:-1]))
    assert len(phases) < 14


def test_the_last_step_is_tried_as_well(tried):
    """What the most requests bring is compared with what half of them brought."""
    phases = tried(4, 16, lambda count, _: min(count, 8) * 20 * MIB)
    assert numbers(phases)[:4] == [4, 8, 16, 8]


def test_a_trial_that_went_wrong_is_made_again(tried):
    """A server that pauses just then does not make the rest of a long transfer slow."""
    stalled = []

    def rate(count, since):
        if count == 8 and not stalled and since > 0.1:
            stalled.append(since)
            return count * MIB / 5
        return count * 20 * MIB

    phases = tried(4, 16, rate)
    assert numbers(phases) == [4, 8, 4, 8, 16]
    assert phases[2][1] < 3


def test_what_comes_while_requests_begin_does_not_count(tried):
    """Connections take a while to open: eight that bring half as much again have it to show."""
    phases = tried(
        4, 8, lambda count, since: {4: 400, 8: 600 if since > 0.09 else 100}[count] * MIB
    )
    assert numbers(phases) == [4, 8]


def test_a_window_begins_with_a_few_tasks_and_takes_more_when_they_bring_more(monkeypatch):
    """Until bytes have moved there are as many as it was told to begin with."""
    few, gauge, many = threading.Barrier(2), Gauge(), threading.Barrier(4)
    too_early = threading.Event()
    monkeypatch.setattr(Trial, "count", lambda self, moved: setattr(self, "now", 4))
    window = Window(limit=4, first=2)

    def begin():
        with gauge:
            few.wait(10)
            assert not too_early.wait(0.2)
            few.wait(10)
        window.report(1)

    def later():
        too_early.set()
        with gauge:
            many.wait(10)

    window.run([*[Task(begin)] * 2, *[Task(later)] * 4])
    assert gauge.most == 4


def test_a_trial_begins_when_as_many_requests_are_made(monkeypatch):
    """Not before, while some have yet to begin, and after it has gone back not while some go on."""
    begun, told, more, go = [0], *(threading.Event() for _ in range(3))
    monkeypatch.setattr(
        Trial, "begin", lambda self: begun[-1] == self.now or begun.append(self.now)
    )
    monkeypatch.setattr(Trial, "count", lambda self, moved: setattr(self, "now", moved))
    window = Window(limit=4, first=2)

    def tell(count):
        window.report(count)
        told.set()

    def wait():
        assert go.wait(10)

    def tasks():
        yield Task(wait)
        assert begun == [0]
        yield Task(lambda: more.wait(10) and tell(4))
        assert begun == [0, 2]
        more.set()
        assert told.wait(10)
        told.clear()
        yield from [Task(wait)] * 2
        yield Task(lambda: wait() or tell(1))
        assert begun == [0, 2, 4]
        go.set()
        assert told.wait(10)
        yield Task(lambda: None)

    window.run(tasks())
    assert begun == [0, 2, 4, 1]


def test_a_window_that_has_become_narrower_tries_no_more(narrowed, monkeypatch):
    """More requests are not tried on a link on which some time out."""
    asked, attempts, begun = [], [], threading.Event()
    monkeypatch.setattr(Trial, "count", lambda self, moved: asked.append(moved))
    window = Window(limit=4, first=2)

    def attempt():
        attempts.append(None)
        if len(attempts) == 1:
            assert begun.wait(10)
            window.count(1)
            raise errors.NetworkTimeoutError("slow")

    def fast():
        begun.set()
        assert narrowed.wait(10)
        window.report(1)

    window.run([Task(lambda: ONCE.run(attempt, stop=window)), Task(fast)])
    assert len(attempts) == 2
    assert asked == [1]  # before that


def test_one_silence_of_the_network_counts_once(narrowed):
    """All requests under way time out together; the window is halved, and grows with success."""
    window, all_begun, attempts = Window(limit=8), threading.Barrier(8), []

    def attempt():
        attempts.append(window._limit)
        if len(attempts) <= 8:
            all_begun.wait(10)
            window.count(1)
            all_begun.wait(10)
            raise errors.NetworkTimeoutError("silence")

    twice = Retrier(RetryPolicy(max_attempts=2, delay_seconds=0))  # the last one has nobody else
    window.run(Task(lambda: twice.run(attempt, stop=window)) for _ in range(200))
    assert len(attempts) == 208
    assert attempts[:8] == [8] * 8
    assert min(attempts) == 4
    assert attempts[-1] == 8


def test_a_request_alone_on_its_thread_waits_for_nobody():
    """Where no other thread can be started, what times out has used up an attempt, and goes on."""
    window, attempts = Window(limit=4), []
    window._crew = Crew(1, stop=window)

    def attempt():
        attempts.append(1)
        if len(attempts) == 1:
            window.count(1)
            raise errors.NetworkTimeoutError("slow")

    twice = Retrier(RetryPolicy(max_attempts=2, delay_seconds=0))
    window.run([Task(lambda: twice.run(attempt, stop=window))] * 4)
    assert len(attempts) == 5


class InStep:
    """A lock that those who wait for a place leave together, until one has its place."""

    def __init__(self):
        self.lock, self.waiting, self.step = threading.RLock(), set(), threading.Barrier(2)
        self.release = self.lock.release

    def __enter__(self):
        self.lock.acquire()

    def __exit__(self, *_):
        self.lock.release()
        if threading.get_ident() in self.waiting:
            with contextlib.suppress(threading.BrokenBarrierError):
                self.step.wait(10)


def test_a_place_among_fewer_requests_is_taken_once():
    """Of those that look for a place at the same time, one gets it."""
    both_wait, all_begun, together = threading.Event(), threading.Barrier(3), threading.Barrier(2)
    gauge, moved, tried = Gauge(), threading.Event(), threading.local()
    counted = threading.Event()

    class Observed(Window):
        def wait(self, seconds):
            lock.waiting.add(threading.get_ident())
            if len(lock.waiting) == 2:
                both_wait.set()
            return super().wait(0)

    window, lock = Observed(limit=3), InStep()
    window._lock = lock

    def attempt():
        if not hasattr(tried, "before"):
            tried.before = True
            all_begun.wait(10)
            assert moved.wait(10)
            assert counted.wait(10)
            raise errors.NetworkTimeoutError("slow")
        with gauge, contextlib.suppress(threading.BrokenBarrierError):
            lock.step.abort()
            together.wait(0.2)

    def fast():
        all_begun.wait(10)
        window.report(1)
        moved.set()
        assert both_wait.wait(10)

    slow = Task(lambda: ONCE.run(attempt, stop=window))
    window.run(telling(counted, slow, slow, Task(fast)))
    assert gauge.begun == 2
    assert gauge.most == 1


@pytest.mark.parametrize("limit", [1, 2, 4])
def test_requests_that_never_succeed_end(limit):
    """A server that takes all bytes and never answers is an error, and not tried for ever."""
    window, attempts = Window(limit=limit), []

    def attempt():
        window.count(1)
        attempts.append(1)
        raise errors.NetworkTimeoutError("silence")

    with pytest.raises(errors.NetworkTimeoutError, match="silence"):
        window.run(Task(lambda: ONCE.run(attempt, stop=window)) for _ in range(20))
    assert len(attempts) <= 3 * limit


def test_a_transfer_that_has_ended_becomes_no_narrower(narrowed):
    """Whoever ends a transfer breaks its connections, which says nothing about the link."""
    window = Window(limit=4)
    window.set()
    assert not window.narrow("broken", time.monotonic())
    assert not narrowed.is_set()


def test_what_waits_for_a_place_ends_with_the_transfer(narrowed):
    """A request that waits for its place among fewer ends at once when the transfer fails."""
    window, begun, attempts = Window(limit=2), threading.Barrier(2), []
    counted = threading.Event()

    def attempt():
        attempts.append(1)
        if len(attempts) == 1:
            begun.wait(10)
            assert counted.wait(10)
            window.report(1)
        raise errors.NetworkTimeoutError("slow")

    def failing():
        begun.wait(10)
        assert narrowed.wait(10)
        assert not window.wait(0.5)
        assert len(attempts) == 1
        raise ValueError("the first cause")

    slow = Task(lambda: ONCE.run(attempt, stop=window))
    with pytest.raises(ValueError, match="the first cause"):
        window.run(telling(counted, slow, Task(failing)))
    assert len(attempts) == 1


# Memory that is used again


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


# Threads and a driver


@pytest.fixture
def transfers(s3, container, new_driver, tmp_path):
    """Everything that a driver does with threads."""
    for number in range(1500):
        s3.put(f"a{number}", b"")
    driver = new_driver()
    (tmp_path / "source").write_bytes(bytes(11 * MIB))
    obj = driver.upload_object(str(tmp_path / "source"), container, "k")
    container = Container("photos", {}, driver)
    return [
        lambda: driver.upload_object(str(tmp_path / "source"), container, "k"),
        lambda: driver.upload_object_via_stream(bytes(11 * MIB), container, "k"),
        lambda: driver.download_object(obj, str(tmp_path / "file"), overwrite_existing=True),
        lambda: deque(driver.download_object_as_stream(obj), maxlen=0),
        lambda: driver.list_container_objects(container),
    ]


def test_threads_begin_and_end_with_a_transfer(transfers, still_working):
    """No thread runs before a transfer, and none after it: the driver need not be closed."""
    assert still_working() == []
    for transfer in transfers:
        transfer()
        assert still_working() == []


def test_threads_of_a_stream_live_while_it_is_read(s3, driver, container, working):
    """A stream that is read has threads, which end where it is closed."""
    obj = driver.upload_object_via_stream(bytes(11 * MIB), container, "k")
    chunks = driver.download_object_as_stream(obj)
    assert next(chunks)
    assert next(chunks)
    assert working()
    chunks.close()


def test_sequential_drivers_start_no_thread(s3, container, new_driver, only, tmp_path):
    """With ex_max_concurrency=1 no transfer and no listing starts a thread."""
    only(0)
    driver = new_driver(ex_max_concurrency=1)
    seen = set()
    s3.faults.append(lambda request: seen.add(threading.current_thread()))
    obj = driver.upload_object_via_stream(bytes(11 * MIB), container, "k")
    assert sum(map(len, driver.download_object_as_stream(obj))) == 11 * MIB
    assert driver.download_object(obj, str(tmp_path / "f"))
    for number in range(1500):
        s3.put(f"k{number}", b"")
    assert len(driver.list_container_objects(container)) == 1501
    assert seen == {threading.main_thread()}


def test_a_driver_that_is_closed_works_on(s3, container, new_driver):
    """A driver may be closed at any time, also by a with block that ends with an exception."""
    with pytest.raises(RuntimeError), new_driver() as driver:  # noqa: PT012
        driver.upload_object_via_stream(bytes(11 * MIB), container, "k")
        driver.close()
        driver.close()
        raise RuntimeError
    assert driver.get_object("photos", "k").size == 11 * MIB


def test_a_driver_that_is_dropped_is_gone(s3, container):
    """A driver that nobody holds any more is collected, whatever it has done."""
    driver = AuroraObjectsStorageDriver("key", "secret")
    driver.upload_object_via_stream(bytes(11 * MIB), Container("photos", {}, driver), "k")
    gone = weakref.ref(driver)
    del driver
    until = time.monotonic() + 10
    while gone() is not None and time.monotonic() < until:  # a thread may be at its end still
        gc.collect()
    assert gone() is None


@forks
def test_a_forked_child_works(s3, container, driver):
    """After a real fork, in the middle of a transfer, the child uploads and lists."""

    def child():
        s3.lock = threading.Lock()  # which a worker of the parent may hold: no server forks
        driver.upload_object_via_stream(bytes(6 * MIB), container, "child")
        return [obj.name for obj in container.list_objects()]

    said = []

    def chunks():
        yield bytes(6 * MIB)
        said.append(in_a_child(child))
        yield bytes(6 * MIB)

    driver.upload_object_via_stream(chunks(), container, "parent")
    assert said == ["['child']"]
    assert [obj.name for obj in container.list_objects()] == ["parent"]


@forks
def test_a_forked_child_that_unwinds_leaves_its_parent_s_upload(s3, container, driver):
    """An upload is aborted only by the process that has begun it."""
    parent, deleted = os.getpid(), []

    def chunks():
        while not s3.sent("PUT"):
            yield bytes(6 * MIB)
        reading, writing = os.pipe()
        if child := os.fork():
            os.close(writing)
            os.waitpid(child, 0)
            with open(reading, "rb") as said:
                deleted.append(said.read())
        else:
            pipes.append(writing)
            raise SystemExit
        yield bytes(6 * MIB)

    pipes = []
    try:
        driver.upload_object_via_stream(chunks(), container, "k")
    except SystemExit:
        if os.getpid() != parent:
            os.write(pipes[0], str(len(s3.sent("DELETE"))).encode())
            os._exit(0)
        raise
    assert deleted == [b"0"]


def test_drivers_containers_and_objects_pickle(s3, container, new_driver):
    """A pickled driver has the same settings and works; so do its containers and objects."""
    driver = new_driver(region="eu", ex_max_concurrency=3, ex_part_size=6 * MIB)
    container = Container("photos", {}, driver)
    obj = driver.upload_object_via_stream(b"content", container, "k")
    for twin in (pickle.loads(pickle.dumps(driver)), pickle.loads(pickle.dumps(obj)).driver):  # noqa: S301
        assert type(twin) is type(driver)
        assert twin.__reduce__() == driver.__reduce__()
        assert [each.name for each in twin.list_containers()] == ["photos"]
        twin.close()
    twin = pickle.loads(pickle.dumps(obj))  # noqa: S301
    assert b"".join(twin.as_stream()) == b"content"
    twin.driver.close()
    twin = pickle.loads(pickle.dumps(container))  # noqa: S301
    assert [each.name for each in twin.list_objects()] == ["k"]
    twin.driver.close()


def test_many_threads_share_a_driver(s3, container, driver):
    """Sixteen threads that share one driver each get their own answers."""
    for number in range(16):
        s3.put(f"k{number}", f"content {number}".encode())
    wrong = []

    def work(number):
        for _ in range(10):
            obj = driver.get_object("photos", f"k{number}")
            if b"".join(driver.download_object_as_stream(obj)) != f"content {number}".encode():
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    ("method", "work"),
    [
        ("PUT", lambda driver, obj, path: driver.upload_object(path, obj.container, "new")),
        (
            "PUT",
            lambda driver, obj, path: driver.upload_object_via_stream(
                io.BytesIO(bytes(12 * MIB)), obj.container, "new"
            ),
        ),
        ("GET", lambda driver, obj, path: driver.download_object(obj, f"{path}.new")),
        ("GET", lambda driver, obj, path: deque(driver.download_object_as_stream(obj), maxlen=0)),
    ],
    ids=["upload_object", "upload_object_via_stream", "download_object", "as_stream"],
)
def test_a_failure_ends_with_who_caught_it(s3, driver, tmp_path, method, work):
    """An error is part of no cycle: the memory of a failed transfer is free without a collector."""
    path = tmp_path / "file"
    path.write_bytes(bytes(12 * MIB))
    container = Container("photos", {}, driver)
    obj = driver.upload_object(str(path), container, "old")
    refused = error(403, "AccessDenied")
    s3.faults.append(lambda seen: refused if is_later(seen, method) else None)

    gone = threading.Event()

    def caught():
        try:
            work(driver, obj, str(path))
        except errors.AccessDeniedError as failure:  # pytest.raises would hold it
            return weakref.ref(failure, lambda _: gone.set())

    gc.collect()
    gc.disable()
    try:
        watched = caught()
        assert gone.wait(10)  # the worker that failed may be at its end still
        assert watched() is None
    finally:
        gc.enable()


def is_later(seen, method):
    """Tell a part or a range from the first one."""
    first = seen.params.get("partNumber") == "1" or seen.headers.get("range", "").startswith(
        "bytes=0-"
    )
    return seen.method == method and not first


# The end of a program


ENDING = """
import threading
from libcloud_aurora._transfer.workers import Crew

class HalfRead:
    def __init__(self):
        self.crew = Crew(1)

    def __del__(self):
        self.crew.close()

half_read, begun = HalfRead(), threading.Event()
half_read.crew.submit(lambda: begun.set() or threading.Event().wait())
begun.wait()
print("end")
"""


def test_a_program_ends_while_something_is_fetched_ahead():
    """A program with a half-read stream ends at once, though a worker is still at it."""
    done = subprocess.run(
        [sys.executable, "-c", ENDING], capture_output=True, timeout=30, text=True
    )
    assert (done.stdout, done.stderr, done.returncode) == ("end\n", "", 0)


def test_nobody_waits_once_python_ends(monkeypatch):
    """At the end of a program, when threads stand still, nothing waits for them."""
    crew, go, begun = Crew(1), threading.Event(), threading.Event()
    outcome = crew.submit(lambda: begun.set() or go.wait(10))
    assert begun.wait(10)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "is_finalizing", lambda: True)
        crew.close()
    assert not outcome.done()
    go.set()
    assert crew.result(outcome)
