"""Servers that have no ready-made dialect, each taught to a source in a few lines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from resilient_sse import (
    Closed,
    Dialect,
    GapDetected,
    ServerSentEvent,
    SSEDecoder,
    Verdict,
)
from resilient_sse.dialects import resume_by_query
from resilient_sse.testing import Connection, comment, event, raw

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.runners import World


class CommentsCount(SSEDecoder):
    """Has a comment that says that messages were dropped take its place among the events."""

    __slots__ = ("_note", "_told")

    def __init__(self, *, on_comment: Callable[[str], object] | None = None, **given: Any) -> None:
        self._told = False
        self._note = on_comment
        super().__init__(on_comment=self._look, **given)

    def _look(self, text: str) -> None:
        self._told = self._told or "too slowly" in text
        if self._note is not None:
            self._note(text)

    def feed(self, chunk: bytes | bytearray | memoryview) -> list[ServerSentEvent]:
        """Decode; what came with the comment, before or behind it, is left for the gap to fill."""
        events = super().feed(chunk)
        if not self._told:
            return events
        self._told = False
        return [ServerSentEvent(event="dropped")]


def number(made: ServerSentEvent, _cursor: str) -> str:
    """The cursor is in the payload."""
    return str(made.json()["event_id"])


Alpaca = Dialect(
    decoder=CommentsCount,
    end="finished",
    judge=lambda made: Verdict.GAP if made.event == "dropped" else Verdict.DELIVER,
    position=number,
    resume=resume_by_query("since_id"),
)


def trades(*numbers: int) -> bytes:
    """Events of Alpaca's."""
    return b"".join(event(json.dumps({"event_id": number})) for number in numbers)


def test_a_query_with_an_end(shared: World) -> None:
    """The clean end of the body is the end."""
    got = shared.run(Connection(raw(trades(1, 2))), dialect=Alpaca)
    assert [made.json()["event_id"] for made in got.events] == [1, 2]
    assert got.recorder.of(Closed)[-1].reason == "finished"
    assert len(got.requests) == 1


@pytest.mark.parametrize("together", [False, True])
def test_a_comment_that_messages_were_dropped(shared: World, *, together: bool) -> None:
    """It is a gap, and what was dropped is asked for: each trade comes once, in order."""
    slow = comment("you are reading too slowly, dropped 3 messages")
    steps = [trades(1, 2), slow + trades(6)]
    first = Connection(raw(b"".join(steps))) if together else Connection(*steps)

    def from_here(gap: GapDetected) -> str:
        return gap.last_event_id

    server = shared.serve(first, then=lambda asked: Connection(raw(trades(*after(asked)))))

    def after(asked: Any) -> range:
        return range(int(asked.params.get("since_id") or 0) + 1, 7)

    got = shared.read(server, dialect=Alpaca, on_gap=from_here).wait()
    assert [made.json()["event_id"] for made in got.events] == [1, 2, 3, 4, 5, 6]
    assert len(server.requests) == 2
