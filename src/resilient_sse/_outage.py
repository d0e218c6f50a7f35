"""The failures since the stream last made progress, and what they were."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from resilient_sse._classify import classify, given_up_by_tcp
from resilient_sse._failure import Failure, FailureKind
from resilient_sse.errors import IdleTimeout, UnsafeRetry

if TYPE_CHECKING:
    from resilient_sse._settings import Settings


# RFC 9110 9.2.2, and the QUERY method: repeating one of these does no more than sending it once.
_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "QUERY"})
_REMEMBERED: Final = 100


class Outage:
    """Counts failures from the moment the stream stops to its next progress.

    Attributes:
        count: The failures so far.
        failures: The newest 100 of them, oldest first.
        current: The failure of the last attempt or connection; None while one is under way.
        cause: The exception that ``current`` was made from.
        server_retry: Seconds, from the stream's last ``retry`` field.
        method: The method of the request that was sent last.
        sent: Whether this attempt has come to send its request.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.method = settings.method
        self.server_retry: float | None = None
        self.failures: deque[Failure] = deque(maxlen=_REMEMBERED)
        self.end()
        self.current: Failure | None = None
        self.cause: BaseException | None = None
        self.sent = False
        self._acted = False

    def end(self) -> None:
        """Forget the failures: there was progress."""
        self._began: float | None = None
        self.count = 0
        self.failures.clear()

    def attempt_begins(self, now: float) -> None:
        """Note that another attempt is under way."""
        if self._began is None:
            self._began = now
        self.current = None
        self.sent = False

    def sending(self, method: str) -> None:
        """Note that the request of this attempt is about to be sent."""
        self.method, self.sent = method.upper(), True

    def note(
        self, error: BaseException, now: float, *, cursor: str, progress: bool | None = None
    ) -> Failure | None:
        """Count a failure.

        Args:
            error: The exception.
            now: The time.
            cursor: The cursor in force.
            progress: Whether the connection that ended had made progress; None if the attempt
                did not get as far as a connection.

        Returns:
            The failure, or None if the exception is none.
        """
        verdict = classify(error)
        if verdict is None or not isinstance(error, Exception):
            return None
        kind = verdict.kind
        if kind is FailureKind.TIMEOUT and progress is not None:
            if given_up_by_tcp(error):
                kind = FailureKind.TRANSPORT
            else:
                kind, error = FailureKind.IDLE, self._idle(error)
        if self._began is None:
            self._began = now
        self.count += 1
        self._acted = self.sent and verdict.acted
        self.cause = error
        self.current = Failure(
            error=error,
            kind=kind,
            attempt=self.count,
            outage_seconds=now - self._began,
            status_code=getattr(error, "status_code", None),
            retry_after=getattr(error, "retry_after", None),
            server_retry=self.server_retry,
            method=self.method,
            last_event_id=cursor,
            progress=bool(progress),
            permanent=verdict.permanent,
        )
        self.failures.append(self.current)
        return self.current

    def _idle(self, error: Exception) -> IdleTimeout:
        """Name a read timeout of an open stream by what it means."""
        idle = IdleTimeout(
            f"no byte came for {self._settings.idle_timeout} s, so the connection counts as lost"
        )
        idle.__cause__ = error
        return idle

    def may_repeat(self, cursor: str) -> bool:
        """Say whether the request may be sent again: it does no harm, or resumes, or never arrived.

        Args:
            cursor: The cursor that the next attempt would send.
        """
        harmless = self._settings.retry_unsafe or self.method in _IDEMPOTENT
        return harmless or bool(cursor) or not self._acted

    def refuse_to_repeat(self, failure: Failure) -> None:
        """Make the failure one that says why the request is not sent again."""
        error = UnsafeRetry(failure.method)
        error.__cause__ = failure.error
        self.current = replace(failure, error=error, kind=FailureKind.UNSAFE)
        self.failures[-1] = self.current
