"""A thousand streams with an event a second each, on one replica and one engine: are they saved?

All streams publish in the same moment, which is the worst for whoever saves. For so many seconds a
`StreamGroup` reads them; ten times a second every saved cursor is compared with the event that was
handled last before. With ``auto_ack`` a cursor is to be one event behind at most. The requests to
the engine are what it counts itself, renewals included, without those of this comparison. Beside
"nothing", which reads the same streams and saves none, it shows what saving costs.

    python benchmarks/one_saver.py 1000 60
    python benchmarks/one_saver.py 1000 60 postgresql
    python benchmarks/one_saver.py 1000 60 nothing
"""

from __future__ import annotations

import asyncio
import logging
import resource
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import anyio
import httpx
import psycopg

sys.path.insert(0, str(Path(__file__).parent.parent))

from resilient_sse import CursorStoreFailed, ReconnectingEventSource
from resilient_sse.cursors import StreamGroup
from resilient_sse.transports import AsyncioTransport
from tests.support.postgresql_server import PostgreSQLServer
from tests.support.redis_server import RedisServer

if TYPE_CHECKING:
    from typing import Self

    from resilient_sse import LifecycleEvent
    from resilient_sse.cursors import LeasedSource

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
CURSORS = "resilient-sse:{many}:cursors"


class OnRedis(RedisServer):
    """Redis, and what it knows."""

    def cursors(self) -> dict[str, int]:
        """Return the saved cursors."""
        saved = self.client.hgetall(CURSORS)
        return {key.decode(): int(entry.split()[2]) for key, entry in saved.items()}

    def requests(self) -> int:
        """Return how many requests there were from the replica, of which a script is one."""
        calls = self.client.info("commandstats")
        return sum(calls.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "eval"))


class OnPostgreSQL(PostgreSQLServer):
    """PostgreSQL, and what it knows."""

    own = 0  # transactions of the comparison

    def __enter__(self) -> Self:
        super().__enter__()
        self._connection = psycopg.connect(self.url, autocommit=True)
        return self

    def cursors(self) -> dict[str, int]:
        """Return the saved cursors."""
        saved = "SELECT name, cursor FROM resilient_sse_saves WHERE token > 0"
        self.own += 1
        return {name: int(cursor) for name, cursor in self._connection.execute(saved)}

    def requests(self) -> int:
        """Return how many requests there were from the replica, each a transaction."""
        self.own += 1
        counted = (
            "SELECT xact_commit + xact_rollback FROM pg_stat_database "
            "WHERE datname = current_database()"
        )
        ((count,),) = self._connection.execute(counted).fetchall()
        return int(count) - self.own


Engine: TypeAlias = OnRedis | OnPostgreSQL
ENGINES: dict[str, type[Engine]] = {"redis": OnRedis, "postgresql": OnPostgreSQL}


async def publish() -> None:
    """Be the server of all streams, until killed: each second everybody gets an event."""
    logging.disable()  # those who leave at the end are told to in vain
    began, readers = time.monotonic(), set[asyncio.StreamWriter]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD)
        readers.add(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    number = 0
    while True:
        number += 1
        await asyncio.sleep(began + number - time.monotonic())
        for writer in readers:
            writer.write(b"id: %d\ndata: x\n\n" % number)


class Run:
    """One replica, and what is seen of it."""

    def __init__(self, engine: Engine, urls: list[str]) -> None:
        self.engine, self.urls = engine, urls
        self.handled: dict[str, int] = {}
        self.events = 0
        self.failed: Counter[str] = Counter()
        self.behind: Counter[int] = Counter()

    def note(self, event: LifecycleEvent) -> None:
        """Count what failed."""
        if isinstance(event, CursorStoreFailed):
            self.failed[str(event.error)] += 1

    async def read(self, source: LeasedSource) -> None:
        """Handle one stream."""
        async for event in source:
            self.handled[source.url] = int(event.id)
            self.events += 1

    async def watch(self, seconds: float) -> None:
        """Compare, for so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await anyio.sleep(0.1)
            handled = dict(self.handled)
            cursors = await anyio.to_thread.run_sync(self.engine.cursors)
            self.behind.update(max(0, last - cursors[url]) for url, last in handled.items())

    async def saved(self) -> dict[str, int]:
        """Ask the engine, which may have no tables yet."""
        with suppress(psycopg.errors.UndefinedTable):
            return await anyio.to_thread.run_sync(self.engine.cursors)
        return {}

    async def all(self, seconds: float) -> None:
        """Start, wait until every stream is read and saved, and watch."""
        client = httpx.AsyncClient(transport=AsyncioTransport())
        group = StreamGroup(
            self.engine.url, "many", self.urls, ttl=5, client=client, hooks=[self.note]
        )
        async with client, anyio.create_task_group() as tasks:
            tasks.start_soon(group.run, self.read)
            while len(await self.saved()) < len(self.urls):  # noqa: ASYNC110 - it tells nobody
                await anyio.sleep(0.2)
            self.events = 0
            await self.watch(seconds)
            self.report(seconds)
            await self.measure(seconds)
            tasks.cancel_scope.cancel()

    async def measure(self, seconds: float) -> None:
        """Print what it costs while nobody compares."""
        requests = await anyio.to_thread.run_sync(self.engine.requests)
        began, self.events = usage(), 0
        await anyio.sleep(seconds)
        per_event = (usage() - began) / max(1, self.events) * 1e6
        requests = await anyio.to_thread.run_sync(self.engine.requests) - requests
        print(f"requests to the engine: {requests / seconds:.1f} a second")
        print(f"CPU: {per_event:.0f} µs an event, reading included")

    def report(self, seconds: float) -> None:
        """Print what was seen."""
        looks = self.behind.total()
        print(f"{len(self.urls)} streams, {seconds:.0f} s: {self.events} events handled")
        print(f"failed saves: {dict(self.failed) or 'none'}")
        for count, times in sorted(self.behind.items()):
            print(f"cursor {count} behind: {times / looks:.2%} of {looks} looks")


async def read_only(urls: list[str], seconds: float) -> None:
    """Read the streams without saving, for comparison."""
    counted: Counter[str] = Counter()

    async def read(url: str, client: httpx.AsyncClient) -> None:
        async with ReconnectingEventSource(url, client=client) as source:
            async for _ in source:
                counted[url] += 1

    async with (
        httpx.AsyncClient(transport=AsyncioTransport()) as client,
        anyio.create_task_group() as tasks,
    ):
        for url in urls:
            tasks.start_soon(read, url, client)
        while len(counted) < len(urls):  # noqa: ASYNC110 - a counter tells nobody
            await anyio.sleep(0.2)
        counted.clear()
        began = usage()
        await anyio.sleep(seconds)
        per_event = (usage() - began) / counted.total() * 1e6
        print(f"{len(urls)} streams, nothing saved: {counted.total()} events, {per_event:.0f} µs")
        tasks.cancel_scope.cancel()


def usage() -> float:
    """Return the seconds of CPU that this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main(streams: int, seconds: float, engine_name: str = "redis") -> None:
    """Run it."""
    command = [sys.executable, __file__, "publish"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        urls = [f"http://127.0.0.1:{port}/{number}" for number in range(streams)]
        try:
            if engine_name == "nothing":
                anyio.run(read_only, urls, seconds)
                return
            with ENGINES[engine_name]() as engine:
                anyio.run(Run(engine, urls).all, seconds)
        finally:
            server.kill()


if __name__ == "__main__":
    if sys.argv[1:] == ["publish"]:
        asyncio.run(publish())
    main(int(sys.argv[1]), float(sys.argv[2]), *sys.argv[3:])
