"""A cursor store that fails: acknowledgement pauses, hooks are told, and the stream flows on."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import stamina

from resilient_sse import (
    CursorError,
    CursorStoreFailed,
    ExponentialBackoff,
    FailureKind,
    ReconnectingEventSource,
    SyncReconnectingEventSource,
)
from resilient_sse._session.hooks import Hooks
from resilient_sse._session.store_outage import StoreOutage
from resilient_sse.testing import HistoryServer, Recorder
from tests.support.session_settings import make_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_sse import Failure, RetryPolicy, ServerSentEvent

AT_ONCE = ExponentialBackoff(wait_initial=0.01, wait_max=0.01, wait_jitter=0)


class ShakyStore:
    """Fails as often as it is told to, always with the same exception object."""

    def __init__(self, loads: int = 0, saves: int = 0, error: Exception | None = None) -> None:
        self.load_failures, self.save_failures = loads, saves
        self.error = error or ConnectionError("no store")
        self.saves: list[str] = []

    def load(self, key: str, /) -> str | None:
        """Fail, or have nothing."""
        self.load_failures -= 1
        if self.load_failures >= 0:
            raise self.error
        return None

    def save(self, key: str, last_event_id: str, /) -> None:
        """Fail, or note it."""
        self.save_failures -= 1
        if self.save_failures >= 0:
            raise self.error
        self.saves.append(last_event_id)


@pytest.fixture
def server(sse_history: HistoryServer) -> HistoryServer:
    """A server with ten events."""
    for number in range(1, 11):
        sse_history.publish(f"event {number}")
    return sse_history


@pytest.mark.anyio
async def test_events_flow_while_saving_fails(server: HistoryServer) -> None:
    """The consumer notices nothing; hooks do; later the newest cursor is saved."""
    store, recorder = ShakyStore(saves=2), Recorder()
    async with ReconnectingEventSource(
        server.url, cursor=store, cursor_policy=AT_ONCE, hooks=[recorder]
    ) as source:
        for number in range(1, 10):
            assert (await anext(source)).id == str(number)
            if number % 3 == 0:
                await anyio.sleep(0.02)
        await anext(source)
    assert store.saves[-1] == "9"
    failures = recorder.of(CursorStoreFailed)
    assert [failure.attempt for failure in failures] == [1, 2]
    assert {failure.operation for failure in failures} == {"save"}
    assert {failure.key for failure in failures} == {server.url}
    assert failures[0].delay == 0.01
    assert recorder.names.count("Disconnected") == 1, "the stream did not suffer"


@pytest.mark.anyio
async def test_with_too_much_unsaved_the_source_waits_for_the_store(server: HistoryServer) -> None:
    """No more than max_unacked events are delivered beyond the saved cursor."""
    store, recorder = ShakyStore(saves=5), Recorder()
    slow = ExponentialBackoff(wait_initial=0.05, wait_max=0.05, wait_jitter=0)
    async with ReconnectingEventSource(
        server.url, cursor=store, cursor_policy=slow, max_unacked=4, hooks=[recorder]
    ) as source:
        for number in range(1, 5):
            assert (await anext(source)).id == str(number)
        assert store.saves == []
        assert (await anext(source)).id == "5"
        assert store.saves == ["4"]
    assert [failure.attempt for failure in recorder.of(CursorStoreFailed)] == [1, 2, 3, 4, 5]


@pytest.mark.anyio
async def test_closing_ends_the_wait_for_the_store(server: HistoryServer) -> None:
    """From another task, at once."""
    store = ShakyStore(saves=1000)
    async with ReconnectingEventSource(
        server.url, cursor=store, cursor_policy=lambda _: 60.0, max_unacked=1
    ) as source:
        await anext(source)
        async with anyio.create_task_group() as tasks:

            async def close_later() -> None:
                await anyio.sleep(0.05)
                await source.aclose()

            tasks.start_soon(close_later)
            with anyio.fail_after(5), pytest.raises(StopAsyncIteration):
                await anext(source)


@pytest.mark.timeout(20)
def test_closing_and_reconnecting_end_it_in_a_thread(server: HistoryServer) -> None:
    """At once: reconnecting has the store tried again, and closing ends the iteration."""
    store = ShakyStore(saves=1000)
    waiting = threading.Event()

    def policy(_failure: Failure) -> float:
        waiting.set()
        if store.save_failures == 998:
            source.reconnect()  # before the wait has begun
        return 600.0

    def tried_again(before: int) -> None:
        while store.save_failures >= before:
            time.sleep(0.01)

    with SyncReconnectingEventSource(
        server.url, cursor=store, cursor_policy=policy, max_unacked=1
    ) as source:
        reader = threading.Thread(target=lambda: list(source), daemon=True)
        reader.start()
        assert waiting.wait(10)
        tried_again(998)  # the first failure pauses the saving, the second is waited for
        before = store.save_failures
        source.reconnect()
        tried_again(before)
        source.close()
        reader.join(10)
        assert not reader.is_alive()


@pytest.mark.timeout(20)
@pytest.mark.parametrize("closes", [False, True])
def test_what_ends_the_wait_for_a_load_in_a_thread(server: HistoryServer, *, closes: bool) -> None:
    """Reconnecting has the store tried again, never left out; closing ends it."""
    store = ShakyStore(loads=1)
    store.load = lambda _key: ShakyStore.load(store, _key) or "8"  # type: ignore[method-assign]

    def policy(_failure: Failure) -> float:
        source.close() if closes else source.reconnect()
        return 600.0

    source = SyncReconnectingEventSource(server.url, cursor=store, cursor_policy=policy)
    with source:
        assert next(source, None) is None if closes else next(source).id == "9"


@pytest.mark.timeout(20)
def test_closing_during_the_wait_for_a_load_leaves_it_undone(server: HistoryServer) -> None:
    """The store, which may take long to fail, is not asked once more."""
    store = ShakyStore(loads=1000)
    source = SyncReconnectingEventSource(server.url, cursor=store, cursor_policy=lambda _: 600.0)

    def close() -> None:
        while store.load_failures == 1000 or source._saver._retries._awake is None:
            time.sleep(0.001)
        source.close()

    closer = threading.Thread(target=close)
    closer.start()
    with source:
        assert list(source) == []
    closer.join()
    assert store.load_failures == 999


@pytest.mark.anyio
async def test_closing_while_a_load_fails_leaves_it_undone(server: HistoryServer) -> None:
    """Nobody waits for the store any more."""
    store = ShakyStore(loads=1000)

    def policy(_failure: Failure) -> float:
        with pytest.raises(StopIteration):  # it has nothing to wait for
            source.aclose().send(None)
        return 600.0

    source = ReconnectingEventSource(server.url, cursor=store, cursor_policy=policy)
    with anyio.fail_after(5):
        async with source:
            assert [event async for event in source] == []
    assert store.load_failures == 999


@pytest.mark.anyio
async def test_closing_ends_a_save_that_hangs(server: HistoryServer) -> None:
    """Also in the middle of a retry: a cancelled save is no failure."""
    recorder = Recorder()

    class HangingStore(ShakyStore):
        async def asave(self, key: str, last_event_id: str, /) -> None:
            self.save(key, last_event_id)
            await anyio.sleep_forever()

    async with ReconnectingEventSource(
        server.url,
        cursor=HangingStore(saves=3),
        cursor_policy=AT_ONCE,
        max_unacked=1,
        hooks=[recorder],
    ) as source:
        await anext(source)
        async with anyio.create_task_group() as tasks:

            async def close_later() -> None:
                await anyio.sleep(0.1)
                await source.aclose()

            tasks.start_soon(close_later)
            with anyio.fail_after(5), pytest.raises(StopAsyncIteration):
                await anext(source)
    assert len(recorder.of(CursorStoreFailed)) == 3


def test_a_blocking_source_does_the_same(server: HistoryServer) -> None:
    """Events flow up to the bound, then it waits for the store."""
    store, recorder = ShakyStore(saves=3), Recorder()
    slow = ExponentialBackoff(wait_initial=0.02, wait_max=0.02, wait_jitter=0)
    with SyncReconnectingEventSource(
        server.url, cursor=store, cursor_policy=slow, max_unacked=3, hooks=[recorder]
    ) as source:
        assert [next(source).id for _ in range(3)] == ["1", "2", "3"]
        assert store.saves == []
        assert next(source).id == "4"
        assert store.saves == ["3"]
    assert len(recorder.of(CursorStoreFailed)) == 3


@pytest.mark.anyio
@pytest.mark.parametrize("blocking", [False, True])
async def test_loading_is_retried(server: HistoryServer, *, blocking: bool) -> None:
    """The block is entered when the store answers."""
    store, recorder = ShakyStore(loads=2), Recorder()
    keywords: dict[str, Any] = {
        "cursor": store,
        "cursor_policy": AT_ONCE,
        "hooks": [recorder],
    }

    def read() -> str:
        with SyncReconnectingEventSource(server.url, **keywords) as source:
            return next(source).id

    if blocking:
        assert await anyio.to_thread.run_sync(read) == "1"
    else:
        async with ReconnectingEventSource(server.url, **keywords) as source:
            assert (await anext(source)).id == "1"
    assert [failure.operation for failure in recorder.of(CursorStoreFailed)] == ["load", "load"]


@pytest.mark.anyio
async def test_the_consumer_gets_a_cursor_error_when_the_policy_gives_up(
    server: HistoryServer,
) -> None:
    """It names the key, has the store's error as its cause, and is no failure of the stream."""
    store, recorder = ShakyStore(saves=1000), Recorder()
    seen: list[Failure] = []

    def policy(failure: Failure) -> float | None:
        seen.append(failure)
        return None if failure.attempt == 3 else 0.0

    with pytest.raises(CursorError, match="could not save") as caught:  # noqa: PT012 - the whole life is what fails
        async with ReconnectingEventSource(
            server.url, cursor=store, cursor_policy=policy, hooks=[recorder], cursor_key="k"
        ) as source:
            async for _ in source:
                pass
    assert caught.value.key == "k"
    assert caught.value.__cause__ is store.error
    assert [failure.kind for failure in seen[:3]] == [FailureKind.CURSOR] * 3
    assert all(failure.retryable for failure in seen)
    assert seen[0].last_event_id == "1"
    assert recorder.names[-1] == "Closed"
    assert "GaveUp" not in recorder.names
    assert recorder.of(CursorStoreFailed)[2].delay is None


