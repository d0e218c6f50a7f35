"""`LeaseGranted`, `LeaseEnded` and `GroupChanged`: what hooks hear, when, and in which thread."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio import to_thread

from resilient_sse import GroupChanged, LeaseEnded, LeaseGranted, LifecycleEvent
from resilient_sse.cursors import (
    LeasedSource,
    LeaseLost,
    PostgreSQLLease,
    RedisLease,
    StreamGroup,
    StreamLease,
)
from resilient_sse.testing import MemoryLeaseEngine, Recorder
from tests.support.postgresql_server import PostgreSQLServer, needs_postgresql
from tests.support.redis_server import RedisServer, needs_redis

if TYPE_CHECKING:
    from resilient_sse.testing import HistoryServer

pytestmark = pytest.mark.timeout(30)

TTL = 0.4
URL = "https://user:word@example.com/events?token=secret"


def take_away(engine: MemoryLeaseEngine, group: str, name: str) -> None:
    """Grant a lease to somebody else."""
    with engine._groups[group].lock:
        engine._groups[group].leases[name] = ("other", 1000, time.monotonic() + 1000)


def facts(recorder: Recorder) -> list[tuple[object, ...]]:
    """Say what a hook heard of leases, without the times."""
    return [
        (type(told).__name__, told.group, told.name, told.token, getattr(told, "reason", ""))
        for told in recorder.events
        if isinstance(told, LeaseGranted | LeaseEnded)
    ]


def test_a_lease_in_threads() -> None:
    """Granted as the block is entered, given back as it is left; then anew."""
    recorder = Recorder()
    lease = StreamLease(MemoryLeaseEngine()("orders"), hooks=[recorder])
    with lease:
        assert facts(recorder) == [("LeaseGranted", "orders", "orders", 1, "")]
    assert facts(recorder)[1:] == [("LeaseEnded", "orders", "orders", 1, "given back")]
    with lease:
        assert facts(recorder)[2:] == [("LeaseGranted", "orders", "orders", 2, "")]
    assert {(told.url, told.source_id) for told in recorder.events} == {(None, None)}


@pytest.mark.anyio
async def test_a_lease_in_an_event_loop() -> None:
    """Hooks are called in its thread, as those of a source are."""
    heard: list[tuple[str, int]] = []

    def hook(told: LifecycleEvent) -> None:
        heard.append((type(told).__name__, threading.get_ident()))

    here = threading.get_ident()
    engine = MemoryLeaseEngine()
    lease = StreamLease(engine("orders", ttl=TTL), hooks=[hook])
    async with lease:
        assert heard == [("LeaseGranted", here)]
        take_away(engine, "orders", "orders")
        with anyio.fail_after(5):
            while len(heard) < 2:  # noqa: ASYNC110 - a hook is no task
                await anyio.sleep(0.01)
    assert heard[1:] == [("LeaseEnded", here)], "once, and not given back, too"


@pytest.mark.anyio
async def test_a_lease_says_how_long_it_was_waited_for() -> None:
    """Of which nobody hears before it is granted, nor if the wait is cancelled."""
    engine, recorder = MemoryLeaseEngine(), Recorder()
    second = StreamLease(engine("orders", ttl=TTL), hooks=[recorder])
    async with StreamLease(engine("orders", ttl=TTL)):
        with anyio.move_on_after(TTL):
            async with second:
                raise AssertionError
        assert recorder.events == []
    async with second:
        (granted,) = recorder.of(LeaseGranted)
        assert 0 <= granted.waited < TTL / 2, "from when this block was entered"


def test_how_long_a_second_replica_waited() -> None:
    """From entering the block."""
    engine, recorder = MemoryLeaseEngine(), Recorder()
    second = StreamLease(engine("orders", ttl=100), hooks=[recorder])

    def take() -> None:
        with second:
            pass

    with StreamLease(engine("orders", ttl=100)):
        thread = threading.Thread(target=take)
        thread.start()
        time.sleep(0.3)
    thread.join()
    assert recorder.of(LeaseGranted)[0].waited >= 0.3


def test_a_lease_that_is_lost_in_threads(sse_history: HistoryServer) -> None:
    """The reader gets `LeaseLost`, hooks `LeaseEnded`, also those that take their time."""
    engine, recorder = MemoryLeaseEngine(), Recorder()
    lease = StreamLease(engine("orders", ttl=TTL), hooks=[lambda _: time.sleep(0.05), recorder])
    sse_history.publish("1")
    with lease, lease.sync_source(sse_history.url) as source:
        next(source)
        take_away(engine, "orders", "orders")
        with pytest.raises(LeaseLost):
            next(source)
    assert [told[-1] for told in facts(recorder)] == ["", "lost"]


def test_a_hook_that_hangs_costs_no_other_lease() -> None:
    """Leases are renewed all the while, and leaving the block does not wait for it long."""
    engine, entered, gate = MemoryLeaseEngine(), threading.Event(), threading.Event()

    def hook(told: LifecycleEvent) -> None:
        if isinstance(told, LeaseEnded):
            entered.set()
            gate.wait(10)

    with StreamLease(engine("orders", ttl=TTL), hooks=[hook]) as lease:
        take_away(engine, "orders", "orders")
        assert entered.wait(10)
        assert not lease.held
        began = time.monotonic()
    assert time.monotonic() - began < 3
    gate.set()


def test_a_hook_that_raises(caplog: pytest.LogCaptureFixture) -> None:
    """It is reported once, and the lease goes on without it."""

    def broken(_told: LifecycleEvent) -> None:
        raise ValueError("a bug")

    recorder = Recorder()
    with StreamLease(MemoryLeaseEngine()("orders"), hooks=[broken, recorder]):
        pass
    assert recorder.names == ["LeaseGranted", "LeaseEnded"]
    (record,) = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert "the lease or group 'orders' goes on without it" in record.getMessage()


def test_what_is_no_hook_is_refused() -> None:
    """As a source refuses it."""

    async def hook(_told: LifecycleEvent) -> None:
        """Be a coroutine function."""

    wrong: Any = hook
    with pytest.raises(TypeError, match="a hook must be a plain function"):
        StreamLease(MemoryLeaseEngine()("orders"), hooks=[wrong])
    with pytest.raises(TypeError, match="a hook must be a plain function"):
        StreamGroup(MemoryLeaseEngine(), "g", [URL], hooks=[wrong])


def test_a_lease_that_is_over_before_hooks_could_hear() -> None:
    """They hear of both, in order."""
    engine, recorder = MemoryLeaseEngine(), Recorder()
    lease = StreamLease(engine("orders", ttl=TTL), hooks=[recorder])
    request = lease._begin()
    assert request.ask() is None
    assert request.held is not None
    request.held.end()
    lease._keep()
    lease.__exit__(None, None, None)
    assert [told[-1] for told in facts(recorder)] == ["", "lost"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # threads and fork do not mix
def test_a_forked_child_tells_nothing() -> None:
    """The lease is the parent's, and so are its hooks."""
    recorder = Recorder()
    lease = StreamLease(MemoryLeaseEngine()("orders"), hooks=[recorder])
    with lease:
        child = os.fork()
        if not child:
            lease._granted().end("given back")
            lease._hooks.tell()
            os._exit(len(recorder.events))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1


