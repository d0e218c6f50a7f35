"""A blocking transport under an asynchronous client, so that one test serves both kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
from anyio import to_thread

from resilient_sse._values.library import kind_for, library_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

__all__ = ["InThreads"]


class InThreads(httpx.AsyncBaseTransport):
    """Whatever it is asked for, a thread asks the blocking transport for.

    Args:
        transport: The blocking transport; it is closed with this one.
    """

    def __init__(self, transport: httpx.BaseTransport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; its body has to be finite."""
        stream: Any = request.stream
        library = library_of(request)
        parts: Any = stream
        if not isinstance(stream, library.ByteStream):  # a body that can be sent again stays one
            kind = kind_for(_Parts, library.SyncByteStream)
            parts = kind([part async for part in stream])
        blocking = library.Request(
            request.method,
            request.url,
            headers=request.headers,
            stream=parts,
            extensions=request.extensions,
        )
        response = await to_thread.run_sync(self._transport.handle_request, blocking)
        extensions = dict(response.extensions)
        extensions["network_stream"] = _NetworkStream(extensions["network_stream"])
        body: Any = kind_for(_Body, library.AsyncByteStream)(response.stream)
        return library.Response(
            response.status_code,
            headers=response.headers,
            stream=body,
            extensions=extensions,
        )

    async def aclose(self) -> None:
        """Close the transport."""
        await to_thread.run_sync(self._transport.close)


class _Parts:
    def __init__(self, parts: list[bytes]) -> None:
        self._parts = parts

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._parts)


class _Body:
    def __init__(self, body: Any) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunks = iter(self._body)
        while (chunk := await to_thread.run_sync(next, chunks, None)) is not None:
            yield chunk

    async def aclose(self) -> None:
        await to_thread.run_sync(self._body.close)


class _NetworkStream:
    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.get_extra_info: Callable[[str], Any] = stream.get_extra_info

    async def read(self, max_bytes: int) -> bytes:
        data: bytes = await to_thread.run_sync(self._stream.read, max_bytes)
        return data

    async def write(self, buffer: bytes) -> None:
        await to_thread.run_sync(self._stream.write, buffer)
