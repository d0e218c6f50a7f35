"""httpx-sse's recipe for reconnecting, without the recipe.

The generator with `@retry`, a sleep and two variables that httpx-sse's README shows is one
iterator here. It also survives what the recipe does not: more than ten connections, a clean end,
a truncated body.

Run it with the URL of an event stream: python examples/from_httpx_sse_reconnecting.py URL
"""

import sys

import httpx

from resilient_sse import SyncReconnectingEventSource


def main(url: str) -> None:
    """Print the events of as many connections as it takes."""
    with httpx.Client() as client, SyncReconnectingEventSource(url, client=client) as source:
        for sse in source:
            print(sse.event, sse.data)
            if sse.data == "5":
                break


if __name__ == "__main__":
    main(sys.argv[1])