@pytest.mark.parametrize("operation", ["load", "save"])
@pytest.mark.parametrize("runtime", ["asyncio", "trio", "threads"])
def test_the_policy_gives_up_at_its_time(
    server: HistoryServer, runtime: str, operation: str
) -> None:
    """Not when its next wait would be too long: a store that is back until then will do."""
    policy = ExponentialBackoff(wait_initial=0.1, wait_max=5.0, timeout=0.6)
    store = ShakyStore(loads=1000) if operation == "load" else ShakyStore(saves=1000)
    failed: list[float] = []

    def hook(told: object) -> None:
        if isinstance(told, CursorStoreFailed):
            failed.append(time.monotonic())

    keywords: dict[str, Any] = {"cursor_policy": policy, "hooks": [hook], "max_unacked": 1}

    def read() -> None:
        with SyncReconnectingEventSource(server.url, cursor=store, **keywords) as source:
            for _ in source:
                pass

    async def aread() -> None:
        async with ReconnectingEventSource(server.url, cursor=store, **keywords) as source:
            async for _ in source:
                pass

    run = read if runtime == "threads" else partial(anyio.run, aread, backend=runtime)
    with pytest.raises(CursorError):
        run()
    assert 0.59 < failed[-1] - failed[0] < 2


def test_only_the_time_of_a_policy_is_used_up() -> None:
    """What it gives up on for another reason, or before it was given any time, stays given up."""

    def waits(policy: RetryPolicy) -> list[float]:
        hooks = Hooks((), url="", source_id=1, lock=threading.RLock())
        outage = StoreOutage(make_settings(cursor_policy=policy), hooks)
        now, waits = 0.0, list[float]()
        while (delay := outage.delay(outage.note(ConnectionError(), now, cursor=""))) is not None:
            now += delay
            waits.append(delay)
        return waits

    default = inspect.signature(ReconnectingEventSource).parameters["cursor_policy"].default
    for _ in range(100):
        assert sum(waits(default)) == pytest.approx(10.0)
    assert len(waits(ExponentialBackoff(attempts=3, timeout=60.0))) == 2
    assert len(waits(ExponentialBackoff(attempts=3))) == 2
    assert waits(ExponentialBackoff(timeout=0.0)) == []
    assert waits(lambda failure: None if failure.attempt == 2 else 1.0) == [1.0]


