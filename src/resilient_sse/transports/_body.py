"""The body of a response: what is read from the connection after the head, to the body's end.

What is left of the connection then is its transport's to keep, if it can carry another request.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from resilient_sse.transports._request_exchange import BODY_EXTENSION

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from resilient_sse._values.http_messages import HTTPResponse
    from resilient_sse.transports._request_exchange import Origin, RequestExchange

__all__ = ["Body", "SyncBody", "body_of"]

B = TypeVar("B")


class BodyBase:
    """What the body of a response knows, but for how to read it.

    Args:
        exchange: The request that it answers, and the head of that answer.
        stream: The connection that it is read from.
        release: Called with origin and connection when another request can be sent over it.
    """

    def __init__(
        self,
        exchange: RequestExchange,
        stream: Any,  # noqa: ANN401 - of either kind
        release: Callable[[Origin, Any], None],
    ) -> None:
        self._request = exchange.request
        self._origin = exchange.origin
        self._timeouts = exchange.timeouts
        self._stream = stream
        self._framing = exchange.framing()
        self._release = release
        self._closed = False

    def abort(self) -> None:
        """Close the connection at once; a read that is pending elsewhere fails."""
        self._stream.abort()

    def _broken_by(self, error: BaseException) -> None:
        """Close the connection, which is in no known state; the error learns of its request."""
        self._abandon()
        if isinstance(error, self._origin.library.RequestError):
            error.request = self._request

    def _check_end(self) -> None:
        """Raise what was wrong with a body that has been read to its end, if anything was."""
        if self._framing.error:
            self._abandon()
            library = self._origin.library
            raise library.RemoteProtocolError(self._framing.error, request=self._request)

    def _abandon(self) -> None:
        """Close the connection, here and now, once for all."""
        self._closed = True
        self._stream.abort()

    def _let_go(self) -> bool:
        """Release the connection if it can be used again; return whether to close it instead."""
        if self._closed:
            return False
        self._closed = True
        if self._framing.open or not self._framing.reusable:
            return True
        self._release(self._origin, self._stream)
        return False


class Body(BodyBase):
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


class SyncBody(BodyBase):
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


def body_of(response: HTTPResponse, kind: type[B]) -> B | None:
    """Return the body that a transport of ours gave to a response, if it is of this kind.

    The client wraps it in a stream that measures time, and reading through the response adds
    another layer: together they cost as much as the rest of a read.
    """
    body = getattr(response, "extensions", {}).get(BODY_EXTENSION)
    return body if isinstance(body, kind) else None
