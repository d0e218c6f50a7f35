"""``close``, ``reconnect`` and leaving, in every state, from inside and from outside."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from anyio import to_thread

from resilient_sse import (
    Comment,
    Connected,
    Connecting,
    Dialect,
    Disconnected,
    GapDetected,
    RetryScheduled,
    Verdict,
)
from resilient_sse.testing import Connection, Ending, Gate, comment, event, no_answer, raw
from tests.support.lifecycle import assert_lifecycle
from tests.support.runners import closing, eventually

if TYPE_CHECKING:
    from resilient_sse import LifecycleEvent, ServerSentEvent
    from resilient_sse.testing import RecordedRequest, ScriptedServer
    from tests.support.runners import Reading, World

ONE, TWO, THREE = (event(name, id=str(n)) for n, name in enumerate(("one", "two", "three"), 1))
QUIET = Connection(ONE, ending=Ending.SILENCE)


def _connecting(world: World) -> tuple[Reading, ScriptedServer]:
    """A reading that waits for the headers."""
    server = world.serve(no_answer(Ending.SILENCE), QUIET)
    reading = world.read(server)
    eventually(lambda: server.requests)
    return reading, server


def _reading(world: World) -> tuple[Reading, ScriptedServer]:
    """A reading that waits for the next event."""
    server = world.serve(QUIET, Connection(TWO, ending=Ending.SILENCE))
    reading = world.read(server)
    reading.wait_for_events(1)
    return reading, server


def _waiting(world: World, seconds: float = 60.0) -> tuple[Reading, ScriptedServer]:
    """A reading that waits for its next attempt."""
    server = world.serve(Connection(ONE), Connection(TWO, ending=Ending.SILENCE))
    reading = world.read(server, waits=lambda _failure: seconds)
    reading.recorder.wait_for(RetryScheduled)
    eventually(lambda: reading.source.state == "waiting")
    return reading, server


# -- close -----------------------------------------------------------------------------------------


@pytest.mark.timing
@pytest.mark.parametrize("state", [_connecting, _reading])
def test_close_from_outside(world: World, state: Any) -> None:
    """The iteration ends at once and normally, and the connection is gone."""
    reading, server = state(world)
    started = time.monotonic()
    reading.close()
    reading.wait()
    assert time.monotonic() - started < 1
    assert reading.source.state == "closed"
    server.wait_for_connections(0)
    assert reading.recorder.names[-1] == "Closed"


def test_close_during_a_wait(loop: World) -> None:
    """On an event loop a wait of a minute ends at once."""
    reading, server = _waiting(loop)
    reading.close()
    assert reading.wait().data == ["one"]
    assert len(server.requests) == 1
    assert reading.recorder.names[-2:] == ["RetryScheduled", "Closed"]


def test_close_during_a_wait_of_a_thread(thread: World) -> None:
    """In a thread the wait runs out, and no other request is made."""
    reading, server = _waiting(thread, 0.3)
    reading.close()
    assert reading.source.state == "closed"
    assert reading.wait().data == ["one"]
    assert len(server.requests) == 1
    assert reading.recorder.names[-2:] == ["RetryScheduled", "Closed"]


def test_close_in_the_loop_body(world: World) -> None:
    """Nothing is delivered after it, not even what was received with the event at hand."""
    both = Connection(raw(ONE + TWO), ending=Ending.SILENCE)
    server = world.serve(both)
    reading = world.read(server, on_event=lambda source, _event: closing(source)).wait()
    assert reading.data == ["one"]
    assert reading.source.last_event_id == "1"


def test_close_while_the_consumer_works(world: World) -> None:
    """What was received and not delivered yet is dropped; the cursor names what was delivered."""
    server = world.serve(Connection(raw(ONE + TWO + THREE), ending=Ending.SILENCE))
    released = threading.Event()
    reading = world.read(server, on_event=_hold(world, released))
    reading.wait_for_events(1)
    reading.close()
    released.set()
    assert reading.wait().data == ["one"]
    assert reading.source.last_event_id == "1"
    server.wait_for_connections(0)


def _hold(world: World, released: threading.Event) -> Any:
    """A loop body that holds the consumer until it is released."""

    async def wait(_source: Any, _event: Any) -> None:
        await to_thread.run_sync(released.wait)

    def wait_here(_source: Any, _event: Any) -> None:
        released.wait()

    return wait if world.stack.is_async else wait_here


@pytest.mark.parametrize("kind", [Connecting, Connected, Disconnected, RetryScheduled])
def test_close_from_a_hook(home: World, kind: type[LifecycleEvent]) -> None:
    """Closing is allowed at every point of the life, also in the middle of a decision."""
    sources: list[Any] = []

    def close(event: LifecycleEvent) -> None:
        if isinstance(event, kind) and sources:
            source = sources[0]
            if home.stack.is_async:
                _begin(source.aclose())
            else:
                source.close()

    server = home.serve(Connection(ONE), Connection(TWO, ending=Ending.SILENCE))
    source, recorder, _ = home.source(server, hooks=[close])
    sources.append(source)
    home.call(_drain(home, source))
    assert source.state == "closed"
    assert recorder.names[-1] == "Closed"
    server.wait_for_connections(0)


@pytest.mark.parametrize("kind", [Connecting, Connected, Comment, Disconnected, RetryScheduled])
def test_close_from_the_first_of_two_hooks(home: World, kind: type[LifecycleEvent]) -> None:
    """The hook behind it hears everything in order, too."""
    sources: list[Any] = []
    heard: list[LifecycleEvent] = []

    def close(event: LifecycleEvent) -> None:
        if isinstance(event, kind):
            _close_now(home, sources[0])

    server = home.serve(Connection(comment("hi"), ONE), Connection(TWO, ending=Ending.SILENCE))
    source, _, _ = home.source(server, hooks=[close, heard.append])
    sources.append(source)
    home.call(_drain(home, source))
    assert_lifecycle(heard)


def test_close_from_a_hook_that_hears_a_comment(home: World) -> None:
    """What came with the comment is not delivered, and the cursor does not claim it was."""
    sources: list[Any] = []

    def close(event: LifecycleEvent) -> None:
        if isinstance(event, Comment):
            _close_now(home, sources[0])

    chunk = raw(comment("bye") + TWO + comment("still there?"))
    server = home.serve(Connection(chunk, ending=Ending.SILENCE))
    source, recorder, _ = home.source(server, hooks=[close], last_event_id="1")
    sources.append(source)
    assert home.call(_drain(home, source)) == []
    assert source.last_event_id == "1"
    assert_lifecycle(recorder.events)


@pytest.mark.parametrize("on_gap", ["continue", "give up"])
def test_close_from_a_hook_that_hears_of_a_gap(home: World, on_gap: str) -> None:
    """Nobody gives up, and nothing more is delivered."""
    sources: list[Any] = []

    def close(event: LifecycleEvent) -> None:
        if isinstance(event, GapDetected):
            _close_now(home, sources[0])

    def judge(event: ServerSentEvent) -> Verdict:
        return Verdict.GAP if event.data == "two" else Verdict.DELIVER

    server = home.serve(Connection(ONE, TWO, ending=Ending.SILENCE))
    source, recorder, _ = home.source(
        server, hooks=[close], dialect=Dialect(judge=judge), on_gap=on_gap
    )
    sources.append(source)
    assert home.call(_drain(home, source)) == ["one"]
    assert source.last_event_id == "1"
    assert_lifecycle(recorder.events)


@pytest.mark.parametrize("what", ["close", "reconnect"])
def test_hook_that_ends_the_wait_of_a_thread(thread: World, what: str) -> None:
    """Nobody waits for what a hook has called off already."""
    sources: list[Any] = []

    def call_off(event: LifecycleEvent) -> None:
        if isinstance(event, RetryScheduled):
            getattr(sources[0], what)()

    gate = Gate()
    server = thread.serve(Connection(ONE, gate))
    reading = thread.read(server, hooks=[call_off], waits=lambda _failure: 60.0)
    sources.append(reading.source)
    gate.open()
    assert reading.wait().data == ["one"]
    assert [retry.delay for retry in reading.recorder.of(RetryScheduled)] == [60.0]
    assert len(server.requests) == {"close": 1, "reconnect": 2}[what]


def test_response_of_a_closed_source(world: World) -> None:
    """There is none any more, from the moment it is closed."""
    reading, _ = _reading(world)
    seen: list[Any] = []

    async def close() -> None:
        await reading.source.aclose()
        seen.append(reading.source.response)

    def close_here() -> None:
        reading.source.close()
        seen.append(reading.source.response)

    world.call(close if world.stack.is_async else close_here)
    assert seen == [None]


def test_response_without_content(home: World) -> None:
    """A 204 is no open connection for hooks to look at."""
    sources: list[Any] = []
    seen: list[Any] = []

    def look(_event: LifecycleEvent) -> None:
        seen.append(sources[0].response)

    source, _, _ = home.source(home.serve(), hooks=[look])
    sources.append(source)
    home.call(_drain(home, source))
    assert seen == [None, None]


def _close_now(world: World, source: Any) -> None:
    """Close a source from a hook."""
    if world.stack.is_async:
        _begin(source.aclose())
    else:
        source.close()


def _begin(coroutine: Any) -> None:
    """Run a coroutine up to its first pause; closing a source that is being pulled has none."""
    with pytest.raises(StopIteration):
        coroutine.send(None)


def _drain(world: World, source: Any) -> Any:
    """Make a function that reads a source to its end in its own runtime."""

    async def drain() -> list[str]:
        async with source:
            return [event.data async for event in source]

    def drain_here() -> list[str]:
        with source:
            return [event.data for event in source]

    return drain if world.stack.is_async else drain_here


def test_close_from_the_policy(home: World) -> None:
    """A policy that closes the source has the last word, whatever it returns."""
    sources: list[Any] = []

    def policy(_failure: object) -> float:
        if home.stack.is_async:
            _begin(sources[0].aclose())
        else:
            sources[0].close()
        return 0.0

    server = home.serve(Connection(ONE), Connection(TWO))
    source, recorder, _ = home.source(server, policy=policy)
    sources.append(source)
    assert home.call(_drain(home, source)) == ["one"]
    assert len(server.requests) == 1
    assert recorder.names[-2:] == ["Disconnected", "Closed"]


def test_close_before_a_failure(home: World) -> None:
    """An attempt that fails when the source is closed already ends it normally."""

    def prepare(_request: Any, _attempt: Any) -> None:
        if home.stack.is_async:
            _begin(source.aclose())
        else:
            source.close()
        raise httpx.ConnectError("the token server is gone")

    source, recorder, _ = home.source(home.serve(Connection(ONE)), prepare_request=prepare)
    assert home.call(_drain(home, source)) == []
    assert recorder.names == ["Connecting", "Closed"]


@pytest.mark.parametrize("answer", [Connection(), Connection(ONE)], ids=["end", "event"])
def test_close_at_any_moment(home: World, answer: Connection) -> None:
    """A source that reconnects as fast as it can is closed from outside at fifteen moments."""
    _close_at_many_moments(home, answer)


def test_close_at_any_moment_of_a_bad_time(home: World) -> None:
    """The same while every attempt fails."""
    _close_at_many_moments(home, Connection(status=503))


def _close_at_many_moments(home: World, answer: Connection) -> None:
    server = home.serve(then=answer)
    for moment in range(15):
        reading = home.read(server, policy=lambda _failure: 0.0)
        time.sleep(moment * 0.0007)
        reading.close()
        delivered = len(reading.events)
        reading.wait()
        assert len(reading.events) - delivered <= 1  # the one that was being handed out
        assert_lifecycle(reading.recorder.events)


@pytest.mark.parametrize("kind", [Connecting, Connected, Disconnected, RetryScheduled])
def test_reconnect_from_a_hook(home: World, kind: type[LifecycleEvent]) -> None:
    """Asking for it once, at any point of the life, loses and repeats nothing."""
    sources: list[Any] = []

    def reconnect(event: LifecycleEvent) -> None:
        if isinstance(event, kind) and sources:
            sources.pop().reconnect()

    server = home.serve(then=_next_three)
    source, recorder, _ = home.source(server, hooks=[reconnect])
    sources.append(source)
    assert home.call(_drain(home, source)) == ["1", "2", "3"]
    assert_lifecycle(recorder.events)


def _next_three(request: RecordedRequest) -> Connection:
    number = int(request.last_event_id or "0") + 1
    if number > 3:
        return Connection(status=204)
    return Connection(event(str(number), id=str(number)))


def test_close_twice_and_too_early(home: World) -> None:
    """Closing is idempotent; a source that was closed first ends at once, without a request."""
    server = home.serve(QUIET)
    source, recorder, _ = home.source(server)
    home.call(lambda: closing(source))
    home.call(lambda: closing(source))
    assert home.call(_drain(home, source)) == []
    assert server.requests == []
    assert recorder.names == ["Closed"]


def test_leaving_early(world: World) -> None:
    """Leaving the loop and the block closes the connection at once."""
    server = world.serve(QUIET)
    source, recorder, _ = world.source(server)

    async def first() -> str:
        async with source:
            async for each in source:
                return str(each.data)
        raise AssertionError

    def first_here() -> str:
        with source:
            for each in source:
                return str(each.data)
        raise AssertionError

    assert world.call(first if world.stack.is_async else first_here) == "one"
    server.wait_for_connections(0)
    assert recorder.names == ["Connecting", "Connected", "Disconnected", "Closed"]


def test_exception_in_the_loop_body(world: World) -> None:
    """It comes out untouched, and the connection is closed."""

    def fail(_source: Any, _event: Any) -> None:
        raise LookupError("mine")

    server = world.serve(QUIET)
    reading = world.read(server, on_event=fail)
    with pytest.raises(LookupError, match="mine"):
        reading.wait()
    server.wait_for_connections(0)


# -- reconnect -------------------------------------------------------------------------------------


def test_reconnect_while_reading(world: World) -> None:
    """The connection is dropped, and the next one resumes; it counts as no failure."""
    reading, server = _reading(world)
    reading.reconnect()
    reading.wait_for_events(2)
    assert reading.data == ["one", "two"]
    assert server.requests[1].last_event_id == "1"
    assert reading.delays == []
    assert reading.recorder.of(Disconnected)[0].failure is None


def test_reconnect_while_connecting(world: World) -> None:
    """An attempt that hangs is dropped for a new one; it counts as no failure."""
    reading, server = _connecting(world)
    reading.reconnect()
    reading.wait_for_events(1)
    assert reading.data == ["one"]
    assert len(server.requests) == 2
    assert reading.delays == []


def test_reconnect_during_a_wait(loop: World) -> None:
    """On an event loop a wait of a minute ends at once, with an attempt."""
    reading, _ = _waiting(loop)
    reading.reconnect()
    reading.wait_for_events(2)
    assert reading.data == ["one", "two"]


def test_reconnect_during_a_wait_of_a_thread(thread: World) -> None:
    """In a thread the wait runs out, and one attempt follows."""
    reading, server = _waiting(thread, 0.3)
    reading.reconnect()
    reading.wait_for_events(2)
    assert len(server.requests) == 2


def test_reconnect_in_the_loop_body(world: World) -> None:
    """What was received is delivered first, then the new connection resumes after it."""
    server = world.serve(
        Connection(raw(ONE + TWO), ending=Ending.SILENCE), Connection(THREE, ending=Ending.SILENCE)
    )

    def once(source: Any, event: Any) -> Any:
        return source.reconnect() if event.data == "one" else None

    reading = world.read(server, on_event=once)
    reading.wait_for_events(3)
    assert reading.data == ["one", "two", "three"]
    assert server.requests[1].last_event_id == "2"


def test_reconnect_again_and_again(home: World) -> None:
    """A program that reconnects after every event loses and repeats none."""
    script = [Connection(event(str(n), id=str(n)), ending=Ending.SILENCE) for n in range(20)]
    server = home.serve(*script)
    reading = home.read(server, on_event=lambda source, _event: source.reconnect()).wait()
    assert reading.data == [str(n) for n in range(20)]
    assert reading.delays == []


def test_reconnect_after_the_end(home: World) -> None:
    """It does nothing then."""
    got = home.run(Connection(status=204))
    got.reconnect()
    assert got.source.state == "closed"
    assert len(got.requests) == 1


def test_reconnect_before_the_first_attempt(home: World) -> None:
    """There is nothing to drop yet: the first attempt is the new connection."""
    server = home.serve(Connection(ONE))
    source, _, _ = home.source(server)
    home.call(source.reconnect)
    assert home.call(_drain(home, source)) == ["one"]
    assert len(server.requests) == 2


# -- who may read ----------------------------------------------------------------------------------


def test_second_consumer(home: World) -> None:
    """Iterating while another task or thread does raises, and does not disturb the first."""
    gate = Gate()
    server = home.serve(Connection(ONE, gate, TWO))
    reading = home.read(server)
    reading.wait_for_events(1)
    with pytest.raises(RuntimeError, match="one source is for one consumer"):
        home.call(_next(home, reading.source))
    gate.open()
    assert reading.wait().data == ["one", "two"]


def _next(world: World, source: Any) -> Any:
    async def pull() -> Any:
        return await anext(aiter(source))

    return pull if world.stack.is_async else lambda: next(iter(source))


def test_outside_the_block(home: World) -> None:
    """Iterating before or after the block raises, and says what to write."""
    source, _, _ = home.source(home.serve(Connection(ONE)))
    what = "async with Reconnecting" if home.stack.is_async else "with SyncReconnecting"
    for _ in range(2):
        with pytest.raises(RuntimeError, match=f"inside the block: {what}"):
            home.call(_next(home, source))
        with pytest.raises(RuntimeError, match="inside the block"):
            source.batches()
        if source.state != "closed":
            assert home.call(_drain(home, source)) == ["one"]


def test_second_block(home: World) -> None:
    """A source is used once."""
    source, _, _ = home.source(home.serve(Connection(ONE)))
    home.call(_drain(home, source))
    with pytest.raises(RuntimeError, match="used once"):
        home.call(_drain(home, source))


def test_iterating_in_two_goes(home: World) -> None:
    """A loop that was left is taken up again inside the block, and nothing is lost."""
    server = home.serve(Connection(raw(ONE + TWO)), Connection(THREE))
    source, _, _ = home.source(server)

    async def twice() -> list[str]:
        async with source:
            first = [(await anext(aiter(source))).data]
            return first + [event.data async for event in source]

    def twice_here() -> list[str]:
        with source:
            first = [next(iter(source)).data]
            return first + [event.data for event in source]

    got = home.call(twice if home.stack.is_async else twice_here)
    assert got == ["one", "two", "three"]


def test_next_after_the_end(home: World) -> None:
    """An iterator that has ended stays at its end; a source that gave up does too."""
    source, _, _ = home.source(home.serve(Connection(status=404)))

    async def thrice() -> list[str]:
        seen = list[str]()
        async with source:
            for _ in range(3):
                try:
                    await anext(source)
                except Exception as error:
                    seen.append(type(error).__name__)
        return seen

    def thrice_here() -> list[str]:
        seen = list[str]()
        with source:
            for _ in range(3):
                try:
                    next(source)
                except Exception as error:
                    seen.append(type(error).__name__)
        return seen

    end = "StopAsyncIteration" if home.stack.is_async else "StopIteration"
    got = home.call(thrice if home.stack.is_async else thrice_here)
    assert got == ["GiveUpError", end, end]