@needs_redis
def test_a_lease_in_redis(shared_redis: RedisServer) -> None:
    """It takes hooks."""
    recorder = Recorder()
    shared_redis.grow_old("resilient-sse:{orders}")
    with RedisLease(shared_redis.url, "orders", ttl=TTL, hooks=[recorder]):
        assert recorder.names == ["LeaseGranted"]
    assert recorder.names == ["LeaseGranted", "LeaseEnded"]


@needs_postgresql
def test_a_lease_in_postgresql(shared_postgresql: PostgreSQLServer) -> None:
    """It takes hooks."""
    recorder = Recorder()
    with PostgreSQLLease(shared_postgresql.url, "orders", ttl=TTL, hooks=[recorder]):
        assert recorder.names == ["LeaseGranted"]
    assert recorder.names == ["LeaseGranted", "LeaseEnded"]


async def read(source: LeasedSource) -> None:
    """Read until the end."""
    async for _ in source:
        pass


async def until(recorder: Recorder, kind: type[LifecycleEvent], count: int) -> None:
    """Wait until there are so many."""
    await to_thread.run_sync(lambda: recorder.wait_for(kind, 10, count=count))


@pytest.mark.anyio
async def test_a_group(sse_history: HistoryServer) -> None:
    """Its streams and replicas, its leases, and its sources, to the same hooks."""
    engine, recorder = MemoryLeaseEngine(), Recorder()
    sse_history.publish("1")
    secret = f"{sse_history.url}?token=secret"
    urls = [sse_history.url, secret]
    hooks = iter([recorder])  # they are for all streams, however they come
    group = StreamGroup(engine, "g", urls, ttl=TTL, hooks=hooks)
    other = StreamGroup(engine, "g", urls, ttl=TTL)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(group.run, read)
        await until(recorder, LeaseGranted, 2)
        assert recorder.of(GroupChanged) == [GroupChanged(group="g", streams=2, replicas=1)]
        granted = recorder.of(LeaseGranted)
        assert {told.name for told in granted} == {sse_history.url, f"{sse_history.url}?token=***"}
        assert {told.group for told in granted} == {"g"}
        assert all(0 <= told.waited < 10 for told in granted)
        async with anyio.create_task_group() as others:
            others.start_soon(other.run, read)
            await until(recorder, LeaseEnded, 1)
            assert recorder.of(LeaseEnded)[0].reason == "given back"
            assert recorder.of(GroupChanged)[1].replicas == 2
            others.cancel_scope.cancel()
        await until(recorder, LeaseGranted, 3)
        take_away(engine, "g", secret)
        await until(recorder, LeaseEnded, 2)
        assert recorder.of(LeaseEnded)[1].reason == "lost"
        tasks.cancel_scope.cancel()
    assert recorder.of(GroupChanged)[-1] == GroupChanged(group="g", streams=0, replicas=0)
    assert [told.reason for told in recorder.of(LeaseEnded)] == ["given back", "lost", "given back"]
    assert recorder.names.count("Closed") >= 3, "those of the sources are in between"


def test_hooks_after_the_event_loop() -> None:
    """Whoever ends a lease when its loop is over harms nothing."""
    recorder = Recorder()
    lease = StreamLease(MemoryLeaseEngine()("orders"), hooks=[recorder])

    async def enter() -> None:
        await lease.__aenter__()

    anyio.run(enter)
    lease._granted().end()
    assert recorder.names == ["LeaseGranted"]
    lease.__exit__(None, None, None)
    assert recorder.names == ["LeaseGranted", "LeaseEnded"]
