"""What one source did, and what has to be remembered of it between its lifecycle events."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from resilient_sse._failure import FailureKind
from resilient_sse.instrumentation import _metrics

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from resilient_sse._failure import Failure
    from resilient_sse.instrumentation._labels import Labels
    from resilient_sse.instrumentation._metrics import Duration, Sum
    from resilient_sse.lifecycle import ConnectionTotals, Disconnected

__all__ = ["Observation", "SourceFigures"]


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
        self._count(_metrics.SOURCES)

    def connecting(self) -> None:
        """Count an attempt."""
        self._count(_metrics.ATTEMPTS)
        self._attempt_at = self._clock()
        self._failure_is_counted = False

    def connected(self, totals: ConnectionTotals) -> None:
        """Count a connection; its totals grow from now on."""
        self._count(_metrics.OPEN_CONNECTIONS)
        self._count(_metrics.RECONNECTS, self._was_connected)
        self._was_connected = True
        self._connected_at = self._clock()
        self._totals = totals
        self._first_event_is_seen = False

    def add_open_connection(self, sums: Counter[tuple[Sum, Labels]]) -> None:
        """Add to a copy of the sums what an open connection has received so far."""
        self._see_first_event()
        if self._totals is not None:
            sums[_metrics.EVENTS, self._labels] += self._totals.events
            sums[_metrics.BYTES, self._labels] += self._totals.bytes

    def disconnected(self, event: Disconnected) -> None:
        """Count what a connection received that is over, and its failure if it has one."""
        self._see_first_event()
        self._totals = None
        self._count(_metrics.OPEN_CONNECTIONS, -1)
        self._count(_metrics.EVENTS, event.events)
        self._count(_metrics.BYTES, event.bytes)
        self._add(_metrics.CONNECTION_DURATION, event.seconds)
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
        self._sums[_metrics.FAILURES, labels] += 1

    def gave_up(self, failure: Failure) -> None:
        """Count the failure that was the last one."""
        self.failed(failure)
        self._count(_metrics.GIVE_UPS)

    def closed(self) -> None:
        """Count the source no more."""
        self._count(_metrics.SOURCES, -1)

    def _see_first_event(self) -> None:
        seconds = None if self._totals is None else self._totals.first_event_seconds
        if self._first_event_is_seen or seconds is None:
            return
        self._first_event_is_seen = True
        self._add(_metrics.TIME_TO_FIRST_EVENT, seconds)
        self._outage_ended(self._attempt_at + seconds)

    def _outage_ended(self, now: float) -> None:
        began, self._outage_began = self._outage_began, None
        if began is not None:
            self._add(_metrics.OUTAGE_DURATION, now - began)

    def _count(self, metric: Sum, by: int = 1) -> None:
        self._sums[metric, self._labels] += by

    def _add(self, metric: Duration, seconds: float) -> None:
        self._observe(Observation(metric, self._labels, seconds))


def _series(labels: Labels) -> list[tuple[Sum, Labels]]:
    """List what begins at zero, so that a rate sees the first increment too."""
    plain = [(metric, labels) for metric in _metrics.SUMS if metric is not _metrics.FAILURES]
    # Which statuses will come cannot be known; a cursor store's failures are counted apart.
    apart = {FailureKind.STATUS, FailureKind.CURSOR}
    kinds = [kind for kind in FailureKind if kind not in apart]
    return plain + [(_metrics.FAILURES, labels._replace(error_type=str(kind))) for kind in kinds]
