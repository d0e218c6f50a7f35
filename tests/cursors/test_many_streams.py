"""Hundreds of streams that save at the same time, with any client: a healthy Redis fails none."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import redis
import redis.asyncio
from anyio import to_thread

from resilient_sse.cursors import RedisCursorStore
from resilient_sse.cursors._leases.grant import Grant
from resilient_sse.cursors._redis.client import _ANONYMOUS
from tests.support.redis_server import RedisServer, needs_redis, table_on

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_sse.cursors._leases.table import LeaseTable

pytestmark = [needs_redis, pytest.mark.timeout(60)]

STREAMS = [f"https://example.com/{number}" for number in range(400)]


@pytest.fixture
def server(shared_redis: RedisServer) -> RedisServer:
    """It, empty, and old enough to grant leases."""
    shared_redis.flush()
    shared_redis.grow_old("s:{x}")
    shared_redis.client.config_resetstat()
    return shared_redis


def pool_of_one(server: RedisServer) -> Any:
    """A client of the program's, with a single connection."""
    pool: Any = redis.ConnectionPool(port=server.port, max_connections=1)
    return redis.Redis(connection_pool=pool)


def waiting_pool_of_one(server: RedisServer) -> Any:
    """One whose pool waits for its connection, but not for long."""
    pool: Any = redis.BlockingConnectionPool
    return redis.Redis(connection_pool=pool(port=server.port, max_connections=1, timeout=1))


CLIENTS: dict[str, Callable[[RedisServer], Any]] = {
    "a URL": lambda server: server.url,
    "a URL with one connection": lambda server: f"{server.url}?max_connections=1",
    "a pool of one": pool_of_one,
    "a waiting pool of one": waiting_pool_of_one,
}


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest, server: RedisServer) -> Any:
    """Any client that serves every kind of source."""
    return CLIENTS[request.param](server)


def few_connections(server: RedisServer) -> None:
    """Check that nobody opened one for each stream."""
    assert server.client.info("stats")["total_connections_received"] <= 6


def in_threads(task: Callable[[str], object]) -> None:
    """Do something for each stream, many at a time, each in a thread."""
    with ThreadPoolExecutor(60) as threads:
        list(threads.map(task, STREAMS))


async def in_tasks(task: Callable[[str], Any]) -> None:
    """Do something for each stream, all at once."""
    async with anyio.create_task_group() as tasks:
        for stream in STREAMS:
            tasks.start_soon(task, stream)


def save(store: RedisCursorStore, cursor: str, stream: str) -> None:
    """Save one of many."""
    store.save(stream, cursor)


async def asave(store: RedisCursorStore, cursor: str, stream: str) -> None:
    """Save one of many."""
    await store.asave(stream, cursor)


def test_a_store_of_many_threads(server: RedisServer, client: Any) -> None:
    """Loads and saves; what was saved is there."""
    store = RedisCursorStore(client)
    in_threads(store.load)
    for cursor in ("1", "2"):
        in_threads(partial(save, store, cursor))
        assert {store.load(stream) for stream in STREAMS} == {cursor}
    store.close()
    few_connections(server)


@pytest.mark.anyio
async def test_a_store_of_many_tasks(server: RedisServer, client: Any) -> None:
    """On asyncio and trio."""
    found: set[str | None] = set()

    async def load(stream: str) -> None:
        found.add(await store.aload(stream))

    async with RedisCursorStore(client) as store:
        await in_tasks(load)
        for cursor in ("1", "2"):
            await in_tasks(partial(asave, store, cursor))
        await in_tasks(load)
    assert found == {None, "2"}
    await to_thread.run_sync(few_connections, server)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_asyncio_client_with_one_connection(
    server: RedisServer, anyio_backend: str
) -> None:
    """Loads and saves at the same time wait for it."""
    options: Any = {"port": server.port, "max_connections": 1, **_ANONYMOUS}
    pool: Any = redis.asyncio.ConnectionPool(**options)
    own: Any = redis.asyncio.Redis(connection_pool=pool)
    store = RedisCursorStore(own)

    async def save_and_load(stream: str) -> None:
        await store.asave(stream, "1")
        assert await store.aload(stream) == "1"

    await in_tasks(save_and_load)
    await own.aclose()
    await pool.aclose()


def granted(client: Any) -> tuple[LeaseTable, list[Grant]]:
    """Get the leases of all streams."""
    leases = table_on(client, "s:{x}", ttl=30.0)
    answers = leases.acquire(STREAMS).values()
    return leases, [answer for answer in answers if isinstance(answer, Grant)]


def saved(server: RedisServer) -> list[bytes]:
    """Return what Redis has."""
    return [entry.split()[2] for entry in server.client.hvals("s:{x}:cursors")]


def test_leases_of_many_threads(server: RedisServer, client: Any) -> None:
    """While they are renewed."""
    leases, held = granted(client)

    def renew() -> None:
        for _ in range(5):
            leases.renew()

    renewing = threading.Thread(target=renew)
    renewing.start()
    with ThreadPoolExecutor(60) as threads:
        list(threads.map(Grant.save, held, [""] * len(held), ["7"] * len(held)))
    renewing.join()
    leases.server.close()
    assert all(one.valid for one in held)
    assert saved(server) == [b"7"] * len(STREAMS)
    few_connections(server)


@pytest.mark.anyio
async def test_leases_of_many_tasks(server: RedisServer, client: Any) -> None:
    """On asyncio and trio; one that is lost meanwhile is the only one that fails."""
    leases, held = await to_thread.run_sync(granted, client)
    lost = f"other {2**52} {2**52}"
    await to_thread.run_sync(server.client.hset, "s:{x}:leases", STREAMS[7], lost)
    failed: list[str] = []

    async def save(one: Grant) -> None:
        try:
            await one.asave("", "7")
        except Exception as error:
            failed.append(f"{error}")

    async with anyio.create_task_group() as tasks:
        for one in held:
            tasks.start_soon(save, one)
        await to_thread.run_sync(leases.renew)
    await leases.server.aclose()
    assert len(failed) == 1
    assert STREAMS[7] in failed[0]
    assert saved(server) == [b"7"] * (len(STREAMS) - 1)
    await to_thread.run_sync(few_connections, server)


def test_a_pool_that_the_program_uses_too_is_waited_for(server: RedisServer) -> None:
    """Its connections are needed for moments; one that never comes back is an error in the end."""
    client = pool_of_one(server)
    taken = client.client()  # it keeps the connection
    taken.ping()
    store = RedisCursorStore(client)
    cursors: Any = store._cursors
    cursors._redis._timeout = 0.3
    began = time.monotonic()
    with pytest.raises(redis.ConnectionError, match="Too many connections"):
        store.save("a", "1")
    assert time.monotonic() - began >= 0.3
    threading.Timer(0.1, taken.close).start()
    store.save("a", "2")
    assert store.load("a") == "2"
    client.close()
