"""httpxr's example of a stream with several types of events.

Run it with the URL of an event stream: python examples/from_httpxr_match.py URL
"""

import sys

import httpxr

from resilient_sse import connect_sse


def main(url: str) -> None:
    """Print the updates up to the server's error."""
    with httpxr.Client() as client, connect_sse(client, "GET", url) as source:
        for event in source.iter_sse():
            match event.event:
                case "ping":
                    continue
                case "update":
                    print(f"Update: {event.data}")
                case "error":
                    print(f"Server error: {event.data}")
                    break
                case other:
                    print(f"Unexpected: {other}")


if __name__ == "__main__":
    main(sys.argv[1])
