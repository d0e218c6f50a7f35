"""The figures: what the sources of this process did, counted from lifecycle events.

Neither OpenTelemetry nor Prometheus is known here. Nothing is called for an event of the stream:
what an open connection has received stands in its totals, and `Figures.read` adds it up.

Lifecycle events may come from one thread while another one reads, so there is a lock; nothing
that could wait is done under it.
"""

from __future__ import annotations

import threading
from collections import Counter
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from resilient_sse._failure import FailureKind
from resilient_sse.instrumentation import _metrics
from resilient_sse.lifecycle import (
    Closed,
    Comment,
    Connected,
    Connecting,
    CursorStoreFailed,
    Disconnected,
    GapDetected,
    GaveUp,
    LifecycleEvent,
    RetryScheduled,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_sse._failure import Failure
    from resilient_sse.instrumentation._metrics import Duration, Sum
    from resilient_sse.lifecycle import ConnectionTotals

__all__ = ["Figures", "Labels", "Observation", "Reading", "labels_of"]

# Lifecycle events that are only counted. A store may fail before the first attempt.
_TALLIES: Final[dict[type[LifecycleEvent], Sum]] = {
    Comment: _metrics.COMMENTS,
    CursorStoreFailed: _metrics.CURSOR_STORE_FAILURES,
    GapDetected: _metrics.GAPS,
}
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Labels(NamedTuple):
    """What a figure is about; every part has few values.

    Attributes:
        stream: The name that the program gave the stream ("" for none).
        server_address: The server's host.
        server_port: The server's port.
        error_type: The kind of a failure ("" if the figure is not about failures).
        status_code: The HTTP status of a failure of that kind (0 for none).
    """

    stream: str
    server_address: str
    server_port: int
    error_type: str = ""
    status_code: int = 0


class Reading(NamedTuple):
    """The value of a sum."""

    metric: Sum
    labels: Labels
    value: int


class Observation(NamedTuple):
    """A value for a histogram."""

    metric: Duration
    labels: Labels
    seconds: float


class _Source:
    """What has to be remembered about one source between its lifecycle events."""

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.totals: ConnectionTotals | None = None
        self.was_connected = False
        self.attempt_at = self.connected_at = 0.0
        self.failure_is_counted = False
        self.first_event_is_seen = False
        self.outage_began: float | None = None


class Figures:
    """Counts; hand it every lifecycle event.

    Args:
        observe: Gets every value for a histogram, at most a few per connection.
        clock: Tells the time in seconds.
    """

    def __init__(
        self, observe: Callable[[Observation], object], clock: Callable[[], float] = monotonic
    ) -> None:
        self._observe = observe
        self._clock = clock
        self._lock = threading.Lock()
        self._sums: Counter[tuple[Sum, Labels]] = Counter()
        self._sources: dict[int, _Source] = {}
        self._observations: list[Observation] = []

    def read(self) -> list[Reading]:
        """Return every sum as it stands now, open connections included."""
        with self._lock:
            sums = self._sums.copy()
            for source in self._sources.values():
                self._see_first_event(source)
                if source.totals is not None:
                    sums[_metrics.EVENTS, source.labels] += source.totals.events
                    sums[_metrics.BYTES, source.labels] += source.totals.bytes
        self._hand_over()
        return [Reading(metric, labels, value) for (metric, labels), value in sums.items()]

    def see(self, event: LifecycleEvent, stream: str) -> None:
        """Count a lifecycle event of a source that reads the named stream."""
        with self._lock:
            self._see(event, stream)
        self._hand_over()

    def _see(self, event: LifecycleEvent, stream: str) -> None:
        if isinstance(event, Connecting):
            self._connecting(self._source_of(event, stream))
            return
        if (metric := _TALLIES.get(type(event))) is not None:
            self._sums[metric, labels_of(event.url, stream)] += 1
            return
        source = self._sources.get(event.source_id)
        if source is None:  # closed before its first attempt
            return
        match event:
            case Connected():
                self._connected(source, event.totals)
            case Disconnected():
                self._disconnected(source, event)
            case RetryScheduled():
                self._failed(source, event.failure)
            case GaveUp():
                self._gave_up(source, event.failure)
            case Closed():
                self._sums[_metrics.SOURCES, source.labels] -= 1
                del self._sources[event.source_id]
            case _:  # a kind of a later version
                return

    def _hand_over(self) -> None:
        """Give the new values to the histograms, outside the lock, for they have their own."""
        observations, self._observations = self._observations, []
        for observation in observations:
            self._observe(observation)

    # -- What happens to a source --------------------------------------------------------------

    def _source_of(self, event: Connecting, stream: str) -> _Source:
        source = self._sources.get(event.source_id)
        if source is None:
            source = self._sources[event.source_id] = _Source(labels_of(event.url, stream))
            for series in _series(source.labels):
                self._sums[series] += 0
            self._sums[_metrics.SOURCES, source.labels] += 1
        return source

    def _connecting(self, source: _Source) -> None:
        self._sums[_metrics.ATTEMPTS, source.labels] += 1
        source.attempt_at = self._clock()
        source.failure_is_counted = False

    def _connected(self, source: _Source, totals: ConnectionTotals) -> None:
        self._sums[_metrics.OPEN_CONNECTIONS, source.labels] += 1
        self._sums[_metrics.RECONNECTS, source.labels] += source.was_connected
        source.was_connected = True
        source.connected_at = self._clock()
        source.totals = totals
        source.first_event_is_seen = False

    def _disconnected(self, source: _Source, event: Disconnected) -> None:
        self._see_first_event(source)
        source.totals = None
        self._sums[_metrics.OPEN_CONNECTIONS, source.labels] -= 1
        self._sums[_metrics.EVENTS, source.labels] += event.events
        self._sums[_metrics.BYTES, source.labels] += event.bytes
        self._add(_metrics.CONNECTION_DURATION, source, event.seconds)
        if event.failure is not None:
            if event.failure.progress:  # no event, but a connection that held
                self._outage_ended(source, source.connected_at)
            self._failed(source, event.failure)

    def _see_first_event(self, source: _Source) -> None:
        seconds = None if source.totals is None else source.totals.first_event_seconds
        if source.first_event_is_seen or seconds is None:
            return
        source.first_event_is_seen = True
        self._add(_metrics.TIME_TO_FIRST_EVENT, source, seconds)
        self._outage_ended(source, source.attempt_at + seconds)

    def _failed(self, source: _Source, failure: Failure) -> None:
        """Count a failure, once: two lifecycle events tell of the end of a connection."""
        if source.failure_is_counted:
            return
        source.failure_is_counted = True
        if source.outage_began is None or failure.attempt == 1:
            source.outage_began = self._clock() - failure.outage_seconds
        labels = source.labels._replace(error_type=str(failure.kind))
        if failure.status_code is not None:
            labels = labels._replace(status_code=failure.status_code)
        self._sums[_metrics.FAILURES, labels] += 1

    def _gave_up(self, source: _Source, failure: Failure) -> None:
        self._failed(source, failure)
        self._sums[_metrics.GIVE_UPS, source.labels] += 1

    def _outage_ended(self, source: _Source, now: float) -> None:
        began, source.outage_began = source.outage_began, None
        if began is not None:
            self._add(_metrics.OUTAGE_DURATION, source, now - began)

    def _add(self, metric: Duration, source: _Source, seconds: float) -> None:
        self._observations.append(Observation(metric, source.labels, seconds))


def labels_of(url: str, stream: str) -> Labels:
    """Return the labels of a source that reads the named stream from a redacted URL."""
    parts = urlsplit(url)
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    return Labels(stream, parts.hostname or "", port)


def _series(labels: Labels) -> list[tuple[Sum, Labels]]:
    """List what begins at zero, so that a rate sees the first increment too."""
    plain = [(metric, labels) for metric in _metrics.SUMS if metric is not _metrics.FAILURES]
    # Which statuses will come cannot be known; a cursor store's failures are counted apart.
    apart = {FailureKind.STATUS, FailureKind.CURSOR}
    kinds = [kind for kind in FailureKind if kind not in apart]
    return plain + [(_metrics.FAILURES, labels._replace(error_type=str(kind))) for kind in kinds]
