"""A cursor store that fails: acknowledgement pauses, hooks are told, and the stream flows on."""

from __future__ import annotations

import asyncio
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
from resilient_sse.testing import HistoryServer, Recorder

if TYPE_CHECKING:
    from resilient_sse import Failure, ServerSentEvent

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
    """Neither for a load nor for a save."""
    recorder = Recorder()
    stamina.set_active(False)
    try:
        with pytest.raises(CursorError):
            async with ReconnectingEventSource(
                server.url, cursor=ShakyStore(loads=1), hooks=[recorder]
            ):
                raise AssertionError
    finally:
        stamina.set_active(True)
    assert len(recorder.of(CursorStoreFailed)) == 1


@pytest.mark.anyio
async def test_a_policy_that_makes_no_sense_is_named(server: HistoryServer) -> None:
    """As for the stream's policy."""
    with pytest.raises(CursorError, match="from 0 up"):
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
