"""A lost lease ends its source in one way, whoever notices the loss and on whatever it runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio import to_thread

from resilient_sse import Closed, ConnectionState
from resilient_sse.cursors import LeaseLost, RedisLease
from resilient_sse.testing import Recorder
from tests.support.redis_server import RedisServer, needs_redis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from resilient_sse.testing import HistoryServer

pytestmark = [needs_redis, pytest.mark.timeout(20)]

SHORT, LONG = 0.5, 100.0  # with the long one nothing is renewed while a test lasts


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A server that grants leases at once, however long they last."""
    with RedisServer() as running:
        running.grow_old("resilient-sse:{orders}")
        yield running


@pytest.fixture
def events(sse_history: HistoryServer) -> HistoryServer:
    """A stream with two events."""
    sse_history.publish("1")
    sse_history.publish("2")
    return sse_history


def give_to_another(server: RedisServer, _lease: RedisLease) -> None:
    """Have Redis take the lease for another replica's."""
    key = "resilient-sse:{orders}:leases"
    server.client.hset(key, "orders", f"other {2**52} {2**52}")


def give_and_wait(server: RedisServer, lease: RedisLease) -> None:
    """The same, until this replica knows."""
    give_to_another(server, lease)
    while lease.held:
        time.sleep(0.01)


def kill(server: RedisServer, _lease: RedisLease) -> None:
    """Have nobody to ask, so that only the clock tells."""
    server.kill()


class Seen:
    """What a consumer and its hooks saw of the loss."""

    def __init__(self) -> None:
        self.recorder = Recorder()
        self.events: list[str] = []
        self.states: list[ConnectionState] = []

    def check(self, events: list[str]) -> None:
        """Compare it with what is to be seen."""
        assert self.events == events
        assert self.states == [ConnectionState.CLOSED]
        deadline = time.monotonic() + 5  # another thread may be telling the hooks
        while self.recorder.names[-1] != "Closed":
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert self.recorder.names == ["Connecting", "Connected", "Disconnected", "Closed"]
        assert self.recorder.of(Closed)[0].reason == "failed"


async def read(server: RedisServer, url: str, lose: Any, ttl: float, **keywords: Any) -> Seen:
    """Read one event, lose the lease, and read on."""
    seen = Seen()
    async with RedisLease(server.url, "orders", ttl=ttl) as lease:  # noqa: SIM117 - two things, one after the other
        async with lease.source(url, hooks=[seen.recorder], **keywords) as source:
            with pytest.raises(LeaseLost, match="orders"):  # noqa: PT012 - the whole life is what fails
                async for event in source:
                    seen.events.append(event.id)
                    if len(seen.events) == 1:
                        await to_thread.run_sync(lose, server, lease)
            seen.states.append(source.state)
            assert [event async for event in source] == [], "it is told once"
    return seen


def read_in_thread(server: RedisServer, url: str, lose: Any, ttl: float, **keywords: Any) -> Seen:
    """The same with the blocking twin."""
    seen = Seen()
    with RedisLease(server.url, "orders", ttl=ttl) as lease:  # noqa: SIM117 - two things, one after the other
        with lease.sync_source(url, hooks=[seen.recorder], **keywords) as source:
            with pytest.raises(LeaseLost, match="orders"):  # noqa: PT012 - the whole life is what fails
                for event in source:
                    seen.events.append(event.id)
                    if len(seen.events) == 1:
                        lose(server, lease)
            seen.states.append(source.state)
            assert list(source) == [], "it is told once"
    return seen


@pytest.fixture(params=["asyncio", "trio", "threads"])
def lose_it(request: pytest.FixtureRequest) -> Callable[..., Seen]:
    """Read and lose on each of the three."""

    def run(*words: Any, **keywords: Any) -> Seen:
        if request.param == "threads":
            return read_in_thread(*words, **keywords)

        async def on_loop() -> Seen:
            return await read(*words, **keywords)

        return anyio.run(on_loop, backend=request.param)

    return run


def test_the_renewal_notices(
    lose_it: Callable[..., Seen], server: RedisServer, events: HistoryServer
) -> None:
    """While the consumer waits for an event."""
    lose_it(server, events.url, give_to_another, SHORT, auto_ack=False).check(["1", "2"])


def test_the_next_pull_notices(
    lose_it: Callable[..., Seen], server: RedisServer, events: HistoryServer
) -> None:
    """With an event in the queue, which is not delivered any more."""
    lose_it(server, events.url, give_and_wait, SHORT).check(["1"])


def test_a_save_notices(
    lose_it: Callable[..., Seen], server: RedisServer, events: HistoryServer
) -> None:
    """That another replica has the lease is no failure of the store."""
    lose_it(server, events.url, give_to_another, LONG).check(["1"])


def test_the_clock_notices(
    lose_it: Callable[..., Seen], server: RedisServer, events: HistoryServer
) -> None:
    """While Redis cannot be asked."""
    lose_it(server, events.url, kill, SHORT, auto_ack=False).check(["1", "2"])


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_closed_source_ends_normally(
    server: RedisServer, events: HistoryServer, backend: str
) -> None:
    """Although its lease was lost before it was asked."""

    async def close() -> list[str]:
        read: list[str] = []
        async with RedisLease(server.url, "orders", ttl=SHORT) as lease:  # noqa: SIM117 - two things, one after the other
            async with lease.source(events.url) as source:
                async for event in source:
                    read.append(event.id)
                    await source.aclose()
                    await to_thread.run_sync(give_and_wait, server, lease)
        return read

    assert anyio.run(close, backend=backend) == ["1"]
