"""Single decisions of the session that the thousand lives of the state machine do not reach."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from resilient_sse import (
    Comment,
    ConnectionState,
    Disconnected,
    Failure,
    FailureKind,
    GiveUpError,
    RetryPolicy,
    ServerSentEvent,
    SSEDecoder,
    StatusError,
    StreamEnded,
    UnsafeRetry,
)
from resilient_sse._session import Session
from resilient_sse.testing import Recorder
from tests.session_settings import make_settings

if TYPE_CHECKING:
    from collections.abc import Callable


def make_session(**keywords: Any) -> tuple[Session, Recorder]:
    """Make a session whose policy always waits a second, and listen to it."""
    recorder = Recorder()
    keywords = {"policy": watched([]), "hooks": [recorder], **keywords}
    return Session(make_settings(**keywords)), recorder


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


def pending(session: Session) -> Exception:
    """Return what stamina's loop would see first."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever it is
        session.raise_pending()
    return caught.value


def drain(session: Session) -> list[str]:
    """Take what there is."""
    events: list[str] = []
    while (event := session.take(0.0)) is not None:
        events.append(event.data)
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
    session.received(b"id:1\ndata:a\n\nid:2\ndata:[DONE]\n\nid:3\ndata:b\n\n")

    assert drain(session) == ["a", "[DONE]"]
    assert session.finished
    assert session.last_event_id == "2"
    assert recorder.names[-2:] == ["Disconnected", "Closed"]
    assert session.take_batch(0.0) == []


def test_until_cuts_a_batch() -> None:
    """A batch ends with the event that ``until`` wants last."""
    session, _ = make_session(until=says("b"))
    connect(session)
    session.received(b"data:a\n\ndata:b\n\ndata:c\n\n")

    assert [event.data for event in session.take_batch(0.0)] == ["a", "b"]
    assert session.take_batch(0.0) == []
    assert session.finished


def test_nothing_is_lost_when_until_raises() -> None:
    """The event over which the predicate stumbled is still there."""
    verdicts = iter([False, True, False])

    def until(_event: ServerSentEvent) -> bool:
        if next(verdicts):
            raise ZeroDivisionError
        return False

    session, _ = make_session(until=until)
    connect(session)
    session.received(b"data:a\n\ndata:b\n\n")
    assert session.take(0.0) == ServerSentEvent(data="a")

    with pytest.raises(ZeroDivisionError):
        session.take(0.0)

    assert session.take(0.0) == ServerSentEvent(data="b")


# -- dedupe ------------------------------------------------------------------------------------


def test_dedupe_drops_what_an_inclusive_replay_repeats() -> None:
    """A server that starts again with the last event delivered does not deliver it twice."""
    session, _ = make_session(dedupe=10)
    connect(session)
    session.received(b"id:1\ndata:a\n\nid:2\ndata:b\n\n")
    assert drain(session) == ["a", "b"]
    session.lost(StreamEnded(), 1.0)
    connect(session)
    session.received(b"id:2\ndata:b\n\nid:3\ndata:c\n\n")

    assert drain(session) == ["c"]


def test_dedupe_keeps_events_without_an_id_of_their_own() -> None:
    """They carry the id of the event before them, but they are no repetition of it."""
    session, _ = make_session(dedupe=10)
    connect(session)
    session.received(b"id:1\ndata:a\n\ndata:b\n\n")
    session.received(b"data:c\n\n") if drain(session) == ["a", "b"] else pytest.fail("lost")

    assert drain(session) == ["c"]


def test_dedupe_knows_the_first_cursor() -> None:
    """The event that the first cursor names was delivered in an earlier life."""
    session, _ = make_session(dedupe=1, last_event_id="5")
    connect(session)
    session.received(b"id:5\ndata:a\n\nid:6\ndata:b\n\nid:5\ndata:c\n\n")

    assert drain(session) == ["b", "c"]  # 5 is not among the last one any more


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
    session.received(b"id:1\ndata:a\n\ndata:b\n\nid:2\ndata:c\n\n")

    assert drain(session) == ["a", "c"]


