"""What is said while the demonstration runs: lines for a pipe, a panel for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from examples.demo.faults import FAULTS
from resilient_sse import Connected
from resilient_sse.cli._live.panels import panel
from resilient_sse.cli._outcome import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

    from examples.demo.ledger import Ledger
    from resilient_sse import LifecycleEvent
    from resilient_sse.cli._live.panels import View

__all__ = ["Lines", "Screen"]


class Lines:
    """A hook that keeps lines for whoever has no screen.

    Args:
        clock: Tells the time in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = clock()
        self._ready: list[Text] = []

    def __call__(self, event: LifecycleEvent) -> None:
        """Say that a connection is open."""
        if isinstance(event, Connected):
            self.say("connected again" if event.resumed else f"connected to {event.url}")

    def say(self, text: str) -> None:
        """Add a line."""
        seconds = self._clock() - self._began
        self._ready.append(Text(f"{seconds:6.2f} s  {printable(text)}"))

    def take(self) -> list[Text]:
        """Return the new lines, once."""
        ready, self._ready = self._ready, []
        return ready


class Screen:
    """The live view, below what the demonstration does.

    Args:
        view: The live view.
        ledger: What was counted.
        seconds: How long it takes.
    """

    def __init__(self, view: View, ledger: Ledger, seconds: float) -> None:
        self._view = view
        self._ledger = ledger
        self._seconds = seconds

    def render(self, width: int, height: int) -> RenderableType:
        """Return what fills a terminal of this size."""
        self._view.last_event_id = self._ledger.last_event_id
        title = f"the demonstration: {len(FAULTS)} faults in {self._seconds:g} seconds"
        return Group(panel(title, self._progress()), self._view.render(width, height - 4))

    def _progress(self) -> Text:
        ledger = self._ledger
        text = Text()
        if ledger.faults:
            text.append(f"fault {len(ledger.faults)}: {ledger.faults[-1].name}", "bold")
        else:
            text.append("all is well, so far")
        delivered = len(ledger.delivered)
        return text.append(
            f"\n{delivered} delivered · {ledger.lost} lost · {ledger.repeated} delivered twice"
        )
