"""The session through thousands of lives, against a simple model of a server and its reader.

The server numbers its events and replays from ``Last-Event-ID``. Whatever happens on the way, the
reader must get every event once, in order; hooks must hear of it in the documented order; and the
policy must see failures counted as the model counts them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from resilient_sse import (
    ConnectionState,
    Dialect,
    EventFailure,
    FailureKind,
    GiveUpError,
    IdleTimeout,
    StreamEnded,
    Verdict,
)
from resilient_sse.testing import Recorder
from tests.support.how_much import tries
from tests.support.lifecycle_order import assert_order
from tests.support.session_settings import make_settings, outcome_of, session_of

if TYPE_CHECKING:
    from resilient_sse import Failure, GapDetected, ServerSentEvent

# Thousands of examples, all of which a busy machine may be slow at.
pytestmark = pytest.mark.timeout(300)

RESET_AFTER = 60.0
BUDGET = 6

read_errors = st.sampled_from(
    [
        (StreamEnded("ended"), FailureKind.ENDED),
        (httpx.ReadError("reset"), FailureKind.TRANSPORT),
        (httpx.RemoteProtocolError("truncated"), FailureKind.TRANSPORT),
        (httpx.ReadTimeout("silence"), FailureKind.IDLE),
    ]
)
connect_errors = st.sampled_from(
    [
        (httpx.ConnectError("refused"), FailureKind.CONNECT),
        (httpx.ConnectTimeout("slow"), FailureKind.TIMEOUT),
        (httpx.ReadTimeout("no headers"), FailureKind.TIMEOUT),
        (httpx.RemoteProtocolError("garbage"), FailureKind.TRANSPORT),
    ]
)


class Store:
    """Stands for a cursor store; the machine plays the driver, which does the saving."""

    def load(self, key: str) -> str | None:
        raise NotImplementedError

    def save(self, key: str, last_event_id: str) -> None:
        raise NotImplementedError


VERDICTS = {"ping": Verdict.SKIP, "error": Verdict.FAILURE, "gap": Verdict.GAP}


def judge(event: ServerSentEvent) -> Verdict:
    """Go by the event's type."""
    return VERDICTS.get(event.event, Verdict.DELIVER)


def position(event: ServerSentEvent, _cursor: str) -> str | None:
    """Find the number in the data."""
    return event.data.removeprefix("event ") if event.data != "x" else None


def begin_anew(_gap: GapDetected) -> str:
    """Stand for a function; the machine plays the driver, which calls it."""
    raise NotImplementedError


DIALECTS = [Dialect(), Dialect(judge=judge), Dialect(judge=judge, position=position)]


