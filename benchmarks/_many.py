"""A thousand quiet streams in one process: what each costs in memory and in time.

    python -m benchmarks._many CLIENT URL STREAMS SECONDS

Prints a JSON object. It runs in a process of its own, whose memory is that of one client alone.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import ssl
import sys
from contextlib import suppress
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING, Any

import httpx
import httpx_sse

from resilient_sse import ReconnectingEventSource
from resilient_sse.transports import AsyncioTransport
from tests.support.files import PEM

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

__all__ = ["CLIENTS", "OVER_TLS"]

_AT_ONCE = 20
_TO_A_CONNECTION = 100
_NO_LIMIT = httpx.Limits(max_connections=None)


async def _source(url: str, _client: Any) -> AsyncIterator[object]:  # noqa: ANN401
    async with ReconnectingEventSource(url) as events:
        async for event in events:
            yield event


async def _source_shared(url: str, client: Any) -> AsyncIterator[object]:  # noqa: ANN401
    async with ReconnectingEventSource(url, client=client) as events:
        async for event in events:
            yield event


async def _source_spread(url: str, clients: _Spread) -> AsyncIterator[object]:
    async with ReconnectingEventSource(url, client=clients.next()) as events:
        async for event in events:
            yield event


async def _httpx_sse(url: str, client: Any) -> AsyncIterator[object]:  # noqa: ANN401
    async with httpx_sse.aconnect_sse(client, "GET", url) as connection:
        async for event in connection.aiter_sse():
            yield event


async def _launchdarkly(url: str, _client: Any) -> AsyncIterator[object]:  # noqa: ANN401
    from ld_eventsource.async_client import AsyncSSEClient  # noqa: PLC0415 - a peer

    async for event in AsyncSSEClient(url).events:
        yield event


def _plain_client() -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=None, limits=httpx.Limits(max_connections=None))  # noqa: S113


def _our_client() -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=AsyncioTransport())


CLIENTS: dict[str, tuple[Callable[..., AsyncIterator[object]], Callable[[], Any]]] = {
    "httpx-sse": (_httpx_sse, _plain_client),
    "resilient_sse": (_source, lambda: None),
    "resilient_sse, one client": (_source_shared, _our_client),
    "launchdarkly async": (_launchdarkly, lambda: None),
}
"""How each client reads, and what its streams share."""


# -- Over TLS: always a source, on one client or another -----------------------------------------


def _trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(PEM))


def _our_tls_client() -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=AsyncioTransport(verify=_trusting()))


def _httpx_tls_client() -> httpx.AsyncClient:
    return httpx.AsyncClient(verify=_trusting(), limits=_NO_LIMIT)


def _httpx2_tls_client() -> Any:  # noqa: ANN401 - httpx2's
    import httpx2  # noqa: PLC0415 - a peer

    return httpx2.AsyncClient(verify=_trusting(), limits=httpx2.Limits(max_connections=None))


class _Spread:
    """Clients that speak HTTP/2, each for as many streams as one connection has."""

    def __init__(self) -> None:
        self._given = 0
        self._trusting = _trusting()

    def next(self) -> httpx.AsyncClient:
        """Return the client of the next stream."""
        if self._given % _TO_A_CONNECTION == 0:
            self._client = httpx.AsyncClient(http2=True, verify=self._trusting)
        self._given += 1
        return self._client


OVER_TLS: dict[str, tuple[Callable[..., AsyncIterator[object]], Callable[[], Any]]] = {
    "HTTP/1.1, `AsyncioTransport`": (_source_shared, _our_tls_client),
    "HTTP/1.1, httpx's transport": (_source_shared, _httpx_tls_client),
    "HTTP/1.1, httpx2's transport": (_source_shared, _httpx2_tls_client),
    "HTTP/2, httpx, 100 to a connection": (_source_spread, _Spread),
}
"""The same over TLS."""


class _Streams:
    """Reads streams in tasks and counts their events."""

    def __init__(self, name: str, url: str) -> None:
        self._read, make = (CLIENTS | OVER_TLS)[name]
        self._url = url
        self._client = make()
        self._tasks: list[asyncio.Task[None]] = []
        self.opened = self.events = 0

    async def open(self, count: int) -> None:
        """Open streams, some at a time; they are open when their first event came."""
        wanted = len(self._tasks) + count
        while len(self._tasks) < wanted:
            self._tasks += [asyncio.create_task(self._follow()) for _ in range(_AT_ONCE)]
            await asyncio.sleep(0.01)
        while self.opened < wanted:  # noqa: ASYNC110 - the same small cost for all clients
            await asyncio.sleep(0.02)

    async def _follow(self) -> None:
        first = True
        async for _ in self._read(self._url, self._client):
            self.opened += first
            self.events += 1
            first = False

    async def close(self) -> None:
        """Cancel all."""
        for task in self._tasks:
            task.cancel()
        with suppress(Exception):
            await asyncio.wait(self._tasks)


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


async def _measure(name: str, url: str, count: int, seconds: float) -> dict[str, float]:
    streams = _Streams(name, url)
    await streams.open(_AT_ONCE)  # what is loaded and cached once is not the streams' own
    gc.collect()
    memory, began = _resident(), process_time()
    await streams.open(count)
    opened = process_time() - began
    gc.collect()
    memory = _resident() - memory
    events, began = streams.events, process_time()
    await asyncio.sleep(seconds)
    per_event = (process_time() - began) / (streams.events - events)
    await streams.close()
    return {
        "memory_kb": memory / count / 1024,
        "open_us": opened / count * 1e6,
        "event_us": per_event * 1e6,
    }


if __name__ == "__main__":
    _limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (_limit, _limit))
    _name, _url, _count, _seconds = sys.argv[1:]
    print(json.dumps(asyncio.run(_measure(_name, _url, int(_count), float(_seconds)))))
