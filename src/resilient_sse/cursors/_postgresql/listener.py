"""A thread that hears when PostgreSQL tells that a lease may be free."""

from __future__ import annotations

import select
import socket
import threading
from typing import TYPE_CHECKING, Final

import psycopg

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_sse.cursors._postgresql.connection import Connection

_PAUSE: Final = 1.0  # before a connection that was lost is opened again


class Listener:
    """Calls whoever listens, on one connection for them all, while anybody does.

    Args:
        connect: Opens a connection.
        channel: What is listened to.
    """

    def __init__(self, connect: Callable[[], Connection], channel: str) -> None:
        self._connect = connect
        self._channel = channel
        self._lock = threading.Lock()
        self._bells: list[Callable[[], object]] = []
        self._ear: _Ear | None = None

    def add(self, wake: Callable[[], object]) -> Callable[[], object]:
        """Have something called; return what ends that."""
        with self._lock:
            self._bells.append(wake)
            if self._ear is None:
                self._ear = _Ear(self._connect, self._channel, self._ring)
        over = threading.Event()

        def stop() -> None:
            if not over.is_set():
                over.set()
                self._remove(wake)

        return stop

    def _remove(self, wake: Callable[[], object]) -> None:
        with self._lock:
            self._bells.remove(wake)
            if not self._bells and self._ear is not None:
                self._ear.stop()
                self._ear = None

    def _ring(self) -> None:
        for wake in list(self._bells):
            wake()


class _Ear:
    """The thread, until it is stopped."""

    def __init__(
        self, connect: Callable[[], Connection], channel: str, ring: Callable[[], None]
    ) -> None:
        self._connect = connect
        self._channel = channel
        self._ring = ring
        self._over = False
        self._waker, self._wakes = socket.socketpair()
        threading.Thread(target=self._run, name="resilient_sse listener", daemon=True).start()

    def stop(self) -> None:
        """End, soon."""
        self._over = True
        self._waker.close()

    def _run(self) -> None:
        with self._wakes:
            while not self._over:
                try:
                    self._listen()
                except (psycopg.Error, OSError):  # whoever waits looks by himself meanwhile
                    select.select([self._wakes], [], [], _PAUSE)

    def _listen(self) -> None:
        with self._connect() as connection:
            if self._is_pooled(connection):
                select.select([self._wakes], [], [])
                return
            connection.execute(f"LISTEN {self._channel}".encode())
            self._ring()  # somebody may have told before
            ears = [connection.fileno(), self._wakes.fileno()]
            while not self._over:
                select.select(ears, [], [])
                connection.pgconn.consume_input()
                heard = False
                while connection.pgconn.notifies():
                    heard = True
                if heard and not self._over:
                    self._ring()

    @staticmethod
    def _is_pooled(connection: Connection) -> bool:
        """Say whether PgBouncer stands between: it would listen with anybody's connection."""
        (row,) = connection.execute("SELECT pg_backend_pid()").fetchall()
        return bool(row[0] != connection.info.backend_pid)
