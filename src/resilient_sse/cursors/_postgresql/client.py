"""How this package speaks to PostgreSQL: single statements, from any thread."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import psycopg
from psycopg import errors

from resilient_sse.cursors._engine.threads import in_own_thread, in_store_thread
from resilient_sse.cursors._postgresql.connection import Connection, checked, connect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from resilient_sse.cursors._postgresql.tables import Tables

Rows: TypeAlias = list[tuple[Any, ...]]

_SECONDS: Final = 5.0
_IDLE: Final = 4  # connections that are kept
_PAUSE: Final = 0.01
_LEAST: Final = 0.1  # seconds in which it is worth trying again
# What another transaction had a part in; once more, and it is gone.
_COLLISIONS: Final = (errors.DeadlockDetected, errors.SerializationFailure)
# Those of a parent process are neither used nor closed: that would close the parent's, too.
_inherited: Final[list[Connection]] = []


class PostgreSQL:
    """Runs statements, each in a transaction of its own, on connections that it opens.

    psycopg's asynchronous connections need asyncio. A statement here is for all that a replica asks
    at a time, so a thread for it costs little, and is the same on trio.

    Args:
        conninfo: What leads to the database.
        tables: Those that are made when one is missing.
        timeout: Seconds that one statement may take.
    """

    def __init__(self, conninfo: str, tables: Tables, *, timeout: float = _SECONDS) -> None:
        self.conninfo: str = checked(conninfo)
        self.timeout = timeout
        self._tables = tables
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._pid = os.getpid()

    def run(self, statement: bytes, words: Mapping[str, object]) -> Rows:
        """Run a statement; it may be run again if its answer was lost.

        Raises:
            psycopg.Error: If the server does not answer, or says no.
        """
        until = time.monotonic() + self.timeout
        while True:
            try:
                return self._run(statement, words, until)
            except errors.UndefinedTable:
                until = self._make_tables()
            except _COLLISIONS:
                if time.monotonic() + _LEAST > until:
                    raise
                time.sleep(_PAUSE)

    async def arun(self, statement: bytes, words: Mapping[str, object]) -> Rows:
        """Run a statement in a thread."""
        return await in_store_thread(self.run, statement, words)

    def open(self) -> Connection:
        """Open a connection for whoever keeps it."""
        return connect(self.conninfo, self.timeout)

    def close(self) -> None:
        """Close the connections that nobody uses."""
        for connection in self._take_all():
            connection.close()

    async def aclose(self) -> None:
        """Close them without blocking the event loop."""
        await in_own_thread(self.close)

    def _run(self, statement: bytes, words: Mapping[str, object] | None, until: float) -> Rows:
        connection = self._take()
        if connection is not None:
            try:
                return self._on(connection, statement, words, until)
            except psycopg.OperationalError:
                # It is dead after a restart or a failover, and so are the others.
                if not connection.closed or time.monotonic() > until:
                    raise
                self.close()
            except errors.ReadOnlySqlTransaction:  # another server is the primary now
                self.close()
        return self._on(self.open(), statement, words, until)

    def _on(
        self,
        connection: Connection,
        statement: bytes,
        words: Mapping[str, object] | None,
        until: float,
    ) -> Rows:
        connection.until = until
        try:
            cursor = connection.execute(statement, words)
            rows = cursor.fetchall() if cursor.description else []
        except errors.ReadOnlySqlTransaction:
            connection.close()
            raise
        except psycopg.Error:
            self._put_back(connection)
            raise
        except BaseException:  # an answer may be under way
            connection.close()
            raise
        self._put_back(connection)
        return rows

    def _make_tables(self) -> float:
        """Make them, which takes longer than a statement; return until when that may then take."""
        self._run(self._tables.create, None, time.monotonic() + _SECONDS)
        return time.monotonic() + self.timeout

    # -- Connections that nobody uses ----------------------------------------------------------

    def _take(self) -> Connection | None:
        with self._lock:
            self._check_process()
            return self._idle.pop() if self._idle else None

    def _put_back(self, connection: Connection) -> None:
        with self._lock:
            if not connection.closed and len(self._idle) < _IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def _take_all(self) -> list[Connection]:
        with self._lock:
            self._check_process()
            idle, self._idle = self._idle, []
        return idle

    def _check_process(self) -> None:
        if self._pid != (pid := os.getpid()):
            _inherited.extend(self._idle)
            self._pid, self._idle = pid, []
