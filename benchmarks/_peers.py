"""The clients that are compared, each as a function that reads so many events from a URL.

All of them are given the same work: iterate events, count them, leave after the last one. What to
trust is loaded once, as a program would, and given to whoever would load it for every client: that
takes 20 ms, which is 20 µs for each of a thousand events.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import httpx_sse

from resilient_sse import (
    ReconnectingEventSource,
    SSEDecoder,
    SyncReconnectingEventSource,
)
from resilient_sse.transports import AsyncioTransport

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Coroutine, Iterable

__all__ = ["DROPS", "PEERS"]

_CONTEXT = httpx.create_ssl_context()
_NO_LIMIT = httpx.Limits(max_connections=None)


async def _count(events: AsyncIterable[Any], wanted: int) -> None:
    count = 0
    async for _ in events:
        count += 1
        if count == wanted:
            return
    assert count == wanted, count


def _count_blocking(events: Iterable[Any], wanted: int) -> None:
    count = 0
    for _ in events:
        count += 1
        if count == wanted:
            return
    assert count == wanted, count


async def source(url: str, count: int, client: Any = None) -> None:  # noqa: ANN401 - either library's
    """Our source, event by event."""
    async with ReconnectingEventSource(url, client=client) as events:
        await _count(events, count)


async def source_batches(url: str, count: int) -> None:
    """Our source, in batches."""
    async with ReconnectingEventSource(url) as events:
        received = 0
        async for batch in events.batches():
            received += len(batch)
            if received == count:
                return


def source_blocking(url: str, count: int) -> None:
    """Our blocking source."""
    with SyncReconnectingEventSource(url) as events:
        _count_blocking(events, count)


async def source_httpx(url: str, count: int) -> None:
    """Our source on httpx's own transport, as for a client that is passed in."""
    async with httpx.AsyncClient(verify=_CONTEXT, limits=_NO_LIMIT) as client:
        await source(url, count, client)


async def source_httpx2(url: str, count: int) -> None:
    """Our source on a client of httpx2, with our transport."""
    import httpx2  # noqa: PLC0415 - a peer

    async with httpx2.AsyncClient(transport=AsyncioTransport()) as client:
        await source(url, count, client)


async def source_aiohttp(url: str, count: int) -> None:
    """Our source on the extra ``aiohttp``."""
    from httpx_aiohttp import AiohttpTransport  # noqa: PLC0415 - an extra

    async with httpx.AsyncClient(transport=AiohttpTransport(verify=_CONTEXT)) as client:
        await source(url, count, client)


async def decoder_loop(url: str, count: int) -> None:
    """Our decoder in a bare loop over the response, on the same client and transport."""
    decoder, received = SSEDecoder(), 0
    async with (
        httpx.AsyncClient(transport=AsyncioTransport(), timeout=300) as client,
        client.stream("GET", url) as response,
    ):
        async for chunk in response.aiter_raw():
            for _ in decoder.feed(chunk):
                received += 1
    assert received == count


async def httpx_sse_on_httpx(url: str, count: int) -> None:
    """httpx-sse."""
    async with (
        httpx.AsyncClient(timeout=None, verify=_CONTEXT) as client,  # noqa: S113 - streams are quiet at times
        httpx_sse.aconnect_sse(client, "GET", url) as connection,
    ):
        await _count(connection.aiter_sse(), count)


def httpx_sse_blocking(url: str, count: int) -> None:
    """httpx-sse, blocking."""
    with (
        httpx.Client(timeout=None, verify=_CONTEXT) as client,  # noqa: S113 - streams are quiet at times
        httpx_sse.connect_sse(client, "GET", url) as connection,
    ):
        _count_blocking(connection.iter_sse(), count)


async def httpx2_sse(url: str, count: int) -> None:
    """httpx2's own."""
    import httpx2  # noqa: PLC0415 - a peer

    async with (
        httpx2.AsyncClient(timeout=None, verify=_CONTEXT) as client,
        client.sse(url) as connection,
    ):
        await _count(connection, count)


def httpxr_blocking(url: str, count: int) -> None:
    """What httpxr brings, blocking: its asynchronous iterator yields nothing (0.30)."""
    import httpxr  # noqa: PLC0415 - a peer
    from httpxr.sse import connect_sse  # noqa: PLC0415 - a peer

    with (
        httpxr.Client(timeout=None, verify=_CONTEXT) as client,
        connect_sse(client, "GET", url) as connection,
    ):
        _count_blocking(connection.iter_sse(), count)


def sseclient_py(url: str, count: int) -> None:
    """sseclient-py on requests, blocking."""
    import requests  # noqa: PLC0415 - a peer
    import sseclient  # noqa: PLC0415 - a peer

    response: Any = requests.get(url, stream=True, timeout=60)
    with closing(sseclient.SSEClient(response)) as client:
        _count_blocking(client.events(), count)


def launchdarkly_blocking(url: str, count: int) -> None:
    """LaunchDarkly's client, blocking."""
    from ld_eventsource import SSEClient  # noqa: PLC0415 - a peer

    with closing(SSEClient(url)) as client:
        _count_blocking(client.events, count)


