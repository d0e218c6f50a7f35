"""Every event takes effect exactly once, also when several replicas of the program run.

Start it several times: one replica reads, and when it dies, hangs or is cut off, another goes on.
The cursor is saved in the same transaction as what the event does, and that transaction fails in a
replica that is not the reader any more.

    python examples/exactly_once_postgresql.py https://example.com/events postgresql:///orders
"""

from __future__ import annotations

import sys
import time

import psycopg

from resilient_sse.cursors import LeaseLost, PostgreSQLLease

SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event_id text, data text
)
"""

# The last is what a transaction ends with that stood still for longer than the lease may last.
BEGIN_AGAIN = (
    LeaseLost,
    psycopg.OperationalError,
    psycopg.errors.IdleInTransactionSessionTimeout,
)


def read(url: str, database: str, ttl: float) -> None:
    """Read the stream while the lease is held."""
    with (
        psycopg.connect(database, autocommit=True) as db,
        PostgreSQLLease(database, "orders", ttl=ttl) as lease,
        lease.sync_source(url, auto_ack=False) as source,
    ):
        db.execute(SCHEMA)
        for event in source:
            with db.transaction():
                source.lease.save_in(db, event.id)
                words = (event.id, event.data)
                db.execute("INSERT INTO orders (event_id, data) VALUES (%s, %s)", words)


def main(url: str, database: str, ttl: str = "10") -> None:
    """Read for ever."""
    while True:
        try:
            read(url, database, float(ttl))
        except BEGIN_AGAIN as error:
            print(f"begin again: {error}", file=sys.stderr)
            time.sleep(0.5)  # a database that is down is not hammered


if __name__ == "__main__":
    main(*sys.argv[1:])
