"""Every event takes effect exactly once, although the program may be killed at any moment.

The cursor is saved in the same transaction as what the event does: either both are in the
database or neither is. The source needs no cursor store; it starts from what the database has.

    python examples/exactly_once_sqlite.py https://example.com/events orders.db
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from typing import TYPE_CHECKING

from resilient_sse import SyncReconnectingEventSource

if TYPE_CHECKING:
    from resilient_sse import ServerSentEvent

SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, event_id TEXT, data TEXT);
CREATE TABLE IF NOT EXISTS cursor (stream TEXT PRIMARY KEY, last_event_id TEXT NOT NULL);
"""


def load_cursor(db: sqlite3.Connection, stream: str) -> str:
    """Return where to go on; "" at the very first start."""
    row = db.execute("SELECT last_event_id FROM cursor WHERE stream = ?", (stream,)).fetchone()
    return row[0] if row else ""


def handle(db: sqlite3.Connection, stream: str, event: ServerSentEvent) -> None:
    """Do what the event asks for, and move the cursor past it, in one transaction."""
    with db:
        db.execute("INSERT INTO orders (event_id, data) VALUES (?, ?)", (event.id, event.data))
        db.execute("INSERT OR REPLACE INTO cursor VALUES (?, ?)", (stream, event.id))


def main(url: str, path: str) -> None:
    """Read the stream for ever."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(SCHEMA)
        cursor = load_cursor(db, url)
        with SyncReconnectingEventSource(url, last_event_id=cursor) as source:
            for event in source:
                handle(db, url, event)


if __name__ == "__main__":
    main(*sys.argv[1:])
