"""Single decisions of the session that the thousand lives of the state machine do not reach."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, cast

import httpx
import pytest

from resilient_sse import (
    Closed,
    Comment,
    ConnectionState,
    Dialect,
    Disconnected,
    Failure,
    FailureKind,
    GapDetected,
    GiveUpError,
    RetryPolicy,
    ServerSentEvent,
    SSEDecoder,
    StatusError,
    StreamEnded,
    UnsafeRetry,
    Verdict,
)
from resilient_sse._values.callbacks import CallbackFailed
from resilient_sse.testing import Recorder
from tests.support.session_settings import make_settings, outcome_of, session_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from resilient_sse._session.session import Session


def make_session(**keywords: Any) -> tuple[Session, Recorder]:
    """Make a session whose policy always waits a second, and listen to it."""
    recorder = Recorder()
    keywords = {"policy": watched([]), "hooks": [recorder], **keywords}
    return session_of(make_settings(**keywords)), recorder


def watched(seen: list[Failure]) -> RetryPolicy:
    """Make a policy that shows what it saw."""

    def policy(failure: Failure) -> float:
        seen.append(failure)
        return 1.0

    return policy


def says(data: str) -> Callable[[ServerSentEvent], bool]:
    """Make a predicate for ``until``."""

    def until(event: ServerSentEvent) -> bool:
        return event.data == data

    return until


def answers(delay: Any) -> RetryPolicy:
    """Make a policy that always says the same."""

    def policy(_failure: Failure) -> Any:
        return delay

    return policy


def connect(session: Session, now: float = 0.0) -> None:
    """Open a connection."""
    session.begin_attempt(now)
    assert session.connected(200, {}, now)


def delay_after(session: Session, error: Exception, now: float) -> float | None:
    """Have an attempt or a connection fail; return how long to wait, or None for giving up."""
    session.lost(error, now)
    retry = session.retry(now, certain=True)
    if retry is None:
        return None
    assert retry.error is session._outage.failures[-1].error
    return retry.seconds


def ends_with(session: Session) -> Exception | None:
    """Return what the consumer gets at the end, which is now."""
    assert session.finished
    return outcome_of(session)


def drain(session: Session) -> list[str]:
    """Take what there is."""
    events: list[str] = []
    while taken := session.take(0.0, 1):
        assert len(taken) == 1
        events.append(taken[0].data)
    return events


class Store:
    """A store in memory; the tests play the driver."""

    def load(self, key: str) -> str | None:
        raise NotImplementedError

    def save(self, key: str, last_event_id: str) -> None:
        raise NotImplementedError


# -- until -------------------------------------------------------------------------------------


def test_until_ends_the_stream_after_its_event() -> None:
    """The event is delivered, what came behind it is not, and the stream closes."""
    session, recorder = make_session(until=says("[DONE]"))
    connect(session)
    session.received(b"id:1\ndata:a\n\nid:2\ndata:[DONE]\n\nid:3\ndata:b\n\n", 0.0)

    assert drain(session) == ["a", "[DONE]"]
    assert session.finished
    assert session.last_event_id == "2"
    assert recorder.names[-2:] == ["Disconnected", "Closed"]
    assert session.take(0.0, None) == []


def test_until_cuts_a_batch() -> None:
    """A batch ends with the event that ``until`` wants last."""
    session, _ = make_session(until=says("b"))
    connect(session)
    session.received(b"data:a\n\ndata:b\n\ndata:c\n\n", 0.0)

    assert [event.data for event in session.take(0.0, None)] == ["a", "b"]
    assert session.take(0.0, None) == []
    assert session.finished


def test_until_that_raises() -> None:
    """The event over which the predicate stumbled is not delivered: the next life gets it."""
    verdicts = iter([False, True, False])

    def until(_event: ServerSentEvent) -> bool:
        if next(verdicts):
            raise ZeroDivisionError
        return False

    session, recorder = make_session(until=until)
    connect(session)
    session.received(b"data:a\n\nid:2\ndata:b\n\n", 0.0)
    assert session.take(0.0, 1) == [ServerSentEvent(data="a")]

    assert session.take(0.0, 1) == []
    assert isinstance(ends_with(session), ZeroDivisionError)
    assert session.last_event_id == ""
    assert recorder.of(Closed)[-1].reason == "failed"
    assert outcome_of(session) is None  # it is raised once


def test_until_that_raises_within_a_batch() -> None:
    """The events before are handed out first, and nothing is asked twice."""
    asked: list[str] = []

    def until(event: ServerSentEvent) -> bool:
        asked.append(event.data)
        if event.data == "b":
            raise ZeroDivisionError
        return False

    session, _ = make_session(until=until)
    connect(session)
    session.received(b"data:a\n\ndata:b\n\n", 0.0)

    assert [event.data for event in session.take(0.0, None)] == ["a"]
    assert session.take(0.0, None) == []
    assert isinstance(ends_with(session), ZeroDivisionError)
    assert asked == ["a", "b"]


# -- dedupe ------------------------------------------------------------------------------------


def test_dedupe_drops_what_an_inclusive_replay_repeats() -> None:
    """A server that starts again with the last event delivered does not deliver it twice."""
    session, _ = make_session(dedupe=10)
    connect(session)
    session.received(b"id:1\ndata:a\n\nid:2\ndata:b\n\n", 0.0)
    assert drain(session) == ["a", "b"]
    session.lost(StreamEnded(), 1.0)
    connect(session)
    session.received(b"id:2\ndata:b\n\nid:3\ndata:c\n\n", 0.0)

    assert drain(session) == ["c"]


def test_dedupe_keeps_events_without_an_id_of_their_own() -> None:
    """They carry the id of the event before them, but they are no repetition of it."""
    session, _ = make_session(dedupe=10)
    connect(session)
    session.received(b"id:1\ndata:a\n\ndata:b\n\n", 0.0)
    session.received(b"data:c\n\n", 0.0) if drain(session) == ["a", "b"] else pytest.fail("lost")

    assert drain(session) == ["c"]


def test_dedupe_knows_the_first_cursor() -> None:
    """The event that the first cursor names was delivered in an earlier life."""
    session, _ = make_session(dedupe=1, last_event_id="5")
    connect(session)
    session.received(b"id:5\ndata:a\n\nid:6\ndata:b\n\nid:5\ndata:c\n\n", 0.0)

    assert drain(session) == ["b", "c"]  # 5 is not among the last one any more


@pytest.mark.parametrize("error", ["id:2\nevent:error\ndata:x\n\n", "event:error\ndata:x\n\n"])
@pytest.mark.parametrize("behind", ["", "id:2\ndata:b\n\nid:3\ndata:c\n\n", "data:-\n\n"])
@pytest.mark.parametrize("told", ["data:-\n\n", ""])
def test_dedupe_lets_in_what_an_error_kept_back(error: str, behind: str, told: str) -> None:
    """What was not delivered, the event that told of the error included, is no repetition."""
    verdicts = {"error": Verdict.FAILURE}
    judges = Dialect(judge=lambda event: verdicts.get(event.event, Verdict.DELIVER))
    session, _ = make_session(dedupe=2, dialect=judges)
    connect(session)
    session.received(b"id:0\ndata:-\n\n", 0.0)
    session.received(f"id:1\ndata:a\n\n{told}{error}{behind}".encode(), 0.0)
    assert drain(session) == ["-", "a", *(["-"] if told else [])]
    assert session.must_drop
    session.lost(None, 1.0)
    connect(session)
    session.received(
        b"id:0\ndata:-\n\nid:1\ndata:a\n\nid:2\ndata:b\n\nid:3\ndata:c\n\nid:2\ndata:b\n\n", 0.0
    )

    assert drain(session) == ["b", "c"]


@pytest.mark.parametrize("verdict", [Verdict.LAST, Verdict.FAILURE, Verdict.GAP])
def test_dedupe_does_not_hide_what_an_event_means(verdict: Verdict) -> None:
    """A server may give the id of the last event to what it says of the stream."""
    told = Dialect(judge=lambda event: verdict if event.event == "word" else Verdict.DELIVER)
    session, recorder = make_session(dedupe=9, dialect=told, on_gap="give up")
    connect(session)
    session.received(b"id:1\ndata:a\n\nid:1\nevent:word\ndata:x\n\nid:2\ndata:b\n\n", 0.0)

    assert drain(session) == ["a"]
    assert session.finished != (verdict is Verdict.FAILURE)
    assert session.must_drop == (verdict is Verdict.FAILURE)
    assert ("GapDetected" in recorder.names) == (verdict is Verdict.GAP)


@pytest.mark.parametrize("split", [False, True], ids=["one read", "two reads"])
@pytest.mark.parametrize("by", ["id", "position"])
def test_dedupe_lets_in_what_has_the_id_of_a_skipped_event(by: str, *, split: bool) -> None:
    """Only what was delivered is a repetition; what is skipped again moves no cursor back."""
    skips = Dialect(
        judge=lambda event: Verdict.SKIP if event.event == "ping" else Verdict.DELIVER,
        position=None if by == "id" else lambda event, _cursor: event.id,
    )
    session, _ = make_session(dedupe=9, dialect=skips)
    connect(session)
    ping, real = b"id:1\nevent:ping\ndata:x\n\n", b"id:1\ndata:a\n\n"
    for chunk in (ping, real) if split else (ping + real,):
        session.received(chunk, 0.0)
        if split and chunk is ping:
            assert drain(session) == []
    assert drain(session) == ["a"]
    session.received(b"id:2\ndata:b\n\n" + real + ping, 0.0)
    assert drain(session) == ["b"]
    session.received(b"id:3\nevent:ping\ndata:x\n\nid:4\ndata:c\n\n", 0.0)
    assert drain(session) == ["c"]
    session.received(b"id:3\nevent:ping\ndata:x\n\n", 0.0)
    assert drain(session) == []
    assert session.last_event_id == "4"


def begin_anew(_gap: GapDetected) -> str:
    """Stand for a function; the test plays the driver, which calls it."""
    raise NotImplementedError


def test_dedupe_lets_in_what_a_second_gap_kept_back() -> None:
    """A gap that comes again is a failure, behind which the stream begins again."""
    told = Dialect(judge=lambda event: Verdict.GAP if event.event == "gap" else Verdict.DELIVER)
    session, _ = make_session(dedupe=9, dialect=told, on_gap=begin_anew)
    for _ in range(2):
        connect(session)
        session.received(b"id:2\nevent:gap\ndata:x\n\nid:2\ndata:b\n\n", 0.0)
        assert drain(session) == []
        session.lost(None, 1.0)
        if session._gaps.open is not None:
            session.recovered("1", 1.0)
    connect(session)
    session.received(b"id:2\ndata:b\n\n", 0.0)

    assert drain(session) == ["b"]


def test_dedupe_with_a_decoder_that_cannot_tell() -> None:
    """With another decoder every id counts as the event's own."""

    class Plain:
        def __init__(self, **keywords: Any) -> None:
            self._inner = SSEDecoder(**keywords)
            self.retry: int | None = None
            self.last_event_id = ""

        def feed(self, chunk: bytes) -> list[ServerSentEvent]:
            return self._inner.feed(chunk)

    session, _ = make_session(dedupe=10, decoder=Plain)
    connect(session)
    session.received(b"id:1\ndata:a\n\ndata:b\n\nid:2\ndata:c\n\n", 0.0)

    assert drain(session) == ["a", "c"]


