"""The session: the state of a source, and every decision about it.

The session does no I/O, reads no clock and starts nothing. A driver (`_async_source`,
`_sync_source`) does the I/O, tells the session what happened and when, and does what it says.
Time is an argument: any clock that only goes forward, in seconds.

Its parts: the open `_connection`, the `_delivery` of what came over it, the `_saving` of the cursor
into its store, the `_outage` under way, and the rule about `_gaps`.

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
- At most ``max_unacked`` events are delivered beyond the saved cursor. A store that fails pauses
  the saving, not the stream; only ``cursor_policy`` or that bound make the consumer feel it.
- A refused resume, or an event that ``gap`` names, is a gap: ``on_gap`` says whether to give up.
- Every attempt resumes from the cursor. An id that no HTTP header can carry does not become the
  cursor to resume from: events may then come twice, but none is lost.
- Hooks hear of everything in the order that `lifecycle` states; after `Closed`, of nothing.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

from resilient_sse._connection import Connection
from resilient_sse._delay import checked
from resilient_sse._delivery import Delivery
from resilient_sse._failure import Attempt, Failure, FailureKind
from resilient_sse._gaps import Gaps
from resilient_sse._hooks import Hooks
from resilient_sse._outage import Outage
from resilient_sse._redact import redact_url
from resilient_sse._saving import Saving
from resilient_sse.errors import GapError, GiveUpError, StreamEnded
from resilient_sse.lifecycle import (
    Closed,
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
    from resilient_sse._settings import Settings


_NO_CONTENT: Final = 204  # WHATWG HTML 9.2.1: how a server tells a client to stop reconnecting
_ENDS: Final = frozenset({"until", "no content"})  # of the stream, not of the program's interest
_source_ids: Final = itertools.count(1)


class Session:
    """The state of one source. Times are seconds of a clock that only goes forward."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.source_id = next(_source_ids)
        self.url = redact_url(settings.url)
        self.state = ConnectionState.CONNECTING
        self._hooks = Hooks(settings.hooks, url=self.url, source_id=self.source_id)
        self._delivery = Delivery(settings)
        self.saving = Saving(settings, self._delivery, self._hooks)
        self._gaps = Gaps(settings, self._hooks)
        self._outage = Outage(settings)
        self._connection: Connection | None = None
        self._attempt = Attempt(0, None, "")
        self._attempt_began = 0.0
        self._pending: Exception | None = None  # what stamina's loop has yet to see
        self._scheduled: tuple[Failure, float] | None = None  # what hooks have yet to hear
        self._retry_at: float | None = None  # when the wait that was decided on is over
        self._reconnect_requested = False
        # Whether no rule applies to single events.
        self._plain = settings.until is None and settings.cursor is None and settings.gap is None

    # -- Delivery ------------------------------------------------------------------------------

    @property
    def ready(self) -> list[ServerSentEvent] | None:
        """The queue, the next event last, if a driver may take from it without asking.

        None if a rule applies to each event, so that only `take` may hand them out.
        """
        return self._delivery.queue if self._plain else None

    @property
    def last_event_id(self) -> str:
        """The cursor after the event delivered last."""
        return self._delivery.last_event_id

    @property
    def finished(self) -> bool:
        """Whether nothing more will come."""
        return self.state is ConnectionState.CLOSED

    def take(self, now: float) -> ServerSentEvent | None:
        """Hand out the next event; None if the driver has to do something first."""
        queue = self._delivery.queue
        if self._plain:  # a fifth of what reading a single event costs is saved here
            return queue.pop() if self._may_take(now) else None
        events = self._take(queue[-1:], now)
        return events[0] if events else None

    def take_batch(self, now: float) -> list[ServerSentEvent]:
        """Hand out the events that came in together and are not delivered yet."""
        queue = self._delivery.queue
        if self._plain:
            events = queue[::-1] if self._may_take(now) else []
            queue.clear()
            return events
        return self._take(queue[::-1], now)

    def _may_take(self, now: float) -> bool:
        """Say whether there is something to hand out."""
        queue, connection = self._delivery.queue, self._connection
        if self.finished:  # perhaps from another thread, while this one was decoding
            queue.clear()
        if queue and connection is not None and connection.totals.first_event_seconds is None:
            connection.totals.first_event_seconds = now - self._attempt_began
        return bool(queue)

    def _take(self, events: list[ServerSentEvent], now: float) -> list[ServerSentEvent]:
        if self._delivery.until_met:
            self.close("until", now)
        if not self._may_take(now):
            return []
        try:
            events = self._gaps.next_up(events[: self.saving.room], self.last_event_id)
        except GapError as error:
            if self.finished:  # a hook that heard of it closed
                return []
            raise self._give_up_at(error, now) from error
        return [] if self.finished else self._delivery.take(events)

    def _give_up_at(self, gap: GapError, now: float) -> GiveUpError:
        cursor = self.last_event_id
        failure = Failure(error=gap, kind=FailureKind.GAP, last_event_id=cursor)
        self._delivery.stop()
        self.lost(None, now)
        return self._give_up((failure,), now)

    # -- An attempt ----------------------------------------------------------------------------

    def begin_opening(self) -> None:
        """Note that a retry loop begins. If one was cancelled while it waited, the wait goes on."""
        if self.state is ConnectionState.WAITING and self._outage.current is not None:
            # Raised anew for every wait that goes on, it would remember each time for ever.
            self._pending = self._outage.current.error.with_traceback(None)

    def raise_pending(self) -> None:
        """Raise the failure that ended the stream, so that it is stamina's first attempt."""
        error, self._pending = self._pending, None
        if error is not None and not self._reconnect_requested:
            raise error

    def begin_attempt(self, now: float) -> Attempt:
        """Begin one try at opening a connection."""
        self.announce_retry()
        self._reconnect_requested = False
        outage, resume = self._outage, self._delivery.resumable
        self._attempt = Attempt(outage.count + 1, outage.current, resume)
        self._attempt_began = now
        self._retry_at = None
        outage.attempt_begins(now)
        self.state = ConnectionState.CONNECTING
        self._hooks.emit(Connecting, attempt=self._attempt.number, last_event_id=resume)
        return self._attempt

    def sending(self, method: str) -> None:
        """Note the method of the request that is about to be sent."""
        self._outage.sending(method)

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
        connection = self._connection = Connection(self._settings, self._delivery, self._hooks, now)
        self.state = ConnectionState.OPEN
        self._hooks.emit(
            Connected,
            attempt=self._attempt.number,
            status_code=status_code,
            headers=headers,
            seconds=now - self._attempt_began,
            resumed=bool(self._attempt.last_event_id),
            totals=connection.totals,
        )
        return True

    # -- An open connection --------------------------------------------------------------------

    def received(self, chunk: bytes) -> None:
        """Decode the next bytes of the open connection into the queue, which is empty.

        Raises:
            EventTooLarge: If an event passes ``max_event_size``.
        """
        connection = self._connection
        if connection is None:  # closed from another thread while this one was reading
            return
        decoder, totals = connection.decoder, connection.totals
        totals.bytes += len(chunk)
        events = decoder.feed(chunk)
        if not self.finished:  # a hook that heard a comment may have closed
            totals.events += self._delivery.fill(events, decoder)

    def ended(self) -> Exception:
        """Say why there is nothing more to read."""
        return StreamEnded() if self._connection is None else self._connection.ended()

    def request_reconnect(self) -> None:
        """Have the connection or the wait dropped, and a new connection opened at once."""
        self._reconnect_requested = not self.finished

    @property
    def interrupted(self) -> bool:
        """Whether this side wants the I/O under way to end, so that its errors say nothing."""
        return self._reconnect_requested or self.finished

    @property
    def must_drop(self) -> bool:
        """Whether the open connection is to be dropped before anything else is read."""
        return self._reconnect_requested and self._connection is not None

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
        if self._reconnect_requested:  # what broke is what this side broke
            error = None
        failure = self._note_loss(connection, error, now)
        self.state = ConnectionState.CONNECTING
        self._hooks.emit(
            Disconnected,
            failure=failure,
            seconds=now - connection.opened_at,
            events=connection.totals.events,
            bytes=connection.totals.bytes,
        )
        return None if failure else error

    def _note_loss(
        self, connection: Connection, error: Exception | None, now: float
    ) -> Failure | None:
        progress = connection.made_progress(now, self._settings.reset_after)
        if progress:
            self._outage.end()
        if connection.server_retry is not None:
            self._outage.server_retry = connection.server_retry
        if error is None:
            return None
        cursor = self._delivery.cursor
        failure = self._outage.note(error, now, cursor=cursor, progress=progress)
        self._pending = None if failure is None else failure.error
        return failure

    # -- A failure -----------------------------------------------------------------------------

    def retry_delay(self, error: BaseException, now: float) -> float | bool:
        """Decide about a failure, as stamina's backoff hook.

        Returns:
            The seconds to wait, or False to let the exception through.

        Raises:
            TypeError: If the policy returns something that is not a number.
            ValueError: If the policy returns a number of seconds that nobody can wait.
        """
        failure = None if self.finished else self._failure_of(error, now)
        if failure is None:
            return False
        if self._retry_at is not None:
            return max(self._retry_at - now, 0.0)
        delay = checked(self._settings.policy(failure), self._settings.policy)
        # A failure of `prepare_request`, say of a token's server, is no answer to the cursor.
        resumed_from = self._attempt.last_event_id if self._outage.sent else ""
        if delay is None and self._gaps.refused(failure, resumed_from):
            self._delivery.forget_cursor()
            delay = 0.0
        if delay is None or self.finished:  # a policy or a hook may close the source, too
            return False
        if not self._outage.may_repeat(self._delivery.resumable):
            self._outage.refuse_to_repeat(failure)
            return False
        self.state = ConnectionState.WAITING
        self._scheduled = (failure, delay)
        self._retry_at = now + delay
        return delay

    def _failure_of(self, error: BaseException, now: float) -> Failure | None:
        """Return the failure that an exception stands for, counting it if it is a new one."""
        known = self._outage.current
        return known or self._outage.note(error, now, cursor=self._delivery.cursor)

    def announce_retry(self) -> None:
        """Tell the hooks of the retry that was decided on, once."""
        scheduled, self._scheduled = self._scheduled, None
        if scheduled is not None:
            self._hooks.emit(RetryScheduled, failure=scheduled[0], delay=scheduled[1])

    def conclude(self, error: Exception, now: float) -> Exception | None:
        """Turn what stamina let through into what the consumer gets.

        Returns:
            A `GiveUpError` with its cause; the error itself if it is no failure of the stream;
            None if it is one that nobody waits for any more, because the source was closed.
        """
        failure = self._failure_of(error, now)
        if failure is None or error is not self._outage.cause:
            return error
        if self.finished:
            return None
        self._scheduled = None
        return self._give_up(tuple(self._outage.failures), now)

    def _give_up(self, failures: tuple[Failure, ...], now: float) -> GiveUpError:
        outcome = GiveUpError(failures=failures, url=self.url, last_event_id=self.last_event_id)
        outcome.__cause__ = failures[-1].error
        self._hooks.emit(GaveUp, failure=failures[-1], failures=failures)
        self.close("gave up", now)
        return outcome

    # -- The end -------------------------------------------------------------------------------

    def close(self, reason: str, now: float) -> None:
        """End the source for good; what is not delivered yet is not delivered any more."""
        if self.finished:
            return
        self._delivery.stop()
        self.lost(None, now)
        self.state = ConnectionState.CLOSED
        self.saving.stream_over(owed=reason in _ENDS)
        self._hooks.emit(Closed, reason=reason)
