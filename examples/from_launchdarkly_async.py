"""launchdarkly-eventsource's ``AsyncSSEClient.all``: everything in one loop, in order.

Run it with the URL of an event stream: python examples/from_launchdarkly_async.py URL
"""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing

from resilient_sse import (
    Connected,
    Disconnected,
    LifecycleEvent,
    ReconnectingEventSource,
    ServerSentEvent,
)


async def all_actions(url: str) -> AsyncGenerator[ServerSentEvent | LifecycleEvent, None]:
    """Yield what a source tells its hooks and, in between, what it reads."""
    told: list[LifecycleEvent] = []
    async with ReconnectingEventSource(url, hooks=[told.append]) as source:
        async for event in source:
            while told:
                yield told.pop(0)
            yield event
    for action in told:
        yield action


async def main(url: str) -> None:
    """Print everything until the server says that there is no more (204)."""
    async with aclosing(all_actions(url)) as actions:
        async for action in actions:
            match action:
                case ServerSentEvent():
                    print("event", action.id, action.data)
                case Connected():
                    print("start", action.status_code)
                case Disconnected(failure=failure) if failure is not None:
                    print("fault", failure.error)
                case _:
                    pass  # attempts, waits, the end


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