def test_repetitions_are_no_progress() -> None:
    """A server that only ever repeats itself does not reset the count."""
    seen: list[Failure] = []
    session, _ = make_session(dedupe=10, policy=watched(seen))
    for _ in range(3):
        connect(session)
        session.received(b"id:1\ndata:a\n\n", 0.0)
        drain(session)
        delay_after(session, StreamEnded(), 0.0)

    assert [(failure.attempt, failure.progress) for failure in seen] == [
        (1, True),
        (2, False),
        (3, False),
    ]


# -- the cursor --------------------------------------------------------------------------------


def test_an_id_that_cannot_be_sent_is_not_resumed_from() -> None:
    """Resuming from the id before it may repeat events; resuming from nothing would lose them."""
    session, _ = make_session()
    connect(session)
    session.received(b"id:1\ndata:a\n\n", 0.0)
    drain(session)
    session.received(b"id:\x07\ndata:b\n\n", 0.0)
    drain(session)

    assert session.last_event_id == "\x07"
    attempt = session.begin_attempt(1.0)
    assert attempt is not None
    assert attempt.last_event_id == "1"


def test_the_cursor_in_the_middle_of_a_batch() -> None:
    """It names the event delivered last, not the one received last."""
    session, _ = make_session(last_event_id="0")
    connect(session)
    session.received(b"id:1\ndata:a\n\nid:2\ndata:b\n\nid:3\n\n", 0.0)

    cursors = [session.last_event_id]
    while session.take(0.0, 1):
        cursors.append(session.last_event_id)

    assert cursors == ["0", "1", "3"]  # nothing is left to deliver before the id-only block


