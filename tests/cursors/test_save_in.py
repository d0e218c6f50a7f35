"""Cursor and effect in one transaction: committed it counts, and it fails with the lease."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import anyio
import psycopg
import pytest
from anyio import to_thread

from resilient_sse import ServerSentEvent, SyncReconnectingEventSource
from resilient_sse._session.acks import Acknowledgements
from resilient_sse.cursors import (
    LeasedSource,
    LeaseLost,
    LeaseSave,
    LeaseWanted,
    PostgreSQLLease,
    PostgreSQLLeases,
    StreamLease,
)
from resilient_sse.cursors._engine import memory as _memory
from resilient_sse.testing import Connection, MemoryLeaseEngine, ScriptedServer
from resilient_sse.testing import event as sse
from tests.support.postgresql_server import PostgreSQLServer, needs_postgresql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from resilient_sse.testing import HistoryServer

pytestmark = [needs_postgresql, pytest.mark.timeout(60)]

TTL = 1000.0


@pytest.fixture
def server(shared_postgresql: PostgreSQLServer) -> PostgreSQLServer:
    """It, empty, and old enough to grant leases."""
    _memory.forget()
    leases = PostgreSQLLeases(shared_postgresql.url, "g", ttl=TTL)
    leases.grant([LeaseWanted("x")])
    leases.close()
    shared_postgresql.grow_old()
    shared_postgresql.execute(
        "TRUNCATE resilient_sse_leases, resilient_sse_saves; DROP TABLE IF EXISTS effects; "
        "CREATE TABLE effects (id text)"
    )
    return shared_postgresql


@pytest.fixture
def db(server: PostgreSQLServer) -> Iterator[psycopg.Connection[Any]]:
    """The program's connection."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def events(sse_history: HistoryServer) -> HistoryServer:
    """A stream with ten events."""
    for number in range(1, 11):
        sse_history.publish(str(number))
    return sse_history


def cursor_in(server: PostgreSQLServer) -> list[Any]:
    """Return what is saved, and whether it is to be remembered."""
    return server.execute("SELECT cursor, lasting FROM resilient_sse_saves")


def effects_in(server: PostgreSQLServer) -> list[str]:
    """Return what was done."""
    return [row[0] for row in server.execute("SELECT id FROM effects")]


ADD = "INSERT INTO effects VALUES (%s)"


def test_what_is_committed_is_acknowledged(
    server: PostgreSQLServer, db: psycopg.Connection[Any], events: HistoryServer
) -> None:
    """And makes room for more; what is rolled back was not saved, and the next reader gets it."""
    lease = PostgreSQLLease(server.url, "orders", ttl=TTL)
    with lease, lease.sync_source(events.url, auto_ack=False, max_unacked=2) as source:
        for number in range(1, 8):
            event = next(source)
            assert event.id == str(number)
            with db.transaction():
                source.lease.save_in(db, event.id)
                db.execute(ADD, (event.id,))
        assert cursor_in(server) == [("7", False)]
        event = next(source)
        with pytest.raises(RuntimeError, match="mine"), db.transaction():  # noqa: PT012 - the whole transaction is what fails
            source.lease.save_in(db, event.id)
            db.execute(ADD, (event.id,))
            raise RuntimeError("mine")
    assert cursor_in(server) == [("7", False)]
    with lease, lease.sync_source(events.url, auto_ack=False) as source:
        assert next(source).id == "8"
        assert source.lease.token == lease.token
    assert effects_in(server) == [str(number) for number in range(1, 8)]


@pytest.mark.parametrize("late", [False, True])
def test_a_commit_whose_answer_was_lost_is_not_made_twice(
    server: PostgreSQLServer, db: psycopg.Connection[Any], events: HistoryServer, late: bool
) -> None:
    """Tried again over another connection, also while the server has not finished the first."""

    def handle(source: Any, connection: psycopg.Connection[Any], event_id: str) -> None:
        with connection.transaction():
            source.lease.save_in(connection, event_id)
            connection.execute(ADD, (event_id,))

    lease = PostgreSQLLease(server.url, "orders", ttl=TTL)
    with (
        psycopg.connect(server.url) as lost,
        lease,
        lease.sync_source(events.url, auto_ack=False) as source,
    ):
        handle(source, db, next(source).id)
        made = next(source)
        source.lease.save_in(lost, made.id)
        lost.execute(ADD, (made.id,))
        timer = threading.Timer(0.5 if late else 0.0, lost.commit)
        timer.start()
        if not late:
            timer.join()
        with pytest.raises(LeaseLost):
            handle(source, db, made.id)
        timer.join()
    with lease, lease.sync_source(events.url, auto_ack=False) as source:
        handle(source, db, next(source).id)
    assert effects_in(server) == ["1", "2", "3"]


