"""What is handed to the consumer, and the cursor to resume from after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from resilient_sse._session.acks import Acknowledgements
from resilient_sse._session.dedupe import DeliveredIds
from resilient_sse._session.dialect import Verdict, carrier
from resilient_sse._session.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Iterable

    from resilient_sse._decoding.protocol import Decoder
    from resilient_sse._session.rules import Looked
    from resilient_sse._session.settings import Settings
    from resilient_sse._values.event import ServerSentEvent


class Run(NamedTuple):
    """Events that came in together, behind comments that hooks are to hear of first."""

    comments: list[str]
    events: list[ServerSentEvent]


class Delivery:
    """The events of one source on their way to its consumer.

    The queue holds one run of them: the events that came in together, up to the first comment that
    hooks are to hear of; more runs may wait behind it. The next event stands last in the queue,
    where taking it costs least.

    Where rules apply to single events, the cursor moves as they are handed out; where none does, as
    they come in, because then nobody tells when they are handed out.

    Attributes:
        queue: The events that may be handed out.
        waiting: The runs behind the queue, each with the comments in front of it.
        rules: What is asked about single events; None if nothing is.
        cursor: The cursor after the newest event that moved it.
        carries: Says whether a request can carry a cursor.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.queue: list[ServerSentEvent] = []
        self.waiting: list[Run] = []
        self._batch: list[ServerSentEvent] = []
        self._before_batch = ""
        self.rules = Rules(settings) if settings.looks_at_events else None
        self._by_id = settings.dedupe > 0 if self.rules is None else self.rules.by_id
        self._delivered_ids: DeliveredIds  # where no rules apply, but `dedupe` does
        self.cursor: str
        self._newest = ""  # the decoder's cursor
        # What is delivered, but not acknowledged; None if there is no store to tell of it.
        self.acks = None if settings.cursor is None else Acknowledgements("")
        self.carries = carrier(settings.dialect)
        self._resumable = ""
        self.trail: list[str] = []  # the cursors since then, of which some may be
        self.resume_from(settings.last_event_id)

    def resume_from(self, cursor: str) -> None:
        """Set the cursor before the first event, or before the first after a gap."""
        self.cursor = self._newest = cursor
        self._resumable = cursor if self.carries(cursor) else ""
        self.trail.clear()
        if self.acks is not None:
            self.acks.moved(cursor)
        if self.rules is not None:
            self.rules.begin_after(cursor)
        elif self._by_id:
            self._delivered_ids = DeliveredIds(self._settings.dedupe, delivered=cursor)

    @property
    def resumable(self) -> str:
        """The newest cursor that a request can carry."""
        if self.trail:
            self._resumable = self._find_resumable(reversed(self.trail))
            self.trail.clear()
        return self._resumable

    def _resumable_after(self, events: list[ServerSentEvent], newest: str) -> str:
        """Return the newest cursor that a request can carry, after these events have come."""
        if self.carries(newest):
            return newest
        return self._find_resumable(event.id for event in reversed(events))

    def _find_resumable(self, cursors: Iterable[str]) -> str:
        """Return the first of these, newest first, that a request can carry; else the old one."""
        return next(filter(self.carries, cursors), self._resumable)

    # -- In ------------------------------------------------------------------------------------

    @property
    def stream_id(self) -> str:
        """The id that is in force as a connection begins."""
        by_position = self.rules is not None and self.rules.by_position
        return self.rules.stream_id if self.rules is not None and by_position else self.cursor

    def begin_with(self, decoder: Any) -> None:  # noqa: ANN401 - only SSEDecoder has own_ids
        """Begin with a new connection: its decoder tells which events have an id of their own."""
        if self.rules is not None and not self.rules.by_position:
            self.rules.stream_id = self.cursor  # perhaps not that of the event that ended the last
        if self._by_id and hasattr(decoder, "own_ids"):
            decoder.own_ids = []

    def fill(
        self,
        events: list[ServerSentEvent],
        decoder: Decoder,
        comments: list[str] | None = None,
    ) -> int:
        """Take what the decoder returned, and the comments before it; return how many are new."""
        if self._by_id and events:
            events = self._looked_at_ids(events, decoder)
        newest = decoder.last_event_id
        moves = newest != self.cursor and self.rules is None
        resumable = self._resumable_after(events, newest) if moves else ""
        if comments or self.queue or self.waiting:
            self.line_up(events, comments or [])
        else:
            # As `_enqueue` does, whose call would be a part of what each read costs.
            turned = events if len(events) == 1 else events[::-1]
            self._before_batch, self._batch = self.cursor, events
            self.queue += turned
        self._newest = newest
        if moves:
            self.cursor, self._resumable = newest, resumable
        elif self.rules is not None:
            self.settle(self.rules)
        return len(events)

    def _looked_at_ids(
        self, events: list[ServerSentEvent], decoder: Decoder
    ) -> list[ServerSentEvent]:
        """Return the events that are new; where rules apply, they are to tell which are."""
        own_ids = _own_ids(events, decoder)
        if self.rules is not None:
            self.rules.note(own_ids)
            return events
        return self._delivered_ids.fresh(events, own_ids)

    def _enqueue(self, events: list[ServerSentEvent], before: str) -> None:
        """Put events into the queue, which is empty.

        A signal handler may raise after any call, and the program may go on all the same. So
        nothing is called here, nor by who calls this up to what belongs to it.
        """
        self._before_batch, self._batch, self.queue[:] = before, events, events[::-1]

    def line_up(self, events: list[ServerSentEvent], comments: list[str]) -> None:
        """Put events behind what waits, with the comments in front of them."""
        if not self.queue and not self.waiting:
            self._batch, self._before_batch = [], self.cursor
        if self.waiting and not self.waiting[-1].events:  # so a flood of comments is one run
            self.waiting[-1].comments.extend(comments)
            self.waiting[-1].events[:] = events
        elif comments or events:
            self.waiting += [Run(comments, events)]

    def next_run(self) -> list[str]:
        """Let the next run into the queue; return the comments that stand in front of it."""
        if not self.waiting:  # perhaps another thread closed the source
            return []
        before = self.last_event_id
        run = self.waiting[0]
        self._enqueue(run.events, before)
        del self.waiting[0]
        return run.comments

    def comments_due(self) -> list[str]:
        """Return the comments that no event in front of them keeps back."""
        return self.waiting[0].comments if self.waiting and not self.queue else []

    def join(self) -> None:
        """Let all runs into the queue, and the comments between them wait behind them."""
        if not self.queue:
            return
        events = self._batch.copy()
        for run in self.waiting:
            events += run.events
        comments = [text for run in self.waiting for text in run.comments]
        behind = [Run(comments, [])] if comments else []
        self._enqueue(events, self._before_batch)
        self.waiting[:] = behind

    def settle(self, rules: Rules) -> None:
        """Once nothing waits, take over an id that came without an event."""
        _ = self.resumable  # which shortens the trail
        if not self._more and not rules.by_position and self._newest != rules.stream_id:
            rules.stream_id = self._newest
            self._move(self._newest)
            if self.acks is not None:
                self.acks.moved(self._newest)

    def _move(self, cursor: str, before: Iterable[str] = ()) -> None:
        """Move the cursor; what came before it may be resumed from if it cannot."""
        self.cursor = cursor
        self.trail += (*before, cursor)

    @property
    def _more(self) -> bool:
        """Whether any event waits to be handed out."""
        return bool(self.queue) or any(run.events for run in self.waiting)

    # -- Out -----------------------------------------------------------------------------------

    @property
    def last_event_id(self) -> str:
        """The cursor after the event delivered last."""
        if self.rules is not None or not self._more:
            return self.cursor
        delivered = len(self._batch) - len(self.queue)
        return self._batch[delivered - 1].id if delivered else self._before_batch

    def pop(self, most: int | None) -> list[ServerSentEvent]:
        """Hand out at most so many events, where no rule applies to them; None: any number."""
        first = 0 if most is None else max(0, len(self.queue) - most)
        events = self.queue[first:]
        del self.queue[first:]
        events.reverse()
        return events

    def take(self, rules: Rules, looked: Looked) -> list[ServerSentEvent]:
        """Hand out what the rules let through, and move the cursor behind all they looked at."""
        del self.queue[len(self.queue) - looked.count :]
        rules.taken(looked)
        if self.acks is not None and looked.before != self.cursor:
            self.acks.moved(looked.before)
        if self.acks is not None:
            for event, cursor in zip(looked.handed, looked.cursors, strict=True):
                self.acks.deliver(event, cursor)
        if looked.cursor != self.cursor:
            self._move(looked.cursor, (looked.before, *looked.cursors))
        if not looked.halts:
            self.settle(rules)
        elif looked.verdict is not Verdict.GAP:  # after which the stream may go on
            self.discard()
        return looked.handed

    def discard(self) -> None:
        """Hand out nothing more of what has come in; the cursor stays."""
        if self.rules is not None:
            self.rules.discard()
        self.queue.clear()
        self.waiting.clear()

    def forget_cursor(self) -> None:
        """Resume from now; nothing waits in the queue."""
        self.cursor = self._resumable = ""
        self.trail.clear()

    def stop(self) -> None:
        """Deliver nothing more."""
        self.cursor = self.last_event_id
        self.discard()


def _own_ids(events: list[ServerSentEvent], decoder: Decoder) -> list[bool]:
    """Return for each event whether an ``id`` field stood in its own block."""
    own_ids: list[bool] | None = getattr(decoder, "own_ids", None)
    if own_ids is None:  # a decoder that cannot tell: take every id for the event's own
        return [True] * len(events)
    found = own_ids.copy()
    own_ids.clear()
    return found
