"""httpx-sse's recipe for reconnecting, asynchronous and without the recipe.

Run it with the URL of an event stream: python examples/from_httpx_sse_reconnecting_async.py URL
"""

import asyncio
import sys

import httpx

from resilient_sse import ReconnectingEventSource


async def main(url: str) -> None:
    """Print the events of as many connections as it takes, on asyncio or trio."""
    async with (
        httpx.AsyncClient() as client,
        ReconnectingEventSource(url, client=client) as source,
    ):
        async for sse in source:
            print(sse.event, sse.data)
            if sse.data == "5":
                break


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
