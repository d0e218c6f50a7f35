"""`RedisLease` with a real Redis: granted, kept, given back, lost."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import anyio
import pytest
import redis

from resilient_sse import cursors
from resilient_sse.cursors import LeasedSource, LeaseLost, RedisLease
from resilient_sse.cursors._leases.clock import boottime
from resilient_sse.cursors._leases.grant import Grant
from resilient_sse.cursors._leases.table import Waiting
from tests.support.redis_server import RedisServer, needs_redis, table_on

if TYPE_CHECKING:
    from collections.abc import Iterator

    from resilient_sse.testing import HistoryServer

pytestmark = needs_redis

TTL = 0.8


@pytest.fixture
def server(shared_redis: RedisServer) -> RedisServer:
    """It, empty."""
    shared_redis.flush()
    return shared_redis


@pytest.fixture
def own_server() -> Iterator[RedisServer]:
    """A server for one test, which may do with it what it likes."""
    with RedisServer() as running:
        yield running


@pytest.fixture
def events(sse_history: HistoryServer) -> HistoryServer:
    """A stream with a hundred events."""
    for number in range(1, 101):
        sse_history.publish(str(number))
    return sse_history


def test_every_name_is_there() -> None:
    """The package's names are sorted, importable, and no others."""
    assert cursors.__all__ == sorted(cursors.__all__)
    assert all(hasattr(cursors, name) for name in cursors.__all__)
    assert set(cursors.__all__) <= set(dir(cursors))
    assert not hasattr(cursors, "Nothing")


