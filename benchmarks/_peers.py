"""The clients that are compared, each as a function that reads so many events from a URL.

All of them are given the same work: iterate events, count them, leave after the last one. What to
trust is loaded once, as a program would, and given to whoever would load it for every client: that
takes 20 ms, which is 20 µs for each of a thousand events.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import httpx_sse

from resilient_sse import (
    ReconnectingEventSource,
    SSEDecoder,
    SyncReconnectingEventSource,
)
from resilient_sse.transports import AsyncioTransport, SyncTransport

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterable, Callable, Coroutine, Iterable

__all__ = ["CONTEXT", "PEERS", "dial", "running", "take", "take_blocking"]

CONTEXT = httpx.create_ssl_context()
"""What whoever does not load it once by itself is given to trust."""

_NO_LIMIT = httpx.Limits(max_connections=None)


async def take(events: AsyncIterable[Any], wanted: int) -> None:
    """Iterate so many events and leave; anybody's."""
    count = 0
    async for _ in events:
        count += 1
        if count == wanted:
            return
    assert count == wanted, count


def take_blocking(events: Iterable[Any], wanted: int) -> None:
    """Iterate so many events and leave; anybody's."""
    count = 0
    for _ in events:
        count += 1
        if count == wanted:
            return
    assert count == wanted, count


async def source(url: str, count: int, client: Any = None) -> None:  # noqa: ANN401 - either library's
    """Our source, event by event."""
    async with ReconnectingEventSource(url, client=client) as events:
        await take(events, count)


async def source_batches(url: str, count: int) -> None:
    """Our source, in batches."""
    async with ReconnectingEventSource(url) as events:
        received = 0
        async for batch in events.batches():
            received += len(batch)
            if received == count:
                return


def source_blocking(url: str, count: int, client: httpx.Client | None = None) -> None:
    """Our blocking source."""
    with SyncReconnectingEventSource(url, client=client) as events:
        take_blocking(events, count)


async def source_httpx(url: str, count: int) -> None:
    """Our source on httpx's own transport, as for a client that is passed in."""
    async with httpx.AsyncClient(verify=CONTEXT, limits=_NO_LIMIT) as client:
        await source(url, count, client)


async def source_httpx2(url: str, count: int) -> None:
    """Our source on a client of httpx2, with our transport."""
    import httpx2  # noqa: PLC0415 - a peer

    async with httpx2.AsyncClient(transport=AsyncioTransport()) as client:
        await source(url, count, client)


async def source_aiohttp(url: str, count: int) -> None:
    """Our source on the extra ``aiohttp``."""
    from httpx_aiohttp import AiohttpTransport  # noqa: PLC0415 - an extra

    async with httpx.AsyncClient(transport=AiohttpTransport(verify=CONTEXT)) as client:
        await source(url, count, client)


async def decoder_loop(url: str, count: int, trust: ssl.SSLContext = CONTEXT) -> None:
    """Our decoder in a bare loop over the response, on the same client and transport."""
    decoder, received = SSEDecoder(), 0
    async with (
        httpx.AsyncClient(transport=AsyncioTransport(verify=trust), timeout=300) as client,
        client.stream("GET", url) as response,
    ):
        async for chunk in response.aiter_raw():
            for _ in decoder.feed(chunk):
                received += 1
    assert received == count


def decoder_loop_blocking(url: str, count: int, trust: ssl.SSLContext = CONTEXT) -> None:
    """The same without asyncio."""
    decoder, received = SSEDecoder(), 0
    with (
        httpx.Client(transport=SyncTransport(verify=trust), timeout=300) as client,
        client.stream("GET", url) as response,
    ):
        for chunk in response.iter_raw():
            for _ in decoder.feed(chunk):
                received += 1
    assert received == count


async def httpx_sse_on_httpx(url: str, count: int, trust: ssl.SSLContext = CONTEXT) -> None:
    """httpx-sse."""
    async with (
        httpx.AsyncClient(timeout=None, verify=trust) as client,  # noqa: S113 - streams are quiet at times
        httpx_sse.aconnect_sse(client, "GET", url) as connection,
    ):
        await take(connection.aiter_sse(), count)


def httpx_sse_blocking(url: str, count: int, trust: ssl.SSLContext = CONTEXT) -> None:
    """httpx-sse, blocking."""
    with (
        httpx.Client(timeout=None, verify=trust) as client,  # noqa: S113 - streams are quiet at times
        httpx_sse.connect_sse(client, "GET", url) as connection,
    ):
        take_blocking(connection.iter_sse(), count)


