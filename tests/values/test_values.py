"""The values at the bottom: events, failures, errors, URLs and headers fit to be shown or sent."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilient_sse import (
    Attempt,
    CursorError,
    EventTooLarge,
    Failure,
    FailureKind,
    GapError,
    GiveUpError,
    IdleTimeout,
    ServerSentEvent,
    SSEError,
    StatusError,
    StreamEnded,
    UnsafeRetry,
)
from resilient_sse._values.header import encode_last_event_id, sendable
from resilient_sse._values.redact import redact_text, redact_url


def test_event_defaults() -> None:
    """An event without anything is an empty message."""
    event = ServerSentEvent()

    assert (event.event, event.data, event.id, event.retry) == ("message", "", "", None)


def test_event_is_an_immutable_value() -> None:
    """Events are equal by value, hashable, picklable, and cannot be changed."""
    event = ServerSentEvent(data="a", id="1")

    assert event == ServerSentEvent(id="1", data="a")
    assert len({event, ServerSentEvent(id="1", data="a")}) == 1
    assert pickle.loads(pickle.dumps(event)) == event  # noqa: S301 - it was made right here
    with pytest.raises(AttributeError):
        event.data = "b"  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue]


def test_event_repr_leaves_defaults_out() -> None:
    """The repr shows what is special."""
    assert repr(ServerSentEvent()) == "ServerSentEvent()"
    shown = repr(ServerSentEvent(event="add", data="x", id="7", retry=10))
    assert shown == "ServerSentEvent(event='add', data='x', id='7', retry=10)"


def test_event_json() -> None:
    """The data is parsed with the parser of the caller's choice."""
    assert ServerSentEvent(data='{"a": 1}').json() == {"a": 1}
    assert ServerSentEvent(data="abc").json(loads=str.upper) == "ABC"
    with pytest.raises(ValueError, match="Expecting value"):
        ServerSentEvent(data="[DONE").json()


def test_event_matches_by_name() -> None:
    """A match statement can take an event apart."""
    match ServerSentEvent(event="add", data="x"):
        case ServerSentEvent(event="add", data=data):
            assert data == "x"
        case _:
            pytest.fail("no match")


def test_attempt_calls_the_cursor_by_both_names() -> None:
    """An attempt's cursor is its last event id."""
    assert Attempt(1, None, "7").cursor == Attempt(1, None, "7").last_event_id == "7"


def test_all_errors_are_httpx_transport_errors() -> None:
    """Code that catches httpx's transport errors catches ours."""
    assert issubclass(SSEError, httpx.TransportError)


def test_errors_carry_their_facts() -> None:
    """Each error says in attributes what it says in words."""
    response = httpx.Response(503)
    error = StatusError("busy", response=response, body=b"later", retry_after=2.0)

    assert (error.response, error.status_code) == (response, 503)
    assert (error.body, error.retry_after) == (b"later", 2.0)
    assert EventTooLarge(10).limit == 10
    assert UnsafeRetry("POST").method == "POST"
    assert "retry_unsafe=True" in str(UnsafeRetry("POST"))


def test_give_up_error_tells_the_story_in_one_line() -> None:
    """Where, how often, how long, why, and where to go on."""
    failures = [
        Failure(error=httpx.ConnectError("refused"), kind=FailureKind.CONNECT),
        Failure(
            error=httpx.ReadError("see\nhttps://u:p@h/x?token=secret"),
            kind=FailureKind.TRANSPORT,
            attempt=2,
            outage_seconds=12.34,
        ),
    ]
    error = GiveUpError(failures=failures, url="http://h/e", last_event_id="42")

    assert str(error) == (
        "gave up on http://h/e after 2 failures in 12.3 s: transport "
        "(ReadError: see https://h/x?token=***); resume from event id '42'"
    )
    assert error.failures == tuple(failures)
    assert error.failure is failures[1]
    assert (error.url, error.last_event_id) == ("http://h/e", "42")


