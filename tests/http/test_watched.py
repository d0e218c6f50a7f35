"""Reading from a caller's own client: what interrupts a pending read, and what does not."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from resilient_sse import (
    Disconnected,
    GiveUpError,
    ReconnectingEventSource,
    SyncReconnectingEventSource,
)
from resilient_sse._http.watched import close, watched
from resilient_sse.testing import (
    Connection,
    Ending,
    Gate,
    Recorder,
    ScriptedServer,
    event,
    forever,
    pause,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator

    from resilient_sse import Failure
    from resilient_sse._http.watched import Chunks

ONE, TWO = event("one", id="1"), event("two", id="2")

pytestmark = pytest.mark.anyio
on_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"])


def _at_once(_failure: Failure) -> float:
    return 0.0


@asynccontextmanager
async def source(
    server: ScriptedServer, **options: Any
) -> AsyncGenerator[ReconnectingEventSource, None]:
    """Open a source on a client of the caller's, that reconnects at once."""
    options = {"policy": _at_once, **options}
    async with (
        httpx.AsyncClient() as client,
        ReconnectingEventSource(server.url, client=client, **options) as made,
    ):
        yield made


@asynccontextmanager
async def reading(
    body: AsyncIterator[bytes], seconds: float | None
) -> AsyncGenerator[Chunks, None]:
    """Watch over a body that is not on any network."""
    request = httpx.Request("GET", "http://localhost/")
    response = httpx.Response(200, stream=_Stream(body), request=request)
    chunks = watched(response, seconds)
    try:
        yield chunks
    finally:
        await close(response, chunks)


class _Stream(httpx.AsyncByteStream):
    def __init__(self, body: AsyncIterator[bytes]) -> None:
        self._body = body

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._body


# -- Silence -----------------------------------------------------------------------------------


@pytest.mark.timing
async def test_silence_ends_a_read() -> None:
    """After the idle timeout the stream is opened anew, and goes on from its cursor."""
    recorder = Recorder()
    with ScriptedServer([Connection(ONE, ending=Ending.SILENCE), Connection(TWO)]) as server:
        async with source(server, idle_timeout=0.1, hooks=[recorder]) as events:
            assert [(await anext(events)).data for _ in range(2)] == ["one", "two"]
        assert [lost.failure.kind for lost in recorder.of(Disconnected) if lost.failure] == ["idle"]
        assert server.requests[1].headers["last-event-id"] == "1"


@pytest.mark.timing
async def test_heartbeats_are_no_silence() -> None:
    """Every byte begins the idle timeout anew, for as long as they come."""
    beats = [step for _ in range(10) for step in (pause(0.05), event("beat"))]
    with ScriptedServer([Connection(*beats, TWO)]) as server:
        async with source(server, idle_timeout=0.2) as events:
            assert [(await anext(events)).data for _ in range(11)][-1] == "two"
        assert len(server.requests) == 1


@pytest.mark.timing
async def test_a_slow_consumer_is_no_silence() -> None:
    """Only the time that a read waits counts, not what the consumer takes between two."""
    gate = Gate()
    with ScriptedServer([Connection(ONE, gate, TWO)]) as server:
        async with source(server, idle_timeout=0.1) as events:
            await anext(events)
            await anyio.sleep(0.25)
            gate.open()
            assert (await anext(events)).data == "two"
        assert len(server.requests) == 1


async def test_no_idle_timeout() -> None:
    """Without one a stream may be silent for ever, and can be closed nevertheless."""
    with ScriptedServer([Connection(ONE, ending=Ending.SILENCE)]) as server:
        async with source(server, idle_timeout=None) as events, anyio.create_task_group() as tasks:
            await anext(events)
            tasks.start_soon(_soon, events.aclose)
            assert [each async for each in events] == []


