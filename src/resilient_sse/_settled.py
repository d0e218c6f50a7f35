"""What may be awaited and need not be: what our methods return, and what a user's may."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator


class Settled:
    """What a method returns that has done its work: unlike a coroutine, it may be dropped.

    Args:
        finish: What awaiting it does on top of what is done already.
    """

    def __init__(self, finish: Callable[[], Awaitable[None]] | None = None) -> None:
        self._finish = finish

    def __await__(self) -> Generator[object, None, None]:
        if self._finish is not None:
            yield from self._finish().__await__()


async def settle(result: Any) -> Any:  # noqa: ANN401 - whatever it returned
    """Await what a function that may be sync or async returned."""
    return await result if inspect.isawaitable(result) else result


def settled(result: Any) -> Any:  # noqa: ANN401 - whatever it returned
    """Refuse what only an asynchronous source could await.

    Raises:
        TypeError: If it is awaitable.
    """
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        msg = "a blocking source takes plain functions, and this one returned an awaitable"
        raise TypeError(msg)
    return result
