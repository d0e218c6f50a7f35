"""`StreamGroup` and `SyncStreamGroup` live the same lives, on asyncio, on trio and in threads."""

from __future__ import annotations

import inspect
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, cast

import anyio
import pytest

from resilient_sse import ExponentialBackoff, GroupChanged, LeaseEnded, LeaseGranted
from resilient_sse.cursors import LeaseLost, StreamGroup, SyncStreamGroup
from resilient_sse.testing import HistoryServer, MemoryLeaseEngine, Recorder
from tests.support.runners import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from resilient_sse.testing.pytest_plugin import ServerFactory

pytestmark = pytest.mark.timeout(60)

TTL = 0.5
RUNTIMES = ["asyncio", "trio", "threads"]


class Replica:
    """A group that runs in a thread, whatever it runs on there.

    Args:
        runtime: What it runs on.
        engine: What keeps its leases.
        urls: The streams.
        handle: Called with each stream and event.
        begun: Called with each stream before its first event; what it raises is the handler's.
        keywords: More for the group.
    """

    def __init__(
        self,
        runtime: str,
        engine: MemoryLeaseEngine,
        urls: list[str],
        handle: Callable[[str, str], object] = lambda _url, _event_id: None,
        begun: Callable[[str], object] = lambda _url: True,
        **keywords: Any,
    ) -> None:
        self.recorder = Recorder()
        self.error: BaseException | None = None
        self._runtime = runtime
        self._handle, self._begun = handle, begun
        self._stop = threading.Event()
        keywords = {"ttl": TTL, "hooks": [self.recorder]} | keywords
        kind: Any = SyncStreamGroup if runtime == "threads" else StreamGroup
        self.group = kind(engine, "g", urls, **keywords)
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """End it, and wait until it has ended."""
        self._stop.set()
        if self._runtime == "threads":
            self.group.close()
        self._thread.join()

    def wait(self) -> None:
        """Wait until it has ended by itself."""
        self._thread.join()

    @property
    def reading(self) -> frozenset[str]:
        """What it reads."""
        found: frozenset[str] = self.group.reading
        return found

    @property
    def cause(self) -> BaseException | None:
        """What it ended with, out of the groups that it is in."""
        cause = self.error
        while isinstance(cause, BaseExceptionGroup):
            cause = cast("BaseExceptionGroup[BaseException]", cause).exceptions[0]
        return cause

    def _run(self) -> None:
        try:
            if self._runtime == "threads":
                self.group.run(self._read)
            else:
                anyio.run(self._arun, backend=self._runtime)
        except BaseException as error:
            self.error = error

    async def _arun(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._wait_for_stop, tasks.cancel_scope)
            await self.group.run(self._aread)

    async def _wait_for_stop(self, scope: anyio.CancelScope) -> None:
        while not self._stop.is_set():  # noqa: ASYNC110 - of another thread
            await anyio.sleep(0.01)
        scope.cancel()

    def _read(self, source: Any) -> None:
        if self._begun(source.url):
            for event in source:
                self._handle(source.url, event.id)

    async def _aread(self, source: Any) -> None:
        if self._begun(source.url):
            async for event in source:
                self._handle(source.url, event.id)


