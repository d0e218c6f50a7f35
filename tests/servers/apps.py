"""The applications that real servers serve: ticks that can be resumed, and an MCP tool.

Every 20 ms since the time in the environment variable ``EPOCH`` there is one more event, so that a
server that was restarted has the same history.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import anyio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

INTERVAL = 0.02


async def ticks(last_event_id: str | None) -> AsyncIterator[int]:
    """The numbers after the one that the client has."""
    epoch = float(os.environ["EPOCH"])
    last = int(last_event_id or (time.time() - epoch) / INTERVAL)
    while True:
        while last < int((time.time() - epoch) / INTERVAL):
            last += 1
            yield last
        await anyio.sleep(INTERVAL / 2)


def counting_app() -> Any:
    """Make an application of numbered events, which says at ``/open`` how many streams are open."""
    open_now = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal open_now
        if scope["type"] == "lifespan":
            while True:
                await send({"type": (await receive())["type"] + ".complete"})
        start = {"type": "http.response.start", "status": 200}
        if scope["path"] == "/open":
            await send(start | {"headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": b"%d" % open_now})
            return
        open_now += 1
        try:
            await send(start | {"headers": [(b"content-type", b"text/event-stream")]})
            async with anyio.create_task_group() as tasks:
                last = dict(scope["headers"]).get(b"last-event-id", 0)
                tasks.start_soon(_count_up, int(last), send)
                while (await receive())["type"] != "http.disconnect":
                    pass
                tasks.cancel_scope.cancel()
        finally:
            open_now -= 1

    return app


async def _count_up(last: int, send: Any) -> None:
    while True:
        last += 1
        body = b"id: %d\ndata: %d\n\n" % (last, last)
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await anyio.sleep(0.01)


def starlette_app() -> Any:
    """Make an application with sse-starlette."""
    from sse_starlette import EventSourceResponse  # noqa: PLC0415 - one library for each
    from starlette.applications import Starlette  # noqa: PLC0415 - the same
    from starlette.requests import Request  # noqa: PLC0415, TC002 - the same
    from starlette.routing import Route  # noqa: PLC0415 - the same

    async def stream(request: Request) -> EventSourceResponse:
        async def events() -> AsyncIterator[dict[str, str]]:
            async for number in ticks(request.headers.get("last-event-id")):
                yield {"id": str(number), "data": f"tick {number}"}

        return EventSourceResponse(events(), ping=1)

    return Starlette(routes=[Route("/events", stream)])


def fastapi_app() -> Any:
    """Make an application with FastAPI's own server-sent events."""
    from fastapi import FastAPI, Header  # noqa: PLC0415 - one library for each
    from fastapi.sse import EventSourceResponse, ServerSentEvent  # noqa: PLC0415 - the same

    app = FastAPI()

    async def stream(last_event_id: Any = Header(None)) -> AsyncIterator[Any]:  # noqa: B008
        async for number in ticks(last_event_id):
            yield ServerSentEvent(raw_data=f"tick {number}", id=str(number))

    app.get("/events", response_class=EventSourceResponse)(stream)
    return app


def mcp_app() -> Any:
    """Make an MCP server with an event store and a tool that counts aloud."""
    from mcp.server.mcpserver import Context, MCPServer  # noqa: PLC0415 - one library for each
    from mcp.server.streamable_http import (  # noqa: PLC0415 - the same
        EventMessage,
        EventStore,
    )

    class Store(EventStore):
        """Keeps everything."""

        def __init__(self) -> None:
            self.events: list[tuple[str, Any]] = []

        async def store_event(self, stream_id: str, message: Any) -> str:
            self.events.append((stream_id, message))
            return str(len(self.events))

        async def replay_events_after(self, last_event_id: str, send_callback: Any) -> str | None:
            """Send what came meanwhile as well: the server forwards only what comes after this."""
            position = int(last_event_id)
            stream = self.events[position - 1][0]
            while position < len(self.events):
                stream_id, message = self.events[position]
                position += 1
                if stream_id == stream and message is not None:
                    await send_callback(EventMessage(message, str(position)))
            return stream

    server = MCPServer("counter")

    async def count(to: int, ctx: Any) -> str:
        for number in range(1, to + 1):
            await ctx.report_progress(number, to)
            await anyio.sleep(0.02)
        return "counted"

    count.__annotations__ = {"to": int, "ctx": Context, "return": str}
    server.tool()(count)
    return server.streamable_http_app(event_store=Store())
