"""zerodep's parser without a network: lines, a text, bytes, and lines that come asynchronously.

Run it: python examples/from_zerodep_parser.py
"""

import asyncio
from collections.abc import AsyncIterator

from resilient_sse import adecode, decode, decode_lines

LINES = ["event: greeting", "data: hello", "", "data: world", ""]


async def lines() -> AsyncIterator[str]:
    """A source of lines that takes its time."""
    for line in LINES:
        await asyncio.sleep(0)
        yield line


async def read_lines() -> None:
    """Decode lines that come asynchronously: a line is bytes and a line feed."""
    async for event in adecode(f"{line}\n".encode() async for line in lines()):
        print("async", event.event, event.data)


def main() -> None:
    """Print the events of each."""
    for event in decode_lines(LINES):
        print("lines", event.event, event.data)
    text = "data: from a text\n\n"
    for event in decode([text.encode()]):
        print("text", event.event, event.data)
    for event in decode([b"data: in two ", b"pieces\r\n\r\n"]):
        print("bytes", event.event, event.data)
    asyncio.run(read_lines())


if __name__ == "__main__":
    main()
