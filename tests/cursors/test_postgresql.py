"""Cursors and leases in a real PostgreSQL: kept, taken at once, refused in words."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import psycopg
import pytest
from anyio import to_thread
from psycopg import errors

from resilient_sse import CursorError, ReconnectingEventSource, SyncReconnectingEventSource
from resilient_sse.cursors import (
    LeaseSave,
    LeaseWanted,
    PostgreSQLCursorStore,
    PostgreSQLLease,
    PostgreSQLLeases,
    SavedCursor,
    StreamGroup,
)
from resilient_sse.cursors._engine import memory as _memory
from resilient_sse.cursors._postgresql.answers import is_lasting, is_outage
from resilient_sse.cursors._postgresql.client import PostgreSQL
from resilient_sse.cursors._postgresql.connection import Connection
from resilient_sse.cursors._postgresql.tables import Tables
from tests.support.postgresql_server import USER, PostgreSQLServer, needs_postgresql

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from resilient_sse.cursors import LeasedSource
    from resilient_sse.testing import HistoryServer

pytestmark = [needs_postgresql, pytest.mark.timeout(60)]

TTL = 1.0
LONG = 1000.0
SECRET = "c0rrect-horse"


@pytest.fixture
def server(shared_postgresql: PostgreSQLServer) -> PostgreSQLServer:
    """It, empty, and old enough to grant leases."""
    _memory.forget()
    with PostgreSQLCursorStore(shared_postgresql.url) as store:
        store.load("any")  # which makes the tables
    shared_postgresql.execute(
        "TRUNCATE resilient_sse_leases, resilient_sse_saves, resilient_sse_members, "
        "resilient_sse_cursors; INSERT INTO resilient_sse_server (run, since) "
        "VALUES (pg_postmaster_start_time()::text, 'epoch') "
        "ON CONFLICT (one) DO UPDATE SET run = excluded.run, since = excluded.since"
    )
    return shared_postgresql


@pytest.fixture
def own_server() -> Iterator[PostgreSQLServer]:
    """A server for one test, which may do with it what it likes."""
    _memory.forget()
    with PostgreSQLServer() as running:
        yield running


@contextmanager
def client_of(server: PostgreSQLServer, timeout: float = 5.0) -> Generator[PostgreSQL]:
    """Lend what runs statements."""
    client = PostgreSQL(server.url, Tables("resilient_sse"), timeout=timeout)
    try:
        yield client
    finally:
        client.close()


def wait_until(true: Callable[[], bool]) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def until(true: Callable[[], bool]) -> None:
    """Wait until something is true."""
    with anyio.fail_after(20):
        while not true():  # noqa: ASYNC110 - any condition will do
            await anyio.sleep(0.02)


# -- A store ---------------------------------------------------------------------------------------


def test_a_store_keeps_cursors(server: PostgreSQLServer) -> None:
    """For a process that begins anew, too; a late save of the same process changes nothing."""
    with PostgreSQLCursorStore(server.url) as store:
        assert store.load("a") is None
        for cursor in ("1", "2", ""):
            store.save("a", cursor)
            assert store.load("a") == cursor
        store.save("a", "3")
        _memory.forget()
    with PostgreSQLCursorStore(server.url) as again:
        assert again.load("a") == "3"
        assert again.load("b") is None


def test_a_store_serves_a_source(server: PostgreSQLServer, sse_history: HistoryServer) -> None:
    """In threads."""
    for number in range(1, 6):
        sse_history.publish(str(number))
    for first in ("1", "3"):
        with (
            PostgreSQLCursorStore(server.url) as store,
            SyncReconnectingEventSource(sse_history.url, cursor=store) as source,
        ):
            assert [next(source).id for _ in range(3)][::2] == [first, str(int(first) + 2)]


@pytest.mark.anyio
async def test_the_same_from_an_event_loop(
    server: PostgreSQLServer, sse_history: HistoryServer
) -> None:
    """On asyncio and trio."""
    for number in range(1, 6):
        sse_history.publish(str(number))
    for first in ("1", "3"):
        async with (
            PostgreSQLCursorStore(server.url) as store,
            ReconnectingEventSource(sse_history.url, cursor=store) as source,
        ):
            assert [(await anext(source)).id for _ in range(3)][::2] == [first, str(int(first) + 2)]


@pytest.mark.anyio
async def test_many_streams_save_together(server: PostgreSQLServer) -> None:
    """On one connection, or two if the first statement is still under way."""
    keys = [f"https://example.com/{number}" for number in range(300)]
    async with PostgreSQLCursorStore(server.url) as store:
        for cursor in ("1", "2"):
            async with anyio.create_task_group() as tasks:
                for key in keys:
                    tasks.start_soon(store.asave, key, cursor)
        cursors: Any = store._cursors
        assert len(cursors._database._idle) <= 2
        assert {await store.aload(key) for key in keys[:5]} == {"2"}
    count = "SELECT count(*) FROM resilient_sse_cursors WHERE cursor = '2'"
    assert await to_thread.run_sync(server.execute, count) == [(300,)]


def test_two_saves_of_one_key_may_come_together(server: PostgreSQLServer) -> None:
    """The newest one stays."""
    with PostgreSQLCursorStore(server.url) as store:
        store._save([("a", "me", 2, "new"), ("a", "me", 1, "old"), ("b", "me", 3, "b")])
        assert store.load("a") == "new"
        store._save([("a", "me", 1, "late")])
        assert store.load("a") == "new"


def test_a_store_that_comes_back_empty_takes_nothing_away(server: PostgreSQLServer) -> None:
    """What this process knows is newer."""
    with PostgreSQLCursorStore(server.url) as store:
        store.save("a", "7")
        server.execute("TRUNCATE resilient_sse_cursors")
        assert store.load("a") == "7"


def test_a_store_that_is_not_there_is_an_outage() -> None:
    """It is told as it is, and tried again by whoever saves."""
    store = PostgreSQLCursorStore("postgresql://127.0.0.1:1/postgres")
    with store, pytest.raises(psycopg.OperationalError, match="refused"):
        store.load("a")


# -- Leases ----------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_lease_that_is_given_back_is_taken_at_once(
    server: PostgreSQLServer, sse_history: HistoryServer
) -> None:
    """Not at the next look, which is minutes away."""
    sse_history.publish("one")
    sse_history.publish("two")
    taken: list[float] = []
    given_back = 0.0

    async def take() -> None:
        async with PostgreSQLLease(server.url, "orders", ttl=LONG) as lease:
            taken.append(time.monotonic())
            async with lease.source(sse_history.url) as source:
                assert (await anext(source)).id == "2"

    async with anyio.create_task_group() as tasks:
        lease = PostgreSQLLease(server.url, "orders", ttl=LONG)
        async with lease, lease.source(sse_history.url) as source:
            await anext(source)
            await anext(source)
            tasks.start_soon(take)
            await anyio.sleep(0.5)
            assert not taken
        given_back = time.monotonic()
        with anyio.fail_after(10):
            await until(lambda: bool(taken))
    assert taken[0] - given_back < 5


def test_the_same_in_threads(server: PostgreSQLServer, sse_history: HistoryServer) -> None:
    """With blocking sources."""
    sse_history.publish("one")
    first, second = (PostgreSQLLease(server.url, "orders", ttl=LONG) for _ in range(2))
    with first, first.sync_source(sse_history.url) as source:
        assert next(source).id == "1"
        waiting = threading.Thread(target=second.__enter__)
        waiting.start()
        time.sleep(0.3)
        assert waiting.is_alive()
    waiting.join(10)
    assert second.token > first.token
    second.__exit__(None, None, None)


@pytest.mark.anyio
@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
async def test_a_group_hands_over_at_once(
    server: PostgreSQLServer, sse_history: HistoryServer, scheme: str
) -> None:
    """When a replica comes, and when it leaves; nobody waits for a look."""
    sse_history.publish("one")
    urls = [f"{sse_history.url}?{number}" for number in range(8)]
    url = server.url.replace("postgresql", scheme, 1)

    async def read(source: LeasedSource) -> None:
        async for _ in source:
            pass

    first, second = (StreamGroup(url, "g", urls, ttl=60) for _ in range(2))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first.run, read)
        await until(lambda: first.reading == frozenset(urls))
        async with anyio.create_task_group() as others:
            others.start_soon(second.run, read)
            await until(lambda: bool(second.reading))
            await until(lambda: first.reading | second.reading == frozenset(urls))
            others.cancel_scope.cancel()
        await until(lambda: first.reading == frozenset(urls))
        tasks.cancel_scope.cancel()


def test_a_lease_outlives_a_restart(
    own_server: PostgreSQLServer, sse_history: HistoryServer
) -> None:
    """A crash of the server: the reader goes on, and who listens is told again."""
    for number in range(1, 5):
        sse_history.publish(str(number))
    ttl = 8.0
    other = PostgreSQLLeases(own_server.url, "orders", ttl=ttl)
    heard: list[float] = []
    stop = other.listen(lambda: heard.append(time.monotonic()))
    with PostgreSQLLease(own_server.url, "orders", ttl=ttl) as lease:
        wait_until(lambda: bool(heard))
        with lease.sync_source(sse_history.url) as source:
            next(source)
            next(source)
            own_server.stop(signal.SIGQUIT)
            own_server.start()
            (answer,) = other.grant([LeaseWanted("orders")])
            assert answer.seconds > ttl / 2, "it grants nothing"
            next(source)
            next(source)
            assert lease.held
        token = lease.token
        row = "SELECT token, cursor FROM resilient_sse_saves"
        assert own_server.execute(row) == [(token, "3")]
        heard.clear()
        wait_until(lambda: bool(heard))
    stop()
    other.close()


@pytest.mark.parametrize("drop", [True, False])
def test_a_server_that_lost_everything_is_told(own_server: PostgreSQLServer, drop: bool) -> None:
    """By the first save or renewal, and by whoever asks; the highest token wins."""
    first, second = (PostgreSQLLeases(own_server.url, "g", ttl=LONG) for _ in range(2))
    first.grant([LeaseWanted("x")])
    own_server.grow_old()
    (answer,) = first.grant([LeaseWanted("x")])
    word = LeaseSave("x", answer.token, 5, "7")
    assert first.save([word]) == [True]
    tables = ", ".join(f"resilient_sse_{name}" for name in ("server", "leases", "saves"))
    own_server.execute(f"{'DROP TABLE' if drop else 'TRUNCATE'} {tables}")
    if drop:
        assert first.save([word]) == [True]
    else:
        assert first.renew([word]) == [True]
    (seen,) = second.grant([LeaseWanted("x")])
    assert seen == (0, seen.seconds, SavedCursor(answer.token, 5, "7"), True)
    own_server.execute("TRUNCATE resilient_sse_saves")
    known = SavedCursor(answer.token + 5, 9, "9")
    assert second.grant([LeaseWanted("x", known=known)])[0].saved == known
    assert first.save([word]) == [False], "somebody knows of a newer token"
    assert first.save([LeaseSave("never heard of", 1, 1, "")]) == [True], "it may have been granted"
    own_server.grow_old()
    assert first.save([LeaseSave("nor of this", 1, 1, "")]) == [False]
    first.close()
    second.close()


def test_a_process_is_told_from_its_parent(
    server: PostgreSQLServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It neither uses nor closes the parent's connections, and is another replica."""
    leases = PostgreSQLLeases(server.url, "g", ttl=LONG)
    leases.meet(1.0, "")
    owner, (parents,) = leases.owner, leases._database._idle
    with monkeypatch.context() as child:
        child.setattr(os, "getpid", lambda: -1)
        assert len(leases.meet(1.0, "")) == 2
        assert leases.owner != owner
        leases.close()
        assert not parents.closed
    parents.close()


