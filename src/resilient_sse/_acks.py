"""Which cursor is safe to save: the one before which every event is acknowledged."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resilient_sse._event import ServerSentEvent


class _Delivery:
    """One delivered event that waits for its acknowledgement."""

    __slots__ = ("cursor", "done", "event")

    def __init__(self, event: ServerSentEvent, cursor: str) -> None:
        self.event = event
        self.cursor = cursor
        self.done = False


class Acknowledgements:
    """The delivered events that are not wholly done with, in order.

    Workers may acknowledge in any order; `cursor` moves only past what is done without a gap.

    Args:
        cursor: The cursor before the first event.
    """

    def __init__(self, cursor: str) -> None:
        self.cursor = cursor
        self._open: deque[_Delivery] = deque()

    def __len__(self) -> int:
        """Count the events between the safe cursor and the newest delivery."""
        return len(self._open)

    def deliver(self, event: ServerSentEvent, cursor: str) -> None:
        """Note that an event was handed out, and the cursor in force after it."""
        self._open.append(_Delivery(event, cursor))

    def moved(self, cursor: str) -> None:
        """Note that the cursor moved without an event (an id-only block)."""
        if self._open:
            self._open[-1].cursor = cursor
        else:
            self.cursor = cursor

    def ack(self, event: ServerSentEvent) -> None:
        """Note that one event is done with.

        Raises:
            ValueError: If the event does not wait for an acknowledgement.
        """
        for delivery in self._open:
            if delivery.event == event and not delivery.done:
                delivery.done = True
                self._advance()
                return
        msg = f"{event!r} was not delivered by this source, or is acknowledged already"
        raise ValueError(msg)

    def ack_all(self) -> None:
        """Note that everything delivered so far is done with."""
        if self._open:
            self.cursor = self._open[-1].cursor
            self._open.clear()

    def _advance(self) -> None:
        while self._open and self._open[0].done:
            self.cursor = self._open.popleft().cursor
