"""The pytest plug-in under the name that it is known by; pytest loads `resilient_sse_pytest`."""

from __future__ import annotations

from resilient_sse_pytest import ServerFactory, sse_history, sse_recorder, sse_server

__all__ = ["ServerFactory", "sse_history", "sse_recorder", "sse_server"]
