"""Stream the answer of a language model, and keep control of what is sent twice.

It works with any server that speaks as OpenAI's does. To see what happens when the connection
breaks in the middle of an answer, let it talk to one that breaks it:

    python examples/_llm_server.py 8000
    python examples/llm_stream.py http://127.0.0.1:8000/v1/chat/completions

The part about ids needs a server that sends some, as that one does.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import stamina.instrumentation

from resilient_sse import (
    GiveUpError,
    ReconnectingEventSource,
    ServerSentEvent,
    SyncReconnectingEventSource,
    UnsafeRetry,
    aiter_json,
    iter_json,
)

HEADERS = {"Authorization": f"Bearer {os.environ.get('API_KEY', 'none')}"}


def question(**options: object) -> dict[str, Any]:
    """Make the body of the request."""
    messages = [{"role": "user", "content": "Tell me a very short story."}]
    return {"model": "gpt-4o", "stream": True, "messages": messages, **options}


def is_done(event: ServerSentEvent) -> bool:
    """Recognise the event behind which the server has nothing more to say."""
    return event.data == "[DONE]"


def token(chunk: Any) -> str:  # noqa: ANN401 - JSON
    """Return the text in a chunk; some, such as the last, have none."""
    return "".join(choice["delta"].get("content") or "" for choice in chunk["choices"])


async def ask(url: str) -> None:
    """Ask, and print the answer as it comes."""
    async with ReconnectingEventSource(
        url, method="POST", headers=HEADERS, json=question(), until=is_done, idle_timeout=60
    ) as source:
        async for chunk in aiter_json(source):
            print(token(chunk), end="", flush=True)
    print()


async def ask_and_decide(url: str) -> None:
    """Decide what follows if the answer breaks off: here, to pay for another one, once."""
    try:
        await ask(url)
    except GiveUpError as error:
        if not isinstance(error.__cause__, UnsafeRetry):
            raise  # the server refuses, or is not there
        print(f"\n({error.__cause__})")
        await ask(url)


def ask_with_ids(url: str) -> None:
    """Ask a server whose events have ids: the POST is repeated, and the answer goes on."""
    with SyncReconnectingEventSource(
        url, method="POST", headers=HEADERS, json=question(ids=True), until=is_done
    ) as source:
        for chunk in iter_json(source):
            print(token(chunk), end="", flush=True)
    print()


def main(url: str) -> None:
    """Show both."""
    # By default it announces each wait where the answer is printed.
    stamina.instrumentation.set_on_retry_hooks([])
    print("Without ids:")
    asyncio.run(ask_and_decide(url))
    print("With ids:")
    ask_with_ids(url)


if __name__ == "__main__":
    main(sys.argv[1])
