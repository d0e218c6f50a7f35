"""The session: the state of a source, and every decision about it.

The session does no I/O, reads no clock and starts nothing. A driver (`_async_source`,
`_sync_source`) does the I/O, tells the session what happened and when, and does what it says.
Time is an argument: any clock that only goes forward, in seconds.

    CONNECTING --connected--> OPEN --lost--> WAITING --begin_attempt--> CONNECTING
        |  ^                   |                |
        |  '--begin_attempt--WAITING<--failed---'      any state --close--> CLOSED

The words: an *event* is what the decoder dispatched; the *cursor* is the last event id in force; an
*outage* lasts from the moment a healthy stream fails (or the first attempt starts) to the next
*progress*: an event dispatched, or ``reset_after`` seconds of open connection.

The rules:

- Events that were received are delivered before a lost connection is acted on: the driver reads
  only when `take` has nothing more.
- Asking for the next event acknowledges the one before (unless ``auto_ack`` is off), and only the
  cursor of acknowledged events is saved.
- A failure is counted once, and only progress resets the count. The policy sees the count and
  decides; a request that may not be repeated is not repeated whatever the policy says.
- Every attempt resumes from the cursor. An id that no HTTP header can carry does not become the
  cursor to resume from: events may then come twice, but none is lost.
- Hooks hear of everything in the order that `lifecycle` states; after `Closed`, of nothing.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from resilient_sse._acks import Acknowledgements
from resilient_sse._classify import classify
from resilient_sse._dedupe import DeliveredIds
from resilient_sse._failure import Attempt, Failure, FailureKind
from resilient_sse._header import sendable
from resilient_sse._hooks import Hooks
from resilient_sse._redact import redact_url
from resilient_sse.errors import GiveUpError, IdleTimeout, UnsafeRetry
from resilient_sse.lifecycle import (
    Closed,
    Comment,
    Connected,
    Connecting,
    ConnectionState,
    Disconnected,
    GaveUp,
    RetryScheduled,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from resilient_sse._event import ServerSentEvent
    from resilient_sse._settings import Decoder, Settings

__all__ = ["Session"]

# RFC 9110 9.2.2: repeating one of these has the same effect as sending it once.
_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "QUERY"})
_REMEMBERED_FAILURES: Final = 100
_NO_CONTENT: Final = 204  # WHATWG HTML 9.2.3: "to tell it to stop reconnecting"
_source_ids: Final = itertools.count(1)


class _Connection:
    """What is known of the open connection."""

    __slots__ = ("bytes", "decoder", "events", "opened_at", "own_ids")

    def __init__(self, decoder: Decoder, opened_at: float) -> None:
        self.decoder = decoder
        self.opened_at = opened_at
        self.events = 0
        self.bytes = 0


class Session:
    """The state of one source. Times are seconds of a clock that only goes forward."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.source_id = next(_source_ids)
        self.url = redact_url(settings.url)
        self.state = ConnectionState.CONNECTING
        self._hooks = Hooks(settings.hooks, url=self.url, source_id=self.source_id)

        # Delivery. The next event stands last in the queue, where taking it is cheapest.
        self.queue: list[ServerSentEvent] = []
        self.plain = settings.until is None and settings.cursor is None
        self._batch: list[ServerSentEvent] = []
        self._before_batch = ""
        self._until_met = False

        # Resume
        self._acks: Acknowledgements | None = None
        self._delivered_ids: DeliveredIds | None = None
        self._cursor = self._resumable = self._saved = ""
        self.resume_from(settings.last_event_id)

        # The open connection, the attempt, the outage
        self._connection: _Connection | None = None
        self.reconnect_requested = False
        self._attempt = Attempt(0, None, "")
        self._attempt_began = 0.0
        self._method = settings.method
        self._server_retry: float | None = None
        self._outage_began: float | None = None
        self._failure_count = 0
        self._failures: deque[Failure] = deque(maxlen=_REMEMBERED_FAILURES)
        self._failure: Failure | None = None  # of the last attempt or connection
        self._raised: BaseException | None = None  # the exception it was made from
        self._acted = False  # whether the server may have acted on the request
        self._unraised: Exception | None = None  # what stamina's loop has yet to see
        self._scheduled: tuple[Failure, float] | None = None  # what hooks have yet to hear

    # -- Delivery ------------------------------------------------------------------------------

    @property
    def last_event_id(self) -> str:
        """The cursor after the event delivered last."""
        if not self.queue:
            return self._cursor
        delivered = len(self._batch) - len(self.queue)
        return self._batch[delivered - 1].id if delivered else self._before_batch

    @property
    def finished(self) -> bool:
        """Whether nothing more will come."""
        return self.state is ConnectionState.CLOSED

    def acknowledge(self) -> None:
        """Acknowledge what was delivered, because more is asked for."""
        if self._acks is not None and self._settings.auto_ack:
            self._acks.ack_all()

    def take(self, now: float) -> ServerSentEvent | None:
        """Hand out the next event; None if the driver has to do something first."""
        events = self._take(self.queue[-1:], now)
        return events[0] if events else None

    def take_batch(self, now: float) -> list[ServerSentEvent]:
        """Hand out the events that came in together and are not delivered yet."""
        return self._take(self.queue[::-1], now)

    def _take(self, events: list[ServerSentEvent], now: float) -> list[ServerSentEvent]:
        """Deliver these, the next ones in order."""
        if self._until_met:
            self.close("until", now)
            return []
        events = self._up_to_last_wanted(events)
        del self.queue[len(self.queue) - len(events) :]
        if self._until_met:
            self._cursor = events[-1].id
            self.queue.clear()
        if self._acks is not None:
            for event in events[:-1]:
                self._acks.deliver(event, event.id)
            for event in events[-1:]:
                self._acks.deliver(event, event.id if self.queue else self._cursor)
        return events

    def _up_to_last_wanted(self, events: list[ServerSentEvent]) -> list[ServerSentEvent]:
        """Cut the events after the first one that ``until`` accepts."""
        until = self._settings.until
        if until is not None:
            for count, event in enumerate(events, start=1):
                if until(event):
                    self._until_met = True
                    return events[:count]
        return events

    # -- Resume --------------------------------------------------------------------------------

    def resume_from(self, cursor: str) -> None:
        """Set the first cursor."""
        self._cursor = self._saved = cursor
        self._resumable = cursor if sendable(cursor) else ""
        if self._settings.cursor is not None:
            self._acks = Acknowledgements(cursor)
        if self._settings.dedupe:
            self._delivered_ids = DeliveredIds(self._settings.dedupe, delivered=cursor)

    def ack(self, event: ServerSentEvent) -> None:
        """Note that the consumer is done with an event.

        Raises:
            ValueError: If it was not delivered, or is acknowledged already.
        """
        if self._acks is not None:
            self._acks.ack(event)

    def unsaved(self) -> str | None:
        """Return the cursor that the store does not have yet; None if it is up to date."""
        if self._acks is None or self._acks.cursor == self._saved or not sendable(self._acks.cursor):
            return None
        return self._acks.cursor

    def saved(self, cursor: str) -> None:
        """Note that the store has this cursor."""
        self._saved = cursor

    # -- Attempts ------------------------------------------------------------------------------

    def raise_pending(self) -> None:
        """Raise the failure that ended the stream, so that it is stamina's first attempt."""
        error, self._unraised = self._unraised, None
        if error is not None:
            raise error

    def begin_attempt(self, now: float) -> Attempt:
        """Begin one try at opening a connection."""
        self.announce_retry()
        self.reconnect_requested = False
        if self._outage_began is None:
            self._outage_began = now
        self._attempt = Attempt(self._failure_count + 1, self._failure, self._resumable)
        self._attempt_began = now
        self._failure = None
        self.state = ConnectionState.CONNECTING
        self._hooks.emit(
            Connecting,
            attempt=self._attempt.number,
            last_event_id=self._attempt.last_event_id,
        )
        return self._attempt

    def sending(self, method: str) -> None:
        """Note the method of the request that is about to be sent."""
        self._method = method.upper()

    def connected(self, status_code: int, headers: Mapping[str, str], now: float) -> bool:
        """Note that the server agreed.

        Returns:
            Whether there is a stream to read. If not, the response is to be closed: the server
            said with a 204 that there is no more to come, or the source was closed meanwhile.
        """
        if status_code == _NO_CONTENT:
            self.close("no content", now)
        if self.finished:
            return False
        settings = self._settings
        decoder = settings.decoder(
            last_event_id=self._cursor,
            max_event_size=settings.max_event_size,
            on_comment=self._comment if self._hooks else None,
        )
        if self._delivered_ids is not None and hasattr(decoder, "own_ids"):
            decoder.own_ids = []
        self._connection = _Connection(decoder, now)
        self.state = ConnectionState.OPEN
        self._hooks.emit(
            Connected,
            attempt=self._attempt.number,
            status_code=status_code,
            headers=headers,
            seconds=now - self._attempt_began,
            resumed=bool(self._attempt.last_event_id),
        )
        return True

    def received(self, chunk: bytes) -> None:
        """Decode the next bytes of the open connection into the queue, which is empty.

        Raises:
            EventTooLarge: If an event passes ``max_event_size``.
        """
        connection = self._connection
        if connection is None:  # closed from another thread while reading
            return
        connection.bytes += len(chunk)
        decoder = connection.decoder
        events = decoder.feed(chunk)
        if events:
            events = self._fresh(decoder, events)
            connection.events += len(events)
            self._before_batch = self._cursor
            self._batch = events
            self.queue.extend(reversed(events))
        cursor = decoder.last_event_id
        if cursor != self._cursor:
            self._move_cursor(cursor)

    def _move_cursor(self, cursor: str) -> None:
        self._cursor = cursor
        if sendable(cursor):
            self._resumable = cursor
        if self._acks is not None and not self.queue:
            self._acks.moved(cursor)

    def _fresh(self, decoder: Decoder, events: list[ServerSentEvent]) -> list[ServerSentEvent]:
        """Drop the events that were delivered before, if that is asked for."""
        if self._delivered_ids is None:
            return events
        own_ids: list[bool] | None = getattr(decoder, "own_ids", None)
        if own_ids is None:  # another decoder: an id that moved is the event's own
            return self._delivered_ids.fresh(events, [True] * len(events))
        events = self._delivered_ids.fresh(events, own_ids)
        own_ids.clear()
        return events

    def _comment(self, text: str) -> None:
        self._hooks.emit(Comment, text=text)

    def lost(self, error: Exception | None, now: float) -> Exception | None:
        """Note that the open connection is over.

        Args:
            error: Why; None if this side dropped it.
            now: The time.

        Returns:
            The error if it is no failure of the stream, and is to be raised as it is.
        """
        connection, self._connection = self._connection, None
        if connection is None:
            return None
        if self.reconnect_requested:  # what broke is what this side broke
            error = None
        lifetime = now - connection.opened_at
        progress = connection.events > 0 or lifetime >= self._settings.reset_after
        self._note_server_retry(connection.decoder)
        if progress:
            self._end_outage()
        failure = None
        if error is not None and (failure := self._note(error, now, progress=progress)):
            self._unraised = failure.error
        self.state = ConnectionState.CONNECTING
        self._hooks.emit(
            Disconnected,
            failure=failure,
            seconds=lifetime,
            events=connection.events,
            bytes=connection.bytes,
        )
        return None if failure else error

    def _note_server_retry(self, decoder: Decoder) -> None:
        if decoder.retry is not None:
            # An integer too large for a float would raise; nobody waits a million years either.
            self._server_retry = min(decoder.retry, 10**15) / 1000

    def _end_outage(self) -> None:
        self._outage_began = None
        self._failure_count = 0
        self._failures.clear()

    # -- Failures ------------------------------------------------------------------------------

    def _note(self, error: BaseException, now: float, *, progress: bool | None = None) -> Failure | None:
        """Count a failure; ``progress`` is None if the attempt did not open a connection."""
        verdict = classify(error)
        if verdict is None or not isinstance(error, Exception):
            return None
        kind = verdict.kind
        self._raised = error
        if kind is FailureKind.TIMEOUT and progress is not None:
            kind = FailureKind.IDLE
            error = self._raised = _idle(error, self._settings.idle_timeout)
        if self._outage_began is None:
            self._outage_began = now
        self._failure_count += 1
        self._acted = verdict.acted
        self._failure = Failure(
            error=error,
            kind=kind,
            attempt=self._failure_count,
            outage_seconds=now - self._outage_began,
            status_code=getattr(error, "status_code", None),
            retry_after=getattr(error, "retry_after", None),
            server_retry=self._server_retry,
            method=self._method,
            last_event_id=self._cursor,
            progress=bool(progress),
            permanent=verdict.permanent,
        )
        self._failures.append(self._failure)
        return self._failure

    def retry_delay(self, error: BaseException, now: float) -> float | bool:
        """Decide about a failure, as stamina's backoff hook.

        Returns:
            The seconds to wait, or False to let the exception through.

        Raises:
            TypeError: If the policy returns something that is not a number.
            ValueError: If the policy returns a number of seconds that nobody can wait.
        """
        if self.finished:
            return False
        failure = self._failure or self._note(error, now)
        if failure is None:
            return False
        delay = _checked_delay(self._settings.policy(failure), self._settings.policy)
        if delay is None:
            return False
        if self._may_not_repeat():
            self._refuse_to_repeat(failure)
            return False
        self.state = ConnectionState.WAITING
        self._scheduled = (failure, delay)
        return delay

    def announce_retry(self) -> None:
        """Tell the hooks of the retry that was decided on, once."""
        scheduled, self._scheduled = self._scheduled, None
        if scheduled is not None:
            self._hooks.emit(RetryScheduled, failure=scheduled[0], delay=scheduled[1])

    def _may_not_repeat(self) -> bool:
        return (
            self._acted
            and not self._resumable
            and self._method not in _IDEMPOTENT
            and not self._settings.retry_unsafe
        )

    def _refuse_to_repeat(self, failure: Failure) -> None:
        error = UnsafeRetry(failure.method)
        error.__cause__ = failure.error
        self._failure = replace(failure, error=error, kind=FailureKind.UNSAFE)
        self._failures[-1] = self._failure

    def conclude(self, error: Exception, now: float) -> Exception:
        """Turn what stamina let through into what the consumer gets.

        Returns:
            A `GiveUpError`, its cause set; or the error itself if it is no failure of the stream.
        """
        failure = self._failure or self._note(error, now)
        if failure is None or error is not self._raised or self.finished:
            return error
        self._scheduled = None
        give_up = GiveUpError(
            failures=self._failures, url=self.url, last_event_id=self.last_event_id
        )
        give_up.__cause__ = failure.error
        self._hooks.emit(GaveUp, failure=failure, failures=tuple(self._failures))
        self.close("gave up", now)
        return give_up

    # -- The end -------------------------------------------------------------------------------

    def request_reconnect(self) -> None:
        """Have the connection or the wait dropped, and a new connection opened at once."""
        self.reconnect_requested = not self.finished

    @property
    def must_drop(self) -> bool:
        """Whether the open connection is to be dropped before anything else is read."""
        return self.reconnect_requested and self._connection is not None

    def close(self, reason: str, now: float) -> None:
        """End the source for good; what is not delivered yet is not delivered any more."""
        if self.finished:
            return
        self._cursor = self.last_event_id
        self.queue.clear()
        self.lost(None, now)
        self.state = ConnectionState.CLOSED
        self._hooks.emit(Closed, reason=reason)


def _idle(error: Exception, idle_timeout: float | None) -> IdleTimeout:
    limit = "a while" if idle_timeout is None else f"{idle_timeout:g} s"
    idle = IdleTimeout(f"no byte came for {limit}, so the connection counts as lost")
    idle.__cause__ = error
    return idle


def _checked_delay(delay: object, policy: object) -> float | None:
    """Refuse what a policy must not return."""
    if delay is None:
        return None
    if isinstance(delay, bool) or not isinstance(delay, (int, float)):
        msg = f"the policy {policy!r} must return seconds or None, not {delay!r}"
        raise TypeError(msg)
    if not math.isfinite(delay) or delay < 0:
        msg = f"the policy {policy!r} must return seconds from 0 up, not {delay!r}"
        raise ValueError(msg)
    return float(delay)
