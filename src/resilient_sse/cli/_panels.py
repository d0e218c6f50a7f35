"""What ``watch`` shows, made of what its monitor knows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.panel import Panel
from rich.text import Text

from resilient_sse.cli._outcome import printable
from resilient_sse.lifecycle import ConnectionState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from resilient_sse._event import ServerSentEvent
    from resilient_sse.cli._monitor import Monitor

__all__ = ["View", "bar", "for_people"]

_STYLES: Final = {
    ConnectionState.OPEN: ("█", "green"),
    ConnectionState.CONNECTING: ("▒", "yellow"),
    ConnectionState.WAITING: ("░", "red"),
    ConnectionState.CLOSED: ("·", "dim"),
}
# In a cell of the timeline the worst of what happened in its time is shown.
_WORST_FIRST: Final = (
    ConnectionState.WAITING,
    ConnectionState.CONNECTING,
    ConnectionState.CLOSED,
    ConnectionState.OPEN,
)
_LONGEST_SECONDS: Final = 900.0
_UNITS: Final = (("d", 86400), ("h", 3600), ("min", 60))


class View:
    """The whole screen.

    Args:
        url: What is watched.
        monitor: What is known about it.
        last_events: The newest events, oldest first.
    """

    def __init__(self, url: str, monitor: Monitor, last_events: Sequence[ServerSentEvent]) -> None:
        self._url = url
        self._monitor = monitor
        self._last_events = last_events
        self.last_event_id = ""

    def render(self, width: int, height: int) -> RenderableType:
        """Return what fills a terminal of this size."""
        room = max(2, height - 13)
        failures = min(len(self._monitor.incidents), room // 2)
        return Group(
            Panel(self._summary(), title=printable(self._url), title_align="left"),
            Panel(self._timeline(width - 4), title="timeline", title_align="left"),
            Panel(self._events(room - failures), title="last events", title_align="left"),
            Panel(self._failures(failures), title="last failures", title_align="left"),
        )

    def _summary(self) -> Text:
        monitor = self._monitor
        mark, style = _STYLES[monitor.state]
        text = Text(no_wrap=True, overflow="ellipsis").append(f"{mark} {monitor.state}", style)
        text.append(f" for {for_people(monitor.clock() - monitor.phases[-1].began)}")
        if monitor.state is ConnectionState.WAITING:
            text.append(f", next try in {monitor.seconds_to_next_try:.0f} s")
        facts = (
            f"{monitor.rate():.1f} events/s", f"{monitor.events} events", f"{monitor.bytes} bytes",
            f"{monitor.comments} heartbeats", f"{monitor.reconnects} reconnects",
            f"{monitor.failures} failures",
        )  # fmt: skip
        text.append("\n" + " · ".join(facts))
        return text.append(f"\nlast id {printable(self.last_event_id) or '-'}")

    def _timeline(self, width: int) -> Text:
        window = min(_LONGEST_SECONDS, max(60.0, self._monitor.clock() - self._monitor.began))
        text = bar(self._monitor, width, window)
        text.append(f"\nthe last {for_people(window)}:", "dim")
        for state in (ConnectionState.OPEN, ConnectionState.CONNECTING, ConnectionState.WAITING):
            mark, style = _STYLES[state]
            text.append(f"  {mark}", style).append(f" {state}", "dim")
        return text

    def _events(self, count: int) -> Text:
        lines = list(self._last_events)[-count:]
        shown = [f"{event.id or '-'}  {event.event}  {event.data}" for event in lines]
        text = Text(no_wrap=True, overflow="ellipsis")
        return text.append("\n".join(printable(line).replace("\n", "⏎") for line in shown))

    def _failures(self, count: int) -> Text:
        monitor, text = self._monitor, Text(no_wrap=True, overflow="ellipsis")
        shown = list(monitor.incidents)[len(monitor.incidents) - count :]
        now, wall = monitor.clock(), time.time()
        lines = [
            f"{time.strftime('%H:%M:%S', time.localtime(wall - (now - incident.at)))}  "
            f"{printable(incident.text)}"
            for incident in shown
        ]
        return text.append("\n".join(lines) or "none so far")


def bar(monitor: Monitor, width: int, window: float) -> Text:
    """Draw the last seconds as a bar of cells.

    Args:
        monitor: What happened.
        width: The number of cells.
        window: The seconds they stand for.
    """
    now, cell = monitor.clock(), window / width
    begin, text = now - window, Text()
    for number in range(width):
        start = begin + number * cell
        states = _states_between(monitor, start, start + cell)
        worst = next((state for state in _WORST_FIRST if state in states), None)
        mark, style = (" ", "") if worst is None else _STYLES[worst]
        text.append(mark, style)
    return text


def _states_between(monitor: Monitor, start: float, end: float) -> set[ConnectionState]:
    phases = list(monitor.phases)
    ends = [phase.began for phase in phases[1:]] + [monitor.clock()]
    return {
        phase.state
        for phase, over in zip(phases, ends, strict=True)
        if phase.began < end and over > start
    }


def for_people(seconds: float) -> str:
    """Write a length of time in its largest unit that fits."""
    for unit, length in _UNITS:
        if seconds >= length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.0f} s"
