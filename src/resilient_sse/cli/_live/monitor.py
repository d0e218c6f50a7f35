"""`Monitor`: a hook that knows what a source is doing now, for people who watch it."""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

from resilient_sse._values.redact import explain
from resilient_sse.lifecycle import (
    Closed,
    Comment,
    Connected,
    Connecting,
    ConnectionState,
    ConnectionTotals,
    CursorStoreFailed,
    Disconnected,
    GaveUp,
    RetryScheduled,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_sse._values.failure import Failure
    from resilient_sse.lifecycle import LifecycleEvent

__all__ = ["Incident", "Monitor", "Phase"]

_REMEMBERED: Final = 1000
_RATE_SECONDS: Final = 5.0


class Phase(NamedTuple):
    """From this time on the source was in this state."""

    began: float
    state: ConnectionState


class Incident(NamedTuple):
    """A failure: when, why, and what then."""

    at: float
    cause: str
    then: str

    @property
    def text(self) -> str:
        """All but the time in one line."""
        return f"{self.cause}; {self.then}"


class Monitor:
    """A hook that keeps what a person wants to see.

    Args:
        clock: Tells the time in seconds.
        tell: Gets a line for every failure that is not the last.
    """

    def __init__(
        self,
        clock: Callable[[], float] = monotonic,
        tell: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.clock = clock
        self._tell = tell
        self.began = clock()
        self.phases = deque([Phase(self.began, ConnectionState.CONNECTING)], maxlen=_REMEMBERED)
        self.incidents: deque[Incident] = deque(maxlen=_REMEMBERED)
        self.connections = self.failures = self.comments = 0
        self.next_try = 0.0
        self._before = (0, 0)
        self._totals = ConnectionTotals()
        self._counted: deque[tuple[float, int]] = deque([(self.began, 0)])

    def __call__(self, event: LifecycleEvent) -> None:
        """Take note of a lifecycle event."""
        match event:
            case Connecting():
                self._enter(ConnectionState.CONNECTING)
            case Connected():
                self.connections += 1
                self._totals = event.totals
                self._enter(ConnectionState.OPEN)
            case Disconnected():
                self._before = (self._before[0] + event.events, self._before[1] + event.bytes)
                self._totals = ConnectionTotals()
                if event.failure is not None:
                    self._enter(ConnectionState.CONNECTING)
            case RetryScheduled():
                self._waits(event.failure, event.delay)
            case GaveUp():
                self._failed(event.failure, "gave up")
            case CursorStoreFailed():
                self._tell(f"cannot {event.operation} the place: {explain(event.error)}")
            case Comment():
                self.comments += 1
            case Closed():
                self._enter(ConnectionState.CLOSED)
            case _:  # a kind of a later version
                return

    @property
    def state(self) -> ConnectionState:
        """What the source is doing."""
        return self.phases[-1].state

    @property
    def events(self) -> int:
        """The events so far, those of the open connection included."""
        return self._before[0] + self._totals.events

    @property
    def bytes(self) -> int:
        """The bytes so far, those of the open connection included."""
        return self._before[1] + self._totals.bytes

    @property
    def reconnects(self) -> int:
        """The connections after the first."""
        return max(0, self.connections - 1)

    @property
    def seconds_to_next_try(self) -> float:
        """What is left of the wait."""
        return max(0.0, self.next_try - self.clock())

    def rate(self) -> float:
        """Return the events per second of the last seconds; call it regularly."""
        now = self.clock()
        self._counted.append((now, self.events))
        while len(self._counted) > 2 and self._counted[1][0] <= now - _RATE_SECONDS:  # noqa: PLR2004 - both ends
            self._counted.popleft()
        then, before = self._counted[0]
        return (self.events - before) / (now - then) if now > then else 0.0

    def _enter(self, state: ConnectionState) -> None:
        if state is not self.state:
            self.phases.append(Phase(self.clock(), state))

    def _waits(self, failure: Failure, delay: float) -> None:
        self.next_try = self.clock() + delay
        self._tell(self._failed(failure, f"next try in {delay:.1f} s"))
        self._enter(ConnectionState.WAITING)

    def _failed(self, failure: Failure, then: str) -> str:
        self.failures += 1
        reason = explain(failure.error) or type(failure.error).__name__
        self.incidents.append(Incident(self.clock(), f"{failure.kind}: {reason}", then))
        return self.incidents[-1].text