def test_repetitions_are_no_progress() -> None:
    """A server that only ever repeats itself does not reset the count."""
    seen: list[Failure] = []
    session, _ = make_session(dedupe=10, policy=watched(seen))
    for _ in range(3):
        connect(session)
        session.received(b"id:1\ndata:a\n\n")
        drain(session)
        session.lost(StreamEnded(), 0.0)
        session.retry_delay(pending(session), 0.0)

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
    session.received(b"id:1\ndata:a\n\n")
    drain(session)
    session.received(b"id:\x07\ndata:b\n\n")
    drain(session)

    assert session.last_event_id == "\x07"
    assert session.begin_attempt(1.0).last_event_id == "1"


def test_the_cursor_in_the_middle_of_a_batch() -> None:
    """It names the event delivered last, not the one received last."""
    session, _ = make_session(last_event_id="0")
    connect(session)
    session.received(b"id:1\ndata:a\n\nid:2\ndata:b\n\nid:3\n\n")

    cursors = [session.last_event_id]
    while session.take(0.0):
        cursors.append(session.last_event_id)

    assert cursors == ["0", "1", "3"]  # nothing is left to deliver before the id-only block


def test_closing_in_the_middle_of_a_batch_keeps_the_cursor_of_what_was_delivered() -> None:
    """What is thrown away is asked for again by the next life."""
    session, _ = make_session()
    connect(session)
    session.received(b"id:1\ndata:a\n\nid:2\ndata:b\n\n")
    session.take(0.0)

    session.close("closed", 1.0)

    assert session.last_event_id == "1"
    assert session.take(1.0) is None


def test_an_id_only_block_is_saved_once_all_is_acknowledged() -> None:
    """Heartbeats that move the cursor move what is saved, but never past an open event."""
    session, _ = make_session(cursor=Store(), auto_ack=False)
    connect(session)
    session.received(b"id:1\n\n")
    assert session.saving.begin() == "1"
    session.saving.saved("1")
    session.received(b"id:2\ndata:a\n\n")
    event = session.take(0.0)
    assert event is not None
    session.received(b"id:3\n\n")
    assert session.saving.begin() is None

    session.saving.ack(event)

    assert session.saving.begin() == "3"


def test_an_unsendable_cursor_is_not_saved() -> None:
    """A cursor that no request could carry is of no use to a later life."""
    session, _ = make_session(cursor=Store())
    connect(session)
    session.received(b"id:\x01\ndata:a\n\n")
    drain(session)
    session.saving.acknowledge()

    assert session.saving.begin() is None


def test_acknowledging_what_was_never_delivered() -> None:
    """It is a mistake, and said so."""
    session, _ = make_session(cursor=Store(), auto_ack=False)

    with pytest.raises(ValueError, match="was not delivered by this source"):
        session.saving.ack(ServerSentEvent(data="a"))


def test_acknowledging_without_a_store_does_nothing() -> None:
    """The same consumer runs with and without a store."""
    session, _ = make_session()

    session.saving.ack(ServerSentEvent(data="a"))

    assert session.saving.begin() is None


# -- failures ----------------------------------------------------------------------------------


def broken_post(**keywords: Any) -> tuple[Session, Exception]:
    """Send a POST whose stream ends without an event."""
    session, _ = make_session(method="post", **keywords)
    session.begin_attempt(0.0)
    session.sending("post")
    assert session.connected(200, {}, 0.0)
    session.lost(StreamEnded("gone"), 1.0)
    return session, pending(session)


def test_a_post_is_not_repeated_by_surprise() -> None:
    """Whatever the policy says, a request that the server acted on is not sent again."""
    session, error = broken_post()

    assert session.retry_delay(error, 1.0) is False
    outcome = session.conclude(error, 1.0)

    assert isinstance(outcome, GiveUpError)
    assert outcome.failure.kind is FailureKind.UNSAFE
    assert not outcome.failure.retryable
    assert isinstance(outcome.__cause__, UnsafeRetry)
    assert outcome.__cause__.__cause__ is error


