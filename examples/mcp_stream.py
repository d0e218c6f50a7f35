"""Call a tool of an MCP server, and get its result although the stream is closed meanwhile.

MCP's streamable HTTP answers a POST with an event stream, or with JSON alone. If the stream breaks,
the client resumes it by a GET with ``Last-Event-ID``, so that the tool is not called twice. The
dialect `MCP` knows all that; what is left is the session.

    python examples/_mcp_server.py 8000
    python examples/mcp_stream.py http://127.0.0.1:8000/mcp
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import httpx

from resilient_sse import Connected, ReconnectingEventSource, ServerSentEvent
from resilient_sse.dialects import MCP

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_sse import LifecycleEvent

VERSION = "2025-11-25"
HEADERS = {
    "Accept": "application/json, text/event-stream",  # for what is sent without a source
    "MCP-Protocol-Version": VERSION,
}


def is_answer(event: ServerSentEvent) -> bool:
    """Recognise the last message of a call: its result or its error."""
    return "id" in event.json() and "method" not in event.json()


class Client:
    """As much of an MCP client as it takes to call a tool."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._http = http
        self._url = url
        self._headers = dict(HEADERS)
        self._calls = 0

    async def initialize(self) -> None:
        """Agree on a version with the server, which makes a session."""
        about = {"name": "example", "version": "1"}
        params = {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": about}
        await self.call("initialize", params)
        ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        answer = await self._http.post(self._url, headers=self._headers, json=ready)
        answer.raise_for_status()

    def _note_session(self, event: LifecycleEvent) -> None:
        if isinstance(event, Connected) and (session := event.headers.get("mcp-session-id")):
            self._headers["Mcp-Session-Id"] = session

    async def call(
        self,
        method: str,
        params: dict[str, Any],
        on_message: Callable[[dict[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """Return the result of a call; the messages before it go to ``on_message``."""
        self._calls += 1
        async with ReconnectingEventSource(
            self._url,
            client=self._http,
            method="POST",
            headers=self._headers,
            json={"jsonrpc": "2.0", "id": self._calls, "method": method, "params": params},
            dialect=MCP,
            hooks=[self._note_session],
        ) as source:
            async for event in source:
                if is_answer(event):
                    return result(event.json())
                if on_message:
                    on_message(event.json())
        raise ConnectionError("the server said that there is no more, and gave no result")


def result(answer: dict[str, Any]) -> dict[str, Any]:
    """Return what an answer holds, if it is no error."""
    if "error" in answer:
        raise RuntimeError(answer["error"]["message"])
    found: dict[str, Any] = answer["result"]
    return found


async def main(url: str) -> None:
    """Call a tool, and print what it reports."""
    async with httpx.AsyncClient() as http:
        client = Client(http, url)
        await client.initialize()
        tool = {"name": "count_boats", "arguments": {"harbours": 6}}
        done = await client.call(
            "tools/call",
            {**tool, "_meta": {"progressToken": "boats"}},
            lambda message: print("progress:", message["params"]["message"]),
        )
        print("result:", done["content"][0]["text"])


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
