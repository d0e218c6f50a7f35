"""httpxr's example of an asynchronous chat, with typed chunks.

Run it with the URL of an OpenAI-compatible server: python examples/from_httpxr_chat_async.py URL
"""

import asyncio
import json
import os
import sys
from typing import Any, NamedTuple

import httpx

from resilient_sse import aconnect_sse, aiter_json


class Delta(NamedTuple):
    """The part of a chunk that this program wants."""

    content: str


def parse(data: str) -> Delta:
    """Parse a chunk; a msgspec decoder or a pydantic adapter can stand in its place."""
    chunk: Any = json.loads(data)
    return Delta(chunk["choices"][0]["delta"].get("content", ""))


async def stream_chat(url: str, prompt: str) -> str:
    """Print the answer as it is written, and return it."""
    answer: list[str] = []
    async with (
        httpx.AsyncClient(timeout=60.0) as client,
        aconnect_sse(
            client,
            "POST",
            url,
            headers={"Authorization": f"Bearer {os.environ.get('API_KEY', 'none')}"},
            json={
                "model": "gpt-4o",
                "stream": True,
                "messages": [{"role": "user", "content": prompt}],
            },
        ) as source,
    ):
        async for delta in aiter_json(source.aiter_sse(), loads=parse):
            answer.append(delta.content)
            print(delta.content, end="", flush=True)
    print()
    return "".join(answer)


def main(url: str) -> None:
    """Ask for a joke."""
    print(len(asyncio.run(stream_chat(url, "Tell me a joke"))), "characters")


if __name__ == "__main__":
    main(sys.argv[1])
