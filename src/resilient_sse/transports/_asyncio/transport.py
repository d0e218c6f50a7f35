"""The transport: which connection a request goes out on, and what becomes of it afterwards.

`dial` opens a connection, `stream` is one, `round_trip` sends a request over it and reads the
response.
"""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from resilient_sse._values.frames import without_locals
from resilient_sse._values.library import AsyncTransport
from resilient_sse.transports._asyncio.dial import dial
from resilient_sse.transports._asyncio.round_trip import round_trip
from resilient_sse.transports._request_exchange import RequestExchange, origin_of
from resilient_sse.transports._tls import Sessions, Trust

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Iterable

    from resilient_sse._values.library import Library
    from resilient_sse.transports._asyncio.stream import AsyncioStream
    from resilient_sse.transports._request_exchange import Origin
    from resilient_sse.transports._sockets import SocketOption

__all__ = ["AsyncioTransport"]


class AsyncioTransport(AsyncTransport):
    """HTTP/1.1 on asyncio for streams that are read for weeks, and for many of them.

    It takes the place of ``AsyncHTTPTransport`` of httpx or httpx2, and raises the same exceptions
    in the same situations: those of the library that the client is of. What it does not do:
    proxies, HTTP/2, trio, the ``trace`` extension, a limit of connections, ``retries``, and client
    certificates given by path (load them into the context). Trailers are checked and dropped. What
    opening a stream costs does not depend on how many there are.

    ```python
    client = httpx.AsyncClient(transport=AsyncioTransport())  # or httpx2.AsyncClient
    ```

    Args:
        verify: What to trust, as in httpx: True for the usual authorities, False for anything, or
            an ``ssl.SSLContext``. One context for all transports of a process saves memory.
        uds: The path of a Unix domain socket to connect to.
        local_address: The address to connect from.
        socket_options: Arguments for ``socket.setsockopt``.
        keepalive_expiry: Seconds that a connection is kept for another request; 0 for not at all.
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
        self._trust = Trust(verify)
        self._sessions = Sessions()
        self._uds = uds
        self._local_address = local_address
        self._socket_options = tuple(socket_options)
        self._keepalive_expiry = keepalive_expiry
        self._streams: WeakSet[AsyncioStream] = WeakSet()  # the event loop holds the open ones
        self._idle: dict[Origin, dict[AsyncioStream, asyncio.TimerHandle]] = {}

    @without_locals
    async def handle_async_request(self, request: Any) -> Any:  # noqa: ANN401 - either library's
        """Send a request and return its response, whose body is read from the connection.

        Args:
            request: A request of httpx or of httpx2, as the response is then.

        Raises:
            httpx.TransportError: What the library's own transport raises in the same situation;
                for a request of httpx2 it is one of httpx2.
        """
        origin = origin_of(request)
        release = functools.partial(self._release, origin)
        within = request.extensions.get("timeout", {}).get("connect")
        kept = self._take_idle(origin)
        while True:
            exchange = RequestExchange(request, origin.library)
            stream = kept or await self._dial(origin, within)
            self._streams.add(stream)
            try:
                if origin.scheme == "https" and stream.is_plain:
                    context = self._context(origin.library)
                    await stream.start_tls(context, origin.server_name, within, self._sessions)
                return await round_trip(exchange, stream, release)
            except BaseException as error:
                stream.abort()
                if kept is None or not exchange.may_repeat(error):
                    raise
            kept = None

    def _dial(self, origin: Origin, within: float | None) -> Awaitable[AsyncioStream]:
        return dial(
            self._uds or (origin.host, origin.port),
            within=within,
            local_address=self._local_address,
            socket_options=self._socket_options,
            library=origin.library,
        )

    async def aclose(self) -> None:
        """Close all connections, those included that are being read."""
        for stream in tuple(self._streams):
            stream.discard()
        for idle in self._idle.values():
            for timer in idle.values():
                timer.cancel()
        self._idle.clear()
        await asyncio.sleep(0)  # asyncio closes the sockets in its next round

    def _context(self, library: Library) -> ssl.SSLContext:
        return self._trust.context(library)

    # -- Connections that wait for another request ----------------------------------------------

    def _release(self, origin: Origin, stream: AsyncioStream) -> None:
        if self._keepalive_expiry <= 0:
            stream.abort()
            return
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
            stream.discard()
        return None

    def _expire(self, origin: Origin, stream: AsyncioStream) -> None:
        stream.abort()
        idle = self._idle[origin]
        del idle[stream]
        if not idle:
            del self._idle[origin]
