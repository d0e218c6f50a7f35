"""`RedisCursorStore`: one server for the streams of many machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import redis

from resilient_sse._values.frames import without_locals
from resilient_sse.cursors._engine.store import EngineStore
from resilient_sse.cursors._redis import scripts as _scripts
from resilient_sse.cursors._redis.answers import is_lasting, kept
from resilient_sse.cursors._redis.client import Redis
from resilient_sse.cursors._redis.place import place_of

if TYPE_CHECKING:
    from resilient_sse.cursors._engine.store import Entry, Word

__all__ = ["RedisCursorStore"]


class RedisCursorStore(EngineStore):
    """Keeps the cursors of many machines in Redis.

    All cursors are fields of one hash, ``prefix:cursors``. Each stream is to have one reader; see
    `RedisLease` and `StreamGroup` for what sees to that. A save that arrives late, because its
    connection broke, does not replace a newer one of the same process. Streams that save at the
    same time do so in one request, on one connection.

    A process remembers what it saved and loaded: a Redis that comes back empty, or with an old
    copy, makes none of its streams go back. To have one begin again, start a new process.

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

    Raises:
        TypeError: If it is a client of the package valkey.
    """

    @without_locals
    def __init__(self, client: Any, *, prefix: str = "resilient-sse") -> None:  # noqa: ANN401 - redis-py's own
        key = f"{prefix}:cursors"
        super().__init__(_Cursors(client, key), place_of(client, key))


class _Cursors:
    """The fields of one hash, each "writer number@seconds cursor"."""

    @without_locals
    def __init__(self, client: Any, key: str) -> None:  # noqa: ANN401 - redis-py's own
        self._redis = Redis(client)
        self._key = key

    def load(self, keys: list[str]) -> list[Entry | None]:
        return list(map(_entry, self._redis.call("HMGET", self._key, *keys)))

    async def aload(self, keys: list[str]) -> list[Entry | None]:
        return list(map(_entry, await self._redis.acall("HMGET", self._key, *keys)))

    def save(self, words: list[Word]) -> None:
        self._redis.script(_scripts.KEEP, [self._key], _flat(words))

    async def asave(self, words: list[Word]) -> None:
        await self._redis.ascript(_scripts.KEEP, [self._key], _flat(words))

    def lasts(self, error: Exception) -> bool:
        return isinstance(error, redis.RedisError) and is_lasting(error)

    def close(self) -> None:
        self._redis.close()

    async def aclose(self) -> None:
        await self._redis.aclose()


def _entry(entry: bytes | str | None) -> Entry | None:
    if entry is None:
        return None
    writer, number, _, cursor = kept(entry)
    return writer, number, cursor


def _flat(words: list[Word]) -> list[object]:
    return [part for word in words for part in word]
