"""What this process knows of cursors, whatever becomes of the engine that keeps them.

An engine may be away for longer than a lease and come back empty, or with an old copy. Whoever read
under the lease is alive, and so is what it knows: it is handed to the engine with every request for
the lease, and the highest token wins.
"""

from __future__ import annotations

import threading
from typing import Any, Final, NamedTuple, TypeVar, cast
from weakref import WeakKeyDictionary

T = TypeVar("T")

_MOST: Final = 100_000  # names; a program may make up a new one for each job


class SavedCursor(NamedTuple):
    """A cursor, and how new it is: of two, the one with the higher token and number is newer.

    Attributes:
        token: The token under which it was saved; 0 if nothing was.
        number: Which save of that replica it was.
        cursor: It.
    """

    token: int = 0
    number: int = 0
    cursor: str = ""


class Memory:
    """The newest cursor that is known of each name, and the highest token."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[SavedCursor, int]] = {}
        self._lock = threading.Lock()

    def of(self, name: str) -> tuple[SavedCursor, int]:
        """Return what is known of a name: the cursor, and the highest token."""
        return self._known.get(name, (SavedCursor(), 0))

    def learn(self, name: str, news: SavedCursor) -> SavedCursor:
        """Note what was saved or seen; return the newest."""
        with self._lock:
            known, highest = self.of(name)
            newest = max(known, news)
            _remember(self._known, name, (newest, max(highest, news.token)))
        return newest

    def granted(self, name: str, token: int) -> None:
        """Note a token, under which nothing was saved yet."""
        with self._lock:
            known, highest = self.of(name)
            _remember(self._known, name, (known, max(highest, token)))


class Seen:
    """The newest cursor of each key of a store, where nothing but its writers tells what is new.

    A writer numbers what it saves. A cursor is news if its writer's number is: an old copy has no
    number that was not seen before.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, dict[str, int]]] = {}
        self._lock = threading.Lock()

    def of(self, key: str) -> str | None:
        """Return what is known of a key."""
        known = self._known.get(key)
        return None if known is None else known[0]

    def learn(self, key: str, writer: str, number: int, cursor: str) -> str:
        """Note what was saved or loaded; return the newest."""
        with self._lock:
            newest, numbers = self._known.get(key, ("", dict[str, int]()))
            if number > numbers.get(writer, 0):
                newest, numbers[writer] = cursor, number
            _remember(self._known, key, (newest, numbers))
        return newest


def _remember(known: dict[str, T], key: str, value: T) -> None:
    """Put something where the newest are; forget the oldest if there are too many."""
    known.pop(key, None)
    known[key] = value
    if len(known) > _MOST:
        del known[next(iter(known))]


# Of places that are named, and of those that go with what they are the place of.
_named: Final[dict[object, Any]] = {}
_others: Final[WeakKeyDictionary[Any, dict[object, Any]]] = WeakKeyDictionary()


def memory_of(kind: type[T], place: object) -> T:
    """Return what this process knows of one place, whoever asks there.

    Args:
        kind: `Memory` of leases, or what was `Seen` of a store.
        place: What tells an engine, a database in it and a part of that from all others. A tuple,
            whose memory lasts as long as the process; or any object, with which it goes.
    """
    lasts, where = isinstance(place, tuple), cast("Any", place)
    known: dict[object, T] = _named if lasts else _others.setdefault(where, {})
    return known.setdefault((kind, where) if lasts else kind, kind())


def forget() -> None:
    """Know nothing, as a new process does."""
    _named.clear()
    _others.clear()
