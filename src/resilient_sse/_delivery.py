"""What is handed to the consumer, and the cursor to resume from after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from resilient_sse._acks import Acknowledgements
from resilient_sse._dedupe import DeliveredIds
from resilient_sse._header import sendable

if TYPE_CHECKING:
    from resilient_sse._event import ServerSentEvent
    from resilient_sse._settings import Decoder, Settings


class Delivery:
    """The events of one source on their way to its consumer.

    The queue holds one batch, the events that came in together, and is refilled when it is empty.
    The next event stands last in it, where taking it costs least.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.queue: list[ServerSentEvent] = []
        self._batch: list[ServerSentEvent] = []
        self._before_batch = ""
        self.until_met = False
        # What is delivered, but not acknowledged; None if there is no store to tell of it.
        self.acks = None if settings.cursor is None else Acknowledgements("")
        self.resume_from(settings.last_event_id)

    def resume_from(self, cursor: str) -> None:
        """Set the first cursor."""
        self.cursor = cursor
        self.resumable = cursor if sendable(cursor) else ""
        if self.acks is not None:
            self.acks.moved(cursor)
        size = self._settings.dedupe
        self._delivered_ids = DeliveredIds(size, delivered=cursor) if size else None

    # -- In ------------------------------------------------------------------------------------

    def watch(self, decoder: Any) -> None:  # noqa: ANN401 - only SSEDecoder has own_ids
        """Have a new connection's decoder tell which events have an id of their own."""
        if self._delivered_ids is not None and hasattr(decoder, "own_ids"):
            decoder.own_ids = []

    def fill(self, events: list[ServerSentEvent], decoder: Decoder) -> int:
        """Put what the decoder returned into the queue; return how many of them are new."""
        if events:
            if self._delivered_ids is not None:
                events = self._fresh(self._delivered_ids, events, decoder)
            self._before_batch = self.cursor
            self._batch = events
            self.queue.extend(reversed(events))
        cursor = decoder.last_event_id
        if cursor != self.cursor:
            self._move(cursor, events)
        return len(events)

    def _fresh(
        self, delivered: DeliveredIds, events: list[ServerSentEvent], decoder: Decoder
    ) -> list[ServerSentEvent]:
        """Drop the events that were delivered before."""
        own_ids: list[bool] | None = getattr(decoder, "own_ids", None)
        if own_ids is None:  # a decoder that cannot tell: take every id for the event's own
            return delivered.fresh(events, [True] * len(events))
        fresh = delivered.fresh(events, own_ids)
        own_ids.clear()
        return fresh

    def _move(self, cursor: str, events: list[ServerSentEvent]) -> None:
        self.cursor = cursor
        if sendable(cursor):
            self.resumable = cursor
        else:  # perhaps one that came before it in the same chunk can be resumed from
            ids = (event.id for event in reversed(events))
            self.resumable = next(filter(sendable, ids), self.resumable)
        if self.acks is not None and not self.queue:
            self.acks.moved(cursor)

    # -- Out -----------------------------------------------------------------------------------

    @property
    def last_event_id(self) -> str:
        """The cursor after the event delivered last."""
        if not self.queue:
            return self.cursor
        delivered = len(self._batch) - len(self.queue)
        return self._batch[delivered - 1].id if delivered else self._before_batch

    def take(self, events: list[ServerSentEvent]) -> list[ServerSentEvent]:
        """Hand out these, the next ones in order, or as many of them as ``until`` lets through."""
        events = self._up_to_the_last_wanted(events)
        del self.queue[len(self.queue) - len(events) :]
        if self.until_met:
            self.cursor = events[-1].id
            self.queue.clear()
        if self.acks is not None:
            for event in events[:-1]:
                self.acks.deliver(event, event.id)
            for event in events[-1:]:
                self.acks.deliver(event, event.id if self.queue else self.cursor)
        return events

    def _up_to_the_last_wanted(self, events: list[ServerSentEvent]) -> list[ServerSentEvent]:
        # Nothing has left the queue yet, so nothing is lost if the predicate raises.
        if self._settings.until is not None:
            for count, event in enumerate(events, start=1):
                if self._settings.until(event):
                    self.until_met = True
                    return events[:count]
        return events

    def forget_cursor(self) -> None:
        """Resume from now; nothing waits in the queue."""
        self.cursor = self.resumable = ""

    def stop(self) -> None:
        """Deliver nothing more."""
        self.cursor = self.last_event_id
        self.queue.clear()
