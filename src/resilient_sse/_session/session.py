"""The session: the state of a source, and every decision about it.

The session does no I/O, reads no clock and starts nothing. A driver (`async_source`,
`sync_source`) does the I/O, tells the session what happened and when, and does what it says.
Time is an argument: any clock that only goes forward, in seconds.

A driver asks `take` for events and, where it has none, `step` for what to do, which it does and
tells of: `requested` and `connected`, `received`, `lost`, `waited`, `recovered`. What others want
of the source it passes on: `request_reconnect` and `close`.

Its parts: the open `connection`, the `delivery` of what came over it, the `saving` of the cursor
into its store, the `outage` under way, and the rule about `gaps`.

    CONNECTING --connected--> OPEN --lost, retry--> WAITING --begin_attempt--> CONNECTING
        |                                             ^
        '-------------------lost, retry---------------'   any state --close--> CLOSED

The words: an *event* is what the decoder dispatched; the *cursor* is the last event id in force, or
the dialect's position; an *outage* lasts from the moment a healthy stream fails (or the first
attempt starts) to the next *progress*: an event that the dialect takes for no greeting and no
failure, or ``reset_after`` seconds of open connection.

The rules:

- Events that were received are delivered before a lost connection is acted on: the driver reads
  only when `take` has nothing more.
- Asking for the next event acknowledges the one before (unless ``auto_ack`` is off), and only the
  cursor of acknowledged events is saved.
- A failure is counted once, and only progress resets the count. The policy sees the count and
  decides; a request that may not be repeated is not repeated whatever the policy says.
- At most ``max_unacked`` events are delivered beyond the saved cursor. A store that fails pauses
  the saving, not the stream; only ``cursor_policy`` or that bound make the consumer feel it.
- Where rules apply to single events (`rules`), each is looked at once, when it is about to be
  handed out. What its verdict brings about comes after the events before it.
- A refused resume, or an event that the dialect takes for one, is a gap: ``on_gap`` says whether
  to give up, to go on from now, or to have a function of the program's say from where.
- Every attempt resumes from the cursor. An id that no HTTP header can carry does not become the
  cursor to resume from: events may then come twice, but none is lost.
- Hooks hear of everything in the order that `lifecycle` states; after `Closed`, of nothing. They
  hear of a comment when the events in front of it are handed out.
- What a deciding callback raises, what a lease or a store loses, a policy that gives up, a gap that
  is not gone on from: each closes the source in the same way, and the next pull raises it.
- No function of the program's runs while the lock is held.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, TypeVar

from resilient_sse._decoding.comments import pieces
from resilient_sse._session.connection import Connection
from resilient_sse._session.delay import checked
from resilient_sse._session.delivery import Delivery
from resilient_sse._session.dialect import Verdict
from resilient_sse._session.gaps import Gaps
from resilient_sse._session.outage import Outage
from resilient_sse._session.saving import Saving
from resilient_sse._values.callbacks import CallbackFailed, presentable
from resilient_sse._values.failure import Attempt, Failure, FailureKind, Retry
from resilient_sse._values.http import NO_CONTENT
from resilient_sse.errors import EventFailure, GapError, GiveUpError, of_library
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
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from typing import Any

    from resilient_sse._session.delivery import Run
    from resilient_sse._session.hooks import Hooks
    from resilient_sse._session.rules import Looked, Rules
    from resilient_sse._session.settings import Settings
    from resilient_sse._values.event import ServerSentEvent
    from resilient_sse._values.http_messages import HTTPRequest
    from resilient_sse.lifecycle import GapDetected


# Ends of the stream, not of the program's interest in it.
_ENDS: Final = frozenset({"until", "no content", "finished"})
T = TypeVar("T")


class Do(Enum):
    """What a driver is to do next, with what is there already."""

    READ = "read"
    """Read from the open connection."""
    DROP = "drop"
    """Drop the open connection, before anything else is read."""
    AWAIT_ACK = "await ack"
    """Wait for an acknowledgement; until then nothing more may be handed out."""
    SAVE = "save"
    """Have the saved cursor catch up; until then nothing more may be handed out."""
    CLEAN_UP = "clean up"
    """Let go of everything, as the source is over; asked for once."""


class Over(NamedTuple):
    """What is to be done about the end, when all is cleaned up."""

    error: Exception | None
    """What the consumer is to get instead of a normal end, once."""
    save: bool
    """Whether the last cursor is to be saved before the consumer hears of the end."""


Step: TypeAlias = "Do | Retry | GapDetected | Attempt | Over"
"""What is next: that, a wait, a gap to put right, an attempt to make, or nothing."""


class Shortcuts(NamedTuple):
    """Ways by which a driver gets at an event without asking `Session.take`."""

    queue: list[ServerSentEvent] | None
    """What may be handed out, the next event last; None if a rule applies to each event."""
    quick: Callable[[], ServerSentEvent | None] | None
    """`Session.quick`, if it is to be asked first: events are looked at, and that is all."""
    waiting: list[Run]
    """What waits until hooks have heard the comments in front of it; only `take` knows how."""


class Session:
    """The state of one source. Times are seconds of a clock that only goes forward.

    Args:
        settings: What the source was given.
        hooks: The source's.
        lock: Theirs. Reentrant; held while a decision is made, and never while a function of the
            program's runs.

    Attributes:
        state: What the source is doing.
        finished: Whether nothing more will come.
        interrupted: Whether this side wants the I/O under way to end, so that its errors say
            nothing: nothing more will come, or the connection or the wait is to be dropped.
        saving: The part that the cursor store has to do with.
    """

    def __init__(self, settings: Settings, hooks: Hooks, lock: AbstractContextManager[Any]) -> None:
        self._settings = settings
        self.state = ConnectionState.CONNECTING
        self.finished = self.interrupted = False
        self._lock = lock
        self._hooks = hooks
        self._deciding = hooks.deciding
        self._delivery = Delivery(settings)
        self.saving = Saving(settings, self._delivery, hooks)
        self._gaps = Gaps(settings, hooks)
        self._outage = Outage(settings)
        self._connection: Connection | None = None
        self._attempt = Attempt(0, None, "")
        self._sent_cursor = ""  # that the attempt asks to resume from, if the dialect can
        self._attempt_began = 0.0
        self._outcome: Exception | None = None  # what the consumer gets at the end
        self._cleaned_up = False
        self._scheduled: tuple[Failure, float] | None = None  # what hooks have yet to hear
        self._retry_at: float | None = None  # when the wait that was decided on is over
        self._waited = False
        self._halted: Looked | None = None  # what is to be done before the next event
        self._broken_by: Exception | None = None  # why the open connection is to be dropped
        self._body_over = False  # whether the body has ended, and its end is still to be acted on

    # -- Delivery ------------------------------------------------------------------------------

    @property
    def shortcuts(self) -> Shortcuts:
        """How to get at an event without asking `take`; for as long as there is this session."""
        delivery, rules = self._delivery, self._delivery.rules
        return Shortcuts(
            queue=delivery.queue if rules is None else None,
            quick=self.quick if rules is not None and rules.may_be_quick else None,
            waiting=delivery.waiting,
        )

    @property
    def last_event_id(self) -> str:
        """The cursor after the event delivered last."""
        return self._delivery.last_event_id

    def take(self, now: float, most: int | None) -> list[ServerSentEvent]:
        """Hand out the next events; none if the driver has to do something first.

        Args:
            now: The time.
            most: How many at most; None for all that came in together.
        """
        delivery = self._delivery
        if delivery.rules is not None:
            return self._take(delivery.rules, now, most)
        self._go_on_behind_comments(join=most is None)
        with self._lock:  # another thread may close the source
            return delivery.pop(most)

    def quick(self) -> ServerSentEvent | None:
        """Hand out the next event if looking at it is all there is to do; None: `take` has to."""
        delivery = self._delivery
        queue, rules = delivery.queue, delivery.rules
        if self._halted is not None or not queue or rules is None:
            return None
        try:
            cursor = rules.quick(queue[-1], delivery.cursor)
            if cursor is None:
                return None
            event = queue.pop()
        except IndexError:  # another thread, or a function of the dialect's, closed the source
            return None
        if self._connection is not None:
            self._connection.totals.progress = True
        if cursor != delivery.cursor:
            delivery.cursor = cursor
            delivery.trail.append(cursor)
        if not queue:
            delivery.settle(rules)
        return event

    def _go_on_behind_comments(self, *, join: bool) -> None:
        """Tell of the comments in front of the next events, now that those before are out.

        Args:
            join: Whether all events that wait are to come at once, with comments told between two
                batches, not within one.
        """
        delivery = self._delivery
        while delivery.waiting and not delivery.queue:
            with self._lock:
                comments = delivery.next_run()
            for text in comments:
                self._hooks.comment(text)
            if join:
                with self._lock:
                    delivery.join()

    def _take(self, rules: Rules, now: float, most: int | None) -> list[ServerSentEvent]:
        """Hand out at most so many events, each of them looked at first."""
        while not self._acts_on_halt(now):
            self._go_on_behind_comments(join=most is None)
            if not self._delivery.queue:
                self._act_on_end(now)
                break
            room = self.saving.room
            if room == 0:
                break
            if events := self._hand_out(rules, _least(most, room)):
                return events
        return []

    def _hand_out(self, rules: Rules, most: int | None) -> list[ServerSentEvent]:
        delivery = self._delivery
        looked = rules.look_at(reversed(delivery.queue), delivery.cursor, most)
        with self._lock:
            if self.finished:
                return []
            if looked.halts:
                self._halted = looked
            connection = self._connection
            if connection is not None and looked.progress:
                connection.totals.progress = True
            return delivery.take(rules, looked)

    def _acts_on_halt(self, now: float) -> bool:
        """Do what the last event looked at brings about; return whether no other is handed out."""
        halted, self._halted = self._halted, None
        if halted is None or halted.event is None:
            return False
        if halted.error is not None:
            self.close(now, error=halted.error)
        elif halted.verdict is Verdict.LAST:
            self._end("until", now)
        elif halted.verdict is Verdict.FAILURE:
            self._broken_by = EventFailure(halted.event)
        else:
            return self._gap(halted.event, now)
        return True

    def _act_on_end(self, now: float) -> None:
        """Now that all of a body is handed out, end the stream or drop the connection."""
        connection = self._connection
        if not self._body_over or connection is None or self.finished:
            return
        if self._settings.dialect.end == "finished":
            self._end("finished", now)
        else:
            self._broken_by = connection.ended()

    def _gap(self, event: ServerSentEvent, now: float) -> bool:
        """Act on an event that is a gap; return whether the connection is over."""
        cursor, gaps = self._delivery.cursor, self._gaps
        if self._connection is not None and self._connection.made_progress(now):
            gaps.repeated = False
        repeated = gaps.detected("event", cursor, event=event)
        if gaps.gives_up:
            self._give_up_at(GapError(event), now)
        elif gaps.has_function:
            self._delivery.discard()
            self._broken_by = GapError(event) if repeated else None
        return gaps.gives_up or gaps.has_function

    def _give_up_at(self, gap: GapError, now: float) -> None:
        with self._deciding, self._lock:
            cursor = self.last_event_id
            of_library(gap, self._settings.library).request = self._outage.request
            failure = Failure(error=gap, kind=FailureKind.GAP, last_event_id=cursor)
            self._delivery.stop()
            self.lost(None, now)
            self._give_up((failure,), now)

    # -- What is next --------------------------------------------------------------------------

    def step(self, now: float, is_certain: Callable[[], bool]) -> Step:
        """Say what to do next, as there is nothing to hand out.

        Args:
            now: The time.
            is_certain: Says whether a wait happens if it is decided on, so that hooks may hear of
                it.
        """
        if self._delivery.acks is not None and self.saving.full:
            with self._lock:  # other threads may acknowledge
                return Do.AWAIT_ACK if self.saving.awaits_ack else Do.SAVE
        if self._connection is not None:
            return Do.DROP if self.must_drop else Do.READ
        return self._without_connection(now, is_certain) or self._over()

    def _without_connection(self, now: float, is_certain: Callable[[], bool]) -> Step | None:
        """Say what leads to the next connection; None if there is to be none."""
        if self.must_wait:
            return self.retry(now, certain=is_certain())
        if self._waited:
            with self._deciding, self._lock:  # while it is still waiting, as hooks may see
                self._tell_of_retry()
        gap = self._gaps.open
        if gap is None or self.finished:  # a hook may have closed it
            return self.begin_attempt(now)
        self._outage.nothing_sent()  # what fails now is no answer to a request
        return gap

    def _over(self) -> Step:
        """Say what is left to do, now that nothing more will come."""
        if not self._cleaned_up:
            self._cleaned_up = True
            return Do.CLEAN_UP
        outcome, self._outcome = self._outcome, None
        return Over(outcome, self.saving.owed)

    def waited(self, now: float, *, again: bool) -> None:
        """Note that the wait is over.

        Args:
            now: The time.
            again: Whether what it was for is to be tried; if not, the source ends with a
                `GiveUpError`.
        """
        if again:
            self._waited = True
            return
        with self._deciding, self._lock:
            if not self.finished:
                self._give_up(tuple(self._outage.failures), now)

    # -- An attempt ----------------------------------------------------------------------------

    def begin_attempt(self, now: float) -> Attempt | None:
        """Begin one try at opening a connection; None if the source is closed."""
        with self._deciding, self._lock:
            if self.finished:
                return None
            self.interrupted = False
            outage, cursor = self._outage, self._delivery.resumable
            attempt = self._attempt = Attempt(outage.count + 1, outage.current, cursor)
            self._sent_cursor = cursor if self._settings.dialect.resume is not None else ""
            self._body_over = False
            self._attempt_began = now
            self._retry_at, self._waited = None, False
            outage.attempt_begins(now)
            self.state = ConnectionState.CONNECTING
            self._hooks.emit(
                Connecting,
                attempt=attempt.number,
                last_event_id=self._sent_cursor,
                method=self._settings.method.upper(),
            )
        return self._unless_over(attempt)

    def requested(self, request: HTTPRequest) -> None:
        """Note the request that goes out now, the first of an attempt or one after a redirect."""
        outage = self._outage
        outage.request = request  # for errors to tell of
        if not outage.sent:
            outage.method, outage.sent = request.method.upper(), True

    def connected(self, status_code: int, headers: Mapping[str, str], now: float) -> bool:
        """Note that the server agreed.

        Returns:
            Whether there is a stream to read. If not, the response is to be closed: the server
            said with a 204 that there is no more to come, or the source was closed meanwhile.
        """
        if status_code == NO_CONTENT and status_code not in self._settings.dialect.statuses:
            self._end("no content", now)
            return False
        try:
            connection = Connection(self._settings, self._delivery, now, listens=bool(self._hooks))
        except Exception as error:  # noqa: BLE001 - what a decoder raises is its own affair
            self.close(now, error=error)
            return False
        with self._deciding, self._lock:
            if self.finished:  # perhaps from another thread, meanwhile
                return False
            self._connection = connection
            self.state = ConnectionState.OPEN
            self._hooks.emit(
                Connected,
                attempt=self._attempt.number,
                status_code=status_code,
                headers=headers,
                seconds=now - self._attempt_began,
                resumed=bool(self._sent_cursor),
                totals=connection.totals,
                failures=self._outage.count,
                outage_seconds=self._outage.lasted(now),
            )
        return not self.finished

    # -- An open connection --------------------------------------------------------------------

    def received(self, chunk: bytes | None, now: float) -> bool:
        """Decode the next bytes of the open connection into the queue, which is empty.

        Args:
            chunk: The bytes; None if the body has come to a clean end.
            now: The time.

        Returns:
            Whether the connection has ended the outage before it.

        Raises:
            EventTooLarge: If an event passes ``max_event_size``.
            CallbackFailed: If the decoder raises anything else.
            StreamEnded: If the end is a failure, and nothing is to be handed out before it.
        """
        connection = self._connection
        if connection is None:  # closed from another thread while this one was reading
            return False
        if chunk is None:
            self._ended(connection, now)
        elif connection.comments is None:
            connection.totals.bytes += len(chunk)
            self._decoded(connection, connection.decode(chunk), now)
        else:
            connection.totals.bytes += len(chunk)
            self._decode_in_pieces(connection, chunk, now)
        return connection.totals.progress or connection.made_progress(now)

    def _decode_in_pieces(self, connection: Connection, chunk: bytes, now: float) -> None:
        """Decode bytes of which hooks are to hear the comments, in between."""
        for piece in pieces(chunk):
            try:
                events = connection.decode(piece)
            except BaseException:  # comments stand in front of what cannot be decoded, too
                self._heard(connection.take_comments())
                raise
            self._decoded(connection, events, now, connection.take_comments())

    def _heard(self, comments: list[str]) -> None:
        """Put comments behind what waits; the decoder has failed, and its cursor says nothing."""
        with self._lock:
            if not self.finished:
                self._delivery.line_up([], comments)

    def _decoded(
        self,
        connection: Connection,
        events: list[ServerSentEvent],
        now: float,
        comments: list[str] | None = None,
    ) -> None:
        """Put what came of some bytes, comments first, behind what waits to be handed out."""
        with self._lock:
            if self.finished:  # perhaps from another thread, while this one was decoding
                return
            new = self._delivery.fill(events, connection.decoder, comments)
            if new and not connection.totals.events:
                self._first_came(connection, now)
            connection.totals.events += new

    def _first_came(self, connection: Connection, now: float) -> None:
        """Note that the first events of a connection came."""
        connection.totals.first_event_seconds = now - self._attempt_began
        rules = self._delivery.rules
        if rules is None or not rules.tell_progress:
            connection.totals.progress = True

    def _ended(self, connection: Connection, now: float) -> None:
        """Act on a clean end, which is no failure, or not yet, or one that this raises.

        What it leaves unfinished is to be handed out first, where the dialect says so.
        """
        dialect = self._settings.dialect
        connection.decode(b"")  # raises what was kept back until the events before it were out
        if dialect.flush:
            self._decoded(connection, connection.flush(), now, connection.take_comments())
            self._body_over = True
        elif dialect.end == "finished":
            self._end("finished", now)
        else:
            raise connection.ended() from None  # however the driver learned of it

    def request_reconnect(self) -> None:
        """Have the connection or the wait dropped, and a new connection opened at once."""
        self.interrupted = True

    @property
    def must_drop(self) -> bool:
        """Whether the open connection is to be dropped before anything else is read."""
        asked = self.interrupted or self._gaps.open or self._broken_by
        return bool(asked) and self._connection is not None

    def lost(self, error: Exception | None, now: float) -> None:
        """Note that the open connection is over, or that an attempt at one has failed.

        An error that is no failure of the stream ends the source.

        Args:
            error: Why; None if this side dropped it.
            now: The time.
        """
        with self._deciding, self._lock:
            connection, self._connection = self._connection, None
            broken_by, self._broken_by = self._broken_by, None
            if self.finished:
                return
            if error is None:
                error = broken_by
            if self.interrupted and connection is not None:
                error = None  # what broke is what this side broke
            progress = self._connection_over(connection, now)
            failure = None
            if error is not None:
                self._retry_at, self._waited = None, False
                cursor = self._delivery.cursor
                failure = self._outage.note(error, now, cursor=cursor, progress=progress)
            if connection is not None:
                self._tell_of_end(connection, failure, now)
            if error is not None and failure is None:
                told = error.error if isinstance(error, CallbackFailed) else error
                self.close(now, error=told)

    def _connection_over(self, connection: Connection | None, now: float) -> bool | None:
        """Take over what a connection leaves behind; return whether it made progress."""
        if connection is None:
            return None
        progress = connection.made_progress(now)
        if progress:
            self._outage.end()
            self._gaps.repeated = self._gaps.open is not None
        if connection.server_retry is not None:
            self._outage.server_retry = connection.server_retry
        return progress

    def _tell_of_end(self, connection: Connection, failure: Failure | None, now: float) -> None:
        self.state = ConnectionState.CONNECTING
        self._hooks.emit(
            Disconnected,
            failure=failure,
            seconds=now - connection.opened_at,
            events=connection.totals.events,
            bytes=connection.totals.bytes,
            last_event_id=self._delivery.cursor,
        )

    # -- A failure -----------------------------------------------------------------------------

    @property
    def must_wait(self) -> bool:
        """Whether a failure is to be decided about, or waited for, before the next attempt."""
        pending = self._outage.current is not None and not self._waited
        return pending and not self.interrupted

    def retry(self, now: float, *, certain: bool) -> Retry | None:
        """Decide about the failure, once; if the wait was cut short, it goes on.

        Args:
            now: The time.
            certain: Whether the wait happens if it is decided on, so that hooks may hear of it.

        Returns:
            How long to wait; None if the source is over.
        """
        failure = self._outage.current
        if failure is None or self.finished:
            return None
        if self._retry_at is not None:
            left = max(self._retry_at - now, 0.0)
            return Retry(failure.error, failure.attempt, left, resumed=True)
        try:
            failure, answer = self._asked(failure)
        except Exception as error:  # noqa: BLE001 - it is the consumer's to see
            self.close(now, error=error)
            return None
        with self._deciding, self._lock:
            if self._unless_over(failure) is None:  # the policy may close, or another thread
                return None
            delay = self._unless_unsafe(failure, answer)
            if delay is None:
                self._give_up(tuple(self._outage.failures), now)
                return None
            self._retry_at = now + delay
            self.state = ConnectionState.WAITING
            self._scheduled = (failure, delay)
            if certain:
                self._tell_of_retry()
        return self._unless_over(Retry(failure.error, failure.attempt, delay))

    def _asked(self, failure: Failure) -> tuple[Failure, float | None]:
        """Ask the policy, and apply the rule about gaps; return the failure as it is seen then."""
        policy, gaps = self._settings.policy, self._gaps
        answer = checked(policy(failure), policy)
        # A failure of `prepare_request`, say of a token's server, is no answer to the cursor.
        cursor = self._sent_cursor if self._outage.sent else ""
        if answer is not None or not (cursor and failure.refuses_resume):
            return failure, answer
        repeated = gaps.detected("refused", cursor, status_code=failure.status_code)
        if repeated:
            failure = self._outage.as_gap(failure)
            return failure, checked(policy(failure), policy)
        if not (gaps.gives_up or gaps.has_function):
            self._delivery.forget_cursor()
        return failure, None if gaps.gives_up else 0.0

    def _unless_unsafe(self, failure: Failure, delay: float | None) -> float | None:
        """Apply the rule about repeating to what the policy said."""
        cursor = self._delivery.resumable if self._settings.dialect.resume is not None else ""
        if delay is not None and not self._outage.may_repeat(cursor):
            self._outage.refuse_to_repeat(failure)
            return None
        return delay

    def _tell_of_retry(self) -> None:
        scheduled, self._scheduled = self._scheduled, None
        if scheduled is not None:
            self._hooks.emit(RetryScheduled, failure=scheduled[0], delay=scheduled[1])

    def _give_up(self, failures: tuple[Failure, ...], now: float) -> None:
        settings, cursor = self._settings, self.last_event_id
        outcome = GiveUpError(failures=failures, url=settings.shown_url, last_event_id=cursor)
        outcome.__cause__ = failures[-1].error
        of_library(outcome, settings.library)
        self._hooks.emit(GaveUp, failure=failures[-1], failures=failures)
        self._end("gave up", now, outcome)

    # -- A gap that a function puts right --------------------------------------------------------

    def recovered(self, cursor: object, now: float) -> None:
        """Go on from the cursor that ``on_gap`` returned; "" asks from now."""
        with self._deciding, self._lock:
            if self.finished or self._gaps.open is None:
                return
            try:
                self._check_cursor(cursor)
            except (TypeError, ValueError) as error:
                self.close(now, error=error)
                return
            self._gaps.open = None
            self._delivery.resume_from(str(cursor))

    def _check_cursor(self, cursor: object) -> None:
        if not isinstance(cursor, str):
            msg = f"on_gap must return the cursor to go on from, a str, not {cursor!r}"
            raise TypeError(msg)
        if not self._delivery.carries(cursor):
            msg = f"on_gap returned a cursor that no request can carry: {cursor[:80]!r}"
            raise ValueError(msg)

    # -- The end -------------------------------------------------------------------------------

    def close(
        self,
        now: float,
        *,
        error: Exception | None = None,
        wake: Callable[[], object] | None = None,
    ) -> None:
        """End the source for good; what is not delivered yet is not delivered any more.

        Args:
            now: The time.
            error: What the next pull raises; None if the iteration is to end normally.
            wake: Wakes whoever waits, also if it is over already; hooks hear of the end after that.
        """
        with self._deciding, self._lock:
            if error is None:
                self._end("closed", now)
            else:
                self._end("failed", now, of_library(presentable(error), self._settings.library))
            if wake is not None:
                wake()

    def _end(self, reason: str, now: float, outcome: Exception | None = None) -> None:
        with self._deciding, self._lock:
            if self.finished:
                return
            self._outcome = outcome
            for text in self._delivery.comments_due():
                self._hooks.comment(text)
            self._delivery.stop()
            self._halted = self._broken_by = None
            self.lost(None, now)
            self._outage.forget()
            self._attempt = Attempt(0, None, "")
            self.state = ConnectionState.CLOSED
            self.finished = self.interrupted = True
            self.saving.stream_over(owed=reason in _ENDS)
            self._hooks.emit(Closed, reason=reason)

    def _unless_over(self, what: T) -> T | None:
        """Return it, unless a hook that was told closed the source."""
        return None if self.finished else what


def _least(*counts: int | None) -> int | None:
    """Return the smallest of some numbers, of which None is no limit."""
    return min((count for count in counts if count is not None), default=None)