def _sent_to_another_process(error: Exception) -> Any:
    return pickle.loads(pickle.dumps(error))  # noqa: S301 - it was made right here


@pytest.mark.parametrize("other", [copy.copy, copy.deepcopy, _sent_to_another_process])
def test_errors_can_be_copied_and_sent_to_another_process(other: Any) -> None:
    """A worker's error reaches its parent with all its facts, and tells the same story."""
    request = httpx.Request("GET", "http://t/")
    status = StatusError("no", response=httpx.Response(503, request=request), retry_after=2.0)
    failure = Failure(error=status, kind=FailureKind.STATUS, status_code=503)
    give_up = GiveUpError(failures=[failure], url="http://t/", last_event_id="7")
    errors = [EventTooLarge(5), UnsafeRetry("POST"), CursorError("no", key="k"), status, give_up]
    for error in [*errors, StreamEnded(), IdleTimeout("late"), GapError(ServerSentEvent("gap"))]:
        made = other(error)
        assert type(made) is type(error)
        assert str(made) == str(error)
        assert vars(made).keys() == vars(error).keys()
    assert other(EventTooLarge(5)).limit == 5
    assert other(status).response.status_code == 503
    assert other(give_up).failure.error.retry_after == 2.0


def test_give_up_error_of_one_silent_failure() -> None:
    """One failure without a message and without a cursor still reads well."""
    failures = [Failure(error=httpx.ReadError(""), kind=FailureKind.TRANSPORT)]

    assert str(GiveUpError(failures=failures, url="http://h/e", last_event_id="")) == (
        "gave up on http://h/e after 1 failure in 0.0 s: transport (ReadError: no message)"
    )


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://example.com/events", "https://example.com/events"),
        ("https://user:pw@example.com:8443/e", "https://example.com:8443/e"),
        ("https://h/e?token=s3cret&since=5#frag", "https://h/e?token=***&since=***"),
        ("https://h/e?s3cret", "https://h/e?***"),
        ("https://h/e?a=b;c=d=e", "https://h/e?a=***;c=***"),
        ("http://[::1/e", "***"),
    ],
)
def test_urls_are_shown_without_secrets(url: str, shown: str) -> None:
    """Userinfo, query values and fragment never show."""
    assert redact_url(url) == shown


def test_urls_in_a_text_are_redacted() -> None:
    """An error message of a client library may quote the URL."""
    text = "error sending request for url (http://u:p@127.0.0.1:1/?token=x),\n twice"

    assert "x)" not in redact_text(text)
    assert "u:p" not in redact_text(text)
    assert "\n" not in redact_text(text)


@pytest.mark.parametrize("cursor", ["", "5", "1795226898:2", "é", "日本", "a b", "x" * 8000])
def test_ids_that_a_header_can_carry(cursor: str) -> None:
    """Text of a sane length can be sent."""
    assert sendable(cursor)


@pytest.mark.parametrize(
    "cursor", ["a\r\nX-Evil: 1", "\n", "\0", "a\tb", " ", "\x7f", "\ud800", "x" * 8001, "é" * 4001]
)
def test_ids_that_no_header_can_carry(cursor: str) -> None:
    """Control characters, nothing but blanks, lone surrogates and monsters cannot be sent."""
    assert not sendable(cursor)


@given(st.text(max_size=50).filter(sendable))
def test_sendable_ids_are_legal_headers(cursor: str) -> None:
    """Whatever is called sendable passes h11's own check, as UTF-8."""
    value = encode_last_event_id(cursor)
    headers = [(b"Host", b"h"), (b"Last-Event-ID", value)]
    import h11  # noqa: PLC0415 - only to ask the one who checks on the wire

    sent = h11.Connection(h11.CLIENT).send(h11.Request(method="GET", target="/", headers=headers))

    assert sent is not None
    assert b"Last-Event-ID: " + value in sent
    assert value.decode() == cursor.strip(" ")
