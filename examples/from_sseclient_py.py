"""sseclient-py's quickstart: events over urllib3, requests and httpx.

`read1` hands over what has come; `stream` and `iter_content` wait for more, unless the body is
chunked.

Run it with the URL of an event stream: python examples/from_sseclient_py.py URL
"""

import sys
from collections.abc import Iterator
from functools import partial

import httpx
import requests
import urllib3

from resilient_sse import ServerSentEvent, decode


def with_urllib3(url: str) -> Iterator[ServerSentEvent]:
    """Events over urllib3."""
    with urllib3.PoolManager() as http:
        response = http.request("GET", url, preload_content=False)
        try:
            yield from decode(iter(partial(response.read1, 65536), b""))
        finally:
            response.close()


def with_requests(url: str) -> Iterator[ServerSentEvent]:
    """Events over requests."""
    with requests.get(url, stream=True, timeout=(10, 300)) as response:
        read = partial(response.raw.read1, 65536, decode_content=True)
        yield from decode(iter(read, b""))


def with_httpx(url: str) -> Iterator[ServerSentEvent]:
    """Events over httpx."""
    with httpx.stream("GET", url) as response:
        yield from decode(response.iter_bytes())


def main(url: str) -> None:
    """Print the events three times."""
    for read in (with_urllib3, with_requests, with_httpx):
        print(read.__name__, [event.data for event in read(url)])


if __name__ == "__main__":
    main(sys.argv[1])
