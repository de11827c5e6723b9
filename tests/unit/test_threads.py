"""_threads: the threads of a driver. Steered with events."""

import gc
import os
import signal
import subprocess
import sys
import threading

import pytest

from libcloud_aurora._parallel import Gate
from libcloud_aurora._threads import THREAD_NAME, Outcome, Stop, Workers, _Crew, is_worker


@pytest.fixture
def workers():
    workers = Workers(3)
    yield workers
    workers.close()


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith(THREAD_NAME)]


def test_what_a_call_returns_is_its_outcome(workers):
    """A call is made by a worker, and what it returns can be asked for again and again."""
    outcome = workers.submit(is_worker)
    assert outcome.result() is outcome.result() is True
    assert outcome.done()
    assert not is_worker()


@pytest.mark.parametrize("kind", [ValueError, SystemExit])
def test_what_a_call_raises_is_raised(workers, kind):
    """What a call raises, whatever it is, is raised where its result is asked for."""

    def fail():
        raise kind("told")

    with pytest.raises(kind, match="told"):
        workers.submit(fail).result()
    assert workers.submit(lambda: 1).result() == 1


def test_who_waits_is_told(workers):
    """Once a call is made, the outcome itself is told to whoever asked for that."""
    told, seen = threading.Event(), []
    outcome = workers.submit(lambda: 5, lambda each: seen.append(each) or told.set())
    assert told.wait(10)
    assert seen == [outcome]


def test_no_more_threads_than_allowed_and_none_without_need(workers):
    """Calls that run at once have a thread each, up to the limit; a free thread is used again."""
    for _ in range(5):
        workers.submit(list).result()
    assert len(threads()) <= 2
    full, go = threading.Barrier(4), threading.Event()
    held = [workers.submit(lambda: full.wait(10) and go.wait(10)) for _ in range(3)]
    waiting = workers.submit(list)
    full.wait(10)
    assert len(threads()) == 3
    assert not waiting.done()
    go.set()
    assert [outcome.result() is not None for outcome in (*held, waiting)] == [True] * 4


def test_closing_waits_for_what_was_submitted(workers):
    """When close returns, all calls have been made and no thread is left."""
    made = []
    outcomes = [workers.submit(lambda n=n: made.append(n)) for n in range(20)]
    workers.close()
    assert sorted(made) == list(range(20))
    assert all(outcome.done() for outcome in outcomes)
    assert threads() == []
    workers.close()


def test_a_worker_may_close_its_own_workers(workers):
    """A worker that closes them, as the garbage collector may, does not wait for itself."""
    assert workers.submit(workers.close).result() is None
    assert workers.submit(lambda: 7).result() == 7


def test_threads_of_forgotten_workers_end():
    """Workers that nobody holds any more end their threads."""
    workers = Workers(2)
    workers.submit(list).result()
    (running,) = threads()
    del workers
    gc.collect()
    running.join(10)
    assert not running.is_alive()


def test_another_process_has_threads_of_its_own(workers, monkeypatch):
    """In a forked child, where the threads are gone, new ones are started."""
    workers.submit(list).result()
    parents = threads()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert workers.submit(threading.current_thread).result() not in parents


def test_a_thread_that_never_started_is_not_waited_for():
    """Ctrl-C before a thread is started leaves nothing to wait for."""
    crew = _Crew(1)
    crew._threads.append(threading.Thread(target=list))
    crew.end()
    crew.join()


def test_threads_are_no_reason_not_to_end(workers):
    """A program ends though its driver was never closed: threads are daemons."""
    workers.submit(list).result()
    assert all(thread.daemon for thread in threads())


def test_ctrl_c_while_waiting_leaves_nothing_locked(workers):
    """Ctrl-C while a result is waited for is raised at once, and the workers work on."""
    go = threading.Event()

    def press():
        while not go.wait(0.01):
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    def handler(number, frame):
        if not go.is_set():
            go.set()
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, handler)
    try:
        outcome = workers.submit(press)
        with pytest.raises(KeyboardInterrupt):
            outcome.result()
    finally:
        signal.signal(signal.SIGINT, before)
    assert outcome.result() is None
    assert workers.submit(lambda: 3).result() == 3


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


ENDING = """
import threading
from libcloud_aurora._parallel import Gate
from libcloud_aurora._threads import Workers

class HalfRead:
    def __init__(self):
        self.gate = Gate()

    def __del__(self):
        self.gate.close()

workers, half_read = Workers(1), HalfRead()
workers.submit(half_read.gate.guard(threading.Event().wait))
while not half_read.gate._active:
    pass
print("end")
"""


def test_a_program_ends_while_something_is_fetched_ahead():
    """A program with a half-read stream ends at once, though a worker is still at it."""
    done = subprocess.run(
        [sys.executable, "-c", ENDING], capture_output=True, timeout=30, text=True
    )
    assert (done.stdout, done.stderr, done.returncode) == ("end\n", "", 0)


def test_nobody_waits_once_python_ends(workers, monkeypatch):
    """At the end of a program, when threads stand still, nothing waits for them."""
    go, begun = threading.Event(), threading.Event()
    gate = Gate()
    outcome = workers.submit(gate.guard(lambda: begun.set() or go.wait(10)))
    assert begun.wait(10)
    monkeypatch.setattr(sys, "is_finalizing", lambda: True)
    gate.close()
    workers.close()
    assert not outcome.done()
    monkeypatch.undo()
    go.set()
    assert outcome.result()


def test_an_outcome_keeps_nothing_of_its_call():
    """Once a call is made, what it held is free."""
    outcome = Outcome(lambda: None)
    outcome.settle()
    assert outcome._call is None
