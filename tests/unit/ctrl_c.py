"""Ctrl-C just as this thread comes to a line of the package."""

import contextlib
import sys
from pathlib import Path

import libcloud_aurora

PACKAGE = str(Path(libcloud_aurora.__file__).parent)


@contextlib.contextmanager
def _watching(see, kind="line", within=PACKAGE):
    def trace(frame, event, arg):
        if not frame.f_code.co_filename.startswith(within):
            return None
        if event == kind:
            see((frame.f_code.co_filename[len(PACKAGE) + 1 :], frame.f_lineno))
        return trace if kind == "line" else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


def lines_of(call):
    """Make a call, and return the lines it comes to in this thread, each once."""
    seen = {}
    with _watching(lambda line: seen.setdefault(line)):
        call()
    return list(seen)


def calls_of(call, within=PACKAGE):
    """Make a call, and return how many functions of the package it enters in this thread."""
    seen = []
    with _watching(seen.append, "call", within):
        call()
    return len(seen)


def pressed_after(calls, call, within=PACKAGE):
    """
    Make a call, and let Ctrl-C come as it enters its next function after so many.

    That is where Python looks for signals, and never between a lock's with and its end: but 3.14
    also looks between a lock and its block.
    """

    def press(at):
        seen.append(at)
        if len(seen) == calls + 1:
            raise KeyboardInterrupt(at)

    seen = []
    with _watching(press, "call", within):
        call()


def pressed_at(line, call):
    """Make a call, and let Ctrl-C come when it is at a line for the first time."""

    def press(at):
        if at == line and not pressed:
            pressed.append(at)
            raise KeyboardInterrupt(line)

    pressed = []
    with _watching(press, within=f"{PACKAGE}/{line[0]}"):
        call()
