"""Events over aiohttp.

Run it with the URL of an event stream: python examples/bytes_from_aiohttp.py URL
"""

import asyncio
import sys

import aiohttp

from resilient_sse import adecode


async def main(url: str) -> None:
    """Print the events of one connection."""
    timeout = aiohttp.ClientTimeout(total=None, sock_read=300)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(url, headers={"Accept": "text/event-stream"}) as response,
    ):
        response.raise_for_status()
        async for event in adecode(response.content.iter_any()):
            print(event.event, event.data)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
