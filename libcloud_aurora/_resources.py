"""What all threads of one driver share, and what each has for itself."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable

from libcloud_aurora._pools import PooledAdapter
from libcloud_aurora._threads import Workers
from libcloud_aurora.connection import AuroraObjectsConnection


class Resources:
    """
    Sockets, threads and connections of one driver in one process.

    A fork copies the memory but must not share the sockets: the child makes its own, see
    :meth:`usable`.

    :param max_workers: Most threads.
    """

    def __init__(self, max_workers: int) -> None:
        self.adapter = PooledAdapter()
        self.workers = Workers(max_workers)
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._connections: weakref.WeakKeyDictionary[threading.Thread, AuroraObjectsConnection] = (
            weakref.WeakKeyDictionary()
        )

    def usable(self) -> bool:
        """Tell whether these belong to this process."""
        return self._pid == os.getpid()

    def connection(self, connect: Callable[[], AuroraObjectsConnection]) -> AuroraObjectsConnection:
        """Return the calling thread's connection, made when first asked for."""
        thread = threading.current_thread()
        with self._lock:
            found = self._connections.get(thread)
        if found is None:
            found = connect()
            self.set_connection(found)
        return found

    def set_connection(self, connection: AuroraObjectsConnection) -> None:
        with self._lock:
            self._connections[threading.current_thread()] = connection

    def close(self) -> None:
        """End the threads, then close the sockets."""
        self.workers.close()
        self.adapter.close()
        with self._lock:
            self._connections.clear()