def test_what_was_rolled_back_may_be_tried_again(
    server: PostgreSQLServer, db: psycopg.Connection[Any], sse_history: HistoryServer
) -> None:
    """As often as it takes; and each of several events may save the one cursor they share."""
    sse_history.publish("with an id")
    lease = PostgreSQLLease(server.url, "orders", ttl=TTL)
    script = [Connection(sse("1", id="a"), sse("2"), sse("3", id="b"))]
    with (
        ScriptedServer(script) as stream,
        lease,
        lease.sync_source(stream.url, auto_ack=False) as source,
    ):
        for number in ("1", "2", "3"):
            assert next(source).data == number
            for _ in range(3):
                with pytest.raises(RuntimeError, match="mine"), db.transaction():  # noqa: PT012 - the whole transaction is what fails
                    source.lease.save_in(db, source.last_event_id)
                    db.execute(ADD, (number,))
                    raise RuntimeError("mine")
            with db.transaction():
                source.lease.save_in(db, source.last_event_id)
                db.execute(ADD, (number,))
    assert effects_in(server) == ["1", "2", "3"]
    assert cursor_in(server) == [("b", False)]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_same_on_asyncio(
    server: PostgreSQLServer, events: HistoryServer, anyio_backend: str
) -> None:
    """With an asynchronous connection."""
    lease = PostgreSQLLease(server.url, "orders", ttl=TTL)
    connection = await psycopg.AsyncConnection[Any].connect(server.url, autocommit=True)
    async with (
        connection as db,
        lease,
        lease.source(events.url, auto_ack=False, max_unacked=1) as source,
    ):
        for _ in range(4):
            event = await anext(source)
            async with db.transaction():
                await source.lease.save_in(db, event.id)
                await db.execute(ADD, (event.id,))
        await to_thread.run_sync(lose, server)
        event = await anext(source)
        with pytest.raises(psycopg.Error):  # noqa: PT012 - the whole transaction is what fails
            async with db.transaction():
                with pytest.raises(LeaseLost):
                    await source.lease.save_in(db, event.id)
                await db.execute(ADD, (event.id,))
    assert await to_thread.run_sync(effects_in, server) == ["1", "2", "3", "4"]


@pytest.mark.anyio
async def test_workers_may_commit_while_the_next_event_is_waited_for(
    server: PostgreSQLServer, db: psycopg.Connection[Any], events: HistoryServer
) -> None:
    """On asyncio and trio, with a blocking connection in a thread."""
    lease = PostgreSQLLease(server.url, "orders", ttl=TTL)

    def commit(source: LeasedSource, event: ServerSentEvent) -> None:
        time.sleep(0.1)
        with db.transaction():
            source.lease.save_in(db, event.id)
            time.sleep(0.1)

    async with lease, lease.source(events.url, auto_ack=False, max_unacked=1) as source:
        async with anyio.create_task_group() as tasks:
            for number in range(1, 4):
                event = await anext(source)
                assert event.id == str(number)
                tasks.start_soon(to_thread.run_sync, commit, source, event)
        event = await anext(source)
        await source.ack(event)
        assert (await anext(source)).id == "5"


def test_workers_in_threads(
    server: PostgreSQLServer, db: psycopg.Connection[Any], events: HistoryServer
) -> None:
    """With the blocking twin; an explicit acknowledgement counts, too."""
    lease = PostgreSQLLease(server.url, "orders", ttl=TTL)
    with lease, lease.sync_source(events.url, auto_ack=False, max_unacked=1) as source:
        first = next(source)

        def commit() -> None:
            with db.transaction():
                source.lease.save_in(db, first.id)

        threading.Timer(0.2, commit).start()
        second = next(source)
        threading.Timer(0.2, source.ack, [second]).start()
        assert next(source).id == "3"


