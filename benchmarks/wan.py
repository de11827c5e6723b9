"""A simulated wide-area network: a TCP proxy on loopback with delay, rate caps and counters.

Every connection has, in each direction, a one-way delay and a link of its own that sends a fixed
number of bytes per second. Opening a connection takes the round trip it takes on a network. There
is no loss and no slow start, and connections do not share a link, unless that is asked for: what
limits one client is its number of connections and how well it keeps them busy.

The proxy is a process of its own (:class:`Proxy` starts one). It is one thread around ``epoll``
and moves 64 KiB at a time; :mod:`benchmarks.check_wan` shows that it is not the bottleneck.
"""

import argparse
import heapq
import itertools
import json
import resource
import selectors
import socket
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import NamedTuple

from benchmarks.counting import RequestCounter

READ_SIZE = 64 * 1024
#: Bytes that may wait for their turn on a link, beside those that are on their way.
BACKLOG = 256 * 1024
#: Receive buffer of the proxy's sockets: what it has not read, the sender still holds.
RECEIVE_BUFFER = 256 * 1024
REPOSITORY = Path(__file__).resolve().parents[1]


#: The same of a link that connections share, which is slow.
SHARED_BUFFER = 64 * 1024


class Link(NamedTuple):
    """One-way delay in seconds, and bytes per second and way of each connection, or of all."""

    delay: float = 0.0
    rate: float = 0.0
    shared: bool = False

    def describe(self):
        """Return the link in words."""
        if not self.rate:
            return "unshaped"
        if self.shared:
            return f"{self.delay * 1000:g} ms, {self.rate / 1000:g} kB/s for all connections"
        return f"{self.delay * 1000:g} ms, {self.rate / 1024**2:g} MiB/s per connection"


class Lane:
    """One direction of a link, and when it is free for the next bytes."""

    free_at = 0.0


class Direction:
    """The bytes from one socket to the other."""

    def __init__(self, source, sink, link, lane, counter=None, opened=0.0):
        self.source = source
        self.sink = sink
        self.counter = counter
        self.queue = deque()
        self.held = 0
        self.ended = False
        self._link = link
        self._lane = lane
        self._opened = opened
        self.limit = (SHARED_BUFFER if link.shared else BACKLOG) + int(link.delay * link.rate)

    def accept(self, data, now):
        """Put bytes on the link and note when they arrive."""
        if self.counter is not None:
            self.counter.feed(data)
        lane = self._lane
        lane.free_at = max(now, self._opened, lane.free_at)
        if self._link.rate:
            lane.free_at += len(data) / self._link.rate
        self.queue.append((lane.free_at + self._link.delay, memoryview(data)))
        self.held += len(data)

    def end(self, now):
        """The sender has closed; that takes its time to arrive, too."""
        self.ended = True
        due = max(now, self._opened, self._lane.free_at) + self._link.delay
        self.queue.append((due, memoryview(b"")))

    def send_due(self, now):
        """Hand over what has arrived; return whether the receiver takes no more at present."""
        while self.queue and self.queue[0][0] <= now:
            due, view = self.queue.popleft()
            if not view:
                self.sink.shutdown(socket.SHUT_WR)
                continue
            try:
                sent = self.sink.send(view)
            except BlockingIOError:
                sent = 0
            self.held -= sent
            if sent < len(view):
                self.queue.appendleft((due, view[sent:]))
                return True
        return False


