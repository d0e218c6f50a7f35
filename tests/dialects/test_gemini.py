"""Google's own client and a source read the same bytes, and see the same."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx
import httpx2
import pytest

from resilient_sse import EventFailure, GiveUpError, SyncReconnectingEventSource, UnsafeRetry
from resilient_sse.dialects import Gemini
from resilient_sse.testing import Connection, Ending, ScriptedServer, event, raw
from tests.dialects.streams import GEMINI, bytes_of, data_of

if TYPE_CHECKING:
    from collections.abc import Iterator

genai = pytest.importorskip("google.genai", reason="google-genai is not installed")

ALL = [json.loads(data) for data in data_of(GEMINI)]
PATH = "/v1beta/models/gemini-2.5-flash:streamGenerateContent"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A server without a script yet."""
    with ScriptedServer() as running:
        yield running


def theirs(server: ScriptedServer) -> Iterator[str | None]:
    """The text of each chunk, as the vendor's client hands it out."""
    base = server.url.replace("/events", "")
    client = genai.Client(api_key="k", http_options=genai.types.HttpOptions(base_url=base))
    for chunk in client.models.generate_content_stream(model="gemini-2.5-flash", contents="Hi"):
        yield chunk.text


def ours(server: ScriptedServer) -> list[Any]:
    """What a source hands out."""
    with SyncReconnectingEventSource(
        f"{server.url.replace('/events', PATH)}?alt=sse",
        method="POST",
        json={"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
        dialect=Gemini,
        policy=lambda _: 0.0,
    ) as source:
        return [made.json() for made in source]


def text_of(chunk: dict[str, Any]) -> str:
    """The text of a chunk."""
    return str(chunk["candidates"][0]["content"]["parts"][0]["text"])


@pytest.mark.parametrize(
    "body",
    [
        bytes_of(GEMINI),
        bytes_of(GEMINI).replace(b"\r\n", b"\n"),
        bytes_of(GEMINI).removesuffix(b"\r\n"),  # without the last blank line
        bytes_of(GEMINI).rstrip(b"\r\n"),  # and without the end of the last line
    ],
)
def test_an_answer(server: ScriptedServer, body: bytes) -> None:
    """The same chunks, and a normal end; the same request."""
    server.add(*[Connection(raw(body))] * 2)
    chunks = ours(server)
    assert chunks == ALL
    assert list(theirs(server)) == [text_of(chunk) for chunk in chunks]
    mine, other = server.requests
    asked = (mine.method, mine.params["alt"])
    assert asked == (other.method, other.params["alt"]) == ("POST", "sse")
    assert other.path.endswith(PATH.removeprefix("/v1beta"))  # newer ones ask /v1
    assert json.loads(mine.body)["contents"][0]["parts"] == [{"text": "Hi"}]


def test_an_answer_that_is_cut(server: ScriptedServer) -> None:
    """Both raise after the same chunks, and neither asks again."""
    server.add(*[Connection(raw(bytes_of(GEMINI[:2])), ending=Ending.TRUNCATED)] * 2)
    with pytest.raises(GiveUpError) as mine:
        ours(server)
    assert isinstance(mine.value.__cause__, UnsafeRetry)
    chunks = theirs(server)
    assert [next(chunks), next(chunks)] == [text_of(chunk) for chunk in ALL[:2]]
    with pytest.raises((httpx.RemoteProtocolError, httpx2.RemoteProtocolError)):
        next(chunks)
    assert len(server.requests) == 2


def test_an_error_after_the_headers(server: ScriptedServer) -> None:
    """Theirs takes it for a chunk without a text or raises, by its version; a source raises."""
    error = {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}
    body = bytes_of(GEMINI[:1]) + event(json.dumps(error)) + bytes_of(GEMINI[1:])
    server.add(*[Connection(raw(body))] * 2)
    chunks = theirs(server)
    assert next(chunks) == text_of(ALL[0])
    with suppress(genai.errors.APIError):
        assert next(chunks) is None
    with pytest.raises(GiveUpError) as mine:
        ours(server)
    failure = (
        mine.value.__cause__.failure if isinstance(mine.value.__cause__, UnsafeRetry) else None
    )
    assert failure is not None
    assert isinstance(failure.error, EventFailure)
    assert failure.error.event.json() == error