def test_closing_in_the_middle_of_a_batch_keeps_the_cursor_of_what_was_delivered() -> None:
    """What is thrown away is asked for again by the next life."""
    session, _ = make_session()
    connect(session)
    session.received(b"id:1\ndata:a\n\nid:2\ndata:b\n\n", 0.0)
    session.take(0.0, 1)

    session.close(1.0)

    assert session.last_event_id == "1"
    assert session.take(1.0, 1) == []


def test_an_id_only_block_is_saved_once_all_is_acknowledged() -> None:
    """Heartbeats that move the cursor move what is saved, but never past an open event."""
    session, _ = make_session(cursor=Store(), auto_ack=False)
    connect(session)
    session.received(b"id:1\n\n", 0.0)
    assert session.saving.begin() == "1"
    session.saving.saved("1")
    session.received(b"id:2\ndata:a\n\n", 0.0)
    (event,) = session.take(0.0, 1)
    session.received(b"id:3\n\n", 0.0)
    assert session.saving.begin() is None

    assert session.saving.ack(event, 0.0)

    assert session.saving.begin() == "3"


def test_an_unsendable_cursor_is_not_saved() -> None:
    """A cursor that no request could carry is of no use to a later life."""
    session, _ = make_session(cursor=Store())
    connect(session)
    session.received(b"id:\x01\ndata:a\n\n", 0.0)
    drain(session)
    assert not session.saving.ack(None, 0.0)

    assert session.saving.begin() is None


