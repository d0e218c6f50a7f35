"""The replica's side of the lease protocol: what it holds, and until when it may believe so."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeVar

from resilient_sse.cursors._engine.memory import Memory, memory_of
from resilient_sse.cursors._leases.clock import LeaseClock
from resilient_sse.cursors._leases.cursors import LeaseCursors
from resilient_sse.cursors._leases.grant import Grant
from resilient_sse.cursors._leases.protocol import LeaseSave

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from resilient_sse.cursors._leases.protocol import LeaseAnswer, LeaseServer

T = TypeVar("T")

_MOST: Final = 1000  # in one request: an engine does nothing else meanwhile


class Waiting(NamedTuple):
    """A lease that was not granted."""

    seconds: float
    """Until there is a point in asking again, unless it is released earlier."""


class LeaseTable:
    """The leases that one replica holds in one group.

    Args:
        server: The engine.
        clock: Seconds that pass also while the machine is suspended.
        memory: What this process knows of the cursors; by default what it knows of this place.
    """

    def __init__(
        self,
        server: LeaseServer,
        clock: Callable[[], float] | None = None,
        memory: Memory | None = None,
    ) -> None:
        self.server: LeaseServer = server
        self.held: dict[str, Grant] = {}
        self.clock: LeaseClock = LeaseClock(server.ttl, clock)
        memory = memory_of(Memory, server.place) if memory is None else memory
        self.cursors: LeaseCursors = LeaseCursors(server, memory)

    def acquire(self, names: Iterable[str]) -> dict[str, Grant | Waiting]:
        """Ask for leases.

        Raises:
            Exception: What the engine raises if it does not answer; a grant may then stand there
                in vain.
        """
        found: dict[str, Grant | Waiting] = {}
        for some in _chunks(names):
            until = self.clock.valid_until()
            answers = self.server.grant([self.cursors.wanted(name) for name in some])
            for name, answer in zip(some, answers, strict=True):
                found[name] = self._answered(name, until, answer)
        return found

    def _answered(self, name: str, until: float, answer: LeaseAnswer) -> Grant | Waiting:
        cursor = self.cursors.seen(name, answer)
        if not answer.token:
            return Waiting(answer.seconds)
        if name in self.held:  # its token is not the newest any more
            self._drop(self.held[name])
        saved = LeaseSave(name, answer.token, next(self.cursors.numbers), cursor)
        held = self.held[name] = Grant(self.cursors, self.clock, until, saved)
        return held

    def renew(self) -> None:
        """Renew what is held, and end what is lost.

        Raises:
            Exception: What the engine raises if it does not answer; what is held is valid for its
                time.
        """
        self.end_expired()
        for some in _chunks(self.held.values()):
            until = self.clock.valid_until()
            answers = self.server.renew([one.saved for one in some])
            for one, kept in zip(some, answers, strict=True):
                if kept and one.valid:
                    one.until = until
                else:
                    self._drop(one)

    def end_expired(self) -> None:
        """End what may not be believed in any more."""
        for one in list(self.held.values()):
            if not one.valid:
                self._drop(one)

    def _drop(self, one: Grant, reason: Literal["lost", "given back"] = "lost") -> None:
        one.end(reason)
        if self.held.get(one.name) is one:
            self.held.pop(one.name, None)  # perhaps another thread was faster

    def release(self, leases: Iterable[Grant]) -> None:
        """Give leases back, so that others need not wait.

        Raises:
            Exception: What the engine raises if it does not answer; they then last for their time.
        """
        given = list(leases)
        for one in given:
            self._drop(one, "given back" if one.valid else "lost")
        for some in _chunks(given):
            self.server.give_back([(one.name, one.token) for one in some])

    def give_back(self, leases: Iterable[Grant]) -> None:
        """Release, if the engine can be reached; if not, the leases last for their time."""
        try:
            self.release(leases)
        except Exception as error:
            if not self.server.is_outage(error):
                raise


def _chunks(words: Iterable[T]) -> Generator[list[T]]:
    """Yield lists that are not too long for one request."""
    rest = iter(list(words))
    while some := list(islice(rest, _MOST)):
        yield some
