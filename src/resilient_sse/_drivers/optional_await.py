"""Awaiting that is optional: of what our methods return, and of what the program's functions do."""

from __future__ import annotations

import inspect
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator
    from types import TracebackType


class OptionalAwait(Coroutine[object, None, None]):
    """A coroutine that, unlike one of an ``async def``, may be dropped without a warning.

    Being one, it may also be given to ``asyncio.create_task`` and the like.

    Args:
        finish: What awaiting it does on top of what is done already.
    """

    def __init__(self, finish: Callable[[], Awaitable[None]] | None = None) -> None:
        self._finish = finish
        self._steps: Generator[object, None, None] | None = None

    def __await__(self) -> Generator[object, None, None]:
        if self._finish is not None:
            yield from self._finish().__await__()

    def _begun(self) -> Generator[object, None, None]:
        if self._steps is None:
            self._steps = self.__await__()
        return self._steps

    def send(self, value: None, /) -> object:
        """Run to the next pause."""
        return self._begun().send(value)

    def throw(
        self,
        typ: type[BaseException] | BaseException,
        _val: BaseException | object = None,
        _tb: TracebackType | None = None,
        /,
    ) -> object:
        """Raise an exception where it pauses."""
        return self._begun().throw(typ if isinstance(typ, BaseException) else typ())

    def close(self) -> None:
        """Leave it where it is."""
        self._begun().close()


async def resolve(result: Any) -> Any:  # noqa: ANN401 - whatever it returned
    """Await what a function that may be sync or async returned."""
    return await result if inspect.isawaitable(result) else result


def refuse_awaitable(result: Any) -> Any:  # noqa: ANN401 - whatever it returned
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
