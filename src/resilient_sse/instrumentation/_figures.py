"""What the exporters share: the figures of this process's sources, counted from lifecycle events.

In this order: what a figure is about (labels), which figures there are (metrics), what one source
did, and what all of them did. Neither OpenTelemetry nor Prometheus is known here. Nothing is called
for an event of the stream: what an open connection has received stands in its totals, and
`Counters.read` adds it up.

Lifecycle events may come from one thread while another one reads, so there is a lock; nothing
that could wait is done under it.
"""

from __future__ import annotations

import threading
from collections import Counter
from enum import Enum
from time import monotonic, time
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from resilient_sse._values.failure import FailureKind
from resilient_sse._values.http import DEFAULT_PORTS
from resilient_sse.lifecycle import (
    Closed,
    Comment,
    Connected,
    Connecting,
    CursorStoreFailed,
    Disconnected,
    GapDetected,
    GaveUp,
    GroupChanged,
    LeaseEnded,
    LeaseEvent,
    LeaseGranted,
    LifecycleEvent,
    RetryScheduled,
    SourceEvent,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_sse._values.failure import Failure
    from resilient_sse.lifecycle import ConnectionTotals

__all__ = [
    "DURATIONS",
    "EVENTS",
    "FAILURES",
    "OF_LEASES",
    "SCOPE",
    "SOURCES",
    "SUMS",
    "Counters",
    "Duration",
    "Kind",
    "Labels",
    "Observation",
    "Reading",
    "Sum",
    "labels_of",
    "missing",
]


def missing(hook: str, extra: str, error: ImportError) -> ImportError:
    """Make the error for a hook whose library cannot be imported.

    Args:
        hook: The hook's name.
        extra: The extra that installs the library.
        error: Why it cannot be imported.
    """
    made = ImportError(
        f"{hook} needs the extra {extra!r}: pip install 'resilient-sse[{extra}]' ({error})",
        name=error.name,
    )
    made.__cause__ = error
    return made


class Labels(NamedTuple):
    """What a figure is about; every part has few values.

    Attributes:
        stream: The name that the program gave the stream ("" for none).
        server_address: The server's host.
        server_port: The server's port.
        error_type: The kind of a failure ("" if the figure is not about failures).
        status_code: The HTTP status of a failure of that kind (0 for none).
        lease: The name of a group, or of a lease that is alone ("" if it is about a source).
    """

    stream: str
    server_address: str
    server_port: int
    error_type: str = ""
    status_code: int = 0
    lease: str = ""


def labels_of(url: str, stream: str) -> Labels:
    """Return the labels of a source that reads the named stream from a redacted URL."""
    parts = urlsplit(url)
    port = parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
    return Labels(stream, parts.hostname or "", port)


# The metrics, the same for OpenTelemetry and Prometheus. Names and units follow OpenTelemetry's
# conventions. The Prometheus names are what a converter makes of them, so that one dashboard serves
# both.

SCOPE: Final = "resilient_sse"
"""The instrumentation scope: what OpenTelemetry calls the library that is measured."""


class Kind(Enum):
    """Whether a sum can fall, and whether it is one: moments of two processes do not add up."""

    COUNTER = "counter"
    GAUGE = "gauge"
    MOMENT = "moment"


class Sum(NamedTuple):
    """A figure that is read when somebody asks for it.

    Attributes:
        name: The name, as OpenTelemetry writes it.
        unit: The unit, in UCUM.
        description: What it counts.
        kind: Whether it can fall.
    """

    name: str
    unit: str
    description: str
    kind: Kind = Kind.COUNTER


class Duration(NamedTuple):
    """A histogram of seconds.

    Attributes:
        name: The name, as OpenTelemetry writes it.
        description: What it measures.
        buckets: The upper bounds of its buckets, in seconds.
    """

    name: str
    description: str
    buckets: tuple[float, ...]


SOURCES: Final = Sum("sse.client.sources", "{source}", "Sources that are being read.", Kind.GAUGE)
OPEN_CONNECTIONS: Final = Sum(
    "sse.client.open_connections", "{connection}", "Streams that are open.", Kind.GAUGE
)
START_TIME: Final = Sum(
    "sse.client.start_time",
    "s",
    "When this process began to read the stream, in seconds since 1970.",
    Kind.MOMENT,
)
ATTEMPTS: Final = Sum("sse.client.attempts", "{attempt}", "Tries at opening a connection.")
FAILURES: Final = Sum(
    "sse.client.failures", "{failure}", "Attempts that failed and connections that broke, by kind."
)
RECONNECTS: Final = Sum(
    "sse.client.reconnects", "{reconnect}", "Connections opened after a source's first one."
)
GIVE_UPS: Final = Sum("sse.client.give_ups", "{give_up}", "Sources whose policy stopped trying.")
EVENTS: Final = Sum("sse.client.events", "{event}", "Events dispatched.")
BYTES: Final = Sum("sse.client.io", "By", "Bytes of body received, after content decoding.")
COMMENTS: Final = Sum("sse.client.comments", "{comment}", "Comments, which are mostly heartbeats.")
GAPS: Final = Sum("sse.client.gaps", "{gap}", "Gaps: events that a server could not replay.")
CURSOR_STORE_FAILURES: Final = Sum(
    "sse.client.cursor_store_failures", "{failure}", "Loads and saves of a cursor that failed."
)
LEASES: Final = Sum("sse.client.leases", "{lease}", "Leases that are held.", Kind.GAUGE)
LEASE_GRANTS: Final = Sum("sse.client.lease.grants", "{grant}", "Leases that were granted.")
LEASE_LOSSES: Final = Sum(
    "sse.client.lease.losses", "{loss}", "Leases that were lost instead of given back."
)
GROUP_STREAMS: Final = Sum(
    "sse.client.group.streams", "{stream}", "Streams that a group's replicas know.", Kind.GAUGE
)
GROUP_REPLICAS: Final = Sum(
    "sse.client.group.replicas", "{replica}", "Replicas that a group has.", Kind.GAUGE
)
OF_LEASES: Final = (LEASES, LEASE_GRANTS, LEASE_LOSSES, GROUP_STREAMS, GROUP_REPLICAS)
"""The sums that are about leases and groups, and not about sources and their servers."""

SUMS: Final = (
    SOURCES,
    OPEN_CONNECTIONS,
    START_TIME,
    ATTEMPTS,
    FAILURES,
    RECONNECTS,
    GIVE_UPS,
    EVENTS,
    BYTES,
    COMMENTS,
    GAPS,
    CURSOR_STORE_FAILURES,
    *OF_LEASES,
)

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
TIME_TO_FIRST_EVENT: Final = Duration(
    "sse.client.time_to_first_event",
    "From the start of an attempt to the first event of its connection.",
    (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, _MINUTE, 5 * _MINUTE, _HOUR),
)
CONNECTION_DURATION: Final = Duration(
    "sse.client.connection.duration",
    "How long a connection was open, seen when it is over.",
    (1.0, 10.0, 30.0, _MINUTE, 5 * _MINUTE, 15 * _MINUTE, _HOUR, 6 * _HOUR, _DAY, 7 * _DAY),
)
OUTAGE_DURATION: Final = Duration(
    "sse.client.outage.duration",
    "From the first failure to the next progress, seen when the stream has recovered.",
    (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, _MINUTE, 5 * _MINUTE, 15 * _MINUTE, _HOUR, 6 * _HOUR),
)
DURATIONS: Final = (TIME_TO_FIRST_EVENT, CONNECTION_DURATION, OUTAGE_DURATION)


class Observation(NamedTuple):
    """A value for a histogram."""

    metric: Duration
    labels: Labels
    seconds: float


class SourceFigures:
    """Counts what one source does.

    Args:
        labels: What its figures are about.
        sums: Where to count.
        observe: Gets the values for histograms.
        clock: Tells the time in seconds.
    """

    def __init__(
        self,
        labels: Labels,
        sums: Counter[tuple[Sum, Labels]],
        observe: Callable[[Observation], object],
        clock: Callable[[], float],
    ) -> None:
        self._labels = labels
        self._sums = sums
        self._observe = observe
        self._clock = clock
        self._totals: ConnectionTotals | None = None
        self._was_connected = False
        self._attempt_at = self._connected_at = 0.0
        self._failure_is_counted = False
        self._first_event_is_seen = False
        self._outage_began: float | None = None
        for series in _series(labels):
            sums[series] += 0
        self._count(SOURCES)

    def connecting(self) -> None:
        """Count an attempt."""
        self._count(ATTEMPTS)
        self._attempt_at = self._clock()
        self._failure_is_counted = False

    def connected(self, totals: ConnectionTotals) -> None:
        """Count a connection; its totals grow from now on."""
        self._count(OPEN_CONNECTIONS)
        self._count(RECONNECTS, self._was_connected)
        self._was_connected = True
        self._connected_at = self._clock()
        self._totals = totals
        self._first_event_is_seen = False

    def add_open_connection(self, sums: Counter[tuple[Sum, Labels]]) -> None:
        """Add to a copy of the sums what an open connection has received so far."""
        self._see_events()
        if self._totals is not None:
            sums[EVENTS, self._labels] += self._totals.events
            sums[BYTES, self._labels] += self._totals.bytes

    def disconnected(self, event: Disconnected) -> None:
        """Count what a connection received that is over, and its failure if it has one."""
        self._see_events()
        self._totals = None
        self._count(OPEN_CONNECTIONS, -1)
        self._count(EVENTS, event.events)
        self._count(BYTES, event.bytes)
        self._add(CONNECTION_DURATION, event.seconds)
        if event.failure is not None:
            if event.failure.progress:  # no event, but a connection that held
                self._outage_ended(self._connected_at)
            self.failed(event.failure)

    def failed(self, failure: Failure) -> None:
        """Count a failure, once: two lifecycle events tell of the end of a connection."""
        if self._failure_is_counted:
            return
        self._failure_is_counted = True
        if self._outage_began is None or failure.attempt == 1:
            self._outage_began = self._clock() - failure.outage_seconds
        labels = self._labels._replace(error_type=str(failure.kind))
        if failure.status_code is not None:
            labels = labels._replace(status_code=failure.status_code)
        self._sums[FAILURES, labels] += 1

    def gave_up(self, failure: Failure) -> None:
        """Count the failure that was the last one."""
        self.failed(failure)
        self._count(GIVE_UPS)

    def closed(self) -> None:
        """Count the source no more."""
        self._count(SOURCES, -1)

    def _see_events(self) -> None:
        """Note when the first event came, and that the outage was over then if any was progress."""
        totals = self._totals
        seconds = None if totals is None else totals.first_event_seconds
        if totals is None or seconds is None:
            return
        if not self._first_event_is_seen:
            self._first_event_is_seen = True
            self._add(TIME_TO_FIRST_EVENT, seconds)
        if totals.progress:
            self._outage_ended(self._attempt_at + seconds)

    def _outage_ended(self, now: float) -> None:
        began, self._outage_began = self._outage_began, None
        if began is not None:
            self._add(OUTAGE_DURATION, now - began)

    def _count(self, metric: Sum, by: int = 1) -> None:
        self._sums[metric, self._labels] += by

    def _add(self, metric: Duration, seconds: float) -> None:
        self._observe(Observation(metric, self._labels, seconds))


def _series(labels: Labels) -> list[tuple[Sum, Labels]]:
    """List what begins at zero, so that a rate sees the first increment too."""
    apart_from = {FAILURES, START_TIME, *OF_LEASES}
    plain = [(metric, labels) for metric in SUMS if metric not in apart_from]
    # Which statuses will come cannot be known; a cursor store's failures are counted apart.
    apart = {FailureKind.STATUS, FailureKind.CURSOR}
    kinds = [kind for kind in FailureKind if kind not in apart]
    return plain + [(FAILURES, labels._replace(error_type=str(kind))) for kind in kinds]


# Lifecycle events that are only counted. A store may fail before the first attempt.
_TALLIES: Final[dict[type[LifecycleEvent], Sum]] = {
    Comment: COMMENTS,
    CursorStoreFailed: CURSOR_STORE_FAILURES,
    GapDetected: GAPS,
}


class Reading(NamedTuple):
    """The value of a sum."""

    metric: Sum
    labels: Labels
    value: int


class Counters:
    """Counts; hand it every lifecycle event.

    Args:
        observe: Gets every value for a histogram, at most a few per connection.
        clock: Tells the time in seconds.
        wall_clock: Tells it in seconds since 1970.
    """

    def __init__(
        self,
        observe: Callable[[Observation], object],
        clock: Callable[[], float] = monotonic,
        wall_clock: Callable[[], float] = time,
    ) -> None:
        self._observe = observe
        self._clock = clock
        self._wall_clock = wall_clock
        self._lock = threading.Lock()
        self._sums: Counter[tuple[Sum, Labels]] = Counter()
        self._sources: dict[int, SourceFigures] = {}
        self._observations: list[Observation] = []

    def read(self) -> list[Reading]:
        """Return every sum as it stands now, open connections included."""
        with self._lock:
            sums = self._sums.copy()
            for source in self._sources.values():
                source.add_open_connection(sums)
        self._hand_over()
        return [Reading(metric, labels, value) for (metric, labels), value in sums.items()]

    def see(self, event: LifecycleEvent, stream: str) -> None:
        """Count a lifecycle event of a source that reads the named stream."""
        with self._lock:
            if isinstance(event, SourceEvent):
                self._see(event, stream)
            elif isinstance(event, LeaseEvent):
                self._see_lease(event, stream)
        self._hand_over()

    def _see_lease(self, event: LeaseEvent, stream: str) -> None:
        labels = Labels(stream, "", 0, lease=event.group)
        for metric in (LEASES, LEASE_GRANTS, LEASE_LOSSES):  # a rate sees the first one, too
            self._sums[metric, labels] += 0
        match event:
            case LeaseGranted():
                self._sums[LEASES, labels] += 1
                self._sums[LEASE_GRANTS, labels] += 1
            case LeaseEnded():
                self._sums[LEASES, labels] -= 1
                self._sums[LEASE_LOSSES, labels] += event.reason == "lost"
            case GroupChanged():
                self._sums[GROUP_STREAMS, labels] = event.streams
                self._sums[GROUP_REPLICAS, labels] = event.replicas
            case _:  # a kind of a later version
                return

    def _see(self, event: SourceEvent, stream: str) -> None:
        if isinstance(event, Connecting):
            self._source_of(event, stream).connecting()
            return
        if (metric := _TALLIES.get(type(event))) is not None:
            self._sums[metric, labels_of(event.url, stream)] += 1
            return
        source = self._sources.get(event.source_id)
        if source is None:  # closed before its first attempt
            return
        match event:
            case Connected():
                source.connected(event.totals)
            case Disconnected():
                source.disconnected(event)
            case RetryScheduled():
                source.failed(event.failure)
            case GaveUp():
                source.gave_up(event.failure)
            case Closed():
                source.closed()
                del self._sources[event.source_id]
            case _:  # a kind of a later version
                return

    def _source_of(self, event: Connecting, stream: str) -> SourceFigures:
        source = self._sources.get(event.source_id)
        if source is None:
            labels = labels_of(event.url, stream)
            self._sums.setdefault((START_TIME, labels), int(self._wall_clock()))
            source = SourceFigures(labels, self._sums, self._keep, self._clock)
            self._sources[event.source_id] = source
        return source

    def _keep(self, observation: Observation) -> None:
        self._observations.append(observation)

    def _hand_over(self) -> None:
        """Give the new values to the histograms, outside the lock, for they have their own."""
        observations, self._observations = self._observations, []
        for observation in observations:
            self._observe(observation)
