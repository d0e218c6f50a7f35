"""The replica's side of the lease protocol: what it holds, and until when it may believe so."""

from __future__ import annotations

import itertools
import math
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from resilient_sse.cursors import _scripts
from resilient_sse.cursors._held import Held
from resilient_sse.cursors._identity import Identity
from resilient_sse.cursors._redis_answers import cursor_of, is_outage, text
from resilient_sse.cursors._redis_client import Redis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# A lease is believed in for this much less than it lasts, for clocks that run at different speeds.
_SAFETY: Final = 0.05


class Waiting(NamedTuple):
    """A lease that was not granted."""

    seconds: float
    """Until there is a point in asking again, unless it is released earlier."""


class Leases:
    """The leases that one replica holds in one space.

    Args:
        redis: Where.
        space: What the names of the keys begin with.
        ttl: Seconds that a lease lasts; the same for all replicas.
        clock: Seconds that pass also while the machine is suspended.
    """

    def __init__(
        self, redis: Redis, space: str, ttl: float, clock: Callable[[], float] | None = None
    ) -> None:
        self.redis = redis
        self.ttl = ttl
        self.clock: Callable[[], float] = clock or boottime
        self.numbers: itertools.count[int] = itertools.count(1)
        self.held: dict[str, Held] = {}
        self._space = space
        self._keys = [f"{space}:server", f"{space}:leases", f"{space}:cursors"]
        self._members = f"{space}:members"
        self._seen: dict[str, str] = {}
        self._identity = Identity()

    @property
    def owner(self) -> str:
        """The name of this replica."""
        return self._identity.name

    def request(self, script: str, *words: object) -> tuple[str, list[str], list[object]]:
        """Put together what `Redis.script` takes."""
        return script, self._keys, [self.owner, round(self.ttl * 1000), *words]

    def acquire(self, names: Iterable[str]) -> dict[str, Held | Waiting]:
        """Ask for leases.

        Raises:
            redis.RedisError: If Redis does not answer; a grant may then stand there in vain.
        """
        wanted = list(names)
        until = self._until()
        answers = self.redis.script(*self.request(_scripts.ACQUIRE, *wanted))
        return {
            name: self._granted(name, until, *answer)
            for name, answer in zip(wanted, answers, strict=True)
        }

    def _granted(
        self, name: str, until: float, token: int, wait: int, entry: bytes | str | None
    ) -> Held | Waiting:
        cursor = cursor_of(entry)
        if cursor is None:  # Redis may have lost it: an older one only means to deliver again
            cursor = self._seen.get(name, "")
        self._seen[name] = cursor
        if not token:
            return Waiting(wait / 1000)
        if name in self.held:  # its token is not the newest any more
            self._drop(self.held[name])
        held = self.held[name] = Held(self, name, token, until, cursor)
        return held

    def renew(self) -> None:
        """Renew what is held, and end what is lost.

        Raises:
            redis.RedisError: If Redis does not answer; what is held is valid for its time.
        """
        self.end_expired()
        held = list(self.held.values())
        if not held:
            return
        until = self._until()
        words = [word for one in held for word in (one.name, one.token, *one.saved)]
        answers = self.redis.script(*self.request(_scripts.RENEW, *words))
        for one, kept in zip(held, answers, strict=True):
            if kept and one.valid:
                one.until = until
            else:
                self._drop(one)

    def end_expired(self) -> None:
        """End what may not be believed in any more."""
        for one in list(self.held.values()):
            if not one.valid:
                self._drop(one)

    def _drop(self, one: Held) -> None:
        one.end()
        if self.held.get(one.name) is one:
            self.held.pop(one.name, None)  # perhaps another thread was faster

    def release(self, leases: Iterable[Held]) -> None:
        """Give leases back, so that others need not wait.

        Raises:
            redis.RedisError: If Redis does not answer; they then last for their time.
        """
        given = list(leases)
        for one in given:
            self._drop(one)
        if given:
            words = [word for one in given for word in (one.name, one.token)]
            self.redis.script(*self.request(_scripts.RELEASE, *words))

    def give_back(self, leases: Iterable[Held]) -> None:
        """Release, if Redis can be reached; if not, the leases last for their time."""
        try:
            self.release(leases)
        except Exception as error:
            if not is_outage(error):
                raise

    def meet(self) -> list[str]:
        """Say that this replica is there, and return all that are."""
        words = [self.owner, round(self.ttl * 1000)]
        answer = self.redis.script(_scripts.MEET, [self._members], words)
        return sorted(text(member) for member in answer)

    def leave(self) -> None:
        """Say that this replica goes."""
        self.redis.call("ZREM", self._members, self.owner)

    def _until(self) -> float:
        """Return how long what is granted now may be believed in; ask before asking Redis."""
        return self.clock() + self.ttl * (1 - _SAFETY)


def leases_of(client: Any, prefix: str, name: str, ttl: float) -> Leases:  # noqa: ANN401 - redis-py's own
    """Make the leases of one name for a program.

    Args:
        client: A URL, or a client of redis-py.
        prefix: What the names of the keys begin with, before the name.
        name: Of the lease, or of the group of streams.
        ttl: Seconds that a lease lasts.

    Raises:
        ValueError: If ``ttl`` is not a positive number, or the name is empty.
    """
    if not math.isfinite(ttl) or ttl <= 0:
        raise ValueError(f"ttl must be a number of seconds above 0, not {ttl!r}")
    space = f"{prefix}:{{{name}}}"  # the part in braces puts the keys into one slot of a cluster
    if not space.partition("{")[2].partition("}")[0]:
        raise ValueError(f"a name must not be empty, nor begin with '}}': {name!r}")
    return Leases(Redis(client, timeout=ttl / 4), space, ttl)


def boottime() -> float:
    """Return the seconds of a clock that goes on while the machine is suspended."""
    return time.clock_gettime(_CLOCK) if _CLOCK is not None else time.monotonic()


# On Linux, and on macOS; elsewhere the monotonic clock is as good.
_CLOCK: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
