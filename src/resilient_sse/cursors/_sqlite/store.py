"""`SQLiteCursorStore`: cursors in a file, written behind the program's back."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from resilient_sse.cursors._engine.threads import in_store_thread
from resilient_sse.cursors._sqlite.writer import Writer
from resilient_sse.errors import CursorError

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import TracebackType
    from typing import Self

__all__ = ["SQLiteCursorStore"]

_BUSY_SECONDS: Final = 5.0
# What to do about it; see the result codes in SQLite's documentation.
_ADVICE: Final = {
    sqlite3.SQLITE_BUSY: "another program keeps it locked",
    sqlite3.SQLITE_CANTOPEN: "it and its folder must be readable and writable by this user",
    sqlite3.SQLITE_CORRUPT: "move it away, and streams begin where their servers let them",
    sqlite3.SQLITE_FULL: "make room on the disk",
    sqlite3.SQLITE_IOERR: "make room on the disk, and check it",
    sqlite3.SQLITE_NOTADB: "choose another path",
    sqlite3.SQLITE_PERM: "it and its folder must be readable and writable by this user",
    sqlite3.SQLITE_READONLY: "it and its folder must be readable and writable by this user",
}
_PASSING: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS cursors (
    key TEXT PRIMARY KEY,
    cursor TEXT NOT NULL,
    saved_at REAL NOT NULL
) WITHOUT ROWID
"""
_SAVE: Final = """
INSERT INTO cursors (key, cursor, saved_at) VALUES (?, ?, ?)
ON CONFLICT (key) DO UPDATE SET cursor = excluded.cursor, saved_at = excluded.saved_at
"""


class SQLiteCursorStore:
    """Keeps the cursors of one machine in an SQLite file.

    One file serves any number of keys, threads and processes; give each stream one reader. `save`
    only notes the cursor, so it never blocks an event loop; a thread writes the newest cursor of
    every key in one transaction, ``flush_interval`` later, and syncs it to the disk.

    What was saved in the last ``flush_interval`` seconds (plus the time of one sync) may be lost
    when the process is killed or the power fails; those events are then delivered again. Leaving
    the block, `close`, `flush` and the end of the interpreter lose nothing. If a write fails, the
    next `save` raises what it failed with, and the write is tried again.

    ```python
    store = SQLiteCursorStore("cursors.db")
    async with ReconnectingEventSource("https://example.com/events", cursor=store) as source:
        ...
    ```

    Args:
        path: The file; it is made when it is first used. Its folder must exist, on a local disk.
            A relative path is looked up at each use, so a program that changes its folder gives
            an absolute one.
        flush_interval: Seconds from a save to its write.

    Raises:
        ValueError: If ``flush_interval`` is negative, or ``path`` is "" or ":memory:".
    """

    saves_at_once: Final = True
    """`save` never waits, so that an event loop need not be able to interrupt it."""

    def __init__(self, path: str | os.PathLike[str], *, flush_interval: float = 0.05) -> None:
        if flush_interval < 0:
            raise ValueError(f"flush_interval must be 0 or more, not {flush_interval!r}")
        self._path = os.fspath(path)
        if self._path in {"", ":memory:"}:  # to SQLite these are no files
            raise ValueError(f"path must be that of a file, not {self._path!r}")
        self._flush_interval = flush_interval
        self._starting = threading.Lock()
        self._start_writer()
        _paths[weakref.ref(self, _forget)] = self._path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"SQLiteCursorStore({self._path!r})"

    def load(self, key: str, /) -> str | None:
        """Return the saved cursor, or None; sees what any store of this process saved in the file.

        Args:
            key: The stream's: the source's ``cursor_key`` or URL.

        Raises:
            CursorError: If the file cannot be used; it says what to do.
            sqlite3.Error: (of ``sqlite3``) If the file cannot be used for now, but may be soon.
        """
        try:
            self._flush_all()
            with opened(self._path) as db:
                row: tuple[str] | None = db.execute(
                    "SELECT cursor FROM cursors WHERE key = ?", (key,)
                ).fetchone()
        except sqlite3.Error as error:
            if _code(error) in _PASSING:
                raise
            raise CursorError(str(error), key=key) from error
        return row[0] if row else None

    async def aload(self, key: str, /) -> str | None:
        """Load in a worker thread."""
        return await in_store_thread(self.load, key)

    def save(self, key: str, last_event_id: str, /) -> None:
        """Note the cursor, to be written soon; may be called anywhere, an event loop included.

        Args:
            key: The stream's: the source's ``cursor_key`` or URL.
            last_event_id: The cursor.

        Raises:
            sqlite3.Error: (of ``sqlite3``) If the write before failed. This cursor is noted all the
                same.
            ValueError: If the key or the id cannot be encoded as UTF-8.
        """
        (key + last_event_id).encode()  # else the writer could not write those of others either
        if not self._writer.running:  # closed, or it stayed with the parent of this process
            with self._starting:
                if not self._writer.running:
                    self._start_writer()
        self._writer.put(key, last_event_id)

    def flush(self) -> None:
        """Write now what was saved, and wait until it is on the disk.

        Raises:
            sqlite3.Error: (of ``sqlite3``) If it cannot be written; it will be tried again.
        """
        self._writer.flush()

    def _flush_all(self) -> None:
        for reference, path in _paths.copy().items():
            store = reference()
            if store is not None and path == self._path:
                store.flush()

    def close(self) -> None:
        """Write what was saved and end the thread; the next `save` would start another.

        Raises:
            sqlite3.Error: (of ``sqlite3``) If it cannot be written.
        """
        self._finalizer.detach()
        self._writer.close()

    def _start_writer(self) -> None:
        path = self._path

        def write(saves: list[tuple[str, str]]) -> None:
            now = time.time()
            with opened(path) as db, db:
                db.executemany(_SAVE, [(key, cursor, now) for key, cursor in saves])

        self._writer = Writer(write, self._flush_interval)
        self._finalizer = weakref.finalize(self, self._writer.close)


_paths: dict[weakref.ref[Any], str] = {}
"""The files of this process's stores: what one was given another may be asked for at once."""


def _forget(reference: weakref.ref[Any]) -> None:
    del _paths[reference]


@contextmanager
def opened(path: str) -> Generator[sqlite3.Connection]:
    """Open the file anew each time, so that it may be moved, restored or deleted meanwhile."""
    try:
        with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as db:
            _prepare(db)
            yield db
    except sqlite3.Error as error:
        raise _explained(path, error) from error


def _prepare(db: sqlite3.Connection) -> None:
    """Make the file what it is to be; of those who do so at once, all but one are told to wait."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")  # which does not wait by itself
            db.execute("PRAGMA synchronous = FULL")
            db.execute(_SCHEMA)
        except sqlite3.OperationalError as error:
            if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.005)
        else:
            return


def _explained(path: str, error: sqlite3.Error) -> sqlite3.Error:
    """Say in the same kind of error what file it is about, and what to do."""
    advice = _ADVICE.get(_code(error), "see the documentation of SQLite")
    if not Path(path).parent.is_dir():
        advice = "its folder does not exist; make it"
    explained = type(error)(f"cannot use the file {path!r}: {error} ({advice})")
    explained.sqlite_errorcode = _code(error)
    return explained


def _code(error: sqlite3.Error) -> int:
    """Return the primary result code."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