@pytest.mark.timing
async def test_a_transport_that_knows_one_read_timeout() -> None:
    """The time to the headers is not told to the client as a read timeout, which it might keep."""
    seen: list[Any] = []

    async def note(request: httpx.Request) -> None:
        seen.append(dict(request.extensions["timeout"]))

    with ScriptedServer([Connection(ONE)]) as server:
        async with (
            httpx.AsyncClient(event_hooks={"request": [note]}) as client,
            ReconnectingEventSource(server.url, client=client, connect_timeout=0.5) as events,
        ):
            await anext(events)
    assert [timeout["read"] for timeout in seen] == [None]


@pytest.mark.timing
@on_asyncio
async def test_aiohttp_under_httpx() -> None:
    """Which keeps the read timeout that it was sent with; only the idle timeout counts."""
    httpx_aiohttp = pytest.importorskip("httpx_aiohttp")
    with ScriptedServer([Connection(ONE, pause(0.6), TWO, ending=Ending.SILENCE)]) as server:
        async with (
            httpx.AsyncClient(transport=httpx_aiohttp.AiohttpTransport()) as client,
            ReconnectingEventSource(server.url, client=client, connect_timeout=0.3) as events,
            anyio.create_task_group() as tasks,
        ):
            assert [(await anext(events)).data for _ in range(2)] == ["one", "two"]
            tasks.start_soon(_soon, events.aclose)
            assert [each async for each in events] == []
        assert len(server.requests) == 1


# -- Interruption ------------------------------------------------------------------------------


async def _soon(call: Any) -> None:
    await anyio.sleep(0.05)
    await call()


async def test_reconnecting_ends_a_read() -> None:
    """From another task, and the task that read goes on as if nothing had been."""
    with ScriptedServer([Connection(ONE, ending=Ending.SILENCE), Connection(TWO)]) as server:
        async with source(server) as events, anyio.create_task_group() as tasks:
            await anext(events)
            tasks.start_soon(_soon, events.reconnect)
            assert (await anext(events)).data == "two"
            await anyio.lowlevel.checkpoint()  # which would raise if a cancellation were left


async def test_a_busy_stream_that_is_interrupted() -> None:
    """It ends although its reads never wait for long."""
    with ScriptedServer([Connection(forever(event("x")))]) as server:
        async with source(server) as events, anyio.create_task_group() as tasks:
            tasks.start_soon(_soon, events.aclose)
            assert {each.data async for each in events} <= {"x"}


@pytest.mark.timing
@on_asyncio
async def test_no_cancellation_is_left_behind() -> None:
    """The task does not count a cancellation that was the source's own."""
    task = asyncio.current_task()
    assert task is not None
    with ScriptedServer([Connection(ONE, ending=Ending.SILENCE), Connection(TWO)]) as server:
        async with source(server, idle_timeout=0.1) as events:
            assert [(await anext(events)).data for _ in range(2)] == ["one", "two"]
            assert task.cancelling() == 0


@on_asyncio
@pytest.mark.parametrize("first", ["cancel", "reconnect"])
async def test_interrupted_and_cancelled_at_once(first: str) -> None:
    """A cancellation from outside is never lost, whichever came first."""
    with ScriptedServer(then=Connection(ONE, ending=Ending.SILENCE)) as server:
        async with source(server) as events:
            await anext(events)
            task = asyncio.create_task(anext(events))
            await asyncio.sleep(0.05)
            if first == "cancel":
                task.cancel()
                events.reconnect()
            else:
                events.reconnect()
                task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


@pytest.mark.timing
async def test_a_scope_around_an_interrupted_read() -> None:
    """A timeout of the consumer's is its own, before and after an interruption."""
    with ScriptedServer(then=Connection(ONE, ending=Ending.SILENCE)) as server:
        async with source(server, idle_timeout=0.1) as events:
            await anext(events)
            await anext(events)  # of the second connection
            with anyio.move_on_after(0.05) as scope:
                await anext(events)
            assert scope.cancelled_caught


