"""Which cursor is safe to save: the one before which every event is acknowledged."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resilient_sse._event import ServerSentEvent


class _Delivery:
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
        self.twin: _Delivery | None = None
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
        self._open: deque[_Delivery] = deque()
        self._by_event: dict[ServerSentEvent, _Delivery] = {}

    def __len__(self) -> int:
        """Count the events between the safe cursor and the newest delivery."""
        return len(self._open)

    def deliver(self, event: ServerSentEvent, cursor: str) -> None:
        """Note that an event was handed out, and the cursor in force after it."""
        delivery = _Delivery(cursor)
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
            msg = f"{event!r} was not delivered by this source, or is acknowledged already"
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

    def _advance(self) -> None:
        while self._open and self._open[0].done:
            self.cursor = self._open.popleft().cursor
            self.passed += 1
