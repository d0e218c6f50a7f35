"""What may go wrong around a lease: forks, hangs, cancellations, and a Redis that says no."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import redis
from redis import exceptions

from resilient_sse import Failure, FailureKind
from resilient_sse.cursors import (
    LeasedSource,
    LeaseLost,
    RedisCursorStore,
    RedisLease,
    RedisLeases,
    StreamGroup,
)
from resilient_sse.cursors._leases.grant import Grant
from resilient_sse.cursors._leases.renewal import Renewal
from resilient_sse.cursors._leases.table import LeaseTable, Waiting
from resilient_sse.cursors._redis.answers import is_outage
from tests.support.files import ROOT
from tests.support.redis_server import RedisServer, needs_redis, table_on

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from resilient_sse.testing import HistoryServer

pytestmark = needs_redis

GUIDE = ROOT / "docs" / "how-to" / "many-machines.md"
TTL = 0.4
NEVER = 1e9
SPACE = "resilient-sse:{x}"


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A server for one test, which may do with it what it likes."""
    with RedisServer() as running:
        yield running


def grant(leases: LeaseTable, name: str = "x") -> Grant:
    """Ask until the lease is granted."""
    while not isinstance(held := leases.acquire([name])[name], Grant):
        time.sleep(held.seconds)
    return held


def wait_until(true: Callable[[], bool]) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


async def until(true: Callable[[], bool]) -> None:
    """Wait until something is true."""
    with anyio.fail_after(20):
        while not true():  # noqa: ASYNC110 - any condition will do
            await anyio.sleep(0.02)


@contextmanager
def patient(server: RedisServer) -> Generator[Any]:
    """Make a client without a time limit; a thread may have one of its connections to the end."""
    client: Any = redis.Redis(port=server.port, socket_timeout=None)
    try:
        yield client
    finally:
        wait_until(lambda: not any("leases" in each.name for each in threading.enumerate()))
        client.connection_pool.disconnect()


@contextmanager
def hanging(server: RedisServer) -> Generator[Callable[[], None]]:
    """Have the server accept connections and answer nothing, from when what it yields is called."""
    try:
        yield lambda: server.signal(signal.SIGSTOP)
    finally:
        server.signal(signal.SIGCONT)


# -- Processes -------------------------------------------------------------------------------------


def test_a_process_that_wakes_up_after_its_time_delivers_nothing(
    server: RedisServer, sse_history: HistoryServer
) -> None:
    """SIGSTOP with 99 events in its queue; another replica takes over; its late save fails, too."""
    for number in range(1, 101):
        sse_history.publish(str(number))
    program = f"""
import contextlib
from resilient_sse.cursors import LeaseLost, RedisLease
with RedisLease({server.url!r}, "x", ttl={TTL}) as lease:
    with lease.sync_source({sse_history.url!r}, auto_ack=False) as source:
        first = next(source)
        print(first.id, flush=True)
        input()
        with contextlib.suppress(LeaseLost):  # unless the lease's own thread noticed before it
            source.ack(first)
        for action in (lambda: next(source), lambda: lease._request.held.save("", first.id)):
            try:
                print("done:", action(), flush=True)
            except LeaseLost:
                print("lost", flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        assert reader.stdout.readline() == "1\n"
        reader.send_signal(signal.SIGSTOP)
        other = grant(table_on(server.client, SPACE, TTL))
        other.save("", "50")
        reader.send_signal(signal.SIGCONT)
        reader.stdin.write("\n")
        reader.stdin.flush()
        assert reader.stdout.read() == "lost\nlost\n"
    assert server.client.hget("resilient-sse:{x}:cursors", "x").endswith(b" 50")


def test_a_forked_process_is_a_replica_of_its_own(server: RedisServer) -> None:
    """A lease made before the fork is asked for by both, and one of them gets it."""
    program = f"""
import os, sys
from resilient_sse.cursors import RedisLease
lease = RedisLease({server.url!r}, "x", ttl={TTL})
with lease:
    made = lease._request.held
    child = os.fork()
    if not child:
        again = lease._leases.acquire(["x"])["x"]
        os._exit(made.valid or type(again).__name__ != "Waiting")
    sys.exit(os.waitpid(child, 0)[1])
