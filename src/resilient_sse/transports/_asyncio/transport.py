"""The transport: which connection a request goes out on, and what becomes of it afterwards.

`stream` is a connection, and `_body` what is read from it after the head of the response.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from asyncio.selector_events import BaseSelectorEventLoop
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from resilient_sse._values.frames import without_locals
from resilient_sse._values.library import AsyncTransport, kind_for
from resilient_sse.transports._asyncio.dial import Dial
from resilient_sse.transports._asyncio.stream import AsyncioStream
from resilient_sse.transports._base import TransportBase
from resilient_sse.transports._body import Body
from resilient_sse.transports._request_exchange import RequestExchange, origin_of
from resilient_sse.transports._threads.dial import in_turns

if TYPE_CHECKING:
    from resilient_sse._values.http_messages import HTTPRequest
    from resilient_sse._values.library import Response
    from resilient_sse.transports._request_exchange import Origin

__all__ = ["AsyncioTransport"]


class AsyncioTransport(TransportBase[AsyncioStream, asyncio.TimerHandle], AsyncTransport):
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

    @without_locals
    async def handle_async_request(self, request: HTTPRequest) -> Any:  # noqa: ANN401 - either library's
        """Send a request and return its response, whose body is read from the connection.

        Args:
            request: A request of httpx or of httpx2, as the response is then.

        Raises:
            httpx.TransportError: What the library's own transport raises in the same situation;
                for a request of httpx2 it is one of httpx2.
        """
        origin = origin_of(request)
        within = request.extensions.get("timeout", {}).get("connect")
        kept = self._take_idle(origin)
        while True:
            exchange = RequestExchange(request, origin)
            stream = kept or await self._dial(origin, within)
            self._streams.add(stream)
            try:
                if origin.scheme == "https" and kept is None:
                    context = self._trust(origin.library)
                    await stream.start_tls(context, origin.server_name, within, self._sessions)
                return await self._round_trip(exchange, stream)
            except BaseException as error:
                stream.abort()
                if kept is None or not exchange.may_repeat(error):
                    raise
            kept = None

    async def _round_trip(self, exchange: RequestExchange, stream: AsyncioStream) -> Response:
        """Send a request, receive the head of its response, and leave the rest to the body."""
        library, timeouts = exchange.library, exchange.timeouts
        with suppress(library.WriteError):  # a server may answer before it has read everything
            await _send(exchange, stream, timeouts.get("write"))
        while not exchange.answered:
            if not stream.ready:
                await stream.wait(timeouts.get("read"))
            exchange.receive(stream.take())
        if exchange.rest:
            stream.unread(exchange.rest)
        body = kind_for(Body, library.AsyncByteStream)
        return exchange.response(body(exchange, stream, self._release), stream)

    async def aclose(self) -> None:
        """Close all connections, those included that are being read."""
        for stream in tuple(self._streams):
            stream.discard()
        for idle in self._idle.values():
            for timer in idle.values():
                timer.cancel()
        self._idle.clear()
        await asyncio.sleep(0)  # asyncio closes the sockets in its next round

    # -- Opening a connection --------------------------------------------------------------------

    async def _dial(self, origin: Origin, within: float | None) -> AsyncioStream:
        loop = asyncio.get_running_loop()
        stream = AsyncioStream(loop, origin.library)
        try:
            async with asyncio.timeout(within):
                await self._connect(origin, loop, stream)
            sock = stream.get_extra_info("socket")
            for option in self._socket_options:
                sock.setsockopt(*option)
        except TimeoutError as error:
            stream.abort()
            late = f"no connection within {within:g} s"
            raise origin.library.ConnectTimeout(late) from error
        except (OSError, UnicodeError) as error:
            stream.abort()
            raise origin.library.ConnectError(str(error)) from error
        return stream

    async def _connect(
        self, origin: Origin, loop: asyncio.AbstractEventLoop, stream: AsyncioStream
    ) -> None:
        if self._uds:
            await loop.create_unix_connection(lambda: stream, self._uds)
            return
        # Not an address, nor what ends in a number and so is no name (URL standard, 3.5).
        named = ":" not in origin.host and not origin.host.rpartition(".")[2].isdecimal()
        if named and isinstance(loop, BaseSelectorEventLoop):  # others have ways of their own
            kind = socket.SOCK_STREAM
            try:
                found = await loop.getaddrinfo(origin.host, origin.port, type=kind)
            except RuntimeError as error:  # no thread can be started now, which may pass
                raise OSError(errno.EAGAIN, str(error)) from error
            sock = await Dial(loop, self._local_address).race(in_turns(found))
            await loop.create_connection(lambda: stream, sock=sock)
            return
        options: dict[str, Any] = {}
        if self._local_address is not None:
            options["local_addr"] = (self._local_address, 0)
        await loop.create_connection(lambda: stream, origin.host, origin.port, **options)

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


async def _send(exchange: RequestExchange, stream: AsyncioStream, seconds: float | None) -> None:
    ready = exchange.begin()
    if not exchange.in_memory:
        async for chunk in exchange.body:
            await stream.write(ready, seconds)
            ready = exchange.part(chunk)
    await stream.write(ready + exchange.end(), seconds)
