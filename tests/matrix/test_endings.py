"""Connections that break: every event arrives once and in order, whatever the server does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import httpx
import pytest

from resilient_sse import (
    Connecting,
    Disconnected,
    ExponentialBackoff,
    FailureKind,
    ReconnectingEventSource,
)
from resilient_sse.testing import (
    Connection,
    Ending,
    Framing,
    HistoryServer,
    InstantRetries,
    Recorder,
    event,
    half_status_line,
    no_answer,
    raw,
    refused,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.runners import World

ONE, TWO = event("one", id="1"), event("two", id="2")
HALF = raw("id: 2\ndata: tw")
LOUD = [Ending.TRUNCATED, Ending.MID_CHUNK, Ending.RESET, Ending.GARBAGE]
BROKEN_HEADERS = raw("HTTP/1.1 200 OK\r\nContent-Type: text/event-str")


@pytest.mark.parametrize("ending", [*LOUD, Ending.CLEAN, Ending.CLOSE], ids=str)
def test_death_in_the_middle_of_an_event(world: World, ending: Ending) -> None:
    """Half an event is no event: the consumer sees it once, whole, from the next connection."""
    got = world.run(Connection(ONE, HALF, ending=ending), Connection(TWO))
    assert got.data == ["one", "two"]
    assert got.requests[1].last_event_id == "1"


@pytest.mark.parametrize("ending", [*LOUD, Ending.CLEAN, Ending.CLOSE], ids=str)
def test_death_between_two_events(world: World, ending: Ending) -> None:
    """What came before the end is delivered, and the cursor asks for what comes after it."""
    got = world.run(Connection(ONE, ending=ending), Connection(TWO))
    assert got.data == ["one", "two"]
    assert [request.last_event_id for request in got.requests] == ["", "1", "2"]
    assert got.kinds == [
        "ended" if ending in {Ending.CLEAN, Ending.CLOSE} else "transport",
        "ended",
    ]


@pytest.mark.parametrize("ending", [Ending.CLOSE, Ending.RESET], ids=str)
def test_death_in_the_headers(world: World, ending: Ending) -> None:
    """Nothing is seen of a response whose headers never end."""
    broken = Connection(BROKEN_HEADERS, framing=Framing.BARE, ending=ending)
    got = world.run(broken, Connection(ONE))
    assert got.data == ["one"]
    assert got.kinds == ["transport", "ended"]


@pytest.mark.parametrize("ending", [Ending.CLOSE, Ending.RESET, Ending.GARBAGE], ids=str)
def test_death_in_the_status_line(world: World, ending: Ending) -> None:
    """Nothing is seen of a response that has not begun."""
    got = world.run(half_status_line(ending), Connection(ONE))
    assert got.data == ["one"]
    assert got.kinds == ["transport", "ended"]


@pytest.mark.parametrize("ending", [Ending.CLOSE, Ending.RESET], ids=str)
def test_no_answer_at_all(world: World, ending: Ending) -> None:
    """A request that is read and never answered is sent again."""
    got = world.run(no_answer(ending), Connection(ONE))
    assert got.data == ["one"]
    assert len(got.requests) == 3


def test_connection_that_is_reset_at_once(world: World) -> None:
    """A connection that dies before the request was read costs nothing but an attempt."""
    got = world.run(refused(), Connection(ONE))
    assert got.data == ["one"]
    assert len(got.requests) == 2


@pytest.mark.timing
def test_silence(world: World) -> None:
    """A stream that falls silent for ``idle_timeout`` is reopened, and nothing is lost."""
    got = world.run(Connection(ONE, HALF, ending=Ending.SILENCE), Connection(TWO), idle_timeout=0.1)
    assert got.data == ["one", "two"]
    assert got.kinds == ["idle", "ended"]
    assert "0.1 s" in str(got.policy.failures[0].error)


class Stalling(httpx.AsyncByteStream):
    """A body that keeps no time, unlike a socket's: one event, then nothing for ever."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"data: one\n\n"
        await anyio.sleep_forever()


@pytest.mark.timing
@pytest.mark.anyio
async def test_silence_of_a_transport_without_timeouts() -> None:
    """A mock's or another library's stream that falls silent is reopened, too."""
    headers = {"Content-Type": "text/event-stream"}
    answers = iter([httpx.Response(200, headers=headers, stream=Stalling()), httpx.Response(204)])
    client = httpx.AsyncClient(transport=httpx.MockTransport(lambda _request: next(answers)))
    policy, recorder = InstantRetries(ExponentialBackoff()), Recorder()
    with anyio.fail_after(5):
        async with ReconnectingEventSource(
            "http://t/", client=client, idle_timeout=0.1, policy=policy, hooks=[recorder]
        ) as source:
            assert [event.data async for event in source] == ["one"]
    assert [failure.kind for failure in policy.failures] == [FailureKind.IDLE]
    assert 0.1 <= recorder.of(Disconnected)[0].seconds < 1


def test_chunks_of_one_byte(world: World) -> None:
    """How the bytes are cut up makes no difference to the consumer."""
    got = world.run(
        Connection(ONE, HALF, chunk_size=1, ending=Ending.TRUNCATED), Connection(TWO, chunk_size=1)
    )
    assert got.data == ["one", "two"]


def test_body_with_a_length(world: World) -> None:
    """A body that ends before its Content-Length is broken, and one that fills it has ended."""
    got = world.run(
        Connection(ONE, framing=Framing.LENGTH, ending=Ending.TRUNCATED),
        Connection(TWO, framing=Framing.LENGTH),
    )
    assert got.data == ["one", "two"]
    assert got.kinds == ["transport", "ended"]


def test_restart_on_the_same_port(world: World) -> None:
    """A server that goes and comes back costs no event, also none published meanwhile."""
    server = HistoryServer()
    world.host(server)
    for number in range(3):
        server.publish(f"before {number}")
    reading = world.read(server, waits=lambda _failure: 0.01)
    reading.wait_for_events(3)
    server.stop()
    server.publish("during")
    reading.recorder.wait_for(Connecting, count=3)
    server.start()
    reading.wait_for_events(4)
    server.publish("after")
    reading.wait_for_events(5)
    reading.close()
    assert reading.events == server.history
    assert "connect" in reading.kinds


def test_port_that_is_closed_at_first(world: World) -> None:
    """A server that is not there yet is a failure to connect, until it is."""
    server = world.serve(Connection(ONE))
    server.stop()
    reading = world.read(server, waits=lambda _failure: 0.01)
    reading.recorder.wait_for(Connecting, count=2)
    server.start()
    assert reading.wait().data == ["one"]
    assert reading.kinds[0] == "connect"


def test_many_deaths_in_a_row(world: World) -> None:
    """Each connection brings one event and breaks in another way: each arrives once, in order."""
    endings = [*LOUD, Ending.CLEAN, Ending.CLOSE] * 3
    script = [
        Connection(event(str(number), id=str(number)), HALF, ending=ending)
        for number, ending in enumerate(endings)
    ]
    got = world.run(*script)
    assert got.data == [str(number) for number in range(len(endings))]
    assert [request.last_event_id for request in got.requests] == ["", *got.data]
