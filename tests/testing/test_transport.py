"""`ScriptedTransport`: what is its own; the stories are told in test_testing_endings."""

from __future__ import annotations

import math
import threading
import time

import anyio
import httpx
import pytest
from anyio.lowlevel import checkpoint

from resilient_sse.testing import (
    Connection,
    Ending,
    Gate,
    ScriptedTransport,
    event,
    forever,
    no_answer,
)
from tests.support import both

over_both_libraries = both.over_both_libraries

URL = "http://memory/events?a=%20"


def test_requests_are_recorded_as_a_server_would() -> None:
    """Path and query are those of the wire; the response tells the HTTP version."""
    transport = ScriptedTransport([Connection(event("x"), http_version="1.0")])
    with httpx.Client(transport=transport) as client:
        response = client.post(URL, json={"a": 1}, headers={"Last-Event-ID": "7"})
    (request,) = transport.requests
    assert response.http_version == "HTTP/1.0"
    assert (request.path, request.query, request.last_event_id) == ("/events", "a=%20", "7")
    assert request.json() == {"a": 1}
    assert 0 < request.time <= time.monotonic()


def test_headers_are_sent_as_a_server_would() -> None:
    """In UTF-8."""
    answer = Connection(event("x"), headers={"X-Name": "é"})
    with httpx.Client(transport=ScriptedTransport([answer])) as client:
        assert client.get(URL).headers["x-name"] == "é"


def test_gates_hold_the_script() -> None:
    """A gate that another thread opens lets the body go on."""
    gate = Gate()
    with httpx.Client(transport=ScriptedTransport([Connection(gate, event("x"))])) as client:
        threading.Timer(0.01, gate.open).start()
        assert client.get(URL).text == "data: x\n\n"


def test_gates_obey_the_read_timeout() -> None:
    """Waiting at a gate is silence."""
    transport = ScriptedTransport([Connection(Gate())])
    with (
        httpx.Client(transport=transport, timeout=0.01) as client,
        pytest.raises(httpx.ReadTimeout),
    ):
        client.get(URL)


@pytest.mark.parametrize(
    "connection", [Connection(ending=Ending.SILENCE), no_answer(Ending.SILENCE)]
)
def test_closing_the_transport_ends_blocked_readers(connection: Connection) -> None:
    """Without a timeout silence lasts until another thread closes the transport."""
    transport = ScriptedTransport([connection])
    threading.Timer(0.02, transport.close).start()
    client = httpx.Client(transport=transport, timeout=httpx.Timeout(None))
    with client, pytest.raises(httpx.ReadError, match="closed"):
        client.get(URL)
    assert transport.open_connections == 0


@pytest.mark.anyio
@pytest.mark.parametrize(
    "connection", [Connection(ending=Ending.SILENCE), no_answer(Ending.SILENCE)]
)
async def test_closing_the_transport_ends_waiting_tasks(connection: Connection) -> None:
    """The same in an event loop."""
    transport = ScriptedTransport([connection])
    client = httpx.AsyncClient(transport=transport, timeout=httpx.Timeout(None))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_close_soon, transport)
        with pytest.raises(httpx.ReadError, match="closed"):
            await client.get(URL)
    assert transport.open_connections == 0


async def _close_soon(transport: ScriptedTransport) -> None:
    await anyio.sleep(0.01)
    await transport.aclose()


@pytest.mark.anyio
async def test_leaving_a_stream_early_leaves_nothing_behind() -> None:
    """A response is open until it is closed; a flood does not starve other tasks."""
    transport = ScriptedTransport([Connection(forever(event("x")))])
    async with httpx.AsyncClient(transport=transport) as client:
        async with client.stream("GET", URL) as response:
            assert transport.open_connections == 1
            with anyio.move_on_after(0.02) as scope:
                async for _ in response.aiter_raw():
                    pass
            assert scope.cancelled_caught
        assert transport.open_connections == 0
    await checkpoint()


@pytest.mark.anyio
async def test_silence_without_a_timeout_can_be_cancelled() -> None:
    """It waits for ever, in the event loop's own way."""
    transport = ScriptedTransport([Connection(ending=Ending.SILENCE)])
    async with httpx.AsyncClient(transport=transport, timeout=httpx.Timeout(None)) as client:
        with anyio.move_on_after(0.01) as scope:
            await client.get(URL)
    assert scope.cancelled_caught
    assert not math.isinf(scope.deadline)
