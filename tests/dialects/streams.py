"""Streams as the vendors have them: in their documentation, and as their own clients read them.

Each is a list of blocks. The tests named after a vendor have that vendor's client read the bytes;
`tests.dialects.cuts` cuts them in two.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from resilient_sse.testing import comment, event

__all__ = [
    "ANTHROPIC",
    "CHAT",
    "COUCHDB",
    "DOCKER",
    "DOCKER_START",
    "DURABLE",
    "FIREBASE",
    "GEMINI",
    "KUBERNETES",
    "LANGGRAPH",
    "LINES",
    "MCP_CALL",
    "RESPONSES",
    "WIKIMEDIA",
    "Block",
    "bytes_of",
    "data_of",
]


class Block(NamedTuple):
    """A few bytes of a stream.

    Attributes:
        sent: The bytes, up to and with what ends them.
        data: The data of the event that is delivered for them; None if none is.
        cursor: The cursor behind them; "" where they do not move it.
    """

    sent: bytes
    data: str | None = None
    cursor: str = ""


def bytes_of(stream: list[Block]) -> bytes:
    """All that is sent."""
    return b"".join(block.sent for block in stream)


def data_of(stream: list[Block]) -> list[str]:
    """All that is delivered."""
    return [block.data for block in stream if block.data is not None]


def named(name: str, /, cursor: str = "", *, skipped: bool = False, **body: Any) -> Block:
    """An event as OpenAI and Anthropic send them: its name is in the data as well."""
    data = json.dumps({"type": name, **body})
    return Block(event(data, event=name), None if skipped else data, cursor)


# -- OpenAI ----------------------------------------------------------------------------------------


def chunk(finish: str | None = None, **delta: str) -> Block:
    """A chunk of a chat completion."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    about = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1694268190}
    data = json.dumps({**about, "model": "gpt-4o-mini", "choices": [choice]}, ensure_ascii=False)
    return Block(event(data), data)


CHAT = [
    chunk(role="assistant", content=""),
    Block(comment("OPENROUTER PROCESSING")),
    chunk(content="Hé"),
    chunk(content="llo"),
    chunk("stop"),
    Block(event("[DONE]"), "[DONE]"),
]

_TEXT = {"item_id": "msg_1", "output_index": 0, "content_index": 0}


def response(status: str) -> dict[str, Any]:
    """A response as the first and the last event have it."""
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1741290958,
        "status": status,
        "background": True,
        "model": "gpt-4.1",
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }


def delta(number: int, text: str) -> Block:
    """A piece of the text of a response."""
    more: dict[str, Any] = {"sequence_number": number, "delta": text, "logprobs": [], **_TEXT}
    return named("response.output_text.delta", f"resp_1:{number}", **more)


RESPONSES = [
    named("response.created", "resp_1:0", response=response("queued"), sequence_number=0),
    named("response.in_progress", "resp_1:1", response=response("in_progress"), sequence_number=1),
    delta(2, "Hé"),
    named("keepalive", skipped=True, sequence_number=3),
    delta(4, "llo"),
    named("response.completed", "resp_1:5", response=response("completed"), sequence_number=5),
]

# -- Anthropic -------------------------------------------------------------------------------------

_MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "content": [],
    "model": "claude-opus-4-1",
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {"input_tokens": 25, "output_tokens": 1},
}


def text_delta(text: str) -> Block:
    """A piece of the text of a message."""
    return named("content_block_delta", index=0, delta={"type": "text_delta", "text": text})


ANTHROPIC = [
    named("message_start", message=_MESSAGE),
    named("content_block_start", index=0, content_block={"type": "text", "text": ""}),
    named("ping", skipped=True),
    text_delta("Hé"),
    text_delta("llo"),
    named("content_block_stop", index=0),
    named(
        "message_delta",
        delta={"stop_reason": "end_turn", "stop_sequence": None},
        usage={"output_tokens": 15},
    ),
    named("message_stop"),
]

# -- Google: Gemini and Firebase -------------------------------------------------------------------


def answer(text: str, **more: str) -> Block:
    """A chunk of an answer of Gemini's, whose lines end as the server ends them."""
    content = {"parts": [{"text": text}], "role": "model"}
    usage = {"promptTokenCount": 2, "candidatesTokenCount": 1, "totalTokenCount": 3}
    about = {"modelVersion": "gemini-2.5-flash", "responseId": "r1"}
    candidate = {"content": content, **more, "index": 0}
    made = {"candidates": [candidate], "usageMetadata": usage, **about}
    data = json.dumps(made, ensure_ascii=False)
    return Block(f"data: {data}\r\n\r\n".encode(), data)


GEMINI = [answer("Hé"), answer("llo"), answer("!", finishReason="STOP")]


def written(kind: str, path: str, data: object) -> Block:
    """What the database says of a change."""
    body = json.dumps({"path": path, "data": data}, separators=(",", ":"), ensure_ascii=False)
    return Block(event(body, event=kind), body)


FIREBASE = [
    written("put", "/", {"one": {"name": "é"}}),
    written("put", "/one/name", "è"),
    Block(event("null", event="keep-alive")),
    written("patch", "/one", {"length": 12, "crew": 3}),
    written("put", "/two", None),
]

# -- Kubernetes ------------------------------------------------------------------------------------


def change(kind: str, version: int, name: str = "a") -> Block:
    """A line of a watch of config maps."""
    about: dict[str, Any] = {"resourceVersion": str(version), "creationTimestamp": None}
    if kind != "BOOKMARK":
        about |= {"name": name, "namespace": "default"}
    made = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": about}
    data = json.dumps({"type": kind, "object": made})
    return Block(f"{data}\n".encode(), None if kind == "BOOKMARK" else data, str(version))


