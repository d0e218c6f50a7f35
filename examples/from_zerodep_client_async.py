"""zerodep's asynchronous reconnecting client.

Run it with the URL of an event stream: python examples/from_zerodep_client_async.py URL
"""

import asyncio
import sys

from resilient_sse import ExponentialBackoff, GiveUpError, ReconnectingEventSource


async def main(url: str) -> None:
    """Print the events until the server says that there are no more (204)."""
    policy = ExponentialBackoff(wait_initial=0.1, attempts=5)
    try:
        async with ReconnectingEventSource(url, policy=policy) as events:
            async for event in events:
                print(event.event, event.data)
    except GiveUpError as error:
        print(error)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
