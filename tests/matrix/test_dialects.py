"""Dialects: what a server may depart in from the standard, on every runtime."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from resilient_sse import (
    Closed,
    Comment,
    Connected,
    ContentTypeError,
    Dialect,
    Disconnected,
    EventFailure,
    EventTooLarge,
    ExponentialBackoff,
    GapDetected,
    GapError,
    NDJSONDecoder,
    NDJSONError,
    SSEDecoder,
    StatusError,
    StreamEnded,
    UnsafeRetry,
    Verdict,
)
from resilient_sse.dialects import resume_by_header, resume_by_query
from resilient_sse.testing import Connection, Ending, Framing, comment, event, raw
from tests.support.runners import eventually

if TYPE_CHECKING:
    from resilient_sse import ServerSentEvent
    from tests.support.runners import World

ONE, TWO, THREE = (
    event(name, id=str(number)) for number, name in enumerate(("one", "two", "3"), 1)
)
VERDICTS = {
    "ping": Verdict.SKIP,
    "bookmark": Verdict.SKIP,
    "hello": Verdict.GREETING,
    "error": Verdict.FAILURE,
    "lost": Verdict.GAP,
    "bye": Verdict.LAST,
}


def judge(made: ServerSentEvent) -> Verdict:
    """Go by the event's name."""
    return VERDICTS.get(made.event, Verdict.DELIVER)


def number_of(made: ServerSentEvent, _cursor: str) -> str | None:
    """Find the cursor in the payload."""
    number = json.loads(made.data).get("n")
    return None if number is None else str(number)


JUDGED = Dialect(judge=judge)
NUMBERED = Dialect(judge=judge, position=number_of, resume=resume_by_query("after"))


def numbered(*numbers: int, name: str = "") -> bytes:
    """Events whose cursor is in their payload; their ids mean nothing."""
    return b"".join(event(json.dumps({"n": n}), event=name, id=f"x{n}") for n in numbers)


class Store:
    """A store that remembers everything that was saved."""

    def __init__(self, cursor: str = "") -> None:
        self.saved: list[str] = []
        self.cursor = cursor

    def load(self, _key: str) -> str:
        return self.cursor

    def save(self, _key: str, last_event_id: str) -> None:
        self.saved.append(last_event_id)


# -- judge ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("batched", [False, True])
def test_last(home: World, *, batched: bool) -> None:
    """It is delivered, and nothing behind it; the store has it."""
    store = Store()
    chunk = raw(ONE + event("that is all", event="bye", id="2") + THREE)
    got = home.run(Connection(chunk), dialect=JUDGED, cursor=store, batched=batched)
    assert got.data == ["one", "that is all"]
    assert got.recorder.of(Closed)[-1].reason == "until"
    assert len(got.requests) == 1
    assert store.saved[-1] == "2"


@pytest.mark.parametrize("batched", [False, True])
def test_skip(home: World, *, batched: bool) -> None:
    """It is not delivered; its id moves the cursor, and it is no progress."""
    chunk = raw(ONE + event("", event="ping") + event("7", event="bookmark", id="7"))
    got = home.run(Connection(chunk), dialect=JUDGED, batched=batched)
    assert got.data == ["one"]
    assert [request.last_event_id for request in got.requests] == ["", "7"]


def test_a_bookmark_is_saved(home: World) -> None:
    """Alone, in front of an event, and behind one, with which it is acknowledged."""
    five, six = (event("x", event="bookmark", id=number) for number in "56")
    for chunk, saved in ((five, ["5"]), (five + ONE, ["1"]), (ONE + six + TWO + six, ["6"])):
        store = Store()
        home.run(Connection(raw(chunk)), dialect=JUDGED, cursor=store, batched=True)
        assert store.saved[-1:] == saved


@pytest.mark.parametrize("name", ["hello", "ping"])
def test_greetings_are_no_progress(home: World, name: str) -> None:
    """A server that greets and ends is an outage that keeps growing."""
    greeting = Connection(event("hi", event=name))
    got, error = home.give_up(
        *[greeting] * 3, dialect=JUDGED, policy=ExponentialBackoff(attempts=3, wait_initial=0)
    )
    assert got.data == (["hi"] * 3 if name == "hello" else [])
    assert [failure.attempt for failure in error.failures] == [1, 2, 3]
    assert not error.failure.progress


