"""Acknowledgements: which cursor is safe, how fast, and when there are too many open."""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_sse import (
    ReconnectingEventSource,
    ServerSentEvent,
    SyncReconnectingEventSource,
)
from resilient_sse._session.acks import Acknowledgements
from resilient_sse.testing import Connection, HistoryServer, event, forever, pause

if TYPE_CHECKING:
    from resilient_sse.testing.pytest_plugin import ServerFactory


class MemoryStore:
    """Keeps what was saved, in order."""

    def __init__(self) -> None:
        self.saves: list[str] = []

    def load(self, key: str, /) -> str | None:
        """Return what was saved last."""
        return self.saves[-1] if self.saves else None

    def save(self, key: str, last_event_id: str, /) -> None:
        """Note it."""
        self.saves.append(last_event_id)


def fill(server: HistoryServer, count: int) -> HistoryServer:
    """Publish so many events."""
    for number in range(1, count + 1):
        server.publish(f"event {number}")
    return server


@given(st.data())
def test_cursor_moves_past_what_is_wholly_done(data: st.DataObject) -> None:
    """Against a model: whatever the order of acks, with equal events among them."""
    acks = Acknowledgements("0")
    delivered: list[tuple[ServerSentEvent, str]] = []
    done: list[bool] = []
    for _ in range(data.draw(st.integers(1, 40))):
        still_open = [place for place, is_done in enumerate(done) if not is_done]
        if still_open and data.draw(st.sampled_from([True, False])):
            made = delivered[data.draw(st.sampled_from(still_open))][0]
            place = next(place for place in still_open if delivered[place][0] == made)
            acks.ack(made)
            done[place] = True
        else:
            made = ServerSentEvent(data=data.draw(st.sampled_from("abc")))
            delivered.append((made, str(len(delivered) + 1)))
            done.append(False)
            acks.deliver(*delivered[-1])
        whole = [*done, False].index(False)
        assert acks.cursor == str(whole)
        assert acks.passed == whole
        assert len(acks) == len(delivered) - whole


@pytest.mark.timing
def test_ack_takes_no_longer_with_more_open() -> None:
    """Acknowledging the newest first, of 1,000 and of 100,000 open events, equal or different."""

    def seconds_per_ack(count: int, *, equal: bool) -> float:
        acks = Acknowledgements("")
        events = [ServerSentEvent(data="" if equal else str(number)) for number in range(count)]
        for made in events:
            acks.deliver(made, "")
        began = time.thread_time()  # others may take turns on this core
        for made in reversed(events):
            acks.ack(made)
        took = time.thread_time() - began
        assert not len(acks)
        return took / count

    for equal in (True, False):
        few = min(seconds_per_ack(1_000, equal=equal) for _ in range(5))
        many = min(seconds_per_ack(100_000, equal=equal) for _ in range(3))
        assert many < few * 40  # a linear search would be 100 times as slow


def test_a_cursor_that_moves_without_an_event_belongs_to_the_last() -> None:
    """An id-only block counts as done with the event before it."""
    acks = Acknowledgements("")
    acks.moved("1")
    assert acks.cursor == "1"
    made = ServerSentEvent(data="a", id="2")
    acks.deliver(made, "2")
    acks.moved("3")
    assert acks.cursor == "1"
    acks.ack(made)
    assert acks.cursor == "3"


def test_acknowledging_what_is_not_open_fails() -> None:
    """Neither a strange event nor the same one twice."""
    acks = Acknowledgements("")
    acks.deliver(ServerSentEvent(data="a"), "1")
    acks.ack(ServerSentEvent(data="a"))
    with pytest.raises(ValueError, match="acknowledged already"):
        acks.ack(ServerSentEvent(data="a"))


