"""What `batches` returns: iterators of lists of the events that came in together."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Self

    from resilient_sse._values.event import ServerSentEvent

    Events: TypeAlias = list[ServerSentEvent]


class Batches:
    """Iterates lists of events; made by `ReconnectingEventSource.batches`."""

    def __init__(self, pull: Callable[[None], Awaitable[Events]]) -> None:
        self._pull = pull

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Events:
        events = await self._pull(None)
        if not events:
            raise StopAsyncIteration
        return events


class SyncBatches:
    """Iterates lists of events; made by `SyncReconnectingEventSource.batches`."""

    def __init__(self, pull: Callable[[None], Events]) -> None:
        self._pull = pull

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Events:
        events = self._pull(None)
        if not events:
            raise StopIteration
        return events
