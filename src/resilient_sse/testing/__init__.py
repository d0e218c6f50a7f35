"""The test kit: servers that misbehave on cue, hooks that record, policies that do not wait.

This library tests itself with the kit. Nothing in it knows the clients, so it serves to test any
SSE client.

The names are imported when they are first used: pytest loads the plug-in of this package early,
and importing more than that would cost time and hide the library from coverage.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resilient_sse.testing._faults import (
        endless_headers,
        half_status_line,
        no_answer,
        redirect,
        refused,
    )
    from resilient_sse.testing._history import HistoryServer
    from resilient_sse.testing._lease_checks import lease_checks
    from resilient_sse.testing._lease_engine import MemoryLeaseEngine, MemoryLeases
    from resilient_sse.testing._recorder import Recorder
    from resilient_sse.testing._request import RecordedRequest
    from resilient_sse.testing._retries import InstantRetries
    from resilient_sse.testing._script import Connection, Ending, Framing, ScriptEntry
    from resilient_sse.testing._server import ScriptedServer
    from resilient_sse.testing._steps import (
        Gate,
        Step,
        comment,
        event,
        forever,
        pause,
        raw,
        retry,
    )
    from resilient_sse.testing._transport import ScriptedTransport

__all__ = [
    "Connection",
    "Ending",
    "Framing",
    "Gate",
    "HistoryServer",
    "InstantRetries",
    "MemoryLeaseEngine",
    "MemoryLeases",
    "RecordedRequest",
    "Recorder",
    "ScriptEntry",
    "ScriptedServer",
    "ScriptedTransport",
    "Step",
    "comment",
    "endless_headers",
    "event",
    "forever",
    "half_status_line",
    "lease_checks",
    "no_answer",
    "pause",
    "raw",
    "redirect",
    "refused",
    "retry",
]

_HOMES = {
    "_faults": {"endless_headers", "half_status_line", "no_answer", "redirect", "refused"},
    "_history": {"HistoryServer"},
    "_lease_checks": {"lease_checks"},
    "_lease_engine": {"MemoryLeaseEngine", "MemoryLeases"},
    "_recorder": {"Recorder"},
    "_request": {"RecordedRequest"},
    "_retries": {"InstantRetries"},
    "_script": {"Connection", "Ending", "Framing", "ScriptEntry"},
    "_server": {"ScriptedServer"},
    "_steps": {"Gate", "Step", "comment", "event", "forever", "pause", "raw", "retry"},
    "_transport": {"ScriptedTransport"},
}


if not TYPE_CHECKING:  # which would take this for any name

    def __getattr__(name: str) -> object:
        for home, names in _HOMES.items():
            if name in names:
                return getattr(import_module(f"{__name__}.{home}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