def test_an_event_behind_a_greeting_is_progress(home: World) -> None:
    """It ends the outage."""
    got = home.run(*[Connection(event("hi", event="hello"), event("x"))] * 3, dialect=JUDGED)
    assert [failure.attempt for failure in got.policy.failures] == [1, 1, 1]


@pytest.mark.parametrize("options", [{}, {"dedupe": 5}], ids=["quick", "looked at"])
def test_hooks_are_told_of_progress(home: World, options: dict[str, Any]) -> None:
    """A server that only greets, or says in an event that it failed, has not recovered."""
    bodies = [
        (event("hi", event="hello"),),
        (event("hi", event="hello"), event("overloaded", event="error")),
        (event("x", event="ping"),),
        (event("hi", event="hello"), ONE),
    ]
    got = home.run(*(Connection(*body) for body in bodies), dialect=JUDGED, **options)
    totals = [told.totals for told in got.recorder.of(Connected)]
    assert [each.progress for each in totals] == [False, False, False, True]
    assert [each.events for each in totals] == [1, 2, 1, 2]


def test_hooks_are_told_of_progress_without_a_dialect(home: World) -> None:
    """Any event is."""
    got = home.run(Connection(comment("hi")), Connection(ONE))
    assert [told.totals.progress for told in got.recorder.of(Connected)] == [False, True]


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("behind", [b"", TWO, b"id: 9\n\n", comment("bye")])
def test_a_failure_told_by_an_event(home: World, behind: bytes, *, batched: bool) -> None:
    """What was before it is delivered, it is not, nor what is behind it; the policy decides."""
    overloaded = event('{"error": "overloaded"}', event="error", id="bad")
    chunk = raw(ONE + overloaded + behind)
    got = home.run(
        Connection(chunk, ending=Ending.SILENCE), Connection(TWO), dialect=JUDGED, batched=batched
    )
    assert got.data == ["one", "two"]
    assert [request.last_event_id for request in got.requests] == ["", "1", "2"]
    failure = got.policy.failures[0]
    assert failure.kind == "event"
    assert failure.retryable
    assert failure.progress
    assert isinstance(failure.error, EventFailure)
    assert failure.error.event.id == "bad"
    assert str(failure.error).endswith("""event 'error' of a failure: '{"error": "overloaded"}'""")
    assert failure.error.request.method == "GET"
    assert got.recorder.of(Disconnected)[0].failure == failure


def test_a_server_that_greets_says_that_it_failed_and_ends(home: World) -> None:
    """A policy with a limit gives up; the excerpt is in its story."""
    bad = Connection(event("hi", event="hello"), event("overloaded", event="error"))
    got, error = home.give_up(
        *[bad] * 4, dialect=JUDGED, policy=ExponentialBackoff(attempts=4, wait_initial=0)
    )
    assert len(got.requests) == 4
    assert error.failure.kind == "event"
    assert "overloaded" in str(error)


def test_each_event_is_judged_once_in_order_and_not_ahead(home: World) -> None:
    """When it is about to be handed out."""
    judged: list[str] = []

    def note(made: ServerSentEvent) -> Verdict:
        judged.append(made.data)
        return Verdict.SKIP if made.data == "no" else Verdict.DELIVER

    seen: list[list[str]] = []
    chunk = raw(event("a") + event("no") + event("b") + event("c"))

    def look(_source: Any, _event: ServerSentEvent) -> None:
        seen.append(judged[:])

    got = home.run(Connection(chunk), dialect=Dialect(judge=note), on_event=look)
    assert got.data == ["a", "b", "c"]
    assert judged == ["a", "no", "b", "c"]
    assert seen == [["a"], ["a", "no", "b"], ["a", "no", "b", "c"]]


