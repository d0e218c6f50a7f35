"""The asynchronous saver: calls the cursor store when `Saving` says so, on asyncio and trio.

It holds no rule. Whoever calls it may cancel it: what was not saved is saved next time. One save
runs at a time, because two that overtake each other would leave the older cursor in the store. The
last one is shielded from a cancellation, by which a block is often left, and takes two seconds at
the most, as a store that hangs must not keep a program from ending.
"""

from __future__ import annotations

from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

import anyio

from resilient_sse._drivers.async_retries import Retries
from resilient_sse._drivers.optional_await import resolve
from resilient_sse._session.saving import LAST_SAVE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from resilient_sse._session.saving import Saving
    from resilient_sse._session.settings import Settings
    from resilient_sse._session.store_outage import Operation
    from resilient_sse._values.event import ServerSentEvent


class Saver:
    """Loads and saves the cursor of one source; without a store it does nothing.

    Args:
        settings: The source's settings, with the store.
        saving: What decides.
        owner: The source's name, for stamina's hooks to show.
        report: Called with what these hooks raise.

    Attributes:
        at_once: Whether a save never waits, so that there is nothing to interrupt.
    """

    def __init__(
        self,
        settings: Settings,
        saving: Saving,
        owner: str,
        report: Callable[[object, Exception], None],
    ) -> None:
        self._store: Any = settings.cursor
        self._key = settings.cursor_key
        self._saving = saving
        self._trying = ""
        self._retries = Retries(f"{owner}.cursor", settings.shown_key, report)
        self._acked: anyio.Event | None = None
        if self._store is not None:  # most sources have none, and a lock is big
            self._one_at_a_time = anyio.Lock(fast_acquire=True)
        self.at_once: bool = getattr(self._store, "saves_at_once", False)

    async def load(self) -> None:
        """Have the stream resume from what the store has."""
        if self._store is not None:
            await self._with_store("load", self._load, patient=True)

    async def save(self, *, patient: bool = False) -> None:
        """Save the newest acknowledged cursor, one save at a time.

        Args:
            patient: Whether there is nothing better to do than to wait for the store.
        """
        if self._store is None:
            return
        if self.at_once:  # so none can be under way
            await self._with_store("save", self._save, patient=patient)
            return
        async with self._one_at_a_time:
            await self._with_store("save", self._save, patient=patient)

    async def save_last(self) -> None:
        """Save as the block is left, soon or not at all; at worst, events come again."""
        if self._store is not None:
            with anyio.move_on_after(LAST_SAVE_SECONDS, shield=True), suppress(Exception):
                await self.save()
            self._retries.over()

    def ack(self, event: ServerSentEvent) -> None:
        """Acknowledge an event, which may be what `await_ack` waits for."""
        self._saving.ack(event, monotonic())
        if self._acked is not None:
            self._acked.set()

    async def await_ack(self) -> None:
        """Wait for an acknowledgement."""
        self._acked = anyio.Event()
        await self._acked.wait()

    # -- Calling the store ---------------------------------------------------------------------

    async def _load(self) -> None:
        load = getattr(self._store, "aload", self._store.load)
        if cursor := await resolve(load(self._key)):
            self._saving.loaded(cursor)
        self._retries.over()

    async def _save(self) -> None:
        save = getattr(self._store, "asave", self._store.save)
        if (cursor := self._saving.begin()) is not None:
            self._trying = cursor
            await resolve(save(self._key, cursor))
            self._saving.saved(cursor)
            self._retries.over()

    async def _with_store(
        self, operation: Operation, use: Callable[[], Awaitable[None]], *, patient: bool
    ) -> None:
        """Use the store, and try again for as long as `Saving` says so."""
        while True:
            try:
                await use()
            except Exception as error:  # noqa: BLE001 - `Saving` decides
                cursor = self._trying
                told = self._saving.failed(operation, error, cursor, monotonic(), patient=patient)
            else:
                return
            if told is None:  # events flow on meanwhile
                return
            retry, given_up = told
            if not await self._retries.wait(retry):
                raise given_up
