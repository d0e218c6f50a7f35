"""OpenAI's own client and a source read the same bytes, and see the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from resilient_sse import (
    EventFailure,
    ExponentialBackoff,
    GiveUpError,
    SyncReconnectingEventSource,
    UnsafeRetry,
)
from resilient_sse.dialects import ChatCompletions, OpenAIResponses
from resilient_sse.testing import Connection, Ending, ScriptedServer, event, raw
from tests.dialects.streams import CHAT, RESPONSES, bytes_of, data_of, response

if TYPE_CHECKING:
    from collections.abc import Iterator

    from resilient_sse import Dialect

openai = pytest.importorskip("openai", reason="openai is not installed")

CHUNKS = [json.loads(data) for data in data_of(CHAT) if data != "[DONE]"]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A server without a script yet."""
    with ScriptedServer() as running:
        yield running


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[Any]:
    """The vendor's client."""
    base = server.url.replace("/events", "/v1")
    with openai.OpenAI(base_url=base, api_key="sk-1", max_retries=0) as made:
        yield made


def seen(stream: Any) -> list[dict[str, Any]]:
    """What the vendor's client hands out."""
    return [made.to_dict(mode="json") for made in stream]


def ours(server: ScriptedServer, path: str, dialect: Dialect) -> list[Any]:
    """What a source hands out; the mark of the end is no JSON."""
    url = server.url.replace("/events", path)
    request = {"model": "gpt-4.1", "stream": True}
    policy = ExponentialBackoff(attempts=2, wait_initial=0)
    with SyncReconnectingEventSource(
        url, method="POST", json=request, dialect=dialect, policy=policy
    ) as source:
        return [made.json() for made in source if "[DONE]" not in made.data]


def chat(client: Any) -> Any:
    """Ask for a completion."""
    said = [{"role": "user", "content": "Hi"}]
    return client.chat.completions.create(model="gpt-4.1", messages=said, stream=True)


# -- Chat completions ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        bytes_of(CHAT),
        bytes_of(CHAT) + event(json.dumps(CHUNKS[0])),  # what is behind the mark of the end
        bytes_of(CHAT[:-1]),  # without the mark
        bytes_of(CHAT).removesuffix(b"\n"),  # without the last blank line
        bytes_of(CHAT).replace(b"[DONE]", b"[DONE] "),
    ],
)
def test_chat(server: ScriptedServer, client: Any, body: bytes) -> None:
    """The same chunks, and a normal end."""
    server.add(*[Connection(raw(body))] * 2)
    assert seen(chat(client)) == ours(server, "/v1/chat/completions", ChatCompletions) == CHUNKS
    theirs, mine = server.requests
    assert (theirs.method, theirs.path) == (mine.method, mine.path)


def test_chat_without_a_blank_line(server: ScriptedServer, client: Any) -> None:
    """A last chunk that a gateway did not finish: theirs may lose it, a source does not."""
    server.add(*[Connection(raw(bytes_of(CHAT[:-1]).rstrip(b"\n")))] * 2)
    theirs = seen(chat(client))
    assert theirs in (CHUNKS, CHUNKS[:-1])
    assert ours(server, "/v1/chat/completions", ChatCompletions) == CHUNKS


def test_chat_that_fails(server: ScriptedServer, client: Any) -> None:
    """Both raise, after the same chunk, with what the server said."""
    error = {"message": "overloaded", "type": "server_error", "code": "overloaded"}
    body = bytes_of(CHAT[:1]) + event(json.dumps({"error": error})) + bytes_of(CHAT[1:])
    server.add(*[Connection(raw(body))] * 2)
    stream = chat(client)
    assert next(stream).to_dict(mode="json") == CHUNKS[0]
    with pytest.raises(openai.APIError) as theirs:
        next(stream)
    with pytest.raises(GiveUpError) as mine:
        ours(server, "/v1/chat/completions", ChatCompletions)
    assert theirs.value.body == error
    assert isinstance(mine.value.__cause__, UnsafeRetry)
    failure = mine.value.__cause__.failure
    assert failure is not None
    assert isinstance(failure.error, EventFailure)
    assert failure.error.event.json() == {"error": error}
    assert len(server.requests) == 2


