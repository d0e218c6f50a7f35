"""httpx-sse's asynchronous call: only the import differs.

Run it with the URL of an event stream: python examples/from_httpx_sse_async.py URL
"""

import asyncio
import sys

import httpx

from resilient_sse import aconnect_sse


async def main(url: str) -> None:
    """Print the events of one connection, on asyncio or trio."""
    async with (
        httpx.AsyncClient() as client,
        aconnect_sse(client, "GET", url) as event_source,
    ):
        async for sse in event_source.aiter_sse():
            print(sse.event, sse.data, sse.id, sse.retry)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
