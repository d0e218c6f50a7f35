"""One of several replicas of a program that shares its streams with the others.

Start it several times, on one machine or on many. Each stream is read by one replica; kill one,
stop it or unplug it, and the others go on from where it was. Everything that is handled is
appended to a file, with the fencing token of the grant under which it was.

    python examples/replicas.py redis://localhost handled.log 10 https://example.com/events ...

The first argument may also be the URL of a PostgreSQL.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import anyio

from resilient_sse import ExponentialBackoff
from resilient_sse.cursors import LeaseLost, PostgreSQLLease, RedisLease, StreamGroup

if TYPE_CHECKING:
    from resilient_sse.cursors import LeasedSource

POLICY = ExponentialBackoff(wait_initial=0.1, wait_max=5)


async def main(engine: str, path: str, ttl: float, urls: list[str]) -> None:
    """Read this replica's share of the streams, for ever."""
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def read(source: LeasedSource) -> None:
        async for event in source:
            stream, token, now = source.url, source.token, time.time()
            os.write(log, f"{now:.4f} {os.getpid()} {stream} {token} {event.id}\n".encode())

    if len(urls) > 1:
        group = StreamGroup(engine, "replicas", urls, ttl=ttl, policy=POLICY)
        await group.run(read)
        return
    kind = RedisLease if engine.startswith("redis") else PostgreSQLLease
    lease = kind(engine, "replica", ttl=ttl)
    while True:
        try:
            async with lease, lease.source(urls[0], policy=POLICY) as source:
                await read(source)
                return
        except LeaseLost:
            continue  # another replica goes on; wait until it is gone


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4:])
