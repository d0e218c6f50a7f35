"""Cancelling the consumer, or interrupting it, in any state: at once, and nothing is left behind.

The worlds check that no task and no socket is left; warnings are errors.
"""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from resilient_sse import (
    Disconnected,
    Failure,
    RetryScheduled,
    ServerSentEvent,
    SSEDecoder,
    SyncReconnectingEventSource,
)
from resilient_sse.testing import (
    Connection,
    Ending,
    Gate,
    Recorder,
    ScriptedServer,
    event,
    no_answer,
    raw,
    redirect,
)
from tests.support.runners import AsyncReading, Stack, World, eventually, open_sockets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ONE, TWO = event("one", id="1"), event("two", id="2")
CLIENTS = [
    Stack(runtime, client)
    for runtime in ("asyncio", "trio")
    for client in ("own", "httpx", "httpx2")
]
SCRIPTS = {
    "connecting": [no_answer(Ending.SILENCE)],
    "redirected": [redirect("/x"), no_answer(Ending.SILENCE)],
    "excerpt": [Connection(raw("wait"), status=404, ending=Ending.SILENCE)],
    "reading": [Connection(ONE, ending=Ending.SILENCE)],
    "reading gzip": [Connection(ONE, ending=Ending.SILENCE, gzip=True)],
    "in an event": [Connection(ONE, raw("data: ha"), ending=Ending.SILENCE)],
    "waiting": [Connection(ONE)],
    "waiting for a status": [Connection(status=503)],
}


@pytest.fixture(params=CLIENTS, ids=str)
def loops(request: pytest.FixtureRequest) -> Iterator[World]:
    """Both event loops with every client."""
    with World(request.param) as made:
        yield made


def _reached(reading: Any, server: ScriptedServer, script: str) -> Callable[[], bool]:
    count = len(SCRIPTS[script])

    def reached() -> bool:
        if script.startswith("waiting"):
            return bool(reading.recorder.of(RetryScheduled))
        wants = 1 if "reading" in script or "event" in script else 0
        return len(server.requests) >= count and len(reading.events) >= wants

    return reached


@pytest.mark.timing
@pytest.mark.parametrize("script", SCRIPTS)
def test_cancel(loops: World, script: str) -> None:
    """The consumer ends at once, whatever it waits for; the lifecycle is told to its end."""
    server = loops.serve(*SCRIPTS[script])
    reading = loops.read(server, waits=lambda _failure: 60.0)
    assert isinstance(reading, AsyncReading)
    eventually(_reached(reading, server, script))
    started = time.monotonic()
    reading.cancel()
    reading.wait()
    assert time.monotonic() - started < 0.5
    server.wait_for_connections(0)
    gc.collect()  # so that a generator left behind would warn
    assert reading.recorder.names[-1] == "Closed"


@pytest.mark.parametrize("batched", [False, True])
def test_cancel_in_the_loop_body(loops: World, batched: bool) -> None:
    """The same while the consumer works on an event, with more of them received."""

    async def work(_source: Any, _event: Any) -> None:
        await anyio.sleep_forever()

    server = loops.serve(Connection(raw(ONE + TWO), ending=Ending.SILENCE))
    reading = loops.read(server, on_event=work, batched=batched)
    assert isinstance(reading, AsyncReading)
    reading.wait_for_events(1)
    reading.cancel()
    reading.wait()
    server.wait_for_connections(0)
    gc.collect()


@pytest.mark.timing
def test_timeout_around_the_next_event(loops: World) -> None:
    """A pull may time out again and again: the connection lasts where it can; nothing is lost."""
    gate = Gate()
    server = loops.serve(
        Connection(ONE, raw("data: t"), gate, raw("wo\n\n")), then=Connection(event("two"), gate)
    )
    source, recorder, _ = loops.source(server)

    async def read() -> list[str]:
        async with source:
            seen = [(await anext(source)).data]
            while len(seen) < 2:
                with anyio.move_on_after(0.05) as scope:
                    seen.append((await anext(source)).data)
                if scope.cancelled_caught:
                    gate.open()
            return seen

    assert loops.call(read) == ["one", "two"]
    if loops.stack == Stack("asyncio", "own"):
        assert len(server.requests) == 1
    else:
        assert server.requests[1].last_event_id == "1"
    assert recorder.names[-1] == "Closed"


@pytest.mark.timing
def test_silence_is_found_by_one_who_looks_in_between(loop: World) -> None:
    """Pulls that time out add up to ``idle_timeout``, where they do not break the connection."""
    # A look may end while it connects.
    server = loop.serve(Connection(ONE, ending=Ending.SILENCE), then=Connection(TWO))
    source, recorder, _ = loop.source(server, idle_timeout=0.3)

    async def read() -> list[str]:
        async with source:
            seen = [(await anext(source)).data]
            while len(seen) < 2:
                with anyio.move_on_after(0.05):
                    seen.append((await anext(source)).data)
            return seen

    assert loop.call(read) == ["one", "two"]
    kinds = [lost.failure and lost.failure.kind for lost in recorder.of(Disconnected)]
    assert kinds[0] == ("idle" if loop.stack.runtime == "asyncio" else None)


