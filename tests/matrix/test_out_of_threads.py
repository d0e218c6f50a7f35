"""A process that can start no thread for the moment, as in a container with a limit on them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import httpx2
import pytest

from resilient_sse import ReconnectingEventSource, SyncReconnectingEventSource
from resilient_sse._http import client as _client
from resilient_sse.testing import Connection, ScriptedServer, event
from resilient_sse.transports._threads import stream, transport
from resilient_sse.transports._threads.interrupt import InterruptHandle
from resilient_sse.transports._threads.watchdog import Watchdog
from tests.support.files import PEM

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_sse import Failure

SCRIPT = [Connection(event("one", id="1")), Connection(event("two", id="2"))]


class Limit:
    """Keeps the first threads that are not the test's own from starting."""

    def __init__(self, most: float) -> None:
        self._left = most
        self._start: Callable[[threading.Thread], None] = threading.Thread.start

    def method(self) -> Callable[[threading.Thread], None]:
        """Return what starts a thread, or fails as the system has it."""
        return lambda thread: self._start_or_fail(thread)  # noqa: PLW0108 - a function is a method

    def _start_or_fail(self, thread: threading.Thread) -> None:
        ours = thread.name.startswith(("resilient_sse", "asyncio"))
        if self._left and (ours or isinstance(thread, threading.Timer)):
            self._left -= 1
            msg = "can't start new thread"
            raise RuntimeError(msg)
        self._start(thread)


def limit(monkeypatch: pytest.MonkeyPatch, most: float) -> None:
    """Let so many threads not start, and begin without any."""
    limited = Limit(most)
    monkeypatch.setattr(threading.Thread, "start", limited.method())
    monkeypatch.setattr(_client, "_authorities", _client.Authorities())
    watchdog = Watchdog()
    for module in (stream, transport):
        monkeypatch.setattr(module, "watchdog", watchdog)


class Store:
    """Keeps one cursor."""

    def __init__(self) -> None:
        self.cursor = ""
        self.works = True

    def load(self, _key: str) -> str:
        """Return it."""
        return self.cursor

    def save(self, _key: str, cursor: str) -> None:
        """Keep another."""
        if not self.works:
            raise OSError
        self.cursor = cursor


def at_once(failure: Failure) -> float | None:
    """Try again some times."""
    return 0.0 if failure.attempt < 5 else None


@pytest.mark.parametrize("most", [1, 2, 3, float("inf")])
def test_threads_own_client(monkeypatch: pytest.MonkeyPatch, most: float) -> None:
    """The system keeps the time of a read, too, and the last cursor is saved all the same."""
    limit(monkeypatch, most)
    store = Store()
    with (
        ScriptedServer(SCRIPT) as server,
        SyncReconnectingEventSource(
            server.url, policy=at_once, cursor=store, auto_ack=False
        ) as source,
    ):
        events = [next(source), next(source)]
        for each in events:
            store.works = each is not events[1]
            source.ack(each)
        store.works = True
    assert store.cursor == "2"


@pytest.mark.parametrize("most", [1, 2, 3])
@pytest.mark.parametrize("library", [httpx, httpx2])
def test_threads_clients(monkeypatch: pytest.MonkeyPatch, library: Any, most: float) -> None:
    """Over httpx a thread keeps the time of an attempt, which fails without one."""
    limit(monkeypatch, most)
    with (
        ScriptedServer(SCRIPT) as server,
        library.Client() as client,
        SyncReconnectingEventSource(server.url, policy=at_once, client=client) as source,
    ):
        assert [each.data for each in source] == ["one", "two"]


@pytest.mark.parametrize("most", [1, 2, 3])
def test_asyncio(monkeypatch: pytest.MonkeyPatch, most: float) -> None:
    """A name is resolved in a thread; without one the attempt fails."""

    async def read(url: str) -> list[str]:
        async with ReconnectingEventSource(url, policy=at_once) as source:
            return [each.data async for each in source]

    limit(monkeypatch, most)
    with ScriptedServer(SCRIPT) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        assert anyio.run(read, url, backend="asyncio") == ["one", "two"]


def test_authorities_are_read_without_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only whether they were renewed is not looked at for now."""
    limit(monkeypatch, float("inf"))
    monkeypatch.setenv("SSL_CERT_FILE", str(PEM))
    assert _client._ssl_context() is _client._ssl_context()


def _no_thread(_timer: threading.Timer) -> None:
    msg = "can't start new thread"
    raise RuntimeError(msg)


def _interrupted(_timer: threading.Timer) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("start", "error"), [(_no_thread, OSError), (_interrupted, KeyboardInterrupt)]
)
def test_a_time_limit_without_a_thread(
    monkeypatch: pytest.MonkeyPatch, start: object, error: type[BaseException]
) -> None:
    """It is a failure of the attempt; and a Ctrl-C while the thread starts comes out as it is."""
    monkeypatch.setattr(threading.Timer, "start", start)
    handle = InterruptHandle(lambda: False)
    with pytest.raises(error), handle.deadline(5.0):
        handle.extensions["trace"]("connection.connect_tcp.started", {})
