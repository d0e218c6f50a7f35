"""The client under a source: its own, a shared one, and what either sets on the socket."""

from __future__ import annotations

import importlib
import socket
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from resilient_sse import Connected
from resilient_sse.testing import Connection, Ending, Gate, event

if TYPE_CHECKING:
    from tests.support.runners import World

ONE, TWO = event("one", id="1"), event("two", id="2")


def test_keepalive_of_the_own_client(home: World) -> None:
    """TCP keepalive is on: a peer that vanished is found without any heartbeat."""
    server = home.serve(Connection(ONE, ending=Ending.SILENCE))
    reading = home.read(server)
    reading.wait_for_events(1)
    stream = reading.source.response.extensions["network_stream"]
    sock: socket.socket = stream.get_extra_info("socket")
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    times = [
        sock.getsockopt(socket.IPPROTO_TCP, option)
        for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
    ]
    assert times == [30, 10, 3]


def test_more_streams_than_a_pool_holds(home: World) -> None:
    """A hundred and ten streams, each with its own client, are all open at once."""
    server = home.serve(then=Connection(ONE, ending=Ending.SILENCE))
    readings = [home.read(server) for _ in range(110)]
    for reading in readings:
        reading.wait_for_events(1)
    server.wait_for_connections(110)


@pytest.mark.timing
def test_shared_client_without_a_free_connection(world: World) -> None:
    """A caller's pool that is full is a timeout whose message names the cause."""
    world.stack = world.stack._replace(client=world.stack.library)
    limits = importlib.import_module(world.stack.client).Limits(max_connections=1)
    world._client = world.call(lambda: world.make_client(limits=limits))
    server = world.serve(then=Connection(ONE, ending=Ending.SILENCE))
    world.read(server).wait_for_events(1)
    second = world.read(server, connect_timeout=2.0, policy=lambda _failure: None)
    second.join()
    assert second.error is not None
    assert second.kinds == ["timeout"]
    assert "PoolTimeout: all connections of the client are in use" in str(second.error)


def test_two_sources_on_one_client(world: World) -> None:
    """Streams that share a client do not disturb each other, and leave it open."""
    gate = Gate()
    server = world.serve(Connection(ONE, gate, TWO), Connection(ONE, ending=Ending.SILENCE))
    first = world.read(server)
    first.wait_for_events(1)
    second = world.read(server)
    second.wait_for_events(1)
    second.close()
    gate.open()
    assert first.wait().data == ["one", "two"]
    assert second.wait().data == ["one"]


def test_base_of_a_client(world: World) -> None:
    """What a caller's client brings along - headers, auth, cookies - is sent."""
    world.stack = world.stack._replace(client=world.stack.library)
    options: dict[str, Any] = {
        "headers": {"X-Mine": "yes", "Accept": "text/event-stream;q=1"},
        "auth": ("me", "secret"),
        "cookies": {"a": "b"},
    }
    world._client = world.call(lambda: world.make_client(**options))
    sent = world.run(Connection(ONE)).requests[0].headers
    assert sent["x-mine"] == "yes"
    assert sent["accept"] == "text/event-stream;q=1"
    assert sent["authorization"].startswith("Basic ")
    assert sent["cookie"] == "a=b"


@pytest.mark.timing
def test_client_with_a_short_timeout(world: World) -> None:
    """A client's own read timeout, 5 s in httpx, does not end a quiet stream."""
    world.stack = world.stack._replace(client=world.stack.library)
    world._client = world.call(lambda: world.make_client(timeout=0.05))
    gate = Gate()
    server = world.serve(Connection(gate, ONE, before_headers=0.1))
    reading = world.read(server)
    reading.recorder.wait_for(Connected)
    world.call(anyio.sleep, 0.1) if world.stack.is_async else None
    gate.open()
    assert reading.wait().data == ["one"]
    assert reading.kinds == ["ended"]


def test_client_that_raises_for_status(world: World) -> None:
    """A hook on the caller's client that raises ``HTTPStatusError`` is a status like any other."""
    world.stack = world.stack._replace(client=world.stack.library)

    def check(response: Any) -> None:
        response.raise_for_status()

    async def acheck(response: Any) -> None:
        response.raise_for_status()

    hook = acheck if world.stack.is_async else check
    world._client = world.call(lambda: world.make_client(event_hooks={"response": [hook]}))
    got = world.run(Connection(status=503, headers={"Retry-After": "7"}), Connection(ONE))
    assert got.data == ["one"]
    assert got.delays[0] == 7.0
    assert got.policy.failures[0].status_code == 503


@pytest.mark.parametrize("status", [401, 404])
def test_client_that_raises_for_a_final_status(home: World, status: int) -> None:
    """The same for a final one: the consumer gets a `GiveUpError` all the same."""
    home.stack = home.stack._replace(client=home.stack.library)

    def check(response: Any) -> None:
        response.raise_for_status()

    async def acheck(response: Any) -> None:
        response.raise_for_status()

    hook = acheck if home.stack.is_async else check
    home._client = home.call(lambda: home.make_client(event_hooks={"response": [hook]}))
    _, error = home.give_up(Connection(status=status))
    assert error.failure.status_code == status