def test_chat_that_is_cut(server: ScriptedServer, client: Any) -> None:
    """Both raise; neither asks again."""
    cut = Connection(raw(bytes_of(CHAT[:3])), ending=Ending.TRUNCATED)
    server.add(cut, cut)
    with pytest.raises(openai.APIConnectionError):
        seen(chat(client))
    with pytest.raises(GiveUpError):
        ours(server, "/v1/chat/completions", ChatCompletions)
    assert len(server.requests) == 2


def test_a_heartbeat_without_data(server: ScriptedServer, client: Any) -> None:
    """Some gateways send it. OpenAI's client takes it for JSON, and fails; a source skips it."""
    server.add(*[Connection(raw(b"data:\n\n" + bytes_of(CHAT)))] * 2)
    with pytest.raises(ValueError, match="Expecting value"):
        seen(chat(client))
    assert ours(server, "/v1/chat/completions", ChatCompletions) == CHUNKS


# -- Responses -------------------------------------------------------------------------------------


def create(client: Any) -> Any:
    """Ask for a background response."""
    return client.responses.create(model="gpt-4.1", input="Hi", stream=True, background=True)


ALL = [json.loads(data) for data in data_of(RESPONSES)]


def without_heartbeats(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """OpenAI's client hands the heartbeat out."""
    return [made for made in events if made["type"] != "keepalive"]


@pytest.mark.parametrize("names", [True, False])
def test_responses(server: ScriptedServer, client: Any, *, names: bool) -> None:
    """The same events and a normal end, also where a gateway leaves the names out."""
    sent = [block.sent if names else block.sent.partition(b"\n")[2] for block in RESPONSES]
    server.add(*[Connection(*sent)] * 2)
    theirs = without_heartbeats(seen(create(client)))
    assert theirs == ours(server, "/v1/responses", OpenAIResponses) == ALL


@pytest.mark.parametrize("got", [1, 3, 4, 5])
def test_a_background_response(server: ScriptedServer, client: Any, got: int) -> None:
    """After a cut a source sends the request that OpenAI's client sends, and sees the same."""
    cut = Connection(raw(bytes_of(RESPONSES[:got])), ending=Ending.RESET)
    rest = Connection(raw(bytes_of(RESPONSES[got:])))
    server.add(cut, rest, cut, rest)
    assert ours(server, "/v1/responses", OpenAIResponses) == ALL

    events = list[dict[str, Any]]()
    with pytest.raises(openai.APIConnectionError):
        events.extend(made.to_dict(mode="json") for made in create(client))
    numbers = [made["sequence_number"] for made in without_heartbeats(events)]
    after = numbers[-1]
    events += seen(client.responses.retrieve("resp_1", stream=True, starting_after=after))
    assert without_heartbeats(events) == ALL

    asked = [(request.method, request.path, dict(request.params)) for request in server.requests]
    assert asked[:2] == asked[2:]
    assert asked[1][:2] == ("GET", "/v1/responses/resp_1")
    mine, theirs = server.requests[1], server.requests[3]
    assert mine.body == theirs.body == b""


def test_responses_that_fail(server: ScriptedServer, client: Any) -> None:
    """OpenAI's client hands the error out or raises it, by its shape; for a source it is one."""
    flat = {"type": "error", "code": "x", "message": "m", "param": None, "sequence_number": 1}
    deep = {"type": "error", "error": {"code": "x", "message": "m"}, "sequence_number": 1}
    for error in (flat, deep):
        sent = RESPONSES[0].sent, event(json.dumps(error), event="error")
        # What is no background response cannot be resumed: the server refuses.
        server.add(*[Connection(*sent)] * 2, Connection(status=400))
        if error is flat:
            assert seen(create(client)) == [ALL[0], error]
        else:
            with pytest.raises(openai.APIError):
                seen(create(client))
        with pytest.raises(GiveUpError) as mine:
            ours(server, "/v1/responses", OpenAIResponses)
        assert mine.value.failures[0].kind == "event"


@pytest.mark.parametrize("status", ["failed", "incomplete"])
def test_the_other_ends(server: ScriptedServer, client: Any, status: str) -> None:
    """They are answers, and the last event."""
    kind = f"response.{status}"
    last = {"type": kind, "response": response(status), "sequence_number": 1}
    sent = RESPONSES[0].sent, event(json.dumps(last), event=kind)
    server.add(*[Connection(*sent)] * 2)
    assert seen(create(client)) == ours(server, "/v1/responses", OpenAIResponses) == [ALL[0], last]
