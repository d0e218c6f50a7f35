"""Lifecycle events: what a source tells its hooks.

A hook is a plain callable that takes one lifecycle event. The order is fixed:

- per connection: `Connecting`, `Connected`, `Disconnected` (an attempt that fails has no
  `Connected` and no `Disconnected`);
- after a failure: `RetryScheduled` or `GaveUp`, also after one of an ``on_gap`` function, which is
  called between two connections;
- `Comment` between `Connected` and `Disconnected`;
- `GapDetected` there too, or before the `RetryScheduled` or `GaveUp` that follows from it;
- `CursorStoreFailed` anywhere, since a cursor store fails on its own;
- `Closed` comes last, exactly once.

Each of these is a `SourceEvent`: it carries ``url`` (without userinfo, query values redacted) and
``source_id``, a number that grows with every source made in this process.

The hooks of a lease or a group get what is a `LeaseEvent`, too, whose ``url`` and ``source_id`` are
None: `LeaseGranted`, then `LeaseEnded`, once for each grant; and `GroupChanged`. A lease that is
lost ends its source at once, so `LeaseEnded` may come before `Closed` or after it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from resilient_sse._values.event import ServerSentEvent
    from resilient_sse._values.failure import Failure

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
    "GroupChanged",
    "Hook",
    "LeaseEnded",
    "LeaseEvent",
    "LeaseGranted",
    "LifecycleEvent",
    "RetryScheduled",
    "SourceEvent",
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
        progress (bool): Whether any of its events was progress: to a dialect a greeting, a
            heartbeat or the word that the server failed is none.
    """

    __slots__ = ("bytes", "events", "first_event_seconds", "progress")

    def __init__(self) -> None:
        self.events: int = 0
        self.bytes: int = 0
        self.first_event_seconds: float | None = None
        self.progress: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LifecycleEvent:
    """What all lifecycle events carry.

    Attributes:
        url: The source's URL without userinfo, with its query values redacted; None if it is about
            a lease or a group.
        source_id: Which source of this process speaks; None likewise.
    """

    url: str | None
    source_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceEvent(LifecycleEvent):
    """What tells of a source.

    Attributes:
        url: Its URL without userinfo, with its query values redacted.
        source_id: Which source of this process speaks.
    """

    url: str
    source_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Connecting(SourceEvent):
    """An attempt begins.

    Attributes:
        attempt: The number of the attempt, from 1; see `Attempt`.
        last_event_id: The cursor it resumes from ("" for none).
        method: The HTTP method that the source was given; a dialect or ``prepare_request`` may
            have another one sent.
    """

    attempt: int
    last_event_id: str
    method: str = "GET"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected(SourceEvent):
    """The stream is open.

    Attributes:
        attempt: The number of the attempt that succeeded.
        status_code: The HTTP status.
        headers: The response's headers, names in lower case, cookies redacted.
        seconds: From the start of the attempt to the response's headers.
        resumed: Whether a cursor was sent.
        totals: What the connection has received, live.
        failures: How many failures lie between the last progress and this connection.
        outage_seconds: Since when there was none, if something failed: it is how long the outage
            was, unless this connection breaks without progress. 0.0 if nothing failed.
    """

    attempt: int
    status_code: int
    headers: Mapping[str, str]
    seconds: float
    resumed: bool
    totals: ConnectionTotals = field(default_factory=ConnectionTotals, repr=False, compare=False)
    failures: int = 0
    outage_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnected(SourceEvent):
    """An open stream is over.

    Attributes:
        failure: Why; None if this side ended it (closed, reconnected, ``until``).
        seconds: How long it was open.
        events: How many events it dispatched.
        bytes: How many bytes of body it received, after content decoding.
        last_event_id: The cursor in force ("" for none).
    """

    failure: Failure | None
    seconds: float
    events: int
    bytes: int
    last_event_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryScheduled(SourceEvent):
    """The policy decided to try again.

    Attributes:
        failure: What went wrong.
        delay: Seconds until the next attempt.
    """

    failure: Failure
    delay: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment(SourceEvent):
    """The server sent a comment; most servers use it as a heartbeat.

    Attributes:
        text: The comment without the colon and one space after it.
    """

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GaveUp(SourceEvent):
    """The source stops trying, for one of the reasons of a `GiveUpError`, which the consumer gets.

    Attributes:
        failure: The last failure.
        failures: The failures of this outage, oldest first; the newest 100 of them.
    """

    failure: Failure
    failures: tuple[Failure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GapDetected(SourceEvent):
    """Events between the cursor and now are gone: the server cannot replay them.

    Attributes:
        reason: "refused" if the server answered a request that carried the cursor with a 4xx,
            "event" if the dialect takes an event for a gap.
        last_event_id: The cursor, the last thing known to be before the gap.
        status_code: The status it refused with; None for an event.
        event: The event that says so, which is not delivered; None for a refusal.
        continues: Whether the source may go on (``on_gap`` is "continue" or a function); if not, it
            gives up.
    """

    reason: Literal["refused", "event"]
    last_event_id: str
    status_code: int | None
    event: ServerSentEvent | None
    continues: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CursorStoreFailed(SourceEvent):
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
class Closed(SourceEvent):
    """The source is done; nothing comes after this.

    Attributes:
        reason: "closed" (by the program), "no content" (204), "until" (the predicate was true, or
            the dialect took an event for the last one), "finished" (the body ended, and the dialect
            says that this is the end), "gave up", or "failed" (a callback, a lease or a store).
    """

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseEvent(LifecycleEvent):
    """What tells of a lease or a group.

    Attributes:
        url: None: a lease may have had several sources, or none.
        source_id: None likewise.
        group: The name of the group; that of the lease, if it is alone.
    """

    url: None = None
    source_id: None = None
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseGranted(LeaseEvent):
    """This replica may read a stream now.

    Attributes:
        name: The lease; in a group its stream, redacted like every URL.
        token: The fencing token of the grant.
        waited: Seconds from when it was first asked for.
    """

    name: str
    token: int
    waited: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseEnded(LeaseEvent):
    """This replica may not read a stream any more.

    Attributes:
        name: The lease; in a group its stream, redacted like every URL.
        token: The fencing token of the grant.
        reason: "lost" if its time was over, or another replica has been granted it; "given back"
            if this replica was done with it.
    """

    name: str
    token: int
    reason: Literal["lost", "given back"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupChanged(LeaseEvent):
    """A replica has looked at its group and found it changed.

    Attributes:
        streams: How many streams the replicas know, all together; 0 when this replica leaves.
        replicas: How many replicas there are, this one included; 0 when it leaves.
    """

    streams: int
    replicas: int


Hook: TypeAlias = "Callable[[LifecycleEvent], None]"
"""What observes a source, a lease or a group: a plain callable; what it returns is ignored.

A hook that has a method ``inject_headers(source_id, headers)`` is asked once per attempt, between
`Connecting` and ``prepare_request``, to add to the request's headers what lets the server tell
whose request it is, such as ``traceparent``. Headers of the caller's stay as they are.
"""
