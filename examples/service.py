"""A service that stops when it is told to, and goes on where it stopped when it is started again.

At SIGTERM (systemd, Docker, Kubernetes) or Ctrl-C it reads no more, handles what it has, saves the
cursor and exits with 0. If the stream cannot be read any more it says why and exits with 1.

    python examples/service.py https://example.com/events cursors.db
"""

from __future__ import annotations

import asyncio
import signal
import sys

from resilient_sse import GiveUpError, ReconnectingEventSource, ServerSentEvent
from resilient_sse.cursors import SQLiteCursorStore


async def handle(event: ServerSentEvent) -> None:
    """Do the work; here it takes a hundredth of a second."""
    await asyncio.sleep(0.01)
    print(event.id, event.data, flush=True)


def close_at_signals(source: ReconnectingEventSource) -> None:
    """Close the source when the process is asked to end; its iteration then ends normally."""
    loop = asyncio.get_running_loop()
    closing: set[asyncio.Task[None]] = set()

    def close() -> None:
        closing.add(loop.create_task(source.aclose()))

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, close)


async def consume(url: str, store: SQLiteCursorStore) -> None:
    """Handle events until the process is asked to end.

    The events of a batch came in together. All of them are handled before the end is acted on, and
    asking for the next batch acknowledges them. If a batch takes longer than your grace period,
    iterate the source itself: then only the event in hand is finished, and the rest comes again.
    """
    async with ReconnectingEventSource(url, cursor=store) as source:
        close_at_signals(source)
        async for batch in source.batches():
            for event in batch:
                await handle(event)


def main(url: str, path: str) -> int:
    """Run the service; gives the exit code."""
    try:
        with SQLiteCursorStore(path) as store:  # at the end of the block all is on the disk
            asyncio.run(consume(url, store))
    except GiveUpError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