def test_acknowledging_what_was_never_delivered() -> None:
    """It is a mistake, and said so."""
    session, _ = make_session(cursor=Store(), auto_ack=False)

    with pytest.raises(ValueError, match="was not delivered by this source"):
        session.saving.ack(ServerSentEvent(data="a"), 0.0)


def test_a_mistaken_acknowledgement_of_a_huge_event() -> None:
    """The message has the beginning of what the server sent, as one line."""
    session, _ = make_session(cursor=Store(), auto_ack=False)

    with pytest.raises(ValueError, match="was not delivered by this source") as caught:
        session.saving.ack(ServerSentEvent(data="\x1b\n" + "x" * 100_000), 0.0)
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()


def test_acknowledging_without_a_store_does_nothing() -> None:
    """The same consumer runs with and without a store."""
    session, _ = make_session()

    assert not session.saving.ack(ServerSentEvent(data="a"), 0.0)

    assert session.saving.begin() is None


# -- failures ----------------------------------------------------------------------------------


def broken_post(**keywords: Any) -> tuple[Session, float | None]:
    """Send a POST whose stream ends without an event; return the wait that follows."""
    session, _ = make_session(method="post", **keywords)
    session.begin_attempt(0.0)
    session.requested(httpx.Request("post", "http://h/"))
    assert session.connected(200, {}, 0.0)
    return session, delay_after(session, StreamEnded("gone"), 1.0)