def lose(server: PostgreSQLServer) -> None:
    """Have somebody else be granted the lease, as after a long stop of this process."""
    server.execute("UPDATE resilient_sse_leases SET expires = 'epoch'")
    other = PostgreSQLLeases(server.url, "orders", ttl=TTL)
    assert other.grant([LeaseWanted("orders")])[0].token
    other.close()


def test_a_stale_token_fails_the_transaction(
    server: PostgreSQLServer, db: psycopg.Connection[Any], events: HistoryServer
) -> None:
    """Also if the program swallows the error; the source has ended, too."""
    lease = PostgreSQLLease(server.url, "orders", ttl=TTL)
    with lease, lease.sync_source(events.url, auto_ack=False) as source:
        event = next(source)
        lose(server)
        with pytest.raises(psycopg.errors.InFailedSqlTransaction), db.transaction():  # noqa: PT012 - the same
            with pytest.raises(LeaseLost):
                source.lease.save_in(db, event.id)
            db.execute(ADD, (event.id,))
        with pytest.raises(LeaseLost):
            next(source)
        with pytest.raises(LeaseLost), db.transaction():
            source.lease.save_in(db, event.id)
    assert effects_in(server) == []


def test_an_open_transaction_keeps_the_next_replica_waiting(
    server: PostgreSQLServer, db: psycopg.Connection[Any], events: HistoryServer
) -> None:
    """It may yet be committed; one that stands still for longer than a lease is ended."""
    ttl = 1.0
    lease = PostgreSQLLease(server.url, "orders", ttl=ttl)
    other = PostgreSQLLeases(server.url, "orders", ttl=ttl)
    with lease, lease.sync_source(events.url, auto_ack=False) as source:
        event = next(source)
        with pytest.raises(psycopg.Error, match="idle-in-transaction"), db.transaction():  # noqa: PT012 - the same
            source.lease.save_in(db, event.id)
            began = time.monotonic()
            server.execute("UPDATE resilient_sse_leases SET expires = 'epoch'")
            while not (answer := other.grant([LeaseWanted("orders")])[0]).token:
                assert answer.seconds > 0
                time.sleep(0.05)
            assert answer.saved.cursor == ""
            assert 0.5 * ttl < time.monotonic() - began < 3 * ttl
            db.execute(ADD, (event.id,))
    other.close()


def test_a_row_that_is_locked_fails_no_other_save(
    server: PostgreSQLServer, db: psycopg.Connection[Any]
) -> None:
    """It is waited for, for as long as a statement may take, and then said."""
    leases = PostgreSQLLeases(server.url, "g", ttl=2.0)
    x, y = leases.grant([LeaseWanted("x"), LeaseWanted("y")])
    words = [LeaseSave("x", x.token, 1, "7"), LeaseSave("y", y.token, 1, "7")]
    with db.transaction():
        assert leases.save_in(db, words[0])
        with pytest.raises(psycopg.OperationalError, match="'x' is locked"):
            leases.save(words)
    assert leases.save([words[0], LeaseSave("x", x.token, 2, "8")]) == [True, True]
    found = server.execute("SELECT name, cursor FROM resilient_sse_saves ORDER BY name")
    assert found == [("x", "8"), ("y", "7")]
    leases.close()


def test_a_database_that_comes_back_old_has_neither_cursor_nor_effect(
    server: PostgreSQLServer, db: psycopg.Connection[Any], events: HistoryServer
) -> None:
    """What was forgotten with its effects is done again: no process remembers its cursor."""
    lease = PostgreSQLLease(server.url, "orders", ttl=TTL)
    with lease, lease.sync_source(events.url, auto_ack=False) as source:
        for event in (next(source), next(source)):
            with db.transaction():
                source.lease.save_in(db, event.id)
    server.execute("UPDATE resilient_sse_saves SET cursor = '1', number = 1")
    with lease, lease.sync_source(events.url, auto_ack=False) as source:
        assert next(source).id == "2"


