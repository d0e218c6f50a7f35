"""The blocking saver: calls the cursor store when `Saving` says so, in whatever thread needs it.

It holds no rule; it is `_async_saver` in the other language. Several threads may acknowledge, so
the source's lock is held while `Saving` decides, and another one while the store saves.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

from resilient_sse._retry_loop import retry_loop
from resilient_sse._settled import settled
from resilient_sse.errors import CursorError

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_sse._event import ServerSentEvent
    from resilient_sse._saving import Saving
    from resilient_sse._settings import Settings
    from resilient_sse._store_outage import Operation


class SyncSaver:
    """Loads and saves the cursor of one source; without a store it does nothing.

    Args:
        settings: The source's settings, with the store.
        saving: What decides.
        owner: The source's name, for stamina's hooks to show.
        deciding: The lock that is held while it decides.
    """

    def __init__(
        self, settings: Settings, saving: Saving, owner: str, deciding: threading.RLock
    ) -> None:
        self._store: Any = settings.cursor
        self._key = settings.cursor_key
        self._saving = saving
        self._owner = owner
        self._deciding = deciding
        self._acked = threading.Condition(deciding)
        self._one_at_a_time = threading.Lock()

    def load(self) -> None:
        """Have the stream resume from what the store has."""
        if self._store is not None:
            self._with_store("load", self._load, patient=True)

    def save(self, *, patient: bool = False, wait: bool = True) -> None:
        """Save the newest acknowledged cursor, one save at a time.

        Args:
            patient: Whether there is nothing better to do than to wait for the store.
            wait: Whether to wait for a save that is under way in another thread. It goes on with
                what was acknowledged meanwhile.
        """
        if self._store is None:
            return
        while self._one_at_a_time.acquire(blocking=wait):
            try:
                tried = self._save(patient=patient)
            finally:
                self._one_at_a_time.release()
            if self._unsaved() in {None, tried}:
                return  # else another thread acknowledged meanwhile, and did not wait

    def save_if_due(self, *, wait: bool = True) -> None:
        """Save, unless the store is up to date or left alone for now."""
        with self._deciding:
            due = self._saving.is_due(monotonic())
        if due:
            self.save(wait=wait)

    def save_last(self) -> None:
        """Save as the block is left; at worst, events come again."""
        with suppress(CursorError):
            self.save()

    def ack(self, event: ServerSentEvent) -> None:
        """Acknowledge an event, which may be what `make_room` waits for."""
        with self._deciding:
            self._saving.ack(event)
            self._acked.notify_all()

    def make_room(self) -> None:
        """Wait for an acknowledgement or for the store."""
        with self._deciding:
            self._acked.wait_for(lambda: not self._saving.awaits_ack)
        self.save(patient=True)

    def wake(self) -> None:
        """Have `make_room` look again whether it has to wait; the lock is held."""
        self._acked.notify_all()

    # -- Calling the store ---------------------------------------------------------------------

    def _load(self) -> None:
        if cursor := settled(self._store.load(self._key)):
            self._saving.loaded(cursor)

    def _save(self, *, patient: bool) -> str | None:
        """Save once; return what was tried."""
        tried: str | None = None

        def use() -> None:
            nonlocal tried
            if (cursor := self._unsaved()) is not None:
                tried = cursor
                settled(self._store.save(self._key, cursor))
                with self._deciding:
                    self._saving.saved(cursor)

        self._with_store("save", use, patient=patient)
        return tried

    def _unsaved(self) -> str | None:
        with self._deciding:
            return self._saving.begin()

    def _with_store(self, operation: Operation, use: Callable[[], None], *, patient: bool) -> None:
        """Use the store, and once it fails, try again as `Saving` decides."""
        try:
            use()
        except Exception as error:  # noqa: BLE001 - `Saving` decides
            pending = [error]
        else:
            return

        def again(_key: str) -> None:
            if pending:
                raise pending.pop()
            use()

        self._retry(operation, again, patient=patient)

    def _retry(self, operation: Operation, again: Callable[[str], None], *, patient: bool) -> None:
        """Use the store in a retry loop of stamina's, which sees the first failure, too."""

        def delay(error: Exception) -> float | bool:
            with self._deciding:
                return self._saving.retry_delay(operation, error, monotonic(), patient=patient)

        try:
            retry_loop(again, f"{self._owner}.{operation}", delay)(self._saving.key)
        except Exception as error:  # noqa: BLE001 - `Saving` decides
            with self._deciding:
                outcome = self._saving.conclude(operation, error, monotonic())
            if outcome is not None:
                raise outcome from outcome.__cause__
