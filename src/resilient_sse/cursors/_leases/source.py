"""Sources that deliver only as long as a lease is held."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio

from resilient_sse._drivers.async_source import ReconnectingEventSource
from resilient_sse._drivers.options import AsyncHTTPClient, HTTPClient
from resilient_sse._drivers.source import C, Source
from resilient_sse._drivers.sync_source import SyncReconnectingEventSource
from resilient_sse._values.redact import quoted
from resilient_sse.cursors._engine.loops import in_this_event_loop
from resilient_sse.cursors._engine.threads import in_store_thread
from resilient_sse.cursors._leases.grant import LeaseLost
from resilient_sse.policies import ExponentialBackoff

if TYPE_CHECKING:
    from typing import Self, Unpack

    from resilient_sse._drivers.options import LeasedSourceOptions
    from resilient_sse._values.event import ServerSentEvent
    from resilient_sse.cursors._leases.protocol import Lease

_LOOK: Final = 0.02  # at what a transaction may have saved: it tells nobody

# An outage of the engine is over before the lease is, or ends it.
_CURSOR_POLICY: Final = ExponentialBackoff(wait_initial=0.1, wait_max=1.0)


class Leased(Source[C]):
    """What both kinds of source under a lease share; the arguments are those of `LeasedSource`."""

    def __init__(self, held: Lease, url: str, /, **keywords: Unpack[LeasedSourceOptions]) -> None:
        keywords.setdefault("cursor_policy", _CURSOR_POLICY)
        super().__init__(url, cursor=held, cursor_key=held.name, **keywords)
        self._held = held

    @property
    def url(self) -> str:
        """The stream's URL, as it was given."""
        return self._settings.url

    @property
    def lease(self) -> Lease:
        """The lease under which it reads."""
        return self._held

    @property
    def token(self) -> int:
        """The fencing token: grows whenever the stream changes hands."""
        return self._held.token

    def events_to_save(self, cursor: str) -> int:
        """Count the events whose cursor a transaction may save; `Lease.save_in` asks."""
        if self._settings.auto_ack:
            raise RuntimeError("save_in needs a source with auto_ack=False")
        with self._lock:
            count = self._saving.waiting(cursor)
        if not count:
            msg = f"no event with the cursor {quoted(cursor)} waits for its acknowledgement"
            raise ValueError(msg)
        return count

    def _settle(self) -> None:
        """Acknowledge what transactions have saved."""
        settled = getattr(self._held, "settled", None)
        cursor = None if settled is None else settled()
        if cursor is not None:
            with self._lock:
                self._saving.saved_in(cursor)

    def _enter(self) -> None:
        reader = self._held.reader
        if isinstance(reader, Leased) and not reader._left:  # noqa: SLF001 - one of us
            msg = f"under the lease {self._held.name!r} one source at a time may read"
            raise RuntimeError(msg)
        super()._enter()
        self._held.reader = self

    def _take(self, most: int | None) -> list[ServerSentEvent]:
        """Look at the lease in the very moment of the delivery."""
        if not self._held.valid:
            self._held.end()
            self._session.close(self._now(), error=LeaseLost(self._held.name))
        return super()._take(most)


class LeasedSource(Leased[AsyncHTTPClient], ReconnectingEventSource):
    """A source that raises `LeaseLost` instead of delivering without its lease.

    Leases and groups make it. Iterating raises what a `ReconnectingEventSource` raises,
    and `LeaseLost`.

    Args:
        held: The lease, which is also the cursor store; one source at a time may read under it.
        url: The stream.
        keywords: Those of `ReconnectingEventSource` but ``cursor`` and ``cursor_key``.
            Without a ``cursor_policy`` saving is tried again for as long as the lease lasts.
    """

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        end = partial(self._fail, LeaseLost(self._held.name))
        self._held.watch(in_this_event_loop(end))
        return self

    async def _await_ack(self) -> None:
        with suppress(Exception):  # the lease is over soon if the engine does not answer
            await in_store_thread(self._settle)
        if self._saving.awaits_ack:
            await anyio.sleep(_LOOK)


class SyncLeasedSource(Leased[HTTPClient], SyncReconnectingEventSource):
    """The blocking twin of `LeasedSource`.

    Leases and groups make it. Iterating raises what a `SyncReconnectingEventSource` raises,
    and `LeaseLost`.

    Args:
        held: The lease, which is also the cursor store; one source at a time may read under it.
        url: The stream.
        keywords: Those of `SyncReconnectingEventSource` but ``cursor`` and ``cursor_key``.
            Without a ``cursor_policy`` saving is tried again for as long as the lease lasts.
    """

    def __enter__(self) -> Self:
        super().__enter__()
        self._held.watch(partial(self._fail, LeaseLost(self._held.name)))
        return self

    def _await_ack(self) -> None:
        with suppress(Exception):  # the lease is over soon if the engine does not answer
            self._settle()
        if self._saving.awaits_ack:
            time.sleep(_LOOK)
