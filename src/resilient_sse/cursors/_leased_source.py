"""Sources that deliver only as long as a lease is held."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, TypeVar

from resilient_sse._async_source import ReconnectingEventSource
from resilient_sse._source import Source
from resilient_sse._sync_source import SyncReconnectingEventSource
from resilient_sse.policies import ExponentialBackoff

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from resilient_sse.cursors._held import Held

T = TypeVar("T")

# An outage of Redis is over before the lease is, or ends it.
_CURSOR_POLICY: Final = ExponentialBackoff(wait_initial=0.1, wait_max=1.0)


class _Leased(Source):
    """What both kinds of source under a lease share.

    Args:
        held: The lease, which is also the cursor store.
        url: The stream.
        keywords: Those of the source, but ``cursor`` and ``cursor_key``. A ``cursor_policy`` that
            is not given never gives up: the lease ends when Redis cannot be reached.
    """

    def __init__(self, held: Held, url: str, **keywords: Any) -> None:  # noqa: ANN401 - a source's
        keywords.setdefault("cursor_policy", _CURSOR_POLICY)
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

    def _enter(self) -> None:
        reader = self._held.reader
        if isinstance(reader, _Leased) and not reader._left:  # noqa: SLF001 - one of us
            msg = f"under the lease {self._held.name!r} one source at a time may read"
            raise RuntimeError(msg)
        super()._enter()
        self._held.reader = self

    def _checked(self, take: Callable[[float], T]) -> Callable[[float], T]:
        """Look at the lease in the very moment of the delivery."""

        def checked(now: float) -> T:
            self._held.check()
            return take(now)

        return checked


class LeasedSource(_Leased, ReconnectingEventSource):
    """A source that raises `LeaseLost` instead of delivering without its lease."""

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._held.watch(_in_this_event_loop(self.reconnect))
        return self

    async def _pull(self, take: Callable[[float], T | None]) -> T:
        return await super()._pull(self._checked(take))


class SyncLeasedSource(_Leased, SyncReconnectingEventSource):
    """The blocking twin of `LeasedSource`."""

    def __enter__(self) -> Self:
        super().__enter__()
        self._held.watch(self.close)
        return self

    def _pull(self, take: Callable[[float], T | None]) -> T:
        return super()._pull(self._checked(take))


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
