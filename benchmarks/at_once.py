"""Thousands of streams opened at once, cut at once and reconnected at once: what each one costs.

    python -m benchmarks.at_once [STREAMS ...]

Every number of streams (100, 1,000 and 10,000, as far as the system allows) is measured in a
process of its own, against a server in another. A stream is open when its first event came; then
the server ends all connections, and a stream is back when the next event came. The cost of one
should not depend on how many there are.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
from time import perf_counter, process_time

import stamina

from resilient_sse import ReconnectingEventSource

__all__ = ["main"]

_SECONDS = 300.0  # after which a run has failed
_SPARE_FILES = 100
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"9\r\ndata: x\n\n\r\n"
)


class _Server(asyncio.Protocol):
    """Answers with one event and holds the connection; ``/cut`` ends all that are held."""

    held: set[asyncio.Transport]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"GET /cut "):
            for transport in self.held:
                transport.abort()
            self.held.clear()
            self.transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        else:
            self.held.add(self.transport)
            self.transport.write(_ANSWER)


async def _serve() -> None:
    _Server.held = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Server, "127.0.0.1", 0, backlog=16_384)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


class _Streams:
    """So many streams, each in a task."""

    def __init__(self, address: str, count: int) -> None:
        self._address = address
        self._count = count
        self._received = 0
        self._all_received = asyncio.Event()

    async def measure(self) -> dict[str, float]:
        """Open all, have all cut, and return what that cost for each."""
        times = [(process_time(), perf_counter())]
        tasks = [asyncio.create_task(self._follow()) for _ in range(self._count)]
        await self._all_received.wait()
        times.append((process_time(), perf_counter()))
        self._received = 0
        self._all_received.clear()
        await self._cut()
        await self._all_received.wait()
        times.append((process_time(), perf_counter()))
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        return self._each(times)

    def _each(self, times: list[tuple[float, float]]) -> dict[str, float]:
        start, opened, back = times
        return {
            "streams": self._count,
            "open_us": (opened[0] - start[0]) / self._count * 1e6,
            "reconnect_us": (back[0] - opened[0]) / self._count * 1e6,
            "open_seconds": opened[1] - start[1],
            "reconnect_seconds": back[1] - opened[1],
        }

    async def _follow(self) -> None:
        source = ReconnectingEventSource(
            self._address, policy=lambda _: 0.0, connect_timeout=_SECONDS
        )
        async with source as events:
            async for _ in events:
                self._received += 1
                if self._received == self._count:
                    self._all_received.set()

    async def _cut(self) -> None:
        async with ReconnectingEventSource(f"{self._address}/cut") as events:
            async for _ in events:
                raise AssertionError


async def _measure(address: str, count: int) -> None:
    async with asyncio.timeout(_SECONDS):
        print(json.dumps(await _Streams(address, count).measure()))


def _run(count: int) -> dict[str, float]:
    """Measure in two fresh processes."""
    me = [sys.executable, "-m", "benchmarks.at_once"]
    with subprocess.Popen([*me, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        address = f"http://127.0.0.1:{int(server.stdout.readline())}"
        client = subprocess.run(
            [*me, "measure", address, str(count)], stdout=subprocess.PIPE, check=True
        )
        server.stdin.close()
    result: dict[str, float] = json.loads(client.stdout)
    return result


def main() -> None:
    """Measure and print a table."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    counts = [int(count) for count in sys.argv[1:]] or [100, 1_000, 10_000]
    print("  streams   open, µs CPU each   reconnect, µs CPU each   all open   all back")
    for count in counts:
        if count > limit - _SPARE_FILES:
            print(f"{count:9,}   left out: a process may have {limit} files open")
            continue
        got = _run(count)
        print(
            f"{count:9,} {got['open_us']:19.0f} {got['reconnect_us']:24.0f}"
            f" {got['open_seconds']:8.2f} s {got['reconnect_seconds']:8.2f} s",
            flush=True,
        )


if __name__ == "__main__":
    _limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (_limit, _limit))
    stamina.instrumentation.set_on_retry_hooks([])
    match sys.argv[1:]:
        case ["serve"]:
            asyncio.run(_serve())
        case ["measure", _address, _count]:
            asyncio.run(_measure(_address, int(_count)))
        case _:
            main()
