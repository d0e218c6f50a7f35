"""The body of a response: how its bytes are read, and how the reading is ended early.

They use only what httpx, httpx2 and httpxr have in common.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

import anyio

from resilient_sse._http import is_encoded

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator

# More than h11 can have parsed out of what it read at once.
_MOST_BUFFERED_CHUNKS: Final = 100_000


def chunks(response: Any) -> Iterator[bytes]:  # noqa: ANN401 - httpx's, httpx2's or httpxr's
    """Read the body, below the text layer and, if nothing is encoded, below the decoding one."""
    return iter(response.iter_bytes() if _needs_decoding(response) else response.iter_raw())


def async_chunks(response: Any) -> AsyncIterator[bytes]:  # noqa: ANN401
    """Read the body of an asynchronous response, as `chunks` does."""
    return aiter(response.aiter_bytes() if _needs_decoding(response) else response.aiter_raw())


def _needs_decoding(response: Any) -> bool:  # noqa: ANN401
    # A response that was read already, such as a mock's, has only its decoded bytes left.
    return is_encoded(response) or getattr(response, "is_stream_consumed", False)


async def close(response: Any, chunks: AsyncIterator[bytes] | None = None) -> None:  # noqa: ANN401
    """Close a response, and with it the generators that httpx reads its body through.

    Closing only the outermost of them would leave the inner ones to the garbage collector, of
    which trio warns. Resumed under a cancelled scope, they unwind from the innermost outward.
    """
    with anyio.CancelScope(shield=True), suppress(Exception):
        await response.aclose()
    with anyio.CancelScope(shield=True) as scope, suppress(Exception):
        scope.cancel()
        if chunks is not None:
            for _ in range(_MOST_BUFFERED_CHUNKS):
                await anext(chunks)
            # Here is a body that never pauses, such as a mock's.
            await cast("AsyncGenerator[bytes, None]", chunks).aclose()
