"""`Demo`: see a source survive what a network does to it."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

import anyio

from examples.demo.faults import torment
from examples.demo.ledger import Ledger
from examples.demo.process import ServerProcess
from examples.demo.story import Lines, Screen
from examples.demo.summary import summary
from resilient_sse import ExponentialBackoff, ReconnectingEventSource
from resilient_sse.cli._live.monitor import Monitor
from resilient_sse.cli._live.panels import View
from resilient_sse.cli._live.screen import REFRESH_SECONDS, can_draw, keep_drawing, put
from resilient_sse.cli._outcome import (
    CANNOT_WRITE,
    DONE,
    PROBLEM,
    Outcome,
    outcome_of,
    reader_has_gone,
    say,
)

if TYPE_CHECKING:
    from rich.text import Text

__all__ = ["Demo"]

_EVENTS_PER_SECOND: Final = 50.0
_PATIENCE_SECONDS: Final = 30.0


class Demo:
    """Has a server misbehave, reads its stream meanwhile, and compares.

    Args:
        seconds: How long it takes, about.
        seed: Decides on the order of the faults.
    """

    def __init__(self, seconds: float, seed: int) -> None:
        self._seconds = seconds
        self._seed = seed
        self._lines = Lines(monotonic)
        self._monitor = Monitor(monotonic, self._lines.say)
        self._ledger = Ledger(monotonic, self._lines.say)
        self._unwritten: Outcome | None = None
        self._draws = can_draw()

    async def run(self) -> None:
        """Run everything."""
        async with (
            ServerProcess(_EVENTS_PER_SECOND) as server,
            anyio.create_task_group() as tasks,
        ):
            show = self._draw if self._draws else self._write
            tasks.start_soon(show, server.url, tasks.cancel_scope)
            tasks.start_soon(self._read, server.url)
            await torment(server, self._ledger, self._seconds, self._seed)
            self._ledger.published = await server.finish()
            with anyio.move_on_after(_PATIENCE_SECONDS):
                await self._ledger.ended.wait()
            tasks.cancel_scope.cancel()

    def sum_up(self) -> Outcome:
        """Compare what was published with what came."""
        if self._ledger.published is None and self._unwritten is None:
            say(f"interrupted after {len(self._ledger.delivered)} events, {self._ledger.lost} lost")
        elif self._unwritten is None:
            lines = [] if self._draws else self._lines.take()
            self._put(*lines, *summary(self._ledger, self._monitor))
        return self._unwritten or (DONE if self._ledger.is_good else Outcome(PROBLEM))

    async def _read(self, url: str) -> None:
        """Read the stream; all that a program needs to do is here."""
        async with ReconnectingEventSource(
            url,
            idle_timeout=1.0,
            policy=ExponentialBackoff(wait_initial=0.2, wait_max=2.0),
            until=lambda event: event.event == "end",
            hooks=[self._lines, self._monitor, self._ledger],
        ) as source:
            async for event in source:
                self._ledger.deliver(event)

    async def _draw(self, url: str, _: anyio.CancelScope) -> None:
        view = View(url, self._monitor, self._ledger.newest, self._seconds)
        screen = Screen(view, self._ledger, self._seconds)
        await keep_drawing(screen.render)

    async def _write(self, _: str, scope: anyio.CancelScope) -> None:
        while self._unwritten is None:
            self._put(*self._lines.take())
            if reader_has_gone():
                self._unwritten = Outcome(CANNOT_WRITE)
            await anyio.sleep(REFRESH_SECONDS)
        scope.cancel()

    def _put(self, *lines: Text) -> None:
        """Write lines; take note if they cannot be written."""
        try:
            put(*lines)
        except OSError as error:
            self._unwritten = Outcome(CANNOT_WRITE, outcome_of(error).message)