def test_a_post_is_not_repeated_by_surprise() -> None:
    """Whatever the policy says, a request that the server acted on is not sent again."""
    session, delay = broken_post()

    assert delay is None
    outcome = ends_with(session)

    assert isinstance(outcome, GiveUpError)
    assert outcome.failure.kind is FailureKind.UNSAFE
    assert not outcome.failure.retryable
    assert isinstance(outcome.__cause__, UnsafeRetry)
    assert isinstance(outcome.__cause__.__cause__, StreamEnded)


def test_a_post_is_repeated_on_request() -> None:
    """retry_unsafe=True says that repeating does no harm."""
    assert broken_post(retry_unsafe=True)[1] == 1.0


def test_a_post_resumes_from_a_cursor() -> None:
    """With a cursor the server knows where to go on."""
    assert broken_post(last_event_id="7")[1] == 1.0


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("slow"),
        httpx.PoolTimeout("full"),
        StatusError("busy", response=httpx.Response(503)),
        StatusError("slow down", response=httpx.Response(429)),
    ],
    ids=repr,
)
def test_a_post_that_was_not_processed_is_repeated(error: Exception) -> None:
    """If the server cannot have acted, nothing stands against another try."""
    session, _ = make_session(method="POST")
    session.begin_attempt(0.0)
    session.requested(httpx.Request("POST", "http://h/"))

    assert delay_after(session, error, 1.0) == 1.0


def test_an_error_that_is_no_failure_ends_the_source() -> None:
    """A bug in a program is not retried, and not turned into something else."""
    session, recorder = make_session()
    session.begin_attempt(0.0)
    bug = KeyError("token")

    assert delay_after(session, bug, 1.0) is None
    assert ends_with(session) is bug
    assert recorder.names == ["Connecting", "Closed"]


def test_a_bug_while_reading_ends_the_source() -> None:
    """The connection is over, and the error is raised as it is."""
    session, recorder = make_session()
    connect(session)
    bug = ValueError("bad line")

    session.lost(bug, 1.0)

    assert ends_with(session) is bug
    assert recorder.names == ["Connecting", "Connected", "Disconnected", "Closed"]
    assert recorder.of(Disconnected)[-1].failure is None
    assert recorder.of(Closed)[-1].reason == "failed"


def test_a_decoder_that_cannot_be_made() -> None:
    """What its factory raises reaches the consumer; no connection counts as opened."""

    def broken(**_keywords: Any) -> Any:
        raise StopIteration

    session, recorder = make_session(decoder=broken)
    session.begin_attempt(0.0)

    assert not session.connected(200, {}, 0.0)

    outcome = ends_with(session)
    assert isinstance(outcome, RuntimeError)
    assert isinstance(outcome.__cause__, StopIteration)
    assert recorder.names == ["Connecting", "Closed"]


@pytest.mark.parametrize("closes", [False, True])
def test_a_decoder_that_fails_behind_a_comment(*, closes: bool) -> None:
    """Hooks hear of the comment, but not if somebody closes the source meanwhile."""

    class Failing:
        def __init__(self, *, on_comment: Callable[[str], object], **_keywords: object) -> None:
            self._on_comment = on_comment
            self.last_event_id, self.retry = "", None

        def feed(self, _chunk: bytes) -> list[ServerSentEvent]:
            self._on_comment("heard")
            if closes:
                session.close(0.0)
            raise LookupError

    session, recorder = make_session(decoder=Failing)
    connect(session)
    with pytest.raises(CallbackFailed):
        session.received(b"x", 0.0)
    assert session.take(0.0, 1) == []

    heard = [] if closes else ["heard"]
    assert [each.text for each in recorder.of(Comment)] == heard