def is_the_last(event: ServerSentEvent) -> bool:
    """End the stream here."""
    return event.id == "4"


@pytest.mark.anyio
@pytest.mark.parametrize("blocking", [False, True])
async def test_the_end_of_the_stream_waits_for_the_store(
    server: HistoryServer, *, blocking: bool
) -> None:
    """Else nobody would learn that the end was not saved; a policy that gives up says so."""
    store = ShakyStore(saves=3)
    keywords: dict[str, Any] = {
        "cursor_policy": ExponentialBackoff(attempts=5, wait_initial=0.05, wait_max=0.05),
        "until": is_the_last,
    }

    def read(store: ShakyStore) -> list[str]:
        with SyncReconnectingEventSource(server.url, cursor=store, **keywords) as source:
            return [event.id for event in source]

    async def aread(store: ShakyStore) -> list[str]:
        if blocking:
            return await anyio.to_thread.run_sync(read, store)
        async with ReconnectingEventSource(server.url, cursor=store, **keywords) as source:
            return [event.id async for event in source]

    assert await aread(store) == ["1", "2", "3", "4"]
    assert store.saves == ["4"]
    with pytest.raises(CursorError):
        await aread(ShakyStore(saves=1000))


def test_a_blocking_consumer_gets_a_cursor_error(server: HistoryServer) -> None:
    """From saving as from loading."""
    for failing in (ShakyStore(saves=1000), ShakyStore(loads=1000)):
        with (
            pytest.raises(CursorError),
            SyncReconnectingEventSource(
                server.url, cursor=failing, cursor_policy=lambda _: None
            ) as source,
        ):
            for _ in source:
                pass


