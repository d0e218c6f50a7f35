"""What can be done with the cursors of a store, wherever they are kept."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from resilient_sse._values.frames import without_locals
from resilient_sse.cursors._engine.schemes import SCHEMES

if TYPE_CHECKING:
    from collections.abc import Sequence


class KeptCursor(NamedTuple):
    """A cursor that is kept.

    Attributes:
        group: The lease or group that it belongs to; None for a store without leases.
        key: The stream, or the lease.
        cursor: It.
        saved_at: When it was saved, in seconds since 1970; None if it did not say so.
        held: Whether a replica holds the lease now, and so may save the next one at any time.
    """

    group: str | None
    key: str
    cursor: str
    saved_at: float | None
    held: bool = False


class Inventory(Protocol):
    """The cursors of one store, for people to look after.

    Any of it raises the engine's own errors.
    """

    def cursors(self) -> Sequence[KeptCursor]:
        """Return all of them, in no order."""
        ...

    def put(self, group: str | None, key: str, cursor: str, /) -> None:
        """Keep a cursor instead of the one that there is."""
        ...

    def forget(self, cursors: Sequence[KeptCursor], /) -> None:
        """Keep these no more."""
        ...

    def close(self) -> None:
        """Close what was opened."""
        ...


@without_locals
def inventory_of(store: str, prefix: str | None) -> Inventory:
    """Find the cursors of a store.

    Args:
        store: A URL of Redis or PostgreSQL, or the path of an SQLite file.
        prefix: What the names of the keys or tables begin with; None for the engine's own.

    Raises:
        ValueError: If no engine is known for the URL, or it can do nothing with the prefix.
        FileNotFoundError: If it is the path of no file.
        ImportError: If the extra of the engine is missing.
    """
    scheme, found, _ = store.partition("://")
    if not found:
        if prefix is not None:
            raise ValueError("a file has no prefix")
        return _made("sqlite", store)
    if scheme not in SCHEMES:
        known = ", ".join(SCHEMES)
        raise ValueError(f"a store is a file, or a URL whose scheme is one of {known}")
    return _made(SCHEMES[scheme], store, *([] if prefix is None else [prefix]))


def _made(engine: str, *arguments: str) -> Inventory:
    try:
        home: Any = import_module(f"resilient_sse.cursors._{engine}.inventory")
    except ModuleNotFoundError as error:
        how = f"pip install 'resilient-sse[{engine}]'"
        raise ImportError(f"this store needs the extra {engine!r}: {how} ({error})") from error
    made: Inventory = home.inventory(*arguments)
    return made
