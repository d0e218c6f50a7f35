"""The cursors in PostgreSQL, for people to look after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resilient_sse._values.frames import without_locals
from resilient_sse.cursors._inventory.inventory import KeptCursor
from resilient_sse.cursors._postgresql import statements as _statements
from resilient_sse.cursors._postgresql.client import PostgreSQL
from resilient_sse.cursors._postgresql.connection import checked
from resilient_sse.cursors._postgresql.store import PostgreSQLCursorStore
from resilient_sse.cursors._postgresql.tables import Tables

if TYPE_CHECKING:
    from collections.abc import Sequence
    from string import Template

    from resilient_sse.cursors._postgresql.client import Rows


class PostgreSQLInventory:
    """The cursors of the stores, leases and groups of one prefix.

    Args:
        conninfo: What leads to the database.
        prefix: What the names of the tables begin with.

    Raises:
        ValueError: If libpq does not understand ``conninfo``, or there are no such names.
    """

    @without_locals
    def __init__(self, conninfo: str, prefix: str = "resilient_sse") -> None:
        self._conninfo = checked(conninfo)
        self._prefix = prefix
        self._tables = Tables(prefix)
        self._database = PostgreSQL(conninfo, self._tables)

    def cursors(self) -> list[KeptCursor]:
        """Return all of them; looking makes no tables."""
        if self._run(_statements.THERE) != [(True,)]:
            return []
        stored = [KeptCursor(None, *row) for row in self._run(_statements.LIST_STORED)]
        return stored + [KeptCursor(*row) for row in self._run(_statements.LIST_SAVED)]

    def put(self, group: str | None, key: str, cursor: str, /) -> None:
        """Keep a cursor instead of the one that there is."""
        if group is None:
            with PostgreSQLCursorStore(self._conninfo, prefix=self._prefix) as store:
                store.save(key, cursor)
        else:
            self._run(_statements.PUT, space=group, name=key, cursor=cursor)

    def forget(self, cursors: Sequence[KeptCursor], /) -> None:
        """Keep these no more."""
        for one in cursors:
            if one.group is None:
                self._run(_statements.FORGET_STORED, key=one.key)
            else:
                self._run(_statements.FORGET_SAVED, space=one.group, name=one.key)

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    def _run(self, statement: Template, **words: object) -> Rows:
        return self._database.run(self._tables.named(statement), words)


inventory = PostgreSQLInventory
