"""Hooks that report to structlog, OpenTelemetry and Prometheus.

Each of them is an ordinary hook: pass it in a source's ``hooks``. A library is imported only when
its hook is made. None of them is called for an event of the stream: the hooks for metrics read the
totals of the open connections when the metrics are collected.
"""

from resilient_sse.instrumentation._opentelemetry import OpenTelemetryHook
from resilient_sse.instrumentation._prometheus import PrometheusHook
from resilient_sse.instrumentation._structlog import StructlogHook

__all__ = ["OpenTelemetryHook", "PrometheusHook", "StructlogHook"]
