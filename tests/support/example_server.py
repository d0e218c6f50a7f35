"""The server that the examples talk to: a real application behind uvicorn.

- ``/sse``: the numbers 1 to 5 over as many connections as there are: each ends behind the third
  or the last; Last-Event-ID resumes; 204 when none is left. With ``?all`` all at once.
- ``/chat``: the tokens of a language model, for a POST with a key and a prompt.
- ``/stream``: events of several types.
"""

from __future__ import annotations

import json
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn
from sse_starlette.event import ServerSentEvent
from sse_starlette.sse import EventSourceResponse
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterable

    from starlette.requests import Request
    from starlette.types import ASGIApp

LAST = 5
PER_CONNECTION = 3


def _stream(events: Iterable[ServerSentEvent]) -> EventSourceResponse:
    async def send() -> AsyncIterator[ServerSentEvent]:
        for event in events:
            yield event

    return EventSourceResponse(send(), ping=3600)


async def _numbers(request: Request) -> Response:
    first = int(request.headers.get("last-event-id", "0")) + 1
    last = LAST if "all" in request.query_params else min(first + PER_CONNECTION - 1, LAST)
    if first > LAST:
        return Response(status_code=204)
    return _stream(ServerSentEvent(n, id=str(n), retry=10) for n in range(first, last + 1))


async def _chat(request: Request) -> Response:
    if not request.headers.get("authorization", "").startswith("Bearer "):
        return Response(status_code=401)
    asked = await request.json()
    words = f"You said: {asked['messages'][0]['content']}".split(" ")
    deltas = [{"role": "assistant"}, *({"content": f"{word} "} for word in words)]
    chunks = [json.dumps({"choices": [{"index": 0, "delta": delta}]}) for delta in deltas]
    return _stream(ServerSentEvent(data) for data in [*chunks, "[DONE]", "never read"])


async def _types(_request: Request) -> Response:
    told = [("ping", ""), ("update", "first"), ("ping", ""), ("error", "enough"), ("update", "no")]
    return _stream(ServerSentEvent(data, event=kind) for kind, data in told)


APP = Starlette(
    routes=[
        Route("/sse", _numbers),
        Route("/chat", _chat, methods=["POST"]),
        Route("/stream", _types),
    ]
)


@contextmanager
def serve(app: ASGIApp = APP) -> Generator[str]:
    """Run a server in a thread; gives its URL."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{sock.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
