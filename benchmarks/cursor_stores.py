"""What saving a cursor costs, and whether an event loop ever waits for it.

The time of each `save`, the time of all until they are on the disk, and how late a timer of the
event loop fires at worst while it saves: with nothing saved, with a free disk, and with the file
locked by another program for most of the time, as a disk that is slow would have it.

    python benchmarks/cursor_stores.py
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from statistics import mean, quantiles
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent.parent))

from resilient_sse.cursors import RedisCursorStore, SQLiteCursorStore
from tests.support.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Callable

SAVES = 200_000
SECONDS = 10.0
TICK = 0.005


def summary(seconds: list[float]) -> str:
    """Mean, 99th percentile and worst, in microseconds."""
    found = mean(seconds), quantiles(seconds, n=100)[98], max(seconds)
    return "mean {:.1f} µs, p99 {:.1f} µs, worst {:.0f} µs".format(*(s * 1e6 for s in found))


def time_saves(save: Callable[[str, str], None], count: int) -> list[float]:
    """Time so many saves of ten streams."""
    seconds: list[float] = []
    for number in range(count):
        began = time.perf_counter()
        save(f"stream {number % 10}", str(number))
        seconds.append(time.perf_counter() - began)
    return seconds


async def lag(save: Callable[[str, str], None] | None) -> float:
    """Return how late a timer fires at worst, with 2,000 saves a second."""
    worst, until, number = 0.0, time.perf_counter() + SECONDS, 0
    while (began := time.perf_counter()) < until:
        for _ in range(10 if save else 0):
            number += 1
            assert save is not None
            save(f"stream {number % 10}", str(number))
        await asyncio.sleep(TICK)
        worst = max(worst, time.perf_counter() - began - TICK)
    return worst


def keep_locked(path: Path, over: threading.Event) -> None:
    """Let others write for a tenth of the time only."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=10)) as db:
        while not over.wait(0.05):
            db.execute("BEGIN EXCLUSIVE")
            over.wait(0.45)
            db.execute("COMMIT")


def sqlite_store(folder: Path) -> None:
    """Measure the store of one machine."""
    path = folder / "cursors.db"
    with SQLiteCursorStore(path) as store:
        began = time.perf_counter()
        seconds = time_saves(store.save, SAVES)
        store.flush()
        each = (time.perf_counter() - began) / SAVES
        print(f"SQLite, each save: {summary(seconds)}; with the disk {each * 1e6:.1f} µs")
        print(f"event loop, worst lag: nothing saved {asyncio.run(lag(None)) * 1e3:.1f} ms")
        print(f"event loop, worst lag: 2,000 saves/s {asyncio.run(lag(store.save)) * 1e3:.1f} ms")
        over = threading.Event()
        locker = threading.Thread(target=keep_locked, args=(path, over))
        locker.start()
        slow = asyncio.run(lag(store.save))
        over.set()
        locker.join()
        print(f"event loop, worst lag: and a slow disk {slow * 1e3:.1f} ms")


def redis_store() -> None:
    """Measure the store of many machines."""
    with RedisServer() as server, RedisCursorStore(server.url) as store:
        print(f"Redis, each save: {summary(time_saves(store.save, SAVES // 20))}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if sys.argv[1:] else None) as folder:
        sqlite_store(Path(folder))
    redis_store()
