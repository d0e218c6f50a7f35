"""What the vendors' servers answer when the documentation is executed: each breaks once."""

from __future__ import annotations

import json
from itertools import cycle
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.dialects import streams
from tests.dialects.streams import Block, bytes_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

__all__ = ["VENDORS", "Answer", "Asked"]

_SSE = "text/event-stream"
_JSON = "application/json"
_OLD = "1"
_VERSIONS = cycle([_OLD, "12746"])  # of the lists of Kubernetes, before and after the gap


class Asked(NamedTuple):
    """A request, as far as the answer depends on it."""

    method: str
    path: str
    query: httpx.QueryParams
    headers: httpx.Headers
    body: bytes


class Answer(NamedTuple):
    """What is answered to it."""

    body: bytes
    content_type: str = _SSE
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


def _after(stream: list[Block], cursor: str, most: int) -> Answer:
    """So many blocks behind the cursor; 204 where there are none."""
    cursors = [block.cursor for block in stream]
    first = cursors.index(cursor) + 1 if cursor else 0
    blocks = stream[first : first + most]
    return Answer(bytes_of(blocks), status=200 if blocks else 204)


def _completion(_asked: Asked) -> Answer:
    return Answer(bytes_of(streams.CHAT))


def _message(_asked: Asked) -> Answer:
    return Answer(bytes_of(streams.ANTHROPIC))


def _response(asked: Asked) -> Answer:
    if asked.method == "POST":
        return _after(streams.RESPONSES, "", 3)
    return _after(streams.RESPONSES, f"resp_1:{asked.query['starting_after']}", 6)


def _edits(asked: Asked) -> Answer:
    return _after(streams.WIKIMEDIA, asked.headers.get("Last-Event-ID", ""), 2)


def _config_maps(asked: Asked) -> Answer:
    """A list, or a watch that forgets what was before a version."""
    version: str = asked.query.get("resourceVersion", "")
    if "watch" not in asked.query:
        listed: dict[str, Any] = {"metadata": {"resourceVersion": next(_VERSIONS)}, "items": []}
        return Answer(json.dumps(listed).encode(), _JSON)
    if version == "11020":
        gone: dict[str, Any] = {"type": "ERROR", "object": {"kind": "Status", "code": 410}}
        return Answer(json.dumps(gone).encode() + b"\n", _JSON)
    answer = _after(streams.KUBERNETES, "" if version == _OLD else version, 2)
    return answer._replace(content_type=_JSON)


def _answer(_asked: Asked) -> Answer:
    return Answer(bytes_of(streams.GEMINI))


_boats = cycle([2, len(streams.FIREBASE), 0])  # how much each connection gets before it ends


def _changes(_asked: Asked) -> Answer:
    return _after(streams.FIREBASE, "", next(_boats))


def _deaths(asked: Asked) -> Answer:
    since = asked.query.get("since", "").replace(".", "")
    answer = _after(streams.DOCKER, str(int(since) - 1) if since else "", 2)
    return answer._replace(content_type=_JSON)


def _documents(asked: Asked) -> Answer:
    answer = _after(streams.COUCHDB, asked.query.get("since", ""), 3)
    return answer._replace(content_type=_JSON)


def _run(_asked: Asked) -> Answer:
    return Answer(bytes_of(streams.LANGGRAPH))  # a clean end is the end, so it breaks in no place


def _boats_log(asked: Asked) -> Answer:
    cursor = ",".join(asked.query[name] for name in ("offset", "cursor") if name in asked.query)
    return _after(streams.DURABLE, "" if cursor == "-1" else cursor, 2)


def _mcp(asked: Asked) -> Answer:
    if asked.method == "GET":
        return _after(streams.MCP_CALL, asked.headers["Last-Event-ID"], 5)
    match json.loads(asked.body)["method"]:
        case "initialize":
            hello: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "result": {}}
            return Answer(json.dumps(hello).encode(), _JSON, headers=(("Mcp-Session-Id", "s"),))
        case "tools/call":
            return _after(streams.MCP_CALL, "", 3)
        case _:
            return Answer(b"", status=202)


VENDORS: dict[str, Callable[[Asked], Answer]] = {
    "/v1/chat/completions": _completion,
    "/v1/messages": _message,
    "/v1/responses": _response,
    "/v1/responses/resp_1": _response,
    "/v2/stream/recentchange": _edits,
    "/api/v1/namespaces/default/configmaps": _config_maps,
    "/v1.47/events": _deaths,
    "/v1beta/models/gemini-2.5-flash:streamGenerateContent": _answer,
    "/boats.json": _changes,
    "/v1/stream/boats": _boats_log,
    "/threads/t1/runs/stream": _run,
    "/boats/_changes": _documents,
    "/mcp": _mcp,
}
