"""Hooks that report to structlog, OpenTelemetry and Prometheus.

Each of them is an ordinary hook: pass it in a source's ``hooks``. A library is imported only when
its hook is made.
"""

from resilient_sse.instrumentation._structlog import StructlogHook

__all__ = ["StructlogHook"]
