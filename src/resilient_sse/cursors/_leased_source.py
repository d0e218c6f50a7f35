"""Sources that deliver only as long as a lease is held."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from resilient_sse._async_source import ReconnectingEventSource
from resilient_sse._sync_source import SyncReconnectingEventSource

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from resilient_sse.cursors._lease_core import Held

T = TypeVar("T")


class LeasedSource(ReconnectingEventSource):
    """A source that raises `LeaseLost` instead of delivering without its lease.

    Args:
        held: The lease, which is also the cursor store.
        url: The stream.
        keywords: Those of `ReconnectingEventSource`, but ``cursor`` and ``cursor_key``.
    """

    def __init__(self, held: Held, url: str, **keywords: Any) -> None:  # noqa: ANN401 - a source's
        super().__init__(url, cursor=held, cursor_key=held.name, **keywords)
        self._held = held

    @property
    def url(self) -> str:
        """The stream's URL, as it was given."""
        return self._settings.url

    @property
    def token(self) -> int:
        """The fencing token: grows whenever the stream changes hands."""
        return self._held.token

    async def __aenter__(self) -> Self:
        self._held.watch(_in_this_event_loop(self.reconnect))
        return await super().__aenter__()

    async def _pull(self, take: Callable[[float], T | None]) -> T:
        return await super()._pull(_checked(self._held, take))


class SyncLeasedSource(SyncReconnectingEventSource):
    """The blocking twin of `LeasedSource`.

    Args:
        held: The lease, which is also the cursor store.
        url: The stream.
        keywords: Those of `SyncReconnectingEventSource`, but ``cursor`` and ``cursor_key``.
    """

    def __init__(self, held: Held, url: str, **keywords: Any) -> None:  # noqa: ANN401 - a source's
        super().__init__(url, cursor=held, cursor_key=held.name, **keywords)
        self._held = held

    @property
    def url(self) -> str:
        """The stream's URL, as it was given."""
        return self._settings.url

    @property
    def token(self) -> int:
        """The fencing token: grows whenever the stream changes hands."""
        return self._held.token

    def __enter__(self) -> Self:
        entered = super().__enter__()
        self._held.watch(self.close)
        return entered

    def _pull(self, take: Callable[[float], T | None]) -> T:
        return super()._pull(_checked(self._held, take))


def _checked(held: Held, take: Callable[[float], T]) -> Callable[[float], T]:
    """Look at the lease in the very moment of the delivery."""

    def checked(now: float) -> T:
        held.check()
        return take(now)

    return checked


def _in_this_event_loop(wake: Callable[[], object]) -> Callable[[], object]:
    """Make a function that has this event loop call ``wake``, to be called from any thread."""
    try:
        call_soon = asyncio.get_running_loop().call_soon_threadsafe
    except RuntimeError:
        import trio  # noqa: PLC0415 - where it is not used, it need not be there

        return _unless_over(trio.lowlevel.current_trio_token().run_sync_soon, wake)
    return _unless_over(call_soon, wake)


def _unless_over(
    call_soon: Callable[[Callable[[], object]], object], wake: Callable[[], object]
) -> Callable[[], None]:
    """Call it, unless the event loop is over: then nobody needs to be told."""

    def call() -> None:
        try:
            call_soon(wake)
        except RuntimeError:  # RunFinishedError is one too
            return

    return call
