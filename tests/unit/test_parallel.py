"""_parallel: a bounded window of work, and the one order of ending. Steered with events."""

import os
import signal
import threading

import pytest

from libcloud_aurora._parallel import CancelledError, Gate, Task, Window
from libcloud_aurora._threads import Outcome, Workers
from libcloud_aurora.errors import AuroraObjectsError


@pytest.fixture
def workers():
    workers = Workers(4)
    yield workers
    workers.close()


def names():
    return [thread.name for thread in threading.enumerate()]


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


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_all_results_arrive(workers, limit):
    """Every task runs once, and every result is handed over."""
    results = []
    window = Window(workers, limit=limit)
    window.run((Task(lambda n=n: n * n) for n in range(50)), results.append)
    assert sorted(results) == [n * n for n in range(50)]


@pytest.mark.parametrize("limit", [2, 4])
def test_never_more_than_the_limit_at_once(workers, limit):
    """As many tasks run at once as the limit says, and no more."""
    gauge, full = Gauge(), threading.Barrier(limit)

    def work():
        with gauge:
            full.wait(10)

    Window(workers, limit=limit).run((Task(work) for _ in range(limit * 5)), lambda result: None)
    assert gauge.most == limit


def test_a_limit_of_one_starts_no_thread():
    """With a limit of 1 everything happens in the caller's thread, in order."""
    workers, order = Workers(4), []
    window = Window(workers, limit=1, on_bytes=lambda count: order.append(("moved", count)))

    def work(number):
        assert threading.current_thread() is threading.main_thread()
        window.moved(number)
        return number

    tasks = (Task(lambda n=n: work(n)) for n in range(2))
    window.run(tasks, lambda result: order.append(("result", result)))
    assert order == [("moved", 0), ("result", 0), ("moved", 1), ("result", 1)]
    assert not any(name.startswith("libcloud-aurora") for name in names())


def test_tasks_are_pulled_as_room_appears(workers):
    """The iterable is asked for the next task only while fewer than the limit wait for it."""
    gauge, pulled = Gauge(), []

    def tasks():
        for number in range(20):
            pulled.append(number)
            yield Task(lambda: gauge.__enter__() or gauge.__exit__())
            assert number - gauge.begun < 3

    Window(workers, limit=2).run(tasks(), lambda result: None)
    assert pulled == list(range(20))


def test_the_budget_bounds_the_bytes_held(workers):
    """Tasks run at once only as far as their bytes fit the budget."""
    lock, held, most = threading.Lock(), [0], [0]

    def work(size):
        with lock:
            held[0] += size
            most[0] = max(most[0], held[0])
        with lock:
            held[0] -= size

    window = Window(workers, limit=4, budget=10)
    sizes = [4, 4, 4, 6, 10, 3, 3, 3, 3, 50, 1]
    window.run((Task(lambda s=s: work(s), s) for s in sizes), lambda result: None)
    assert most[0] == 50
    assert held[0] == 0


def test_a_task_beyond_the_budget_runs_alone(workers):
    """A task larger than the whole budget waits until nothing else runs."""
    gauge, alone = Gauge(), []

    def small():
        with gauge:
            pass

    def large():
        with gauge:
            alone.append(gauge.now)

    window = Window(workers, limit=4, budget=10)
    tasks = [Task(small, 5), Task(small, 5), Task(large, 99), Task(small, 5)]
    window.run(iter(tasks), lambda result: None)
    assert alone == [1]


def test_progress_is_reported_in_the_callers_thread(workers):
    """Bytes moved by workers are reported in the thread that called run, all of them."""
    threads, total = set(), [0]

    def on_bytes(count):
        threads.add(threading.current_thread())
        total[0] += count

    window = Window(workers, limit=3, on_bytes=on_bytes)
    window.run((Task(lambda: window.moved(7)) for _ in range(30)), lambda result: None)
    assert threads == {threading.main_thread()}
    assert total == [210]


def test_bytes_reported_after_the_last_result_arrive_too(workers):
    """Nothing that was reported is lost at the end."""
    total = []
    window = Window(workers, limit=2, on_bytes=total.append)
    window.run(iter([Task(lambda: 1)]), lambda result: window.moved(5))
    assert total == [5]


def test_the_first_cause_is_raised_after_all_have_ended(workers):
    """The failure that came first is raised, once no task runs any more."""
    gauge, failed, go = Gauge(), threading.Event(), threading.Barrier(2)
    window = Window(workers, limit=2)

    def first():
        with gauge:
            go.wait(10)
            failed.set()
            raise KeyError("first")

    def second():
        with gauge:
            go.wait(10)
            window.stop.wait(10)
            raise ValueError("second")

    with pytest.raises(KeyError, match="first"):
        window.run(iter([Task(first), Task(second), Task(second)]), lambda result: None)
    assert failed.is_set()
    assert window.stop.is_set()
    assert gauge.now == 0
    assert gauge.begun == 2


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("place", ["tasks", "on_result", "on_bytes"])
def test_failures_of_the_caller_end_the_work_first(workers, kind, place):
    """A failure in the iterable or a callback, or Ctrl-C, ends what runs and is then raised."""
    gauge = Gauge()
    running = threading.Event()

    def fail(_=None):
        running.wait(10)
        raise kind("caller")

    def tasks():
        yield Task(lambda: window.moved(1) or "result")
        yield Task(work)
        if place == "tasks":
            fail()

    def work():
        with gauge:
            running.set()
            window.stop.wait(10)

    callbacks = {"on_result": lambda result: None, "on_bytes": lambda count: None}
    callbacks |= {place: fail}
    window = Window(workers, limit=3, on_bytes=callbacks["on_bytes"])
    with pytest.raises(kind, match="caller"):
        window.run(tasks(), callbacks["on_result"])
    assert gauge.now == 0
    assert gauge.begun == 1


