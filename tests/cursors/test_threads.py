"""Stores and leases wait for no worker thread of anyio's: the program may use all of them."""

from __future__ import annotations

import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio import to_thread

from resilient_sse import ReconnectingEventSource
from resilient_sse.cursors import RedisCursorStore, RedisLease, SQLiteCursorStore, StreamGroup
from resilient_sse.cursors._engine.threads import in_own_thread, in_store_thread
from tests.support.redis_server import RedisServer, needs_redis

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator
    from pathlib import Path

    from resilient_sse.cursors import LeasedSource
    from resilient_sse.testing import HistoryServer

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(20)]

TTL = 0.5


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """A server for the tests of this file."""
    with RedisServer() as running:
        yield running


@pytest.fixture(autouse=True)
def empty(request: pytest.FixtureRequest) -> None:
    """Have each test find it empty."""
    if "server" in request.fixturenames:
        request.getfixturevalue("server").flush()


@pytest.fixture
def events(sse_history: HistoryServer) -> HistoryServer:
    """A stream with three events."""
    for number in range(1, 4):
        sse_history.publish(str(number))
    return sse_history


@asynccontextmanager
async def no_thread_to_spare() -> AsyncGenerator[None]:
    """Have all of anyio's worker threads be busy."""
    limiter = to_thread.current_default_thread_limiter()
    borrowers = [object() for _ in range(int(limiter.available_tokens))]
    for borrower in borrowers:
        await limiter.acquire_on_behalf_of(borrower)
    try:
        yield
    finally:
        for borrower in borrowers:
            limiter.release_on_behalf_of(borrower)


@needs_redis
@pytest.mark.parametrize("leaving", [False, True])
async def test_a_lease_is_granted_used_and_given_back(
    server: RedisServer, events: HistoryServer, *, leaving: bool
) -> None:
    """It is left as fast with the threads busy from the beginning as with threads busy later."""
    async with anyio.create_task_group() as tasks:

        async def hold(*, task_status: anyio.abc.TaskStatus[None]) -> None:
            async with no_thread_to_spare():
                task_status.started()
                await anyio.sleep_forever()

        if not leaving:
            await tasks.start(hold)
        with anyio.fail_after(10):
            async with RedisLease(server.url, "orders", ttl=TTL) as lease:
                async with lease.source(events.url) as source:
                    assert [(await anext(source)).id for _ in range(3)] == ["1", "2", "3"]
                if leaving:
                    await tasks.start(hold)
            assert not lease.held
        tasks.cancel_scope.cancel()


@needs_redis
async def test_a_group_reads_and_goes(server: RedisServer, events: HistoryServer) -> None:
    """From its first look to its last word."""
    group = StreamGroup(server.url, "g", [events.url], ttl=TTL)
    async with no_thread_to_spare(), anyio.create_task_group() as tasks:
        read = anyio.Event()

        async def reader(source: LeasedSource) -> None:
            async for event in source:
                if event.id == "3":
                    read.set()

        tasks.start_soon(group.run, reader)
        with anyio.fail_after(10):
            await read.wait()
        tasks.cancel_scope.cancel()
    assert not group.reading


@pytest.mark.parametrize("kind", [pytest.param("redis", marks=needs_redis), "sqlite"])
async def test_a_store_loads_and_saves(
    server: RedisServer, events: HistoryServer, tmp_path: Path, kind: str
) -> None:
    """Whatever it is kept in."""
    stores: dict[str, Callable[[], Any]] = {
        "redis": lambda: RedisCursorStore(server.url),
        "sqlite": lambda: SQLiteCursorStore(tmp_path / "cursors"),
    }
    store = stores[kind]()
    async with no_thread_to_spare():
        with anyio.fail_after(10):
            for first in ("1", "3"):
                async with ReconnectingEventSource(events.url, cursor=store) as source:
                    assert (await anext(source)).id == first
                    while first == "1" and source.last_event_id != "3":
                        await anext(source)
        with anyio.fail_after(10):
            await (in_own_thread(store.close) if kind == "sqlite" else store.aclose())


async def test_what_hangs_keeps_nobody_who_is_cancelled() -> None:
    """A store that does not answer costs one of our threads, and not the time of who leaves."""
    answer = threading.Event()
    with anyio.move_on_after(0.1) as scope:
        await in_store_thread(answer.wait)
    assert scope.cancelled_caught
    answer.set()
