"""The body of a response: how its bytes are read, and how the reading is ended early.

They use only what httpx, httpx2 and httpxr have in common.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast

import anyio

from resilient_sse._http.inflate import AsyncInflated, inflated, is_known
from resilient_sse._http.response import encoding_of
from resilient_sse._values.library import library_of
from resilient_sse.transports._body import Body, SyncBody, body_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator

    from resilient_sse._values.http_messages import HTTPResponse

# More than h11 can have parsed out of what it read at once.
_MOST_BUFFERED_CHUNKS: Final = 100_000
_SECONDS_TO_NOTICE: Final = 1.0


def chunks(response: HTTPResponse) -> Iterator[bytes]:
    """Read the body as raw bytes, decompressed in bounded pieces if it has to be."""
    encoding = encoding_of(response)
    if _is_the_clients(response, encoding):
        return iter(response.iter_bytes())
    raw: Iterator[bytes] = body_of(response, SyncBody) or iter(response.iter_raw())
    return inflated(raw, encoding, library_of(response)) if encoding else raw


def async_chunks(response: HTTPResponse) -> AsyncIterator[bytes]:
    """Read the body of an asynchronous response, as `chunks` does."""
    encoding = encoding_of(response)
    if _is_the_clients(response, encoding):
        return aiter(response.aiter_bytes())
    if type(response).__module__.startswith("httpxr."):
        # Its other iterators wait for the end of the body. These bytes are decompressed.
        return aiter(response.stream)
    raw: AsyncIterator[bytes] = body_of(response, Body) or aiter(response.aiter_raw())
    return AsyncInflated(raw, encoding, library_of(response)) if encoding else raw


def _is_the_clients(response: HTTPResponse, encoding: str) -> bool:
    """Say whether only the client can read this body: it may know an encoding that we do not."""
    return is_read(response) or bool(encoding and not is_known(encoding))


def is_read(response: HTTPResponse) -> bool:
    """Say whether the body is in memory, as a mock's is: then only its decoded bytes are left."""
    return bool(getattr(response, "is_stream_consumed", False))


async def close(response: HTTPResponse, chunks: AsyncIterator[bytes] | None = None) -> None:
    """Close a response, and with it the generators that httpx reads its body through.

    Closing only the outermost of them would leave the inner ones to the garbage collector, of
    which trio warns. Resumed under a cancelled scope, they unwind from the innermost outward.
    """
    with anyio.CancelScope(shield=True), suppress(Exception):
        await response.aclose()
    if chunks is None or isinstance(chunks, Body) or _is_over(chunks):
        return
    with anyio.CancelScope(shield=True) as scope, suppress(Exception):
        scope.cancel()
        for _ in range(_MOST_BUFFERED_CHUNKS):
            await anext(chunks)
        # Here is a body that never pauses, such as a mock's generator.
        await cast("AsyncGenerator[bytes, None]", chunks).aclose()


async def notice(response: HTTPResponse) -> None:
    """Have httpcore read from a connection that was cut, so that it knows."""
    with anyio.move_on_after(_SECONDS_TO_NOTICE, shield=True), suppress(Exception):
        chunks = aiter(response.stream)
        try:
            await anext(chunks)
        finally:
            await chunks.aclose()


def notice_here(response: HTTPResponse) -> None:
    """Do the same for a blocking client."""
    with suppress(Exception):
        next(iter(response.stream))


def _is_over(chunks: object) -> bool:
    """Say whether a generator has ended, as after an error or a cancelled read: most have."""
    return getattr(chunks, "ag_frame", chunks) is None
