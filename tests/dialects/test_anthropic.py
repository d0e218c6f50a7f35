"""Anthropic's own client and a source read the same bytes, and see the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from resilient_sse import EventFailure, GiveUpError, SyncReconnectingEventSource, UnsafeRetry
from resilient_sse.dialects import Anthropic
from resilient_sse.testing import Connection, Ending, ScriptedServer, comment, event, raw
from tests.dialects.streams import ANTHROPIC, bytes_of, data_of

if TYPE_CHECKING:
    from collections.abc import Iterator

anthropic = pytest.importorskip("anthropic", reason="anthropic is not installed")

ALL = [json.loads(data) for data in data_of(ANTHROPIC)]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A server without a script yet."""
    with ScriptedServer() as running:
        yield running


@pytest.fixture
def stream(server: ScriptedServer) -> Iterator[Any]:
    """The vendor's client asks for a message when the test calls this."""
    base = server.url.replace("/events", "")
    said = [{"role": "user", "content": "Hi"}]
    with anthropic.Anthropic(base_url=base, api_key="k", max_retries=0) as client:

        def ask() -> Any:
            return client.messages.create(
                model="claude-opus-4-1", max_tokens=10, messages=said, stream=True
            )

        yield ask


def seen(stream: Any) -> list[dict[str, Any]]:
    """What the vendor's client hands out."""
    return [made.to_dict(mode="json") for made in stream]


def ours(server: ScriptedServer) -> list[Any]:
    """What a source hands out."""
    url = server.url.replace("/events", "/v1/messages")
    with SyncReconnectingEventSource(
        url, method="POST", json={"stream": True}, dialect=Anthropic, policy=lambda _: 0.0
    ) as source:
        return [made.json() for made in source]


@pytest.mark.parametrize(
    "body",
    [
        bytes_of(ANTHROPIC),
        comment("hi") + bytes_of(ANTHROPIC),
        event('{"type": "x"}') + bytes_of(ANTHROPIC),  # without a name it is none of the API's
        event("", event="message_delta") + bytes_of(ANTHROPIC),
    ],
)
def test_a_message(server: ScriptedServer, stream: Any, body: bytes) -> None:
    """The same events without the heartbeat, and a normal end."""
    server.add(*[Connection(raw(body))] * 2)
    assert seen(stream()) == ours(server) == ALL
    theirs, mine = server.requests
    assert (theirs.method, theirs.path) == (mine.method, mine.path)


def test_an_event_of_a_later_version(server: ScriptedServer, stream: Any) -> None:
    """Their page says that there may be some: both hand it out."""
    new = {"type": "thought", "number": 1}
    body = event(json.dumps(new), event="thought") + bytes_of(ANTHROPIC)
    server.add(*[Connection(raw(body))] * 2)
    assert len(seen(stream())) == len(ALL) + 1
    assert ours(server) == [new, *ALL]


def test_overloaded(server: ScriptedServer, stream: Any) -> None:
    """Both raise after the same event, with what the server said; neither asks again."""
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    body = ANTHROPIC[0].sent + event(json.dumps(error), event="error")
    server.add(*[Connection(raw(body))] * 2)
    theirs = stream()
    assert next(theirs).to_dict(mode="json") == ALL[0]
    with pytest.raises(anthropic.APIStatusError) as raised:
        next(theirs)
    with pytest.raises(GiveUpError) as mine:
        ours(server)
    assert raised.value.body == error
    assert isinstance(mine.value.__cause__, UnsafeRetry)
    failure = mine.value.__cause__.failure
    assert failure is not None
    assert isinstance(failure.error, EventFailure)
    assert failure.error.event.json() == error
    assert len(server.requests) == 2


def test_a_cut(server: ScriptedServer, stream: Any) -> None:
    """Both raise; neither asks again."""
    cut = Connection(raw(bytes_of(ANTHROPIC[:4])), ending=Ending.TRUNCATED)
    server.add(cut, cut)
    with pytest.raises(Exception, match="incomplete chunked read"):
        seen(stream())
    with pytest.raises(GiveUpError):
        ours(server)
    assert len(server.requests) == 2


def test_a_clean_end_without_the_last_event(server: ScriptedServer, stream: Any) -> None:
    """Their client takes half a message for a whole one; for a source it is a failure."""
    server.add(*[Connection(raw(bytes_of(ANTHROPIC[:4])))] * 2)
    assert seen(stream()) == ALL[:3]
    with pytest.raises(GiveUpError):
        ours(server)
