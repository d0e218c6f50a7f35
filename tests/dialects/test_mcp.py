"""MCP's own client and a source read the same bytes, and see the same; its server is real, too."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

from examples import mcp_stream
from resilient_sse import ReconnectingEventSource
from resilient_sse.dialects import MCP
from resilient_sse.testing import Connection, Ending, ScriptedServer, raw
from tests.dialects.streams import bytes_of, call, data_of

if TYPE_CHECKING:
    from resilient_sse.testing import RecordedRequest
    from tests.dialects.streams import Block

pytestmark = pytest.mark.skipif(find_spec("mcp") is None, reason="mcp is not installed")

# Their client leaves generators to the collector, which trio takes for an error.
ON_ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"])

JSON = {"Content-Type": "application/json"}
HELLO = {
    "protocolVersion": mcp_stream.VERSION,
    "capabilities": {},
    "serverInfo": {"name": "boats", "version": "1"},
}


class Server:
    """As much of a server as it takes to call a tool, whose answer it cuts."""

    def __init__(self, cut: int, answer: dict[str, Any] | None = None) -> None:
        self.cut = cut
        self.answer = answer
        self.call: list[Block] = []
        self.requests: list[RecordedRequest] = []

    def __call__(self, request: RecordedRequest) -> Connection:
        if request.method == "DELETE" or not (request.body or request.last_event_id):
            return Connection(status=405)  # no session to end, no stream that none asked for
        if request.method == "GET":
            self.requests.append(request)
            return Connection(raw(bytes_of(self.call[int(request.last_event_id) + 1 :])))
        message = request.json()
        match message["method"]:
            case "initialize":
                return self.json(message["id"], HELLO)
            case "tools/call":
                self.requests.append(request)
                return self.begin(message["id"], message["params"]["_meta"]["progressToken"])
            case "tools/list":
                return self.json(message["id"], {"tools": []})
            case _:
                return Connection(status=202)

    @staticmethod
    def json(number: object, result: object) -> Connection:
        """An answer without a stream."""
        body = {"jsonrpc": "2.0", "id": number, "result": result}
        return Connection(raw(json.dumps(body)), headers=JSON)

    def begin(self, number: object, token: object) -> Connection:
        """The answer to a call, as far as it goes."""
        self.call = call(number, token)
        if self.answer is not None:
            body = {"jsonrpc": "2.0", "id": number, **self.answer}
            return Connection(raw(json.dumps(body)), headers=JSON)
        return Connection(raw(bytes_of(self.call)[: self.cut]), ending=Ending.TRUNCATED)


TOOL = {"name": "count_boats", "arguments": {}, "_meta": {"progressToken": "t"}}
AFTER = [len(bytes_of(call(2, "t")[:count])) for count in range(1, 6)]


async def theirs(url: str) -> tuple[list[float], Any]:
    """The progress and the result as the vendor's client has them."""
    # It takes longer to import than most tests take to run.
    from mcp import ClientSession  # noqa: PLC0415
    from mcp.client.streamable_http import streamable_http_client  # noqa: PLC0415

    steps = list[float]()

    async def note(progress: float, total: float | None, message: str | None) -> None:
        steps.append(progress)

    async with (
        streamable_http_client(url) as (reading, writing),
        ClientSession(reading, writing) as session,
    ):
        await session.initialize()
        result = await session.call_tool("count_boats", {}, progress_callback=note)
        return steps, result.model_dump(mode="json", by_alias=True)["content"][0]["text"]


async def ours(url: str) -> list[Any]:
    """The messages as a source has them."""
    request = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": TOOL}
    async with ReconnectingEventSource(
        url, method="POST", json=request, dialect=MCP, policy=lambda _: 0.0
    ) as source:
        return [event.json() async for event in source]


def asked(requests: list[RecordedRequest]) -> list[tuple[str, str, str]]:
    """What was asked for."""
    return [(request.method, request.path, request.last_event_id) for request in requests]


@pytest.mark.anyio
@ON_ASYNCIO
@pytest.mark.parametrize("cut", [*AFTER, AFTER[0] + 3, AFTER[2] - 5, AFTER[4] - 9])
async def test_a_call_that_is_cut(cut: int) -> None:
    """The same messages, and the same requests: the POST once, then a GET from the last event."""
    first, second = Server(cut), Server(cut)
    async with ScriptedServer(then=first) as server:
        messages = await ours(server.url)
    assert [json.dumps(message) for message in messages] == data_of(call(2, "t"))

    async with ScriptedServer(then=second) as server:
        steps, text = await theirs(server.url)
    assert steps == [message["params"]["progress"] for message in messages[:-1]] == [1, 2]
    assert text == messages[-1]["result"]["content"][0]["text"]
    assert asked(first.requests) == asked(second.requests)


@pytest.mark.anyio
@ON_ASYNCIO
async def test_an_answer_without_a_stream() -> None:
    """JSON alone, as any server may answer."""
    result = {"content": [{"type": "text", "text": "14 boats"}], "isError": False}
    async with ScriptedServer(then=Server(0, {"result": result})) as server:
        (message,) = await ours(server.url)
        _, text = await theirs(server.url)
    assert text == message["result"]["content"][0]["text"] == "14 boats"


@pytest.mark.anyio
@ON_ASYNCIO
async def test_an_error_is_an_answer() -> None:
    """Their client raises it; a source hands it out, and ends."""
    from mcp.shared.exceptions import MCPError  # noqa: PLC0415 - as above

    error = {"code": -32602, "message": "no such tool"}
    async with ScriptedServer(then=Server(0, {"error": error})) as server:
        (message,) = await ours(server.url)
        with pytest.raises((MCPError, ExceptionGroup)) as raised:
            await theirs(server.url)
    told: BaseException = raised.value  # in as many groups as there are tasks
    while isinstance(told, BaseExceptionGroup):
        told = told.exceptions[0]
    assert isinstance(told, MCPError)
    assert told.message == error["message"]
    assert message["error"] == error