def test_tasks_that_have_not_begun_are_cancelled():
    """When a transfer fails, tasks that still wait for a thread never run."""
    workers, begun, ran = Workers(1), threading.Event(), []
    window = Window(workers, limit=3)

    def block():
        begun.set()
        window.stop.wait(10)

    def tasks():
        yield Task(block)
        yield Task(lambda: ran.append(1))
        begun.wait(10)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        window.run(tasks(), lambda result: None)
    workers.close()
    assert ran == []


def test_sequential_failures_end_at_once():
    """With a limit of 1 the first failure is raised and no further task is pulled."""
    pulled = []

    def tasks():
        for number in range(5):
            pulled.append(number)
            yield Task(lambda n=number: 1 // (1 - n))

    with pytest.raises(ZeroDivisionError):
        Window(Workers(1), limit=1).run(tasks(), lambda result: None)
    assert pulled == [0, 1]


def test_workers_are_reused_and_named(workers):
    """Threads are started when needed, reused across transfers, and carry the package's name."""
    used = set()
    for _ in range(3):
        tasks = (Task(lambda: used.add(threading.current_thread())) for _ in range(20))
        Window(workers, limit=2).run(tasks, lambda result: None)
    assert 1 <= len(used) <= 4
    assert all(thread.name.startswith("libcloud-aurora") for thread in used)


def test_close_ends_the_threads_and_work_may_go_on():
    """After close no thread is left; further work starts new ones."""
    workers = Workers(2)
    workers.close()
    for _ in range(2):
        assert workers.submit(lambda: 5).result() == 5
        assert any(name.startswith("libcloud-aurora") for name in names())
        workers.close()
        assert not any(name.startswith("libcloud-aurora") for name in names())


def test_nothing_begins_behind_a_closed_gate():
    """A call guarded by a gate runs while it is open, and is cancelled once it is closed."""
    gate, ran = Gate(), []
    guarded = gate.guard(lambda: ran.append(1) or "result")
    assert guarded() == "result"
    gate.close()
    with pytest.raises(CancelledError):
        guarded()
    assert ran == [1]


def test_a_failing_call_is_no_longer_counted():
    """A call that fails has ended all the same."""
    gate = Gate()
    with pytest.raises(ZeroDivisionError):
        gate.guard(lambda: 1 // 0)()
    gate.close()


def test_ctrl_c_while_closing_waits_all_the_same():
    """Ctrl-C while the last tasks end is raised after they have ended."""
    gate, begun, interrupted, ended = Gate(), threading.Event(), threading.Event(), []

    def handler(number, frame):
        if not interrupted.is_set():
            interrupted.set()
            raise KeyboardInterrupt

    def work():
        begun.set()
        with pytest.raises(CancelledError):  # noqa: PT012
            while True:
                gate.guard(lambda: None)()
        while not interrupted.wait(0.01):  # one just before the main thread waits is unseen
            os.kill(os.getpid(), signal.SIGINT)
        ended.append(1)

    before = signal.signal(signal.SIGINT, handler)
    thread = threading.Thread(target=gate.guard(work))
    try:
        thread.start()
        assert begun.wait(10)
        with pytest.raises(KeyboardInterrupt):
            gate.close()
        assert ended == [1]
    finally:
        signal.signal(signal.SIGINT, before)
        thread.join()


def test_a_worker_never_waits_for_itself(workers):
    """A gate that is closed in a worker, as the garbage collector may, is closed at once."""
    gate, ran = Gate(), []
    assert workers.submit(gate.guard(gate.close)).result() is None
    with pytest.raises(CancelledError):
        gate.guard(lambda: ran.append(1))()
    assert ran == []


def test_a_forked_child_waits_for_nobody():
    """In a forked child, where no worker lives on, a gate closes, and a result is an error."""
    gate, begun, end = Gate(), threading.Event(), threading.Event()
    thread = threading.Thread(target=gate.guard(lambda: begun.set() or end.wait(10)))
    thread.start()
    assert begun.wait(10)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            gate.result(Outcome(list))
        except AuroraObjectsError as error:
            gate.close()
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        assert b"begun before a fork" in pipe.read()
    os.waitpid(child, 0)
    end.set()
    thread.join()


def test_a_gate_of_another_process_says_so():
    """A gate made in a process with another id gives no result and does not wait."""
    gate = Gate()
    gate._pid += 1
    with pytest.raises(AuroraObjectsError, match="begun before a fork"):
        gate.result(Outcome(list))
    gate.guard(gate.close)()
