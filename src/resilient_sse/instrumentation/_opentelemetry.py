"""Lifecycle events as OpenTelemetry metrics and traces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resilient_sse.instrumentation._missing import missing

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from resilient_sse.lifecycle import LifecycleEvent

__all__ = ["OpenTelemetryHook"]


class OpenTelemetryHook:
    """Makes OpenTelemetry metrics and spans of what sources do; needs the extra ``opentelemetry``.

    Up-down counters: ``sse.client.sources`` (being read), ``sse.client.open_connections``.

    Counters: ``sse.client.attempts``, ``sse.client.failures`` (with ``error.type``, a
    `FailureKind`, and ``http.response.status_code``), ``sse.client.reconnects``,
    ``sse.client.give_ups``, ``sse.client.events``, ``sse.client.io`` (bytes),
    ``sse.client.comments``, ``sse.client.gaps``, ``sse.client.cursor_store_failures``.

    Histograms, in seconds: ``sse.client.time_to_first_event``,
    ``sse.client.connection.duration``, ``sse.client.outage.duration``.

    All have the attributes ``server.address``, ``server.port`` and, if given, ``sse.stream``. The
    counters are observable: events and bytes of open connections are read when the metrics are
    collected; no event costs anything. Hooks of one meter provider share the instruments.

    A span ``sse.source`` lasts as long as the source. Every attempt has a span ``sse.connection``
    in a trace of its own, linked to that of the source, from the start of the attempt to the end
    of its connection; a source lives for weeks, and a trace should not. Its attributes are
    ``url.full`` (redacted), ``http.response.status_code``, ``sse.attempt``, ``sse.resumed``
    (whether there was a cursor), ``sse.events``, ``sse.bytes``, ``error.type`` and
    ``sse.retry.delay`` (the wait that follows, in seconds).

    Args:
        stream: A name for what these sources read, to tell streams of one server apart.
        tracer_provider: Where spans go; by default the global one.
        meter_provider: Where metrics go; by default the global one.

    Raises:
        ImportError: If opentelemetry-api is not installed.
    """

    def __init__(
        self,
        stream: str = "",
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        try:
            from resilient_sse.instrumentation._meters import meters_of  # noqa: PLC0415 - it imports the library
            from resilient_sse.instrumentation._spans import Spans  # noqa: PLC0415 - the same
        except ImportError as error:
            raise missing("OpenTelemetryHook", "opentelemetry", error) from error
        self._figures = meters_of(meter_provider).figures
        self._spans = Spans(stream, tracer_provider)
        self._stream = stream

    def __call__(self, event: LifecycleEvent) -> None:
        """Count one lifecycle event and put it into its span."""
        self._figures.see(event, self._stream)
        self._spans.see(event)
