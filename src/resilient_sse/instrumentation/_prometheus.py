"""Lifecycle events as Prometheus metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resilient_sse.instrumentation._missing import missing

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from resilient_sse.lifecycle import LifecycleEvent

__all__ = ["PrometheusHook"]


class PrometheusHook:
    """Makes Prometheus metrics of what sources do; needs the extra ``prometheus``.

    Gauges: ``sse_client_sources`` (being read), ``sse_client_open_connections``.

    Counters: ``sse_client_attempts_total``, ``sse_client_failures_total`` (with ``error_type``, a
    `FailureKind`, and ``http_response_status_code``), ``sse_client_reconnects_total``,
    ``sse_client_give_ups_total``, ``sse_client_events_total``, ``sse_client_io_bytes_total``,
    ``sse_client_comments_total``, ``sse_client_gaps_total``,
    ``sse_client_cursor_store_failures_total``.

    Histograms, in seconds: ``sse_client_time_to_first_event_seconds``,
    ``sse_client_connection_duration_seconds``, ``sse_client_outage_duration_seconds``.

    All have the labels ``sse_stream``, ``server_address`` and ``server_port``. Events and bytes
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
            from resilient_sse.instrumentation._collector import collector_of  # noqa: PLC0415 - it imports the library
        except ImportError as error:
            raise missing("PrometheusHook", "prometheus", error) from error
        self._figures = collector_of(registry).figures
        self._stream = stream

    def __call__(self, event: LifecycleEvent) -> None:
        """Count one lifecycle event."""
        self._figures.see(event, self._stream)
