"""One connection without reconnecting: the calls of httpx-sse, exact to the standard.

What differs from httpx-sse, and why, stands in the documentation ("Migrate from httpx-sse").
"""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import httpx

from resilient_sse import _body
from resilient_sse._decoder import DEFAULT_MAX_EVENT_SIZE, SSEDecoder
from resilient_sse._http._response import essence
from resilient_sse._streams import decode
from resilient_sse.errors import ContentTypeError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from resilient_sse._event import ServerSentEvent

__all__ = ["EventSource", "aconnect_sse", "connect_sse"]


class EventSource:
    """The events of one response.

    Args:
        response: A streaming response of httpx, httpx2 or httpxr. Whoever opened it closes it.
        max_event_size: The most bytes one event may have (default 16 MiB); None for no limit.
    """

    def __init__(
        self,
        response: Any,  # noqa: ANN401 - httpx's, httpx2's or httpxr's
        *,
        max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE,
    ) -> None:
        self._response = response
        self._max_event_size = max_event_size
        self._iterations: list[AsyncGenerator[ServerSentEvent, None]] = []

    @property
    def response(self) -> Any:  # noqa: ANN401
        """The response; its status is the caller's to check, as in httpx-sse."""
        return self._response

    def iter_sse(self) -> Generator[ServerSentEvent, None, None]:
        """Iterate the events until the body ends.

        Raises:
            SSEError: If the content type is not ``text/event-stream``, at the first event.
            EventTooLarge: If one event is larger than ``max_event_size``.
        """
        _check_content_type(self._response)
        yield from decode(_body.chunks(self._response), max_event_size=self._max_event_size)

    def aiter_sse(self) -> AsyncGenerator[ServerSentEvent, None]:
        """Iterate the events of an asynchronous response until its body ends.

        With `aconnect_sse` the iteration may be left at any time: the end of the block closes
        it. For a response of your own, `aclose` does.

        Raises:
            SSEError: If the content type is not ``text/event-stream``, at the first event.
            EventTooLarge: If one event is larger than ``max_event_size``.
        """
        events = _aiter_events(self._response, self._max_event_size)
        self._iterations.append(events)
        return events

    async def aclose(self) -> None:
        """Close what `aiter_sse` began and was left unfinished, and with it the response.

        The end of an `aconnect_sse` block does this.
        """
        for events in self._iterations:
            with suppress(RuntimeError):  # another task runs it, and gets the closed response
                await events.aclose()


@contextmanager
def connect_sse(
    client: Any,  # noqa: ANN401 - httpx's, httpx2's or httpxr's
    method: str,
    url: Any,  # noqa: ANN401 - what the client takes: text or its own URL
    *,
    max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE,
    **kwargs: Any,  # noqa: ANN401
) -> Generator[EventSource, None, None]:
    """Open an event stream; the block's end closes it.

    ```python
    with httpx.Client() as client, connect_sse(client, "GET", url) as source:
        for event in source.iter_sse():
            ...
    ```

    The request carries ``Accept: text/event-stream`` and ``Cache-Control: no-store`` unless the
    caller or the client set these headers. Nothing is retried: see `SyncReconnectingEventSource`.

    Args:
        client: A blocking client of httpx, httpx2 or httpxr.
        method: The HTTP method.
        url: Where to connect.
        max_event_size: The most bytes one event may have (default 16 MiB); None for no limit.
        **kwargs: Passed to ``client.stream``: ``headers``, ``json``, ``timeout`` and so on.

    Raises:
        httpx.TransportError: Whatever ``client.stream`` raises, unchanged.
    """
    headers = _headers(client, kwargs.pop("headers", None))
    with client.stream(method, url, headers=headers, **kwargs) as response:
        yield EventSource(response, max_event_size=max_event_size)


@asynccontextmanager
async def aconnect_sse(
    client: Any,  # noqa: ANN401
    method: str,
    url: Any,  # noqa: ANN401
    *,
    max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE,
    **kwargs: Any,  # noqa: ANN401
) -> AsyncGenerator[EventSource, None]:
    """Open an event stream on asyncio or trio, as `connect_sse` does.

    The end of the block closes the stream and every iteration of it, whether it is finished or
    was left by ``break``, an exception or a cancellation.

    Args:
        client: An asynchronous client of httpx, httpx2 or httpxr.
        method: The HTTP method.
        url: Where to connect.
        max_event_size: The most bytes one event may have (default 16 MiB); None for no limit.
        **kwargs: Passed to ``client.stream``: ``headers``, ``json``, ``timeout`` and so on.

    Raises:
        httpx.TransportError: Whatever ``client.stream`` raises, unchanged.
    """
    headers = _headers(client, kwargs.pop("headers", None))
    async with client.stream(method, url, headers=headers, **kwargs) as response:
        source = EventSource(response, max_event_size=max_event_size)
        try:
            yield source
        finally:
            await source.aclose()


async def _aiter_events(
    response: Any,  # noqa: ANN401
    max_event_size: int | None,
) -> AsyncGenerator[ServerSentEvent, None]:
    _check_content_type(response)
    decoder = SSEDecoder(max_event_size=max_event_size)
    chunks = _body.async_chunks(response)
    try:
        async for chunk in chunks:
            for event in decoder.feed(chunk):
                yield event
        decoder.feed(b"")  # which raises if the last chunk ended in too large a block
    finally:
        await _body.close(response, chunks)


def _headers(client: Any, given: Any) -> list[tuple[bytes, bytes]]:  # noqa: ANN401
    """Add what httpx-sse sends to a copy of the caller's headers."""
    headers = httpx.Headers(given)
    defaults = getattr(client, "headers", {})
    if "accept" not in headers and defaults.get("accept", "*/*") == "*/*":
        headers["Accept"] = "text/event-stream"
    if "cache-control" not in headers and "cache-control" not in defaults:
        headers["Cache-Control"] = "no-store"
    return headers.raw


def _check_content_type(response: Any) -> None:  # noqa: ANN401
    got = response.headers.get("content-type", "")
    if essence(got) != "text/event-stream":
        msg = f"expected the content type 'text/event-stream', got {got!r}"
        raise ContentTypeError(msg, response=response)
