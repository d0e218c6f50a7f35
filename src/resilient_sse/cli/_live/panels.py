"""What ``watch`` shows, made of what its monitor knows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.panel import Panel
from rich.text import Text

from resilient_sse.cli._live.timeline import bar, legend, mark
from resilient_sse.cli._outcome import printable
from resilient_sse.lifecycle import ConnectionState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from resilient_sse._values.event import ServerSentEvent
    from resilient_sse.cli._live.monitor import Incident, Monitor

__all__ = ["View", "for_people", "panel"]

_LONGEST_SECONDS: Final = 900.0
_FRAMES: Final = 14  # lines that are neither events nor failures
_UNITS: Final = (("d", 86400), ("h", 3600), ("min", 60))


class View:
    """The whole screen.

    Args:
        url: What is watched.
        monitor: What is known about it.
        last_events: The newest events, oldest first.
        shortest: The seconds that the timeline shows at least.

    Attributes:
        last_event_id: The cursor; keep it up to date.
    """

    def __init__(
        self,
        url: str,
        monitor: Monitor,
        last_events: Sequence[ServerSentEvent],
        shortest: float = 60.0,
    ) -> None:
        self._url = url
        self._monitor = monitor
        self._last_events = last_events
        self._shortest = shortest
        self.last_event_id = ""

    def render(self, width: int, height: int) -> RenderableType:
        """Return what fills a terminal of this size."""
        room = max(2, height - _FRAMES)
        failures = min(len(self._monitor.incidents), room // 2)
        return Group(
            panel(printable(self._url), self._summary()),
            panel("timeline", self._timeline(max(1, width - 4))),
            panel("last events", self._events(room - max(1, failures))),
            panel("last failures", self._failures(failures, width - 4)),
        )

    def _summary(self) -> Text:
        monitor = self._monitor
        character, style = mark(monitor.state)
        text = Text().append(f"{character} {monitor.state}", style)
        text.append(f" for {for_people(monitor.clock() - monitor.phases[-1].began)}")
        if monitor.state is ConnectionState.WAITING:
            text.append(f", next try in {monitor.seconds_to_next_try:.1f} s")
        received = (
            f"{monitor.rate():.1f} events/s", f"{monitor.events} events", f"{monitor.bytes} bytes",
            f"{monitor.comments} heartbeats",
        )  # fmt: skip
        text.append("\n" + " · ".join(received))
        text.append(f"\n{monitor.reconnects} reconnects · {monitor.failures} failures")
        return text.append(f"\nlast id {printable(self.last_event_id) or '-'}")

    def _timeline(self, width: int) -> Text:
        now = self._monitor.clock()
        window = min(_LONGEST_SECONDS, max(self._shortest, now - self._monitor.began))
        text = bar(self._monitor, width, now - window, now)
        return text.append(f"\nthe last {for_people(window)}:", "dim").append(legend())

    def _events(self, count: int) -> Text:
        lines = list(self._last_events)[-count:]
        shown = [f"{event.id or '-'}  {event.event}  {event.data}" for event in lines]
        return Text("\n".join(printable(line).replace("\n", "⏎") for line in shown))

    def _failures(self, count: int, width: int) -> Text:
        incidents = list(self._monitor.incidents)
        shown = [self._failure(incident, width) for incident in incidents[-count:] if count]
        return Text("\n").join(shown) if shown else Text("none so far")

    def _failure(self, incident: Incident, width: int) -> Text:
        """Write a failure so that it is its cause that is cut off if there is not enough room."""
        at = time.time() - (self._monitor.clock() - incident.at)
        when = time.strftime("%H:%M:%S  ", time.localtime(at))
        cause = Text(printable(incident.cause))
        cause.truncate(max(9, width - len(when) - len(incident.then) - 2), overflow="ellipsis")
        return Text(when).append_text(cause).append(f"; {incident.then}")


def panel(title: str, content: Text) -> Panel:
    """Frame some lines, none of which is broken if it is too long."""
    content.no_wrap, content.overflow = True, "ellipsis"
    # As text, since a title that is a string may hold rich's markup.
    return Panel(content, title=Text(title), title_align="left")


def for_people(seconds: float) -> str:
    """Write a length of time in its largest unit that fits."""
    for unit, length in _UNITS:
        if seconds >= length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.0f} s"