@pytest.mark.parametrize("verdict", [None, True, "deliver"])
def test_what_is_no_verdict(home: World, verdict: Any) -> None:
    """It is a TypeError that says what to return."""
    server = home.serve(Connection(ONE))
    reading = home.read(server, dialect=Dialect(judge=lambda _: verdict))
    with pytest.raises(TypeError, match=r"judge must return a Verdict, such as Verdict\.DELIVER"):
        reading.wait()


@pytest.mark.parametrize("batched", [False, True])
def test_what_comes_before_a_mistake_is_delivered(home: World, *, batched: bool) -> None:
    """Also in a batch."""

    def picky(made: ServerSentEvent) -> Verdict:
        if made.data == "two":
            raise LookupError
        return Verdict.DELIVER

    server = home.serve(Connection(raw(ONE + TWO)))
    reading = home.read(server, dialect=Dialect(judge=picky), batched=batched)
    with pytest.raises(LookupError):
        reading.wait()
    assert reading.data == ["one"]
    assert reading.source.last_event_id == "1"


def test_a_judge_that_closes_the_source(thread: World) -> None:
    """The event is not delivered any more."""
    sources: list[Any] = []

    def close(_event: ServerSentEvent) -> Verdict:
        sources[0].close()
        return Verdict.DELIVER

    source, recorder, _ = thread.source(thread.serve(Connection(ONE)), dialect=Dialect(judge=close))
    sources.append(source)
    with source:
        assert list(source) == []
    assert recorder.of(Closed)[-1].reason == "closed"


def test_until_is_asked_as_well(home: World) -> None:
    """Of what is delivered; whichever ends first."""
    asked: list[str] = []

    def until(made: ServerSentEvent) -> bool:
        asked.append(made.data)
        return made.data == "one"

    chunk = raw(event("", event="ping") + event("hi", event="hello") + ONE + TWO)
    got = home.run(Connection(chunk), dialect=JUDGED, until=until)
    assert got.data == ["hi", "one"]
    assert asked == ["hi", "one"]
    assert got.recorder.of(Closed)[-1].reason == "until"


def test_comments_keep_their_place(home: World) -> None:
    """Also where every event between them is skipped."""
    ping = event("", event="ping")
    chunk = raw(comment("a") + ping + comment("b") + ping + comment("c") + ONE)
    got = home.run(Connection(chunk), dialect=JUDGED)
    assert got.data == ["one"]
    assert [made.text for made in got.recorder.of(Comment)] == ["a", "b", "c"]


# -- position and resume ---------------------------------------------------------------------------


def test_the_cursor_is_in_the_payload(world: World) -> None:
    """It is what the attempt, the source and the store have; the ids of the stream move nothing."""
    attempts: list[str] = []

    def prepare(_request: Any, attempt: Any) -> None:
        attempts.append(attempt.last_event_id)

    store = Store()
    got = world.run(
        Connection(raw(numbered(1, 2)), ending=Ending.RESET),
        Connection(raw(numbered(3)), b"id: x9\n\n"),
        dialect=NUMBERED,
        cursor=store,
        prepare_request=prepare,
    )
    assert [made.id for made in got.events] == ["x1", "x2", "x3"]
    assert got.source.last_event_id == "3"
    assert [request.query for request in got.requests] == ["", "after=2", "after=3"]
    assert {request.last_event_id for request in got.requests} == {""}
    assert attempts == ["", "2", "3"]
    assert store.saved[-2:] == ["2", "3"]


@pytest.mark.parametrize("batched", [False, True])
def test_position_gets_the_cursor_before(home: World, *, batched: bool) -> None:
    """So that a response's id from the first event can live in it."""

    def position(made: ServerSentEvent, cursor: str) -> str | None:
        body = made.json()
        if "response" in body:
            return f"{body['response']}:0"
        return f"{cursor.partition(':')[0]}:{body['n']}" if "n" in body else None

    chunk = raw(event('{"response": "r1"}') + event('{"n": 1}') + event("{}") + event('{"n": 2}'))
    got = home.run(Connection(chunk), dialect=Dialect(position=position), batched=batched)
    assert got.source.last_event_id == "r1:2"


def no_text(*_: object) -> Any:
    """Return a number."""
    return 3