@pytest.mark.parametrize("prefix", ["", "Capital", "a b", 'x"; --', "a.b.c", "1a"])
def test_odd_prefixes_are_refused(prefix: str) -> None:
    """They come into statements as they are."""
    with pytest.raises(ValueError, match="prefix"):
        PostgreSQLLeases("postgresql://localhost", "g", prefix=prefix)


def test_tables_may_be_in_a_schema(server: PostgreSQLServer) -> None:
    """With a name of their own; another prefix is another place."""
    server.execute("CREATE SCHEMA IF NOT EXISTS app")
    with PostgreSQLCursorStore(server.url, prefix="app.sse") as store:
        store.save("a", "1")
    assert server.execute("SELECT cursor FROM app.sse_cursors") == [("1",)]
    with PostgreSQLCursorStore(server.url) as other:
        assert other.load("a") is None


def test_many_may_make_the_tables(own_server: PostgreSQLServer) -> None:
    """At the same time."""
    with ThreadPoolExecutor(8) as threads:
        stores = [PostgreSQLCursorStore(own_server.url) for _ in range(8)]
        loads = [threads.submit(store.load, "a") for store in stores]
        assert [load.result() for load in loads] == [None] * 8
    for store in stores:
        store.close()


def test_a_lease_needs_a_name_and_a_database() -> None:
    """What is wrong is not shown: a password may stand in it."""
    with pytest.raises(ValueError, match="name"):
        PostgreSQLLease("postgresql://localhost", "")
    with pytest.raises(ValueError, match="ttl"):
        PostgreSQLLease("postgresql://localhost", "g", ttl=-1)
    connection: Any = object()
    with pytest.raises(TypeError, match="URL or a connection string"):
        PostgreSQLLease(connection, "g")
    with pytest.raises(ValueError, match="neither a URL") as caught:
        PostgreSQLCursorStore(f"host=localhost password {SECRET}")
    assert SECRET not in f"{caught.value!r} {caught.value.__cause__} {caught.value.__context__}"