"""
    # Python 3.12 warns of a fork in a program with threads.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program]
    subprocess.run(command, check=True, timeout=30)


# -- Hangs, cancellations and misuse ---------------------------------------------------------------


@pytest.mark.timing
def test_leaving_the_block_of_a_hanging_redis_ends(server: RedisServer) -> None:
    """Also with a client that would wait for ever: after ``ttl`` the lease is over by itself."""
    with patient(server) as client, hanging(server) as hang:
        with RedisLease(client, "x", ttl=TTL) as lease:
            hang()
            began = time.monotonic()
            wait_until(lambda: not lease.held)
        assert time.monotonic() - began < 3 * TTL


@pytest.mark.timing
@pytest.mark.anyio
async def test_a_reader_is_woken_on_time_while_redis_hangs(
    server: RedisServer, sse_history: HistoryServer
) -> None:
    """The renewal that waits for an answer is not what looks at the clock."""
    with patient(server) as client, anyio.fail_after(10), hanging(server) as hang:
        lease = RedisLease(client, "x", ttl=TTL)
        async with lease, lease.source(sse_history.url) as source:
            hang()
            began = time.monotonic()
            with pytest.raises(LeaseLost):
                await anext(source)
            assert time.monotonic() - began < 1.5 * TTL


@pytest.mark.timing
@pytest.mark.anyio
async def test_a_cancelled_wait_leaves_no_lease_behind(server: RedisServer) -> None:
    """Although Redis grants it later: another replica gets it without waiting for its end."""
    other = table_on(server.client, SPACE, NEVER)
    await anyio.to_thread.run_sync(server.grow_old, SPACE)
    with patient(server) as client, hanging(server) as hang:
        hang()
        with anyio.move_on_after(0.1) as scope:
            async with RedisLease(client, "x", ttl=NEVER):
                raise AssertionError
        assert scope.cancelled_caught
    wait = anyio.to_thread.run_sync
    await wait(wait_until, lambda: isinstance(other.acquire(["x"])["x"], Grant))


def test_asyncio_cancels_a_grant_at_any_moment(server: RedisServer) -> None:
    """Its own cancellation respects no shield: a lease that nobody holds is not renewed."""
    server.grow_old(SPACE)
    before = len(server.client.client_list())

    async def cancel_after(seconds: float) -> None:
        lease = RedisLease(server.url, "x", ttl=TTL)
        entering = asyncio.create_task(lease.__aenter__())
        await asyncio.sleep(seconds)
        entering.cancel()
        try:
            await entering
        except asyncio.CancelledError:
            return
        await lease.__aexit__(None, None, None)

    for number in range(20):
        asyncio.run(cancel_after(number * 0.0002))
    grant(table_on(server.client, SPACE, TTL))
    wait_until(lambda: len(server.client.client_list()) <= before)  # no connection stays open


def test_nothing_is_asked_for_after_the_cancellation(server: RedisServer) -> None:
    """A thread that was left behind before it began finds that nobody wants the lease."""
    lease = RedisLease(server.url, "x", ttl=NEVER)
    request = lease._begin()
    request.abandon()
    assert request.ask() is None
    assert not lease.held


def test_a_grant_that_comes_just_before_the_cancellation_is_given_back(server: RedisServer) -> None:
    """Nobody waits for its end."""
    server.grow_old(SPACE)
    lease = RedisLease(server.url, "x", ttl=NEVER)
    request = lease._begin()
    assert request.ask() is None
    assert lease.held
    request.abandon()
    other = table_on(server.client, SPACE, NEVER)
    wait_until(lambda: isinstance(other.acquire(["x"])["x"], Grant))
    assert not lease.held


def test_one_block_at_a_time_uses_a_lease(server: RedisServer) -> None:
    """A second one would be a second reader; one after the other gets a newer token."""
    lease = RedisLease(server.url, "x", ttl=1.0)
    with lease:
        first = lease.token
        with pytest.raises(RuntimeError, match="one block at a time"), lease:
            raise AssertionError
        with pytest.raises(RuntimeError, match="one block at a time"):
            anyio.run(lease.__aenter__)
        assert lease.held
    with lease:
        assert lease.token > first
        time.sleep(1.5)
        assert lease.held, "it is renewed"


def test_one_source_at_a_time_reads_under_a_lease(
    server: RedisServer, sse_history: HistoryServer
) -> None:
    """Two would share one cursor; one after the other goes on from it."""
    for number in range(3):
        sse_history.publish(str(number))
    with RedisLease(server.url, "x", ttl=TTL) as lease:
        with lease.sync_source(sse_history.url) as source:
            assert next(source).id == "1"
            with (
                pytest.raises(RuntimeError, match="one source at a time"),
                lease.sync_source(sse_history.url),
            ):
                raise AssertionError
            assert next(source).id == "2"
        with lease.sync_source(sse_history.url) as source:
            assert next(source).id == "2", "it was not acknowledged"


@pytest.mark.parametrize("name", ["", "}", "}{"])
def test_names_that_a_cluster_cannot_keep_together_are_refused(name: str) -> None:
    """The keys of one lease belong into one slot."""
    with pytest.raises(ValueError, match="name"):
        RedisLease("redis://localhost", name)
    with pytest.raises(ValueError, match="name"):
        StreamGroup("redis://localhost", name, [])


@pytest.mark.parametrize("name", ["a b", "}a{b}"[1:], "é\n'\"", "{x}", "%s"])
def test_odd_names_are_kept(server: RedisServer, name: str) -> None:
    """Whatever stands in them."""
    with RedisLease(server.url, name, ttl=TTL) as lease:
        lease._granted().save("", "1 2\n3")
        leases = table_on(server.url, f"resilient-sse:{{{name}}}", TTL)
        assert isinstance(leases.acquire([name])[name], Waiting)
        assert leases.cursors._memory.of(name)[0].cursor == "1 2\n3"
        leases.server.close()


def test_a_client_that_decodes_answers_will_do(server: RedisServer) -> None:
    """Also as the third protocol has them; it is left open."""
    client: Any = redis.Redis(port=server.port, decode_responses=True, protocol=3)
    with RedisLease(client, "x", ttl=TTL) as lease:
        lease._granted().save("", "é")
        assert table_on(client, "s:{x}", TTL).server.meet(1.0, "")
    assert client.hget("resilient-sse:{x}:cursors", "x").endswith(" é")
    client.close()


def test_a_cluster_will_do() -> None:
    """All keys of a lease are in one slot; those of the cursor store are one key."""
    with RedisServer("--cluster-enabled", "yes") as server:
        server.client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
        wait_until(lambda: server.client.cluster("INFO")["cluster_state"] == "ok")
        client: Any = redis.RedisCluster(host="127.0.0.1", port=server.port)
        with RedisLease(client, "x", ttl=TTL) as lease:
            lease._granted().save("", "7")
            assert lease._leases.server.meet(1.0, "")[0].owner == lease._leases.server.owner
        client.close()


@pytest.mark.skipif(not GUIDE.exists(), reason="not in a checkout")
def test_few_rights_will_do(server: RedisServer) -> None:
    """The commands that the documentation names, for the keys that begin with the prefix."""
    rights = re.findall(r"\+[a-z]+", GUIDE.read_text())
    assert "+evalsha" in rights
    user = ("reader", "on", ">secret", "resetkeys", "~resilient-sse:*", "-@all", *rights)
    server.client.execute_command("ACL SETUSER", *user)
    url = server.url.replace("//", "//reader:secret@")
    with RedisLease(url, "x", ttl=TTL) as lease:
        lease._granted().save("", "7")
        time.sleep(TTL)
        assert lease.held, "it is renewed"
        assert lease._leases.server.meet(1.0, "")
        lease._leases.server.leave()
    with RedisCursorStore(url) as store:
        store.save("a", "1")
        assert store.load("a") == "1"


# -- A server that says no -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameter", "value", "usual"),
    [("min-replicas-to-write", 1, 0), ("maxmemory", 1, 0)],
)
def test_waiting_outlives_a_server_that_cannot_write(
    server: RedisServer,
    caplog: pytest.LogCaptureFixture,
    parameter: str,
    value: int,
    usual: int,
) -> None:
    """A master without its replica, or without memory, is an outage; and whoever waits says so."""
    server.client.config_set(parameter, value)
    repair = threading.Timer(1.0, server.client.config_set, [parameter, usual])
    repair.start()
    with RedisLease(server.url, "x", ttl=TTL) as lease:
        assert lease.held
    repair.join()
    told = [line for line in caplog.messages if "lease_not_reached: lease='x', error=" in line]
    assert len(told) == 1


@pytest.mark.anyio
async def test_a_group_outlives_a_server_that_cannot_write(
    server: RedisServer, sse_history: HistoryServer
) -> None:
    """A failover that takes a moment does not end the program."""
    sse_history.publish("one")
    configure = server.client.config_set
    read: list[str] = []

    async def reader(source: LeasedSource) -> None:
        async for event in source:
            read.append(event.id)  # noqa: PERF401 - it is read while it grows

    await anyio.to_thread.run_sync(configure, "min-replicas-to-write", 1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(StreamGroup(server.url, "g", [sse_history.url], ttl=TTL).run, reader)
        await anyio.sleep(TTL)
        await anyio.to_thread.run_sync(configure, "min-replicas-to-write", 0)
        await until(lambda: bool(read))
        tasks.cancel_scope.cancel()


def test_what_passes_and_what_does_not() -> None:
    """Redis 6 names what happened inside a script in the middle of its message."""
    passing = [
        redis.ConnectionError("refused"),
        redis.TimeoutError("too late"),
        redis.ReadOnlyError("You can't write against a read only replica."),
        redis.ResponseError("Error running script: @user_script: 13: -READONLY You can't write"),
        redis.ResponseError("NOREPLICAS Not enough good replicas to write."),
        redis.ResponseError("MISCONF Redis is configured to save RDB snapshots"),
        exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
        exceptions.ClusterDownError("CLUSTERDOWN The cluster is down"),
        exceptions.RedisClusterException("Redis Cluster cannot be connected"),
    ]
    lasting = [
        redis.ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"),
        redis.AuthenticationError("invalid username-password pair or user is disabled."),
        exceptions.NoPermissionError("this user has no permissions to run 'eval'"),
        TypeError("an asyncio client serves asyncio only"),
    ]
    assert [is_outage(error) for error in passing] == [True] * len(passing)
    assert [is_outage(error) for error in lasting] == [False] * len(lasting)


def test_a_wrong_password_is_told_at_once(server: RedisServer) -> None:
    """Waiting would not make it right."""
    server.client.config_set("requirepass", "secret")
    url = server.url.replace("//", "//:wrong@")
    with pytest.raises(redis.AuthenticationError), RedisLease(url, "x", ttl=TTL):
        raise AssertionError

    async def enter() -> None:
        async with RedisLease(url, "x", ttl=TTL):
            raise AssertionError

    with pytest.raises(redis.AuthenticationError):
        anyio.run(enter)


def test_a_lease_shorter_than_its_request_is_not_believed_in(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """It is asked for again, with a warning that says what to change."""
    lease = RedisLease(server.url, "x", ttl=TTL)
    clock = lease._leases.clock.now
    slow = iter([0.0, TTL])
    lease._leases.clock.now = lambda: clock() + next(slow, TTL)
    server.grow_old(SPACE)
    with lease:
        assert lease.held
    assert caplog.messages == [f"resilient_sse.lease_too_short: lease='x', ttl={TTL}"]


# -- Reporting -------------------------------------------------------------------------------------


@contextmanager
def no_logging() -> Generator[None]:
    """Have every line of the library's that is logged raise."""

    def fail(_record: logging.LogRecord) -> bool:
        raise OSError("the disk is full")

    logger = logging.getLogger("resilient_sse")
    logger.addFilter(fail)
    try:
        yield
    finally:
        logger.removeFilter(fail)


