"""`StreamGroup`: who reads what, at scale; and sharing, handing over, losing, in earnest."""

from __future__ import annotations

import inspect
import time
from collections import Counter
from typing import TYPE_CHECKING

import anyio
import httpx
import pytest
import redis

from resilient_sse import ExponentialBackoff, ReconnectingEventSource
from resilient_sse.cursors import (
    LeasedSource,
    LeaseLost,
    RedisLease,
    StreamGroup,
    SyncLeasedSource,
    preferred_owner,
)
from resilient_sse.cursors._leases.grant import Grant
from resilient_sse.testing import MemoryLeaseEngine
from tests.support.redis_server import RedisServer, needs_redis

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_sse.testing import HistoryServer
    from resilient_sse.testing.pytest_plugin import ServerFactory

pytestmark = [needs_redis, pytest.mark.alone]

TTL = 0.5
STREAMS = [f"https://example.com/{number}" for number in range(10_000)]
MEMBERS = [f"replica {number}" for number in range(10)]


@pytest.fixture
def server(shared_redis: RedisServer) -> RedisServer:
    """It, empty, and old enough to grant leases."""
    shared_redis.flush()
    shared_redis.grow_old("resilient-sse:{g}")
    return shared_redis


def shares(members: list[str]) -> dict[str, str]:
    """Say who reads what."""
    return {url: preferred_owner(url, members) for url in STREAMS}


@pytest.mark.parametrize("weight", [0, -1.0, float("inf"), float("nan")])
def test_a_weight_that_is_none(weight: float) -> None:
    """It says what it may be."""
    with pytest.raises(ValueError, match="weight must be a number above 0"):
        StreamGroup("redis://h", "g", STREAMS, weight=weight)


def test_the_streams_of_a_group_can_be_looked_at() -> None:
    """And replaced before it runs."""
    group = StreamGroup("redis://h", "g", ["https://h/a"])
    assert group.urls == {"https://h/a"}
    group.urls = ["https://h/b"]
    assert group.urls == {"https://h/b"}


def test_streams_are_spread_evenly() -> None:
    """10,000 over 10: nobody has more than an eighth more than a tenth."""
    counts = Counter(shares(MEMBERS).values())
    assert len(counts) == 10
    assert min(counts.values()) > 875
    assert max(counts.values()) < 1125


def test_only_what_must_move_moves() -> None:
    """Of a replica that goes, everything; to one that comes, its share; nothing else."""
    before, after = shares(MEMBERS), shares(MEMBERS[:-1])
    moved = {url for url in STREAMS if before[url] != after[url]}
    assert moved == {url for url in STREAMS if before[url] == MEMBERS[-1]}


@pytest.mark.timeout(120)
def test_ten_replicas_share_ten_thousand_streams(server: RedisServer) -> None:
    """Simulated without reading: leases in a real Redis; replicas come, die and leave."""
    # In simulation a replica takes a second to look; let none expire that is to live.
    groups = [StreamGroup(server.client, "g", STREAMS, ttl=200) for _ in range(10)]
    held: dict[StreamGroup, set[str]] = {group: set() for group in groups}

    def look(group: StreamGroup) -> None:
        share = group._look_around()
        granted = group._exchange(share, share - group._leases.held.keys())
        held[group] = (held[group] & share) | {one.name for one in granted}

    def check(living: list[StreamGroup]) -> None:
        counted = Counter(url for group in living for url in held[group])
        assert set(counted.values()) == {1}, "no stream has two readers"
        assert len(counted) == len(STREAMS), "every stream has one"

    for group in groups:  # they come one by one
        look(group)
    for group in groups * 2:  # the first hand over, then the others take
        look(group)
    check(groups)
    sizes = [len(streams) for streams in held.values()]
    assert set(sizes) == {1000}

    dead, leaving, *living = groups
    leaving._leases.give_back(list(leaving._leases.held.values()))
    leaving._leave()
    # The dead one says nothing; its time passes.
    server.client.zrem("resilient-sse:{g}:members", dead._leases.server.owner)
    for name, one in dead._leases.held.items():
        entry = f"{dead._leases.server.owner} {one.token} 1"
        server.client.hset("resilient-sse:{g}:leases", name, entry)
    kept = {group: set(held[group]) for group in living}
    for group in living * 2:
        look(group)
    check(living)
    assert all(held[group] >= kept[group] for group in living), "nothing else moved"


