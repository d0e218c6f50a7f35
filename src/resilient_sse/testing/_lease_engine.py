"""Leases in memory: an engine for tests of programs that share streams, with any clock."""

from __future__ import annotations

import threading
import time
import uuid
from typing import TYPE_CHECKING

from resilient_sse.cursors import LeaseAnswer, LeaseMember, SavedCursor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from resilient_sse.cursors import LeaseSave, LeaseWanted


class MemoryLeaseEngine:
    """Keeps leases and cursors in this process, for replicas that are objects of one test.

    Pass it to `StreamGroup` where an engine is to stand, or call it to get the `LeaseServer` of one
    replica. It is also the shortest complete engine there is to read.

    Args:
        clock: Seconds; a test that has its own needs not wait for a lease to end.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._groups: dict[str, MemoryGroup] = {}

    def __call__(self, name: str, *, ttl: float = 10.0) -> MemoryLeases:
        """Make the server of another replica.

        Args:
            name: The group.
            ttl: Seconds that a lease lasts.
        """
        return MemoryLeases(self._groups.setdefault(name, MemoryGroup(self._clock)), name, ttl)

    def forget(self) -> None:
        """Come back empty, as an engine does that had not written anything to its disk."""
        for group in self._groups.values():
            group.forget()


class MemoryGroup:
    """What the engine has of one group."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.lock: threading.Lock = threading.Lock()
        self.bells: list[Callable[[], object]] = []
        self.since: float = float("-inf")
        self.empty()

    def empty(self) -> None:
        self.leases: dict[str, tuple[str, int, float]] = {}  # owner, token, when it ends
        self.cursors: dict[str, SavedCursor] = {}
        self.members: dict[str, tuple[float, float, str]] = {}  # when it ends, weight, streams
        self.streams: dict[str, list[str]] = {}

    def forget(self) -> None:
        with self.lock:
            self.empty()
            self.since = self.clock()

    def learn(self, name: str, saved: SavedCursor) -> SavedCursor:
        newest = max(saved, self.cursors.get(name, SavedCursor()))
        if newest.token:
            self.cursors[name] = newest
        return newest

    def ring(self) -> None:
        for wake in list(self.bells):
            wake()


class MemoryLeases:
    """The `LeaseServer` of one replica; `MemoryLeaseEngine` makes it."""

    def __init__(self, group: MemoryGroup, name: str, ttl: float) -> None:
        self.name: str = name
        self.ttl: float = ttl
        self.owner: str = uuid.uuid4().hex
        self.place: object = group
        self._group = group

    def grant(self, wanted: Sequence[LeaseWanted], /) -> list[LeaseAnswer]:
        """Grant what is free or this replica's own."""
        with self._group.lock:
            return [self._grant(one) for one in wanted]

    def renew(self, held: Sequence[LeaseSave], /) -> list[bool]:
        """Have leases last for another ``ttl``."""
        with self._group.lock:
            return [self._renew(one) for one in held]

    def save(self, saves: Sequence[LeaseSave], /) -> list[bool]:
        """Save cursors, each if its token is the newest of its lease."""
        with self._group.lock:
            return [self._save(one) for one in saves]

    async def asave(self, saves: Sequence[LeaseSave], /) -> list[bool]:
        """Save; it blocks nobody."""
        return self.save(saves)

    def give_back(self, leases: Sequence[tuple[str, int]], /) -> None:
        """Have leases end now."""
        with self._group.lock:
            for name, token in leases:
                if self._group.leases.get(name, ())[:2] == (self.owner, token):
                    self._group.leases[name] = (self.owner, token, float("-inf"))
        self._group.ring()

    def meet(self, weight: float, streams: str, /) -> list[LeaseMember]:
        """Say that this replica is there, and return all that are."""
        group, now = self._group, self._group.clock()
        with group.lock:
            new = self.owner not in group.members
            group.members[self.owner] = (now + self.ttl, weight, streams)
            found = [
                LeaseMember(owner, weight, streams, streams in group.streams)
                for owner, (ends, weight, streams) in group.members.items()
                if ends > now
            ]
        if new:
            group.ring()
        return found

    def tell_streams(self, streams: str, names: Sequence[str], /) -> None:
        """Keep which streams a digest stands for."""
        self._group.streams[streams] = list(names)

    def ask_streams(self, streams: Sequence[str], /) -> dict[str, list[str]]:
        """Return which streams digests stand for."""
        told = self._group.streams
        return {digest: told[digest] for digest in streams if digest in told}

    def holders(self) -> dict[str, str]:
        """Return who holds what now."""
        group, now = self._group, self._group.clock()
        with group.lock:
            return {name: owner for name, (owner, _, ends) in group.leases.items() if ends > now}

    def leave(self) -> None:
        """Say that this replica goes."""
        with self._group.lock:
            self._group.members.pop(self.owner, None)
        self._group.ring()

    def listen(self, wake: Callable[[], object], /) -> Callable[[], object]:
        """Have something called whenever a lease was given back, or somebody left."""
        bells = self._group.bells
        bells.append(wake)

        def stop() -> None:
            if wake in bells:
                bells.remove(wake)

        return stop

    def is_outage(self, error: Exception, /) -> bool:  # noqa: ARG002 - there is none
        """Say that nothing passes by itself: this engine is always there."""
        return False

    def close(self) -> None:
        """Close nothing."""

    async def aclose(self) -> None:
        """Close nothing."""

    # -- One lease, under the lock -------------------------------------------------------------

    @property
    def _quarantine(self) -> float:
        """Seconds in which nothing is granted, since it may have been forgotten who holds it."""
        return max(0.0, self._group.since + self.ttl - self._group.clock())

    def _grant(self, one: LeaseWanted) -> LeaseAnswer:
        group = self._group
        saved = group.learn(one.name, one.known)
        owner, latest, ends = group.leases.get(one.name, (self.owner, 0, 0.0))
        wait = 0.0 if owner == self.owner else ends - group.clock()
        wait = max(wait, self._quarantine)
        if wait > 0:
            return LeaseAnswer(0, wait, saved)
        token = max(latest, one.highest, saved.token) + 1
        self._hold(one.name, token)
        return LeaseAnswer(token, 0.0, saved)

    def _renew(self, one: LeaseSave) -> bool:
        given_back = self._group.leases.get(one.name) == (self.owner, one.token, float("-inf"))
        if given_back or not self._holds(one):
            return False
        self._hold(one.name, one.token)
        if self._quarantine and one.cursor:
            self._group.learn(one.name, SavedCursor(*one[1:]))
        return True

    def _save(self, one: LeaseSave) -> bool:
        latest = self._group.cursors.get(one.name, SavedCursor())
        if not self._holds(one) or latest.token > one.token:
            return False
        self._group.learn(one.name, SavedCursor(*one[1:]))
        return True

    def _holds(self, one: LeaseSave) -> bool:
        owner, latest, _ = self._group.leases.get(one.name, ("", 0, 0.0))
        if (owner, latest) != (self.owner, one.token):
            if not self._quarantine or latest >= one.token:
                return False
            self._hold(one.name, one.token)
        return True

    def _hold(self, name: str, token: int) -> None:
        self._group.leases[name] = (self.owner, token, self._group.clock() + self.ttl)
