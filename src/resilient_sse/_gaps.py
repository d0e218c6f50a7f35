"""Gaps: what the server says it cannot replay, and where the consumer hears of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from resilient_sse.errors import GapError
from resilient_sse.lifecycle import GapDetected

if TYPE_CHECKING:
    from resilient_sse._event import ServerSentEvent
    from resilient_sse._failure import Failure
    from resilient_sse._hooks import Hooks
    from resilient_sse._settings import Settings


class Gaps:
    """The rule of one source about gaps."""

    def __init__(self, settings: Settings, hooks: Hooks) -> None:
        self._continues = settings.on_gap == "continue"
        self._names = settings.gap
        self._hooks = hooks

    def next_up(self, events: list[ServerSentEvent], cursor: str) -> list[ServerSentEvent]:
        """Return what stands before the first gap; or else tell of the gap, and return its event.

        Raises:
            GapError: If a gap stands first and the source does not go on.
        """
        if self._names is None:
            return events
        for count, event in enumerate(events):
            if self._names(event):
                return events[:count] or self._at(event, cursor)
        return events

    def _at(self, event: ServerSentEvent, cursor: str) -> list[ServerSentEvent]:
        self._tell("event", cursor, event=event)
        if not self._continues:
            raise GapError(event)
        return [event]

    def refused(self, failure: Failure, cursor: str) -> bool:
        """Tell of a gap if the server refused to resume from a cursor; return whether to go on."""
        if not (cursor and failure.refuses_resume):
            return False
        self._tell("refused", cursor, status_code=failure.status_code)
        return self._continues

    def _tell(
        self,
        reason: Literal["refused", "event"],
        cursor: str,
        *,
        event: ServerSentEvent | None = None,
        status_code: int | None = None,
    ) -> None:
        """Tell the hooks of a gap after this cursor."""
        self._hooks.emit(
            GapDetected,
            reason=reason,
            last_event_id=cursor,
            status_code=status_code,
            event=event,
            continues=self._continues,
        )
