"""A Redis that is away for longer than a lease and comes back empty or old takes nothing away."""

from __future__ import annotations

import gc
import shutil
import tempfile
import time
import weakref
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import redis
from anyio import to_thread
from redis.sentinel import Sentinel

from resilient_sse import ExponentialBackoff, ReconnectingEventSource, SyncReconnectingEventSource
from resilient_sse.cursors import LeaseLost, RedisCursorStore, RedisLease, StreamGroup
from resilient_sse.cursors._engine import memory as _memory
from resilient_sse.cursors._engine.memory import Memory, SavedCursor, Seen, memory_of
from resilient_sse.cursors._leases.grant import Grant
from resilient_sse.cursors._leases.table import LeaseTable, Waiting
from resilient_sse.cursors._redis.place import place_of
from tests.support.redis_server import RedisServer, needs_redis, table_on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from resilient_sse.cursors import LeasedSource
    from resilient_sse.testing import HistoryServer

pytestmark = [needs_redis, pytest.mark.timeout(60)]

TTL = 0.5
POLICY = ExponentialBackoff(wait_initial=0.05, wait_max=0.1)


class Outage:
    """A Redis that goes, and comes back with nothing or with what it had some time before.

    Args:
        server: It, with a file of what it was told.
    """

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self._copies = tempfile.TemporaryDirectory()

    def copy(self) -> None:
        """Remember what it has now."""
        shutil.copytree(self._server.folder, self._copies.name, dirs_exist_ok=True)

    def go(self) -> None:
        """Go."""
        self._server.kill()
        shutil.rmtree(self._server.folder)

    def come_back(self, *, empty: bool) -> None:
        """Come back."""
        self._server.folder.mkdir()
        if not empty:
            shutil.copytree(self._copies.name, self._server.folder, dirs_exist_ok=True)
        self._copies.cleanup()
        self._server.start()


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A server for one test, which may do with it what it likes."""
    with RedisServer("--appendonly", "yes", "--appendfsync", "always") as running:
        yield running


async def in_group(url: str, redis_url: str, handled: list[int]) -> None:
    """Read as a replica with many streams does."""

    async def read(source: LeasedSource) -> None:
        async for event in source:
            handled.append(int(event.id))  # noqa: PERF401 - it is read while it grows

    await StreamGroup(redis_url, "g", [url], ttl=TTL, policy=POLICY).run(read)


async def in_new_leases(url: str, redis_url: str, handled: list[int]) -> None:
    """Make a new lease after each that was lost."""
    while True:
        await under(RedisLease(redis_url, "g", ttl=TTL), url, handled)


async def in_the_same_lease(url: str, redis_url: str, handled: list[int]) -> None:
    """Enter the same one again."""
    lease = RedisLease(redis_url, "g", ttl=TTL)
    while True:
        await under(lease, url, handled)


async def under(lease: RedisLease, url: str, handled: list[int]) -> None:
    """Read until the lease is lost."""
    try:
        async with lease, lease.source(url, policy=POLICY) as source:
            async for event in source:
                handled.append(int(event.id))  # noqa: PERF401 - it is read while it grows
    except LeaseLost:
        return


async def until(true: Callable[[], bool]) -> None:
    """Wait until something is true."""
    with anyio.fail_after(20):
        while not true():  # noqa: ASYNC110 - any condition will do
            await anyio.sleep(0.02)


@pytest.mark.anyio
@pytest.mark.parametrize("empty", [True, False], ids=["empty", "old"])
@pytest.mark.parametrize("reader", [in_group, in_new_leases, in_the_same_lease])
async def test_a_reader_goes_on_from_what_it_saved(
    server: RedisServer,
    sse_history: HistoryServer,
    reader: Callable[[str, str, list[int]], Any],
    empty: bool,
) -> None:
    """Nothing is lost, and only what could not be saved comes again."""
    handled: list[int] = []
    wait, outage = to_thread.run_sync, Outage(server)

    async def publish(until_number: int) -> None:
        for number in range(handled[-1] + 1 if handled else 1, until_number + 1):
            sse_history.publish(str(number))
        await until(lambda: bool(handled) and handled[-1] == until_number)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reader, sse_history.url, server.url, handled)
        await publish(10)
        await wait(outage.copy)
        await publish(20)
        await wait(outage.go)
        await publish(23)  # what cannot be saved
        await anyio.sleep(2 * TTL)
        for number in range(24, 31):
            sse_history.publish(str(number))
        await wait(lambda: outage.come_back(empty=empty))
        await until(lambda: handled[-1] == 30)
        tasks.cancel_scope.cancel()
    again = handled[handled.index(23) + 1 :]
    assert again[0] in {20, 21}, "19 or 20 was saved last"
    assert again == list(range(again[0], 31))


@pytest.mark.parametrize("empty", [True, False], ids=["empty", "old"])
def test_a_store_goes_on_from_what_it_saved(
    server: RedisServer,
    empty: bool,
) -> None:
    """Also another one of the same process; and what another process saved is believed."""
    outage = Outage(server)
    store = RedisCursorStore(server.url)
    server.client.hset("resilient-sse:cursors", "a", "other 5 3")
    assert store.load("a") == "3"
    outage.copy()
    store.save("a", "10")
    outage.go()
    with pytest.raises(redis.ConnectionError):
        store.save("a", "11")
    outage.come_back(empty=empty)
    with RedisCursorStore(server.url) as again:
        assert again.load("a") == "10"
    assert store.load("b") is None
    server.client.hset("resilient-sse:cursors", "a", "other 6 12")
    assert store.load("a") == "12", "it is news of the other one"
    store.close()


def test_sources_of_a_store_do_not_go_back(server: RedisServer, sse_history: HistoryServer) -> None:
    """A source that is made anew while Redis has forgotten everything."""
    for number in range(1, 6):
        sse_history.publish(str(number))
    for first, last in (("1", "3"), ("3", "5")):
        with (
            RedisCursorStore(server.url) as store,
            SyncReconnectingEventSource(sse_history.url, cursor=store) as source,
        ):
            assert [next(source).id for _ in range(3)] == [first, str(int(first) + 1), last]
        server.client.flushall()


@pytest.mark.anyio
async def test_the_same_from_an_event_loop(server: RedisServer, sse_history: HistoryServer) -> None:
    """On asyncio and trio."""
    for number in range(1, 6):
        sse_history.publish(str(number))
    for first, last in (("1", "3"), ("3", "5")):
        async with (
            RedisCursorStore(server.url) as store,
            ReconnectingEventSource(sse_history.url, cursor=store) as source,
        ):
            assert [(await anext(source)).id for _ in range(3)][::2] == [first, last]
        await to_thread.run_sync(server.client.flushall)


def grant(leases: LeaseTable) -> Grant:
    """Ask until the lease is granted."""
    while not isinstance(held := leases.acquire(["x"])["x"], Grant):
        time.sleep(held.seconds)
    return held


def leases_on(server: RedisServer, memory: Memory | None = None) -> LeaseTable:
    """Be a replica: one with a memory of its own is another process."""
    return table_on(server.client, "s:{x}", TTL, memory=memory)


def test_the_highest_token_wins_whoever_asks_first(server: RedisServer) -> None:
    """What any process knows reaches the one that gets the lease."""
    first, second, third = (leases_on(server) for _ in range(3))
    held = grant(first)
    held.save("", "7")
    first.release([held])
    held = grant(second)
    held.save("", "9")
    second.release([held])
    server.client.flushall()
    assert isinstance(first.acquire(["x"])["x"], Waiting)
    assert isinstance(second.acquire(["x"])["x"], Waiting)
    assert isinstance(first.acquire(["x"])["x"], Waiting)
    assert grant(third).load("") == "9"


def test_the_next_token_exceeds_all_that_are_known(server: RedisServer) -> None:
    """Whatever the clock of the new Redis shows, and whether or not anything was saved."""
    memory = Memory()
    memory.granted("x", 2**52)
    assert grant(leases_on(server, memory)).token > 2**52
    server.flush()
    memory = Memory()
    memory.learn("x", SavedCursor(2**52, 1, "7"))
    assert isinstance(leases_on(server, memory).acquire(["x"])["x"], Waiting)
    other = grant(leases_on(server))
    assert other.token > 2**52
    assert other.load("") == "7"


def test_a_cursor_that_was_reset_stays_reset(server: RedisServer) -> None:
    """The server of the stream may take its id back: an empty cursor is one, too."""
    leases = leases_on(server)
    held = grant(leases)
    held.save("", "7")
    held.save("", "")
    leases.release([held])
    server.client.flushall()
    assert grant(leases).load("") is None


def test_a_save_under_an_older_token_is_refused(server: RedisServer) -> None:
    """Somebody knows of a newer one that this Redis has forgotten."""
    held = grant(leases_on(server))
    memory = Memory()
    memory.learn("x", SavedCursor(held.token + 1, 1, "9"))
    leases_on(server, memory).acquire(["x"])
    with pytest.raises(LeaseLost):
        held.save("", "8")
    assert server.client.hget("s:{x}:cursors", "x").endswith(b" 9")


def test_memory_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program may make up a new lease for each job; the oldest are forgotten first."""
    monkeypatch.setattr(_memory, "_MOST", 2)
    memory, seen = Memory(), Seen()
    for name in ("a", "b", "a", "c"):
        memory.learn(name, SavedCursor(1, 1, name))
        seen.learn(name, "writer", 1, name)
    assert [memory.of(name)[0].cursor for name in "abc"] == ["a", "", "c"]
    assert [seen.of(name) for name in "abc"] == ["a", None, "c"]


