"""Every ready-made dialect's stream is cut: each event comes once, or the POST does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from resilient_sse import Dialect, dialects
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
from tests.dialects import streams
from tests.dialects.cuts import Case, places, survives
from tests.support.how_much import tries

if TYPE_CHECKING:
    from resilient_sse.testing import RecordedRequest
    from tests.support.runners import World


def by_header(request: RecordedRequest) -> str:
    """Where the standard has the cursor."""
    return request.last_event_id


def by_version(request: RecordedRequest) -> str:
    """Where a watch has it; it may begin without."""
    return str(request.params.get("resourceVersion", ""))


def by_number(request: RecordedRequest) -> str:
    """Where a background response has it."""
    assert request.params["stream"] == "true"
    return f"{request.path.rpartition('/')[2]}:{request.params['starting_after']}"


def by_time(request: RecordedRequest) -> str:
    """Where Docker has it: a nanosecond later, in seconds."""
    seconds, _, nanoseconds = str(request.params.get("since", "")).partition(".")
    return str(int(seconds + nanoseconds) - 1) if seconds else ""


def by_since(request: RecordedRequest) -> str:
    """Where CouchDB has it."""
    return str(request.params.get("since", ""))


def by_run(request: RecordedRequest) -> str:
    """Where LangGraph has it."""
    return f"{request.path.split('/')[-2]}:{request.last_event_id}"


def by_offset(request: RecordedRequest) -> str:
    """Where Durable Streams have it; in two."""
    return ",".join(request.params[name] for name in ("offset", "cursor") if name in request.params)


CASES = {
    "ChatCompletions": Case(ChatCompletions, streams.CHAT),
    "Anthropic": Case(Anthropic, streams.ANTHROPIC),
    "Gemini": Case(Gemini, streams.GEMINI, ends=False),
    "Firebase": Case(Firebase, streams.FIREBASE, method="GET", ends=False),
    "NDJSON": Case(NDJSON, streams.LINES, "application/x-ndjson", ends=False),
    "OpenAIResponses": Case(OpenAIResponses, streams.RESPONSES, asked=by_number),
    "KubernetesWatch": Case(
        KubernetesWatch, streams.KUBERNETES, "application/json", "GET", by_version, ends=False
    ),
    "DockerEvents": Case(
        DockerEvents, streams.DOCKER, "application/json", "GET", by_time, ends=False
    ),
    "CouchDBChanges": Case(
        CouchDBChanges, streams.COUCHDB, "text/plain", "GET", by_since, ends=False
    ),
    "LangGraph": Case(LangGraph, streams.LANGGRAPH, asked=by_run, ends=False, path="/runs/stream"),
    "DurableStreams": Case(DurableStreams, streams.DURABLE, method="GET", asked=by_offset),
    "Wikimedia": Case(Wikimedia, streams.WIKIMEDIA, method="GET", asked=by_header, ends=False),
    "MCP": Case(MCP, streams.MCP_CALL, asked=by_header),
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_cuts(shared: World, case: Case) -> None:
    """At field borders and at drawn bytes; after every byte where that is asked for."""
    assert survives(shared, case) >= tries(41)


def test_no_dialect_is_left_out() -> None:
    """A new one needs a case."""
    made = {name for name, value in vars(dialects).items() if isinstance(value, Dialect)}
    assert set(CASES) == made


def test_places() -> None:
    """The borders are among them, and what is drawn is drawn again."""
    assert {0, 5, 6, 7, 9, 10, 11, 12, 13} <= set(places(b"id: 1\r\nid: x\n"))
    assert places(b"x" * 1000) == places(b"x" * 1000)
