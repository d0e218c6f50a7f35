"""A trio program with several workers: an event is acknowledged when its work is done.

The work may be done in any order; the saved cursor moves only past what is wholly done. At SIGTERM
or Ctrl-C no new event is taken, the workers finish, and the program exits with 0.

    python examples/trio_workers.py https://example.com/events cursors.db
"""

from __future__ import annotations

import random
import signal
import sys

import trio

from resilient_sse import ReconnectingEventSource, ServerSentEvent
from resilient_sse.cursors import SQLiteCursorStore

WORKERS = 4


async def handle(event: ServerSentEvent) -> None:
    """Do the work; here some of it takes longer."""
    await trio.sleep(random.uniform(0, 0.02))  # noqa: S311 - not a secret
    print(event.id, event.data, flush=True)


async def work(
    source: ReconnectingEventSource, events: trio.MemoryReceiveChannel[ServerSentEvent]
) -> None:
    """Handle events until there are no more."""
    async for event in events:
        await handle(event)
        await source.ack(event)


async def close_at_signals(source: ReconnectingEventSource) -> None:
    """Close the source when the process is asked to end; its iteration then ends normally."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            await source.aclose()


async def main(url: str, store: SQLiteCursorStore) -> None:
    """Read, and hand every event to a worker that has time for it."""
    async with (
        ReconnectingEventSource(url, cursor=store, auto_ack=False, max_unacked=100) as source,
        trio.open_nursery() as background,
    ):
        background.start_soon(close_at_signals, source)
        send, receive = trio.open_memory_channel[ServerSentEvent](0)
        async with trio.open_nursery() as workers, send:
            for _ in range(WORKERS):
                workers.start_soon(work, source, receive)
            async for event in source:
                await send.send(event)
        background.cancel_scope.cancel()


if __name__ == "__main__":
    with SQLiteCursorStore(sys.argv[2]) as cursors:
        trio.run(main, sys.argv[1], cursors)