@pytest.mark.parametrize(
    ("missing", "name", "said"),
    [
        ("redis", "RedisLease", "RedisLease needs the extra 'redis': pip install 'resilient-sse["),
        ("sqlite3", "SQLiteCursorStore", "ModuleNotFoundError: "),
    ],
)
def test_without_the_extra_the_error_says_what_to_install(
    missing: str, name: str, said: str
) -> None:
    """Another module that is missing is not blamed on the extra."""
    program = (
        f"import sys; sys.modules['{missing}'] = None\n"
        f"from resilient_sse import cursors; cursors.{name}"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert said in result.stderr.splitlines()[-1]


def test_help_works_without_the_extra() -> None:
    """It shows what can be used."""
    program = (
        "import sys; sys.modules['redis'] = None\nfrom resilient_sse import cursors; help(cursors)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "class SQLiteCursorStore" in result.stdout


def holds(lease: RedisLease) -> bool:
    """Ask anew; a type checker takes an attribute to stay as it is."""
    return lease.held


@pytest.mark.anyio
async def test_one_after_the_other_reads_the_stream(
    server: RedisServer, events: HistoryServer
) -> None:
    """The second waits until the first has left the block, and goes on from its cursor."""
    first, second = (RedisLease(server.url, "orders", ttl=TTL) for _ in range(2))
    tokens: list[int] = []
    async with first:
        assert holds(first)
        async with first.source(events.url) as source:
            assert source.url == events.url
            for number in range(1, 4):
                assert (await anext(source)).id == str(number)
            tokens.append(source.token)
        with anyio.move_on_after(TTL * 2):
            async with second:
                raise AssertionError
        assert holds(first), "it is renewed"
    assert not holds(first)
    async with second, second.source(events.url) as source:
        assert (await anext(source)).id == "3", "the third was not acknowledged"
        tokens.append(second.token)
    assert tokens == sorted(set(tokens))


def test_the_same_in_threads(server: RedisServer, events: HistoryServer) -> None:
    """With blocking sources."""
    lease = RedisLease(server.url, "orders", ttl=TTL)
    with lease, lease.sync_source(events.url) as source:
        assert [next(source).id for _ in range(3)] == ["1", "2", "3"]
        assert source.token == lease.token
        assert source.url == events.url
    with RedisLease(server.url, "orders", ttl=TTL) as again:  # noqa: SIM117 - two things, one after the other
        with again.sync_source(events.url) as source:
            assert next(source).id == "3"


def test_a_lease_is_used_inside_its_block(server: RedisServer) -> None:
    """The error says so."""
    lease = RedisLease(server.url, "orders")
    assert not lease.held
    with pytest.raises(RuntimeError, match="inside its block"):
        lease.source("http://127.0.0.1:1")
    with pytest.raises(ValueError, match="ttl"):
        RedisLease(server.url, "orders", ttl=0)


async def lose(server: RedisServer) -> None:
    """Give the lease to somebody else, as if it had expired."""
    key = "resilient-sse:{orders}:leases"
    await anyio.to_thread.run_sync(server.client.hset, key, "orders", f"other {2**52} {2**52}")


@pytest.mark.anyio
async def test_an_idle_reader_is_woken_when_its_lease_is_lost(
    server: RedisServer, sse_history: HistoryServer
) -> None:
    """It would otherwise wait for an event that is not its own any more."""
    async with RedisLease(server.url, "orders", ttl=TTL) as lease:
        async with lease.source(sse_history.url) as source, anyio.create_task_group() as tasks:
            tasks.start_soon(lose, server)
            with anyio.fail_after(5), pytest.raises(LeaseLost, match="orders"):
                await anext(source)
        assert not lease.held


@pytest.mark.anyio
async def test_a_reader_with_much_in_its_queue_stops_at_once(
    server: RedisServer, events: HistoryServer
) -> None:
    """Not one event is delivered after the loss; the late save fails."""
    async with RedisLease(server.url, "orders", ttl=TTL) as lease:  # noqa: SIM117 - two things, one after the other
        async with lease.source(events.url, auto_ack=False) as source:
            first = await anext(source)
            await lose(server)
            with anyio.fail_after(5):
                while lease.held:  # noqa: ASYNC110 - nothing tells when
                    await anyio.sleep(0.01)
            with pytest.raises(LeaseLost):
                await anext(source)
            with pytest.raises(LeaseLost):
                await source.ack(first)
    found = await anyio.to_thread.run_sync(server.client.hgetall, "resilient-sse:{orders}:cursors")
    assert found == {}


@pytest.mark.anyio
async def test_a_reader_that_was_stopped_delivers_nothing_after_its_time(
    own_server: RedisServer, events: HistoryServer
) -> None:
    """Its own clock tells it, whether or not it can ask Redis."""
    async with RedisLease(own_server.url, "orders", ttl=TTL) as lease:  # noqa: SIM117 - two things, one after the other
        async with lease.source(events.url) as source:
            await anext(source)
            await anyio.to_thread.run_sync(own_server.kill)
            with anyio.fail_after(5), pytest.raises(LeaseLost):  # noqa: PT012 - the whole life is what fails
                while True:
                    await anext(source)
                    await anyio.sleep(0.01)


def test_a_blocking_reader_is_woken_too(server: RedisServer, sse_history: HistoryServer) -> None:
    """And one that waits for an acknowledgement."""
    sse_history.publish("one")
    for waits_for_ack in (False, True):
        server.flush()
        with RedisLease(server.url, "orders", ttl=TTL) as lease:  # noqa: SIM117 - two things, one after the other
            with lease.sync_source(sse_history.url, auto_ack=False, max_unacked=1) as source:
                event = next(source)
                if not waits_for_ack:
                    source.ack(event)
                anyio.run(lose, server)
                with pytest.raises(LeaseLost):
                    next(source)


@pytest.mark.timing
def test_a_lease_outlives_a_restart_of_redis(
    own_server: RedisServer, sse_history: HistoryServer
) -> None:
    """Empty; the holder puts the lease and its cursor back, and nobody else gets it meanwhile."""
    ttl = 2.0
    sse_history.publish("one")
    sse_history.publish("two")
    key = "resilient-sse:{orders}:cursors"
    with RedisLease(own_server.url, "orders", ttl=ttl) as lease:  # noqa: SIM117 - two things, one after the other
        with lease.sync_source(sse_history.url) as source:
            next(source)
            next(source)
            assert own_server.client.hget(key, "orders").split()[2] == b"1"
            own_server.kill()
            own_server.start()
            assert own_server.client.hget(key, "orders") is None
            other = table_on(own_server.client, "resilient-sse:{orders}", ttl)
            deadline = time.monotonic() + 1.5 * ttl
            while time.monotonic() < deadline:
                assert isinstance(other.acquire(["orders"])["orders"], Waiting)
                time.sleep(0.05)
            assert lease.held
            assert own_server.client.hget(key, "orders").split()[2] == b"1"


@pytest.mark.timing
def test_a_save_puts_the_lease_back_too(own_server: RedisServer) -> None:
    """The first thing that a new server hears may be a save."""
    leases = table_on(own_server.client, "s:{x}", ttl=1.0)
    own_server.client.hset("s:{x}:server", mapping={"run": "none", "since": "0"})
    while not isinstance(held := leases.acquire(["x"])["x"], Grant):
        time.sleep(held.seconds)
    own_server.kill()
    own_server.start()
    held.save("", "7")
    assert own_server.client.hget("s:{x}:leases", "x").split()[1] == str(held.token).encode()
    assert own_server.client.hget("s:{x}:cursors", "x").split()[2] == b"7"


@pytest.mark.timing
def test_a_replica_that_waits_remembers_the_cursor(own_server: RedisServer) -> None:
    """So that a server that comes back empty, with the reader gone, does not lose the place."""
    holder = table_on(own_server.client, "s:{x}", ttl=0.2)
    waiting = table_on(own_server.client, "s:{x}", ttl=0.2)
    while not isinstance(held := holder.acquire(["x"])["x"], Grant):
        time.sleep(held.seconds)
    held.save("", "7")
    assert isinstance(waiting.acquire(["x"])["x"], Waiting)
    own_server.kill()
    own_server.start()
    while not isinstance(taken := waiting.acquire(["x"])["x"], Grant):
        time.sleep(taken.seconds)
    assert taken.load("") == "7"


def test_waiting_outlives_an_outage(own_server: RedisServer) -> None:
    """Whoever waits for a lease goes on asking."""
    own_server.kill()
    starter = threading.Timer(0.3, own_server.start)
    starter.start()
    with RedisLease(own_server.url, "orders", ttl=TTL) as lease:
        assert lease.held
    starter.join()


def test_giving_back_during_an_outage_is_no_error(own_server: RedisServer) -> None:
    """The lease then lasts for its time."""
    with RedisLease(own_server.url, "orders", ttl=TTL):
        own_server.kill()


def test_a_wrong_kind_of_key_is_told(server: RedisServer) -> None:
    """It is no outage: asking again would not help."""
    server.client.set("resilient-sse:{orders}:leases", "what?")
    for _ in range(2):  # once in the first seconds of the server, once after
        with pytest.raises(redis.ResponseError), RedisLease(server.url, "orders", ttl=TTL):
            raise AssertionError


def test_giving_back_to_a_wrong_kind_of_key_is_told(server: RedisServer) -> None:
    """As asking is."""
    with pytest.raises(redis.ResponseError), RedisLease(server.url, "orders", ttl=TTL):  # noqa: PT012 - the whole life is what fails
        server.client.delete("resilient-sse:{orders}:leases")
        server.client.set("resilient-sse:{orders}:leases", "what?")


def test_renewing_nothing_asks_nobody(server: RedisServer) -> None:
    """And releasing nothing."""
    leases = table_on("redis://127.0.0.1:1", "s:{x}", ttl=1.0)
    leases.renew()
    leases.release([])


def test_the_clock_goes_forward() -> None:
    """Whatever this system calls it."""
    assert boottime() <= boottime()


def test_telling_a_loop_that_is_over_does_no_harm(
    server: RedisServer, sse_history: HistoryServer
) -> None:
    """A lease may be lost when nobody cares any more."""
    sse_history.publish("one")
    leases = table_on(server.client, "s:{x}", ttl=1.0)
    while not isinstance(held := leases.acquire(["x"])["x"], Grant):
        time.sleep(held.seconds)

    async def read() -> None:
        async with LeasedSource(held, sse_history.url) as source:
            await anext(source)

    anyio.run(read, backend="asyncio")
    anyio.run(read, backend="trio")
    held.end()
    assert not held.valid