KUBERNETES = [
    change("ADDED", 10596),
    change("MODIFIED", 11020, "é"),
    change("BOOKMARK", 12746),
    change("DELETED", 12750),
]

# -- Docker ----------------------------------------------------------------------------------------

DOCKER_START = 1700000000  # seconds


def death(nanoseconds: int, name: str, code: int) -> Block:
    """What a daemon says of a container that has ended."""
    about = {"image": "alpine", "name": name, "exitCode": str(code)}
    when = DOCKER_START * 1_000_000_000 + nanoseconds
    made = {
        "status": "die",
        "id": "f0" * 32,
        "from": "alpine",
        "Type": "container",
        "Action": "die",
        "Actor": {"ID": "f0" * 32, "Attributes": about},
        "scope": "local",
        "time": DOCKER_START,
        "timeNano": when,
    }
    data = json.dumps(made, ensure_ascii=False)
    return Block(f"{data}\n".encode(), data, str(when))


DOCKER = [death(7, "é", 0), death(41, "web", 137), death(999_999_998, "db", 1)]

# -- LangGraph ------------------------------------------------------------------------------------

RUN = "01a227ec-ec06-7751-b3ca-6c0f0630af6a"


def part(number: int, name: str, body: object) -> Block:
    """A part of a run, as LangGraph's development server 0.16.7 sends it."""
    data = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    sent = f"event: {name}\r\ndata: {data}\r\nid: {number}-0\r\n\r\n"
    return Block(sent.encode(), data, f"{RUN}:{number}-0")


LANGGRAPH = [
    part(1795966168689, "metadata", {"run_id": RUN, "attempt": 1}),
    part(1795966168718, "custom", {"text": "é"}),
    Block(b": heartbeat\r\n\r\n"),
    part(1795966170225, "updates", {"step": {"n": 2}}),
    part(1795966170233, "updates", {"last": {"n": 3}}),
]

# -- Durable Streams -------------------------------------------------------------------------------


def appended(place: int, data: str | None, *, closed: bool = False) -> Block:
    """What was appended, if anything was, and where the stream stands then."""
    offset = f"{0:016d}_{place:016d}"
    where: dict[str, Any] = {"streamNextOffset": offset}
    where |= {"streamClosed": True} if closed else {"streamCursor": "3376712", "upToDate": True}
    body = json.dumps(where, separators=(",", ":"))
    sent = f"event: data\ndata:{data}\n\n" if data is not None else ""
    sent += f"event: control\ndata:{body}\n\n"
    return Block(sent.encode(), body if closed else data, offset if closed else f"{offset},3376712")


DURABLE = [
    appended(0, None),
    appended(13, '[{"n":1}]'),
    appended(43, '[{"n":2},{"text":"é"}]'),
    appended(43, None, closed=True),
]

# -- CouchDB ---------------------------------------------------------------------------------------


def changed(seq: str, name: str, **more: Any) -> Block:
    """A line about a document that changed."""
    made = {"seq": seq, "id": name, "changes": [{"rev": f"1-{name}"}], **more}
    data = json.dumps(made, ensure_ascii=False)
    return Block(f"{data}\n".encode(), data, seq)


COUCHDB = [
    changed("1-g1AAAA", "é"),
    Block(b"\n"),
    changed("2-g1AAAB", "two", deleted=True),
    Block(b'{"last_seq":"3-g1AAAC","pending":0}\n', None, "3-g1AAAC"),
    changed("4-g1AAAD", "three"),
]

# -- Wikimedia, MCP, and lines of JSON -------------------------------------------------------------


def edit(offset: int, domain: str) -> Block:
    """A change of a page; the id says how far each topic of each data centre has been read."""
    topic = "mediawiki.recentchange"
    place = [
        {"topic": f"eqiad.{topic}", "partition": 0, "timestamp": 1700000000000 + offset},
        {"topic": f"codfw.{topic}", "partition": 0, "offset": -1},
    ]
    data = json.dumps({"meta": {"domain": domain, "offset": offset}, "title": "é"})
    cursor = json.dumps(place)
    sent = event(data, event="message", id=cursor)
    return Block(sent, None if domain == "canary" else data, cursor)


WIKIMEDIA = [
    Block(b":ok\n\n"),
    edit(1, "en.wikipedia.org"),
    edit(2, "canary"),
    edit(3, "de.wikipedia.org"),
]


def message(number: int, **body: Any) -> Block:
    """A JSON-RPC message of a stream that an event store numbers."""
    data = json.dumps({"jsonrpc": "2.0", **body})
    sent = f"id: {number}\r\nevent: message\r\ndata: {data}\r\n\r\n"
    return Block(sent.encode(), data, str(number))


def progress(number: int, token: object) -> Block:
    """What a tool reports of its work."""
    params = {"progressToken": token, "progress": number - 1, "message": "é"}
    return message(number, method="notifications/progress", params=params)


def call(request: object, token: object) -> list[Block]:
    """The answer to a call of a tool, whose request has this id and this token of progress."""
    result = {"content": [{"type": "text", "text": "14 boats"}], "isError": False}
    return [
        Block(b"id: 1\r\nretry: 10\r\ndata: \r\n\r\n", None, "1"),
        Block(b": ping\r\n\r\n"),
        progress(2, token),
        progress(3, token),
        message(4, id=request, result=result),
    ]


MCP_CALL = call(2, "t")


def line(number: int) -> Block:
    """A line of JSON."""
    data = json.dumps({"number": number, "text": "é"}, ensure_ascii=False)
    return Block(f"{data}\n".encode(), data)


LINES = [line(1), Block(b"\n"), line(2), line(3)]
