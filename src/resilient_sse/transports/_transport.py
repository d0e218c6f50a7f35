"""The transport: which connection a request goes out on, and what becomes of it afterwards.

`_dial` opens a connection, `_stream` is one, `_exchange` sends a request over it and reads the
response.
"""

from __future__ import annotations

import asyncio
import functools
from contextlib import suppress
from typing import TYPE_CHECKING
from weakref import WeakSet

import httpx

from resilient_sse.transports._dial import dial
from resilient_sse.transports._dialogue import is_repeatable, origin_of
from resilient_sse.transports._exchange import exchange
from resilient_sse.transports._tls import client_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

    from resilient_sse.transports._dialogue import Origin
    from resilient_sse.transports._sockets import SocketOption
    from resilient_sse.transports._stream import AsyncioStream

__all__ = ["AsyncioTransport"]


class AsyncioTransport(httpx.AsyncBaseTransport):
    """HTTP/1.1 on asyncio for streams that are read for weeks, and for many of them.

    It takes the place of ``httpx.AsyncHTTPTransport`` and raises the same exceptions in the same
    situations. What it does not do: proxies, HTTP/2, trio, the ``trace`` extension, and a limit of
    connections. What opening a stream costs does not depend on how many there are.

    ```python
    client = httpx.AsyncClient(transport=AsyncioTransport())
    ```

    Args:
        verify: What to trust, as in httpx: True for the usual authorities, False for anything, or
            an ``ssl.SSLContext``. One context for all transports of a process saves memory.
        uds: The path of a Unix domain socket to connect to.
        local_address: The address to connect from.
        socket_options: Arguments for ``socket.setsockopt``.
        keepalive_expiry: Seconds that a connection is kept for another request.
    """

    def __init__(
        self,
        *,
        verify: ssl.SSLContext | bool = True,
        uds: str | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] = (),
        keepalive_expiry: float = 5.0,
    ) -> None:
        self._verify = verify
        self._uds = uds
        self._local_address = local_address
        self._socket_options = tuple(socket_options)
        self._keepalive_expiry = keepalive_expiry
        self._streams: WeakSet[AsyncioStream] = WeakSet()  # the event loop holds the open ones
        self._idle: dict[Origin, dict[AsyncioStream, asyncio.TimerHandle]] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return its response, whose body is read from the connection.

        Raises:
            httpx.TransportError: What httpx's own transport raises in the same situation.
        """
        origin = origin_of(request)
        stream = self._take_idle(origin)
        if stream is not None and is_repeatable(request):
            # The server may close it in this very moment (RFC 9112 9.3.1).
            with suppress(httpx.ReadError, httpx.RemoteProtocolError):
                return await self._exchange(origin, request, stream)
            stream = None
        return await self._exchange(origin, request, stream or await self._connect(origin, request))

    async def _exchange(
        self, origin: Origin, request: httpx.Request, stream: AsyncioStream
    ) -> httpx.Response:
        try:
            return await exchange(request, stream, functools.partial(self._release, origin))
        except BaseException:
            stream.abort()
            raise

    async def aclose(self) -> None:
        """Close all connections, those included that are being read."""
        for stream in tuple(self._streams):
            stream.abort()
        for idle in self._idle.values():
            for timer in idle.values():
                timer.cancel()
        self._idle.clear()
        await asyncio.sleep(0)  # asyncio closes the sockets in its next round

    async def _connect(self, origin: Origin, request: httpx.Request) -> AsyncioStream:
        timeout = request.extensions.get("timeout", {}).get("connect")
        stream = await dial(
            self._uds or (origin.host, origin.port),
            within=timeout,
            local_address=self._local_address,
            socket_options=self._socket_options,
        )
        self._streams.add(stream)
        if origin.scheme == "https":
            await stream.start_tls(self._ssl_context, origin.server_name, timeout)
        return stream

    @functools.cached_property
    def _ssl_context(self) -> ssl.SSLContext:
        return client_context(self._verify)

    # -- Connections that wait for another request ----------------------------------------------

    def _release(self, origin: Origin, stream: AsyncioStream) -> None:
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self._keepalive_expiry, self._expire, origin, stream)
        self._idle.setdefault(origin, {})[stream] = timer

    def _take_idle(self, origin: Origin) -> AsyncioStream | None:
        """Return the connection that was used last, if it is still good."""
        idle = self._idle.get(origin)
        while idle:
            stream, timer = idle.popitem()
            timer.cancel()
            if stream.usable:
                return stream
            stream.abort()
        return None

    def _expire(self, origin: Origin, stream: AsyncioStream) -> None:
        stream.abort()
        idle = self._idle[origin]
        del idle[stream]
        if not idle:
            del self._idle[origin]
