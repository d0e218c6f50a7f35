"""Gaps: what the server says it cannot replay, and what comes of it.

A gap is an event that the dialect judges to be one, or a 4xx in answer to a cursor that the policy
does not retry. Where ``on_gap`` is a function, the next attempt waits for it. A second gap without
progress between is a failure, so that a server and a function that disagree make no busy loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from resilient_sse.lifecycle import GapDetected

if TYPE_CHECKING:
    from resilient_sse._session.hooks import Hooks
    from resilient_sse._session.settings import Settings
    from resilient_sse._values.event import ServerSentEvent


class Gaps:
    """The gaps of one source.

    Attributes:
        gives_up: Whether a gap ends the source.
        has_function: Whether ``on_gap`` is a function.
        open: The gap that the function has yet to put right; None if there is none.
        repeated: Whether a gap now would be the second without progress between.
    """

    def __init__(self, settings: Settings, hooks: Hooks) -> None:
        self.gives_up = settings.on_gap == "give up"
        self.has_function = callable(settings.on_gap)
        self.open: GapDetected | None = None
        self.repeated = False
        self._hooks = hooks

    def detected(
        self,
        reason: Literal["refused", "event"],
        cursor: str,
        *,
        event: ServerSentEvent | None = None,
        status_code: int | None = None,
    ) -> bool:
        """Tell the hooks of a gap after this cursor, and note it.

        Returns:
            Whether it is a second one in a row that a function is to put right.
        """
        gap = self._hooks.make(
            GapDetected,
            reason=reason,
            last_event_id=cursor,
            status_code=status_code,
            event=event,
            continues=not self.gives_up,
        )
        self._hooks.note(gap)
        if not self.has_function:
            return False
        self.open = gap
        repeated, self.repeated = self.repeated, True
        return repeated