def test_a_new_server_must_have_the_effects() -> None:
    """One that was started since is asked, by every renewal and every transaction."""
    _memory.forget()
    with PostgreSQLServer() as own:
        leases = PostgreSQLLeases(own.url, "g", ttl=30.0)
        leases.grant([LeaseWanted("x")])
        own.grow_old()
        (answer,) = leases.grant([LeaseWanted("x")])

        def save_in(number: int, cursor: str) -> bool:
            with psycopg.connect(own.url) as db:
                return bool(leases.save_in(db, LeaseSave("x", answer.token, number, cursor)))

        held = [LeaseSave("x", answer.token, 0, "")]
        assert save_in(1, "7")
        own.kill()
        own.start()
        assert leases.renew(held) == [True]
        assert not save_in(2, "7"), "the commit may have been answered by nobody"
        assert save_in(3, "8")
        assert save_in(4, "9")
        own.kill()
        own.start()
        own.execute("UPDATE resilient_sse_saves SET number = 3, cursor = '8'")
        assert not save_in(5, "10")
        assert leases.renew(held) == [False]
        # An acknowledgement is no effect in its tables: the cursor may be put back.
        assert leases.save([LeaseSave("x", answer.token, 6, "11")]) == [True]
        own.execute("UPDATE resilient_sse_saves SET number = 3, cursor = '8'")
        assert leases.renew([LeaseSave("x", answer.token, 6, "11")]) == [True]
        assert own.execute("SELECT cursor FROM resilient_sse_saves") == [("11",)]
        leases.close()


def test_misuse_is_told(
    server: PostgreSQLServer, db: psycopg.Connection[Any], events: HistoryServer
) -> None:
    """In words."""
    lease = PostgreSQLLease(server.url, "orders", ttl=TTL)
    with lease, lease.sync_source(events.url) as source:
        next(source)
        with pytest.raises(RuntimeError, match="auto_ack=False"), db.transaction():
            source.lease.save_in(db, "1")
    with lease, lease.sync_source(events.url, auto_ack=False) as source:
        next(source)
        with pytest.raises(ValueError, match="no event with the cursor '2'"), db.transaction():
            source.lease.save_in(db, "2")
        with pytest.raises(RuntimeError, match="a transaction: with"):
            source.lease.save_in(db, "1")
        nothing: Any = object()
        with pytest.raises(TypeError, match="a connection of psycopg, not object"):
            source.lease.save_in(nothing, "1")
        with psycopg.connect(server.url) as implicit:
            source.lease.save_in(implicit, "1")
    assert cursor_in(server) == [("1", False)]
    without = StreamLease(MemoryLeaseEngine()("g", ttl=TTL))
    with without, without.sync_source(events.url, auto_ack=False) as source:
        next(source)
        with pytest.raises(TypeError, match="MemoryLeases has no transactions"):
            source.lease.save_in(db, "1")


@pytest.mark.parametrize("limit", ["0", "200ms", "1h"])
def test_a_shorter_limit_of_the_programs_stays(
    server: PostgreSQLServer, db: psycopg.Connection[Any], limit: str
) -> None:
    """And after the transaction each is what it was."""
    leases = PostgreSQLLeases(server.url, "g", ttl=2.0)
    (answer,) = leases.grant([LeaseWanted("x")])
    db.execute(f"SET idle_in_transaction_session_timeout = '{limit}'".encode())
    with db.transaction():
        assert leases.save_in(db, LeaseSave("x", answer.token, 1, "7"))
        row = db.execute("SHOW idle_in_transaction_session_timeout").fetchone()
        assert row == ("200ms" if limit == "200ms" else "2s",)
    assert db.execute("SHOW idle_in_transaction_session_timeout").fetchone() == (limit,)
    leases.close()


def test_acknowledging_through_a_cursor() -> None:
    """Equal events are acknowledged in their order, and those behind it stay."""
    acks = Acknowledgements("")
    same, other = ServerSentEvent(data="same"), ServerSentEvent(data="other")
    for number, event in enumerate([same, other, same, same, other], 1):
        acks.deliver(event, str(number))
    assert acks.waiting("5") == 1
    assert acks.waiting("6") == 0
    acks.ack_through("3")
    assert (acks.cursor, acks.passed, len(acks)) == ("3", 3, 2)
    acks.deliver(same, "6")
    acks.ack(same)
    assert acks.cursor == "4"
    acks.ack(other)
    acks.ack(same)
    assert acks.cursor == "6"
    acks.deliver(other, "7")
    acks.ack_through("7")
    acks.ack_through("nothing")
    with pytest.raises(ValueError, match="acknowledged already"):
        acks.ack(other)


def test_a_source_without_a_store_has_nothing_to_acknowledge() -> None:
    """Whoever tells it."""
    source = SyncReconnectingEventSource("https://example.com", auto_ack=False)
    source._saving.saved_in("1")
    assert source._saving.waiting("1") == 0
    assert source._saving.begin() is None