def test_logs_that_cannot_be_written_end_no_renewal(server: RedisServer) -> None:
    """The thread that renews goes on after an outage that it could not tell of."""
    with RedisLease(server.url, "x", ttl=4 * TTL) as lease, no_logging():
        server.client.config_set("min-replicas-to-write", 1)
        time.sleep(2 * TTL)
        server.client.config_set("min-replicas-to-write", 0)
        time.sleep(4 * TTL)
        assert lease.held


def test_standard_output_is_the_programs(server: RedisServer) -> None:
    """Whoever waits for a lease says so on standard error, with nothing set up."""
    program = f"""
import threading
from resilient_sse.cursors import RedisLease
import redis
client = redis.Redis(port={server.port})
client.config_set("min-replicas-to-write", 1)
threading.Timer(1, client.config_set, ["min-replicas-to-write", 0]).start()
with RedisLease({server.url!r}, "x", ttl={TTL}):
    pass
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == ""
    assert done.stderr.count("resilient_sse.lease_not_reached") == 1


# -- Renewing --------------------------------------------------------------------------------------


def test_a_renewal_that_comes_after_the_release_changes_nothing(server: RedisServer) -> None:
    """The thread that renews may be a moment late; nobody waits for a lease that was given back."""
    leases = table_on(server.client, "s:{x}", TTL)
    held = grant(leases)
    leases.release([held])
    leases.held["x"] = held
    held._over = False
    leases.renew()
    assert not held.valid
    assert isinstance(table_on(server.client, "s:{x}", TTL).acquire(["x"])["x"], Grant)


@pytest.mark.parametrize("logging_works", [True, False])
def test_whoever_cannot_be_woken_does_not_stop_the_renewals(
    server: RedisServer, caplog: pytest.LogCaptureFixture, *, logging_works: bool
) -> None:
    """A wake that raises is told, once; if that raises, too, there is nobody to tell."""
    leases = table_on(server.client, "s:{x}", TTL)
    lost, kept = grant(leases, "lost"), grant(leases, "kept")

    def fail() -> None:
        raise RuntimeError("cannot")

    lost.watch(fail)
    renewal = Renewal(leases)
    with no_logging() if not logging_works else nullcontext():
        renewal.start()
        lost.until = 0.0
        time.sleep(2 * TTL)
        renewal.stop()
    assert kept.valid
    told = [line for line in caplog.messages if line.startswith("resilient_sse.reader_not_woken:")]
    assert len(told) == logging_works


def test_a_clock_of_redis_that_goes_back_makes_nobody_wait_for_it(server: RedisServer) -> None:
    """A server noted an hour from now counts as met now."""
    leases = table_on(server.client, "s:{x}", TTL)
    run = server.client.info("server")["run_id"]
    hour = int(time.time() * 1000) + 3_600_000
    server.client.hset("s:{x}:server", mapping={"run": run, "since": str(hour)})
    answer = leases.acquire(["x"])["x"]
    assert isinstance(answer, Waiting)
    assert answer.seconds <= TTL
    grant(leases)


def test_an_outage_of_redis_ends_a_leased_source_with_its_lease_only(server: RedisServer) -> None:
    """A plain source gives up on a store after ten seconds; a lease may last longer."""
    held = grant(table_on(server.client, "s:{x}", TTL))
    source = LeasedSource(held, "http://127.0.0.1:1")
    failure = Failure(
        error=redis.ConnectionError(), kind=FailureKind.CURSOR, attempt=99, outage_seconds=3600
    )
    assert source._settings.cursor_policy(failure) is not None

    def give_up(_: Failure) -> None:
        return None

    given = LeasedSource(held, "http://127.0.0.1:1", cursor_policy=give_up)
    assert given._settings.cursor_policy(failure) is None


@pytest.mark.anyio
async def test_a_group_needs_no_free_worker_thread(
    server: RedisServer, sse_history: HistoryServer
) -> None:
    """Handlers may use them all for as long as they like."""
    sse_history.publish("one")
    release = threading.Event()
    read: list[str] = []

    async def occupy_a_thread() -> None:
        await anyio.to_thread.run_sync(release.wait)

    async def reader(source: LeasedSource) -> None:
        async for event in source:
            read.append(event.id)  # noqa: PERF401 - it is read while it grows

    limit = int(anyio.to_thread.current_default_thread_limiter().total_tokens)
    async with anyio.create_task_group() as tasks:
        for _ in range(limit):
            tasks.start_soon(occupy_a_thread)
        await anyio.sleep(0.05)
        try:
            tasks.start_soon(StreamGroup(server.url, "g", [sse_history.url], ttl=TTL).run, reader)
            await until(lambda: bool(read))
        finally:
            release.set()
            tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_streams_that_end_while_others_are_handed_over_do_no_harm(
    server: RedisServer, sse_history: HistoryServer
) -> None:
    """Closing one source takes a moment, in which another may be gone."""
    urls = [f"{sse_history.url}?{number}" for number in range(20)]
    sse_history.publish("one")
    busy = anyio.Event()

    async def reader(source: LeasedSource) -> None:
        async for _ in source:
            await busy.wait()

    group = StreamGroup(server.url, "g", urls, ttl=2.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(group.run, reader)
        await until(lambda: len(group.reading) == len(urls))
        group.urls = frozenset()
        await anyio.sleep(0.3)
        busy.set()
        await until(lambda: not group.reading)
        tasks.cancel_scope.cancel()


def test_the_pid_is_what_tells_processes_apart() -> None:
    """And the same process keeps its name."""
    leases = table_on("redis://127.0.0.1:1", "s:{x}", TTL)
    first = leases.server.owner
    assert leases.server.owner == first
    assert isinstance(leases.server, RedisLeases)
    leases.server._identity._pid = os.getpid() + 1
    assert leases.server.owner != first