@pytest.mark.anyio
async def test_a_source_whose_cursor_is_not_loaded_is_closed(server: HistoryServer) -> None:
    """Its block is not entered and never left; hooks hear of the end all the same."""
    given_up: list[tuple[Any, Recorder]] = []

    def never(_failure: Failure) -> None:
        return None

    def keywords(recorder: Recorder) -> dict[str, Any]:
        return {"cursor": ShakyStore(loads=1000), "cursor_policy": never, "hooks": [recorder]}

    recorder = Recorder()
    given_up.append((ReconnectingEventSource(server.url, **keywords(recorder)), recorder))
    with pytest.raises(CursorError):
        await given_up[-1][0].__aenter__()
    recorder = Recorder()
    given_up.append((SyncReconnectingEventSource(server.url, **keywords(recorder)), recorder))
    with pytest.raises(CursorError):
        given_up[-1][0].__enter__()

    for source, recorder in given_up:
        assert source.state == "closed"
        assert recorder.names == ["CursorStoreFailed", "Closed"]


@pytest.mark.anyio
async def test_a_bug_in_the_store_is_not_retried(server: HistoryServer) -> None:
    """The policy is not asked about a mistake."""
    store = ShakyStore(loads=1000, error=TypeError("no such thing"))
    with pytest.raises(CursorError, match="could not load"):
        async with ReconnectingEventSource(server.url, cursor=store):
            raise AssertionError


