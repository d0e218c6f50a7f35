"""A primary of PostgreSQL dies, and its standby is promoted: what is lost, and what comes again.

Two real servers with streaming replication, and connections that find whichever is the primary.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import anyio
import psycopg
import pytest
from anyio import to_thread

from resilient_sse.cursors import (
    LeaseLost,
    PostgreSQLCursorStore,
    PostgreSQLLease,
    StreamGroup,
)
from resilient_sse.cursors._engine import memory as _memory
from tests.support.files import ROOT
from tests.support.postgresql_server import PostgreSQLPair, PostgreSQLServer, needs_postgresql
from tests.support.replica_world import PROGRAM, lines_of, wait_until_handled

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path
    from typing import Self

    from resilient_sse.cursors import LeasedSource
    from resilient_sse.testing import HistoryServer

pytestmark = [
    needs_postgresql,
    pytest.mark.thorough,
    pytest.mark.alone,
    pytest.mark.skipif(not PROGRAM.exists(), reason="not in a checkout"),
    pytest.mark.timeout(120),
]

TTL = 4.0
PERIOD = 0.02  # between two events
EXACTLY_ONCE = ROOT / "examples" / "exactly_once_postgresql.py"
EFFECTS = "CREATE TABLE effects (place bigint GENERATED ALWAYS AS IDENTITY, id bigint)"


@pytest.fixture
def synchronous() -> Iterator[PostgreSQLPair]:
    """A primary that answers when its standby has it."""
    with a_pair(synchronous=True) as pair:
        yield pair


@pytest.fixture
def asynchronous() -> Iterator[PostgreSQLPair]:
    """A primary that does not wait for its standby."""
    with a_pair(synchronous=False) as pair:
        yield pair


@contextmanager
def a_pair(*, synchronous: bool) -> Generator[PostgreSQLPair]:
    """Lend two servers, the primary old enough to grant leases."""
    _memory.forget()
    with PostgreSQLPair(synchronous=synchronous) as pair:
        with PostgreSQLCursorStore(pair.url) as store:
            store.load("any")  # which makes the tables
        pair.primary.execute(
            "INSERT INTO resilient_sse_server (run, since) "
            "VALUES (pg_postmaster_start_time()::text, 'epoch')"
        )
        yield pair


@contextmanager
def publishing(server: HistoryServer) -> Generator[None]:
    """Publish all the time."""
    over = threading.Event()

    def publish() -> None:
        while not over.wait(PERIOD):
            server.publish(f"order {len(server.history)}")

    publisher = threading.Thread(target=publish)
    publisher.start()
    try:
        yield
    finally:
        over.set()
        publisher.join()


def wait_until(true: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def standstill(times: list[float]) -> float:
    """Return the longest time without an event."""
    return max(after - before for before, after in pairwise(times))


def effects(server: PostgreSQLServer, table: str = "effects") -> list[int]:
    """Return which events had theirs, in order."""
    found = "SELECT id FROM effects ORDER BY place"
    if table == "orders":
        found = "SELECT event_id::bigint FROM orders ORDER BY id"
    return [row[0] for row in server.rows(found)]


def saved(server: PostgreSQLServer) -> int:
    """Return the cursor of the one lease."""
    ((cursor,),) = server.execute("SELECT cursor FROM resilient_sse_saves")
    return int(cursor or 0)


@pytest.mark.parametrize("form", ["url", "conninfo"])
def test_a_store_follows_the_primary(asynchronous: PostgreSQLPair, form: str) -> None:
    """With both forms of several hosts; what the standby lacks is known to the process."""
    with PostgreSQLCursorStore(getattr(asynchronous, form)) as store:
        store.save("k", "1")
        wait_until(lambda: stored(asynchronous.standby) == "1")
        asynchronous.fall_behind()
        store.save("k", "2")
        asynchronous.fail_over()
        assert stored(asynchronous.standby) == "1"
        assert store.load("k") == "2"
        store.save("k", "3")
    assert stored(asynchronous.standby) == "3"


def stored(server: PostgreSQLServer) -> str:
    """Return the cursor of the one stream that a store has."""
    rows = server.rows("SELECT cursor FROM resilient_sse_cursors")
    return str(rows[0][0]) if rows else ""


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["synchronous", "asynchronous"])
async def test_a_group_reads_on(
    request: pytest.FixtureRequest, sse_history: HistoryServer, kind: str
) -> None:
    """Whoever lives loses nothing, repeats nothing and keeps its leases, whatever is replicated."""
    pair: PostgreSQLPair = request.getfixturevalue(kind)
    urls = [f"{sse_history.url}?{number}" for number in range(2)]
    handled: dict[str, list[tuple[float, int, int]]] = {url: [] for url in urls}
    seconds: list[float] = []

    async def read(source: LeasedSource) -> None:
        async for event in source:
            found = handled[source.url]
            found.append((time.monotonic(), int(event.id), source.token))

    async def handle(count: int) -> None:
        wanted = {url: len(found) + count for url, found in handled.items()}
        with anyio.fail_after(30):
            while any(len(handled[url]) < wanted[url] for url in urls):  # noqa: ASYNC110 - any condition will do
                await anyio.sleep(0.02)

    def fail_over() -> None:
        if kind == "asynchronous":
            pair.fall_behind()
            time.sleep(0.5)
        seconds.append(pair.fail_over())

    group = StreamGroup(pair.url, "g", urls, ttl=TTL)
    with publishing(sse_history):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(group.run, read)
            await handle(50)
            await to_thread.run_sync(fail_over)
            await handle(round(1.5 * TTL / PERIOD))  # also when the leases of before would be over
            tasks.cancel_scope.cancel()
    for found in handled.values():
        ids = [event_id for _, event_id, _ in found]
        assert ids == list(range(1, len(ids) + 1))
        assert len({token for *_, token in found}) == 1
    rows = await to_thread.run_sync(
        pair.standby.execute, "SELECT name, cursor::bigint FROM resilient_sse_saves"
    )
    # All but the one in hand and the one whose save was cancelled.
    assert all(cursor >= handled[name][-1][1] - 2 for name, cursor in rows)
    stood = max(standstill([when for when, *_ in found]) for found in handled.values())
    print(f"{kind}: promoted after {seconds[0]:.2f} s, stood still for {stood:.2f} s")  # noqa: T201 - for the documentation
    assert stood < seconds[0] + TTL / 2


@pytest.mark.parametrize("lag", [0.0, 1.0])
def test_what_comes_again_when_the_reader_dies_too(
    request: pytest.FixtureRequest, sse_history: HistoryServer, tmp_path: Path, lag: float
) -> None:
    """With synchronous replication nothing that was saved; else what was saved in the lag."""
    pair: PostgreSQLPair = request.getfixturevalue("asynchronous" if lag else "synchronous")
    log = tmp_path / "handled"
    command = [sys.executable, str(PROGRAM), pair.url, str(log), str(TTL), sse_history.url]
    with publishing(sse_history):
        with subprocess.Popen(command) as reader:
            wait_until_handled(log, 50)
            if lag:
                pair.fall_behind()
                time.sleep(lag)
            reader.kill()
        before = saved(pair.primary)
        began = time.time()
        pair.fail_over()
        lost = max(0, before - saved(pair.standby))
        with subprocess.Popen(command) as reader:
            wait_until(lambda: newest(log) > before + 20)
            reader.kill()
    lines = lines_of(log)
    ids = [int(line.event_id) for line in lines]
    assert set(ids) == set(range(1, max(ids) + 1))
    again = len(ids) - len(set(ids))
    stood = next(line.when for line in lines if line.pid == reader.pid) - began
    print(f"lag of {lag} s: {lost} saves lost, {again} came again, after {stood:.2f} s")  # noqa: T201 - for the documentation
    assert lost >= 0.5 * lag / PERIOD, "the standby did not lag"
    assert lost <= again <= lost + 2  # the event in hand, and the one whose save was under way
    assert lag or not lost


def newest(log: Path) -> int:
    """Return the newest event that was handled."""
    return max(int(line.event_id) for line in lines_of(log))


@pytest.mark.parametrize("lag", [0.0, 1.0])
def test_the_example_has_each_effect_once(
    request: pytest.FixtureRequest, sse_history: HistoryServer, lag: float
) -> None:
    """The program goes on by itself, and effects that are lost are done again."""
    pair: PostgreSQLPair = request.getfixturevalue("asynchronous" if lag else "synchronous")
    command = [sys.executable, str(EXACTLY_ONCE), sse_history.url, pair.url, str(TTL)]
    with publishing(sse_history), subprocess.Popen(command, stderr=subprocess.DEVNULL) as program:
        try:
            wait_until(lambda: len(effects(pair.primary, "orders")) > 50)
            if lag:
                pair.fall_behind()
                time.sleep(lag)
            had = len(effects(pair.primary, "orders"))
            began = time.monotonic()
            pair.fail_over()
            kept = len(effects(pair.standby, "orders"))
            wait_until(lambda: len(effects(pair.standby, "orders")) > kept)
            stood = time.monotonic() - began
            wait_until(lambda: len(effects(pair.standby, "orders")) > had + 50)
        finally:
            program.kill()
    found = effects(pair.standby, "orders")
    assert found == list(range(1, len(found) + 1))
    lost = max(0, had - kept)
    print(f"lag of {lag} s: {lost} effects lost and done again, stood still for {stood:.2f} s")  # noqa: T201 - for the documentation
    assert (lost >= 0.5 * lag / PERIOD) if lag else not lost
    assert stood < 3 * TTL


class Program:
    """One that keeps its source and opens its own connection again when that is lost."""

    def __init__(self, pair: PostgreSQLPair, url: str) -> None:
        self._pair, self._url = pair, url
        self.grants = 0
        self._db: psycopg.Connection[Any] | None = None
        self.over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._pair.primary.execute(EFFECTS)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._thread.join()
        if self._db is not None:
            self._db.close()

    def _run(self) -> None:
        lease = PostgreSQLLease(self._pair.url, "orders", ttl=TTL)
        while not self.over.is_set():
            try:
                self._read(lease)
            except LeaseLost:
                continue

    def _read(self, lease: PostgreSQLLease) -> None:
        with lease, lease.sync_source(self._url, auto_ack=False) as source:
            self.grants += 1
            for event in source:
                while not self.over.is_set() and not self._handle(source.lease, event.id):
                    time.sleep(0.05)
                if self.over.is_set():
                    return

    def _handle(self, lease: Any, event_id: str) -> bool:
        try:
            if self._db is None or self._db.closed:
                self._db = psycopg.connect(self._pair.url, autocommit=True)
            with self._db.transaction():
                lease.save_in(self._db, event_id)
                self._db.execute("INSERT INTO effects (id) VALUES (%s)", (event_id,))
        except psycopg.OperationalError:
            return False
        return True


@pytest.mark.parametrize("idle", [False, True])
def test_a_reader_does_not_go_on_without_effects_that_are_lost(
    asynchronous: PostgreSQLPair, sse_history: HistoryServer, idle: bool
) -> None:
    """Its lease is over, and it begins again from the cursor that the new primary has."""
    pair = asynchronous
    with Program(pair, sse_history.url) as program:
        for _ in range(20):
            sse_history.publish("x")
        wait_until(lambda: len(effects(pair.standby)) == 20)
        pair.fall_behind()
        for _ in range(20):
            sse_history.publish("x")
        wait_until(lambda: len(effects(pair.primary)) == 40)
        pair.fail_over()
        assert len(effects(pair.standby)) == 20
        count = 40
        if not idle:
            sse_history.publish("x")
            count += 1
        wait_until(lambda: len(effects(pair.standby)) == count)
        sse_history.publish("x")
        wait_until(lambda: len(effects(pair.standby)) == count + 1)
        # The stream must end for the program to look up.
        program.over.set()
        sse_history.publish("x")
    assert effects(pair.standby)[: count + 1] == list(range(1, count + 2))
    assert program.grants == 2


@pytest.mark.parametrize("lag", [False, True])
def test_a_reader_may_take_over_with_a_cursor_of_a_transaction(
    asynchronous: PostgreSQLPair, sse_history: HistoryServer, lag: bool
) -> None:
    """The cursor that came with the grant is not put back without its effects."""
    pair = asynchronous
    for _ in range(3):
        sse_history.publish("x")
    pair.primary.execute(EFFECTS)
    lease = PostgreSQLLease(pair.url, "orders", ttl=TTL)
    with closing(psycopg.connect(pair.url, autocommit=True)) as db:
        for number in (1, 2):
            if lag and number == 2:
                wait_until(lambda: effects(pair.standby) == [1])
                pair.fall_behind()
            with lease, lease.sync_source(sse_history.url, auto_ack=False) as source:
                event = next(source)
                with db.transaction():
                    source.lease.save_in(db, event.id)
                    db.execute("INSERT INTO effects (id) VALUES (%s)", (event.id,))
    with lease, lease.sync_source(sse_history.url, auto_ack=False) as source:
        assert next(source).id == "3"
        if not lag:
            wait_until(lambda: effects(pair.standby) == [1, 2])
            wait_until(lambda: token_at(pair.standby) == lease.token)
        pair.fail_over()
        if lag:
            with pytest.raises(LeaseLost):
                next(source)
        else:
            time.sleep(TTL)
            assert lease.held
    with lease, lease.sync_source(sse_history.url, auto_ack=False) as source:
        assert next(source).id == ("2" if lag else "3")


def token_at(server: PostgreSQLServer) -> int:
    """Return the token of the one lease."""
    ((token,),) = server.execute("SELECT token FROM resilient_sse_leases")
    return int(token)