@pytest.mark.timing
def test_ten_thousand_leases_are_renewed_and_given_back_at_once(server: RedisServer) -> None:
    """Each takes a small part of the time that a lease lasts, and of that a program has to stop."""
    group = StreamGroup(server.client, "g", STREAMS, ttl=10)
    group._leases.acquire(STREAMS)
    began = time.perf_counter()
    group._leases.renew()
    assert time.perf_counter() - began < 1.0
    assert len(group._leases.held) == 10_000
    began = time.perf_counter()
    group._leases.give_back(list(group._leases.held.values()))
    assert time.perf_counter() - began < 1.0
    assert len(group._leases.held) == 0


async def until(true: Callable[[], bool]) -> None:
    """Wait until something is true."""
    with anyio.fail_after(20):
        while not true():  # noqa: ASYNC110 - any condition will do
            await anyio.sleep(0.02)


@pytest.mark.anyio
async def test_replicas_share_hand_over_and_take_over(
    server: RedisServer, sse_history: HistoryServer
) -> None:
    """Every stream always has one reader, and goes on where it was."""
    urls = [f"{sse_history.url}?{number}" for number in range(8)]
    handled: list[tuple[str, str]] = []
    for number in range(1, 6):
        sse_history.publish(str(number))

    async def read(source: LeasedSource) -> None:
        async for event in source:
            handled.append((source.url, event.id))  # noqa: PERF401 - it is read while it grows

    def make() -> StreamGroup:
        return StreamGroup(server.url, "g", urls, ttl=TTL)

    first, second = make(), make()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first.run, read)
        await until(lambda: first.reading == frozenset(urls))
        async with anyio.create_task_group() as others:
            others.start_soon(second.run, read)
            await until(lambda: bool(second.reading))
            await until(lambda: first.reading | second.reading == frozenset(urls))
            assert not first.reading & second.reading
            sse_history.publish("6")
            await until(lambda: {url for url, last in handled if last == "6"} == set(urls))
            others.cancel_scope.cancel()
        assert not second.reading
        sse_history.publish("7")
        await until(lambda: {url for url, last in handled if last == "7"} == set(urls))
        assert first.reading == set(urls)
        tasks.cancel_scope.cancel()
    assert {url: {i for where, i in handled if where == url} for url in urls} == {
        url: set("1234567") for url in urls
    }
    # Only what was delivered and not acknowledged when a stream changed hands came twice.
    assert max(Counter(handled).values()) <= 4


@pytest.mark.anyio
async def test_a_rolling_deploy_loses_no_stream(sse_history: HistoryServer) -> None:
    """What only some replicas know is read by them; then ``urls`` is replaced in all."""
    old = frozenset(f"{sse_history.url}?old={number}" for number in range(10))
    new = old | {f"{sse_history.url}?new={number}" for number in range(10)}
    fewer = frozenset(sorted(new)[:12])
    engine = MemoryLeaseEngine()
    groups = [StreamGroup(engine, "g", urls, ttl=TTL) for urls in (old, old, new, new)]

    async def read(source: LeasedSource) -> None:
        async for _ in source:
            pass

    def even(urls: frozenset[str]) -> bool:
        read = [group.reading for group in groups]
        return frozenset[str]().union(*read) == urls and set(map(len, read)) == {len(urls) // 4}

    async with anyio.create_task_group() as tasks:
        for group in groups:
            tasks.start_soon(group.run, read)
        await until(lambda: even(new))
        assert groups[0].urls == old
        for group in groups:
            group.urls = fewer
        await until(lambda: even(fewer))
        tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_a_replica_takes_on_what_its_weight_says(sse_history: HistoryServer) -> None:
    """One with three times the weight reads three times as many."""
    urls = [f"{sse_history.url}?{number}" for number in range(8)]
    engine = MemoryLeaseEngine()
    groups = [StreamGroup(engine, "g", urls, ttl=TTL, weight=weight) for weight in (3, 1)]

    async def read(source: LeasedSource) -> None:
        async for _ in source:
            pass

    async with anyio.create_task_group() as tasks:
        for group in groups:
            tasks.start_soon(group.run, read)
        await until(lambda: [len(group.reading) for group in groups] == [6, 2])
        tasks.cancel_scope.cancel()
    for weight in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="weight"):
            StreamGroup(engine, "g", urls, weight=weight)