async def httpx2_sse(url: str, count: int) -> None:
    """httpx2's own."""
    import httpx2  # noqa: PLC0415 - a peer

    async with (
        httpx2.AsyncClient(timeout=None, verify=CONTEXT) as client,
        client.sse(url) as connection,
    ):
        await take(connection, count)


def httpxr_blocking(url: str, count: int) -> None:
    """What httpxr brings, blocking: its asynchronous iterator yields nothing (0.30)."""
    import httpxr  # noqa: PLC0415 - a peer
    from httpxr.sse import connect_sse  # noqa: PLC0415 - a peer

    with (
        httpxr.Client(timeout=None, verify=CONTEXT) as client,
        connect_sse(client, "GET", url) as connection,
    ):
        take_blocking(connection.iter_sse(), count)


def sseclient_py(url: str, count: int) -> None:
    """sseclient-py on requests, blocking."""
    import requests  # noqa: PLC0415 - a peer
    import sseclient  # noqa: PLC0415 - a peer

    response: Any = requests.get(url, stream=True, timeout=60)
    with closing(sseclient.SSEClient(response)) as client:
        take_blocking(client.events(), count)


def launchdarkly_blocking(url: str, count: int, trust: ssl.SSLContext = CONTEXT) -> None:
    """LaunchDarkly's client, blocking."""
    from ld_eventsource import SSEClient  # noqa: PLC0415 - a peer
    from ld_eventsource.config import ConnectStrategy  # noqa: PLC0415 - a peer
    from urllib3 import PoolManager  # noqa: PLC0415 - what it runs on

    with (
        PoolManager(ssl_context=trust) as pool,
        closing(SSEClient(ConnectStrategy.http(url, pool=pool))) as client,
    ):
        take_blocking(client.events, count)


async def launchdarkly_async(url: str, count: int, trust: ssl.SSLContext = CONTEXT) -> None:
    """LaunchDarkly's asynchronous client."""
    from ld_eventsource.async_client import AsyncSSEClient  # noqa: PLC0415 - a peer
    from ld_eventsource.config.async_connect_strategy import (  # noqa: PLC0415 - a peer
        AsyncConnectStrategy,
    )

    how = AsyncConnectStrategy.http(url, aiohttp_request_options={"ssl": trust})
    client = AsyncSSEClient(how)
    try:
        await take(client.events, count)
    finally:
        await client.close()


async def aiohttp_sse_client(url: str, count: int) -> None:
    """The client of aiohttp-sse-client."""
    from aiohttp_sse_client.client import EventSource  # noqa: PLC0415 - a peer

    async with EventSource(url, timeout=None) as events:
        await take(events, count)


def dial(
    url: str, trust: ssl.SSLContext = CONTEXT, session: ssl.SSLSession | None = None
) -> socket.socket:
    """Connect a socket and ask for what the URL names; over TLS, with a session to resume."""
    parts = urlsplit(url)
    sock = socket.create_connection((parts.hostname, parts.port))
    if parts.scheme == "https":
        sock = trust.wrap_socket(sock, server_hostname=parts.hostname, session=session)
    target = f"{parts.path}?{parts.query}"
    sock.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return sock


def bare_socket(url: str, count: int, trust: ssl.SSLContext = CONTEXT) -> None:
    """The limit: a blocking socket whose bytes are searched for blank lines and thrown away."""
    received, last = 0, b""
    with dial(url, trust) as sock:
        while received < count:
            data = sock.recv(262144)
            received += data.count(b"\n\n") + (last == b"\n" and data[:1] == b"\n")
            last = data[-1:]


def running(
    read: Callable[[str, int], Coroutine[Any, Any, None]],
) -> Callable[[str, int], None]:
    """Run it in an event loop of its own."""
    return lambda url, count: asyncio.run(read(url, count))


PEERS: dict[str, Callable[[str, int], None]] = {
    "httpx-sse": running(httpx_sse_on_httpx),
    "resilient_sse": running(source),
    "resilient_sse batches()": running(source_batches),
    "resilient_sse blocking": source_blocking,
    "resilient_sse, httpx2 client": running(source_httpx2),
    "resilient_sse + aiohttp": running(source_aiohttp),
    "resilient_sse on httpx": running(source_httpx),
    "bare decoder loop": running(decoder_loop),
    "bare decoder loop blocking": decoder_loop_blocking,
    "httpx-sse blocking": httpx_sse_blocking,
    "httpx2": running(httpx2_sse),
    "httpxr blocking": httpxr_blocking,
    "launchdarkly async": running(launchdarkly_async),
    "launchdarkly blocking": launchdarkly_blocking,
    "sseclient-py": sseclient_py,
    "aiohttp-sse-client": running(aiohttp_sse_client),
    "bare socket": bare_socket,
}
"""Every client by its name in the tables; the first is what the others are compared with."""