@on_asyncio
async def test_a_body_that_turns_the_interruption_into_an_error() -> None:
    """Its error is what comes out, and no cancellation is left."""

    async def body() -> AsyncIterator[bytes]:
        yield b"x"
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise httpx.ReadError("mine") from None

    task = asyncio.current_task()
    assert task is not None
    async with reading(body(), 60.0) as chunks:
        assert await anext(chunks) == b"x"
        asyncio.get_running_loop().call_later(0.05, chunks.abort)
        with pytest.raises(httpx.ReadError, match="mine"):
            await anext(chunks)
    assert task.cancelling() == 0


@on_asyncio
async def test_a_body_that_interrupts_itself() -> None:
    """What runs cannot be interrupted, and is not cancelled wherever it waits next."""
    waits = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        chunks.abort()
        yield b"x"
        await waits.wait()

    async with reading(body(), 60.0) as chunks:
        assert await anext(chunks) == b"x"
        await asyncio.sleep(0)


async def test_aborting_what_nobody_reads() -> None:
    """It does nothing: the driver drops the connection before it reads again."""

    async def body() -> AsyncIterator[bytes]:
        yield b"x"

    async with reading(body(), None) as chunks:
        chunks.abort()
        assert await anext(chunks) == b"x"


async def test_closing_a_body_in_the_middle() -> None:
    """Its generators are unwound, so that none is left to the garbage collector."""
    unwound = False

    async def body() -> AsyncIterator[bytes]:
        nonlocal unwound
        try:
            yield b"x"
            await anyio.sleep(60)
        finally:
            unwound = True

    async with reading(body(), 60.0) as chunks:
        await anext(chunks)
    assert unwound


async def test_cancelled_read() -> None:
    """A cancelled scope around a read is the consumer's, and comes out as a cancellation."""

    async def body() -> AsyncIterator[bytes]:
        await anyio.sleep(60)
        yield b"x"

    async with reading(body(), 60.0) as chunks:
        with anyio.move_on_after(0.02) as scope, suppress(httpx.HTTPError):
            await anext(chunks)
        assert scope.cancelled_caught


# -- Interrupted while a connection is closed ------------------------------------------------------

TOO_LARGE = b"data: " + b"x" * 100


class _HardToClose(_Stream):
    def __init__(self, body: AsyncIterator[bytes]) -> None:
        super().__init__(body)
        self.closing = asyncio.Event()

    async def aclose(self) -> None:
        self.closing.set()
        await asyncio.sleep(60)


class _Interrupted(httpx.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        yield TOO_LARGE

    def close(self) -> None:
        raise KeyboardInterrupt


def _answering(stream: Any) -> httpx.MockTransport:
    headers = {"content-type": "text/event-stream"}
    return httpx.MockTransport(lambda _: httpx.Response(200, headers=headers, stream=stream))


@on_asyncio
async def test_cancelled_while_it_closes_a_connection() -> None:
    """No scope protects from asyncio's own cancellation; the failure counts nevertheless."""

    async def body() -> AsyncIterator[bytes]:
        yield TOO_LARGE

    stream, recorder = _HardToClose(body()), Recorder()
    async with (
        httpx.AsyncClient(transport=_answering(stream)) as client,
        ReconnectingEventSource(
            "http://localhost/", client=client, max_event_size=50, hooks=[recorder]
        ) as made,
    ):
        pull = asyncio.ensure_future(anext(made))
        await stream.closing.wait()
        pull.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pull
        assert recorder.names == ["Connecting", "Connected", "Disconnected"]
        with pytest.raises(GiveUpError, match="too_large"):
            await anext(made)
    assert recorder.names[3:] == ["GaveUp", "Closed"]


def test_interrupted_while_it_closes_a_connection() -> None:
    """The same in a thread."""
    recorder = Recorder()
    with (
        httpx.Client(transport=_answering(_Interrupted())) as client,
        SyncReconnectingEventSource(
            "http://localhost/", client=client, max_event_size=50, hooks=[recorder]
        ) as made,
    ):
        with pytest.raises(KeyboardInterrupt):
            next(made)
        assert recorder.names == ["Connecting", "Connected", "Disconnected"]
        with pytest.raises(GiveUpError, match="too_large"):
            next(made)
    assert recorder.names[3:] == ["GaveUp", "Closed"]
