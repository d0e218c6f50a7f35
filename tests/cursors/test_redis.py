"""`RedisCursorStore` with a real Redis, from threads, asyncio and trio."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest
import redis
import redis.asyncio

from resilient_sse import (
    CursorError,
    CursorStoreFailed,
    ExponentialBackoff,
    ReconnectingEventSource,
    SyncReconnectingEventSource,
)
from resilient_sse.cursors import RedisCursorStore
from resilient_sse.cursors._engine.store import word
from resilient_sse.testing import Recorder
from tests.support.redis_server import RedisServer, needs_redis

if TYPE_CHECKING:
    from resilient_sse.testing import HistoryServer

pytestmark = needs_redis


@pytest.fixture
def server(shared_redis: RedisServer) -> RedisServer:
    """It, empty, and without the scripts it has learnt."""
    shared_redis.flush()
    shared_redis.client.script_flush()
    return shared_redis


def test_what_is_saved_can_be_loaded(server: RedisServer) -> None:
    """Under its key; as text of any kind; also by another store."""
    with RedisCursorStore(server.url) as store, RedisCursorStore(server.url) as other:
        assert store.load("a") is None
        store.save("a", "1")
        store.save("b", "é 2\n3 ")
        store.save("a", "4")
        assert store.load("a") == "4"
        assert other.load("b") == "é 2\n3 "
        other.save("a", "5")
        assert store.load("a") == "5"
    assert server.client.hlen("resilient-sse:cursors") == 2


@pytest.mark.anyio
async def test_the_same_from_an_event_loop(server: RedisServer) -> None:
    """On asyncio with redis-py's own client, on trio in threads."""
    async with RedisCursorStore(server.url, prefix="mine") as store:
        assert await store.aload("a") is None
        await store.asave("a", "1")
        await store.asave("a", "2")
        assert await store.aload("a") == "2"
    found = await anyio.to_thread.run_sync(server.client.keys, "*")
    assert found == [b"mine:cursors"]


def test_a_late_save_does_not_replace_a_newer_one(server: RedisServer) -> None:
    """A process numbers its saves; one that was overtaken on the way changes nothing."""
    with RedisCursorStore(server.url) as store, RedisCursorStore(server.url) as same:
        late = word("a", "1")
        same.save("a", "2")
        store._save([late])
        assert store.load("a") == "2"
        assert server.client.hget("resilient-sse:cursors", "a").endswith(b" 2")


@pytest.mark.anyio
async def test_clients_of_the_user_are_used_and_not_closed(
    server: RedisServer, anyio_backend_name: str
) -> None:
    """A blocking client everywhere; one for asyncio there, and with a clear error elsewhere."""
    blocking: Any = redis.Redis(port=server.port, decode_responses=True)
    store = RedisCursorStore(blocking)
    await store.asave("a", "1") if anyio_backend_name == "trio" else None
    await anyio.to_thread.run_sync(store.save, "a", "2")
    assert await store.aload("a") == "2"
    await store.aclose()
    store.close()
    assert await anyio.to_thread.run_sync(blocking.ping)
    await anyio.to_thread.run_sync(blocking.close)

    own: Any = redis.asyncio.Redis(port=server.port)
    store = RedisCursorStore(own)
    if anyio_backend_name == "asyncio":
        await store.asave("a", "3")
        assert await store.aload("a") == "3"
        await store.aclose()
        assert await own.ping()
        await own.aclose()
    else:
        with pytest.raises(TypeError, match="asyncio only"):
            await store.aload("a")
        with pytest.raises(TypeError, match="asyncio only"):
            await store.asave("a", "3")


def test_a_store_serves_one_event_loop_after_the_other(server: RedisServer) -> None:
    """Each gets a client of its own."""
    store = RedisCursorStore(server.url)

    async def save_and_load(cursor: str) -> str | None:
        await store.asave("a", cursor)
        found = await store.aload("a")
        await store.aclose()
        return found

    assert anyio.run(save_and_load, "1") == "1"
    assert anyio.run(save_and_load, "2") == "2"
    store.close()


def test_clients_of_event_loops_that_are_over_are_forgotten(server: RedisServer) -> None:
    """Also if nobody closed the store there."""
    store = RedisCursorStore(server.url)
    cursors: Any = store._cursors

    async def use() -> None:
        assert await store.aload("a") is None
        await cursors._redis._async_client().aclose()

    for _ in range(3):
        anyio.run(use)
    assert len(cursors._redis._async) == 1


@pytest.mark.anyio
async def test_a_source_resumes_from_it(server: RedisServer, sse_history: HistoryServer) -> None:
    """In another process, as it were: with another store."""
    for number in range(1, 6):
        sse_history.publish(str(number))
    async with (
        RedisCursorStore(server.url) as store,
        ReconnectingEventSource(sse_history.url, cursor=store) as source,
    ):
        for _ in range(3):
            await anext(source)

    def go_on() -> list[str]:
        with (
            RedisCursorStore(server.url) as store,
            SyncReconnectingEventSource(sse_history.url, cursor=store) as source,
        ):
            return [next(source).id for _ in range(3)]

    assert await anyio.to_thread.run_sync(go_on) == ["3", "4", "5"]


@pytest.mark.anyio
async def test_the_stream_outlives_a_restart_of_redis(sse_history: HistoryServer) -> None:
    """Events flow while it is down; when it is back, empty, the newest cursor is saved."""
    recorder = Recorder()
    policy = ExponentialBackoff(wait_initial=0.02, wait_max=0.02)
    server = RedisServer()
    await anyio.to_thread.run_sync(server.start)
    try:
        async with (
            RedisCursorStore(server.url) as store,
            ReconnectingEventSource(
                sse_history.url, cursor=store, cursor_policy=policy, hooks=[recorder]
            ) as source,
        ):
            for number in range(1, 61):
                if number == 10:
                    await anyio.to_thread.run_sync(server.kill)
                if number == 40:
                    await anyio.to_thread.run_sync(server.start)
                sse_history.publish(str(number))
                assert (await anext(source)).id == str(number)
                await anyio.sleep(0.005)
            found = await store.aload(sse_history.url)
        assert recorder.of(CursorStoreFailed)
        assert recorder.names.count("Connecting") == 1
        assert found == "59"
    finally:
        await anyio.to_thread.run_sync(server.__exit__, None, None, None)


@pytest.mark.anyio
async def test_a_redis_that_is_not_there_is_told() -> None:
    """By a CursorError, when the policy gives up."""
    async with RedisCursorStore("redis://127.0.0.1:1") as store:
        with pytest.raises(CursorError, match="could not load"):
            async with ReconnectingEventSource(
                "http://127.0.0.1:1", cursor=store, cursor_policy=lambda _: None
            ):
                raise AssertionError
        with pytest.raises(redis.ConnectionError):
            await store.asave("a", "1")
        with pytest.raises(redis.ConnectionError):
            await anyio.to_thread.run_sync(store.save, "a", "1")
