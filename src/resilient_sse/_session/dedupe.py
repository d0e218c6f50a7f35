"""Dropping events that a server sends again after a reconnection."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from resilient_sse._values.event import ServerSentEvent


class DeliveredIds:
    """The last ids delivered, to know a repeated event by.

    Only an event whose own block had an ``id`` field can be known to be a repetition: others
    carry the id of an earlier event, and dropping them would lose them.

    Args:
        size: How many ids to remember.
        delivered: An id that is known to have been delivered already ("" for none).
    """

    def __init__(self, size: int, delivered: str = "") -> None:
        self._recent: deque[str] = deque()
        self._known: set[str] = set()
        self._size = size
        self.remember(delivered)

    def fresh(
        self, events: Iterable[ServerSentEvent], own_ids: Iterable[bool]
    ) -> list[ServerSentEvent]:
        """Return the events that were not delivered before, and remember their ids.

        Args:
            events: Decoded events, in order.
            own_ids: For each of them, whether an ``id`` field stood in its own block.
        """
        pairs = zip(events, own_ids, strict=True)
        return [event for event, own in pairs if self._is_new(event, own=own)]

    def _is_new(self, event: ServerSentEvent, *, own: bool) -> bool:
        if own and event.id in self:
            return False
        if own:
            self.remember(event.id)
        return True

    def __contains__(self, event_id: str | None) -> bool:
        """Say whether an event with this id was delivered before."""
        return event_id in self._known

    def remember(self, event_id: str) -> None:
        """Note that the event with this id is delivered; "" is no id."""
        if not event_id or event_id in self._known:
            return
        self._recent.append(event_id)
        self._known.add(event_id)
        if len(self._recent) > self._size:
            self._known.remove(self._recent.popleft())
