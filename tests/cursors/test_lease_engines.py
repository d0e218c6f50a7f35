"""Every engine of leases keeps what the protocol says: the checks for authors of another one."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from resilient_sse import CursorError
from resilient_sse.cursors import (
    LeaseSave,
    LeaseWanted,
    PostgreSQLLeases,
    RedisLeases,
    SavedCursor,
    StreamGroup,
    StreamLease,
)
from resilient_sse.testing import MemoryLeaseEngine, lease_checks
from tests.support.postgresql_server import PostgreSQLServer, needs_postgresql
from tests.support.redis_server import RedisServer, needs_redis

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_sse.cursors import LeasedSource, LeaseServer
    from resilient_sse.testing import HistoryServer

every_check = pytest.mark.parametrize("check", lease_checks(), ids=lambda check: check.__name__)


@every_check
def test_in_memory(check: Callable[[Any], None]) -> None:
    """The engine for tests."""
    check(MemoryLeaseEngine())


def on_redis(server: RedisServer, name: str, *, ttl: float) -> LeaseServer:
    """Be a replica on a Redis that has been there for long."""
    server.grow_old(f"resilient-sse:{{{name}}}")
    return RedisLeases(server.url, name, ttl=ttl)


@needs_redis
@every_check
def test_on_redis(shared_redis: RedisServer, check: Callable[[Any], None]) -> None:
    """A real one."""
    check(partial(on_redis, shared_redis))


@needs_postgresql
@every_check
def test_on_postgresql(shared_postgresql: PostgreSQLServer, check: Callable[[Any], None]) -> None:
    """A real one, which grants nothing in the first second."""
    check(partial(PostgreSQLLeases, shared_postgresql.url))


# -- The engine for tests --------------------------------------------------------------------------


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_clock_of_ones_own() -> None:
    """Nobody waits for a lease to end."""
    clock = Clock()
    engine = MemoryLeaseEngine(clock)
    first, second = (engine("g", ttl=1000) for _ in range(2))
    assert first.grant([LeaseWanted("x")])[0].token == 1
    assert second.grant([LeaseWanted("x")]) == [(0, 1000, SavedCursor(), True)]
    clock.now = 1000.0
    assert second.grant([LeaseWanted("x")])[0].token == 2


def test_an_engine_that_forgets() -> None:
    """It grants nothing for one lease time; who held a lease puts it back, with its cursor."""
    clock = Clock()
    engine = MemoryLeaseEngine(clock)
    first, second = (engine("g", ttl=10) for _ in range(2))
    token = first.grant([LeaseWanted("x")])[0].token
    other = first.grant([LeaseWanted("y")])[0].token
    first.save([LeaseSave("x", token, 1, "7")])
    engine.forget()
    assert second.grant([LeaseWanted("x")]) == [(0, 10, SavedCursor(), True)]
    assert first.renew([LeaseSave("x", token, 1, "7"), LeaseSave("y", other, 1, "")]) == [True] * 2
    assert first.save([LeaseSave("y", other, 2, "8")]) == [True]
    clock.now = 10.0
    assert second.grant([LeaseWanted("x")])[0].saved == SavedCursor(token, 1, "7")
    assert second.grant([LeaseWanted("z")])[0].token == 1


@pytest.mark.anyio
async def test_a_group_runs_on_any_engine(sse_history: HistoryServer) -> None:
    """And one replica takes over what another one gives back, as soon as it is told."""
    sse_history.publish("one")
    engine = MemoryLeaseEngine()
    heard: list[str] = []

    async def read(source: LeasedSource) -> None:
        assert source.lease.name == source.url
        async for event in source:
            heard.append(event.id)  # noqa: PERF401 - it is read while it grows

    async with anyio.create_task_group() as tasks:
        async with anyio.create_task_group() as others:
            others.start_soon(StreamGroup(engine, "g", [sse_history.url], ttl=1000).run, read)
            while not heard:  # noqa: ASYNC110 - any condition will do
                await anyio.sleep(0.01)
            tasks.start_soon(StreamGroup(engine, "g", [sse_history.url], ttl=1000).run, read)
            await anyio.sleep(0.05)
            others.cancel_scope.cancel()
        with anyio.fail_after(10):
            sse_history.publish("two")
            while "2" not in heard:  # noqa: ASYNC110 - any condition will do
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()


def test_a_lease_runs_on_any_engine(sse_history: HistoryServer) -> None:
    """In threads, one after the other, with no wait between them."""
    sse_history.publish("one")
    engine = MemoryLeaseEngine()
    first, second = (StreamLease(engine("orders", ttl=1000)) for _ in range(2))
    with first, first.sync_source(sse_history.url) as source:
        assert next(source).id == "1"
        threading.Timer(0.1, source.close).start()
        waiting = threading.Thread(target=second.__enter__)
        waiting.start()
        assert list(source) == []
    waiting.join(10)
    assert second.held
    assert second.token == first.token + 1
    second.__exit__(None, None, None)


@pytest.mark.parametrize("url", ["localhost", "mysql://localhost", ""])
def test_the_scheme_of_a_url_picks_the_engine(url: str) -> None:
    """One that is unknown is refused, and not shown: a password may stand in it."""
    with pytest.raises(ValueError, match="must be one of redis, rediss, unix"):
        StreamGroup(url, "g", [])


def test_an_engine_of_ours_may_be_made_with_options() -> None:
    """A prefix goes to it."""
    with pytest.raises(TypeError, match="prefix"):
        StreamGroup(MemoryLeaseEngine(), "g", [], prefix="p")
    assert (
        StreamGroup(partial(RedisLeases, "redis://localhost", prefix="p"), "g", []).reading == set()
    )


# -- A store that is behind ------------------------------------------------------------------------


def is_os_error(error: Exception) -> bool:
    """Say what passes by itself, here."""
    return isinstance(error, OSError)


def behind() -> StreamLease:
    """Make a lease whose first saves fail, with no room for another event meanwhile."""
    server: Any = MemoryLeaseEngine()("g", ttl=1000)
    failures = iter(range(3))
    save = server.save

    def fail(saves: list[LeaseSave]) -> object:
        if next(failures, None) is not None:
            raise OSError("for now")
        return save(saves)

    server.save = fail
    server.is_outage = is_os_error
    return StreamLease(server)


def test_a_reader_waits_for_its_store(sse_history: HistoryServer) -> None:
    """Not for a transaction: the cursor is acknowledged, and not saved yet."""
    for number in range(1, 4):
        sse_history.publish(str(number))
    lease = behind()
    with lease, lease.sync_source(sse_history.url, max_unacked=1) as source:
        assert [next(source).id for _ in range(3)] == ["1", "2", "3"]


@pytest.mark.anyio
async def test_the_same_from_an_event_loop(sse_history: HistoryServer) -> None:
    """On asyncio and trio."""
    for number in range(1, 4):
        sse_history.publish(str(number))
    lease = behind()
    async with lease, lease.source(sse_history.url, max_unacked=1) as source:
        assert [(await anext(source)).id for _ in range(3)] == ["1", "2", "3"]


def test_what_no_waiting_changes_ends_a_source(sse_history: HistoryServer) -> None:
    """It says what the engine said."""
    sse_history.publish("one")
    server: Any = MemoryLeaseEngine()("g", ttl=1000)

    def fail(_: object) -> None:
        raise OSError("never")

    server.save = fail
    lease = StreamLease(server)
    with lease, lease.sync_source(sse_history.url) as source:
        next(source)
        with pytest.raises(CursorError, match=r"could not save 'g'.*never"):
            next(source)
