"""Hooks that report to structlog, OpenTelemetry and Prometheus.

Each of them is an ordinary hook: pass it in a source's ``hooks``. A library is imported only when
its hook is made. None of them is called for an event of the stream: they read the open
connections' totals when somebody asks for the figures.
"""

from resilient_sse.instrumentation._opentelemetry import OpenTelemetryHook
from resilient_sse.instrumentation._prometheus import PrometheusHook
from resilient_sse.instrumentation._structlog import StructlogHook

__all__ = ["OpenTelemetryHook", "PrometheusHook", "StructlogHook"]
