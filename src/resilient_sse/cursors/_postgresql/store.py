"""`PostgreSQLCursorStore`: one database for the streams of many machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resilient_sse._values.frames import without_locals
from resilient_sse.cursors._engine.store import EngineStore
from resilient_sse.cursors._postgresql import statements as _statements
from resilient_sse.cursors._postgresql.answers import is_lasting
from resilient_sse.cursors._postgresql.client import PostgreSQL
from resilient_sse.cursors._postgresql.connection import place_of
from resilient_sse.cursors._postgresql.tables import Tables

if TYPE_CHECKING:
    from resilient_sse.cursors._engine.store import Entry, Word
    from resilient_sse.cursors._postgresql.client import Rows

__all__ = ["PostgreSQLCursorStore"]


class PostgreSQLCursorStore(EngineStore):
    """Keeps the cursors of many machines in PostgreSQL.

    Each stream is to have one reader; see `PostgreSQLLease` and `StreamGroup` for what sees to
    that. A save that arrives late, because its connection broke, does not replace a newer one of
    the same process. Streams that save at the same time do so in one statement.

    A process remembers what it saved and loaded: a database that comes back empty, or with an old
    copy, makes none of its streams go back. To have one begin again, start a new process.

    ```python
    async with PostgreSQLCursorStore("postgresql://localhost/orders") as store:
        async with ReconnectingEventSource("https://example.com/events", cursor=store) as source:
            ...
    ```

    Args:
        conninfo: What leads to the database: a URL, or a connection string of libpq.
        prefix: What the name of the table begins with; a schema may stand before it, with a dot.
            It is made when it is first needed.

    Raises:
        TypeError: If ``conninfo`` is no text.
        ValueError: If libpq does not understand ``conninfo``.
    """

    @without_locals
    def __init__(self, conninfo: str, *, prefix: str = "resilient_sse") -> None:
        super().__init__(_Cursors(conninfo, prefix), place_of(conninfo, prefix))


class _Cursors:
    """The rows of one table."""

    @without_locals
    def __init__(self, conninfo: str, prefix: str) -> None:
        self._tables = Tables(prefix)
        self._database = PostgreSQL(conninfo, self._tables)

    def load(self, keys: list[str]) -> list[Entry | None]:
        rows = self._database.run(self._tables.named(_statements.LOAD), {"keys": keys})
        return _in_order(keys, rows)

    async def aload(self, keys: list[str]) -> list[Entry | None]:
        rows = await self._database.arun(self._tables.named(_statements.LOAD), {"keys": keys})
        return _in_order(keys, rows)

    def save(self, words: list[Word]) -> None:
        self._database.run(self._tables.named(_statements.KEEP), _columns(words))

    async def asave(self, words: list[Word]) -> None:
        await self._database.arun(self._tables.named(_statements.KEEP), _columns(words))

    def lasts(self, error: Exception) -> bool:
        return is_lasting(error)

    def close(self) -> None:
        self._database.close()

    async def aclose(self) -> None:
        await self._database.aclose()


def _in_order(keys: list[str], rows: Rows) -> list[Entry | None]:
    found: dict[str, Entry] = {
        key: (writer, number, cursor) for key, writer, number, cursor in rows
    }
    return [found.get(key) for key in keys]


def _columns(words: list[Word]) -> dict[str, object]:
    """Return them as arrays, of two for one key the newer one: a statement changes a row once."""
    newest = sorted({word[0]: word for word in sorted(words, key=lambda word: word[2])}.values())
    keys, writers, numbers, cursors = map(list, zip(*newest, strict=True))
    return {"keys": keys, "writers": writers, "numbers": numbers, "cursors": cursors}
