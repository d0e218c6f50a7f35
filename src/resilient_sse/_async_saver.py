"""The asynchronous saver: calls the cursor store when `Saving` says so, on asyncio and trio.

It holds no rule. Whoever calls it may cancel it: what was not saved is saved next time.
"""

from __future__ import annotations

from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import anyio

from resilient_sse._retry_loop import retry_loop
from resilient_sse._settled import settle
from resilient_sse.errors import CursorError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from resilient_sse._event import ServerSentEvent
    from resilient_sse._saving import Saving
    from resilient_sse._settings import Settings
    from resilient_sse._store_outage import Operation

_LAST_SAVE_SECONDS: Final = 2.0  # what leaving the block may cost if the store hangs


class Saver:
    """Loads and saves the cursor of one source; without a store it does nothing.

    Args:
        settings: The source's settings, with the store.
        saving: What decides.
        owner: The source's name, for stamina's hooks to show.

    Attributes:
        at_once: Whether a save never waits, so that there is nothing to interrupt.
    """

    def __init__(self, settings: Settings, saving: Saving, owner: str) -> None:
        self._store: Any = settings.cursor
        self._key = settings.cursor_key
        self._saving = saving
        self._owner = owner
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
            with anyio.move_on_after(_LAST_SAVE_SECONDS, shield=True), suppress(CursorError):
                await self.save()

    def ack(self, event: ServerSentEvent) -> None:
        """Acknowledge an event, which may be what `make_room` waits for."""
        self._saving.ack(event)
        if self._acked is not None:
            self._acked.set()

    async def make_room(self) -> None:
        """Wait for an acknowledgement or for the store."""
        if self._saving.awaits_ack:
            self._acked = anyio.Event()
            await self._acked.wait()
        else:
            await self.save(patient=True)

    # -- Calling the store ---------------------------------------------------------------------

    async def _load(self) -> None:
        load = getattr(self._store, "aload", self._store.load)
        if cursor := await settle(load(self._key)):
            self._saving.loaded(cursor)

    async def _save(self) -> None:
        save = getattr(self._store, "asave", self._store.save)
        if (cursor := self._saving.begin()) is not None:
            await settle(save(self._key, cursor))
            self._saving.saved(cursor)

    async def _with_store(
        self, operation: Operation, use: Callable[[], Awaitable[None]], *, patient: bool
    ) -> None:
        """Use the store, and once it fails, try again as `Saving` decides."""
        try:
            await use()
        except Exception as error:  # noqa: BLE001 - `Saving` decides
            pending = [error]
        else:
            return

        async def again(_key: str) -> None:
            if pending:
                raise pending.pop()
            await use()

        await self._retry(operation, again, patient=patient)

    async def _retry(
        self, operation: Operation, again: Callable[[str], Awaitable[None]], *, patient: bool
    ) -> None:
        """Use the store in a retry loop of stamina's, which sees the first failure, too."""

        def delay(error: Exception) -> float | bool:
            return self._saving.retry_delay(operation, error, monotonic(), patient=patient)

        try:
            await retry_loop(again, f"{self._owner}.{operation}", delay)(self._saving.key)
        except Exception as error:  # noqa: BLE001 - `Saving` decides
            outcome = self._saving.conclude(operation, error, monotonic())
            if outcome is not None:
                raise outcome from outcome.__cause__
