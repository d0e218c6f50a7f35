"""One request and its response over HTTP/1.1: h11 for the heads, a framing for the body."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import h11
import httpx

from resilient_sse.transports._framing import framing_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from resilient_sse.transports._framing import Framing
    from resilient_sse.transports._stream import AsyncioStream

__all__ = ["Body", "body_of", "exchange"]

_MOST_HEAD: Final = 100 * 1024  # bytes, as in httpcore
_SWITCHING_PROTOCOLS: Final = 101


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
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MOST_HEAD)
    timeouts = request.extensions.get("timeout", {})
    with suppress(httpx.WriteError):  # a server may answer before it has read everything
        await _send(http, request, stream, timeouts.get("write"))
    head = await _receive_head(http, stream, timeouts.get("read"))
    stream.unread(http.trailing_data[0])
    framing = framing_of(request.method.upper().encode(), head.status_code, [*head.headers])
    if http.our_state is not h11.DONE:  # one side said ``Connection: close``
        framing.reusable = False
    return httpx.Response(
        head.status_code,
        headers=head.headers.raw_items(),
        stream=Body(request, stream, framing, release),
        extensions={
            "http_version": b"HTTP/" + head.http_version,
            "reason_phrase": head.reason,
            "network_stream": stream,
        },
    )


async def _send(
    http: h11.Connection, request: httpx.Request, stream: AsyncioStream, seconds: float | None
) -> None:
    """Send head and body; what is known at once goes out in one write."""
    url = request.url
    body: Any = request.stream  # httpx.AsyncClient sends no other than asynchronous ones
    try:
        ready = (
            http.send(
                h11.Request(method=request.method, target=url.raw_path, headers=request.headers.raw)
            )
            or b""
        )
        async for chunk in body:
            await stream.write(ready, seconds)
            ready = http.send(h11.Data(data=chunk)) or b""
        ready += http.send(h11.EndOfMessage()) or b""
    except h11.LocalProtocolError as error:
        raise httpx.LocalProtocolError(str(error)) from error
    await stream.write(ready, seconds)


async def _receive_head(
    http: h11.Connection, stream: AsyncioStream, seconds: float | None
) -> h11.Response | h11.InformationalResponse:
    while True:
        try:
            event = http.next_event()
        except h11.RemoteProtocolError as error:
            raise httpx.RemoteProtocolError(str(error)) from error
        if isinstance(event, h11.Response):
            return event
        if isinstance(event, h11.InformationalResponse):
            if event.status_code == _SWITCHING_PROTOCOLS:
                return event
            continue
        data = await stream.read(timeout=seconds)
        if not data:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
        http.receive_data(data)


class Body(httpx.AsyncByteStream):
    """The body of a response, as raw bytes; an iterator, so that a read is one coroutine."""

    def __init__(
        self,
        request: httpx.Request,
        stream: AsyncioStream,
        framing: Framing,
        release: Callable[[AsyncioStream], None],
    ) -> None:
        self._request = request
        self._timeouts: dict[str, float | None] = request.extensions.get("timeout", {})
        self._stream = stream
        self._framing = framing
        self._release = release
        self._closed = False

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
            stream.abort()
            if isinstance(error, httpx.RequestError):
                error.request = self._request
            raise
        if framing.error:
            stream.abort()
            raise httpx.RemoteProtocolError(framing.error, request=self._request)
        raise StopAsyncIteration

    def abort(self) -> None:
        """Close the connection at once; a read that is pending in another task fails."""
        self._stream.abort()

    async def aclose(self) -> None:
        """Let go of the connection, which can be used again if the body was read to its end."""
        if self._closed:
            return
        self._closed = True
        if self._framing.open or not self._framing.reusable:
            await self._stream.aclose()
        else:
            self._release(self._stream)


def body_of(response: Any) -> Body | None:  # noqa: ANN401 - of any client
    """Return the body that the transport gave to a response, if it is one of ours.

    The client wraps it in a stream that measures time, and reading through the response adds
    another layer: together they cost as much as the rest of a read.
    """
    stream = getattr(response, "stream", None)
    body = getattr(stream, "_stream", stream)
    return body if isinstance(body, Body) else None
