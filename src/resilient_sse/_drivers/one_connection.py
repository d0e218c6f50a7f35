"""One connection without reconnecting: the calls of httpx-sse, exact to the standard.

What differs from httpx-sse, and why, stands in the documentation ("Migrate from httpx-sse").
"""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast

from resilient_sse._decoding.sse import DEFAULT_MAX_EVENT_SIZE, SSEDecoder
from resilient_sse._decoding.streams import decode
from resilient_sse._http import body as _body
from resilient_sse._http.response import essence
from resilient_sse._values.frames import without_locals
from resilient_sse._values.library import library_of
from resilient_sse._values.presentable import request_of
from resilient_sse._values.redact import quoted
from resilient_sse.errors import ContentTypeError, SSEError, of_library

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    from resilient_sse._values.event import ServerSentEvent
    from resilient_sse._values.http_messages import HTTPResponse

__all__ = ["EventSource", "aconnect_sse", "connect_sse"]

if TYPE_CHECKING:
    from typing_extensions import TypeVar as TypeVarWithDefault

    R = TypeVarWithDefault("R", default=Any)  # so that `EventSource` alone is a type, too
else:
    R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class StreamingClient(Protocol[R_co]):
    """A blocking client: httpx's, httpx2's or httpxr's."""

    def stream(self, *args: Any, **kwargs: Any) -> AbstractContextManager[R_co]:  # noqa: ANN401 - as in httpx
        """Send a request, and return its response with the body unread."""
        ...


class AsyncStreamingClient(Protocol[R_co]):
    """An asynchronous client: httpx's, httpx2's or httpxr's."""

    def stream(self, *args: Any, **kwargs: Any) -> AbstractAsyncContextManager[R_co]:  # noqa: ANN401 - as in httpx
        """Send a request, and return its response with the body unread."""
        ...


class EventSource(Generic[R]):
    """The events of one response.

    Args:
        response: A streaming response of httpx, httpx2 or httpxr. Whoever opened it closes it.
        max_event_size: The most bytes one event may have (default 16 MiB); None for no limit.
    """

    def __init__(
        self,
        response: R,
        *,
        max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE,
    ) -> None:
        self._given = response
        self._response = cast("HTTPResponse", response)  # whatever its class declares of itself
        self._max_event_size = max_event_size
        self._iterations: list[AsyncGenerator[ServerSentEvent, None]] = []

    @property
    def response(self) -> R:
        """The response; its status is the caller's to check, as in httpx-sse."""
        return self._given

    def iter_sse(self) -> Generator[ServerSentEvent, None, None]:
        """Iterate the events until the body ends.

        Raises:
            SSEError: If the content type is not ``text/event-stream``, at the first event.
            EventTooLarge: If one event is larger than ``max_event_size``.
        """
        _check_content_type(self._response)
        with _telling_of(self._response):
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
    client: StreamingClient[R],
    method: str,
    url: Any,  # noqa: ANN401 - what the client takes: text or its own URL
    *,
    max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE,
    **kwargs: Any,  # noqa: ANN401
) -> Generator[EventSource[R], None, None]:
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
    try:
        stream = _stream(client, method, url, kwargs)
    finally:
        del url, kwargs  # which an exception that leaves the block would show
    with stream as response:
        yield EventSource(response, max_event_size=max_event_size)


@asynccontextmanager
async def aconnect_sse(
    client: AsyncStreamingClient[R],
    method: str,
    url: Any,  # noqa: ANN401
    *,
    max_event_size: int | None = DEFAULT_MAX_EVENT_SIZE,
    **kwargs: Any,  # noqa: ANN401
) -> AsyncGenerator[EventSource[R], None]:
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
    try:
        stream = _stream(client, method, url, kwargs)
    finally:
        del url, kwargs
    async with stream as response:
        source = EventSource(response, max_event_size=max_event_size)
        try:
            yield source
        finally:
            await source.aclose()


async def _aiter_events(
    response: HTTPResponse,
    max_event_size: int | None,
) -> AsyncGenerator[ServerSentEvent, None]:
    _check_content_type(response)
    decoder = SSEDecoder(max_event_size=max_event_size)
    chunks = _body.async_chunks(response)
    try:
        with _telling_of(response):
            async for chunk in chunks:
                for event in decoder.feed(chunk):
                    yield event
            decoder.feed(b"")  # which raises if the last chunk ended in too large a block
    finally:
        await _body.close(response, chunks)


@without_locals
def _stream(client: Any, method: str, url: Any, options: dict[str, Any]) -> Any:  # noqa: ANN401
    """Return the client's own context manager, which sends the request when it is entered."""
    headers = _headers(client, options.pop("headers", None))
    return client.stream(method, url, headers=headers, **options)


def _headers(client: Any, given: Any) -> list[tuple[bytes, bytes]]:  # noqa: ANN401
    """Add what httpx-sse sends to a copy of the caller's headers."""
    headers = library_of(client).Headers(given)
    defaults = getattr(client, "headers", {})
    if "accept" not in headers and defaults.get("accept", "*/*") == "*/*":
        headers["Accept"] = "text/event-stream"
    if "cache-control" not in headers and "cache-control" not in defaults:
        headers["Cache-Control"] = "no-store"
    return headers.raw


def _check_content_type(response: HTTPResponse) -> None:
    got = response.headers.get("content-type", "")
    if essence(got) != "text/event-stream":
        msg = f"expected the content type 'text/event-stream', got {quoted(got)}"
        raise of_library(ContentTypeError(msg, response=response), library_of(response))


@contextmanager
def _telling_of(response: HTTPResponse) -> Generator[None]:
    """Have an error of the decoder's tell of the request that it comes from."""
    try:
        yield
    except SSEError as error:
        of_library(error, library_of(response)).request = request_of(response)
        raise
