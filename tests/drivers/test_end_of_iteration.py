"""What the end of the iteration lets go of, and what it says, before the block is left."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from resilient_sse import ReconnectingEventSource, SyncReconnectingEventSource
from resilient_sse.testing import Connection, Ending, ScriptedServer, event

OPEN = Connection(event("one", id="1"), ending=Ending.SILENCE)


def is_last(_event: object) -> bool:
    """End the stream with the first event."""
    return True


@pytest.mark.anyio
async def test_the_connection_is_closed_with_the_iteration() -> None:
    """A block may go on for long after a stream that has ended."""
    with ScriptedServer([OPEN]) as server:
        async with ReconnectingEventSource(server.url, until=is_last) as source:
            assert [each.data async for each in source] == ["one"]
            await anyio.to_thread.run_sync(server.wait_for_connections, 0)


def test_the_connection_is_closed_with_the_iteration_in_a_thread() -> None:
    """The same."""
    with (
        ScriptedServer([OPEN]) as server,
        SyncReconnectingEventSource(server.url, until=is_last) as source,
    ):
        assert [each.data for each in source] == ["one"]
        server.wait_for_connections(0)


@pytest.mark.anyio
async def test_an_error_outlives_a_cancelled_clean_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is cancelled has not heard of it, so the next pull raises it, once."""
    async with ReconnectingEventSource("http://example.invalid") as source:
        with anyio.CancelScope() as scope:

            async def cancelled(*_: Any) -> None:
                monkeypatch.undo()
                scope.cancel()
                await anyio.sleep_forever()

            monkeypatch.setattr(source, "_finish", cancelled)
            source._fail(LookupError("lost"))
            await anext(source)
        assert scope.cancelled_caught
        with pytest.raises(LookupError, match="lost"):
            await anext(source)
        with pytest.raises(StopAsyncIteration):
            await anext(source)
