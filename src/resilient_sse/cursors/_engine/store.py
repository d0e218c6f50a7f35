"""A cursor store on an engine that many machines share, whichever engine it is.

Streams that load or save at the same time do so in one request. A process is one writer and
numbers its saves, so that one which arrives late does not replace a newer one; and it remembers
what it saved and loaded, so that an engine that comes back empty or old makes none of its streams
go back.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from resilient_sse.cursors._engine.identity import Identity
from resilient_sse.cursors._engine.memory import Seen, memory_of
from resilient_sse.cursors._engine.refusals import refusals
from resilient_sse.cursors._engine.together import Together

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

# A process is one writer, whatever stores it makes.
_WRITER: Final = Identity()
_NUMBERS: Final = itertools.count(1)

Word: TypeAlias = tuple[str, str, int, str]
"""What is saved: the key, who saves, the number of the save, the cursor."""
Entry: TypeAlias = tuple[str, int, str]
"""What the engine has of a key: who saved it, the number of the save, the cursor."""


class KeptCursors(Protocol):
    """What an engine does for a store; any of it may raise the engine's own errors."""

    def load(self, keys: list[str], /) -> list[Entry | None]:
        """Return what there is of each key."""
        ...

    async def aload(self, keys: list[str], /) -> list[Entry | None]:
        """Load without blocking the event loop."""
        ...

    def save(self, words: list[Word], /) -> None:
        """Save each cursor, unless the same writer saved one with a higher number."""
        ...

    async def asave(self, words: list[Word], /) -> None:
        """Save without blocking the event loop."""
        ...

    def lasts(self, error: Exception, /) -> bool:
        """Say whether an error stays until somebody puts something right."""
        ...

    def close(self) -> None:
        """Close what was opened."""
        ...

    async def aclose(self) -> None:
        """Close it without blocking the event loop."""
        ...


class EngineStore:
    """The store.

    Args:
        cursors: The engine.
        place: What tells its cursors from all others, for what this process remembers.
    """

    def __init__(self, cursors: KeptCursors, place: object) -> None:
        self._cursors = cursors
        self._seen = memory_of(Seen, place)
        self._loader = Together(cursors.load, cursors.aload)
        self._saver = Together(self._save, self._asave)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def load(self, key: str, /) -> str | None:
        """Return the saved cursor, or None.

        Raises:
            CursorError: If the engine says what no waiting changes, as of a wrong password.
            Exception: The engine's own error (``redis.RedisError``, ``psycopg.Error``), if it does
                not answer.
        """
        with refusals("load", key, self._cursors.lasts):
            return self._newest(key, self._loader.ask(key))

    async def aload(self, key: str, /) -> str | None:
        """Load without blocking the event loop."""
        with refusals("load", key, self._cursors.lasts):
            return self._newest(key, await self._loader.aask(key))

    def save(self, key: str, last_event_id: str, /) -> None:
        """Save a cursor, together with those of other streams that are saved now.

        Raises:
            CursorError: If the engine says what no waiting changes, as of a wrong password.
            Exception: The engine's own error (``redis.RedisError``, ``psycopg.Error``), if it does
                not answer.
        """
        with refusals("save", key, self._cursors.lasts):
            self._saver.ask(told := word(key, last_event_id))
        self._seen.learn(*told)

    async def asave(self, key: str, last_event_id: str, /) -> None:
        """Save without blocking the event loop."""
        with refusals("save", key, self._cursors.lasts):
            await self._saver.aask(told := word(key, last_event_id))
        self._seen.learn(*told)

    def close(self) -> None:
        """Close what the store opened and nobody uses; a client that was given stays open."""
        self._cursors.close()

    async def aclose(self) -> None:
        """Close it without blocking the event loop, and what was opened for this loop."""
        await self._cursors.aclose()

    def _newest(self, key: str, entry: Entry | None) -> str | None:
        """Return what the engine has, unless it is older than what this process knows."""
        return self._seen.of(key) if entry is None else self._seen.learn(key, *entry)

    def _save(self, words: list[Word]) -> list[Word]:
        self._cursors.save(words)
        return words

    async def _asave(self, words: list[Word]) -> list[Word]:
        await self._cursors.asave(words)
        return words


def word(key: str, cursor: str) -> Word:
    """Number a save of this process."""
    return key, _WRITER.name, next(_NUMBERS), cursor
