"""The cursor store's page: what is saved, when, and how far events may run ahead of it.

Like the session that owns it, this does no I/O and reads no clock. A saver (`_async_saver`,
`_sync_saver`) calls the store, tells what came of it, and does what is said here.

- Only a cursor before which every event is acknowledged is saved, and only the newest one.
- At most ``max_unacked`` events are delivered beyond the saved cursor.
- A store that fails is not a stream that fails: the saving pauses, and events flow on. Only that
  bound, and a ``cursor_policy`` that gives up, make the consumer feel it.
- What is acknowledged after the end of the stream is saved when the block is left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resilient_sse._header import sendable
from resilient_sse._store_outage import StoreOutage

if TYPE_CHECKING:
    from resilient_sse._delivery import Delivery
    from resilient_sse._event import ServerSentEvent
    from resilient_sse._hooks import Hooks
    from resilient_sse._settings import Settings
    from resilient_sse._store_outage import Operation
    from resilient_sse.errors import CursorError


class Saving:
    """The saved cursor of one source; without a store there is never anything to save."""

    def __init__(self, settings: Settings, delivery: Delivery, hooks: Hooks) -> None:
        self._settings = settings
        self._delivery = delivery
        self._acks = delivery.acks
        self._outage = StoreOutage(settings, hooks)
        self._saved = settings.last_event_id
        self._saved_after = self._saving_after = 0  # so many deliveries
        self._over = self._owed = False

    @property
    def key(self) -> str:
        """The key in the store, fit to be shown."""
        return self._outage.shown_key

    # -- Acknowledgement -----------------------------------------------------------------------

    def ack(self, event: ServerSentEvent) -> None:
        """Note that the consumer is done with an event.

        Raises:
            ValueError: If it was not delivered, or is acknowledged already.
        """
        if self._acks is not None:
            self._acks.ack(event)

    def acknowledge(self) -> None:
        """Note that the consumer asks for more, which acknowledges what it got."""
        if self._acks is not None and self._settings.auto_ack:
            self._acks.ack_all()

    # -- What is to be done --------------------------------------------------------------------

    def is_due(self, now: float) -> bool:
        """Say whether the store is to be given a cursor, and is not left alone for now."""
        waits = self._over or now < self._outage.paused_until
        return not waits and self._unsaved() is not None

    @property
    def room(self) -> int | None:
        """How many events may be handed out before a newer cursor is saved; None: any number."""
        if self._acks is None:
            return None
        unsaved = self._acks.passed + len(self._acks) - self._saved_after
        return max(0, self._settings.max_unacked - unsaved)

    @property
    def full(self) -> bool:
        """Whether nothing more may be handed out before a newer cursor is saved."""
        return self.room == 0 and not self._over

    @property
    def awaits_ack(self) -> bool:
        """Whether only an acknowledgement makes room for more."""
        return self._unsaved() is None and self.full

    @property
    def owed(self) -> bool:
        """Whether the stream came to its end and the store does not know yet."""
        return self._owed and self._unsaved() is not None

    def stream_over(self, *, owed: bool) -> None:
        """Note that nothing more will be delivered.

        Args:
            owed: Whether the last cursor is saved before the consumer hears of the end.
        """
        self._over, self._owed = True, owed

    def _unsaved(self) -> str | None:
        """Return the cursor that the store lacks, unless it could not be resumed from."""
        if self._acks is None:
            return None
        cursor = self._acks.cursor
        if cursor != self._saved and sendable(cursor):
            return cursor
        self._saved_after = self._acks.passed
        return None

    # -- What the store did --------------------------------------------------------------------

    def loaded(self, cursor: str) -> None:
        """Start from the cursor that the store had."""
        self._delivery.resume_from(cursor)
        self._saved = cursor

    def begin(self) -> str | None:
        """Return the cursor that is saved now; None if the store is up to date."""
        cursor = self._unsaved()
        if self._acks is not None and cursor is not None:
            self._saving_after = self._acks.passed
        return cursor

    def saved(self, cursor: str) -> None:
        """Note that the store has the cursor that `begin` returned."""
        self._saved = cursor
        self._saved_after = self._saving_after
        self._outage.worked()

    def retry_delay(
        self, operation: Operation, error: BaseException, now: float, *, patient: bool
    ) -> float | bool:
        """Decide about a failure of the store, as stamina's backoff hook.

        Args:
            operation: What failed.
            error: The exception.
            now: The time.
            patient: Whether there is nothing better to do than to wait for the store; if not,
                it is left alone for the time being, and events flow on.

        Returns:
            The seconds to wait, or False to let the exception through.
        """
        if not isinstance(error, Exception):
            return False
        delay = self._failed(operation, error, now)
        if delay is not None and not patient:
            self._outage.pause(now + delay)
            delay = None
        return False if delay is None else delay

    def conclude(self, operation: Operation, error: Exception, now: float) -> CursorError | None:
        """Turn what stamina let through into what the consumer gets; None if events flow on."""
        if self._outage.noted is not error:  # stamina is switched off
            self._failed(operation, error, now)
        return self._outage.outcome(operation, error)

    def _failed(self, operation: Operation, error: Exception, now: float) -> float | None:
        failure = self._outage.note(error, now, cursor=self._unsaved() or "")
        delay = self._outage.delay(failure)
        if not self._over:
            self._outage.tell(operation, failure, delay)
        return delay
