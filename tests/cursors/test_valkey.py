"""Valkey does all that Redis does, through redis-py; a client of its own package is refused."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import valkey
import valkey.asyncio
from anyio import to_thread

from resilient_sse import ReconnectingEventSource
from resilient_sse.cursors import (
    RedisCursorStore,
    RedisLease,
    RedisLeases,
    StreamGroup,
    SyncStreamGroup,
)
from resilient_sse.testing import Recorder, lease_checks
from tests.cursors.test_lease_engines import on_redis
from tests.support.redis_server import RedisServer, needs_valkey, valkey_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from resilient_sse.cursors import LeasedSource
    from resilient_sse.testing import HistoryServer

pytestmark = [needs_valkey, pytest.mark.timeout(60)]

TTL = 0.5


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """A Valkey."""
    with RedisServer(program=valkey_server() or "") as running:
        yield running


def test_it_is_valkey(server: RedisServer) -> None:
    """And no Redis."""
    assert server.client.info("server")["server_name"] == "valkey"


@pytest.mark.parametrize("check", lease_checks(), ids=lambda check: check.__name__)
def test_leases(server: RedisServer, check: Callable[[Any], None]) -> None:
    """It keeps what the protocol says."""
    check(partial(on_redis, server))


@pytest.mark.anyio
async def test_a_cursor_store(server: RedisServer, sse_history: HistoryServer) -> None:
    """A stream goes on from where it was."""
    await to_thread.run_sync(server.flush)
    for number in ("1", "2", "3"):
        sse_history.publish(number)
    async with RedisCursorStore(server.url) as store:
        for expected in ("1", "2"):
            async with ReconnectingEventSource(sse_history.url, cursor=store) as source:
                event = await anext(source)
                await source.ack(event)
            assert event.id == expected


@pytest.mark.anyio
async def test_a_group(server: RedisServer, sse_history: HistoryServer) -> None:
    """Its streams are read."""
    await to_thread.run_sync(server.flush)
    sse_history.publish("1")
    recorder, heard = Recorder(), anyio.Event()

    async def read(source: LeasedSource) -> None:
        async for _ in source:
            heard.set()

    group = StreamGroup(server.url, "g", [sse_history.url], ttl=TTL, hooks=[recorder])
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(group.run, read)
            await heard.wait()
            tasks.cancel_scope.cancel()
    assert recorder.names[-2:] == ["LeaseEnded", "GroupChanged"]


class Own(valkey.Valkey):
    """A client of the program's."""


@pytest.mark.parametrize("kind", [valkey.Valkey, valkey.asyncio.Valkey, Own])
def test_a_client_of_the_package_valkey(kind: Any) -> None:
    """Its errors are not redis-py's, so it is refused before the first of them."""
    client = kind()
    with pytest.raises(TypeError, match="is a client of the package valkey; pass a URL"):
        RedisCursorStore(client)
    for made in (RedisLeases, RedisLease):
        with pytest.raises(TypeError, match="both speak to Valkey too"):
            made(client, "g")
    for group in (StreamGroup, SyncStreamGroup):
        with pytest.raises(TypeError, match="both speak to Valkey too"):
            group(client, "g", ["https://h/e"])
