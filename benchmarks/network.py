"""A simulated network: a TCP proxy on loopback whose connections have a delay and a limited rate.

Every connection has, in each direction, a one-way delay and a link of its own that carries a fixed
number of bytes per second; with ``shared`` all connections have that link together. Opening a
connection takes a round trip. There is no loss and no slow start.
"""

import asyncio
import socket
import threading
from typing import NamedTuple

MIB = 1024**2


class Link(NamedTuple):
    """One-way delay in seconds, and bytes per second and way of each connection, or of all."""

    delay: float = 0.0
    rate: float = 0.0
    shared: bool = False

    def __str__(self):
        if self.shared:
            return f"{self.delay * 1000:g} ms, {self.rate / 125_000:g} Mbit/s for all connections"
        return f"{self.delay * 1000:g} ms, {self.rate / MIB:g} MiB/s per connection"

    @property
    def is_slow(self):
        """Whether whoever uses it sleeps nearly all the time."""
        return 0 < self.rate < MIB

    @property
    def piece(self):
        """Bytes that are carried at once; 64 KiB would come in bursts over a slow link."""
        return 4096 if self.is_slow else 64 * 1024

    @property
    def backlog(self):
        """Bytes that may wait for the link: what no buffer takes, the sender still holds."""
        return 64 * 1024 if self.is_slow else 256 * 1024


class End(asyncio.BufferedProtocol):
    """One end of a connection: what arrives here leaves at the other end in its time.

    :param lane: Holds when the link is free for what arrives here; one entry, which may be shared.
    """

    def __init__(self, link, lane, opened):
        self._link, self._lane, self._opened = link, lane, opened
        self._limit = link.backlog + int(link.delay * link.rate)
        self._buffer = memoryview(bytearray(link.piece))
        self._held = 0
        self._full = self._ended = False
        self.other = self.transport = None

    def connection_made(self, transport):
        self.transport = transport

    def get_buffer(self, sizehint):
        return self._buffer

    def buffer_updated(self, nbytes):
        # Otherwise radosgw's small responses wait for this machine's delayed acknowledgement.
        quick = socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1
        self.transport.get_extra_info("socket").setsockopt(*quick)
        self._held += nbytes
        self._later(nbytes, self._deliver, bytes(self._buffer[:nbytes]))
        self._pace()

    def eof_received(self):
        self._later(1, self._finish)
        return True

    def connection_lost(self, exc):
        if exc:
            self.other.transport.abort()
        else:
            self.other.transport.close()

    def pause_writing(self):
        self._full = True
        self.other._pace()

    def resume_writing(self):
        self._full = False
        self.other._pace()

    def _later(self, size, action, *arguments):
        """Do something when the link has carried so many bytes more."""
        loop = asyncio.get_running_loop()
        start = max(loop.time(), self._opened, self._lane[0])
        self._lane[0] = start + size / self._link.rate
        loop.call_at(self._lane[0] + self._link.delay, action, *arguments)

    def _deliver(self, data):
        self._held -= len(data)
        if not self.other.transport.is_closing():
            self.other.transport.write(data)
        self._pace()

    def _finish(self):
        self._ended = True
        if self.other._ended:
            self.transport.close()
            self.other.transport.close()
        elif not self.other.transport.is_closing():
            self.other.transport.write_eof()

    def _pace(self):
        """Read no more than the link takes and the other end hands over."""
        if self._held >= self._limit or self.other._full:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()


class Proxy:
    """Relays connections for a ``with`` block, in a thread of its own.

    :param target: Host and port to relay to.
    :param link: What each connection is like.
    """

    def __init__(self, target, link):
        self._target, self._link = target, link
        self._lanes = [0.0], [0.0]
        self._connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._limit_buffer(self._listener)
        self.port = self._listener.getsockname()[1]

    def __enter__(self):
        self._loop = asyncio.new_event_loop()
        self._stopped = self._loop.create_future()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=[self._run()])
        self._thread.start()
        return self

    def __exit__(self, *exc_info):
        self._loop.call_soon_threadsafe(self._stopped.set_result, None)
        self._thread.join()
        self._loop.close()

    def connections(self):
        """Return how many connections were opened since the last call."""
        count, self._connections = self._connections, 0
        return count

    async def _run(self):
        self._listener.setblocking(False)
        opening = set()
        while not self._stopped.done():
            accepting = self._loop.create_task(self._loop.sock_accept(self._listener))
            await asyncio.wait({accepting, self._stopped}, return_when=asyncio.FIRST_COMPLETED)
            if accepting.done():
                opening.add(self._loop.create_task(self._open(accepting.result()[0])))
            else:
                accepting.cancel()
        self._listener.close()
        for task in opening:
            for end in await task:
                end.transport.abort()
        await asyncio.sleep(0)  # in which the transports close their sockets

    async def _open(self, client):
        self._connections += 1
        server = socket.socket()
        self._limit_buffer(server)
        server.setblocking(False)
        await self._loop.sock_connect(server, self._target)
        opened = self._loop.time() + 2 * self._link.delay
        lanes = self._lanes if self._link.shared else ([0.0], [0.0])
        ends = [End(self._link, lane, opened) for lane in lanes]
        ends[0].other, ends[1].other = ends[1], ends[0]
        for end, connection in zip(ends[::-1], (server, client), strict=True):
            await self._loop.create_connection(lambda end=end: end, sock=connection)
        return ends

    def _limit_buffer(self, end):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._link.backlog)