def test_position_that_is_no_text(home: World) -> None:
    """A number is not, and the error says so."""
    server = home.serve(Connection(ONE))
    reading = home.read(server, dialect=Dialect(position=no_text))
    with pytest.raises(TypeError, match="what position returns must be a str, not 3"):
        reading.wait()


@pytest.mark.parametrize("batched", [False, True])
def test_dedupe_compares_positions(home: World, *, batched: bool) -> None:
    """What comes again is dropped, is no progress, and does not move the cursor back."""
    got = home.run(
        Connection(raw(numbered(1, 2, 3, 3))),
        Connection(raw(numbered(2, 3))),
        Connection(raw(numbered(2, 3, 4))),
        dialect=NUMBERED,
        dedupe=10,
        batched=batched,
    )
    assert [made.id for made in got.events] == ["x1", "x2", "x3", "x4"]
    assert [request.query for request in got.requests] == ["", *["after=3"] * 2, "after=4"]
    assert [failure.attempt for failure in got.policy.failures] == [1, 2, 1]


def test_a_cursor_in_another_header(world: World) -> None:
    """What no header can carry is skipped: the last one before it that can is sent."""
    dialect = Dialect(position=lambda made, _: made.data, resume=resume_by_header("X-Cursor"))
    got = world.run(
        Connection(event("a"), event("line\nbreak")), Connection(event("ü")), dialect=dialect
    )
    sent = [request.headers.get("x-cursor") for request in got.requests]
    assert sent == [None, "a", "ü"]
    assert got.source.last_event_id == "ü"


def test_a_first_cursor_in_that_header(home: World) -> None:
    """As with the standard's: it is the first cursor, no constant."""
    dialect = Dialect(resume=resume_by_header("X-Cursor"))
    got = home.run(Connection(TWO), dialect=dialect, headers={"X-Cursor": "1"})
    assert [request.headers["x-cursor"] for request in got.requests] == ["1", "2"]


def test_resume_by_another_request(world: World) -> None:
    """A POST that is resumed by a GET elsewhere is never sent twice."""

    def resume(request: Any, cursor: str) -> Any:
        url = request.url.copy_with(path=f"/responses/{cursor}")
        return type(request)("GET", url, headers={"Accept": request.headers["accept"]})

    dialect = Dialect(position=number_of, resume=resume)
    got = world.run(
        Connection(raw(numbered(1)), ending=Ending.RESET),
        Connection(raw(numbered(2))),
        dialect=dialect,
        method="POST",
        json={"stream": True},
    )
    assert [made.id for made in got.events] == ["x1", "x2"]
    assert [request.method for request in got.requests] == ["POST", "GET", "GET"]
    assert [request.path for request in got.requests][1:] == ["/responses/1", "/responses/2"]
    assert got.requests[1].body == b""


def test_resume_comes_before_prepare_request(home: World) -> None:
    """Which has the last word."""

    def prepare(request: Any, _attempt: Any) -> None:
        request.url = request.url.copy_set_param("token", "t")

    got = home.run(Connection(raw(numbered(1))), dialect=NUMBERED, prepare_request=prepare)
    assert [request.query for request in got.requests] == ["token=t", "after=1&token=t"]


def nothing(*_: object) -> Any:
    """Return what is no request."""


def test_resume_that_returns_nothing(home: World) -> None:
    """A forgotten return would resume from the beginning."""
    server = home.serve(Connection(ONE))
    reading = home.read(server, dialect=Dialect(resume=nothing))
    with pytest.raises(TypeError, match="resume must return a request"):
        reading.wait()


def test_resume_that_fails(home: World) -> None:
    """An error of the HTTP library is a failure of the attempt."""
    errors = iter([httpx.ConnectError("no token")])

    def resume(request: Any, _cursor: str) -> Any:
        for error in errors:
            raise error
        return request

    got = home.run(Connection(ONE), Connection(TWO), dialect=Dialect(resume=resume))
    assert got.data == ["one", "two"]
    assert got.kinds == ["ended", "connect", "ended"]


