"""What an engine rings when a lease may be free, so that nobody waits until the next look."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio

from resilient_sse.cursors._engine.loops import in_this_event_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from resilient_sse.cursors._leases.protocol import LeaseServer


class Bell:
    """Wakes the one thread or task that waits; rung before, it lets the next one through."""

    def __init__(self) -> None:
        self._rung = threading.Event()
        self._wake: Callable[[], object] | None = None

    def ring(self) -> None:
        """Have whoever waits look, from any thread."""
        self._rung.set()
        if (wake := self._wake) is not None:
            wake()

    def wait(self, seconds: float) -> None:
        """Wait until it rings, or for so long."""
        self._rung.wait(seconds)
        self._rung.clear()

    async def await_ring(self, seconds: float) -> None:
        """Wait without blocking the event loop."""
        event = anyio.Event()
        self._wake = in_this_event_loop(event.set)
        try:
            with anyio.move_on_after(0 if self._rung.is_set() else seconds):
                await event.wait()
        finally:
            self._wake = None
            self._rung.clear()


@contextmanager
def listening(server: LeaseServer) -> Generator[Bell]:
    """Lend a bell that an engine rings while the block lasts."""
    bell = Bell()
    stop = server.listen(bell.ring)
    try:
        yield bell
    finally:
        stop()
