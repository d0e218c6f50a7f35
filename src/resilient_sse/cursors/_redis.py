"""`RedisCursorStore`: one server for the streams of many machines."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from resilient_sse.cursors import _scripts
from resilient_sse.cursors._identity import Identity
from resilient_sse.cursors._redis_answers import cursor_of
from resilient_sse.cursors._redis_client import Redis

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["RedisCursorStore"]


class RedisCursorStore:
    """Keeps the cursors of many machines in Redis.

    All cursors are fields of one hash, ``prefix:cursors``. Each stream is to have one reader; see
    `RedisLease` and `StreamGroup` for what sees to that. A save that arrives late, because its
    connection broke, does not replace a newer one of the same store.

    Redis must not evict the hash (``maxmemory-policy noeviction``) and should write it to disk
    (``appendonly yes``).

    ```python
    async with RedisCursorStore("redis://localhost") as store:
        async with ReconnectingEventSource("https://example.com/events", cursor=store) as source:
            ...
    ```

    Args:
        client: A URL, or a client of redis-py: ``redis.Redis`` and ``redis.RedisCluster`` serve
            every kind of source, their twins in ``redis.asyncio`` those on asyncio. A client passed
            in is never closed; give it a ``socket_timeout``.
        prefix: What the names of the keys in Redis begin with.
    """

    def __init__(self, client: Any, *, prefix: str = "resilient-sse") -> None:  # noqa: ANN401 - redis-py's own
        self._redis = Redis(client)
        self._key = f"{prefix}:cursors"
        self._writer = Identity()
        self._numbers = itertools.count(1)

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
            redis.RedisError: If Redis does not answer.
        """
        return cursor_of(self._redis.call("HGET", self._key, key))

    async def aload(self, key: str, /) -> str | None:
        """Load without blocking the event loop."""
        return cursor_of(await self._redis.acall("HGET", self._key, key))

    def save(self, key: str, last_event_id: str, /) -> None:
        """Save a cursor.

        Raises:
            redis.RedisError: If Redis does not answer.
        """
        self._redis.script(_scripts.KEEP, [self._key], self._words(key, last_event_id))

    async def asave(self, key: str, last_event_id: str, /) -> None:
        """Save without blocking the event loop."""
        await self._redis.ascript(_scripts.KEEP, [self._key], self._words(key, last_event_id))

    def close(self) -> None:
        """Close the blocking client, if it was made from a URL."""
        self._redis.close()

    async def aclose(self) -> None:
        """Close the blocking client and that of this event loop, if made from a URL."""
        await self._redis.aclose()

    def _words(self, key: str, last_event_id: str) -> tuple[object, ...]:
        return key, self._writer.name, next(self._numbers), last_event_id
