"""The failures of the cursor store since it last worked, and what they mean to the consumer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from resilient_sse._delay import checked
from resilient_sse._failure import Failure, FailureKind
from resilient_sse._redact import redact_text, redact_url
from resilient_sse.errors import CursorError
from resilient_sse.lifecycle import CursorStoreFailed

if TYPE_CHECKING:
    from resilient_sse._hooks import Hooks
    from resilient_sse._settings import Settings

Operation: TypeAlias = Literal["load", "save"]

# What a mistake in a program raises, not a store that cannot be reached.
_MISTAKES: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NameError,
    NotImplementedError,
    TypeError,
    ValueError,
)


class StoreOutage:
    """Counts the failures of a cursor store, from the first to the next that works.

    Attributes:
        paused_until: The time before which the store is left alone.
        noted: The failure that was decided about last.
        shown_key: The key in the store; redacted if it is the URL.
    """

    def __init__(self, settings: Settings, hooks: Hooks) -> None:
        self._settings = settings
        self._hooks = hooks
        key, url = settings.cursor_key, settings.url
        self.shown_key = redact_url(url) if key == url else key
        self.noted: BaseException | None = None
        self._paused = False
        self.worked()

    def worked(self) -> None:
        """Forget the failures: the store works."""
        self._count = 0
        self._began: float | None = None
        self.paused_until = -math.inf

    def note(self, error: Exception, now: float, *, cursor: str) -> Failure:
        """Count a failure.

        Args:
            error: The exception.
            now: The time.
            cursor: What was to be saved.
        """
        self.noted = error
        if self._began is None:
            self._began = now
        self._count += 1
        return Failure(
            error=error,
            kind=FailureKind.CURSOR,
            attempt=self._count,
            outage_seconds=now - self._began,
            method="",
            last_event_id=cursor,
            permanent=isinstance(error, (*_MISTAKES, CursorError)),
        )

    def delay(self, failure: Failure) -> float | None:
        """Ask the policy, unless trying again cannot help."""
        policy = self._settings.cursor_policy
        return None if failure.permanent else checked(policy(failure), policy)

    def tell(self, operation: Operation, failure: Failure, delay: float | None) -> None:
        """Tell the hooks of a failure, and of what was decided."""
        self._hooks.emit(
            CursorStoreFailed,
            operation=operation,
            error=failure.error,
            key=self.shown_key,
            attempt=failure.attempt,
            delay=delay,
        )

    def pause(self, until: float) -> None:
        """Leave the store alone for a while; events flow on."""
        self._paused, self.paused_until = True, until

    def outcome(self, operation: Operation, error: Exception) -> CursorError | None:
        """Return what the consumer gets for a failure that is not retried: nothing if paused."""
        paused, self._paused, self.noted = self._paused, False, None
        if paused:
            return None
        if isinstance(error, CursorError):  # the store's own, such as a lost lease
            return error
        story = redact_text(f"{self.shown_key!r}: {error!r}")
        made = CursorError(
            f"the cursor store could not {operation} {story}", key=self._settings.cursor_key
        )
        made.__cause__ = error
        return made
