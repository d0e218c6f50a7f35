"""One request and its response in a thread."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from resilient_sse._values.library import kind_for
from resilient_sse.transports._request_exchange import BODY_EXTENSION, BodyBase, RequestExchange
from resilient_sse.transports._threads.stream import SyncStream

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from resilient_sse._values.library import Response
    from resilient_sse.transports._threads.interrupt import InterruptHandle

__all__ = ["Limits", "SyncBody", "round_trip", "sync_body_of"]


_TOO_LATE: Final = {"connect": "ConnectTimeout", "write": "WriteTimeout", "read": "ReadTimeout"}


class Limits:
    """How long each step of a request may take, up to the head of its response."""

    def __init__(self, exchange: RequestExchange, handle: InterruptHandle | None) -> None:
        self._library = exchange.library
        timeouts: dict[str, float | None] = exchange.request.extensions.get("timeout", {})
        self._timeouts = timeouts
        self._interrupt_handle = handle

    def of(self, step: str) -> float | None:
        """Return the seconds that a step may take; None for no limit.

        Raises:
            httpx.TimeoutException: The time for all of them is over.
        """
        seconds = self._timeouts.get(step)
        left = None if self._interrupt_handle is None else self._interrupt_handle.time_left
        if left is None:
            return seconds
        if left <= 0:
            raise getattr(self._library, _TOO_LATE[step])("the time for the request is over")
        return left if seconds is None else min(seconds, left)


def round_trip(
    exchange: RequestExchange,
    stream: SyncStream,
    limits: Limits,
    release: Callable[[SyncStream], None],
) -> Response:
    """Send a request and receive the head of its response.

    Args:
        exchange: The request, and what becomes of it.
        stream: A connection that nobody else uses.
        limits: How long that may take.
        release: Called with the connection when another request can be sent over it.

    Raises:
        httpx.TransportError: What httpx's own transport raises in the same situation.
    """
    request, library = exchange.request, exchange.library
    with suppress(library.WriteError):  # a server may answer before it has read everything
        _send(exchange, request.stream, stream, limits)
    while not exchange.answered:
        exchange.receive(stream.read(timeout=limits.of("read")))
    if exchange.rest:
        stream.unread(exchange.rest)
    body = kind_for(SyncBody, library.SyncByteStream)
    return exchange.response(body(exchange, stream, release), stream)


def _send(
    exchange: RequestExchange,
    body: Any,  # noqa: ANN401 - a blocking client sends no other than blocking ones
    stream: SyncStream,
    limits: Limits,
) -> None:
    """Send head and body; what is known at once goes out in one write."""
    ready = exchange.begin()
    if exchange.in_memory:
        if data := b"".join(body):
            ready += exchange.part(data)
        stream.write(ready + exchange.end(), limits.of("write"))
        return
    for chunk in body:
        stream.write(ready, limits.of("write"))
        ready = exchange.part(chunk)
    stream.write(ready + exchange.end(), limits.of("write"))


class SyncBody(BodyBase[SyncStream]):
    """The body of a response, as raw bytes."""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        framing, stream = self._framing, self._stream
        try:
            while framing.open:
                if chunk := framing.feed(stream.receive(self._timeouts.get("read"))):
                    return chunk
        except BaseException as error:
            self._broken_by(error)
            raise
        self._check_end()
        raise StopIteration

    def _abandon(self) -> None:
        self._closed = True
        self._stream.close()

    def close(self) -> None:
        """Let go of the connection, which can be used again if the body was read to its end."""
        if self._let_go():
            self._stream.close()


def sync_body_of(response: Any) -> SyncBody | None:  # noqa: ANN401 - of any client
    """Return the body that the transport gave to a response, if it is one of ours.

    The client wraps it in a stream that measures time, and reading through the response adds
    another layer: together they cost as much as the rest of a read.
    """
    body = getattr(response, "extensions", {}).get(BODY_EXTENSION)
    return body if isinstance(body, SyncBody) else None
