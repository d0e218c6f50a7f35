"""The Prometheus collector: one for each registry, however many hooks there are."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from prometheus_client import REGISTRY, CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from resilient_sse.instrumentation import _metrics
from resilient_sse.instrumentation._figures import Figures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

    from resilient_sse.instrumentation._labels import Labels
    from resilient_sse.instrumentation._metrics import Duration, Sum
    from resilient_sse.instrumentation._source_figures import Observation

__all__ = ["collector_of"]

_LABELS: Final = ("sse_stream", "server_address", "server_port")
_FAILURE_LABELS: Final = (*_LABELS, "error_type", "http_response_status_code")


class SourcesCollector(Collector):
    """Reads the figures when Prometheus scrapes."""

    def __init__(self) -> None:
        self.figures = Figures(self._observe)
        self._histograms = {metric: _histogram(metric) for metric in _metrics.DURATIONS}

    def _observe(self, observation: Observation) -> None:
        histogram = self._histograms[observation.metric]
        values = _values(_metrics.EVENTS, observation.labels)
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
            if metric is _metrics.SOURCES:
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
    return {metric: _family(metric) for metric in _metrics.SUMS}


def _family(metric: Sum) -> CounterMetricFamily | GaugeMetricFamily:
    labels = _FAILURE_LABELS if metric is _metrics.FAILURES else _LABELS
    name = metric.name.replace(".", "_")
    if metric.kind is _metrics.Kind.GAUGE:
        return GaugeMetricFamily(name, metric.description, labels=labels)
    unit = "bytes" if metric.unit == "By" else ""
    return CounterMetricFamily(name, metric.description, labels=labels, unit=unit)


def _histogram(metric: Duration) -> Histogram:
    name = metric.name.replace(".", "_")
    return Histogram(
        f"{name}_seconds", metric.description, _LABELS, buckets=metric.buckets, registry=None
    )


def _values(metric: Sum, labels: Labels) -> list[str]:
    common = [labels.stream, labels.server_address, str(labels.server_port)]
    if metric is not _metrics.FAILURES:
        return common
    return [*common, labels.error_type, str(labels.status_code or "")]


_collectors: Final[WeakKeyDictionary[CollectorRegistry, SourcesCollector]] = WeakKeyDictionary()
_making: Final = threading.Lock()


def collector_of(registry: CollectorRegistry | None) -> SourcesCollector:
    """Return the registry's collector, registering it the first time."""
    registry = REGISTRY if registry is None else registry
    with _making:
        collector = _collectors.get(registry)
        if collector is None:
            collector = SourcesCollector()
            registry.register(collector)
            _collectors[registry] = collector
        return collector
