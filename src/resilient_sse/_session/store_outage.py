"""The failures of the cursor store since it last worked, and what they mean to the consumer."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from resilient_sse._session.delay import checked
from resilient_sse._values.failure import Failure, FailureKind
from resilient_sse._values.frames import forget_locals
from resilient_sse._values.redact import quoted, redact_text, repr_with_message
from resilient_sse.errors import CursorError, of_library
from resilient_sse.lifecycle import CursorStoreFailed
from resilient_sse.policies import ExponentialBackoff

if TYPE_CHECKING:
    from resilient_sse._session.hooks import Hooks
    from resilient_sse._session.settings import Settings

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
    """

    def __init__(self, settings: Settings, hooks: Hooks) -> None:
        self._settings = settings
        self._hooks = hooks
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
        forget_locals(error)
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
        if failure.permanent:
            return None
        delay = checked(policy(failure), policy)
        return _until_its_time(policy, failure) if delay is None else delay

    def tell(self, operation: Operation, failure: Failure, delay: float | None) -> None:
        """Tell the hooks of a failure, and of what was decided."""
        self._hooks.emit(
            CursorStoreFailed,
            operation=operation,
            error=failure.error,
            key=self._settings.shown_key,
            attempt=failure.attempt,
            delay=delay,
        )

    def given_up(self, operation: Operation, error: Exception) -> CursorError:
        """Return what the consumer gets for a failure that is not retried."""
        if isinstance(error, CursorError):  # the store's own, such as a lost lease
            return error
        settings = self._settings
        story = f"{quoted(settings.shown_key)}: {redact_text(repr_with_message(error))}"
        made = CursorError(
            f"the cursor store could not {operation} {story}", key=settings.cursor_key
        )
        made.__cause__ = error
        return of_library(made, settings.library)


def _until_its_time(policy: object, failure: Failure) -> float | None:
    """Return the rest of a policy's time, if that is the only reason why it gives up.

    It gives up as soon as its next wait would take too long, long before its time. A stream has
    been waited for by then; a store that is back in time has not failed the consumer.
    """
    if type(policy) is not ExponentialBackoff or policy.timeout is None:
        return None
    rest = policy.timeout - failure.outage_seconds
    patient = replace(policy, timeout=None)
    return None if rest <= 0 or patient(failure) is None else rest