def test_a_server_that_cannot_resume(home: World) -> None:
    """No cursor is sent, and none allows to repeat a POST; the ids still tell where it was."""
    dialect = Dialect(resume=None)
    got = home.run(Connection(ONE), Connection(TWO), dialect=dialect)
    assert [request.last_event_id for request in got.requests] == [""] * 3
    assert got.source.last_event_id == "2"
    got, error = home.give_up(Connection(ONE), dialect=dialect, method="POST", json={})
    assert isinstance(error.__cause__, UnsafeRetry)
    assert len(got.requests) == 1
    got, error = home.give_up(Connection(ONE), Connection(status=404), dialect=dialect)
    assert not got.recorder.of(GapDetected)


def test_a_position_allows_to_resume_a_post(home: World) -> None:
    """It counts as a cursor."""
    got = home.run(
        Connection(raw(numbered(1)), ending=Ending.RESET),
        Connection(raw(numbered(2))),
        dialect=NUMBERED,
        method="POST",
        json={},
    )
    assert [request.query for request in got.requests] == ["", "after=1", "after=2"]


def test_acknowledgement_with_positions(home: World) -> None:
    """What is saved is the position of the last event in front of which all is acknowledged."""
    store = Store()

    def ack(source: Any, made: ServerSentEvent) -> None:
        if made.id == "x1":
            source.ack(made)

    got = home.run(
        Connection(raw(numbered(1, 2, 3))),
        dialect=NUMBERED,
        cursor=store,
        auto_ack=False,
        on_event=ack,
    )
    assert [request.query for request in got.requests] == ["", "after=3"]
    assert store.saved == ["1"]


def test_a_saved_position_is_resumed_from(home: World) -> None:
    """Any text, where the dialect can send it."""
    got = home.run(Connection(raw(numbered(8))), dialect=NUMBERED, cursor=Store("line\n7"))
    assert [request.params["after"] for request in got.requests] == ["line\n7", "8"]


def test_an_id_behind_the_last_event(home: World) -> None:
    """It is resumed from, where no store is told of it, too."""
    chunk = raw(ONE + TWO + b"id: 9\n\n")
    for last in (Ending.RESET, Ending.CLEAN):
        got = home.run(Connection(chunk, ending=last), dialect=JUDGED)
        assert got.data == ["one", "two"]
        assert [request.last_event_id for request in got.requests] == ["", "9"]


def test_a_position_that_cannot_be_sent(home: World) -> None:
    """Half a surrogate pair, say: the one before it is resumed from, and saved."""
    store = Store()
    positions = {"one": "a", "two": "\ud800"}
    dialect = Dialect(
        position=lambda made, _: positions[made.data], resume=resume_by_query("after")
    )
    got = home.run(Connection(raw(ONE + TWO)), dialect=dialect, cursor=store, batched=True)
    assert [request.query for request in got.requests] == ["", "after=a"]
    assert "\ud800" not in store.saved


def test_a_header_that_cannot_carry_it() -> None:
    """Whoever calls it from a function of their own gets the request unchanged."""
    request = httpx.Request("GET", "http://h/")
    assert "x-cursor" not in resume_by_header("X-Cursor")(request, "a\nb").headers
    assert resume_by_header("X-Cursor")(request, "a").headers["x-cursor"] == "a"


# -- the answer ------------------------------------------------------------------------------------


def test_another_type_and_status(world: World) -> None:
    """A stream is answered with what the dialect says, and asked for so."""
    dialect = Dialect(
        decoder=NDJSONDecoder,
        accept="application/jsonl",
        content_types={"application/jsonl", "Application/X-NDJSON"},
        statuses={200, 202},
        end="finished",
    )
    answer = Connection(
        raw(b'{"a": 1}\n'), status=202, headers={"Content-Type": "application/jsonl"}
    )
    got = world.run(answer, dialect=dialect)
    assert got.data == ['{"a": 1}']
    assert got.requests[0].headers["accept"] == "application/jsonl"


