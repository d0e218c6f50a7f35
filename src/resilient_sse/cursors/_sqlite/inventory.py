"""The cursors in an SQLite file, for people to look after."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from resilient_sse.cursors._inventory.inventory import KeptCursor
from resilient_sse.cursors._sqlite.store import SQLiteCursorStore, opened

if TYPE_CHECKING:
    from collections.abc import Sequence


class SQLiteInventory:
    """The cursors in one file.

    Args:
        path: The file.

    Raises:
        FileNotFoundError: If there is none.
    """

    def __init__(self, path: str) -> None:
        if not Path(path).is_file():
            raise FileNotFoundError(f"there is no file {path!r}")
        self._path = path

    def cursors(self) -> list[KeptCursor]:
        """Return all of them."""
        with opened(self._path) as db:
            rows = db.execute("SELECT key, cursor, saved_at FROM cursors").fetchall()
        return [KeptCursor(None, *row) for row in rows]

    def put(self, group: str | None, key: str, cursor: str, /) -> None:
        """Keep a cursor instead of the one that there is."""
        if group is not None:
            raise ValueError("a file has no groups")
        with SQLiteCursorStore(self._path) as store:
            store.save(key, cursor)

    def forget(self, cursors: Sequence[KeptCursor], /) -> None:
        """Keep these no more."""
        with opened(self._path) as db, db:
            db.executemany("DELETE FROM cursors WHERE key = ?", [(one.key,) for one in cursors])

    def close(self) -> None:
        """Close nothing: the file is opened for each request."""


inventory = SQLiteInventory
