"""LangGraph's own client and a source read the same bytes, and see the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from resilient_sse import GiveUpError, SyncReconnectingEventSource, UnsafeRetry
from resilient_sse.dialects import LangGraph
from resilient_sse.testing import Connection, Ending, ScriptedServer, event, raw
from tests.dialects.streams import LANGGRAPH, RUN, bytes_of, data_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from resilient_sse.testing import RecordedRequest

sdk: Any = pytest.importorskip("langgraph_sdk", reason="langgraph-sdk is not installed")

ALL = [json.loads(data) for data in data_of(LANGGRAPH)]
ASKED = {"assistant_id": "agent", "input": {"n": 1}, "stream_resumable": True}
CREATE, JOIN = "/threads/t/runs/stream", f"/threads/t/runs/{RUN}/stream"
HEADERS = {"Location": JOIN, "Content-Location": JOIN.removesuffix("/stream")}


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A server without a script yet."""
    with ScriptedServer() as running:
        yield running


def theirs(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the vendor's client hands out."""

    def at_once(*_: object, **__: object) -> float:
        return 0.0

    monkeypatch.setattr("langgraph_sdk._sync.http._reconnect_delay", at_once)
    with sdk.get_sync_client(url=server.url.replace("/events", "")) as client:
        parts = client.runs.stream("t", "agent", input={"n": 1}, stream_resumable=True)
        return [(each.event, each.data) for each in parts]


def ours(server: ScriptedServer) -> list[Any]:
    """What a source hands out."""
    url = server.url.replace("/events", CREATE)
    with SyncReconnectingEventSource(
        url, method="POST", json=ASKED, dialect=LangGraph, policy=lambda _: 0.0
    ) as source:
        return [(made.event, made.json()) for made in source]


def run_of(cut: int) -> Any:
    """Answer as the server does: the POST is cut, and what follows it is to be had by GET."""

    def answer(request: RecordedRequest) -> Connection:
        if request.path == JOIN.removesuffix("/stream"):  # whether the run is over, asks theirs
            status = raw('{"status": "success"}')
            return Connection(status, headers={"Content-Type": "application/json"})
        if request.method == "POST":
            part = raw(bytes_of(LANGGRAPH)[:cut])
            return Connection(part, headers=HEADERS, ending=Ending.TRUNCATED)
        cursors = [block.cursor for block in LANGGRAPH]
        rest = LANGGRAPH[cursors.index(f"{RUN}:{request.last_event_id}") + 1 :]
        return Connection(raw(bytes_of(rest)), headers=HEADERS)

    return answer


AFTER = [len(bytes_of(LANGGRAPH[:count])) for count in (1, 2, 4, 5)]


@pytest.mark.parametrize("cut", [*AFTER, AFTER[1] - 5, AFTER[2] - 3, AFTER[3] - 20])
def test_a_run_that_is_cut(monkeypatch: pytest.MonkeyPatch, cut: int) -> None:
    """The same parts, and the same requests: the POST once, then a GET from the last part."""
    with ScriptedServer(then=run_of(cut)) as server:
        parts = ours(server)
        mine = list(server.requests)
        assert theirs(server, monkeypatch) == parts
    assert [data for _, data in parts] == ALL
    other = [each for each in server.requests[len(mine) :] if each.path.endswith("/stream")]
    assert [(each.method, each.path, each.last_event_id) for each in mine] == [
        (each.method, each.path, each.last_event_id) for each in other
    ]
    assert json.loads(mine[0].body).items() <= json.loads(other[0].body).items()


def test_a_run_that_fails(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is an answer, and the last part."""
    error = {"error": "ValueError", "message": "é"}
    body = raw(bytes_of(LANGGRAPH[:2]) + event(json.dumps(error), event="error", id="9-0"))
    server.add(Connection(body, headers=HEADERS, ending=Ending.TRUNCATED))
    parts = ours(server)
    assert parts[-1] == ("error", error)
    server.add(Connection(body, headers=HEADERS))
    assert theirs(server, monkeypatch) == parts
    assert len(server.requests) == 2


def test_a_run_that_cannot_be_resumed(server: ScriptedServer) -> None:
    """Without ids there is nothing to go on from, and no second run is begun."""
    body = b"".join(block.sent.partition(b"id: ")[0] + b"\r\n" for block in LANGGRAPH[:2])
    server.add(Connection(raw(body), headers=HEADERS, ending=Ending.TRUNCATED))
    with pytest.raises(GiveUpError) as raised:
        ours(server)
    assert isinstance(raised.value.__cause__, UnsafeRetry)
    assert len(server.requests) == 1