def test_all_who_listen_are_told(server: PostgreSQLServer) -> None:
    """On one connection, as long as anybody does."""
    leases = PostgreSQLLeases(server.url, "g", ttl=LONG)
    heard: list[str] = []
    stops = [leases.listen(partial(heard.append, "a"))]
    wait_until(lambda: bool(heard))  # now it listens
    stops.append(leases.listen(partial(heard.append, "b")))
    leases.meet(1.0, "")
    wait_until(lambda: set(heard) == {"a", "b"})
    stops[0]()
    heard.clear()
    leases.leave()
    wait_until(lambda: bool(heard))
    stops[1]()
    assert set(heard) == {"b"}
    leases.close()


# -- A server that says no, or nothing -------------------------------------------------------------


def test_a_hanging_server_is_given_up(own_server: PostgreSQLServer) -> None:
    """After a quarter of the time of a lease; psycopg itself would wait for ever."""
    with client_of(own_server, timeout=0.4) as client:
        client.run(b"SELECT 1", {})
        own_server.signal(signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(psycopg.OperationalError, match="in time"):
            client.run(b"SELECT 1", {})
        assert time.monotonic() - began < 2
        own_server.signal(signal.SIGCONT)
        assert client.run(b"SELECT 1", {}) == [(1,)]


def test_connections_that_died_are_opened_again(own_server: PostgreSQLServer) -> None:
    """All of them, without anybody's notice."""
    with client_of(own_server) as client, ThreadPoolExecutor(8) as threads:
        runs = [threads.submit(client.run, b"SELECT pg_sleep(0.3)", {}) for _ in range(8)]
        assert all(run.result() for run in runs)
        assert len(client._idle) == 4
        own_server.stop()
        own_server.start()
        assert client.run(b"SELECT 1", {}) == [(1,)]
        assert len(client._idle) == 1


def test_a_server_that_may_only_read_is_an_outage(own_server: PostgreSQLServer) -> None:
    """The next request goes over a new connection, which may lead to the new primary."""
    with client_of(own_server) as client:
        client.run(b"CREATE TABLE t (a int)", {})
        own_server.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        own_server.execute("SELECT pg_reload_conf()")
        time.sleep(0.3)
        with pytest.raises(errors.ReadOnlySqlTransaction) as caught:
            client.run(b"INSERT INTO t VALUES (1)", {})
        assert not client._idle
        assert is_outage(caught.value)


def test_collisions_are_tried_again(server: PostgreSQLServer) -> None:
    """What two transactions had a part in passes; for as long as a statement may take."""
    collide = "DO $$ BEGIN IF nextval('{0}') < {1} THEN RAISE serialization_failure; END IF; END $$"
    with client_of(server, timeout=0.3) as client:
        client.run(b"CREATE SEQUENCE a; CREATE SEQUENCE b", {})
        client.run(collide.format("a", 3).encode(), {})
        assert client.run(b"SELECT last_value FROM a", {}) == [(3,)]
        with pytest.raises(errors.SerializationFailure):
            client.run(collide.format("b", 10**6).encode(), {})
        client.run(b"DROP SEQUENCE a, b", {})


def test_an_interrupted_statement_leaves_no_connection(
    server: PostgreSQLServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer would be taken for that of the next one."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with client_of(server) as client:
        client.run(b"SELECT 1", {})
        with monkeypatch.context() as patch:
            patch.setattr(Connection, "_ready", interrupt)
            with pytest.raises(KeyboardInterrupt):
                client.run(b"SELECT 2", {})
        assert not client._idle
        assert client.run(b"SELECT 3", {}) == [(3,)]


def without_trust(server: PostgreSQLServer) -> None:
    """Have it want passwords."""
    (server.data / "pg_hba.conf").write_text(
        f"local all all trust\nhost all {USER} all trust\nhost all app all scram-sha-256\n"
    )
    server.execute(f"CREATE ROLE app LOGIN PASSWORD '{SECRET}'")
    server.execute("SELECT pg_reload_conf()")
    time.sleep(0.3)


async def enter(url: str) -> None:
    """Wait for a lease."""
    async with PostgreSQLLease(url, "x", ttl=TTL):
        raise AssertionError


@pytest.mark.anyio
async def test_what_no_waiting_changes_is_told_at_once(
    own_server: PostgreSQLServer, sse_history: HistoryServer
) -> None:
    """A wrong password, a missing right, a database that is not there."""
    sse_history.publish("one")
    await to_thread.run_sync(without_trust, own_server)
    urls = {
        "password authentication failed": own_server.url.replace(USER, "app:wrong"),
        "permission denied": own_server.url.replace(USER, f"app:{SECRET}"),
        "does not exist": own_server.url.replace("/postgres", "/nothing"),
    }
    for said, url in urls.items():
        with anyio.fail_after(10):
            with pytest.raises(psycopg.Error, match=said):
                await enter(url)
            async with PostgreSQLCursorStore(url) as store:
                with pytest.raises(CursorError, match=said):
                    async with ReconnectingEventSource(sse_history.url, cursor=store):
                        raise AssertionError


def locals_of(error: BaseException | None) -> str:
    """Return what a traceback with local variables would show."""
    shown: list[str] = []
    while error is not None:
        step = error.__traceback__
        while step is not None:
            name = step.tb_frame.f_globals.get("__name__", "")
            if name.partition(".")[0] in {"resilient_sse", "psycopg"}:
                shown.append(repr(step.tb_frame.f_locals))
            step = step.tb_next
        error = error.__cause__ or error.__context__
    return " ".join(shown)


def test_no_frame_shows_a_password(own_server: PostgreSQLServer) -> None:
    """Neither of a connection that is refused, nor of one that cannot be made."""
    without_trust(own_server)
    wrong = own_server.url.replace(USER, f"app:{SECRET}x")
    nobody = f"postgresql://app:{SECRET}@127.0.0.1:1/postgres"
    for url in (wrong, nobody):
        with pytest.raises(psycopg.OperationalError) as caught:
            PostgreSQLLeases(url, "x", ttl=TTL).meet(1.0, "")
        assert SECRET not in str(caught.value)
        assert SECRET not in locals_of(caught.value)
        assert SECRET not in repr(PostgreSQLLeases(url, "x"))


def test_what_passes_and_what_does_not() -> None:
    """While connecting there are words only."""
    passing = [
        errors.ReadOnlySqlTransaction("cannot execute INSERT in a read-only transaction"),
        errors.AdminShutdown("terminating connection"),
        errors.TooManyConnections("sorry, too many clients already"),
        psycopg.OperationalError("connection refused"),
        psycopg.OperationalError("the database system is starting up"),
    ]
    lasting = [
        errors.InvalidPassword("no"),
        errors.InsufficientPrivilege("permission denied for schema public"),
        psycopg.OperationalError('FATAL: no pg_hba.conf entry for host "10.0.0.1"'),
        psycopg.OperationalError("SSL error: certificate verify failed"),
    ]
    assert [(is_outage(one), is_lasting(one)) for one in passing] == [(True, False)] * 5
    assert [(is_outage(one), is_lasting(one)) for one in lasting] == [(False, True)] * 4
    assert not is_outage(TypeError())
    assert not is_lasting(TypeError())


# -- PgBouncer -------------------------------------------------------------------------------------


needs_pgbouncer = pytest.mark.skipif(
    shutil.which("pgbouncer") is None, reason="pgbouncer is not installed"
)


@contextmanager
def pgbouncer(server: PostgreSQLServer) -> Generator[str]:
    """Put PgBouncer in transaction mode before a server."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings = server.data.parent / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n* = user={USER} host=127.0.0.1 port={server.port}\n[pgbouncer]\n"
        f"listen_addr=127.0.0.1\nlisten_port={port}\nauth_type=any\npool_mode=transaction\nunix_socket_dir=\n"
        f"default_pool_size=2\n"
    )
    user = USER if os.getuid() == 0 else None
    command = ["pgbouncer", str(settings)]
    with subprocess.Popen(command, user=user, stderr=subprocess.DEVNULL) as process:
        url = server.url.replace(str(server.port), str(port))
        try:
            wait_until(lambda: can_connect(url))
            yield url
        finally:
            process.kill()


def can_connect(url: str) -> bool:
    """Say whether there is a server."""
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


@needs_pgbouncer
@pytest.mark.anyio
async def test_pgbouncer_in_transaction_mode_will_do(
    server: PostgreSQLServer, sse_history: HistoryServer
) -> None:
    """A lease given back is taken at the next look: nobody can listen through it."""
    for number in range(1, 40):
        sse_history.publish(str(number))
    with pgbouncer(server) as url:
        lease = PostgreSQLLease(url, "orders", ttl=TTL)
        async with lease, lease.source(sse_history.url) as source:
            for _ in range(30):
                await anext(source)
        async with lease, lease.source(sse_history.url) as source:
            assert (await anext(source)).id == "30"
