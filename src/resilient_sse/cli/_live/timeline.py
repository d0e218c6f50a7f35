"""A bar that shows what a source was doing, and when."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from rich.text import Text

from resilient_sse.lifecycle import ConnectionState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from resilient_sse.cli._live.monitor import Monitor

__all__ = ["bar", "legend", "mark"]

# In a cell the worst of what happened in its time is shown.
_STYLES_WORST_FIRST: Final = {
    ConnectionState.WAITING: ("░", "-", "red"),
    ConnectionState.CONNECTING: ("▒", "+", "yellow"),
    ConnectionState.CLOSED: ("·", ".", "dim"),
    ConnectionState.OPEN: ("█", "#", "green"),
}


def mark(state: ConnectionState) -> tuple[str, str]:
    """Return what stands for a state on stdout, and its style; no colour is needed to tell."""
    character, plain, style = _STYLES_WORST_FIRST[state]
    # Python's own names of encodings are in lower case; what the environment says may not be.
    return character if sys.stdout.encoding.lower().startswith("utf") else plain, style


def legend() -> Text:
    """Explain the marks of what a source does until it is closed."""
    text = Text()
    for state in (ConnectionState.OPEN, ConnectionState.CONNECTING, ConnectionState.WAITING):
        text.append("  ").append(*mark(state)).append(f" {state}", "dim")
    return text


def bar(monitor: Monitor, width: int, begin: float, end: float) -> Text:
    """Draw some seconds as a bar of cells.

    Args:
        monitor: What happened.
        width: The number of cells.
        begin: The time at the left, by the monitor's clock.
        end: The time at the right.
    """
    text = Text()
    cell = (end - begin) / width
    for number in range(width):
        start = begin + number * cell
        states = set(_states_between(monitor, start, min(end, start + cell)))
        worst = next((state for state in _STYLES_WORST_FIRST if state in states), None)
        text.append(*(" ", "") if worst is None else mark(worst))
    return text


def _states_between(monitor: Monitor, start: float, end: float) -> Iterator[ConnectionState]:
    phases = list(monitor.phases)
    ends = [phase.began for phase in phases[1:]] + [monitor.clock()]
    for phase, over in zip(phases, ends, strict=True):
        if phase.began < end and over > start:
            yield phase.state
