"""Lifecycle events as Prometheus metrics.

The hook hands them to the collector of its registry: one for each registry, however many hooks
there are. The library is imported where it is used, so not before the first hook is made.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, cast
from weakref import WeakKeyDictionary

from resilient_sse.instrumentation import _figures
from resilient_sse.instrumentation._figures import Counters, missing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import CollectorRegistry, Histogram
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
    from prometheus_client.registry import Collector

    from resilient_sse.instrumentation._figures import Duration, Labels, Observation, Sum
    from resilient_sse.lifecycle import LifecycleEvent

__all__ = ["PrometheusHook"]

_LABELS: Final = ("sse_stream", "server_address", "server_port")
_LEASE_LABELS: Final = ("sse_stream", "sse_lease")
_UNITS: Final = {"By": "bytes", "s": "seconds"}  # counts have none
_FAILURE_LABELS: Final = (*_LABELS, "error_type", "http_response_status_code")


class PrometheusHook:
    """Makes Prometheus metrics of what sources do; needs the extra ``prometheus``.

    Gauges: ``sse_client_sources`` (being read), ``sse_client_open_connections``,
    ``sse_client_start_time_seconds`` (when this process began to read the stream).

    Counters: ``sse_client_attempts_total``, ``sse_client_failures_total`` (with ``error_type``, a
    `FailureKind`, and ``http_response_status_code``), ``sse_client_reconnects_total``,
    ``sse_client_give_ups_total``, ``sse_client_events_total``, ``sse_client_io_bytes_total``,
    ``sse_client_comments_total``, ``sse_client_gaps_total``,
    ``sse_client_cursor_store_failures_total``.

    Histograms, in seconds: ``sse_client_time_to_first_event_seconds``,
    ``sse_client_connection_duration_seconds``, ``sse_client_outage_duration_seconds``.

    All these have the labels ``sse_stream``, ``server_address`` and ``server_port``.

    Of leases and groups, with the labels ``sse_stream`` and ``sse_lease``, the name of the group or
    of a lease that is alone: the gauges ``sse_client_leases`` (held),
    ``sse_client_group_streams`` and ``sse_client_group_replicas``, and the counters
    ``sse_client_lease_grants_total`` and ``sse_client_lease_losses_total``.

    Events and bytes
    of open connections are read when Prometheus scrapes; no event costs anything. Hooks of one
    registry share the metrics, so make one hook for each stream or one for all of them.

    Args:
        stream: A name for what these sources read, to tell streams of one server apart.
        registry: The registry; by default prometheus_client's own.

    Raises:
        ImportError: If prometheus_client is not installed.
    """

    def __init__(self, stream: str = "", *, registry: CollectorRegistry | None = None) -> None:
        try:
            self._figures = collector_of(registry).figures
        except ImportError as error:
            raise missing("PrometheusHook", "prometheus", error) from error
        self._stream = stream

    def __call__(self, event: LifecycleEvent) -> None:
        """Count one lifecycle event."""
        self._figures.see(event, self._stream)


class SourcesCollector:
    """Reads the figures when Prometheus scrapes: a `Collector`, whose class adds nothing."""

    def __init__(self) -> None:
        self.figures = Counters(self._observe)
        self._histograms = {metric: _histogram(metric) for metric in _figures.DURATIONS}

    def _observe(self, observation: Observation) -> None:
        histogram = self._histograms[observation.metric]
        values = _values(_figures.EVENTS, observation.labels)
        histogram.labels(*values).observe(observation.seconds)

    def _begin(self, values: list[str]) -> None:
        """Have a server's histograms begin at zero, so that a rate sees the first value too."""
        for histogram in self._histograms.values():
            histogram.labels(*values)

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        families = _families()
        for metric, labels, value in self.figures.read():
            families[metric].add_metric(_values(metric, labels), value)
            if metric is _figures.SOURCES:
                self._begin(_values(metric, labels))
        yield from families.values()
        for histogram in self._histograms.values():
            yield from histogram.collect()

    def describe(self) -> Iterator[Metric]:
        """Yield every metric without values, so that a registry can tell a name used twice."""
        yield from _families().values()
        for histogram in self._histograms.values():
            yield from histogram.describe()


def _families() -> dict[Sum, CounterMetricFamily | GaugeMetricFamily]:
    return {metric: _family(metric) for metric in _figures.SUMS}


def _family(metric: Sum) -> CounterMetricFamily | GaugeMetricFamily:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    labels = _names(metric)
    name = metric.name.replace(".", "_")
    unit = _UNITS.get(metric.unit, "")
    if metric.kind is _figures.Kind.COUNTER:
        return CounterMetricFamily(name, metric.description, labels=labels, unit=unit)
    return GaugeMetricFamily(name, metric.description, labels=labels, unit=unit)


def _histogram(metric: Duration) -> Histogram:
    from prometheus_client import Histogram

    name = metric.name.replace(".", "_")
    return Histogram(
        f"{name}_seconds", metric.description, _LABELS, buckets=metric.buckets, registry=None
    )


def _names(metric: Sum) -> tuple[str, ...]:
    if metric in _figures.OF_LEASES:
        return _LEASE_LABELS
    return _FAILURE_LABELS if metric is _figures.FAILURES else _LABELS


def _values(metric: Sum, labels: Labels) -> list[str]:
    if metric in _figures.OF_LEASES:
        return [labels.stream, labels.lease]
    common = [labels.stream, labels.server_address, str(labels.server_port)]
    if metric is not _figures.FAILURES:
        return common
    return [*common, labels.error_type, str(labels.status_code or "")]


_collectors: Final[WeakKeyDictionary[CollectorRegistry, SourcesCollector]] = WeakKeyDictionary()
_making: Final = threading.Lock()


def collector_of(registry: CollectorRegistry | None) -> SourcesCollector:
    """Return the registry's collector, registering it the first time."""
    from prometheus_client import REGISTRY

    registry = REGISTRY if registry is None else registry
    with _making:
        collector = _collectors.get(registry)
        if collector is None:
            collector = SourcesCollector()
            registry.register(cast("Collector", collector))
            _collectors[registry] = collector
        return collector
