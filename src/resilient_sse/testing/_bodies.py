"""Response bodies of `ScriptedTransport`: what a timeline yields, waited for in two ways."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

import anyio
from anyio.lowlevel import checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from resilient_sse._values.library import Library, ReadError

__all__ = ["AsyncBody", "SyncBody"]


class SyncBody:
    """A body for a blocking client.

    Args:
        timeline: Bytes to hand out and seconds to wait.
        opened: Where this body is listed until it is closed.
        library: Whose exceptions to raise.
    """

    def __init__(
        self,
        timeline: Iterator[bytes | float],
        opened: set[SyncBody | AsyncBody],
        library: Library,
    ) -> None:
        self._timeline = timeline
        self._library = library
        self._opened = opened
        self._ended = threading.Event()
        opened.add(self)

    def __iter__(self) -> Iterator[bytes]:
        for item in self._timeline:
            if isinstance(item, bytes):
                yield item
            else:
                self.wait(item)

    def wait(self, seconds: float) -> None:
        """Wait so long; ``math.inf`` is for ever.

        Raises:
            httpx.ReadError: The body was closed meanwhile.
        """
        if self._ended.wait(None if math.isinf(seconds) else seconds):
            raise _closed(self._library)

    def end(self) -> None:
        """Wake whoever waits."""
        self._ended.set()

    def close(self) -> None:
        """Close it, as httpx does with every response."""
        self._opened.discard(self)
        self.end()


class AsyncBody:
    """A body for an asynchronous client.

    It is an iterator and no generator: there is nothing to finalize when it is left early.

    Args:
        timeline: Bytes to hand out and seconds to wait.
        opened: Where this body is listed until it is closed.
        library: Whose exceptions to raise.
    """

    def __init__(
        self,
        timeline: Iterator[bytes | float],
        opened: set[SyncBody | AsyncBody],
        library: Library,
    ) -> None:
        self._timeline = timeline
        self._library = library
        self._opened = opened
        self._ended = anyio.Event()
        opened.add(self)

    def __aiter__(self) -> AsyncBody:
        return self

    async def __anext__(self) -> bytes:
        await checkpoint()
        for item in self._timeline:
            if isinstance(item, bytes):
                return item
            await self.wait(item)
        raise StopAsyncIteration

    async def wait(self, seconds: float) -> None:
        """Wait so long; ``math.inf`` is for ever.

        Raises:
            httpx.ReadError: The body was closed meanwhile.
        """
        with anyio.move_on_after(seconds):
            await self._ended.wait()
        if self._ended.is_set():
            raise _closed(self._library)

    def end(self) -> None:
        """Wake whoever waits."""
        self._ended.set()

    async def aclose(self) -> None:
        """Close it, as httpx does with every response."""
        self._opened.discard(self)
        self.end()


def _closed(library: Library) -> ReadError:
    return library.ReadError("the response was closed while it was read")
