"""The order of lifecycle events, as `resilient_sse.lifecycle` states it, as a state machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resilient_sse import LifecycleEvent

# What may follow each lifecycle event; "" is the beginning.
_FOLLOWERS: Final[dict[str, set[str]]] = {
    "": {"Connecting", "Closed"},
    "Connecting": {
        "Connected",
        "RetryScheduled",
        "GapDetected",
        "GaveUp",
        "Closed",
        "Connecting",
    },
    "Connected": {"Comment", "GapDetected", "Disconnected"},
    "Comment": {"Comment", "GapDetected", "Disconnected"},
    "GapDetected": {"Comment", "GapDetected", "Disconnected", "RetryScheduled", "GaveUp"},
    "Disconnected": {"RetryScheduled", "GaveUp", "Closed", "Connecting"},
    # A function that puts a gap right may fail without an attempt.
    "RetryScheduled": {"Connecting", "Closed", "RetryScheduled", "GaveUp"},
    "GaveUp": {"Closed"},
    "Closed": set(),
}


def assert_order(events: Sequence[LifecycleEvent]) -> None:
    """Check that these lifecycle events of one source came in the documented order."""
    before = ""
    names = [type(event).__name__ for event in events]
    # A cursor store fails on its own, at any time before the end.
    assert "CursorStoreFailed" not in names[-1:] or "Closed" not in names
    for name in names:
        if name == "CursorStoreFailed":
            continue
        assert name in _FOLLOWERS[before], f"{name} after {before or 'nothing'}: {events}"
        before = name
    assert len({event.source_id for event in events}) <= 1
