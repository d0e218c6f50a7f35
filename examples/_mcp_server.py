"""An MCP server whose tool outlives the connection that called it.

    python examples/_mcp_server.py PORT

It is the `mcp` package's own server (streamable HTTP) with an event store. The tool closes the
caller's stream in the middle of its work, as servers do with long jobs, and goes on working.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore

if TYPE_CHECKING:
    from mcp_types import JSONRPCMessage
    from starlette.applications import Starlette


class InMemoryEventStore(EventStore):
    """Keeps every message of every stream; the ids count them."""

    def __init__(self) -> None:
        self._events: list[tuple[str, JSONRPCMessage | None]] = []

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        """Keep a message; None is the empty event that a stream begins with."""
        self._events.append((stream_id, message))
        return str(len(self._events))

    async def replay_events_after(
        self, last_event_id: str, send_callback: EventCallback
    ) -> str | None:
        """Send what came later in the same stream."""
        last = int(last_event_id)
        if not 1 <= last <= len(self._events):
            return None
        wanted, _ = self._events[last - 1]
        for number, (stream_id, message) in enumerate(self._events[last:], start=last + 1):
            if stream_id == wanted and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return wanted


def application() -> Starlette:
    """Make the web application."""
    server = MCPServer("boats")

    @server.tool()
    async def count_boats(harbours: int, ctx: Context) -> str:
        """Count the boats, harbour by harbour."""
        for harbour in range(1, harbours + 1):
            await ctx.report_progress(harbour, harbours, f"harbour {harbour}")
            if harbour == harbours // 2:
                await ctx.close_sse_stream()
        return f"{harbours * 7} boats"

    return server.streamable_http_app(event_store=InMemoryEventStore())


if __name__ == "__main__":
    uvicorn.run(application(), port=int(sys.argv[1]), log_level="warning")