@pytest.mark.anyio
async def test_stamina_switched_off_means_no_second_try(server: HistoryServer) -> None:
    """Neither on an event loop nor in a thread."""
    recorder = Recorder()
    stamina.set_active(False)
    try:
        with (
            pytest.raises(CursorError),
            SyncReconnectingEventSource(server.url, cursor=ShakyStore(loads=1), hooks=[recorder]),
        ):
            raise AssertionError
        with pytest.raises(CursorError):
            async with ReconnectingEventSource(
                server.url, cursor=ShakyStore(loads=1), hooks=[recorder]
            ):
                raise AssertionError
    finally:
        stamina.set_active(True)
    assert len(recorder.of(CursorStoreFailed)) == 2


@pytest.mark.anyio
async def test_a_policy_that_makes_no_sense_is_named(server: HistoryServer) -> None:
    """As for the stream's policy."""
    with pytest.raises(ValueError, match="from 0 up"):
        async with ReconnectingEventSource(
            server.url, cursor=ShakyStore(loads=1), cursor_policy=lambda _: -1.0
        ):
            raise AssertionError


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_cancelled_while_it_saves_for_the_last_time(server: HistoryServer) -> None:
    """No scope protects from asyncio's own cancellation; the source is closed nevertheless."""
    recorder, saving = Recorder(), asyncio.Event()

    class HangingStore(ShakyStore):
        async def asave(self, _key: str, _last_event_id: str, /) -> None:
            saving.set()
            await anyio.sleep_forever()

    async def leave() -> None:
        async with ReconnectingEventSource(
            server.url, cursor=HangingStore(), auto_ack=False, hooks=[recorder]
        ) as source:
            source.ack(await anext(source))

    leaving = asyncio.create_task(leave())
    await saving.wait()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert recorder.names == ["Connecting", "Connected", "Disconnected", "Closed"]


def test_interrupted_while_it_saves_for_the_last_time(server: HistoryServer) -> None:
    """Control-C comes out of the block, and the source is closed."""
    recorder = Recorder()

    class InterruptedStore(ShakyStore):
        def save(self, _key: str, _last_event_id: str, /) -> None:
            raise KeyboardInterrupt

    def read() -> None:
        with SyncReconnectingEventSource(
            server.url, cursor=InterruptedStore(), hooks=[recorder]
        ) as source:
            for _ in source:
                continue

    with pytest.raises(KeyboardInterrupt):
        read()
    assert recorder.names == ["Connecting", "Connected", "Disconnected", "Closed"]


def leave_alone(_: Failure) -> float:
    """Try the store again in a minute."""
    return 60.0


@pytest.mark.anyio
@pytest.mark.parametrize("blocking", [False, True])
async def test_an_empty_cursor_is_saved_like_any_other(
    sse_history: HistoryServer, *, blocking: bool
) -> None:
    """An event may reset it to "": it is tried once, left alone, and saved as the block is left."""
    for number in ("1", "", ""):
        sse_history.publish("news", id=number)
    store, recorder = ShakyStore(saves=1), Recorder()
    make: Any = SyncReconnectingEventSource if blocking else ReconnectingEventSource
    source = make(
        sse_history.url,
        cursor=store,
        cursor_policy=leave_alone,
        hooks=[recorder],
        auto_ack=False,
        last_event_id="0",
    )

    def check() -> None:
        assert (store.saves, len(recorder.of(CursorStoreFailed))) == ([], 1)

    if blocking:
        await anyio.to_thread.run_sync(read_three_blocking, source, check)
    else:
        await read_three(source, check)
    assert store.saves == [""]


async def read_three(source: Any, check: Callable[[], None]) -> None:
    """Acknowledge all but the last."""
    async with source:
        events = [await anext(source), await anext(source)]
        for event in events:
            source.ack(event)
        await anext(source)
        check()


def read_three_blocking(source: Any, check: Callable[[], None]) -> None:
    """Do the same."""
    with source:
        events = [next(source), next(source)]
        with source._lock:  # as if another thread did, which does not wait for the store
            for event in events:
                source._saving.ack(event, 0.0)
        next(source)
        check()
