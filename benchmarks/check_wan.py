"""Measures the simulated network itself: ``python -m benchmarks.check_wan``.

A server of a few lines sends and takes bytes, so that what is measured is the proxy. Its requests
look like HTTP, because the proxy counts those.
"""

import contextlib
import json
import socket
import statistics
import threading
import time

from benchmarks.wan import Link, Proxy

MIB = 1024**2
LINKS = (Link(0.020, 10 * MIB), Link(0.100, 5 * MIB))
ORDER = b"%b /%08d HTTP/1.1\r\nContent-Length: %08d\r\n\r\n"
ORDER_SIZE = len(ORDER % (b"GET", 0, 0))


@contextlib.contextmanager
def byte_server():
    """Answer GET with as many bytes as its path says, and PUT with one byte."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    threading.Thread(target=_accept, args=(listener,), daemon=True).start()
    with listener:
        yield listener.getsockname()


def _accept(listener):
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_answer, args=(connection,), daemon=True).start()


def _answer(connection):
    with connection:
        while order := connection.recv(ORDER_SIZE, socket.MSG_WAITALL):
            size = int(order[5:13])
            if order.startswith(b"GET"):
                connection.sendall(bytes(size))
            else:
                _take(connection, size)
                connection.sendall(b".")


def _take(connection, size):
    buffer = bytearray(MIB)
    while size:
        size -= connection.recv_into(buffer, min(size, len(buffer)))


def transfer(port, method, size, connections):
    """Move bytes over some connections at once and return the seconds."""
    upload = method == b"PUT"

    def one():
        with socket.create_connection(("127.0.0.1", port)) as end:
            end.sendall(ORDER % (method, size, size if upload else 0))
            if upload:
                end.sendall(bytes(size))
            _take(end, 1 if upload else size)

    threads = [threading.Thread(target=one) for _ in range(connections)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start


def round_trips(port, count=20):
    """Return the seconds to open a connection with a first answer, and of each answer after it."""
    start = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port)) as end:
        times = []
        for _ in range(count):
            end.sendall(ORDER % (b"GET", 1, 0))
            _take(end, 1)
            times.append(time.perf_counter() - start)
            start = time.perf_counter()
    return times[0], statistics.median(times[1:])


def check(link):
    """Return what one link was measured to be."""
    with byte_server() as address, Proxy(address, link) as proxy:
        first, later = round_trips(proxy.port)
        measured = {"link": link.describe(), "first answer ms": round(first * 1000, 1)}
        measured["round trip ms"] = round(later * 1000, 1)
        proxy.counters()
        for method, name in ((b"PUT", "up"), (b"GET", "down")):
            for connections in (1, 12):
                size = 10 * MIB
                seconds = transfer(proxy.port, method, size, connections) - first
                speed = size / seconds / MIB
                busy = proxy.counters()["proxy_cpu"] / seconds
                measured[f"{name} {connections}x MiB/s each"] = round(speed, 2)
                measured[f"{name} {connections}x proxy CPU"] = round(busy, 3)
    return measured


def main():
    """Print what each link was measured to be."""
    for link in LINKS:
        print(json.dumps(check(link), indent=1))


if __name__ == "__main__":
    main()
