"""How long a stream stands still when its reader dies, stalls or is cut off.

Two replicas (`examples/replicas.py`) share one stream, published to 100 times a second. At a
random moment the one that reads it is killed (SIGKILL), stopped (SIGSTOP) or cut off from its
engine; what is measured is the time until the other has handled the next event.

    python benchmarks/takeover.py 40 docs/explanation/takeover.json
    python benchmarks/takeover.py 40 takeover.json postgresql
"""

from __future__ import annotations

import json
import random
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from typing import TypeAlias

sys.path.insert(0, str(Path(__file__).parent.parent))

from resilient_sse.testing import HistoryServer
from tests.support.postgresql_server import PostgreSQLServer
from tests.support.redis_server import RedisServer
from tests.support.replica_world import Line, Replica, lines_of

TTL = 2.0
Engine: TypeAlias = RedisServer | PostgreSQLServer
ENGINES: dict[str, type[Engine]] = {"redis": RedisServer, "postgresql": PostgreSQLServer}


def fail(kind: str, replica: Replica) -> None:
    """Let something happen to a replica."""
    if kind == "cut":
        replica.cable.whole.clear()
    else:
        replica.process.send_signal(signal.SIGKILL if kind == "kill" else signal.SIGSTOP)


def newest(log: Path) -> Line | None:
    """The event that was handled last."""
    lines = lines_of(log)
    return lines[-1] if lines else None


def wait_for_reader(log: Path, other_than: int, since: float) -> Line:
    """Wait until a replica, but that one, handles an event; return the first."""
    while True:
        for line in lines_of(log):
            if line.when > since and line.pid != other_than:
                return line
        time.sleep(0.01)


def measure(kind: str, rounds: int, server: HistoryServer, engine: Engine) -> list[float]:
    """Take the seconds of so many takeovers."""
    seconds: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "handled")

        def make() -> Replica:
            return Replica(engine.url, log, TTL, [f"{server.url}?{kind}"])

        replicas = {replica.pid: replica for replica in (make(), make())}
        for _ in range(rounds):
            reader = wait_for_reader(log, other_than=-1, since=time.time())
            time.sleep(1.0 + random.uniform(0, TTL))
            log.write_text("")  # reading it over and over takes time
            failed_at = time.time()
            fail(kind, replicas[reader.pid])
            first = wait_for_reader(log, other_than=reader.pid, since=failed_at)
            seconds.append(first.when - failed_at)
            replicas.pop(reader.pid).kill()
            fresh = make()
            replicas[fresh.pid] = fresh
        for replica in replicas.values():
            replica.kill()
    return seconds


def main(rounds: int, path: str, engine_name: str = "redis") -> None:
    """Measure every kind, print a summary and write the raw numbers."""
    over = threading.Event()
    results: dict[str, list[float]] = {}
    with HistoryServer() as server, ENGINES[engine_name]() as engine:

        def publish() -> None:
            while not over.wait(0.01):
                server.publish("tick")

        publisher = threading.Thread(target=publish)
        publisher.start()
        for kind in ("kill", "stop", "cut"):
            results[kind] = measure(kind, rounds, server, engine)
            worst, middle = max(results[kind]), median(results[kind])
            print(f"{kind}: median {middle:.2f} s, worst {worst:.2f} s of {rounds}, ttl {TTL} s")
            Path(path).write_text(json.dumps({"ttl": TTL, "seconds": results}, indent=1) + "\n")
        over.set()
        publisher.join()


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
