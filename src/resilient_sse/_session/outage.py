"""The failures since the stream last made progress, and what they were."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from resilient_sse._session.classify import classify, given_up_by_tcp
from resilient_sse._values.failure import Failure, FailureKind
from resilient_sse._values.frames import forget_locals
from resilient_sse._values.http import IDEMPOTENT_METHODS
from resilient_sse._values.presentable import make_presentable
from resilient_sse.errors import IdleTimeout, UnsafeRetry, of_library

if TYPE_CHECKING:
    from resilient_sse._session.settings import Settings
    from resilient_sse._values.http_messages import HTTPRequest


_REMEMBERED: Final = 100


class Outage:
    """Counts failures from the moment the stream stops to its next progress.

    Attributes:
        count: The failures so far.
        failures: The newest 100 of them, oldest first.
        current: The failure of the last attempt or connection; None while one is under way.
        server_retry: Seconds, from the stream's last ``retry`` field.
        method: The method of the attempt's request, whatever a redirect made of it.
        sent: Whether this attempt has come to send its request.
        request: The request that was sent last, for errors to tell of; None if none was.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.method = settings.method
        self.server_retry: float | None = None
        self.failures: list[Failure] = []
        self.end()
        self.current: Failure | None = None
        self.sent = False
        self.request: HTTPRequest | None = None
        self._acted = False

    def end(self) -> None:
        """Forget the failures: there was progress."""
        self._began: float | None = None
        self.count = 0
        self.failures.clear()

    def lasted(self, now: float) -> float:
        """Return the seconds since it began; 0.0 if nothing has failed."""
        return now - self._began if self.count and self._began is not None else 0.0

    def forget(self) -> None:
        """Let go of what failed: tracebacks hold frames, and these hold clients."""
        self.end()
        self.current = self.request = None

    def attempt_begins(self, now: float) -> None:
        """Note that another attempt is under way."""
        if self._began is None:
            self._began = now
        self.current = None
        self.nothing_sent()

    def nothing_sent(self) -> None:
        """Note that what comes next is no answer to a request."""
        self.request, self.sent = None, False

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
        forget_locals(error)
        verdict = classify(error)
        if verdict is None or not isinstance(error, Exception):
            return None
        kind = verdict.kind
        if kind is FailureKind.TIMEOUT and progress is not None:
            if given_up_by_tcp(error):
                kind = FailureKind.TRANSPORT
            else:
                kind, error = FailureKind.IDLE, self._idle(error)
        make_presentable(of_library(error, self._settings.library), self.request)
        if self._began is None:
            self._began = now
        self.count += 1
        self._acted = self.sent and verdict.acted
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
            recoverable=kind is FailureKind.GAP,  # another gap ends the source, and is not counted
        )
        self.failures.append(self.current)
        del self.failures[:-_REMEMBERED]
        return self.current

    def as_gap(self, failure: Failure) -> Failure:
        """Make the last failure one of kind GAP, which a function may put right."""
        self.current = replace(failure, kind=FailureKind.GAP, recoverable=True)
        self.failures[-1] = self.current
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
        harmless = self._settings.retry_unsafe or self.method in IDEMPOTENT_METHODS
        return harmless or bool(cursor) or not self._acted

    def refuse_to_repeat(self, failure: Failure) -> None:
        """Make the failure one that says why the request is not sent again."""
        error = of_library(UnsafeRetry(failure.method, failure), self._settings.library)
        error.__cause__ = failure.error
        self.current = replace(failure, error=error, kind=FailureKind.UNSAFE)
        self.failures[-1] = self.current
