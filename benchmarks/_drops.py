"""The clients that are compared, losing the connection after every event."""

from __future__ import annotations

from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any

import httpx
import httpx_sse

from benchmarks._peers import CONTEXT, dial, running, take, take_blocking
from resilient_sse import ReconnectingEventSource, SyncReconnectingEventSource
from resilient_sse.transports import AsyncioTransport

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

__all__ = ["DROPS"]


async def source(url: str, count: int, client: Any = None) -> None:  # noqa: ANN401 - either library's
    """Our source."""
    async with ReconnectingEventSource(url, client=client, policy=lambda _: 0.0) as events:
        await take(events, count)


async def source_httpx2(url: str, count: int) -> None:
    """Our source on a client of httpx2, with our transport."""
    import httpx2  # noqa: PLC0415 - a peer

    async with httpx2.AsyncClient(transport=AsyncioTransport()) as client:
        await source(url, count, client)


def source_blocking(url: str, count: int, client: httpx.Client | None = None) -> None:
    """Our blocking source."""
    with SyncReconnectingEventSource(url, client=client, policy=lambda _: 0.0) as events:
        take_blocking(events, count)


async def httpx_sse_on_httpx(url: str, count: int, trust: ssl.SSLContext = CONTEXT) -> None:
    """httpx-sse in a loop, on one client."""
    async with httpx.AsyncClient(timeout=None, verify=trust) as client:  # noqa: S113 - streams are quiet at times
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


def httpx_sse_blocking(url: str, count: int, trust: ssl.SSLContext = CONTEXT) -> None:
    """httpx-sse in a loop, on one client, blocking."""
    with httpx.Client(timeout=None, verify=trust) as client:  # noqa: S113 - streams are quiet at times
        for _ in range(count):
            try:
                with httpx_sse.connect_sse(client, "GET", url) as connection:
                    for _event in connection.iter_sse():
                        continue
            except httpx.TransportError:
                continue


async def launchdarkly_async(url: str, count: int, trust: ssl.SSLContext = CONTEXT) -> None:
    """LaunchDarkly's asynchronous client."""
    from ld_eventsource.async_client import AsyncSSEClient  # noqa: PLC0415 - a peer
    from ld_eventsource.config import ErrorStrategy  # noqa: PLC0415 - a peer
    from ld_eventsource.config.async_connect_strategy import (  # noqa: PLC0415 - a peer
        AsyncConnectStrategy,
    )

    how = AsyncConnectStrategy.http(url, aiohttp_request_options={"ssl": trust})
    always = ErrorStrategy.always_continue()
    client = AsyncSSEClient(how, initial_retry_delay=0, error_strategy=always)
    try:
        await take(client.events, count)
    finally:
        await client.close()


def launchdarkly_blocking(url: str, count: int, trust: ssl.SSLContext = CONTEXT) -> None:
    """LaunchDarkly's client, blocking."""
    from ld_eventsource import SSEClient  # noqa: PLC0415 - a peer
    from ld_eventsource.config import ConnectStrategy, ErrorStrategy  # noqa: PLC0415 - a peer
    from urllib3 import PoolManager  # noqa: PLC0415 - what it runs on

    always = ErrorStrategy.always_continue()
    with PoolManager(ssl_context=trust) as pool:
        how = ConnectStrategy.http(url, pool=pool)
        with closing(SSEClient(how, initial_retry_delay=0, error_strategy=always)) as client:
            take_blocking(client.events, count)


def bare_socket(url: str, count: int, trust: ssl.SSLContext = CONTEXT) -> None:
    """The limit: blocking sockets; over TLS each resumes the session of the one before."""
    session: ssl.SSLSession | None = None
    for _ in range(count):
        with dial(url, trust, session) as sock:
            while sock.recv(65536):
                continue
            session = getattr(sock, "session", None)


DROPS: dict[str, Callable[[str, int], None]] = {
    "httpx-sse": running(httpx_sse_on_httpx),
    "resilient_sse": running(source),
    "resilient_sse, httpx2 client": running(source_httpx2),
    "resilient_sse blocking": source_blocking,
    "httpx-sse blocking": httpx_sse_blocking,
    "launchdarkly async": running(launchdarkly_async),
    "launchdarkly blocking": launchdarkly_blocking,
    "bare socket": bare_socket,
}
"""Clients that reconnect at once, or are made to, ``count`` times."""
