"""What a method returns that has done its work: it may be awaited, and need not be."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator


class Settled:
    """An awaitable that, unlike a coroutine, may be dropped.

    Args:
        finish: What awaiting it does on top of what is done already.
    """

    def __init__(self, finish: Callable[[], Awaitable[None]] | None = None) -> None:
        self._finish = finish

    def __await__(self) -> Generator[object, None, None]:
        if self._finish is not None:
            yield from self._finish().__await__()
