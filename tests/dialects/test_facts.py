"""What each ready-made dialect makes of events and cursors, one by one."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from resilient_sse import Dialect, EventTooLarge, ServerSentEvent, Verdict, dialects
from resilient_sse.dialects import (
    MCP,
    NDJSON,
    Anthropic,
    ChatCompletions,
    CouchDBChanges,
    DockerEvents,
    DurableStreams,
    Firebase,
    Gemini,
    KubernetesWatch,
    LangGraph,
    OpenAIResponses,
    Wikimedia,
)

READY_MADE = {name: value for name, value in vars(dialects).items() if isinstance(value, Dialect)}


def named(name: str, data: object = "") -> ServerSentEvent:
    """Make an event; what is no text is sent as JSON."""
    text = data if isinstance(data, str) else json.dumps(data)
    return ServerSentEvent(event=name, data=text)


def line(data: object) -> ServerSentEvent:
    """Make an event without a name."""
    return named("message", data)


def watched(event: str, version: object = "7", **more: object) -> ServerSentEvent:
    """Make a line of a watch of Kubernetes."""
    made: dict[str, Any] = {"metadata": {"resourceVersion": version}, **more}
    return line({"type": event, "object": made})


VERDICTS: list[tuple[Dialect, ServerSentEvent, Verdict]] = [
    (ChatCompletions, line("[DONE]"), Verdict.LAST),
    (ChatCompletions, line(" [DONE] "), Verdict.LAST),
    (ChatCompletions, line(""), Verdict.SKIP),
    (ChatCompletions, line({"error": {"message": "overloaded"}}), Verdict.FAILURE),
    (ChatCompletions, line({"error": None, "choices": []}), Verdict.DELIVER),
    (ChatCompletions, line({"delta": 'an "error" in words'}), Verdict.DELIVER),
    (ChatCompletions, line('no JSON, but "error"'), Verdict.DELIVER),
    (ChatCompletions, line('["error"]'), Verdict.DELIVER),
    (ChatCompletions, line("[" * 100_000 + '"error"'), Verdict.DELIVER),
    (OpenAIResponses, named("response.completed"), Verdict.LAST),
    (OpenAIResponses, named("response.failed"), Verdict.LAST),
    (OpenAIResponses, named("response.output_text.delta"), Verdict.DELIVER),
    (OpenAIResponses, named("error"), Verdict.FAILURE),
    (OpenAIResponses, named("keepalive"), Verdict.SKIP),
    (OpenAIResponses, line("[DONE]"), Verdict.LAST),
    (OpenAIResponses, line({"type": "response.completed"}), Verdict.LAST),
    (OpenAIResponses, line({"type": "response.output_text.delta"}), Verdict.DELIVER),
    (OpenAIResponses, line({"type": ["response.completed"]}), Verdict.DELIVER),
    (OpenAIResponses, line({"error": {"message": "overloaded"}}), Verdict.FAILURE),
    (OpenAIResponses, line({"type": "x", "delta": 'an "error" in words'}), Verdict.DELIVER),
    (OpenAIResponses, named("response.failed", {"response": {"error": {}}}), Verdict.LAST),
    (Anthropic, named("message_stop"), Verdict.LAST),
    (Anthropic, named("error"), Verdict.FAILURE),
    (Anthropic, named("ping"), Verdict.SKIP),
    (Anthropic, named("content_block_delta", "{}"), Verdict.DELIVER),
    (Anthropic, named("content_block_delta"), Verdict.SKIP),
    (Anthropic, line({"type": "content_block_delta"}), Verdict.SKIP),
    (Gemini, line({"candidates": []}), Verdict.DELIVER),
    (Gemini, line({"candidates": [], "error": None}), Verdict.DELIVER),
    (Gemini, line({"error": {"code": 503}}), Verdict.FAILURE),
    (Gemini, line({"text": 'an "error" in words'}), Verdict.DELIVER),
    (Gemini, line(""), Verdict.SKIP),
    (Firebase, named("put", {"path": "/", "data": 1}), Verdict.GREETING),
    (Firebase, named("put", {"path": "/a", "data": 1}), Verdict.DELIVER),
    (Firebase, named("patch", {"path": "/", "data": {}}), Verdict.DELIVER),
    (Firebase, named("keep-alive", "null"), Verdict.SKIP),
    (Firebase, named("cancel", "null"), Verdict.FAILURE),
    (Firebase, named("auth_revoked", "expired"), Verdict.FAILURE),
    (KubernetesWatch, watched("ADDED"), Verdict.DELIVER),
    (KubernetesWatch, watched("ADDED", note='"ERROR"'), Verdict.DELIVER),
    (KubernetesWatch, watched("MODIFIED", kind="ERROR"), Verdict.DELIVER),
    (KubernetesWatch, watched("BOOKMARK"), Verdict.SKIP),
    (KubernetesWatch, watched("ERROR", code=410), Verdict.GAP),
    (KubernetesWatch, watched("ERROR", code=500), Verdict.FAILURE),
    (KubernetesWatch, line({"type": "ERROR"}), Verdict.FAILURE),
    (KubernetesWatch, line({"type": "ERROR", "object": "?"}), Verdict.FAILURE),
    (CouchDBChanges, line({"seq": 1, "id": "a", "changes": []}), Verdict.DELIVER),
    (CouchDBChanges, line({"seq": 1, "changes": [], "doc": {"error": "x"}}), Verdict.DELIVER),
    (CouchDBChanges, line({"last_seq": "3-g1", "pending": 0}), Verdict.SKIP),
    (CouchDBChanges, line({"error": "timeout", "reason": "x"}), Verdict.FAILURE),
    (LangGraph, named("metadata", {"run_id": "r"}), Verdict.DELIVER),
    (LangGraph, named("updates", {"error": "x"}), Verdict.DELIVER),
    (LangGraph, named("error", {"error": "ValueError"}), Verdict.LAST),
    (LangGraph, named("end", "null"), Verdict.LAST),
    (DurableStreams, named("data", [{"streamClosed": True}]), Verdict.DELIVER),
    (DurableStreams, named("control", {"streamNextOffset": "0_1"}), Verdict.SKIP),
    (DurableStreams, named("control", {"streamClosed": True}), Verdict.LAST),
    (Wikimedia, line({"meta": {"domain": "en.wikipedia.org"}}), Verdict.DELIVER),
    (Wikimedia, line({"meta": {"domain": "canary"}}), Verdict.SKIP),
    (Wikimedia, line({"comment": "canary", "meta": "canary"}), Verdict.DELIVER),
    (Wikimedia, named("error"), Verdict.FAILURE),
    (MCP, line(""), Verdict.SKIP),
    (MCP, line({"id": 1, "result": {}}), Verdict.LAST),
    (MCP, line({"id": 1, "error": {}}), Verdict.LAST),
    (MCP, line({"id": 1, "method": "ping"}), Verdict.DELIVER),
    (MCP, line({"method": "notifications/message"}), Verdict.DELIVER),
]


@pytest.mark.parametrize(("dialect", "event", "verdict"), VERDICTS)
def test_verdicts(dialect: Dialect, event: ServerSentEvent, verdict: Verdict) -> None:
    """As the vendor's page has it."""
    assert dialect.judge is not None
    assert dialect.judge(event) is verdict


