"""One request and its response on asyncio."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx

from resilient_sse.transports._dialogue import BodyBase, Dialogue
from resilient_sse.transports._stream import AsyncioStream

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

__all__ = ["Body", "body_of", "exchange"]


async def exchange(
    request: httpx.Request, stream: AsyncioStream, release: Callable[[AsyncioStream], None]
) -> httpx.Response:
    """Send a request and receive the head of its response.

    Args:
        request: The request.
        stream: A connection that nobody else uses.
        release: Called with the connection when another request can be sent over it.

    Raises:
        httpx.TransportError: What httpx's own transport raises in the same situation.
    """
    dialogue = Dialogue(request)
    timeouts = request.extensions.get("timeout", {})
    with suppress(httpx.WriteError):  # a server may answer before it has read everything
        await _send(dialogue, request.stream, stream, timeouts.get("write"))
    while not dialogue.answered:
        dialogue.receive(await stream.read(timeout=timeouts.get("read")))
    stream.unread(dialogue.rest)
    return dialogue.response(Body(request, stream, dialogue.framing(), release), stream)


async def _send(
    dialogue: Dialogue,
    body: Any,  # noqa: ANN401 - httpx.AsyncClient sends no other than asynchronous ones
    stream: AsyncioStream,
    seconds: float | None,
) -> None:
    """Send head and body; what is known at once goes out in one write."""
    ready = dialogue.begin()
    async for chunk in body:
        await stream.write(ready, seconds)
        ready = dialogue.part(chunk)
    await stream.write(ready + dialogue.end(), seconds)


class Body(BodyBase[AsyncioStream], httpx.AsyncByteStream):
    """The body of a response, as raw bytes; an iterator, so that a read is one coroutine.

    Attributes:
        outlasts_cancellation: Whether a read that is cancelled leaves the connection as it is: it
            has taken nothing, so that the next one can go on. httpx expects that it is closed.
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
    stream = getattr(response, "stream", None)
    body = getattr(stream, "_stream", stream)
    return body if isinstance(body, Body) else None