@pytest.fixture(params=RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> str:
    """What the group runs on."""
    name: str = request.param
    return name


def urls_of(server: HistoryServer, count: int) -> list[str]:
    """Make some streams of one server."""
    return [f"{server.url}?n={number}" for number in range(count)]


def test_they_take_the_same_arguments() -> None:
    """And have the same members, but for what ends them."""
    here, there = map(inspect.signature, (StreamGroup, SyncStreamGroup))
    assert here == there
    public = [
        {name for name in dir(kind) if name[0] != "_"} for kind in (StreamGroup, SyncStreamGroup)
    ]
    assert public[1] - public[0] == {"close"}
    assert public[0] <= public[1]


def test_replicas_share_hand_over_and_take_over(runtime: str, sse_history: HistoryServer) -> None:
    """Every stream always has one reader, and goes on where it was."""
    urls, engine = urls_of(sse_history, 6), MemoryLeaseEngine()
    handled: list[tuple[str, str]] = []

    def got(event_id: str) -> bool:
        return {url for url, last in list(handled) if last == event_id} == set(urls)

    def handle(url: str, event_id: str) -> None:
        handled.append((url, event_id))

    sse_history.publish("1")
    with Replica(runtime, engine, urls, handle) as first:
        eventually(lambda: got("1"))
        with Replica(runtime, engine, urls, handle) as second:
            eventually(lambda: len(second.reading) == len(first.reading) == 3)
            assert first.reading | second.reading == frozenset(urls)
            sse_history.publish("2")
            eventually(lambda: got("2"))
        assert second.reading == frozenset()
        eventually(lambda: first.reading == frozenset(urls))
        sse_history.publish("3")
        eventually(lambda: got("3"))
    assert first.error is second.error is None
    assert {one.reason for one in first.recorder.of(LeaseEnded)} == {"given back"}
    assert len(first.recorder.of(LeaseGranted)) == 9
    assert len(first.recorder.of(LeaseEnded)) == 9
    changes = [(one.streams, one.replicas) for one in first.recorder.of(GroupChanged)]
    assert changes[0] == (6, 1)
    assert changes[-1] == (0, 0)
    assert (6, 2) in changes
    assert engine("g").holders() == {}


def test_both_kinds_share_one_group(sse_history: HistoryServer) -> None:
    """Who reads a stream need not know on what the other one runs."""
    urls, engine = urls_of(sse_history, 6), MemoryLeaseEngine()
    with Replica("asyncio", engine, urls) as first, Replica("threads", engine, urls) as second:
        eventually(lambda: len(second.reading) == len(first.reading) == 3)
        assert first.reading | second.reading == frozenset(urls)


def test_urls_may_be_replaced(runtime: str, sse_history: HistoryServer) -> None:
    """What is new is read, what is gone is not."""
    urls = urls_of(sse_history, 4)
    with Replica(runtime, MemoryLeaseEngine(), urls[:2]) as replica:
        eventually(lambda: replica.reading == frozenset(urls[:2]))
        replica.group.urls = urls[1:]
        eventually(lambda: replica.reading == frozenset(urls[1:]))


def test_a_stream_that_ends_is_done_with(runtime: str, sse_server: ServerFactory) -> None:
    """It keeps its lease, so that nobody begins it again until replicas come or go."""
    ending, engine = sse_server(), MemoryLeaseEngine()  # 204 to everyone
    with Replica(runtime, engine, [ending.url]):
        eventually(lambda: bool(ending.requests))
        time.sleep(TTL * 2)
        assert len(ending.requests) == 1
        assert set(engine("g").holders()) == {ending.url}


def test_a_handler_that_returns_is_done_with(runtime: str, sse_history: HistoryServer) -> None:
    """Until replicas come or go."""
    begun: list[str] = []
    with Replica(runtime, MemoryLeaseEngine(), [sse_history.url], begun=begun.append) as replica:
        eventually(lambda: bool(begun) and not replica.reading)
        time.sleep(TTL)
    assert begun == [sse_history.url]


@pytest.mark.parametrize("error", [RuntimeError("cannot"), SystemExit(3)])
def test_a_handler_that_fails_ends_the_share(
    runtime: str, sse_history: HistoryServer, error: BaseException
) -> None:
    """With its exception; another replica takes over."""
    urls, engine = urls_of(sse_history, 2), MemoryLeaseEngine()
    begun: set[str] = set()

    def begin(url: str) -> bool:
        begun.add(url)
        return True

    def handle(url: str, _event_id: str) -> None:
        if url == urls[0]:
            raise error

    replica = Replica(runtime, engine, urls, handle, begun=begin)
    with replica:
        # asyncio stops at once at a SystemExit, and anyio then never awaits what had not begun.
        eventually(lambda: len(begun) == 2)
        sse_history.publish("1")
        replica.wait()
    assert replica.cause is error
    assert replica.reading == frozenset()
    assert engine("g").holders() == {}


@pytest.mark.parametrize("grouped", [False, True])
def test_a_lost_lease_ends_one_stream_only(
    runtime: str, sse_history: HistoryServer, grouped: bool
) -> None:
    """It is asked for again; the others go on."""
    urls, engine = urls_of(sse_history, 2), MemoryLeaseEngine()
    begun: list[str] = []

    def begin(url: str) -> bool:
        begun.append(url)
        if grouped and begun.count(url) == 2:
            raise ExceptionGroup("of a task of the handler's", [LeaseLost(url)])
        return True

    sse_history.publish("1")
    with Replica(runtime, engine, urls, begun=begin) as replica:
        eventually(lambda: len(begun) == 2)
        with engine._groups["g"].lock:  # granted to another one for a moment
            engine._groups["g"].leases[urls[0]] = ("other", 1000, 0.0)
        eventually(lambda: begun.count(urls[0]) == (3 if grouped else 2))
        eventually(lambda: replica.reading == frozenset(urls))
    assert begun.count(urls[1]) == 1
    assert replica.error is None
    assert "lost" in {one.reason for one in replica.recorder.of(LeaseEnded)}


def is_away(error: Exception) -> bool:
    """Say which error passes."""
    return isinstance(error, ConnectionError)


class Broken(MemoryLeaseEngine):
    """An engine that does not answer for a while, or has a bug."""

    error: Exception | None = None

    def __call__(self, name: str, *, ttl: float = 10.0) -> Any:
        made: Any = super().__call__(name, ttl=ttl)
        meet = made.meet

        def broken(*words: Any) -> object:
            if self.error is not None:
                raise self.error
            return meet(*words)

        made.meet = broken
        made.is_outage = is_away
        return made


def test_an_outage_of_the_engine_passes(
    runtime: str, sse_history: HistoryServer, caplog: pytest.LogCaptureFixture
) -> None:
    """It is warned of, and the group goes on."""
    engine = Broken()
    engine.error = ConnectionError("away")
    with Replica(runtime, engine, [sse_history.url]) as replica:
        eventually(lambda: "resilient_sse.group_cut_off" in caplog.text)
        assert replica.reading == frozenset()
        engine.error = None
        eventually(lambda: replica.reading == frozenset({sse_history.url}))
    assert replica.error is None


def test_what_no_waiting_changes_is_raised(runtime: str, sse_history: HistoryServer) -> None:
    """It ends the share."""
    engine = Broken()
    engine.error = ValueError("a bug")
    with Replica(runtime, engine, [sse_history.url]) as replica:
        replica.wait()
    assert replica.cause is engine.error


def test_closing_ends_a_wait(runtime: str) -> None:
    """Of a source whose server cannot be reached."""
    policy = ExponentialBackoff(wait_initial=100)
    replica = Replica(runtime, MemoryLeaseEngine(), ["http://127.0.0.1:1"], policy=policy)
    with replica:
        eventually(lambda: "RetryScheduled" in replica.recorder.names)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert replica.error is None
    assert replica.recorder.names[-2:] == ["LeaseEnded", "GroupChanged"]


def test_a_group_that_is_closed_before_it_runs() -> None:
    """It reads nothing."""
    group = SyncStreamGroup(MemoryLeaseEngine(), "g", ["http://127.0.0.1:1"])
    group.close()
    group.run(lambda _source: pytest.fail("it reads"))


def test_a_system_without_more_threads_ends_the_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """The replica says so, and leaves its streams to others."""
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith("resilient_sse group"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    engine = MemoryLeaseEngine()
    group = SyncStreamGroup(engine, "g", ["http://127.0.0.1:1"], ttl=TTL)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        group.run(lambda _source: pytest.fail("it reads"))
    assert engine("g", ttl=TTL).holders() == {}


def test_closing_waits_for_the_handlers(sse_history: HistoryServer) -> None:
    """What they are at is finished, and saved, before another replica goes on."""
    engine = MemoryLeaseEngine()
    begun, gate, finished = threading.Event(), threading.Event(), threading.Event()

    def handle(_url: str, _event_id: str) -> None:
        begun.set()
        gate.wait(10)
        finished.set()

    sse_history.publish("1")
    with Replica("threads", engine, [sse_history.url], handle) as replica:
        assert begun.wait(10)
        replica.group.close()
        time.sleep(TTL * 2)
        assert set(engine("g").holders()) == {sse_history.url}, "it is renewed all the while"
        gate.set()
    assert finished.is_set()
    assert engine("g").holders() == {}


PROGRAM = """
import signal, sys, threading
from resilient_sse.cursors import SyncStreamGroup
from resilient_sse.testing import MemoryLeaseEngine

signal.signal(signal.SIGINT, signal.default_int_handler)
engine = MemoryLeaseEngine()

def read(source):
    print("reading", flush=True)
    for event in source:
        pass

try:
    SyncStreamGroup(engine, "g", [sys.argv[1]]).run(read)
except KeyboardInterrupt:
    print("held:", len(engine("g").holders()), "threads:", threading.active_count(), flush=True)
"""


def test_ctrl_c_leaves_in_good_order(sse_history: HistoryServer) -> None:
    """Sources are closed, and the leases given back."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, sse_history.url], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "reading\n"
        process.send_signal(signal.SIGINT)
        said = process.stdout.read()
    assert said.startswith("held: 0 threads: ")
    assert process.returncode == 0