def test_what_stamina_does_not_retry_is_given_up() -> None:
    """Switched off, or in testing: a retry that was not sure to happen is not announced."""
    session, recorder = make_session()
    session.begin_attempt(0.0)
    session.lost(httpx.ConnectError("refused"), 1.0)
    retry = session.retry(1.0, certain=False)
    assert retry is not None
    assert retry.seconds == 1.0

    session.waited(1.0, again=False)

    outcome = ends_with(session)
    assert isinstance(outcome, GiveUpError)
    assert outcome.failure.attempt == 1
    assert recorder.names == ["Connecting", "GaveUp", "Closed"]


def test_a_retry_that_was_not_certain_is_announced_after_the_wait() -> None:
    """The hooks hear of it all the same, before the next attempt."""
    session, recorder = make_session()
    session.begin_attempt(0.0)
    session.lost(httpx.ConnectError("refused"), 1.0)
    session.retry(1.0, certain=False)

    session.waited(1.0, again=True)
    session.step(1.0, lambda: True)

    assert recorder.names == ["Connecting", "RetryScheduled", "Connecting"]


@pytest.mark.parametrize("delay", [-1, float("nan"), float("inf"), "3", True, b""], ids=repr)
def test_what_a_policy_must_not_return(delay: Any) -> None:
    """A wrong answer of a policy is an error that names the policy, not a wait."""
    session, _ = make_session(policy=answers(delay))
    session.begin_attempt(0.0)

    assert delay_after(session, httpx.ConnectError("refused"), 1.0) is None

    outcome = ends_with(session)
    assert isinstance(outcome, (TypeError, ValueError))
    assert "must return seconds" in str(outcome)


def test_whole_seconds_are_fine() -> None:
    """A policy may return an int."""
    session, _ = make_session(policy=answers(0))
    session.begin_attempt(0.0)

    delay = delay_after(session, httpx.ConnectError("refused"), 1.0)

    assert (delay, type(delay)) == (0.0, float)


def test_the_retry_field_survives_the_connection() -> None:
    """It is the source's reconnection time until the server sends another one."""
    seen: list[Failure] = []
    session, _ = make_session(policy=watched(seen))
    connect(session)
    session.received(b"retry: 2500\n", 0.0)
    delay_after(session, StreamEnded(), 0.0)
    session.begin_attempt(0.0)
    delay_after(session, httpx.ConnectError("refused"), 0.0)
    connect(session)
    session.received(b"retry: " + b"9" * 400 + b"\n", 0.0)
    delay_after(session, StreamEnded(), 0.0)

    assert [failure.server_retry for failure in seen] == [2.5, 2.5, 1e12]


def test_only_the_newest_failures_are_remembered() -> None:
    """A year of outage does not fill the memory; the count goes on."""
    session, _ = make_session()
    error = httpx.ConnectError("refused")
    for _ in range(150):
        session.begin_attempt(0.0)
        delay_after(session, error, 0.0)
    session.waited(0.0, again=False)

    outcome = ends_with(session)

    assert isinstance(outcome, GiveUpError)
    assert len(outcome.failures) == 100
    assert outcome.failure.attempt == 150


# -- closing and reconnecting at odd moments ---------------------------------------------------


def test_closing_from_a_hook_is_final() -> None:
    """A hook that closes the source on a failure ends it; the policy is not asked any more."""
    session, recorder = make_session()
    session.begin_attempt(0.0)
    session.close(1.0)

    assert delay_after(session, httpx.ConnectError("refused"), 1.0) is None
    session.waited(1.0, again=False)
    session.close(1.0, error=ValueError("late"))
    assert session.begin_attempt(1.0) is None
    assert ends_with(session) is None
    assert not session.connected(200, {}, 1.0)
    session.received(b"data: late\n\n", 0.0)
    session.close(2.0)
    session.request_reconnect()

    assert not session.must_drop
    assert recorder.names == ["Connecting", "Closed"]


def test_events_decoded_while_another_thread_closes_are_not_delivered() -> None:
    """Nothing is delivered after closing, even if it slipped into the queue."""
    session, _ = make_session()
    connect(session)
    connection = session._connection
    session.close(1.0)
    session._connection = connection
    session.received(b"data: late\n\n", 0.0)

    assert session.take(1.0, 1) == []
    assert session.shortcuts.queue == []


