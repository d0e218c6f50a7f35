"""The cursor store's page: what is saved, when, and how far events may run ahead of it.

Like the session that owns it, this does no I/O and reads no clock. A saver (`async_saver`,
`sync_saver`) calls the store, tells what came of it, and does what is said here.

- Only a cursor before which every event is acknowledged is saved, and only the newest one.
- At most ``max_unacked`` events are delivered beyond the saved cursor.
- A store that fails is not a stream that fails: the saving pauses, and events flow on. Only that
  bound, and a ``cursor_policy`` that gives up, make the consumer feel it.
- What is acknowledged after the end of the stream is saved when the block is left.

Why it counts deliveries and does not compare cursors: an id may come again, or be reset to "", so
of two cursors nobody can say which is the later. `begin` notes how many deliveries lie before the
cursor that goes to the store, and `saved` takes that number over: what is acknowledged while the
store works is still unsaved when it is done. A save that is cancelled in between leaves nothing to
undo, and the next one begins with the newest cursor.

Why a failing store pauses only the saving: at worst, events come again after a crash, which a
consumer must be able to bear in any case, while a stream that stops loses what its server forgets.
``max_unacked`` bounds what can come again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from resilient_sse._session.store_outage import StoreOutage
from resilient_sse._values.callbacks import presentable
from resilient_sse._values.failure import Retry

if TYPE_CHECKING:
    from resilient_sse._session.delivery import Delivery
    from resilient_sse._session.hooks import Hooks
    from resilient_sse._session.settings import Settings
    from resilient_sse._session.store_outage import Operation
    from resilient_sse._values.event import ServerSentEvent

LAST_SAVE_SECONDS: Final = 2.0  # what leaving the block may cost if the store hangs


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

    # -- Acknowledgement -----------------------------------------------------------------------

    def ack(self, event: ServerSentEvent | None, now: float) -> bool:
        """Note that the consumer is done with an event.

        Args:
            event: Which; None if it asks for more, which acknowledges what it got.
            now: The time.

        Returns:
            Whether the store is to be given a cursor, and is not left alone for now.

        Raises:
            ValueError: If it was not delivered, or is acknowledged already.
        """
        if self._acks is None:
            return False
        if event is not None:
            self._acks.ack(event)
        elif self._settings.auto_ack:
            self._acks.ack_all()
        waits = self._over or now < self._outage.paused_until
        return not waits and self._unsaved() is not None

    # -- What is to be done --------------------------------------------------------------------

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
        if cursor != self._saved and self._delivery.carries(cursor):
            return cursor
        self._saved_after = self._acks.passed
        return None

    # -- What the store did --------------------------------------------------------------------

    def loaded(self, cursor: str) -> None:
        """Start from the cursor that the store had."""
        self._delivery.resume_from(cursor)
        self._saved = cursor

    def waiting(self, cursor: str) -> int:
        """Count the events with which the consumer may save this cursor in a transaction."""
        return 0 if self._acks is None else self._acks.waiting(cursor)

    def saved_in(self, cursor: str) -> None:
        """Note that a transaction of the consumer's has saved a cursor, which acknowledges it."""
        if self._acks is not None:
            self._acks.ack_through(cursor)
            self._saved, self._saved_after = self._acks.cursor, self._acks.passed

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

    def failed(
        self, operation: Operation, error: Exception, cursor: str, now: float, *, patient: bool
    ) -> tuple[Retry, Exception] | None:
        """Decide about a failure of the store.

        Args:
            operation: What failed.
            error: The exception.
            cursor: What was to be saved.
            now: The time.
            patient: Whether there is nothing better to do than to wait for the store; if not,
                it is left alone for the time being, and events flow on.

        Returns:
            How long to wait before it is tried again, and what the consumer gets if it is not; None
            if it is left alone, as it also is once the stream is over and owes it nothing.

        Raises:
            CursorError: If it is not tried again.
            Exception: What ``cursor_policy`` raises.
        """
        failure = self._outage.note(error, now, cursor=cursor)
        try:
            delay = self._outage.delay(failure)
        except Exception as raised:  # noqa: BLE001 - it is the consumer's to see
            raise presentable(raised) from raised.__cause__
        if not self._over:
            self._outage.tell(operation, failure, delay)
        given_up = self._outage.given_up(operation, error)
        if delay is None:
            raise given_up
        if not patient or (self._over and not self._owed):
            self._outage.paused_until = now + delay
            return None
        return Retry(error, failure.attempt, delay), given_up
