"""Which cursor is safe to save: the one before which every event is acknowledged.

A store keeps one cursor, and a server replays everything after it. So a cursor saved too early
loses events in a crash, and one saved too late only repeats some: here it never runs ahead of an
event that is not acknowledged, in whatever order workers acknowledge.

Events are told apart by what they are, not by which object they are: a program may hand copies to
its workers, and ids may be missing or come again. Equal events therefore form a chain, from its
eldest on, and an acknowledgement counts for the eldest: which of them it was makes no difference to
what is safe, because all of them have to be done before the cursor passes the last.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from resilient_sse._values.redact import redact_text

if TYPE_CHECKING:
    from resilient_sse._values.event import ServerSentEvent


class _Delivered:
    """One delivered event that waits for its acknowledgement.

    Attributes:
        cursor: The cursor in force after it.
        done: Whether it is acknowledged.
        twin: The next delivery of an equal event.
        last_twin: The last one, kept by the first of them only.
    """

    __slots__ = ("cursor", "done", "last_twin", "twin")

    def __init__(self, cursor: str) -> None:
        self.cursor = cursor
        self.done = False
        self.twin: _Delivered | None = None
        self.last_twin = self


class Acknowledgements:
    """The delivered events that are not wholly done with, in order.

    Workers may acknowledge in any order; `cursor` moves only past what is done without a gap.
    Everything here takes the same time however many events are open: a twin is found through its
    elder, so that a thousand equal events are no slower than different ones.

    Args:
        cursor: The cursor before the first event.

    Attributes:
        cursor: The safe cursor.
        passed: How many deliveries lie before it.
    """

    def __init__(self, cursor: str) -> None:
        self.cursor = cursor
        self.passed = 0
        self._open: deque[_Delivered] = deque()
        self._by_event: dict[ServerSentEvent, _Delivered] = {}

    def __len__(self) -> int:
        """Count the events between the safe cursor and the newest delivery."""
        return len(self._open)

    def deliver(self, event: ServerSentEvent, cursor: str) -> None:
        """Note that an event was handed out, and the cursor in force after it."""
        delivery = _Delivered(cursor)
        self._open.append(delivery)
        eldest = self._by_event.setdefault(event, delivery)
        if eldest is not delivery:
            eldest.last_twin.twin = delivery
            eldest.last_twin = delivery

    def moved(self, cursor: str) -> None:
        """Note that the cursor moved without an event (an id-only block)."""
        if self._open:
            self._open[-1].cursor = cursor
        else:
            self.cursor = cursor

    def ack(self, event: ServerSentEvent) -> None:
        """Note that one event is done with; of equal events, the one delivered first.

        Raises:
            ValueError: If the event does not wait for an acknowledgement.
        """
        delivery = self._by_event.pop(event, None)
        if delivery is None:
            which = redact_text(repr(event))
            msg = f"{which} was not delivered by this source, or is acknowledged already"
            raise ValueError(msg)
        if delivery.twin is not None:
            delivery.twin.last_twin = delivery.last_twin
            self._by_event[event] = delivery.twin
        delivery.done = True
        self._advance()

    def ack_all(self) -> None:
        """Note that everything delivered so far is done with."""
        if self._open:
            self.cursor = self._open[-1].cursor
            self.passed += len(self._open)
            self._open.clear()
            self._by_event.clear()

    def waiting(self, cursor: str) -> int:
        """Count the deliveries with this cursor that are not acknowledged."""
        return sum(one.cursor == cursor for one in self._open)

    def ack_through(self, cursor: str) -> None:
        """Note that everything up to the last delivery with this cursor is done with."""
        rest = list(self._open)
        while rest and rest[-1].cursor != cursor:
            rest.pop()
        for delivery in rest:
            delivery.done = True
        for event, eldest in list(self._by_event.items()):
            self._forget_done(event, eldest)
        self._advance()

    def _forget_done(self, event: ServerSentEvent, eldest: _Delivered) -> None:
        last, left = eldest.last_twin, eldest
        while left.done and left.twin is not None:
            left = left.twin
        if left.done:
            del self._by_event[event]
        else:
            left.last_twin, self._by_event[event] = last, left

    def _advance(self) -> None:
        while self._open and self._open[0].done:
            self.cursor = self._open.popleft().cursor
            self.passed += 1