class Relay:
    """The loop that moves the bytes of all connections."""

    def __init__(self, target, link):
        self._target = target
        self._link = link
        self._selector = selectors.DefaultSelector()
        self._timers = []
        self._order = itertools.count()
        self._pairs = {}
        self._wanted = {}
        self._lanes = Lane(), Lane()
        self._buffer = SHARED_BUFFER if link.shared else RECEIVE_BUFFER
        self._clear()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self.port = self._listener.getsockname()[1]

    def _clear(self):
        self._methods = {}
        self._connections = 0
        self._cpu_start = cpu_seconds()

    def run(self, commands):
        """Relay until the command stream ends; each line of it asks for the counters."""
        self._selector.register(commands, selectors.EVENT_READ)
        while True:
            for key, events in self._selector.select(self._timeout()):
                if key.fileobj is commands:
                    if not commands.readline():
                        return
                    self._report()
                elif key.fileobj is self._listener:
                    self._open()
                elif key.fileobj in self._pairs:
                    self._serve(key.fileobj, events)
            self._fire()

    def _report(self):
        counters = {
            "connections": self._connections,
            "requests": sum(self._methods.values()),
            "methods": self._methods,
            "proxy_cpu": round(cpu_seconds() - self._cpu_start, 3),
        }
        sys.stdout.write(json.dumps(counters) + "\n")
        sys.stdout.flush()
        self._clear()

    def _timeout(self):
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None

    def _open(self):
        client, _ = self._listener.accept()
        server = socket.socket()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer)
        server.connect(self._target)
        self._connections += 1
        opened = time.monotonic() + 2 * self._link.delay
        lanes = self._lanes if self._link.shared else (Lane(), Lane())
        counter = RequestCounter(self._methods)
        up = Direction(client, server, self._link, lanes[0], counter, opened)
        down = Direction(server, client, self._link, lanes[1])
        for end in (client, server):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._pairs[client] = up, down
        self._pairs[server] = down, up
        self._watch(client)
        self._watch(server)

    def _serve(self, end, events):
        outgoing, incoming = self._pairs[end]
        try:
            if events & selectors.EVENT_WRITE:
                self._deliver(incoming)
            if events & selectors.EVENT_READ:
                self._read(outgoing)
        except OSError:
            self._close(end)

    def _read(self, direction):
        data = direction.source.recv(READ_SIZE)
        # Otherwise radosgw's small answers wait for this machine's delayed acknowledgement.
        direction.source.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        now = time.monotonic()
        first = not direction.queue
        if data:
            direction.accept(data, now)
        else:
            direction.end(now)
        if first:
            self._deliver(direction)
        if direction.source in self._pairs:
            self._watch(direction.source)

    def _deliver(self, direction):
        blocked = direction.send_due(time.monotonic())
        if direction.queue and not blocked:
            heapq.heappush(self._timers, (direction.queue[0][0], next(self._order), direction))
        up, down = self._pairs[direction.sink]
        if up.ended and down.ended and not up.queue and not down.queue:
            self._close(direction.sink)
            return
        self._watch(direction.source)
        self._watch(direction.sink, blocked=blocked)

    def _fire(self):
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            _, _, direction = heapq.heappop(self._timers)
            if direction.sink not in self._pairs:
                continue
            try:
                self._deliver(direction)
            except OSError:
                self._close(direction.sink)

    def _watch(self, end, *, blocked=None):
        """Tell the selector what to wait for at one end of a connection."""
        outgoing, _ = self._pairs[end]
        before = self._wanted.get(end, 0)
        writing = before & selectors.EVENT_WRITE if blocked is None else blocked
        reading = not outgoing.ended and outgoing.held < outgoing.limit
        wanted = selectors.EVENT_READ * reading | selectors.EVENT_WRITE * bool(writing)
        if wanted == before:
            return
        self._wanted[end] = wanted
        if not wanted:
            self._selector.unregister(end)
        elif before:
            self._selector.modify(end, wanted)
        else:
            self._selector.register(end, wanted)

    def _close(self, end):
        outgoing, _ = self._pairs[end]
        for side in (outgoing.source, outgoing.sink):
            self._pairs.pop(side)
            if self._wanted.pop(side, 0):
                self._selector.unregister(side)
            side.close()


def cpu_seconds():
    """Return the CPU seconds this process has used."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class Proxy:
    """A relay in a process of its own.

    :param target: Host and port to relay to.
    :param link: What each connection is like.
    """

    def __init__(self, target, link=Link()):  # noqa: B008 (a frozen value)
        host, port = target
        command = [sys.executable, "-m", "benchmarks.wan", host, str(port)]
        command += ["--delay", str(link.delay), "--rate", str(link.rate)]
        command += ["--shared"] * link.shared
        self._process = subprocess.Popen(
            command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.port = int(self._process.stdout.readline())

    def counters(self):
        """Return the counters since the last call."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def main():
    """Relay until standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wan", description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds one way")
    parser.add_argument("--rate", type=float, default=0.0, help="bytes/s per connection and way")
    parser.add_argument("--shared", action="store_true", help="all connections have that together")
    options = parser.parse_args()
    link = Link(options.delay, options.rate, options.shared)
    relay = Relay((options.host, options.port), link)
    sys.stdout.write(f"{relay.port}\n")
    sys.stdout.flush()
    relay.run(sys.stdin)


if __name__ == "__main__":
    main()