@pytest.mark.timing
@pytest.mark.anyio
async def test_source_waits_for_an_acknowledgement(sse_history: HistoryServer) -> None:
    """With max_unacked events open nothing more is delivered, until one is acknowledged."""
    store = MemoryStore()
    server = fill(sse_history, 6)
    async with ReconnectingEventSource(
        server.url, cursor=store, auto_ack=False, max_unacked=3
    ) as source:
        first, second, third = [await anext(source) for _ in range(3)]
        with anyio.move_on_after(0.1) as scope:
            await anext(source)
        assert scope.cancelled_caught

        await source.ack(second)  # not wholly done: the first is open
        with anyio.move_on_after(0.1) as scope:
            await anext(source)
        assert scope.cancelled_caught
        assert store.saves == []

        async with anyio.create_task_group() as tasks:

            async def ack_later() -> None:
                await anyio.sleep(0.05)
                source.ack(first)

            tasks.start_soon(ack_later)
            assert (await anext(source)).id == "4"
        assert store.saves == ["2"]
        await source.ack(third)
        assert store.saves == ["2", "3"]


@pytest.mark.anyio
async def test_closing_ends_the_wait_for_an_acknowledgement(sse_history: HistoryServer) -> None:
    """So does nothing else: asking to reconnect goes on waiting."""
    server = fill(sse_history, 3)
    async with ReconnectingEventSource(
        server.url, cursor=MemoryStore(), auto_ack=False, max_unacked=1
    ) as source:
        await anext(source)
        async with anyio.create_task_group() as tasks:

            async def close_later() -> None:
                await anyio.sleep(0.02)
                await source.reconnect()
                await anyio.sleep(0.02)
                await source.aclose()

            tasks.start_soon(close_later)
            with pytest.raises(StopAsyncIteration):
                await anext(source)


@pytest.mark.anyio
async def test_batches_keep_to_the_bound(sse_history: HistoryServer) -> None:
    """A batch is no longer than there is room."""
    server = fill(sse_history, 10)
    async with ReconnectingEventSource(server.url, cursor=MemoryStore(), max_unacked=4) as source:
        sizes: list[int] = []
        async for batch in source.batches():
            sizes.append(len(batch))
            if sum(sizes) == 10:
                break
        assert max(sizes) <= 4


def test_threads_acknowledge_in_any_order(sse_history: HistoryServer) -> None:
    """Eight threads work on a blocking source; the bound holds and every event is saved at last."""
    store = MemoryStore()
    work: queue.SimpleQueue[ServerSentEvent | None] = queue.SimpleQueue()
    in_work = most_in_work = 0
    server = fill(sse_history, 500)
    with SyncReconnectingEventSource(
        server.url, cursor=store, auto_ack=False, max_unacked=20
    ) as source:

        def worker() -> None:
            nonlocal in_work
            while (made := work.get()) is not None:
                time.sleep(0.0001 * (int(made.id) % 7))
                in_work -= 1
                source.ack(made)

        threads = [threading.Thread(target=worker) for _ in range(8)]
        for thread in threads:
            thread.start()
        for made in source:
            in_work += 1
            most_in_work = max(most_in_work, in_work)
            work.put(made)
            if made.id == "500":
                break
        for _ in threads:
            work.put(None)
        for thread in threads:
            thread.join()
    saved = [int(cursor) for cursor in store.saves]
    assert saved == sorted(saved)
    assert saved[-1] == 500
    assert most_in_work <= 28  # a thread counts itself out before it acknowledges


def test_closing_a_blocking_source_ends_its_wait_for_an_acknowledgement(
    sse_history: HistoryServer,
) -> None:
    """From another thread."""
    server = fill(sse_history, 3)
    with SyncReconnectingEventSource(
        server.url, cursor=MemoryStore(), auto_ack=False, max_unacked=1
    ) as source:
        next(source)
        closer = threading.Timer(0.05, source.close)
        closer.start()
        with pytest.raises(StopIteration):
            next(source)
        closer.join()


