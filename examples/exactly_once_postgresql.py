"""Every event takes effect exactly once, also when several replicas of the program run.

As in `exactly_once_sqlite.py`, the cursor is saved in the same transaction as what the event does.
The row of the cursor is locked by that transaction and must still say what it said when this
replica read it; a replica that was stopped for a while, and replaced, finds that it does not.

    python examples/exactly_once_postgresql.py https://example.com/events "dbname=orders"
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import psycopg

from resilient_sse import SyncReconnectingEventSource

if TYPE_CHECKING:
    from resilient_sse import ServerSentEvent

SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event_id text, data text
);
CREATE TABLE IF NOT EXISTS cursors (stream text PRIMARY KEY, last_event_id text NOT NULL);
"""


class OvertakenError(Exception):
    """Another replica has read further."""


def load_cursor(db: psycopg.Connection[Any], stream: str) -> str:
    """Return where to go on; "" at the very first start."""
    with db.transaction():
        db.execute("INSERT INTO cursors VALUES (%s, '') ON CONFLICT DO NOTHING", (stream,))
        row = db.execute(
            "SELECT last_event_id FROM cursors WHERE stream = %s", (stream,)
        ).fetchone()
    return str(row[0]) if row else ""


def handle(db: psycopg.Connection[Any], stream: str, cursor: str, event: ServerSentEvent) -> str:
    """Do what the event asks for, and move the cursor past it, in one transaction."""
    with db.transaction():
        moved = db.execute(
            "UPDATE cursors SET last_event_id = %s WHERE stream = %s AND last_event_id = %s",
            (event.id, stream, cursor),
        )
        if moved.rowcount != 1:
            raise OvertakenError(stream)
        db.execute("INSERT INTO orders (event_id, data) VALUES (%s, %s)", (event.id, event.data))
    return event.id


def main(url: str, database: str) -> None:
    """Read the stream for ever."""
    with psycopg.connect(database, autocommit=True) as db:
        db.execute(SCHEMA)
        cursor = load_cursor(db, url)
        with SyncReconnectingEventSource(url, last_event_id=cursor) as source:
            for event in source:
                cursor = handle(db, url, cursor, event)


if __name__ == "__main__":
    main(*sys.argv[1:])
