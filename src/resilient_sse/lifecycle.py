"""Lifecycle events: what a source tells its hooks.

A hook is a plain callable that takes one lifecycle event. The order is fixed:

- per connection: `Connecting`, `Connected`, `Disconnected` (an attempt that fails has no
  `Connected` and no `Disconnected`);
- after a failure: `RetryScheduled` or `GaveUp`;
- `Comment` between `Connected` and `Disconnected`;
- `GapDetected` there too, or before the `RetryScheduled` or `GaveUp` that follows from it;
- `CursorStoreFailed` anywhere, since a cursor store fails on its own;
- `Closed` comes last, exactly once.

Every lifecycle event carries ``url`` (without userinfo, query values redacted) and ``source_id``,
a number that grows with every source made in this process.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from resilient_sse._event import ServerSentEvent
    from resilient_sse._failure import Failure

__all__ = [
    "Closed",
    "Comment",
    "Connected",
    "Connecting",
    "ConnectionState",
    "ConnectionTotals",
    "CursorStoreFailed",
    "Disconnected",
    "GapDetected",
    "GaveUp",
    "Hook",
    "LifecycleEvent",
    "RetryScheduled",
]


class ConnectionState(StrEnum):
    """What a source is doing."""

    CONNECTING = "connecting"
    """Opening a connection, or about to."""
    OPEN = "open"
    """Reading a stream."""
    WAITING = "waiting"
    """Between a failure and the next attempt."""
    CLOSED = "closed"
    """Done: nothing more will come."""


class ConnectionTotals:
    """What one connection has received so far; it grows for as long as the connection is open.

    A hook may keep it and read it whenever it likes, from any thread, so that nothing has to be
    called for every event. Only the session writes it.

    Attributes:
        events (int): How many events it has dispatched.
        bytes (int): How many bytes of body it has received, after content decoding.
        first_event_seconds (float | None): Seconds from the start of the attempt to its first
            event; None until there is one.
    """

    __slots__ = ("bytes", "events", "first_event_seconds")

    def __init__(self) -> None:
        self.events: int = 0
        self.bytes: int = 0
        self.first_event_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LifecycleEvent:
    """What all lifecycle events carry.

    Attributes:
        url: The source's URL without userinfo, with its query values redacted.
        source_id: Which source of this process speaks.
    """

    url: str
    source_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Connecting(LifecycleEvent):
    """An attempt begins.

    Attributes:
        attempt: The number of the attempt, from 1; see `Attempt`.
        last_event_id: The cursor it resumes from ("" for none).
    """

    attempt: int
    last_event_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected(LifecycleEvent):
    """The stream is open.

    Attributes:
        attempt: The number of the attempt that succeeded.
        status_code: The HTTP status.
        headers: The response's headers, names in lower case, cookies redacted.
        seconds: From the start of the attempt to the response's headers.
        resumed: Whether a cursor was sent.
        totals: What the connection has received, live.
    """

    attempt: int
    status_code: int
    headers: Mapping[str, str]
    seconds: float
    resumed: bool
    totals: ConnectionTotals = field(default_factory=ConnectionTotals, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnected(LifecycleEvent):
    """An open stream is over.

    Attributes:
        failure: Why; None if this side ended it (closed, reconnected, ``until``).
        seconds: How long it was open.
        events: How many events it dispatched.
        bytes: How many bytes of body it received, after content decoding.
    """

    failure: Failure | None
    seconds: float
    events: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryScheduled(LifecycleEvent):
    """The policy decided to try again.

    Attributes:
        failure: What went wrong.
        delay: Seconds until the next attempt.
    """

    failure: Failure
    delay: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment(LifecycleEvent):
    """The server sent a comment; most servers use it as a heartbeat.

    Attributes:
        text: The comment without the colon and one space after it.
    """

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GaveUp(LifecycleEvent):
    """The policy decided to stop trying; the consumer gets a `GiveUpError`.

    Attributes:
        failure: The last failure.
        failures: The failures of this outage, oldest first; the newest 100 of them.
    """

    failure: Failure
    failures: tuple[Failure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GapDetected(LifecycleEvent):
    """Events between the cursor and now are gone: the server cannot replay them.

    Attributes:
        reason: "refused" if the server answered a request that carried the cursor with a 4xx,
            "event" if the ``gap`` predicate names an event.
        last_event_id: The cursor, the last thing known to be before the gap.
        status_code: The status it refused with; None for an event.
        event: The event that the predicate names; None for a refusal.
        continues: Whether the source goes on from now (``on_gap="continue"``); if not, it gives
            up.
    """

    reason: Literal["refused", "event"]
    last_event_id: str
    status_code: int | None
    event: ServerSentEvent | None
    continues: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CursorStoreFailed(LifecycleEvent):
    """The cursor store failed; the stream did not.

    Attributes:
        operation: "load" or "save".
        error: What the store raised.
        key: The key in the store; redacted if it is the URL.
        attempt: The failures since the store last worked, this one included, from 1.
        delay: Seconds until the store is tried again, events flowing meanwhile; None if the
            consumer gets a `CursorError` now.
    """

    operation: Literal["load", "save"]
    error: Exception
    key: str
    attempt: int
    delay: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed(LifecycleEvent):
    """The source is done; nothing comes after this.

    Attributes:
        reason: "closed" (by the program), "no content" (204), "until" (the predicate was true) or
            "gave up".
    """

    reason: str


Hook: TypeAlias = "Callable[[LifecycleEvent], object]"
"""What observes a source: a plain callable; what it returns is ignored."""