def test_types_and_statuses_that_are_none(home: World) -> None:
    """They are told as ever."""
    dialect = Dialect(content_types={"a/b", "c/d"}, statuses={201})
    answer = Connection(ONE, status=201, headers={"Content-Type": "text/event-stream"})
    _, error = home.give_up(answer, dialect=dialect)
    assert isinstance(error.__cause__, ContentTypeError)
    assert "expected content type 'a/b' or 'c/d', got 'text/event-stream'" in str(error)
    _, error = home.give_up(Connection(ONE, status=200), dialect=dialect)
    assert isinstance(error.__cause__, StatusError)
    assert error.failure.status_code == 200


def test_any_type(home: World) -> None:
    """None means that nothing is looked at."""
    answer = Connection(ONE, headers={"Content-Type": "text/html"})
    assert home.run(answer, dialect=Dialect(content_types=None)).data == ["one"]


def test_204_among_the_statuses(home: World) -> None:
    """Then it is an empty stream."""
    _, error = home.give_up(
        Connection(status=204),
        dialect=Dialect(statuses={204}, content_types=None),
        policy=ExponentialBackoff(attempts=1),
    )
    assert error.failure.kind == "ended"


# -- the end ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", [Framing.CHUNKED, Framing.CLOSE])
@pytest.mark.parametrize("judged", [False, True])
def test_a_clean_end_that_means_finished(world: World, framing: Framing, *, judged: bool) -> None:
    """The iteration ends normally, and the store knows the last cursor."""
    store = Store() if judged else None
    dialect = Dialect(end="finished", judge=judge if judged else None)
    got = world.run(Connection(ONE, TWO, framing=framing), dialect=dialect, cursor=store)
    assert got.data == ["one", "two"]
    assert len(got.requests) == 1
    assert got.recorder.of(Closed)[-1].reason == "finished"
    assert store is None or store.saved[-1] == "2"


def test_a_cut_is_a_failure_always(world: World) -> None:
    """The stream goes on over another connection."""
    got = world.run(
        Connection(ONE, ending=Ending.RESET), Connection(TWO), dialect=Dialect(end="finished")
    )
    assert got.data == ["one", "two"]
    assert [request.last_event_id for request in got.requests] == ["", "1"]


@pytest.mark.parametrize("end", ["failure", "finished"])
@pytest.mark.parametrize("rest", [b"data: two", b"data: two\n", b": bye\ndata: two"])
def test_flush(world: World, end: Any, rest: bytes) -> None:
    """What a clean end leaves unfinished is delivered before the end is acted on."""
    dialect = Dialect(end=end, flush=True)
    got = world.run(Connection(ONE, raw(rest)), dialect=dialect)
    assert got.data == ["one", "two"]
    assert len(got.requests) == (1 if end == "finished" else 2)
    names = got.recorder.names
    assert names.count("Disconnected") == 1
    if end == "failure":
        assert isinstance(got.policy.failures[0].error, StreamEnded)


def test_nothing_to_flush(home: World) -> None:
    """A body that is whole ends as any other."""
    got = home.run(Connection(ONE), dialect=Dialect(flush=True))
    assert got.data == ["one"]
    assert got.kinds == ["ended"]


def test_what_is_flushed_is_judged(home: World) -> None:
    """It may be the last one, or a failure."""
    dialect = Dialect(flush=True, judge=judge)
    got = home.run(Connection(raw(b"event: bye\ndata: x")), dialect=dialect)
    assert got.data == ["x"]
    assert got.recorder.of(Closed)[-1].reason == "until"
    got = home.run(Connection(raw(b"event: error\ndata: x")), dialect=dialect)
    assert got.kinds == ["event"]


def test_a_cut_is_not_flushed(home: World) -> None:
    """Nobody knows what is missing."""
    got = home.run(Connection(raw(b"data: half"), ending=Ending.RESET), dialect=Dialect(flush=True))
    assert got.data == []


def test_a_rest_that_is_too_large_or_broken(home: World) -> None:
    """It is an error as it is anywhere."""
    dialect = Dialect(flush=True)
    _, error = home.give_up(Connection(raw(b"data: 12345")), dialect=dialect, max_event_size=11)
    assert isinstance(error.__cause__, EventTooLarge)
    lines = Dialect(
        decoder=NDJSONDecoder, content_types=None, flush=True, end="finished", resume=None
    )
    reading = home.read(home.serve(Connection(raw(b'{}\n{"a'))), dialect=lines)
    with pytest.raises(NDJSONError):
        reading.wait()
    assert reading.data == ["{}"]