def test_a_post_is_repeated_on_request() -> None:
    """retry_unsafe=True says that repeating does no harm."""
    session, error = broken_post(retry_unsafe=True)

    assert session.retry_delay(error, 1.0) == 1.0


def test_a_post_resumes_from_a_cursor() -> None:
    """With a cursor the server knows where to go on."""
    session, error = broken_post(last_event_id="7")

    assert session.retry_delay(error, 1.0) == 1.0


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
    session.sending("POST")

    assert session.retry_delay(error, 1.0) == 1.0


def test_an_error_that_is_no_failure_is_let_through() -> None:
    """A bug in a program is not retried, and not turned into something else."""
    session, recorder = make_session()
    session.begin_attempt(0.0)
    bug = KeyError("token")

    assert session.retry_delay(bug, 1.0) is False
    assert session.conclude(bug, 1.0) is bug
    assert not session.finished
    assert recorder.names == ["Connecting"]


def test_cancellation_is_no_failure() -> None:
    """Stamina shows its hook everything; what is no Exception passes through untouched."""
    session, _ = make_session()
    session.begin_attempt(0.0)

    assert session.retry_delay(KeyboardInterrupt(), 1.0) is False


def test_a_bug_while_reading_is_handed_back() -> None:
    """The connection is over, the error is raised as it is, and the next pull reconnects."""
    session, recorder = make_session()
    connect(session)
    bug = ValueError("bad line")

    assert session.lost(bug, 1.0) is bug
    assert recorder.names == ["Connecting", "Connected", "Disconnected"]
    assert session.state is ConnectionState.CONNECTING


def test_stamina_switched_off_gives_up_at_the_first_failure() -> None:
    """set_active(False) never asks the hook; the failure is counted and told all the same."""
    session, recorder = make_session()
    session.begin_attempt(0.0)
    error = httpx.ConnectError("refused")

    outcome = session.conclude(error, 2.0)

    assert isinstance(outcome, GiveUpError)
    assert outcome.failure.attempt == 1
    assert recorder.names == ["Connecting", "GaveUp", "Closed"]


def test_stamina_in_testing_may_stop_after_the_policy_said_wait() -> None:
    """A retry that was not announced yet is not announced at all."""
    session, recorder = make_session()
    session.begin_attempt(0.0)
    error = httpx.ConnectError("refused")
    assert session.retry_delay(error, 1.0) == 1.0

    session.conclude(error, 1.0)

    assert recorder.names == ["Connecting", "GaveUp", "Closed"]


@pytest.mark.parametrize("delay", [-1, float("nan"), float("inf"), "3", True, b""], ids=repr)
def test_what_a_policy_must_not_return(delay: Any) -> None:
    """A wrong answer of a policy is an error that names the policy, not a wait."""
    session, _ = make_session(policy=answers(delay))
    session.begin_attempt(0.0)
    error = httpx.ConnectError("refused")

    with pytest.raises((TypeError, ValueError), match=r"the policy .* must return seconds") as bad:
        session.retry_delay(error, 1.0)

    assert session.conclude(bad.value, 1.0) is bad.value


def test_whole_seconds_are_fine() -> None:
    """A policy may return an int."""
    session, _ = make_session(policy=answers(0))
    session.begin_attempt(0.0)

    delay = session.retry_delay(httpx.ConnectError("refused"), 1.0)

    assert (delay, type(delay)) == (0.0, float)


def test_the_retry_field_survives_the_connection() -> None:
    """It is the source's reconnection time until the server sends another one."""
    seen: list[Failure] = []
    session, _ = make_session(policy=watched(seen))
    connect(session)
    session.received(b"retry: 2500\n")
    session.lost(StreamEnded(), 0.0)
    session.retry_delay(pending(session), 0.0)
    session.begin_attempt(0.0)
    session.retry_delay(httpx.ConnectError("refused"), 0.0)
    connect(session)
    session.received(b"retry: " + b"9" * 400 + b"\n")
    session.lost(StreamEnded(), 0.0)
    session.retry_delay(pending(session), 0.0)

    assert [failure.server_retry for failure in seen] == [2.5, 2.5, 1e12]