async def launchdarkly_async(url: str, count: int) -> None:
    """LaunchDarkly's asynchronous client."""
    from ld_eventsource.async_client import AsyncSSEClient  # noqa: PLC0415 - a peer

    client = AsyncSSEClient(url)
    try:
        await _count(client.events, count)
    finally:
        await client.close()


async def aiohttp_sse_client(url: str, count: int) -> None:
    """The client of aiohttp-sse-client."""
    from aiohttp_sse_client.client import EventSource  # noqa: PLC0415 - a peer

    async with EventSource(url, timeout=None) as events:
        await _count(events, count)


def bare_socket(url: str, count: int) -> None:
    """The limit: a blocking socket whose bytes are searched for blank lines and thrown away."""
    parts = urlsplit(url)
    target = f"{parts.path}?{parts.query}"
    received, last = 0, b""
    with socket.create_connection((parts.hostname, parts.port)) as sock:
        sock.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        while received < count:
            data = sock.recv(262144)
            received += data.count(b"\n\n") + (last == b"\n" and data[:1] == b"\n")
            last = data[-1:]


def _run(read: Callable[[str, int], Coroutine[Any, Any, None]]) -> Callable[[str, int], None]:
    return lambda url, count: asyncio.run(read(url, count))


PEERS: dict[str, Callable[[str, int], None]] = {
    "httpx-sse": _run(httpx_sse_on_httpx),
    "resilient_sse": _run(source),
    "resilient_sse batches()": _run(source_batches),
    "resilient_sse blocking": source_blocking,
    "resilient_sse, httpx2 client": _run(source_httpx2),
    "resilient_sse + aiohttp": _run(source_aiohttp),
    "resilient_sse on httpx": _run(source_httpx),
    "bare decoder loop": _run(decoder_loop),
    "httpx-sse blocking": httpx_sse_blocking,
    "httpx2": _run(httpx2_sse),
    "httpxr blocking": httpxr_blocking,
    "launchdarkly async": _run(launchdarkly_async),
    "launchdarkly blocking": launchdarkly_blocking,
    "sseclient-py": sseclient_py,
    "aiohttp-sse-client": _run(aiohttp_sse_client),
    "bare socket": bare_socket,
}
"""Every client by its name in the tables; the first is what the others are compared with."""


# -- The same, losing the connection after every event -----------------------------------------


async def _source_drops(url: str, count: int) -> None:
    async with ReconnectingEventSource(url, policy=lambda _: 0.0) as events:
        await _count(events, count)


async def _source_httpx2_drops(url: str, count: int) -> None:
    import httpx2  # noqa: PLC0415 - a peer

    async with (
        httpx2.AsyncClient(transport=AsyncioTransport()) as client,
        ReconnectingEventSource(url, client=client, policy=lambda _: 0.0) as events,
    ):
        await _count(events, count)


def _source_drops_blocking(url: str, count: int) -> None:
    with SyncReconnectingEventSource(url, policy=lambda _: 0.0) as events:
        _count_blocking(events, count)


async def _httpx_sse_drops(url: str, count: int) -> None:
    async with httpx.AsyncClient(timeout=None) as client:  # noqa: S113 - as above
        for _ in range(count):
            try:
                async with (
                    httpx_sse.aconnect_sse(client, "GET", url) as connection,
                    aclosing(connection.aiter_sse()) as events,
                ):
                    async for _event in events:
                        continue
            except httpx.TransportError:
                continue


async def _launchdarkly_drops(url: str, count: int) -> None:
    from ld_eventsource.async_client import AsyncSSEClient  # noqa: PLC0415 - a peer
    from ld_eventsource.config import ErrorStrategy  # noqa: PLC0415 - a peer

    always = ErrorStrategy.always_continue()
    client = AsyncSSEClient(url, initial_retry_delay=0, error_strategy=always)
    try:
        await _count(client.events, count)
    finally:
        await client.close()


def _launchdarkly_drops_blocking(url: str, count: int) -> None:
    from ld_eventsource import SSEClient  # noqa: PLC0415 - a peer
    from ld_eventsource.config import ErrorStrategy  # noqa: PLC0415 - a peer

    always = ErrorStrategy.always_continue()
    with closing(SSEClient(url, initial_retry_delay=0, error_strategy=always)) as client:
        _count_blocking(client.events, count)


def _socket_drops(url: str, count: int) -> None:
    parts = urlsplit(url)
    for _ in range(count):
        with socket.create_connection((parts.hostname, parts.port)) as sock:
            sock.sendall(f"GET {parts.path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            while sock.recv(65536):
                continue


DROPS: dict[str, Callable[[str, int], None]] = {
    "httpx-sse": _run(_httpx_sse_drops),
    "resilient_sse": _run(_source_drops),
    "resilient_sse, httpx2 client": _run(_source_httpx2_drops),
    "resilient_sse blocking": _source_drops_blocking,
    "launchdarkly async": _run(_launchdarkly_drops),
    "launchdarkly blocking": _launchdarkly_drops_blocking,
    "bare socket": _socket_drops,
}
"""Clients that reconnect at once, or are made to, ``count`` times."""
