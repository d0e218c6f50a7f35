"""How long streams stand still, and how many change hands, when replicas come, leave and die.

Three replicas (`examples/replicas.py`) share thirty streams with ten events a second each. A fourth
one comes; one leaves in good order (SIGINT); one is killed (SIGKILL). For every stream that changed
hands what is measured is the longest time between two of its events, less the time between two
events as they are published; and for the others the same, to show that nothing happens to them.

    python benchmarks/rebalance.py 5
"""

from __future__ import annotations

import signal
import sys
import tempfile
import threading
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))

from resilient_sse.testing import HistoryServer
from tests.support.redis_server import RedisServer
from tests.support.replica_world import Line, Replica, lines_of

if TYPE_CHECKING:
    from collections.abc import Callable

TTL = 2.0
STREAMS = 30
PERIOD = 0.1
KINDS = ("comes", "leaves", "is killed")


class Outcome(NamedTuple):
    """What one change did."""

    moved: list[float]
    """The seconds that each stream that changed hands stood still."""
    stayed: list[float]
    """The same of the others."""


class World:
    """The replicas, and what they handled."""

    def __init__(self, server: HistoryServer, redis: RedisServer, log: Path) -> None:
        self.redis, self.log = redis, log
        self.urls = [f"{server.url}?{number}" for number in range(STREAMS)]
        self.replicas = [self.make() for _ in range(3)]

    def make(self) -> Replica:
        """Start one."""
        return Replica(self.redis.url, self.log, TTL, self.urls)

    def settle(self, count: int) -> None:
        """Wait until so many replicas read all streams, and none has changed hands for a while."""
        while True:
            time.sleep(2 * TTL)
            recent = [line for line in lines_of(self.log) if line.when > time.time() - TTL]
            readers = {(line.url, line.pid) for line in recent}
            if len(readers) == STREAMS and len({pid for _, pid in readers}) == count:
                return

    def change(self, kind: str) -> None:
        """Have a replica come, leave or die."""
        if kind == "comes":
            self.replicas.append(self.make())
            return
        gone = self.replicas.pop(0)
        gone.process.send_signal(signal.SIGINT if kind == "leaves" else signal.SIGKILL)

    def measure(self, kind: str) -> Outcome:
        """Let it happen, and see what it did."""
        self.settle(len(self.replicas))
        self.log.write_text("")
        time.sleep(10 * PERIOD)
        self.change(kind)
        self.settle(len(self.replicas))
        return outcome(lines_of(self.log))


def outcome(lines: list[Line]) -> Outcome:
    """Sort the streams into those that changed hands and the others."""
    found = Outcome([], [])
    for url in {line.url for line in lines}:
        own = [line for line in lines if line.url == url]
        longest = max(after.when - before.when for before, after in pairwise(own)) - PERIOD
        moved = own[0].pid != own[-1].pid
        (found.moved if moved else found.stayed).append(longest)
    return found


def repeat(rounds: int, measure: Callable[[str], Outcome]) -> None:
    """Print what each kind of change does."""
    for kind in KINDS:
        outcomes: list[Outcome] = []
        for _ in range(rounds):
            outcomes.append(measure(kind))
            if kind == "comes":
                measure("leaves")  # there is to be room for the next one
            else:
                measure("comes")
        moved = [seconds for one in outcomes for seconds in one.moved]
        stayed = max(seconds for one in outcomes for seconds in one.stayed)
        print(
            f"one {kind}: {len(moved)} of {rounds * STREAMS} moved, median {median(moved):.2f} s, "
            f"worst {max(moved):.2f} s; the others at worst {stayed:.2f} s; ttl {TTL} s",
            flush=True,
        )


def main(rounds: int) -> None:
    """Measure every kind of change."""
    over = threading.Event()
    with (
        tempfile.TemporaryDirectory() as folder,
        HistoryServer() as server,
        RedisServer() as redis,
    ):

        def publish() -> None:
            while not over.wait(PERIOD):
                server.publish("tick")

        publisher = threading.Thread(target=publish)
        publisher.start()
        world = World(server, redis, Path(folder, "handled"))
        try:
            repeat(rounds, world.measure)
        finally:
            over.set()
            publisher.join()
            for replica in world.replicas:
                replica.kill()


if __name__ == "__main__":
    main(int(sys.argv[1]))
