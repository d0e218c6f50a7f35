"""The examples of an exactly-once effect, killed with SIGKILL at random moments.

``RESILIENT_SSE_KILLS`` says how often; `make soak-cursors` says a few hundred times.
"""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
import pytest

from tests.postgresql_server import PostgreSQLServer, needs_postgresql

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_sse.testing import HistoryServer

EXAMPLES = Path(__file__).parent.parent / "examples"
KILLS = int(os.environ.get("RESILIENT_SSE_KILLS", "4"))

pytestmark = [
    pytest.mark.skipif(not EXAMPLES.exists(), reason="not in a checkout"),
    pytest.mark.timeout(60 + 15 * KILLS),
]


def kill_again_and_again(
    server: HistoryServer, example: str, database: str, handled: Callable[[], int]
) -> int:
    """Run the example while events are published, kill it at random moments, then let it finish.

    Args:
        server: What publishes.
        example: The program.
        database: Its second argument.
        handled: Counts the rows of its table.

    Returns:
        How many of the kills hit it at work: more events were handled than at the kill before.
    """
    command = [sys.executable, str(EXAMPLES / example), server.url, database]
    chance = random.Random(0)
    over = threading.Event()

    def publish() -> None:
        while not over.wait(0.005):
            server.publish(f"order {len(server.history)}")

    publisher = threading.Thread(target=publish)
    publisher.start()
    at_work = before = 0
    try:
        for kill in range(KILLS):
            with subprocess.Popen(command) as process:
                if kill % 4:  # the others may hit it while it starts
                    wait_for_more_than(before, handled)
                time.sleep(chance.uniform(0.0, 0.3))
                assert process.poll() is None, "the example ended by itself"
                process.kill()
            now = handled()
            at_work += now > before
            before = now
    finally:
        over.set()
        publisher.join()
    with subprocess.Popen(command) as process:
        try:
            while (count := handled()) < len(server.history):
                wait_for_more_than(count, handled)
        finally:
            process.kill()
    return at_work


def wait_for_more_than(count: int, handled: Callable[[], int]) -> None:
    """Wait until the example is at work."""
    deadline = time.monotonic() + 20
    while handled() <= count:
        assert time.monotonic() < deadline, "the example does nothing"
        time.sleep(0.02)


def test_sqlite_example(sse_history: HistoryServer, tmp_path: Path) -> None:
    """Every event is in the table once, in order."""
    path = str(tmp_path / "orders.db")

    def handled(what: str = "event_id FROM orders ORDER BY id") -> list[Any]:
        with closing(sqlite3.connect(path)) as db:
            try:
                return [row[0] for row in db.execute(f"SELECT {what}")]
            except sqlite3.OperationalError:  # killed before it made the tables
                return [0]

    def count() -> int:
        return int(handled("count(*) FROM orders")[0])

    at_work = kill_again_and_again(sse_history, "exactly_once_sqlite.py", path, count)

    assert handled() == [event.id for event in sse_history.history]
    assert at_work >= KILLS // 2
    print(f"{KILLS} kills, {at_work} of them at work, {count()} events")  # noqa: T201 - for those who run it for hours


@needs_postgresql
def test_postgresql_example(sse_history: HistoryServer) -> None:
    """Every event is in the table once, in order."""
    with PostgreSQLServer() as server:

        def handled(what: LiteralString = "event_id FROM orders ORDER BY id") -> list[Any]:
            with psycopg.connect(server.url) as db:
                try:
                    rows = db.execute("SELECT " + what).fetchall()
                except psycopg.errors.UndefinedTable:  # killed before it made the tables
                    return [0]
            return [row[0] for row in rows]

        def count() -> int:
            return int(handled("count(*) FROM orders")[0])

        at_work = kill_again_and_again(sse_history, "exactly_once_postgresql.py", server.url, count)

        assert handled() == [event.id for event in sse_history.history]
        assert at_work >= KILLS // 2
        print(f"{KILLS} kills, {at_work} of them at work, {count()} events")  # noqa: T201 - for those who run it for hours