POSITIONS: list[tuple[Dialect, str, object, str | None]] = [
    (OpenAIResponses, "", {"response": {"id": "r"}, "sequence_number": 0}, "r:0"),
    (OpenAIResponses, "r:0", {"sequence_number": 12}, "r:12"),
    (OpenAIResponses, "", {"sequence_number": 12}, None),
    (OpenAIResponses, "r:0", {"delta": "x"}, None),
    (OpenAIResponses, "r:0", "[DONE]", None),
    (OpenAIResponses, "r:0", {"type": "keepalive", "sequence_number": 1}, None),
    (KubernetesWatch, "6", {"object": {"metadata": {"resourceVersion": "7"}}}, "7"),
    (KubernetesWatch, "6", {"object": {"metadata": {}}}, None),
    (KubernetesWatch, "6", {"object": {"code": 410}}, None),
    (DockerEvents, "6", {"time": 1, "timeNano": 1_000_000_007}, "1000000007"),
    (DockerEvents, "6", {"time": 1}, None),
    (CouchDBChanges, "6", {"seq": 7, "changes": []}, "7"),
    (CouchDBChanges, "6", {"seq": "7-g1AAA", "changes": []}, "7-g1AAA"),
    (CouchDBChanges, "6", {"seq": None, "changes": []}, None),
    (CouchDBChanges, "6", {"last_seq": "8-g1", "pending": 0}, "8-g1"),
]