# -- gaps ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batched", [False, True])
def test_a_gap_that_is_gone_on_from(home: World, *, batched: bool) -> None:
    """On the same connection; the cursor stays until there is another."""
    lost = event("", event="lost", id="g")
    chunk = raw(ONE + lost + lost + event("x"))
    got = home.run(Connection(chunk), dialect=JUDGED, on_gap="continue", batched=batched)
    assert got.data == ["one", "x"]
    assert [gap.last_event_id for gap in got.recorder.of(GapDetected)] == ["1", "1"]
    assert [request.last_event_id for request in got.requests] == ["", "1"]


def test_a_function_puts_it_right(home: World) -> None:
    """Over a new connection, from the cursor it returns, at once; the store has it."""
    gaps: list[GapDetected] = []
    store = Store()

    def on_gap(gap: GapDetected) -> str:
        gaps.append(gap)
        return "100"

    got = home.run(
        Connection(raw(ONE + event("", event="lost") + TWO), ending=Ending.SILENCE),
        Connection(event("x", id="101")),
        dialect=JUDGED,
        on_gap=on_gap,
        cursor=store,
    )
    assert got.data == ["one", "x"]
    assert [request.last_event_id for request in got.requests] == ["", "100", "101"]
    (gap,) = gaps
    assert (gap.reason, gap.last_event_id, gap.continues) == ("event", "1", True)
    assert gap.event is not None
    assert store.saved == ["1", "100", "101"]
    assert got.recorder.of(GapDetected) == [gap]
    assert got.kinds == ["ended"]


def test_a_function_puts_a_refused_resume_right(home: World) -> None:
    """Here without any cursor, which asks from now."""

    def on_gap(gap: GapDetected) -> str:
        return "" if gap.status_code == 410 else "?"

    got = home.run(Connection(ONE), Connection(status=410), Connection(THREE), on_gap=on_gap)
    assert got.data == ["one", "3"]
    assert [request.last_event_id for request in got.requests] == ["", "1", "", "3"]


@pytest.mark.parametrize("answer", [raw(event("", event="lost")), 410])
def test_a_second_gap_in_a_row_waits(home: World, answer: Any) -> None:
    """So that a server and a function that disagree make no busy loop; the policy may give up."""
    calls: list[str] = []

    def on_gap(gap: GapDetected) -> str:
        calls.append(gap.reason)
        return "7"

    refused = Connection(status=answer) if answer == 410 else Connection(answer)
    got, error = home.give_up(
        *[refused] * 5,
        dialect=JUDGED,
        on_gap=on_gap,
        last_event_id="1",
        policy=ExponentialBackoff(attempts=4, wait_initial=0),
    )
    assert error.failure.kind == "gap"
    assert error.failure.retryable
    assert {failure.kind for failure in error.failures} <= {"gap", "status"}
    assert len(got.requests) == len(calls) + 1
    if answer != 410:
        assert isinstance(error.__cause__, GapError)


def seven(_gap: GapDetected) -> str:
    """Go on from 7."""
    return "7"


def test_progress_makes_it_a_first_gap_again(home: World) -> None:
    """Nothing waits then."""
    lost = Connection(raw(event("x") + event("", event="lost")), ending=Ending.SILENCE)
    got = home.run(*[lost] * 3, dialect=JUDGED, on_gap=seven)
    assert got.data == ["x"] * 3
    assert got.kinds == []


def test_a_function_that_fails(home: World) -> None:
    """An error of the HTTP library is a failure, and the function is called again."""
    errors = iter([httpx.ConnectError("no snapshot"), httpx.ReadTimeout("slow")])

    def on_gap(_gap: GapDetected) -> str:
        for error in errors:
            raise error
        return "7"

    lost = Connection(raw(event("", event="lost")), ending=Ending.SILENCE)
    got = home.run(lost, Connection(TWO), dialect=JUDGED, on_gap=on_gap)
    assert got.data == ["two"]
    assert got.kinds == ["connect", "timeout", "ended"]
    assert [request.last_event_id for request in got.requests] == ["", "7", "2"]


