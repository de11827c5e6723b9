"""Iterators that are forgotten half-read, or carried into a forked child."""

import gc
import os
import threading
from types import GeneratorType

import pytest
from libcloud.storage.base import Object

from libcloud_aurora.errors import AuroraObjectsError

MIB = 1_048_576
LARGE = os.urandom(9 * MIB)

pytestmark = [
    pytest.mark.usefixtures("no_thread_left"),
    #: Python 3.12 and later warn of what these tests are about.
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]


@pytest.fixture(params=["stream", "listing"])
def iterator(request, s3, container, driver):
    """Make an iterator of which a worker is to fetch the next piece ahead."""
    if request.param == "stream":
        s3.put("k", LARGE)
        obj = Object("k", None, None, None, None, container, driver)
        return lambda: driver.download_object_as_stream(obj, MIB)
    for number in range(2500):
        s3.put(f"k{number:04d}", b"")
    return container.iterate_objects


@pytest.fixture
def no_collector():
    """The collector runs only where a test lets it."""
    gc.disable()
    yield
    gc.enable()


def is_ahead(request):
    """Match what is fetched ahead: the ranges and pages behind the first two."""
    start = request.headers.get("range", "bytes=0-")[6:].partition("-")[0]
    return int(start) >= 3 * MIB or "marker" in request.params


@pytest.mark.usefixtures("no_collector")
def test_an_abandoned_iterator_may_be_collected_in_a_worker(s3, driver, iterator, still_working):
    """A forgotten iterator that is collected in the worker fetching for it blocks nobody."""
    fetching, abandoned, collected = threading.Event(), threading.Event(), threading.Event()
    collectors = []

    def collect(request):
        if is_ahead(request) and not fetching.is_set():
            fetching.set()
            assert abandoned.wait(10)
            gc.collect()
            collectors.append(threading.current_thread())
            collected.set()

    s3.faults.append(collect)
    cycle = {"iterator": iterator()}
    cycle["cycle"] = cycle
    next(cycle["iterator"])
    next(cycle["iterator"])
    assert fetching.wait(10)
    del cycle
    abandoned.set()
    assert collected.wait(10)
    assert collectors[0] is not threading.current_thread()
    assert still_working() == []
    assert len(driver.list_containers()) == 1


@pytest.mark.usefixtures("no_collector")
def test_an_iterator_may_be_collected_in_a_log_handler(s3, iterator, monkeypatch):
    """Who is collected where its worker waits for the log does not wait for the worker for ever."""
    for module in ("stream", "listing"):
        monkeypatch.setattr(f"libcloud_aurora._transfer.{module}.ABANDONED_SECONDS", 0.1)
    fetching, lock = threading.Event(), threading.Lock()

    def log(request):
        if is_ahead(request):
            fetching.set()
            with lock:
                pass

    s3.faults.append(log)
    begun = iterator()
    next(begun)
    with lock:  # as in a handler that the collector interrupts
        next(begun)
        assert fetching.wait(10)
        begun.close()


def test_an_iterator_made_before_a_fork_works_in_the_child(s3, iterator):
    """An iterator that was made, but not begun, before a fork gives all there is in the child."""
    assert list(iterator())
    made = iterator()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, str(sum(1 for _ in made)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        assert pipe.read().decode() in ("9", "2500")
    os.waitpid(child, 0)


@pytest.mark.parametrize("end", ["close", "go on"])
def test_an_iterator_in_a_forked_child_ends(s3, iterator, end):
    """In a forked child an iterator begun before can be closed, and says why it cannot go on."""
    fetching, forked = threading.Event(), threading.Event()

    def hold(request):
        if is_ahead(request):
            fetching.set()
            assert forked.wait(10)

    s3.faults.append(hold)
    begun = iterator()
    next(begun)
    next(begun)
    assert fetching.wait(10)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if end == "go on":
                list(begun)
            begun.close()
            os.write(writing, b"closed")
        except AuroraObjectsError as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    forked.set()
    with open(reading, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(child, 0)
    assert said == "closed" if end == "close" else "started before a fork" in said
    begun.close()


@pytest.mark.usefixtures("no_collector")
def test_an_abandoned_iterator_ends_with_its_last_reference(s3, iterator, still_working):
    """A half-read iterator that nobody holds any more waits for what it fetches, and ends."""
    fetching, ended = threading.Event(), []

    def hold(request):
        if is_ahead(request):
            fetching.set()
            assert abandoned.wait(10)
            ended.append(request)

    abandoned = threading.Event()
    s3.faults.append(hold)
    begun = iterator()
    next(begun)
    next(begun)
    assert fetching.wait(10)
    threading.Timer(0, abandoned.set).start()
    del begun
    seen = len(ended)
    assert still_working() == []
    assert len(ended) == seen > 0


def test_closing_counts_no_references(iterator, still_working):
    """Closing ends all threads, even if what an iterator is made of lives on, as on PyPy."""
    begun = iterator()
    next(begun)
    next(begun)
    alive = [each for each in gc.get_objects() if isinstance(each, GeneratorType)]
    begun.close()
    assert still_working() == []
    del alive
