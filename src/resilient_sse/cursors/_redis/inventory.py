"""The cursors in Redis, for people to look after."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import redis

from resilient_sse._values.frames import without_locals
from resilient_sse.cursors._inventory.inventory import KeptCursor
from resilient_sse.cursors._redis.answers import kept
from resilient_sse.cursors._redis.leases import RedisLeases
from resilient_sse.cursors._redis.store import RedisCursorStore

if TYPE_CHECKING:
    from collections.abc import Sequence

_SECONDS = 5.0


class RedisInventory:
    """The cursors of the stores, leases and groups of one prefix.

    Args:
        url: Where Redis is.
        prefix: What the names of the keys begin with.
    """

    @without_locals
    def __init__(self, url: str, prefix: str = "resilient-sse") -> None:
        self._url = url
        self._prefix = prefix
        client: Any = redis.Redis
        self._client: Any = client.from_url(
            url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS, decode_responses=True
        )

    def cursors(self) -> list[KeptCursor]:
        """Return all of them."""
        return [one for group in [None, *self._groups()] for one in self._cursors_of(group)]

    def put(self, group: str | None, key: str, cursor: str, /) -> None:
        """Keep a cursor instead of the one that there is."""
        if group is None:
            with RedisCursorStore(self._url, prefix=self._prefix) as store:
                store.save(key, cursor)
            return
        entry = self._client.hget(self._hash(group), key)
        before = kept(entry if entry is not None else "1 0@0 ")
        seconds, _ = self._client.time()
        told = f"{before.who} {before.number + 1}@{seconds} {cursor}"
        self._client.hset(self._hash(group), key, told)

    def forget(self, cursors: Sequence[KeptCursor], /) -> None:
        """Keep these no more."""
        for one in cursors:
            self._client.hdel(self._hash(one.group), one.key)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _groups(self) -> list[str]:
        space = f"{self._prefix}:{{"
        pattern = re.sub(r"([\\*?\[\]])", r"\\\1", space) + "*}:cursors"
        names = self._client.scan_iter(match=pattern, count=1000)
        return [name.removeprefix(space).removesuffix("}:cursors") for name in names]

    def _cursors_of(self, group: str | None) -> list[KeptCursor]:
        entries = self._client.hgetall(self._hash(group))
        held = self._held(group) if entries and group is not None else frozenset[str]()
        return [
            KeptCursor(group, key, one.cursor, one.seconds, key in held)
            for key, one in ((key, kept(entry)) for key, entry in entries.items())
        ]

    def _held(self, group: str) -> frozenset[str]:
        leases = RedisLeases(self._client, group, prefix=self._prefix)
        return frozenset(leases.holders())

    def _hash(self, group: str | None) -> str:
        space = "" if group is None else f":{{{group}}}"
        return f"{self._prefix}{space}:cursors"


inventory = RedisInventory