@pytest.mark.anyio
async def test_a_stream_that_ends_is_done_with(
    server: RedisServer, sse_server: ServerFactory
) -> None:
    """It is not read again by this replica as long as the same replicas are there."""
    ending = sse_server()  # 204 to everyone
    group = StreamGroup(server.url, "g", [ending.url], ttl=TTL)
    async with anyio.create_task_group() as tasks:

        async def read(source: LeasedSource) -> None:
            assert [event async for event in source] == []

        tasks.start_soon(group.run, read)
        await until(lambda: bool(ending.requests) and not group.reading)
        await anyio.sleep(TTL)
        tasks.cancel_scope.cancel()
    assert len(ending.requests) == 1


@pytest.mark.anyio
async def test_a_handler_that_fails_ends_the_share(
    server: RedisServer, sse_history: HistoryServer
) -> None:
    """With its exception; the other replicas take over."""

    async def read(source: LeasedSource) -> None:
        raise RuntimeError("cannot")

    group = StreamGroup(server.url, "g", [sse_history.url], ttl=TTL)
    with pytest.raises(ExceptionGroup) as caught:
        await group.run(read)
    assert caught.group_contains(RuntimeError, match="cannot")
    assert not group.reading
    assert await anyio.to_thread.run_sync(server.client.zcard, "resilient-sse:{g}:members") == 0


@pytest.mark.anyio
async def test_a_lost_lease_ends_one_stream_only(
    server: RedisServer, sse_history: HistoryServer
) -> None:
    """The stream is asked for again; the others go on."""
    urls = [f"{sse_history.url}?{number}" for number in range(2)]
    begun: list[str] = []
    lost: list[str] = []

    async def read(source: LeasedSource) -> None:
        begun.append(source.url)
        try:
            async for _ in source:
                pass
        except LeaseLost as error:
            lost.append(error.key)
            raise

    group = StreamGroup(server.url, "g", urls, ttl=TTL)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(group.run, read)
        await until(lambda: len(begun) == 2)
        # Another replica was granted it for a moment, as after an outage of this one.
        await anyio.to_thread.run_sync(
            server.client.hset, "resilient-sse:{g}:leases", urls[0], f"other {2**52} 1"
        )
        await until(lambda: len(begun) == 3)
        tasks.cancel_scope.cancel()
    assert lost == [urls[0]]
    assert begun[2] == urls[0]


@pytest.mark.anyio
@pytest.mark.parametrize("depth", [0, 1, 2])
async def test_a_lease_lost_in_a_task_of_the_handler_ends_one_stream_only(
    server: RedisServer, sse_history: HistoryServer, depth: int
) -> None:
    """A task group wraps what is raised in it, and a group in a group wraps it again."""
    urls = [f"{sse_history.url}?{number}" for number in range(2)]
    begun: list[str] = []

    async def work(source: LeasedSource, depth: int) -> None:
        if not depth:
            async for _ in source:
                pass
            return
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work, source, depth - 1)

    async def read(source: LeasedSource) -> None:
        begun.append(source.url)
        await work(source, depth)

    group = StreamGroup(server.url, "g", urls, ttl=TTL)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(group.run, read)
        await until(lambda: len(begun) == 2)
        await anyio.to_thread.run_sync(
            server.client.hset, "resilient-sse:{g}:leases", urls[0], f"other {2**52} 1"
        )
        await until(lambda: len(begun) == 3)
        tasks.cancel_scope.cancel()
    assert begun[2] == urls[0]


