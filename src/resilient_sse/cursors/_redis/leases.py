"""`RedisLeases`: leases and their cursors in Redis."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from resilient_sse._values.frames import without_locals
from resilient_sse.cursors._engine.identity import Identity
from resilient_sse.cursors._leases.clock import check_ttl
from resilient_sse.cursors._leases.protocol import LeaseAnswer, LeaseMember
from resilient_sse.cursors._redis import scripts as _scripts
from resilient_sse.cursors._redis.answers import is_outage, known_of, text
from resilient_sse.cursors._redis.client import Redis
from resilient_sse.cursors._redis.place import place_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from resilient_sse.cursors._leases.protocol import LeaseSave, LeaseWanted

__all__ = ["RedisLeases"]


class RedisLeases:
    """Keeps the leases of one group of streams in Redis: a `LeaseServer`.

    Args:
        client: A URL; or a ``redis.Redis`` or ``redis.RedisCluster`` client, which is never closed.
            Give a client of yours a ``socket_timeout`` of a quarter of ``ttl``.
        name: The group, the same in all replicas; any text that does not begin with "}".
        ttl: Seconds that a lease lasts; the same in all replicas.
        prefix: What the names of the keys in Redis begin with.

    Raises:
        ValueError: If ``ttl`` is not a positive number, or the name is empty.
        TypeError: If it is a client of the package valkey.
    """

    @without_locals
    def __init__(
        self,
        client: Any,  # noqa: ANN401 - redis-py's own
        name: str,
        *,
        ttl: float = 10.0,
        prefix: str = "resilient-sse",
    ) -> None:
        check_ttl(ttl)
        space = f"{prefix}:{{{name}}}"  # the part in braces puts the keys into one slot
        if not space.partition("{")[2].partition("}")[0]:
            raise ValueError(f"a name must not be empty, nor begin with '}}': {name!r}")
        self.name: str = name
        self.ttl: float = ttl
        self.place: object = place_of(client, space)
        self._redis = Redis(client, timeout=ttl / 4)
        self._meeting = [f"{space}:members", f"{space}:about", f"{space}:streams"]
        self._keys = [f"{space}:server", f"{space}:leases", f"{space}:cursors"]
        self._identity = Identity()

    @property
    def owner(self) -> str:
        """The name of this replica."""
        return self._identity.name

    def grant(self, wanted: Sequence[LeaseWanted], /) -> list[LeaseAnswer]:
        """Grant what is free or this replica's own."""
        words = [word for one in wanted for word in (one.name, one.highest, *one.known)]
        answers = self._script(_scripts.ACQUIRE, words)
        return [
            LeaseAnswer(int(token), wait / 1000, known_of(entry)) for token, wait, entry in answers
        ]

    def renew(self, held: Sequence[LeaseSave], /) -> list[bool]:
        """Have leases last for another ``ttl``."""
        return [bool(kept) for kept in self._script(_scripts.RENEW, _flat(held))]

    def save(self, saves: Sequence[LeaseSave], /) -> list[bool]:
        """Save cursors, each if its token is the newest of its lease."""
        return [bool(kept) for kept in self._script(_scripts.SAVE, _flat(saves))]

    async def asave(self, saves: Sequence[LeaseSave], /) -> list[bool]:
        """Save without blocking the event loop."""
        words = self._words(_flat(saves))
        return [bool(kept) for kept in await self._redis.ascript(_scripts.SAVE, self._keys, words)]

    def give_back(self, leases: Sequence[tuple[str, int]], /) -> None:
        """Have leases end now."""
        self._script(_scripts.RELEASE, _flat(leases))

    def meet(self, weight: float, streams: str, /) -> list[LeaseMember]:
        """Say that this replica is there, and return all that are."""
        words = self._words([f"{weight!r} {streams}"])
        return [_member(*row) for row in self._redis.script(_scripts.MEET, self._meeting, words)]

    def tell_streams(self, streams: str, names: Sequence[str], /) -> None:
        """Keep which streams a digest stands for."""
        self._redis.call("HSET", self._meeting[2], streams, json.dumps(list(names)))

    def ask_streams(self, streams: Sequence[str], /) -> dict[str, list[str]]:
        """Return which streams digests stand for."""
        found = self._redis.call("HMGET", self._meeting[2], *streams)
        pairs = zip(streams, found, strict=True)
        return {digest: json.loads(names) for digest, names in pairs if names is not None}

    def holders(self) -> dict[str, str]:
        """Return who holds what now."""
        words = [text(word) for word in self._redis.script(_scripts.HOLDERS, self._keys[1:2], [])]
        return dict(zip(words[::2], words[1::2], strict=True))

    def leave(self) -> None:
        """Say that this replica goes."""
        self._redis.call("ZREM", self._meeting[0], self.owner)

    def listen(self, wake: Callable[[], object], /) -> Callable[[], object]:  # noqa: ARG002 - see below
        """Call nobody: Redis tells nothing by itself, and whoever waits looks."""
        return _nothing

    def is_outage(self, error: Exception, /) -> bool:
        """Say whether Redis cannot be reached or cannot write for now."""
        return is_outage(error)

    def close(self) -> None:
        """Close the blocking client, if it was made from a URL."""
        self._redis.close()

    async def aclose(self) -> None:
        """Close the blocking client and that of this event loop, if made from a URL."""
        await self._redis.aclose()

    def _script(self, script: str, words: Sequence[object]) -> Any:  # noqa: ANN401 - as it answers
        return self._redis.script(script, self._keys, self._words(words))

    def _words(self, words: Sequence[object]) -> list[object]:
        return [self.owner, round(self.ttl * 1000), *words]


def _member(owner: bytes | str, about: bytes | str, known: int) -> LeaseMember:
    weight, streams = text(about).split(" ", 1)
    return LeaseMember(text(owner), float(weight), streams, bool(known))


def _flat(words: Sequence[Sequence[object]]) -> list[object]:
    return [part for word in words for part in word]


def _nothing() -> None:
    """End nothing."""
