"""A forked child: it can close and leave the parent's sources, and do nothing else with them."""

from __future__ import annotations

import os
import socket
import sys
import threading
import warnings
import weakref
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

from resilient_sse import (
    Dialect,
    LifecycleEvent,
    ReconnectingEventSource,
    ServerSentEvent,
    SyncReconnectingEventSource,
    Verdict,
)
from resilient_sse._values import fork as _fork
from resilient_sse.testing import Connection, Ending, Gate, ScriptedServer, event, raw

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")

ONE, TWO, THREE = (event(str(n), id=str(n)) for n in (1, 2, 3))


class Store:
    """A store that knows which process saved."""

    def __init__(self) -> None:
        self.savers: list[int] = []

    def load(self, _key: str) -> None:
        return None

    def save(self, _key: str, _last_event_id: str) -> None:
        self.savers.append(os.getpid())


def deliver(_event: ServerSentEvent) -> Verdict:
    """Judge every event to be one like any other."""
    return Verdict.DELIVER


def in_child(work: Callable[[], object]) -> str:
    """Do something in a forked child; return what it says, or what it raised."""
    ours, childs = socket.socketpair()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads and fork do not mix
        pid = os.fork()
    if not pid:
        try:
            said = repr(work())
        except BaseException as error:
            said = repr(error)
        childs.sendall(said.encode())
        os._exit(0)
    childs.close()
    with ours:
        said = b"".join(iter(lambda: ours.recv(4096), b"")).decode()
    os.waitpid(pid, 0)
    return said


def refuses(use: Callable[[], object]) -> str:
    """Return what using the source raises."""
    try:
        use()
    except RuntimeError as error:
        return str(error)
    return "nothing"


def test_blocking_source() -> None:
    """Closing and leaving do nothing, all else raises; the parent reads on."""
    heard: list[LifecycleEvent] = []
    gate, store = Gate(), Store()
    script = [Connection(ONE, TWO, gate, THREE, ending=Ending.SILENCE)]
    with ScriptedServer(script) as server:
        with SyncReconnectingEventSource(server.url, hooks=[heard.append], cursor=store) as source:
            first = next(source)
            known = len(heard)

            def child() -> list[str]:
                refused = [
                    refuses(lambda: next(source)),
                    refuses(lambda: source.ack(first)),
                    refuses(source.reconnect),
                    refuses(lambda: next(source.batches())),
                ]
                source.close()
                source.__exit__(None, None, None)
                return [*refused, str(len(heard) - known), str(store.savers.count(os.getpid()))]

            said = in_child(child)
            assert said.count("before a fork") == 4
            assert said.endswith("'0', '0']")
            gate.open()
            assert [next(source).data, next(source).data] == ["2", "3"]
        assert len(server.requests) == 1


@pytest.fixture
def left_to_parent(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Tell a source that this is a forked child; unlike a child, a test is measured."""

    def tell(source: Any) -> None:
        monkeypatch.setattr(_fork, "_living", weakref.WeakSet([source]))
        monkeypatch.setattr(_fork, "_orphans", [])
        _fork._in_child()

    return tell


# Events that wait are taken in one of two short ways, or in neither.
WAYS: list[dict[str, Any]] = [{}, {"dialect": Dialect(judge=deliver)}, {"cursor": Store()}]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(way) or "plain")
def test_what_a_blocking_source_is_told(
    way: dict[str, Any], left_to_parent: Callable[[Any], None]
) -> None:
    """The same within one process."""
    with (
        ScriptedServer([Connection(raw(ONE + TWO), ending=Ending.SILENCE)]) as server,
        SyncReconnectingEventSource(server.url, **way) as source,
    ):
        first = next(source)
        left_to_parent(source)
        for use in (lambda: next(source), lambda: source.ack(first), source.reconnect):
            assert "before a fork" in refuses(use)
        source.close()
        source.__exit__(None, None, None)
        assert source.state == "open"
        source._forked = source._left = False


@pytest.mark.anyio
@pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(way) or "plain")
async def test_what_an_asynchronous_source_is_told(
    way: dict[str, Any], left_to_parent: Callable[[Any], None]
) -> None:
    """The same on asyncio and trio."""
    with ScriptedServer([Connection(raw(ONE + TWO), ending=Ending.SILENCE)]) as server:
        async with ReconnectingEventSource(server.url, **way) as source:
            first = await anext(source)
            left_to_parent(source)
            with pytest.raises(RuntimeError, match="before a fork"):
                await anext(source)
            for use in (lambda: source.ack(first), source.reconnect):
                assert "before a fork" in refuses(use)
            await source.aclose()
            await source.__aexit__(None, None, None)
            assert source.state == "open"
            source._forked = source._left = False


def test_blocking_source_whose_lock_was_held() -> None:
    """Another thread may hold any lock at the fork; the child waits for none."""
    with (
        ScriptedServer([Connection(ONE, ending=Ending.SILENCE)]) as server,
        SyncReconnectingEventSource(server.url) as source,
    ):
        next(source)
        held, release = threading.Event(), threading.Event()

        def hold() -> None:
            with source._lock, source._pulling:
                held.set()
                release.wait()

        holder = threading.Thread(target=hold)
        holder.start()
        held.wait()

        def child() -> str:
            source.close()
            source.__exit__(None, None, None)
            return "left"

        assert in_child(child) == "'left'"
        release.set()
        holder.join()


@pytest.mark.anyio
async def test_asynchronous_source() -> None:
    """The same, on asyncio and trio; what the queue holds is the parent's, too."""
    heard: list[LifecycleEvent] = []
    gate = Gate()
    with ScriptedServer([Connection(ONE, TWO, gate, THREE, ending=Ending.SILENCE)]) as server:
        async with ReconnectingEventSource(server.url, hooks=[heard.append]) as source:
            first = await anext(source)
            known = len(heard)

            def child() -> list[str]:
                refused = [
                    refuses(lambda: _finish(source.__anext__())),
                    refuses(lambda: source.ack(first)),
                    refuses(source.reconnect),
                ]
                _finish(source.aclose())
                _finish(source.__aexit__(None, None, None))
                return [*refused, str(len(heard) - known)]

            said = await anyio.to_thread.run_sync(in_child, child)
            assert said.count("before a fork") == 3
            assert said.endswith("'0']")
            gate.open()
            assert [(await anext(source)).data for _ in range(2)] == ["2", "3"]
        assert len(server.requests) == 1
        await anyio.lowlevel.checkpoint()


def _finish(coroutine: Any) -> None:
    """Run a coroutine that waits for nothing, without an event loop."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError


def test_a_source_that_was_not_entered_is_the_childs_to_use() -> None:
    """As under ``gunicorn --preload``, where the application is made before the fork."""
    with ScriptedServer([Connection(ONE)]) as server:
        source = SyncReconnectingEventSource(server.url)

        def child() -> list[str]:
            with source:
                return [next(source).data]

        assert in_child(child) == "['1']"