@pytest.mark.parametrize(("dialect", "cursor", "data", "after"), POSITIONS)
def test_positions(dialect: Dialect, cursor: str, data: object, after: str | None) -> None:
    """Text, or None where an event says nothing of it."""
    assert dialect.position is not None
    assert dialect.position(line(data), cursor) == after


def resumed(dialect: Dialect, url: str, cursor: str, method: str = "POST") -> httpx.Request:
    """Make the request that resumes."""
    assert dialect.resume is not None
    content = b"{}" if method == "POST" else None
    headers = {"Authorization": "Bearer t", "Content-Type": "application/json"}
    request = httpx.Request(method, url, content=content, headers=headers)
    request.extensions["timeout"] = {"read": 1.0}
    made: httpx.Request = dialect.resume(request, cursor)
    return made


@pytest.mark.parametrize(
    ("url", "method"),
    [("https://h/v1/responses", "POST"), ("https://h/v1/responses/r1?stream=true", "GET")],
)
def test_a_background_response(url: str, method: str) -> None:
    """By GET, with the caller's credentials and without the body."""
    made = resumed(OpenAIResponses, url, "r1:42", method)
    assert made.method == "GET"
    assert str(made.url) == "https://h/v1/responses/r1?stream=true&starting_after=42"
    assert made.headers["authorization"] == "Bearer t"
    assert "content-length" not in made.headers
    assert "content-type" not in made.headers
    assert made.extensions["timeout"] == {"read": 1.0}


def test_a_tool_call() -> None:
    """MCP resumes by GET of the same URL."""
    made = resumed(MCP, "https://h/mcp", "7")
    assert (made.method, str(made.url)) == ("GET", "https://h/mcp")
    assert made.headers["last-event-id"] == "7"
    assert made.read() == b""


@pytest.mark.parametrize(
    ("path", "cursor", "asked", "last"),
    [
        ("/threads/t/runs/stream", "r:7-0", "/threads/t/runs/r/stream", "7-0"),
        ("/runs/stream", "r:7-0", "/runs/r/stream", "7-0"),
        ("/threads/t/runs/r/stream", "r:7-0", "/threads/t/runs/r/stream", "7-0"),
        ("/threads/t/runs/r/stream", ":7-0", "/threads/t/runs/r/stream", "7-0"),
        ("/threads/t/runs/r/stream", "-1", "/threads/t/runs/r/stream", "-1"),
        ("/runs/stream", ":7-0", "/runs/stream", "7-0"),  # never a second run
    ],
)
def test_a_run(path: str, cursor: str, asked: str, last: str) -> None:
    """By GET of the run that the cursor names."""
    made = resumed(LangGraph, f"https://h{path}", cursor)
    assert (made.method, made.url.path) == ("GET", asked)
    assert made.headers["last-event-id"] == last
    assert made.read() == b""


def test_the_cursor_of_a_run() -> None:
    """The run stays what the first event said; without an id there is none."""
    assert LangGraph.position is not None
    first = ServerSentEvent(event="metadata", data='{"run_id": "r"}', id="1-0")
    assert LangGraph.position(first, "") == "r:1-0"
    assert LangGraph.position(ServerSentEvent(event="updates", id="2-0"), "r:1-0") == "r:2-0"
    assert LangGraph.position(ServerSentEvent(event="updates", id="2-0"), "") == ":2-0"
    assert LangGraph.position(ServerSentEvent(event="updates"), "r:1-0") is None
    odd = ServerSentEvent(event="metadata", data='{"run_id": 1}', id="1-0")
    assert LangGraph.position(odd, "r:0-0") == "r:1-0"


def test_a_watch() -> None:
    """The version takes the place of the one that the watch began with."""
    made = resumed(KubernetesWatch, "https://h/pods?watch=1&resourceVersion=1", "7", "GET")
    assert dict(made.url.params) == {"watch": "1", "resourceVersion": "7"}


@pytest.mark.parametrize(
    ("cursor", "since"), [("1000000007", "1.000000008"), ("1999999999", "2.000000000")]
)
def test_events_of_docker(cursor: str, since: str) -> None:
    """A nanosecond later, in the place of what the URL said; filters stay."""
    made = resumed(DockerEvents, "http://d/events?since=0&filters={}", cursor, "GET")
    assert dict(made.url.params) == {"since": since, "filters": "{}"}