@pytest.mark.anyio
async def test_what_comes_beside_a_lost_lease_is_not_lost(
    server: RedisServer, sse_history: HistoryServer
) -> None:
    """Another error in the same group ends the share, as it does alone."""

    async def read(source: LeasedSource) -> None:
        raise ExceptionGroup("both", [LeaseLost(source.url), RuntimeError("cannot")])

    group = StreamGroup(server.url, "g", [sse_history.url], ttl=TTL)
    with pytest.raises(ExceptionGroup) as caught:
        await group.run(read)
    assert caught.group_contains(RuntimeError, match="cannot")
    assert not caught.group_contains(LeaseLost)


@pytest.mark.anyio
async def test_streams_share_a_client(server: RedisServer, sse_history: HistoryServer) -> None:
    """Any keyword of a source may be given, also those that the group's own might be called."""
    sse_history.publish("1")
    urls = [f"{sse_history.url}?{number}" for number in range(2)]
    handled: set[str] = set()

    async def read(source: LeasedSource) -> None:
        async for event in source:
            handled.add(f"{source.url} {event.id}")

    async with httpx.AsyncClient() as client:
        group = StreamGroup(server.url, "g", urls, ttl=TTL, client=client)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(group.run, read)
            await until(lambda: handled == {f"{url} 1" for url in urls})
            tasks.cancel_scope.cancel()
        assert not client.is_closed


def test_every_keyword_of_a_source_may_be_given() -> None:
    """To a group as to a lease; none is hidden by a parameter of theirs."""
    keywords = inspect.signature(ReconnectingEventSource).parameters.keys()
    for taker in (StreamGroup, LeasedSource, SyncLeasedSource, RedisLease.source):
        own = [
            one.name
            for one in inspect.signature(taker).parameters.values()
            if one.kind is not inspect.Parameter.POSITIONAL_ONLY
        ]
        assert set(own) & set(keywords) <= {"url"}, taker


@pytest.mark.anyio
async def test_the_group_outlives_an_outage_of_redis(sse_history: HistoryServer) -> None:
    """Its streams stop when their leases end, and go on when Redis is back, empty."""
    handled: list[str] = []
    policy = ExponentialBackoff(wait_initial=0.01, wait_max=0.05)

    async def read(source: LeasedSource) -> None:
        async for event in source:
            handled.append(event.id)  # noqa: PERF401 - it is read while it grows

    with_server = RedisServer()
    await anyio.to_thread.run_sync(with_server.start)
    try:
        group = StreamGroup(with_server.url, "g", [sse_history.url], ttl=TTL, policy=policy)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(group.run, read)
            sse_history.publish("1")
            await until(lambda: handled == ["1"])
            await anyio.to_thread.run_sync(with_server.kill)
            await until(lambda: not group.reading)
            sse_history.publish("2")
            await anyio.sleep(TTL)
            assert handled == ["1"]
            await anyio.to_thread.run_sync(with_server.start)
            await until(lambda: handled[-1] == "2")
            await anyio.to_thread.run_sync(with_server.kill)
            tasks.cancel_scope.cancel()
    finally:
        await anyio.to_thread.run_sync(with_server.__exit__, None, None, None)


@pytest.mark.anyio
async def test_a_wrong_kind_of_key_is_told(server: RedisServer) -> None:
    """It is no outage, while looking or leaving."""
    await anyio.to_thread.run_sync(server.client.set, "resilient-sse:{g}:members", "what?")
    group = StreamGroup(server.url, "g", ["http://127.0.0.1:1"], ttl=TTL)

    async def read(source: LeasedSource) -> None:
        raise AssertionError

    with pytest.raises((ExceptionGroup, redis.ResponseError)):
        await group.run(read)
    key = "resilient-sse:{g}:leases"
    await anyio.to_thread.run_sync(server.client.delete, key)
    held = (await anyio.to_thread.run_sync(group._leases.acquire, ["x"]))["x"]
    assert isinstance(held, Grant)
    await anyio.to_thread.run_sync(server.client.delete, key)
    await anyio.to_thread.run_sync(server.client.set, key, "what?")
    with pytest.raises(redis.ResponseError):
        await anyio.to_thread.run_sync(group._leases.give_back, [held])
    await group._leases.server.aclose()


def test_leaving_does_not_need_redis() -> None:
    """What a replica holds ends by itself."""
    StreamGroup("redis://127.0.0.1:1", "g", ["http://127.0.0.1:1"], ttl=TTL)._leave()
