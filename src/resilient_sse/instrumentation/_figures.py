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

from resilient_sse.instrumentation import _metrics
from resilient_sse.instrumentation._labels import Labels, labels_of
from resilient_sse.instrumentation._source_figures import Observation, SourceFigures
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

    from resilient_sse.instrumentation._metrics import Sum

__all__ = ["Figures", "Reading"]

# Lifecycle events that are only counted. A store may fail before the first attempt.
_TALLIES: Final[dict[type[LifecycleEvent], Sum]] = {
    Comment: _metrics.COMMENTS,
    CursorStoreFailed: _metrics.CURSOR_STORE_FAILURES,
    GapDetected: _metrics.GAPS,
}


class Reading(NamedTuple):
    """The value of a sum."""

    metric: Sum
    labels: Labels
    value: int


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
            self._see(event, stream)
        self._hand_over()

    def _see(self, event: LifecycleEvent, stream: str) -> None:
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
