"""`PostgreSQLLease`: of the replicas of a program, one reads a stream; PostgreSQL says which."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resilient_sse._values.frames import without_locals
from resilient_sse.cursors._leases.lease import StreamLease
from resilient_sse.cursors._postgresql.leases import PostgreSQLLeases

if TYPE_CHECKING:
    from collections.abc import Iterable

    from resilient_sse.lifecycle import Hook

__all__ = ["PostgreSQLLease"]


class PostgreSQLLease(StreamLease):
    """The right to read a stream, held by one replica at a time; see `StreamLease`.

    ```python
    async with PostgreSQLLease("postgresql://localhost/orders", "orders") as lease:
        async with lease.source("https://example.com/events") as source:
            async for event in source:
                ...
    ```

    Args:
        conninfo: What leads to the database: a URL, or a connection string of libpq.
        name: The lease, the same in all replicas.
        ttl: Seconds that the lease lasts; the same in all replicas. Another replica takes over
            that long after the last renewal, of which there are four in that time; at once if it
            is given back.
        prefix: What the names of the tables begin with; a schema may stand before it, with a dot.
        hooks: Plain callables that get `LeaseGranted` and `LeaseEnded`.

    Raises:
        TypeError: If ``conninfo`` is no text, or a hook cannot be called or is a coroutine
            function.
        ValueError: If ``ttl`` is not a positive number, the name is empty, or libpq does not
            understand ``conninfo``.
    """

    @without_locals
    def __init__(
        self,
        conninfo: str,
        name: str,
        *,
        ttl: float = 10.0,
        prefix: str = "resilient_sse",
        hooks: Iterable[Hook] = (),
    ) -> None:
        super().__init__(PostgreSQLLeases(conninfo, name, ttl=ttl, prefix=prefix), hooks=hooks)
