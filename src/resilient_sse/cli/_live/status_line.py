"""The live line on stderr: what the source is doing, redrawn in place."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from rich.cells import set_cell_size
from rich.console import Console

from resilient_sse.cli._outcome import printable, say
from resilient_sse.lifecycle import ConnectionState

if TYPE_CHECKING:
    from resilient_sse.cli._live.monitor import Monitor

__all__ = ["StatusLine", "status_of"]

_CLEAR: Final = "\r\x1b[2K"


class StatusLine:
    """The last line of a terminal; nothing if stderr is none.

    Args:
        enabled: Whether it is wanted.
    """

    def __init__(self, *, enabled: bool) -> None:
        self._console = Console(stderr=True)
        self._enabled = enabled and sys.stderr.isatty() and not self._console.is_dumb_terminal
        self._shown = False

    def draw(self, monitor: Monitor, last_event_id: str) -> None:
        """Show what is the case now."""
        if self._enabled:
            line = printable(status_of(monitor, last_event_id))
            # The last column stays free: a terminal may wrap after it.
            fitting = set_cell_size(line, self._console.width - 1).rstrip()
            sys.stderr.write(f"{_CLEAR}{fitting}")
            sys.stderr.flush()
            self._shown = True

    def clear(self) -> None:
        """Make room for other lines."""
        if self._shown:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()
            self._shown = False

    def say(self, message: str) -> None:
        """Write a line that stays."""
        self.clear()
        say(message)


def status_of(monitor: Monitor, last_event_id: str) -> str:
    """Say in one line what a source is doing."""
    parts = [str(monitor.state)]
    if monitor.state is ConnectionState.WAITING:
        parts.append(f"next try in {monitor.seconds_to_next_try:.0f} s")
    parts += [f"{monitor.rate():.1f} events/s", f"{monitor.reconnects} reconnects"]
    if last_event_id:
        parts.append(f"last id {last_event_id}")
    return " · ".join(parts)