@pytest.mark.timeout(20)
def test_an_acknowledgement_just_before_the_wait_for_it(
    sse_history: HistoryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread was quicker than the one that is about to wait."""
    server = fill(sse_history, 3)
    with SyncReconnectingEventSource(
        server.url, cursor=MemoryStore(), auto_ack=False, max_unacked=1
    ) as source:
        unacknowledged = [next(source)]
        wait = source._saver.await_ack

        def wait_late() -> None:
            source.ack(unacknowledged.pop())
            wait()

        monkeypatch.setattr(source._saver, "await_ack", wait_late)
        assert next(source).id == "2"
        assert unacknowledged == []


def test_acknowledging_outside_the_block_fails() -> None:
    """A source that was never entered has delivered nothing."""
    source = SyncReconnectingEventSource("http://127.0.0.1:1", cursor=MemoryStore())
    with pytest.raises(RuntimeError, match="inside the block"):
        source.ack(ServerSentEvent())


@pytest.mark.anyio
async def test_acknowledging_before_the_block() -> None:
    """Nothing was delivered yet: without a store nobody minds, with one it is a mistake."""
    stray, url = ServerSentEvent(data="a"), "http://example.invalid"

    await ReconnectingEventSource(url).ack(stray)

    with pytest.raises(ValueError, match="was not delivered by this source"):
        ReconnectingEventSource(url, cursor=MemoryStore()).ack(stray)
    with pytest.raises(RuntimeError, match="inside the block"):
        SyncReconnectingEventSource(url).ack(stray)


@pytest.mark.anyio
async def test_leaving_the_block_saves_what_was_acknowledged(sse_history: HistoryServer) -> None:
    """Also if nobody asked for another event, nor awaited the acknowledgement."""
    store = MemoryStore()
    server = fill(sse_history, 2)
    async with ReconnectingEventSource(server.url, cursor=store, auto_ack=False) as source:
        source.ack(await anext(source))
    assert store.saves == ["1"]


def test_a_thread_may_acknowledge_after_the_block_was_left() -> None:
    """When work takes longer than the stream; it is saved all the same."""
    store = MemoryStore()
    with HistoryServer() as server:
        fill(server, 2)
        with SyncReconnectingEventSource(server.url, cursor=store, auto_ack=False) as source:
            first = next(source)
        source.ack(first)
    assert store.saves == ["1"]


@pytest.mark.anyio
async def test_an_older_cursor_is_never_saved_after_a_newer_one(sse_history: HistoryServer) -> None:
    """Slow saves of concurrent acknowledgements and of the iteration do not overlap."""

    class SlowStore(MemoryStore):
        saving = 0

        async def asave(self, key: str, last_event_id: str, /) -> None:
            self.saving += 1
            assert self.saving == 1
            await anyio.sleep(0.001 * (len(self.saves) % 3))
            self.save(key, last_event_id)
            self.saving -= 1

    store = SlowStore()
    server = fill(sse_history, 30)
    async with (
        ReconnectingEventSource(server.url, cursor=store, auto_ack=False) as source,
        anyio.create_task_group() as tasks,
    ):

        async def acknowledge(made: ServerSentEvent) -> None:
            await source.ack(made)

        async for made in source:
            tasks.start_soon(acknowledge, made)
            if made.id == "30":
                break
    saved = [int(cursor) for cursor in store.saves]
    assert saved == sorted(set(saved))
    assert saved[-1] == 30


def test_events_without_ids_make_no_source_wait(sse_server: ServerFactory) -> None:
    """There is no cursor to save, so none can be missing."""
    steps = [event(f"{number}") for number in range(10)]
    server = sse_server([Connection(*steps, forever(pause(1)))])
    with SyncReconnectingEventSource(server.url, cursor=MemoryStore(), max_unacked=2) as source:
        assert [next(source).data for _ in range(10)] == [str(n) for n in range(10)]


@pytest.mark.parametrize(
    ("keywords", "error"),
    [
        ({"max_unacked": 0}, ValueError),
        ({"max_unacked": 1.5}, TypeError),
        ({"cursor_policy": 3}, TypeError),
        ({"gap": "reset"}, TypeError),
        ({"on_gap": "panic"}, ValueError),
    ],
)
def test_senseless_keywords_are_refused(keywords: dict[str, Any], error: type[Exception]) -> None:
    """When the source is made."""
    with pytest.raises(error):
        ReconnectingEventSource("http://example.com", **keywords)
