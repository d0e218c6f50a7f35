"""Hooks that trace add headers to the request, and nothing else."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from resilient_sse import SyncReconnectingEventSource
from resilient_sse.testing import Connection, InstantRetries, ScriptedServer, event
from tests.support.consumers import RUNTIMES, consume
from tests.support.failing import never

if TYPE_CHECKING:
    import httpx

    from resilient_sse import Attempt, LifecycleEvent


class Tracing:
    """A hook that names the attempt in a header, and perhaps raises then."""

    def __init__(self, *, raises: bool = False) -> None:
        self.raises = raises
        self.heard: list[str] = []

    def __call__(self, event: LifecycleEvent) -> None:
        """Keep the name of a lifecycle event."""
        self.heard.append(type(event).__name__)

    def inject_headers(self, source_id: int, headers: dict[str, str]) -> None:
        """Say how often there was an attempt."""
        assert source_id > 0
        headers["X-Attempts"] = str(self.heard.count("Connecting"))
        headers["Accept"] = "text/plain"
        if self.raises:
            raise ArithmeticError


def test_every_attempt_is_asked_after_its_connecting() -> None:
    """And before `prepare_request`; headers that are there already stay."""
    script = [Connection(event("one", id="1")), Connection(event("two", id="2"))]
    policy = InstantRetries(lambda _: 0.0)
    seen: list[str] = []

    def prepare(request: httpx.Request, _attempt: Attempt) -> None:
        seen.append(request.headers["x-attempts"])

    with (
        ScriptedServer(script) as server,
        SyncReconnectingEventSource(
            server.url, policy=policy, hooks=[Tracing()], prepare_request=prepare
        ) as source,
    ):
        list(source)
    assert [request.headers["x-attempts"] for request in server.requests] == ["1", "2", "3"]
    assert seen == ["1", "2", "3"]
    assert server.requests[0].headers["accept"] == "text/event-stream"


class Wrong(Tracing):
    """A hook that adds what is no header, behind what is one."""

    def __init__(self, name: Any, value: Any) -> None:
        super().__init__()
        self.added = {"X-Good": "1", name: value}

    def inject_headers(self, source_id: int, headers: dict[str, str]) -> None:
        """Add them."""
        assert source_id > 0
        headers.update(self.added)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x", 5),
        ("x", None),
        (5, "v"),
        ("bad name", "v"),
        ("", "v"),
        ("x", "a\r\nb: c"),
        ("x", "\N{LATIN SMALL LETTER U WITH DIAERESIS}"),
        ("x", " "),
        ("x", "v" * 9000),
    ],
    ids=ascii,
)
def test_what_is_no_header_is_reported_and_not_sent(
    runtime: str, name: Any, value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing of such a hook is, and the stream goes on."""
    with ScriptedServer([Connection(event("one"))]) as server:
        got = consume(runtime, server.url, hooks=[Wrong(name, value)], policy=never)
    assert got.data == ["one"]
    assert "x-good" not in server.requests[0].headers
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "resilient_sse.hook_failed"
    ]


def test_what_it_raises_is_reported_and_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Like anything else that a hook raises."""
    with (
        caplog.at_level(logging.ERROR, "resilient_sse"),
        ScriptedServer([Connection(event("one"))]) as server,
        SyncReconnectingEventSource(server.url, hooks=[Tracing(raises=True)]) as source,
    ):
        assert next(source).data == "one"
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "resilient_sse.hook_failed"
    ]