@pytest.mark.parametrize(
    ("cursor", "error", "words"),
    [(None, TypeError, "a str, not None"), ("a\nb", ValueError, "no request can carry: 'a.nb'")],
)
def test_a_function_that_returns_no_cursor(
    home: World, cursor: Any, error: type[Exception], words: str
) -> None:
    """It would resume from now without anybody knowing."""
    lost = Connection(raw(event("", event="lost")), ending=Ending.SILENCE)

    def on_gap(_gap: GapDetected) -> Any:
        return cursor

    reading = home.read(home.serve(lost), dialect=JUDGED, on_gap=on_gap)
    with pytest.raises(error, match=words):
        reading.wait()


async def on_gap_of_a_loop(_gap: GapDetected) -> str:
    """Load a snapshot as an asynchronous program does."""
    return "7"


def test_a_coroutine_function(loop: World) -> None:
    """It is awaited."""
    lost = Connection(raw(event("", event="lost")), ending=Ending.SILENCE)
    got = loop.run(lost, dialect=JUDGED, on_gap=on_gap_of_a_loop)
    assert [request.last_event_id for request in got.requests] == ["", "7"]


def test_a_coroutine_function_in_a_thread(thread: World) -> None:
    """A blocking source cannot await it, and says so at once."""
    with pytest.raises(TypeError, match="on_gap must be a plain function"):
        thread.source(thread.serve(), on_gap=on_gap_of_a_loop)


def test_closing_while_the_function_runs(home: World) -> None:
    """What it returns is of no interest then."""
    begun: list[Any] = []

    def on_gap(_gap: GapDetected) -> str:
        begun.append(True)
        reading.source.close() if home.stack.runtime == "threads" else None
        return "7"

    lost = Connection(raw(event("", event="lost")), ending=Ending.SILENCE)
    reading = home.read(
        home.serve(lost, then=Connection(ending=Ending.SILENCE)), dialect=JUDGED, on_gap=on_gap
    )
    eventually(lambda: begun)
    reading.close()
    reading.join()
    assert reading.recorder.of(Closed)[-1].reason == "closed"


# -- what a dialect may be -------------------------------------------------------------------------


async def coroutine_function(*_: object) -> Any:
    """Stand where a plain function would be called."""


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"end": "over"}, ValueError),
        ({"accept": 3}, TypeError),
        ({"content_types": "text/x"}, TypeError),
        ({"content_types": {3}}, TypeError),
        ({"statuses": 200}, TypeError),
        ({"statuses": {"200"}}, TypeError),
        ({"decoder": "sse"}, TypeError),
        ({"judge": "x"}, TypeError),
        ({"judge": coroutine_function}, TypeError),
        ({"position": coroutine_function}, TypeError),
        ({"resume": coroutine_function}, TypeError),
        ({"resume": str}, TypeError),
        ({"resume": "Last-Event-ID"}, TypeError),
    ],
)
def test_bad_fields(fields: dict[str, Any], error: type[Exception]) -> None:
    """They are refused at once, by name."""
    (name,) = fields
    with pytest.raises(error, match=name):
        Dialect(**fields)


class WithoutFlush:
    """A decoder as they were before."""

    retry = None

    def __init__(self, *, last_event_id: str, **_: object) -> None:
        self.last_event_id = last_event_id

    def feed(self, _chunk: bytes) -> list[Any]:
        return []


@pytest.mark.parametrize("decoder", [WithoutFlush, partial(WithoutFlush)])
def test_flush_needs_a_decoder_that_can(decoder: Any) -> None:
    """In the dialect, and where a decoder replaces the dialect's."""
    with pytest.raises(TypeError, match="flush needs a decoder"):
        Dialect(flush=True, decoder=decoder)
    assert Dialect(flush=True, decoder=partial(SSEDecoder)).flush
