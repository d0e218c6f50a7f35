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
from typing import TYPE_CHECKING

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
    pytest.mark.timeout(60 + 5 * KILLS),
]


def kill_again_and_again(
    server: HistoryServer, example: str, database: str, handled: Callable[[], list[str]]
) -> int:
    """Run the example while events are published, kill it at random moments, then let it finish.

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
            now = len(handled())
            at_work += now > before
            before = now
    finally:
        over.set()
        publisher.join()
    with subprocess.Popen(command) as process:
        while (count := len(handled())) < len(server.history):
            wait_for_more_than(count, handled)
        process.kill()
    return at_work


def wait_for_more_than(count: int, handled: Callable[[], list[str]]) -> None:
    """Wait until the example is at work."""
    deadline = time.monotonic() + 20
    while len(handled()) <= count:
        assert time.monotonic() < deadline, "the example does nothing"
        time.sleep(0.02)


def test_sqlite_example(sse_history: HistoryServer, tmp_path: Path) -> None:
    """Every event is in the table once, in order."""
    path = str(tmp_path / "orders.db")

    def handled() -> list[str]:
        with closing(sqlite3.connect(path)) as db:
            try:
                return [row[0] for row in db.execute("SELECT event_id FROM orders ORDER BY id")]
            except sqlite3.OperationalError:  # killed before it made the tables
                return []

    at_work = kill_again_and_again(sse_history, "exactly_once_sqlite.py", path, handled)

    assert handled() == [event.id for event in sse_history.history]
    assert at_work >= KILLS // 2


@needs_postgresql
def test_postgresql_example(sse_history: HistoryServer) -> None:
    """Every event is in the table once, in order."""
    with PostgreSQLServer() as server:

        def handled() -> list[str]:
            with psycopg.connect(server.url) as db:
                try:
                    rows = db.execute("SELECT event_id FROM orders ORDER BY id").fetchall()
                except psycopg.errors.UndefinedTable:  # killed before it made the tables
                    return []
            return [str(row[0]) for row in rows]

        at_work = kill_again_and_again(
            sse_history, "exactly_once_postgresql.py", server.url, handled
        )

        assert handled() == [event.id for event in sse_history.history]
        assert at_work >= KILLS // 2