def test_a_wait_that_was_cut_short_goes_on() -> None:
    """The policy is asked once; what is left of its wait is what is left."""
    seen: list[Failure] = []
    session, recorder = make_session(policy=watched(seen))
    session.begin_attempt(0.0)
    assert delay_after(session, httpx.ConnectError("refused"), 0.0) == 1.0

    waits = [session.retry(now, certain=True) for now in (0.25, 0.5, 7.0)]

    assert [(wait.seconds, wait.resumed) for wait in waits if wait] == [
        (0.75, True),
        (0.5, True),
        (0.0, True),
    ]
    assert len(seen) == 1
    assert recorder.names == ["Connecting", "RetryScheduled"]


def test_reconnecting_on_a_failure_skips_its_wait() -> None:
    """A hook that asks for a reconnection when the stream breaks gets one at once."""
    session, _ = make_session()
    connect(session)
    session.lost(StreamEnded(), 1.0)
    before = session.must_wait
    session.request_reconnect()

    assert (before, session.must_wait) == (True, False)
    attempt = session.begin_attempt(1.0)
    assert attempt is not None
    assert attempt.number == 2


def test_a_read_that_breaks_because_of_a_reconnection_is_no_failure() -> None:
    """The blocking twin shuts the socket down; what the reader sees then is not held against it."""
    session, recorder = make_session()
    connect(session)
    session.request_reconnect()

    session.lost(httpx.ReadError("shut down"), 1.0)
    assert recorder.of(Disconnected)[-1].failure is None
    assert not session.must_wait


def test_hooks_never_see_the_secrets_of_the_url() -> None:
    """Every lifecycle event carries the redacted URL."""
    session, recorder = make_session()
    connect(session)
    session.close(1.0)

    assert {event.url for event in recorder.events} == {"http://example.com/events?token=***"}
    assert "secret" not in repr(recorder.events)


def test_comments_reach_the_hooks() -> None:
    """Heartbeats can be observed; without hooks nobody asks the decoder for them."""
    session, recorder = make_session()
    connect(session)
    session.received(b": ping\n", 0.0)
    assert session.take(0.0, 1) == []

    assert [comment.text for comment in recorder.of(Comment)] == ["ping"]
    quiet, _ = make_session(hooks=[])
    connect(quiet)
    quiet.received(b": ping\n\n", 0.0)
    assert quiet.take(0.0, 1) == []


class Intruding:
    """A lock that somebody else gets first, once."""

    def __init__(self, *_arguments: object) -> None:
        self._lock = cast("Any", threading.RLock())
        self._is_owned = self._lock._is_owned
        self.intruder: Callable[[], object] | None = None

    def acquire(self) -> None:
        intruder, self.intruder = self.intruder, None
        if intruder is not None:
            intruder()
        self._lock.acquire()

    def __enter__(self) -> None:
        self.acquire()

    def release(self) -> None:
        self._lock.release()

    def __exit__(self, *_exc: object) -> None:
        self.release()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_another_thread_closes_while_the_policy_decides(method: str) -> None:
    """Whoever gets the lock first, closing is final."""
    lock = Intruding()
    session = session_of(make_settings(method=method, policy=answers(1.0)), lock)
    session.begin_attempt(0.0)
    session.requested(httpx.Request(method, "http://h/"))
    session.lost(httpx.ReadError("reset"), 0.0)
    lock.intruder = lambda: session.close(0.0)

    assert session.retry(0.0, certain=True) is None
    assert session.state is ConnectionState.CLOSED
    assert outcome_of(session) is None


def test_another_thread_closes_while_an_event_is_handed_out() -> None:
    """What was there a moment ago is gone, and that is no error."""
    session, _ = make_session()
    connect(session)
    session.close(0.0)

    assert session.take(0.0, 1) == []
    assert session._delivery.next_run() == []


