"""``resilient-sse watch``: a full-screen view of a stream."""

from __future__ import annotations

from collections import deque
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import anyio

from resilient_sse._values.redact import redact_url
from resilient_sse.cli._live.monitor import Monitor
from resilient_sse.cli._live.panels import View, for_people
from resilient_sse.cli._live.screen import keep_drawing, put
from resilient_sse.cli._outcome import DONE, outcome_of, say_last_id
from resilient_sse.errors import GiveUpError

if TYPE_CHECKING:
    from resilient_sse._values.event import ServerSentEvent
    from resilient_sse.cli._outcome import Outcome
    from resilient_sse.cli._target import Target

__all__ = ["Watch"]

_REMEMBERED_EVENTS = 200


class Watch:
    """Shows a stream until it ends.

    Args:
        target: What to connect to.
    """

    def __init__(self, target: Target) -> None:
        self._monitor = Monitor()
        self._events: deque[ServerSentEvent] = deque(maxlen=_REMEMBERED_EVENTS)
        self._view = View(redact_url(target.url), self._monitor, self._events)
        self._outcome = DONE
        self._client = target.client()
        self._source = target.source(client=self._client, hooks=[self._monitor])

    async def run(self) -> None:
        """Show the stream until it is over."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keep_drawing, self._view.render)
            await self._read()
            tasks.cancel_scope.cancel()

    async def _read(self) -> None:
        try:
            async with AsyncExitStack() as stack:
                if self._client is not None:
                    await stack.enter_async_context(self._client)
                source = await stack.enter_async_context(self._source)
                async for batch in source.batches():
                    self._events.extend(batch)
                    self._view.last_event_id = source.last_event_id
        except GiveUpError as error:
            self._outcome = outcome_of(error)

    def sum_up(self) -> Outcome:
        """Leave a line on the terminal, where the view was before."""
        monitor = self._monitor
        put(
            f"{monitor.events} events in {for_people(monitor.clock() - monitor.began)}, "
            f"{monitor.failures} failures, {monitor.reconnects} reconnects"
        )
        say_last_id(self._view.last_event_id)
        return self._outcome