@pytest.mark.timing
def test_timeout_during_a_wait(loops: World) -> None:
    """The next pull waits for the rest, asks no policy again, and connects no earlier."""
    server = loops.serve(Connection(status=503), Connection(ONE))
    asked = list[float]()

    def policy(_failure: Failure) -> float:
        asked.append(time.monotonic())
        return 0.5

    source, recorder, _ = loops.source(server, waits=policy)

    async def read() -> float:
        async with source:
            while True:
                with anyio.move_on_after(0.2):
                    await anext(source)
                    return time.monotonic()

    connected = loops.call(read)
    assert len(asked) == 1
    assert connected - asked[0] >= 0.5
    assert len(server.requests) == 2
    assert [each.delay for each in recorder.of(RetryScheduled)] == [0.5]


@pytest.mark.timing
def test_reconnect_after_a_timeout_during_a_wait(loop: World) -> None:
    """What was left of the wait is dropped."""
    server = loop.serve(Connection(status=503), Connection(ONE))
    source, _, _ = loop.source(server, waits=lambda _failure: 60.0)

    async def read() -> None:
        async with source:
            with anyio.move_on_after(0.2):
                await anext(source)
            source.reconnect()
            assert (await anext(source)).data == "one"

    loop.call(read)
    assert len(server.requests) == 2


@pytest.mark.timing
def test_cancel_around_the_block(loops: World) -> None:
    """A deadline around the whole block ends it cleanly."""
    server = loops.serve(Connection(ONE, ending=Ending.SILENCE))
    source, recorder, _ = loops.source(server)

    async def read() -> bool:
        with anyio.move_on_after(0.05) as scope:
            async with source:
                async for _ in source:
                    pass
        return scope.cancelled_caught

    assert loops.call(read)
    server.wait_for_connections(0)
    gc.collect()
    assert recorder.names[-2:] == ["Disconnected", "Closed"]


def test_leaving_the_block_while_another_task_reads(loop: World) -> None:
    """The other task's iteration ends normally, before the block is left."""
    server = loop.serve(Connection(ONE, ending=Ending.SILENCE))
    source, _, _ = loop.source(server)
    seen, begun = list[str](), anyio.Event()

    async def read() -> None:
        async for each in source:
            seen.append(each.data)
            begun.set()
        seen.append("end")

    async def leave() -> None:
        async with anyio.create_task_group() as group:
            async with source:
                group.start_soon(read)
                await begun.wait()
            assert source.state == "closed"

    loop.call(leave)
    assert seen == ["one", "end"]


def test_leaving_the_block_while_another_thread_reads(thread: World) -> None:
    """The other thread's iteration ends normally, before the block is left."""
    server = thread.serve(Connection(ONE, ending=Ending.SILENCE))
    source, _, _ = thread.source(server)
    seen = list[str]()

    def read() -> None:
        seen.extend(each.data for each in source)
        seen.append("end")

    with source:
        reader = threading.Thread(target=read)
        reader.start()
        eventually(lambda: source.state == "open" and source.last_event_id)
    assert source.state == "closed"
    reader.join(5)
    assert seen == ["one", "end"]


# -- KeyboardInterrupt -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script", ["connecting", "redirected", "reading", "in an event", "waiting"]
)
def test_interrupt(script: str) -> None:
    """Control-C comes out of a blocking source at once, in any state, and leaves nothing open."""
    before = open_sockets()
    recorder = Recorder()
    with ScriptedServer(SCRIPTS[script]) as server:
        source = SyncReconnectingEventSource(
            server.url, hooks=[recorder], policy=lambda _failure: 60.0
        )
        presser = threading.Thread(target=_press, args=(source, server, recorder, script))
        presser.start()
        with pytest.raises(KeyboardInterrupt):
            _read(source)
        presser.join()
        server.wait_for_connections(0)
    assert recorder.names[-1] == "Closed"
    assert open_sockets() == before


def _read(source: SyncReconnectingEventSource, work: Callable[[], object] = int) -> None:
    with source:
        for _ in source:
            work()


def _press(source: Any, server: ScriptedServer, recorder: Recorder, script: str) -> None:
    """Send SIGINT to this process once the source has come to what the script is about."""
    if script == "waiting":
        recorder.wait_for(RetryScheduled)
        eventually(lambda: source.state == "waiting")
    else:
        server.wait_for_requests(len(SCRIPTS[script]))
        if script not in {"connecting", "redirected"}:
            eventually(lambda: source.last_event_id == "1")
    time.sleep(0.02)  # from the last thing that can be seen to the system call that blocks
    os.kill(os.getpid(), signal.SIGINT)


def test_interrupt_in_the_loop_body() -> None:
    """The same while the program works on an event."""
    before = open_sockets()
    with ScriptedServer([Connection(ONE, ending=Ending.SILENCE)]) as server:
        with pytest.raises(KeyboardInterrupt):
            _read(
                SyncReconnectingEventSource(server.url), lambda: signal.raise_signal(signal.SIGINT)
            )
        server.wait_for_connections(0)
    assert open_sockets() == before


@pytest.mark.timeout(20)
def test_interrupt_while_bytes_are_decoded() -> None:
    """What was half decoded comes again, over another connection."""

    class Interrupted(SSEDecoder):
        presses = 1

        def feed(self, chunk: Any) -> list[ServerSentEvent]:
            events = super().feed(chunk)
            if events and Interrupted.presses:
                Interrupted.presses -= 1
                raise KeyboardInterrupt
            return events

    with (
        ScriptedServer([Connection(ONE, ending=Ending.SILENCE), Connection(ONE)]) as server,
        SyncReconnectingEventSource(server.url, decoder=Interrupted) as source,
    ):
        with pytest.raises(KeyboardInterrupt):
            next(source)
        assert next(source).data == "one"
        assert len(server.requests) == 2