@pytest.mark.timing
@pytest.mark.parametrize("most", [1, None], ids=["events", "batches"])
@pytest.mark.parametrize(
    "block", [b":\n", b":\n\n", b":\nid:1\n\n", b"data:x\n\n:\n", b"id:1\ndata:x\n\n:\n"]
)
def test_a_flood_of_comments_takes_linear_time(block: bytes, most: int | None) -> None:
    """64 KB of them in one chunk, with a hook that hears each: seconds would be too many."""
    session, recorder = make_session()
    connect(session)
    count = 2**16 // len(block)
    began = time.process_time()
    session.received(block * count, 0.0)
    while session.take(0.0, most):
        pass

    assert time.process_time() - began < 3
    assert len(recorder.of(Comment)) == count


@pytest.mark.timing
def test_a_flood_of_comments_that_is_told_at_the_end_takes_linear_time() -> None:
    """What nobody asked for is told at once as the source closes."""
    session, recorder = make_session()
    connect(session)
    count = 2**18
    session.received(b":\n" * count, 0.0)
    began = time.process_time()
    session.close(0.0)

    assert time.process_time() - began < 20  # quadratic: minutes
    assert len(recorder.of(Comment)) == count


# -- a dialect -----------------------------------------------------------------------------------


def test_events_that_outlive_their_connection() -> None:
    """They are handed out on the short way, too."""
    session, _ = make_session(dialect=Dialect(judge=lambda _: Verdict.DELIVER))
    assert session.shortcuts.quick is not None
    connect(session)
    session.received(b"id:1\ndata:a\n\nid:2\ndata:b\n\nid:3\n\n", 0.0)
    (taken,) = session.take(0.0, 1)
    assert taken.data == "a"
    session.lost(None, 0.0)
    quick = session.quick()
    assert quick is not None
    assert quick.data == "b"
    assert session.quick() is None
    assert session.last_event_id == "3"


@pytest.mark.parametrize("way", ["quick", "take"])
def test_the_cursor_after_an_error_that_had_the_id_of_the_next_event(way: str) -> None:
    """Once that event is delivered, it is behind it."""
    told = Dialect(judge=lambda made: Verdict.FAILURE if made.event == "error" else Verdict.DELIVER)
    session, _ = make_session(dialect=told)
    connect(session)
    session.received(b"id:1\ndata:a\n\nid:2\nevent:error\ndata:x\n\n", 0.0)
    assert drain(session) == ["a"]
    session.lost(None, 1.0)
    connect(session)
    session.received(b"id:2\ndata:b\n\n", 0.0)
    made = session.quick() if way == "quick" else session.take(0.0, 1)[0]

    assert made is not None
    assert made.data == "b"
    assert session.last_event_id == "2"


def no_text(_event: ServerSentEvent, _cursor: str) -> Any:
    """Return a number."""
    return 3


def test_a_position_that_is_no_text_on_the_short_way() -> None:
    """It ends the source, as on the long one."""
    session, _ = make_session(dialect=Dialect(position=no_text))
    connect(session)
    session.received(b"data:a\n\n", 0.0)
    assert session.quick() is None
    assert session.take(0.0, 1) == []
    assert session.take(0.0, 1) == []

    assert isinstance(outcome_of(session), TypeError)


@pytest.mark.parametrize("way", ["quick", "take"])
def test_a_function_of_the_dialect_that_closes_the_source(way: str) -> None:
    """The event that it was asked about is not delivered, on either way, and moves nothing."""

    def judge(event: ServerSentEvent) -> Verdict:
        if event.data == "b":
            session.close(0.0)
        return Verdict.DELIVER

    session, _ = make_session(dialect=Dialect(judge=judge))
    connect(session)
    session.received(b"id:1\ndata:a\n\nid:2\ndata:b\n\nid:3\ndata:c\n\n", 0.0)
    pull = session.quick if way == "quick" else lambda: session.take(0.0, 1)
    assert pull()
    assert not pull()
    assert outcome_of(session) is None
    assert session.finished
    assert session.last_event_id == "1"
