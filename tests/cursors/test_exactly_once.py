"""The examples of an exactly-once effect, killed with SIGKILL at random moments.

``RESILIENT_SSE_KILLS`` says how often; `make soak-cursors` says a few hundred times.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.files import ROOT
from tests.support.postgresql_server import PostgreSQLServer, needs_postgresql

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from resilient_sse.testing import HistoryServer

EXAMPLES = ROOT / "examples"
KILLS = int(os.environ.get("RESILIENT_SSE_KILLS", "4"))

pytestmark = [
    pytest.mark.skipif(not EXAMPLES.exists(), reason="not in a checkout"),
    pytest.mark.timeout(60 + 15 * KILLS),
]


def kill_again_and_again(
    server: HistoryServer, example: str, arguments: Sequence[str], handled: Callable[[], int]
) -> int:
    """Run the example while events are published, kill it at random moments, then let it finish.

    Args:
        server: What publishes.
        example: The program.
        arguments: Its arguments after the URL.
        handled: Counts the rows of its table.

    Returns:
        How many of the kills hit it at work: more events were handled than at the kill before.
    """
    command = [sys.executable, str(EXAMPLES / example), server.url, *arguments]
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

    at_work = kill_again_and_again(sse_history, "exactly_once_sqlite.py", [path], count)

    assert handled() == [event.id for event in sse_history.history]
    assert at_work >= KILLS // 2
    print(f"{KILLS} kills, {at_work} of them at work, {count()} events")  # noqa: T201 - for those who run it for hours


@pytest.mark.thorough
@needs_postgresql
def test_postgresql_example(sse_history: HistoryServer) -> None:
    """Every event is in the table once, in order."""
    with PostgreSQLServer() as server:

        def count() -> int:
            return sum(count for (count,) in server.rows("SELECT count(*) FROM orders"))

        arguments = [server.url, "0.5"]
        example = "exactly_once_postgresql.py"
        at_work = kill_again_and_again(sse_history, example, arguments, count)

        rows = server.rows("SELECT event_id FROM orders ORDER BY id")
        assert [row[0] for row in rows] == [event.id for event in sse_history.history]
        assert at_work >= KILLS // 2
        print(f"{KILLS} kills, {at_work} of them at work, {count()} events")  # noqa: T201 - for those who run it for hours


@pytest.mark.thorough
@needs_postgresql
def test_replicas_on_postgresql(sse_history: HistoryServer) -> None:
    """Three of them, killed or stopped at random: every event is in the table once, in order."""
    with PostgreSQLServer() as server:
        replicas = Replicas(sse_history.url, server)
        over = threading.Event()

        def publish() -> None:
            while not over.wait(0.01):
                sse_history.publish(f"order {len(sse_history.history)}")

        publisher = threading.Thread(target=publish)
        publisher.start()
        try:
            for number in range(KILLS):
                wait_for_more_than(replicas.handled() + 10, replicas.handled)
                replicas.let_happen(("kill", "stop", "end")[number % 3])
        finally:
            over.set()
            publisher.join()
        while (count := replicas.handled()) < len(sse_history.history):
            wait_for_more_than(count, replicas.handled)
        replicas.end()
        rows = server.execute("SELECT event_id FROM orders ORDER BY id")
        assert [row[0] for row in rows] == [event.id for event in sse_history.history]
        longest = max(replicas.standstills)
        print(f"{KILLS} faults, {len(rows)} events, at most {longest:.1f} s without one")  # noqa: T201 - for those who run it for hours


class Replicas:
    """Processes of the example, and what happens to them."""

    TTL = 1.0

    def __init__(self, url: str, server: PostgreSQLServer) -> None:
        self._command = [sys.executable, str(EXAMPLES / "exactly_once_postgresql.py"), url]
        self._command += [server.url, str(self.TTL)]
        self._server = server
        self._processes = [self._start() for _ in range(3)]
        self._chance = random.Random(0)
        self.standstills: list[float] = []

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command, stderr=subprocess.DEVNULL)

    def handled(self) -> int:
        """Count the rows."""
        return sum(count for (count,) in self._server.rows("SELECT count(*) FROM orders"))

    def let_happen(self, kind: str) -> None:
        """Do something to the one that reads, and to one of the others by chance."""
        time.sleep(self._chance.uniform(0, 0.2))
        victims = list(self._processes)
        if kind != "stop":
            victims = self._chance.sample(victims, 2)
        signals = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "end": signal.SIGINT}
        for victim in victims[:2]:
            victim.send_signal(signals[kind])
        before, began = self.handled(), time.monotonic()
        if kind == "stop":
            time.sleep(self._chance.uniform(0.5, 2) * self.TTL)
        for victim in victims[:2]:
            if kind == "stop":
                victim.send_signal(signal.SIGCONT)
                continue
            victim.wait(20)
            self._processes.remove(victim)
            self._processes.append(self._start())
        wait_for_more_than(before, self.handled)
        self.standstills.append(time.monotonic() - began)

    def end(self) -> None:
        """Kill them all."""
        for process in self._processes:
            process.kill()
            process.wait()
