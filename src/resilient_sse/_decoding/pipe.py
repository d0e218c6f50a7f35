"""What iterators that read other iterators have in common: who closes what, and when.

A generator that was given to one of them is closed with it, as ``yield from`` does. Anything else
that was given (a file, a response, a `ReconnectingEventSource`) stays its owner's to close.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
    from typing import Self

S = TypeVar("S")
T = TypeVar("T")


@contextmanager
def closing(given: object) -> Generator[None, None, None]:
    """Close what was given at the end of the block, if it is a generator."""
    try:
        yield
    finally:
        if isinstance(given, Generator):
            cast("Generator[object]", given).close()


class AsyncPipe(Generic[S, T]):
    """An async iterator that, unlike an async generator, may be dropped: trio does not warn.

    Args:
        source: What it reads.
        step: Makes any number of items out of one of the source's; None means: here it ends.
        at_end: Makes the last items when the source has ended.
    """

    def __init__(
        self,
        source: AsyncIterable[S],
        step: Callable[[S], Iterable[T] | None],
        at_end: Callable[[], Iterable[T]] = tuple,
    ) -> None:
        self._source = aiter(source)
        self._step = step
        self._at_end = at_end
        self._ready: Iterator[T] = iter(())
        self._ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while True:
            for item in self._ready:
                return item
            if self._ended:
                raise StopAsyncIteration
            self._ready = iter(await self._pull())

    async def _pull(self) -> Iterable[T]:
        try:
            item = await anext(self._source)
        except StopAsyncIteration:
            self._ended = True
            return self._at_end()
        try:
            items = self._step(item)
        except Exception:
            await self.aclose()
            raise
        if items is None:
            await self.aclose()
            return ()
        return items

    async def aclose(self) -> None:
        """End the iteration, and close the source if it is a generator."""
        self._ended = True
        self._ready = iter(())
        source: AsyncIterator[object] = self._source
        if isinstance(source, (AsyncGenerator, AsyncPipe)):
            await cast("AsyncPipe[object, object]", source).aclose()
