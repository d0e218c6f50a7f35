"""httpx-sse's quickstart: only the import differs.

Run it with the URL of an event stream: python examples/from_httpx_sse.py URL
"""

import sys

import httpx

from resilient_sse import connect_sse


def main(url: str) -> None:
    """Print the events of one connection."""
    with httpx.Client() as client, connect_sse(client, "GET", url) as event_source:
        for sse in event_source.iter_sse():
            print(sse.event, sse.data, sse.id, sse.retry)


if __name__ == "__main__":
    main(sys.argv[1])
