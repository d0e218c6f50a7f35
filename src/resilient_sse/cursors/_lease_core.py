"""The replica's side of the lease protocol: what it holds, and until when it may believe so."""

from __future__ import annotations

import itertools
import os
import time
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from resilient_sse.cursors import _scripts
from resilient_sse.cursors._identity import Identity
from resilient_sse.cursors._redis_answers import cursor_of, text
from resilient_sse.errors import CursorError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from resilient_sse.cursors._redis_client import Redis

__all__ = ["LeaseLost"]

# A lease is believed in for this much less than it lasts, for clocks that run at different speeds.
_SAFETY: Final = 0.05


class LeaseLost(CursorError):  # noqa: N818 - it is news before it is an error
    """The lease is not held any more: another replica may be reading the stream.

    Args:
        name: The lease.
    """

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the lease {name!r} is lost; another replica may be reading this stream", key=name
        )


class Held:
    """One grant of a lease, from its acquisition to its loss or release.

    It is also the cursor store of the stream that it is about: its saves carry the token.

    Attributes:
        name: What it is about.
        token: The fencing token; grows with every grant.
        until: The time of the local clock up to which it may be believed in.
        saved: The number of the last save, and the cursor.
        reader: The source that reads under it.
    """

    def __init__(self, leases: Leases, name: str, token: int, until: float, cursor: str) -> None:
        self.name = name
        self.token = token
        self.until = until
        self.saved: tuple[int, str] = (next(leases.numbers), cursor)
        self.reader: object = None
        self._leases = leases
        self._pid = os.getpid()
        self._over = False
        self._wake: Callable[[], object] | None = None

    @property
    def valid(self) -> bool:
        """Whether no other replica can hold it now; a fork of this process is another one."""
        over = self._over or self._leases.clock() >= self.until
        return not over and os.getpid() == self._pid

    def check(self) -> None:
        """Raise if it is lost.

        Raises:
            LeaseLost: If it is.
        """
        if not self.valid:
            self.end()
            raise LeaseLost(self.name)

    def watch(self, wake: Callable[[], object]) -> None:
        """Have this called, from any thread, when the lease is lost; it replaces the one before."""
        self._wake = wake

    def end(self) -> None:
        """Believe in it no more."""
        if self._over:
            return
        self._over = True
        try:
            if self._wake is not None:
                self._wake()
        except Exception:  # noqa: BLE001 - whoever ends it has more to end
            structlog.get_logger("resilient_sse").exception(
                "resilient_sse.reader_not_woken", lease=self.name
            )

    # -- A cursor store ------------------------------------------------------------------------

    def load(self, _key: str, /) -> str | None:
        """Return the cursor that came with the grant."""
        return self.saved[1] or None

    def save(self, _key: str, cursor: str, /) -> None:
        """Save, if the lease is still held."""
        number, request = self._request(cursor)
        self._saved(self._leases.redis.script(*request), number, cursor)

    async def asave(self, _key: str, cursor: str, /) -> None:
        """Save, if the lease is still held, without blocking the event loop."""
        number, request = self._request(cursor)
        self._saved(await self._leases.redis.ascript(*request), number, cursor)

    def _request(self, cursor: str) -> tuple[int, tuple[str, list[str], list[object]]]:
        number = next(self._leases.numbers)
        words = (self.name, self.token, number, cursor)
        return number, self._leases.request(_scripts.SAVE, *words)

    def _saved(self, answer: int, number: int, cursor: str) -> None:
        if not answer:
            self.end()
            raise LeaseLost(self.name)
        self.saved = (number, cursor)


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


def boottime() -> float:
    """Return the seconds of a clock that goes on while the machine is suspended."""
    return time.clock_gettime(_CLOCK) if _CLOCK is not None else time.monotonic()


# On Linux, and on macOS; elsewhere the monotonic clock is as good.
_CLOCK: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
