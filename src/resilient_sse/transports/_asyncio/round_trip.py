"""One request and its response on asyncio."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from resilient_sse._values.library import kind_for
from resilient_sse.transports._asyncio.stream import AsyncioStream
from resilient_sse.transports._request_exchange import BODY_EXTENSION, BodyBase, RequestExchange

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from resilient_sse._values.library import Response

__all__ = ["Body", "body_of", "round_trip"]


async def round_trip(
    exchange: RequestExchange, stream: AsyncioStream, release: Callable[[AsyncioStream], None]
) -> Response:
    """Send a request and receive the head of its response.

    Args:
        exchange: The request, and what becomes of it.
        stream: A connection that nobody else uses.
        release: Called with the connection when another request can be sent over it.

    Raises:
        httpx.TransportError: What httpx's own transport raises in the same situation.
    """
    request, library = exchange.request, exchange.library
    timeouts = request.extensions.get("timeout", {})
    with suppress(library.WriteError):  # a server may answer before it has read everything
        await _send(exchange, request.stream, stream, timeouts.get("write"))
    while not exchange.answered:
        if not stream.ready:
            await stream.wait(timeouts.get("read"))
        exchange.receive(stream.take())
    if exchange.rest:
        stream.unread(exchange.rest)
    body = kind_for(Body, library.AsyncByteStream)
    return exchange.response(body(exchange, stream, release), stream)


async def _send(
    exchange: RequestExchange,
    body: Any,  # noqa: ANN401 - an asynchronous client sends no other than asynchronous ones
    stream: AsyncioStream,
    seconds: float | None,
) -> None:
    """Send head and body; what is known at once goes out in one write."""
    ready = exchange.begin()
    if exchange.in_memory:
        if data := b"".join(body):
            ready += exchange.part(data)
        await stream.write(ready + exchange.end(), seconds)
        return
    async for chunk in body:
        await stream.write(ready, seconds)
        ready = exchange.part(chunk)
    await stream.write(ready + exchange.end(), seconds)


class Body(BodyBase[AsyncioStream]):
    """The body of a response, as raw bytes; an iterator, so that a read is one coroutine.

    Attributes:
        outlasts_cancellation: Whether the next read can go on after one that was cancelled, which
            has taken nothing. If not, the connection is closed then, as httpx expects.
    """

    outlasts_cancellation = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        framing, stream = self._framing, self._stream
        try:
            while framing.open:
                if not stream.ready:
                    await stream.wait(self._timeouts.get("read"))
                if chunk := framing.feed(stream.take()):
                    return chunk
        except BaseException as error:
            if not (self.outlasts_cancellation and isinstance(error, asyncio.CancelledError)):
                self._broken_by(error)
            raise
        self._check_end()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Let go of the connection, which can be used again if the body was read to its end."""
        if self._let_go():
            await self._stream.aclose()


def body_of(response: Any) -> Body | None:  # noqa: ANN401 - of any client
    """Return the body that the transport gave to a response, if it is one of ours.

    The client wraps it in a stream that measures time, and reading through the response adds
    another layer: together they cost as much as the rest of a read.
    """
    body = getattr(response, "extensions", {}).get(BODY_EXTENSION)
    return body if isinstance(body, Body) else None