class Lives(RuleBasedStateMachine):
    """One source's life: the rules are what may happen to it, in any order."""

    unacked = Bundle("unacked")

    @initialize(
        store=st.booleans(),
        auto_ack=st.booleans(),
        dedupe=st.sampled_from([0, 3]),
        dialect=st.sampled_from(DIALECTS),
    )
    def born(self, store: bool, auto_ack: bool, dedupe: int, dialect: Dialect) -> None:
        self.now = 1000.0
        self.recorder = Recorder()
        self.seen: list[Failure] = []
        self.has_store, self.auto_ack = store, auto_ack
        self.judges = dialect.judge is not None
        self.session = session_of(
            make_settings(
                policy=self.policy,
                hooks=[self.recorder],
                reset_after=RESET_AFTER,
                cursor=Store() if store else None,
                auto_ack=auto_ack,
                dedupe=dedupe,
                dialect=dialect,
                on_gap=begin_anew,
            )
        )
        # The server: what it will send, and what of it is on this connection's wire.
        self.wire = b""
        # The reader
        self.delivered: list[ServerSentEvent] = []
        self.acked: set[str] = set()
        self.saved = ""
        # The model of the budget
        self.failures = 0
        self.outage_began: float | None = None
        self.opened_at = 0.0
        self.dispatched = False
        self.connecting = self.waiting = False
        self.gave_up = False

    def policy(self, failure: Failure) -> float | None:
        self.seen.append(failure)
        return None if failure.attempt >= BUDGET else 1.0

    # -- What the driver does ------------------------------------------------------------------

    @property
    def open(self) -> bool:
        return self.session.state is ConnectionState.OPEN

    def pull_ready(self) -> bool:
        """Drain the queue, as the driver does before it reads or opens."""
        while (event := self.next_event()) is not None:
            self.delivered.append(event)
            if self.has_store and self.auto_ack:
                self.session.saving.ack(None, self.now)
                self.acked.add(event.id)
                self.save()
        return not self.session.finished

    def next_event(self) -> ServerSentEvent | None:
        quick = self.session.shortcuts.quick
        if quick is not None and (event := quick()) is not None:
            return event
        return next(iter(self.session.take(self.now, 1)), None)

    def save(self) -> None:
        if (cursor := self.session.saving.begin()) is not None:
            self.saved = cursor
            self.session.saving.saved(cursor)

    def fail(self, error: Exception | None, kind: FailureKind) -> None:
        """Have the session decide about a failure, and check what the policy saw."""
        self.failures += 1
        self.session.lost(error, self.now)
        assert self.session.must_wait
        retry = self.session.retry(self.now, certain=True)
        failure = self.seen[-1]
        assert failure.kind is kind
        assert failure.attempt == self.failures
        assert self.outage_began is not None
        assert failure.outage_seconds == self.now - self.outage_began
        if self.failures >= BUDGET:
            assert retry is None
            outcome = outcome_of(self.session, self.now)
            assert isinstance(outcome, GiveUpError)
            assert outcome.failure is failure
            assert len(outcome.failures) == self.failures
            self.gave_up = True
            self.waiting = False
        else:
            assert retry is not None
            assert retry.seconds == 1.0
            expected = {FailureKind.IDLE: IdleTimeout, FailureKind.EVENT: EventFailure}
            assert isinstance(retry.error, expected.get(kind, type(error)))
            assert self.session.state is ConnectionState.WAITING
            self.waiting = True

    def end_connection(self) -> None:
        if self.dispatched or self.now - self.opened_at >= RESET_AFTER:
            self.failures, self.outage_began = 0, None
        self.dispatched = False

    # -- What may happen -----------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.1, 1.0, RESET_AFTER]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: not self.session.finished and not self.open and not self.connecting)
    @rule()
    def attempt(self) -> None:
        if not self.pull_ready():
            return
        attempt = self.session.begin_attempt(self.now)
        if self.outage_began is None:
            self.outage_began = self.now
        assert attempt is not None
        assert attempt.number == self.failures + 1
        assert attempt.last_event_id == (str(len(self.delivered)) if self.delivered else "")
        self.resumed = attempt.last_event_id
        self.connecting, self.waiting = True, False

    @precondition(lambda self: self.connecting)
    @rule()
    def accepted(self) -> None:
        self.connecting = False
        assert self.session.connected(200, {}, self.now)
        self.opened_at, self.dispatched, self.wire = self.now, False, b""
        self.next = int(self.resumed or 0) + 1

    @precondition(lambda self: self.connecting)
    @rule(error=connect_errors)
    def refused(self, error: tuple[Exception, FailureKind]) -> None:
        self.connecting = False
        self.fail(*error)

    @precondition(lambda self: self.connecting)
    @rule()
    def no_content(self) -> None:
        self.connecting = False
        assert not self.session.connected(204, {}, self.now)
        assert self.session.finished

    @precondition(lambda self: self.open)
    @rule(count=st.integers(1, 4), cut=st.integers(0, 40), beat=st.booleans())
    def bytes_arrive(self, count: int, cut: int, beat: bool) -> None:
        if not self.pull_ready():
            return
        text = ": beat\n\n" if beat else ""
        text += "event: ping\ndata: x\n\n" if beat and self.judges else ""
        for _ in range(count):
            text += f"id: {self.next}\ndata: event {self.next}\n\n"
            self.next += 1
        self.wire += text.encode()
        end = max(0, len(self.wire) - cut)
        chunk, self.wire = self.wire[:end], self.wire[end:]
        self.session.received(chunk, self.now)
        self.note_what_came()

    def note_what_came(self) -> None:
        waiting = self.session._delivery
        events = [*waiting.queue, *(event for run in waiting.waiting for event in run.events)]
        self.dispatched = self.dispatched or any(event.event == "message" for event in events)

    @precondition(lambda self: self.open and self.judges)
    @rule(behind=st.booleans(), gap=st.booleans(), numbered=st.booleans())
    def says_that_it_failed(self, behind: bool, gap: bool, numbered: bool) -> None:
        """By an event, perhaps in place of the next; or of a gap, which a function puts right."""
        if not self.pull_ready():
            return
        number = self.next
        text = f"id: {number}\ndata: event {number}\n\n"
        text += f"id: {number + 1}\n" if numbered else ""
        text += f"event: {'gap' if gap else 'error'}\ndata: x\n\n"
        text += f"id: {number + 1}\ndata: event {number + 1}\n\n" if behind else ""
        self.session.received(self.wire + text.encode(), self.now)
        self.note_what_came()
        if not self.pull_ready():
            return
        assert self.session.must_drop
        self.end_connection()
        if gap:
            self.session.lost(None, self.now)
            assert self.session._gaps.open is not None
            self.session.recovered(str(len(self.delivered)) if self.delivered else "", self.now)
            assert self.session._gaps.open is None
        else:
            self.outage_began = self.now if self.outage_began is None else self.outage_began
            self.fail(None, FailureKind.EVENT)

    @precondition(lambda self: self.open)
    @rule(error=read_errors)
    def breaks(self, error: tuple[Exception, FailureKind]) -> None:
        if not self.pull_ready():
            return
        raised, kind = error
        self.end_connection()
        if self.outage_began is None:
            self.outage_began = self.now
        self.fail(raised, kind)

    @precondition(lambda self: self.open)
    @rule()
    def reconnects(self) -> None:
        self.session.request_reconnect()
        assert self.session.must_drop
        if not self.pull_ready():
            return
        self.end_connection()
        self.session.lost(None, self.now)
        assert not self.session.must_drop

    @rule()
    def batch(self) -> None:
        for event in self.session.take(self.now, None):
            self.delivered.append(event)

    @precondition(lambda self: self.has_store and not self.auto_ack)
    @rule(data=st.data())
    def acknowledges_one(self, data: st.DataObject) -> None:
        waiting = [event for event in self.delivered if event.id not in self.acked]
        if waiting:
            event = data.draw(st.sampled_from(waiting))
            self.session.saving.ack(event, self.now)
            self.acked.add(event.id)
            self.save()

    @precondition(lambda self: len(self.delivered) > 20)
    @rule()
    def closes(self) -> None:
        self.connecting = False
        self.session.close(self.now)
        assert self.session.take(self.now, 1) == []
        assert self.session.take(self.now, None) == []

    # -- What is always true -------------------------------------------------------------------

    @invariant()
    def every_event_once_in_order(self) -> None:
        """Nothing is lost, nothing comes twice."""
        assert [event.id for event in self.delivered] == [
            str(number) for number in range(1, len(self.delivered) + 1)
        ]
        assert all(event.data == f"event {event.id}" for event in self.delivered)

    @invariant()
    def cursor_is_what_was_delivered(self) -> None:
        """The cursor names the event delivered last."""
        assert self.session.last_event_id == (str(len(self.delivered)) if self.delivered else "")

    @invariant()
    def saved_is_acknowledged_without_a_gap(self) -> None:
        """The store never has a cursor with an unacknowledged event before it."""
        if self.has_store and not self.auto_ack:
            done = 0
            while str(done + 1) in self.acked:
                done += 1
            assert self.saved == (str(done) if done else "")

    @invariant()
    def hooks_hear_in_order(self) -> None:
        """The lifecycle order holds at every moment."""
        assert_order(self.recorder.events)

    @invariant()
    def closed_is_final(self) -> None:
        """Closed is said exactly when the source is done."""
        assert self.session.finished == (self.recorder.names[-1:] == ["Closed"])


Lives.TestCase.settings = settings(max_examples=tries(300), stateful_step_count=60, deadline=None)
TestLives = Lives.TestCase
