"""Leaving the block takes seconds at most, whatever the store does and whoever waits for it."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from resilient_sse import Closed, ReconnectingEventSource, SyncReconnectingEventSource
from resilient_sse.testing import Connection, Ending, Recorder, ScriptedServer, event

if TYPE_CHECKING:
    from collections.abc import Generator

    from resilient_sse import ServerSentEvent

pytestmark = pytest.mark.timeout(30)

OPEN = Connection(event("a", id="1") + event("b", id="2"), ending=Ending.SILENCE)


@contextmanager
def soon() -> Generator[None]:
    """Have the block take no more than the 2 seconds that a store is given, and a little."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < 4


class HangingStore:
    """A store whose saves hang until they are let go, or fail."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self.saved: list[str] = []
        self.threads: list[threading.Thread] = []

    def load(self, _key: str) -> None:
        """Know nothing."""

    def save(self, _key: str, cursor: str) -> None:
        """Hang."""
        self.threads.append(threading.current_thread())
        self.begun.set()
        self.go_on.wait(20)
        self.saved.append(cursor)

    def end(self) -> None:
        """Let them go on, and wait until they have."""
        self.go_on.set()
        for thread in self.threads:
            if thread is not threading.current_thread():
                thread.join(10)


class AsyncHangingStore(HangingStore):
    """The same for an event loop."""

    async def asave(self, _key: str, cursor: str) -> None:
        """Hang."""
        self.begun.set()
        await anyio.sleep(20)
        self.saved.append(cursor)


def acknowledge(source: Any, event: ServerSentEvent) -> None:
    """Acknowledge without saving, as a worker does that is interrupted in between."""
    source._saver.ack(event)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_last_save_hangs_in_an_event_loop(backend: str) -> None:
    """It is given two seconds, also if the task is cancelled."""

    async def read(*, cancelled: bool) -> None:
        recorder = Recorder()
        with ScriptedServer([OPEN]) as server, soon(), anyio.CancelScope() as scope:
            async with ReconnectingEventSource(
                server.url, cursor=AsyncHangingStore(), auto_ack=False, hooks=[recorder]
            ) as source:
                acknowledge(source, await anext(source))
                if cancelled:
                    scope.cancel()
        assert recorder.of(Closed)[0].reason == "closed"

    for cancelled in (False, True):
        anyio.run(partial(read, cancelled=cancelled), backend=backend)


@pytest.mark.timing
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_another_task_saves_as_the_block_is_left(backend: str) -> None:
    """One that pulls, or one that acknowledges."""

    async def pull(source: ReconnectingEventSource) -> None:
        async for _ in source:
            pass

    async def ack(source: ReconnectingEventSource, event: ServerSentEvent) -> None:
        await source.ack(event)

    async def read(*, pulls: bool) -> None:
        store = AsyncHangingStore()
        with ScriptedServer([OPEN]) as server, anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                async with ReconnectingEventSource(
                    server.url, cursor=store, auto_ack=pulls
                ) as source:
                    first = await anext(source)
                    if pulls:
                        tasks.start_soon(pull, source)
                    else:
                        tasks.start_soon(ack, source, first)
                    with anyio.fail_after(5):
                        while not store.begun.is_set():  # noqa: ASYNC110 - of a thread's kind
                            await anyio.sleep(0.01)
                    began = time.monotonic()
                assert time.monotonic() - began < 4
                tasks.cancel_scope.cancel()

    for pulls in (False, True):
        anyio.run(partial(read, pulls=pulls), backend=backend)


def test_the_last_save_hangs_in_a_thread() -> None:
    """It is left to a thread of its own, and may yet succeed."""
    store, recorder = HangingStore(), Recorder()
    with ScriptedServer([OPEN]) as server, soon():  # noqa: SIM117 - two things, one after the other
        with SyncReconnectingEventSource(
            server.url, cursor=store, auto_ack=False, hooks=[recorder]
        ) as source:
            acknowledge(source, next(source))
    assert recorder.of(Closed)[0].reason == "closed"
    store.end()
    assert store.saved == ["1"]


@pytest.mark.timing
@pytest.mark.parametrize("pulls", [False, True])
def test_another_thread_saves_as_the_block_is_left(*, pulls: bool) -> None:
    """One that pulls, and cleans up when the store lets it go; or one that acknowledges."""
    store, recorder = HangingStore(), Recorder()
    read: list[str] = []

    with ScriptedServer([OPEN]) as server:
        with SyncReconnectingEventSource(
            server.url, cursor=store, auto_ack=pulls, hooks=[recorder]
        ) as source:
            first = next(source)
            other = threading.Thread(
                target=read.extend if pulls else source.ack,
                args=((event.id for event in source) if pulls else first,),
            )
            other.start()
            assert store.begun.wait(10)
            began = time.monotonic()
        assert time.monotonic() - began < 4
        assert recorder.of(Closed)[0].reason == "closed"
        store.end()
        other.join(10)
        assert not other.is_alive()
        assert read == []
        server.wait_for_connections(0)
    assert source._response is None


def test_with_nothing_to_save_no_thread_is_begun() -> None:
    """Most blocks are left so."""

    class CountingStore(HangingStore):
        def save(self, _key: str, cursor: str) -> None:
            self.threads.append(threading.current_thread())
            self.saved.append(cursor)

    store = CountingStore()
    with ScriptedServer([OPEN]) as server:  # noqa: SIM117 - two things, one after the other
        with SyncReconnectingEventSource(server.url, cursor=store) as source:
            next(source)
            next(source)
    assert store.saved == ["1"]
    assert store.threads == [threading.current_thread()]


def test_an_acknowledgement_while_it_is_looked_whether_all_is_saved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It finds the store in use, and is saved all the same."""
    store = HangingStore()
    store.go_on.set()
    with (
        ScriptedServer([OPEN]) as server,
        SyncReconnectingEventSource(server.url, cursor=store, auto_ack=False) as source,
    ):
        first = next(source)
        begin = source._saving.begin

        def begin_slowly() -> str | None:
            monkeypatch.undo()
            lacking = begin()
            source.ack(first)  # as another thread does meanwhile
            return lacking

        monkeypatch.setattr(source._saving, "begin", begin_slowly)
    store.end()
    assert store.saved == ["1"]


class OneThread:
    """A store of one thread, as a connection of `sqlite3` is by default."""

    def __init__(self) -> None:
        self.saved: list[str] = []
        self._db = sqlite3.connect(":memory:")

    def load(self, _key: str) -> None:
        """Know nothing."""

    def save(self, _key: str, cursor: str) -> None:
        """Save, in the one thread."""
        self._db.execute("SELECT 1")
        self.saved.append(cursor)

    def close(self) -> None:
        """Close it."""
        self._db.close()


def test_a_store_of_one_thread_saves_last_in_that_thread() -> None:
    """The thread that is there for a store that hangs is of no use to it."""
    store = OneThread()
    with ScriptedServer([OPEN]) as server:  # noqa: SIM117 - two things, one after the other
        with SyncReconnectingEventSource(server.url, cursor=store, auto_ack=False) as source:
            source._saver.ack(next(source))
    store.close()
    assert store.saved == ["1"]
