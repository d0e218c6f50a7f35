"""One request and its response in a thread."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import httpx

from resilient_sse.transports._dialogue import BodyBase, Dialogue
from resilient_sse.transports._sync_stream import SyncStream

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from resilient_sse.transports._wire import Wire

__all__ = ["Limits", "SyncBody", "exchange", "sync_body_of"]

_TOO_LATE: Final = {
    "connect": httpx.ConnectTimeout,
    "write": httpx.WriteTimeout,
    "read": httpx.ReadTimeout,
}


class Limits:
    """How long each step of a request may take, up to the head of its response."""

    def __init__(self, request: httpx.Request, wire: Wire | None) -> None:
        self._timeouts: dict[str, float | None] = request.extensions.get("timeout", {})
        self._wire = wire

    def of(self, step: str) -> float | None:
        """Return the seconds that a step may take; None for no limit.

        Raises:
            httpx.TimeoutException: The time for all of them is over.
        """
        seconds = self._timeouts.get(step)
        left = None if self._wire is None else self._wire.time_left
        if left is None:
            return seconds
        if left <= 0:
            raise _TOO_LATE[step]("the time for the request is over")
        return left if seconds is None else min(seconds, left)


def exchange(
    request: httpx.Request,
    stream: SyncStream,
    limits: Limits,
    release: Callable[[SyncStream], None],
) -> httpx.Response:
    """Send a request and receive the head of its response.

    Args:
        request: The request.
        stream: A connection that nobody else uses.
        limits: How long that may take.
        release: Called with the connection when another request can be sent over it.

    Raises:
        httpx.TransportError: What httpx's own transport raises in the same situation.
    """
    dialogue = Dialogue(request)
    with suppress(httpx.WriteError):  # a server may answer before it has read everything
        _send(dialogue, request.stream, stream, limits)
    while not dialogue.answered:
        dialogue.receive(stream.read(timeout=limits.of("read")))
    stream.unread(dialogue.rest)
    return dialogue.response(SyncBody(request, stream, dialogue.framing(), release), stream)


def _send(
    dialogue: Dialogue,
    body: Any,  # noqa: ANN401 - httpx.Client sends no other than blocking ones
    stream: SyncStream,
    limits: Limits,
) -> None:
    """Send head and body; what is known at once goes out in one write."""
    ready = dialogue.begin()
    for chunk in body:
        stream.write(ready, limits.of("write"))
        ready = dialogue.part(chunk)
    stream.write(ready + dialogue.end(), limits.of("write"))


class SyncBody(BodyBase[SyncStream], httpx.SyncByteStream):
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

    def close(self) -> None:
        """Let go of the connection, which can be used again if the body was read to its end."""
        if self._let_go():
            self._stream.close()


def sync_body_of(response: Any) -> SyncBody | None:  # noqa: ANN401 - of any client
    """Return the body that the transport gave to a response, if it is one of ours.

    The client wraps it in a stream that measures time, and reading through the response adds
    another layer: together they cost as much as the rest of a read.
    """
    stream = getattr(response, "stream", None)
    body = getattr(stream, "_stream", stream)
    return body if isinstance(body, SyncBody) else None
