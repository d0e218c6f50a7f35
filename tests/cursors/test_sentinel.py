"""A planned failover by Sentinel, with the settings that the documentation advises."""

from __future__ import annotations

import socket
import subprocess
import time
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import redis
from anyio import to_thread
from redis.sentinel import Sentinel

from resilient_sse.cursors import RedisLease
from tests.support.redis_server import RedisServer, needs_redis

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from resilient_sse.testing import HistoryServer

pytestmark = [needs_redis, pytest.mark.alone, pytest.mark.timeout(120)]

ADVISED = ("--min-replicas-to-write", "1", "--repl-diskless-sync-delay", "0")
TTL = 5.0


@pytest.fixture
def master() -> Iterator[RedisServer]:
    """A master with two replicas."""
    with RedisServer(*ADVISED) as first:
        replica_of = ("--replicaof", f"127.0.0.1 {first.port}")
        with RedisServer(*ADVISED, *replica_of), RedisServer(*ADVISED, *replica_of):
            until(lambda: first.client.info("replication")["connected_slaves"] == 2)
            yield first


@pytest.fixture
def sentinel(master: RedisServer, tmp_path: Path) -> Iterator[Any]:
    """Whoever watches them, and knows both replicas."""
    with sentinel_process(master, tmp_path) as port:
        made: Any = Sentinel
        watcher = made([("127.0.0.1", port)], socket_timeout=TTL / 4)
        client = watcher.sentinels[0]
        until(lambda: knows_replicas(client))
        yield watcher
        client.close()


@contextmanager
def sentinel_process(master: RedisServer, folder: Path) -> Generator[int]:
    """Run one, and return its port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    lines = [f"port {port}", f"dir {folder}", f"sentinel monitor m 127.0.0.1 {master.port} 1"]
    configuration = folder / "sentinel.conf"
    configuration.write_text("\n".join([*lines, "sentinel failover-timeout m 5000", ""]))
    command = ["redis-server", str(configuration), "--sentinel"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        yield port
        process.kill()


def knows_replicas(client: Any) -> bool:
    """Say whether the failover has somewhere to go."""
    try:
        return len(client.sentinel_slaves("m")) == 2
    except redis.RedisError:
        return False


def until(true: Any) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.anyio
async def test_a_planned_failover_stands_still_for_less_than_a_second(
    master: RedisServer, sentinel: Any, sse_history: HistoryServer
) -> None:
    """The lease is kept, every event comes once, and cursors are saved at the new master."""
    client = sentinel.master_for("m", socket_timeout=TTL / 4)
    handled: list[tuple[float, int]] = []
    new_master: Any = sentinel.master_for("m")
    found = b""

    async def publish() -> None:
        for number in range(1, 321):
            sse_history.publish(str(number))
            await anyio.sleep(0.05)

    async def fail_over() -> None:
        await anyio.sleep(3)
        await to_thread.run_sync(sentinel.sentinels[0].sentinel_failover, "m")

    async with RedisLease(client, "orders", ttl=TTL) as lease, anyio.create_task_group() as tasks:
        token = lease.token
        async with lease.source(sse_history.url) as source:
            tasks.start_soon(publish)
            tasks.start_soon(fail_over)
            while len(handled) < 320:
                event = await anext(source)
                handled.append((time.monotonic(), int(event.id)))
        assert lease.token == token
        found = await to_thread.run_sync(
            new_master.hget, "resilient-sse:{orders}:cursors", "orders"
        )
    assert sentinel.discover_master("m")[1] != master.port
    assert [number for _, number in handled] == list(range(1, 321))
    assert int(found.split()[2]) >= 319
    assert max(after - before for (before, _), (after, _) in pairwise(handled)) < 1
    client.close()
    new_master.close()
