"""Which event loop this is, and how a thread tells it something."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from resilient_sse._http.watched import on_trio

if TYPE_CHECKING:
    from collections.abc import Callable


def event_loop() -> Any:  # noqa: ANN401 - asyncio's loop, trio's token, or None
    """Return what stands for the event loop that runs in this thread; None where there is none."""
    if on_trio():
        return sys.modules["trio"].lowlevel.current_trio_token()
    with suppress(RuntimeError):
        return asyncio.get_running_loop()
    return None


def in_this_event_loop(end: Callable[[], object]) -> Callable[[], object]:
    """Make a function that has this event loop call ``end``, to be called from any thread.

    From the loop itself it is called at once, as in threads: a save that finds a lease lost has
    then ended the source before anybody takes its error for one of the store.
    """
    here = event_loop()
    call_soon = getattr(here, "call_soon_threadsafe", None) or here.run_sync_soon

    def call() -> None:
        if event_loop() is here:
            end()
            return
        with suppress(RuntimeError):  # the loop is over, and nobody needs to be told
            call_soon(end)

    return call
