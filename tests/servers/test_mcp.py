"""An MCP server with an event store: a tool's answer is resumed by GET, as the protocol says."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from resilient_sse import ExponentialBackoff, ReconnectingEventSource
from resilient_sse.dialects import MCP
from tests.servers.processes import free_port, python, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest.importorskip("mcp", reason="mcp is not installed")

HEADERS = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-06-18"}
STEPS = 30


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A running MCP server."""
    port = free_port()
    app = "tests.servers.apps:mcp_app"
    command = python("uvicorn", "--factory", "--port", str(port), app)
    with running(command, port, tmp_path / "log"):
        yield f"http://127.0.0.1:{port}/mcp"


def call(method: str, number: int | None = None, **params: Any) -> dict[str, Any]:
    """A JSON-RPC message."""
    message: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
    return message if number is None else message | {"id": number}


async def session(url: str) -> dict[str, str]:
    """Begin a session, and return the headers that belong to it."""
    client = {"name": "test", "version": "1"}
    hello = call("initialize", 1, protocolVersion="2025-06-18", capabilities={}, clientInfo=client)
    async with httpx.AsyncClient(trust_env=False, headers=HEADERS) as http:
        answer = await http.post(url, json=hello)
        answer.raise_for_status()
        headers = HEADERS | {"Mcp-Session-Id": answer.headers["mcp-session-id"]}
        done = await http.post(url, json=call("notifications/initialized"), headers=headers)
        done.raise_for_status()
    return headers


@pytest.mark.anyio
@pytest.mark.timeout(60)
async def test_a_tool_call_is_resumed_by_get(url: str) -> None:
    """The connection is dropped three times; each step of the tool is reported once, in order."""
    params = {"name": "count", "arguments": {"to": STEPS}, "_meta": {"progressToken": "t"}}
    steps, result, began = list[int](), None, time.monotonic()
    async with ReconnectingEventSource(
        url,
        method="POST",
        json=call("tools/call", 2, **params),
        headers=await session(url),
        dialect=MCP,
        policy=ExponentialBackoff(wait_initial=0.02, wait_max=0.1),
    ) as source:
        async for event in source:
            message = event.json()
            if "result" in message:
                result = message["result"]["content"][0]["text"]
            else:
                steps.append(int(message["params"]["progress"]))
                if len(steps) in {5, 11, 20}:
                    source.reconnect()

    assert steps == list(range(1, STEPS + 1))
    assert result == "counted"
    assert time.monotonic() - began < 20
