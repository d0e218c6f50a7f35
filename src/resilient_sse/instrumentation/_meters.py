"""The OpenTelemetry instruments: one set for each meter provider, however many hooks there are.

Two sets would not add up: of two observable instruments of one name, the SDK asks only the first.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from opentelemetry import metrics
from opentelemetry.metrics import Observation

from resilient_sse.instrumentation import _metrics
from resilient_sse.instrumentation._attributes import attributes_of
from resilient_sse.instrumentation._figures import Figures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.metrics import CallbackOptions, Histogram, Meter, MeterProvider

    from resilient_sse.instrumentation import _source_figures
    from resilient_sse.instrumentation._metrics import Duration, Sum

__all__ = ["meters_of"]


class Meters:
    """Reads the figures when metrics are collected.

    Args:
        meter: Makes the instruments.
    """

    def __init__(self, meter: Meter) -> None:
        self.figures = Figures(self._observe)
        self._histograms = {metric: _histogram(meter, metric) for metric in _metrics.DURATIONS}
        for metric in _metrics.SUMS:
            reading = metric.name, [self._reader(metric)], metric.unit, metric.description
            if metric.kind is _metrics.Kind.GAUGE:
                meter.create_observable_up_down_counter(*reading)
            else:
                meter.create_observable_counter(*reading)

    def _observe(self, observation: _source_figures.Observation) -> None:
        histogram = self._histograms[observation.metric]
        histogram.record(observation.seconds, attributes_of(observation.labels))

    def _reader(self, metric: Sum) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def read(_options: CallbackOptions) -> Iterable[Observation]:
            readings = [reading for reading in self.figures.read() if reading.metric is metric]
            return [Observation(value, attributes_of(labels)) for _, labels, value in readings]

        return read


def _histogram(meter: Meter, metric: Duration) -> Histogram:
    return meter.create_histogram(
        metric.name,
        "s",
        metric.description,
        explicit_bucket_boundaries_advisory=metric.buckets,
    )


_meters: Final[WeakKeyDictionary[object, Meters]] = WeakKeyDictionary()
_making: Final = threading.Lock()


def meters_of(provider: MeterProvider | None) -> Meters:
    """Return the instruments of a meter provider, making them the first time.

    The global provider goes by the name of the API's module: a program may set it after it has
    made its first hook.
    """
    home: object = metrics
    get_meter: Callable[[str], Meter] = metrics.get_meter
    if provider is not None and provider is not metrics.get_meter_provider():
        home, get_meter = provider, provider.get_meter
    with _making:
        meters = _meters.get(home)
        if meters is None:
            meters = _meters[home] = Meters(get_meter(_metrics.SCOPE))
        return meters