@pytest.mark.parametrize(
    ("cursor", "query"),
    [
        ("0_7,33", {"live": "sse", "offset": "0_7", "cursor": "33"}),
        ("0_7", {"live": "sse", "offset": "0_7"}),
    ],
)
def test_a_durable_stream(cursor: str, query: dict[str, str]) -> None:
    """The place, and what caches want back."""
    made = resumed(DurableStreams, "https://h/s?offset=-1&live=sse", cursor, "GET")
    assert dict(made.url.params) == query


def placed(body: bytes, limit: int | None = None) -> list[tuple[str, str, str]]:
    """Decode a durable stream, byte by byte."""
    decoder = DurableStreams.decoder(last_event_id="", max_event_size=limit, on_comment=None)
    events = [made for byte in body for made in decoder.feed(bytes([byte]))]
    return [(made.event, made.data, made.id) for made in events]


def test_what_is_held_back_of_a_durable_stream() -> None:
    """The last event before the place has it for its id; what has none yet is not handed out."""
    data = b"event: data\ndata: 1\n\nevent: data\ndata: 2\n\n"
    place = '{"streamNextOffset":"0_7","streamCursor":"33"}'
    assert placed(data) == []
    assert placed(data + f"event: control\ndata: {place}\n\n".encode()) == [
        ("data", "1", ""), ("data", "2", "0_7,33"), ("control", place, "0_7,33"),
    ]  # fmt: skip
    alone = f"event: control\ndata: {place}\n\n".encode()
    assert placed(alone) == [("control", place, "0_7,33")]
    nowhere = placed(data + b"event: control\ndata: {}\n\n" + data)
    assert [made[2] for made in nowhere] == ["", "", ""]
    one = b"event: data\ndata: 12345\n\n"
    some = placed(one * 20, limit=60)
    assert 0 < len(some) < 20
    end = b'event: control\ndata: {"streamNextOffset":"9"}\n\n'
    assert [made[2] for made in placed(one * 20 + end, limit=60)] == [""] * 19 + ["9"] * 2


def decoded(dialect: Dialect, *chunks: bytes, limit: int | None = None) -> list[str]:
    """Decode a body to its clean end."""
    decoder: Any = dialect.decoder(last_event_id="", max_event_size=limit, on_comment=None)
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return [event.data for event in [*events, *decoder.flush(), *decoder.flush()]]


ANSWER = '{"jsonrpc": "2.0", "id": 1, "result": {"text": "é\\n\\ndata: x"}}'


@pytest.mark.parametrize("body", [ANSWER, f"\r\n {ANSWER}\n", f"[{ANSWER}]"])
def test_an_answer_of_mcp_that_is_json(body: str) -> None:
    """It is one event, however it is cut."""
    raw = body.encode()
    for cut in range(len(raw)):
        assert decoded(MCP, raw[:cut], raw[cut:]) == [body.strip()]
    with pytest.raises(EventTooLarge):
        decoded(MCP, raw, limit=10)


def test_an_answer_of_mcp_that_is_a_stream() -> None:
    """What it leaves unfinished is dropped, as the standard says."""
    raw = b": hi\n\nid: 1\ndata: {}\n\ndata: {"
    for cut in range(len(raw)):
        assert decoded(MCP, raw[:cut], raw[cut:]) == ["{}"]
    assert decoded(MCP, b"\n\n") == []


def test_the_last_line_of_ndjson() -> None:
    """It needs no line feed."""
    assert decoded(NDJSON, b'{"a": 1}\n{"b', b'": 2}') == ['{"a": 1}', '{"b": 2}']


@pytest.mark.parametrize("dialect", READY_MADE.values(), ids=READY_MADE)
def test_nonsense_is_delivered(dialect: Dialect) -> None:
    """What a dialect does not understand ends nothing."""
    for data in (
        "",
        "x",
        "{",
        "[]",
        "null",
        "1",
        '{"object": 1}',
        '{"meta": []}',
        '{"response": 3}',
    ):
        event = line(data)
        if dialect.judge is not None:
            assert dialect.judge(event) in {Verdict.DELIVER, Verdict.SKIP}
        if dialect.position is not None:
            assert dialect.position(event, "c") is None
