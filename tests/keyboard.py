"""Ctrl-C, pressed in another thread and seen by the main one."""

import signal
import threading
from contextlib import contextmanager


class Keyboard:
    """
    Ctrl-C in the main thread, as often as it is pressed, however often the signal is sent.

    :param error: What the signal raises there.
    """

    def __init__(self, error=KeyboardInterrupt):
        self.error = error
        self.wanted = 0
        self.seen = threading.Semaphore(0)
        self.count = 0

    def press(self, times=1):
        """Press it, and send the signal until the main thread has seen it: one may be missed."""
        for _ in range(times):
            self.wanted += 1
            while not self.seen.acquire(timeout=0.01):
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    def slip(self):
        """
        Press it once so that the main thread, asleep, is not woken; tell whether it sees it soon.

        That is how Ctrl-C comes to a thread that is about to sleep.
        """
        self.wanted += 1
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        return self.seen.acquire(timeout=5)

    @contextmanager
    def at_hand(self):
        """Let it work in this block."""

        def handle(number, frame):
            if self.count < self.wanted:
                self.count += 1
                self.seen.release()
                raise self.error

        before = signal.signal(signal.SIGINT, handle)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
