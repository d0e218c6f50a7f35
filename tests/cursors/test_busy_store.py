"""Acknowledging while the store is busy with an earlier save."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import anyio
import pytest

from resilient_sse import CursorStoreFailed, ReconnectingEventSource, SyncReconnectingEventSource
from resilient_sse.testing import Connection, ScriptedServer, event

if TYPE_CHECKING:
    from resilient_sse import LifecycleEvent, ServerSentEvent


class SlowStore:
    """A store whose first save takes until it is let go on."""

    def __init__(self) -> None:
        self.saved: list[str] = []
        self.begun = threading.Event()
        self.go_on = threading.Event()

    def load(self, _key: str) -> None:
        """Know nothing yet."""

    def save(self, _key: str, last_event_id: str) -> None:
        """Take its time."""
        self.begun.set()
        assert self.go_on.wait(10)
        self.saved.append(last_event_id)


def test_an_acknowledgement_does_not_wait_for_a_save_under_way() -> None:
    """A thread that acknowledges goes on; what it acknowledged is saved by the next save."""
    store = SlowStore()
    script = Connection(event("a", id="1") + event("b", id="2"))
    with ScriptedServer([script]) as server:  # noqa: SIM117 - two things, one after the other
        with SyncReconnectingEventSource(server.url, cursor=store, auto_ack=False) as source:
            first, second = next(source), next(source)
            saving = threading.Thread(target=source.ack, args=(first,))
            saving.start()
            assert store.begun.wait(10)

            source.ack(second)

            assert store.saved == []
            store.go_on.set()
            saving.join(10)
            assert store.saved == ["1", "2"], "whoever saves goes on with what came meanwhile"


class FailingStore:
    """A store that knows nothing and saves nothing."""

    def load(self, _key: str) -> None:
        """Know nothing."""

    def save(self, _key: str, _last_event_id: str) -> None:
        """Fail."""
        raise ConnectionError("no store")


TWO = Connection(event("a", id="1") + event("b", id="2"))


@pytest.mark.timeout(20)
@pytest.mark.parametrize("leaving", [False, True])
def test_a_hook_may_acknowledge_while_its_own_thread_saves(*, leaving: bool) -> None:
    """It hears of the failed save, and waits neither for itself nor for the store."""
    unacknowledged: list[ServerSentEvent] = []

    def hook(told: LifecycleEvent) -> None:
        if isinstance(told, CursorStoreFailed):
            while unacknowledged:
                source.ack(unacknowledged.pop())

    with (
        ScriptedServer([TWO]) as server,
        SyncReconnectingEventSource(
            server.url,
            cursor=FailingStore(),
            cursor_policy=lambda _: 60.0,
            auto_ack=False,
            hooks=[hook],
        ) as source,
    ):
        first, second = next(source), next(source)
        unacknowledged.append(second)
        if leaving:
            source._saving.ack(first, 0.0)  # as when the last acknowledgement did not save
        else:
            source.ack(first)
            assert not unacknowledged
    assert not unacknowledged


@pytest.mark.anyio
async def test_a_hook_may_acknowledge_in_an_event_loop() -> None:
    """The asynchronous source waits for nobody in a hook."""
    unacknowledged: list[ServerSentEvent] = []

    def hook(told: LifecycleEvent) -> None:
        if isinstance(told, CursorStoreFailed):
            while unacknowledged:
                source.ack(unacknowledged.pop())

    with ScriptedServer([TWO]) as server, anyio.fail_after(10):
        async with ReconnectingEventSource(
            server.url,
            cursor=FailingStore(),
            cursor_policy=lambda _: 60.0,
            auto_ack=False,
            hooks=[hook],
        ) as source:
            first, second = await anext(source), await anext(source)
            unacknowledged.append(second)
            await source.ack(first)
            assert unacknowledged == []


@pytest.mark.timeout(20)
def test_a_hook_may_acknowledge_while_another_thread_saves_late() -> None:
    """The hook runs while the source decides, which the thread that saves has to wait for."""
    store = SlowStore()
    unacknowledged: list[ServerSentEvent] = []

    def hook(told: LifecycleEvent) -> None:
        if type(told).__name__ == "Closed":
            source._left = True
            store.go_on.set()
            source.ack(unacknowledged.pop())

    with (
        ScriptedServer([TWO]) as server,
        SyncReconnectingEventSource(
            server.url, cursor=store, auto_ack=False, hooks=[hook]
        ) as source,
    ):
        first, second = next(source), next(source)
        unacknowledged.append(second)
        saving = threading.Thread(target=source.ack, args=(first,))
        saving.start()
        assert store.begun.wait(10)
        source.close()
        saving.join(10)
        assert not saving.is_alive()
    assert store.saved == ["1", "2"]
