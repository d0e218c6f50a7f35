"""The clients that are compared over TLS, each given the same context to trust.

Sessions are resumed by ours, which do so by themselves, and by the bare socket: httpx, aiohttp and
urllib3 do not.
"""

from __future__ import annotations

import asyncio
import ssl
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx

from benchmarks import _drops, _peers
from benchmarks._peers import running
from resilient_sse.transports import AsyncioTransport, SyncTransport
from tests.support.files import PEM

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["DROPS_OVER_TLS", "PEERS_OVER_TLS", "TRUSTING"]

TRUSTING = ssl.create_default_context(cafile=str(PEM))
"""It trusts the server of the benchmarks."""

_GRACE = 0.25  # what aiohttp's documentation advises; it takes no CPU time


async def _asyncio(
    read: Callable[[str, int, httpx.AsyncClient], Coroutine[Any, Any, None]], url: str, count: int
) -> None:
    async with httpx.AsyncClient(transport=AsyncioTransport(verify=TRUSTING)) as client:
        await read(url, count, client)


def _blocking(read: Callable[[str, int, httpx.Client], None], url: str, count: int) -> None:
    with httpx.Client(transport=SyncTransport(verify=TRUSTING)) as client:
        read(url, count, client)


async def _lingering(
    read: Callable[[str, int, ssl.SSLContext], Coroutine[Any, Any, None]], url: str, count: int
) -> None:
    """Read, and give aiohttp the time to end its connections, which its `close` does not await."""
    await read(url, count, TRUSTING)
    await asyncio.sleep(_GRACE)


PEERS_OVER_TLS: dict[str, Callable[[str, int], None]] = {
    "httpx-sse": running(partial(_peers.httpx_sse_on_httpx, trust=TRUSTING)),
    "resilient_sse": running(partial(_asyncio, _peers.source)),
    "resilient_sse blocking": partial(_blocking, _peers.source_blocking),
    "bare decoder loop": running(partial(_peers.decoder_loop, trust=TRUSTING)),
    "bare decoder loop blocking": partial(_peers.decoder_loop_blocking, trust=TRUSTING),
    "httpx-sse blocking": partial(_peers.httpx_sse_blocking, trust=TRUSTING),
    "launchdarkly async": running(partial(_lingering, _peers.launchdarkly_async)),
    "launchdarkly blocking": partial(_peers.launchdarkly_blocking, trust=TRUSTING),
    "bare socket": partial(_peers.bare_socket, trust=TRUSTING),
}
"""Every client over TLS by its name in the tables."""

DROPS_OVER_TLS: dict[str, Callable[[str, int], None]] = {
    "httpx-sse": running(partial(_drops.httpx_sse_on_httpx, trust=TRUSTING)),
    "resilient_sse": running(partial(_asyncio, _drops.source)),
    "resilient_sse blocking": partial(_blocking, _drops.source_blocking),
    "httpx-sse blocking": partial(_drops.httpx_sse_blocking, trust=TRUSTING),
    "launchdarkly async": running(partial(_lingering, _drops.launchdarkly_async)),
    "launchdarkly blocking": partial(_drops.launchdarkly_blocking, trust=TRUSTING),
    "bare socket": partial(_drops.bare_socket, trust=TRUSTING),
}
"""The same, reconnecting at once ``count`` times."""
