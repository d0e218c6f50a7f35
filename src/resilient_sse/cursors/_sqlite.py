"""`SQLiteCursorStore`: cursors in a file, written behind the program's back."""

from __future__ import annotations

import os
import sqlite3
import time
import weakref
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from anyio import to_thread

from resilient_sse.cursors._writer import Writer

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["SQLiteCursorStore"]

_BUSY_SECONDS: Final = 5.0
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
        flush_interval: Seconds from a save to its write.

    Raises:
        ValueError: If ``flush_interval`` is negative.
    """

    def __init__(self, path: str | os.PathLike[str], *, flush_interval: float = 0.05) -> None:
        if flush_interval < 0:
            raise ValueError(f"flush_interval must be 0 or more, not {flush_interval!r}")
        self._path = os.fspath(path)
        self._flush_interval = flush_interval
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

        Raises:
            sqlite3.Error: If the file cannot be read.
        """
        for reference, path in _paths.copy().items():
            store = reference()
            if store is not None and path == self._path:
                store.flush()
        with closing(_connect(self._path)) as db:
            row: tuple[str] | None = db.execute(
                "SELECT cursor FROM cursors WHERE key = ?", (key,)
            ).fetchone()
        return row[0] if row else None

    async def aload(self, key: str, /) -> str | None:
        """Load in a worker thread."""
        return await to_thread.run_sync(self.load, key)

    def save(self, key: str, last_event_id: str, /) -> None:
        """Note the cursor, to be written soon; may be called anywhere, an event loop included.

        Raises:
            sqlite3.Error: If the write before failed. This cursor is noted all the same.
        """
        if not self._writer.running:  # closed, or it stayed with the parent of this process
            self._start_writer()
        self._writer.put(key, last_event_id)

    def flush(self) -> None:
        """Write now what was saved, and wait until it is on the disk.

        Raises:
            sqlite3.Error: If it cannot be written; it will be tried again.
        """
        self._writer.flush()

    def close(self) -> None:
        """Write what was saved and end the thread; the next `save` would start another.

        Raises:
            sqlite3.Error: If it cannot be written.
        """
        self._finalizer.detach()
        self._writer.close()

    def _start_writer(self) -> None:
        path = self._path

        def write(saves: list[tuple[str, str]]) -> None:
            now = time.time()
            with closing(_connect(path)) as db, db:
                db.executemany(_SAVE, [(key, cursor, now) for key, cursor in saves])

        self._writer = Writer(write, self._flush_interval)
        self._finalizer = weakref.finalize(self, self._writer.close)


_paths: dict[weakref.ref[Any], str] = {}
"""The files of this process's stores: what one was given another may be asked for at once."""


def _forget(reference: weakref.ref[Any]) -> None:
    del _paths[reference]


def _connect(path: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=_BUSY_SECONDS)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute(_SCHEMA)
    except BaseException:
        db.close()
        raise
    return db