def test_only_the_newest_failures_are_remembered() -> None:
    """A year of outage does not fill the memory; the count goes on."""
    session, _ = make_session()
    error = httpx.ConnectError("refused")
    for _ in range(150):
        session.begin_attempt(0.0)
        session.retry_delay(error, 0.0)

    outcome = session.conclude(error, 0.0)

    assert isinstance(outcome, GiveUpError)
    assert len(outcome.failures) == 100
    assert outcome.failure.attempt == 150


# -- closing and reconnecting at odd moments ---------------------------------------------------


def test_closing_from_a_hook_is_final() -> None:
    """A hook that closes the source on a failure ends it; the policy is not asked any more."""
    session, recorder = make_session()
    session.begin_attempt(0.0)
    session.close("closed", 1.0)
    error = httpx.ConnectError("refused")

    assert session.retry_delay(error, 1.0) is False
    assert session.conclude(error, 1.0) is None
    assert not session.connected(200, {}, 1.0)
    session.received(b"data: late\n\n")
    session.close("closed", 2.0)
    session.request_reconnect()

    assert not session.must_drop
    assert recorder.names == ["Connecting", "Closed"]


def test_events_decoded_while_another_thread_closes_are_not_delivered() -> None:
    """Nothing is delivered after closing, even if it slipped into the queue."""
    session, _ = make_session()
    connect(session)
    connection = session._connection
    session.close("closed", 1.0)
    session._connection = connection
    session.received(b"data: late\n\n")

    assert session.take(1.0) is None
    assert session.ready == []


def test_a_wait_that_goes_on_again_and_again_keeps_nothing() -> None:
    """The failure is raised anew each time; what it remembers of that does not grow."""
    session, _ = make_session()
    session.begin_attempt(0.0)
    error = httpx.ConnectError("refused")
    assert session.retry_delay(error, 0.0) == 1.0

    depths = [_depth_of_another_wait(session) for _ in range(3)]

    assert len(set(depths)) == 1


def _depth_of_another_wait(session: Session) -> int:
    session.begin_opening()
    error = pending(session)
    assert session.retry_delay(error, 0.5) == 0.5
    return len([*traceback.walk_tb(error.__traceback__)])


def test_reconnecting_on_a_failure_skips_its_wait() -> None:
    """A hook that asks for a reconnection when the stream breaks gets one at once."""
    session, _ = make_session()
    connect(session)
    session.lost(StreamEnded(), 1.0)
    session.request_reconnect()

    session.raise_pending()

    assert session.begin_attempt(1.0).number == 2


def test_a_read_that_breaks_because_of_a_reconnection_is_no_failure() -> None:
    """The blocking twin shuts the socket down; what the reader sees then is not held against it."""
    session, recorder = make_session()
    connect(session)
    session.request_reconnect()

    assert session.lost(httpx.ReadError("shut down"), 1.0) is None
    assert recorder.of(Disconnected)[-1].failure is None
    session.raise_pending()


def test_hooks_never_see_the_secrets_of_the_url() -> None:
    """Every lifecycle event carries the redacted URL."""
    session, recorder = make_session()
    connect(session)
    session.close("closed", 1.0)

    assert {event.url for event in recorder.events} == {"http://example.com/events?token=***"}
    assert "secret" not in repr(recorder.events)


def test_comments_reach_the_hooks() -> None:
    """Heartbeats can be observed; without hooks nobody asks the decoder for them."""
    session, recorder = make_session()
    connect(session)
    session.received(b": ping\n")

    assert [comment.text for comment in recorder.of(Comment)] == ["ping"]
    quiet, _ = make_session(hooks=[])
    connect(quiet)
    quiet.received(b": ping\n\n")
    assert quiet.take(0.0) is None