def sentinel(port: int, service: str) -> Any:
    """A client that asks Sentinel."""
    made: Any = Sentinel
    return made([("127.0.0.1", port)]).master_for(service)


def test_clients_of_one_database_share_what_is_known() -> None:
    """Whatever else they are told; and those of others do not."""
    make: Any = redis.Redis
    groups: list[list[Any]] = [
        ["redis://a", "redis://:secret@a:6379/0?socket_timeout=1", make(host="a")],
        ["redis://a/1", make(host="a", db=1)],
        ["redis://a:1", make(host="a", port=1)],
        ["unix:///run/redis", make(unix_socket_path="/run/redis")],
        [sentinel(1, "m"), sentinel(1, "m")],
        [sentinel(2, "m")],
        [sentinel(1, "n")],
    ]
    found = [[memory_of(Memory, place_of(client, "s")) for client in group] for group in groups]
    assert all(one is group[0] for group in found for one in group)
    assert len({id(group[0]) for group in found}) == len(groups)
    assert memory_of(Memory, place_of("redis://a", "other")) is not found[0][0]
    with pytest.raises(ValueError, match="scheme"):
        RedisCursorStore("localhost:6379")


def test_a_client_of_many_servers_has_what_is_known_with_it() -> None:
    """A cluster's; when it goes, that goes, too."""

    class Cluster:
        """Anything with no pool of its own."""

    client = Cluster()
    known = weakref.ref(memory_of(Memory, place_of(client, "s")))
    assert memory_of(Memory, place_of(client, "s")) is known()
    del client
    gc.collect()
    assert known() is None
