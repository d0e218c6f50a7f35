"""What a stream is worth to a client that knows the server's dialect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from resilient_sse._decoding.sse import DEFAULT_MAX_EVENT_SIZE
from resilient_sse._session.dialect import Verdict
from resilient_sse._values.event import ServerSentEvent
from resilient_sse._values.redact import redact_text
from resilient_sse.cli._check.about_stream import about_the_end, about_time
from resilient_sse.cli._check.findings import Finding, Kind
from resilient_sse.cli._check.heard import Ear, End, Heard

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DialectEar", "about_meaning"]

_DELIVERED: Final = {Verdict.DELIVER, Verdict.LAST, Verdict.GREETING}
_MOVES: Final = {*_DELIVERED, Verdict.SKIP}


class DialectEar(Ear):
    """Takes in the body of one response, as its dialect reads it.

    Each event has the cursor behind it for its id, so that what is found out about resuming holds
    for any cursor.

    Args:
        heard: Where it writes down what it hears.
        last_event_id: The cursor that was sent.
    """

    def __init__(self, heard: Heard, last_event_id: str) -> None:
        super().__init__(heard, last_event_id)
        self._dialect = heard.dialect
        self._cursor = last_event_id
        self._lines: Any = self._dialect.decoder(
            last_event_id="" if self._dialect.position else last_event_id,
            max_event_size=DEFAULT_MAX_EVENT_SIZE,
            on_comment=self._count_comment,
        )
        self._comments = 0

    def _count_comment(self, _text: str) -> None:
        self._comments += 1

    def take(self, chunk: bytes, now: float) -> None:
        """Take the next bytes.

        Raises:
            EventTooLarge: If an event is larger than clients take.
            NDJSONError: If a line is no JSON.
        """
        self.begin(chunk)
        events = self._lines.feed(chunk)
        blank = not chunk.strip() and not events
        self._heard.heartbeats += [now] * (self._comments or blank)
        self._comments = 0
        self._take_all(events, now)
        self.take_delivery(chunk, len(events), now)

    def finish(self, now: float) -> None:
        """Take what a clean end leaves, where the dialect has that handed out."""
        if self._dialect.flush:
            self._take_all(self._lines.flush(), now)

    def _take_all(self, events: list[ServerSentEvent], now: float) -> None:
        for event in events:
            judge = self._dialect.judge
            self._take_one(event, Verdict.DELIVER if judge is None else judge(event), now)

    def _take_one(self, event: ServerSentEvent, verdict: Verdict, now: float) -> None:
        heard = self._heard
        heard.verdicts[verdict] += 1
        heard.said_by_error = heard.said_by_error or (
            event.data if verdict is Verdict.FAILURE else ""
        )
        moved = verdict in _MOVES and self._moves(event)
        if verdict is Verdict.SKIP:
            heard.heartbeats.append(now)
        if verdict in _DELIVERED:
            self._put(event, moved=moved)

    def _moves(self, event: ServerSentEvent) -> bool:
        position = self._dialect.position
        after = event.id if position is None else position(event, self._cursor)
        moved = after is not None and after != self._cursor
        self._cursor = self._cursor if after is None else after
        return moved

    def _put(self, event: ServerSentEvent, *, moved: bool) -> None:
        made = ServerSentEvent(event=event.event, data=event.data, id=self._cursor)
        self._heard.count += 1
        self.keep(made, identified=moved)


def about_meaning(heard: Heard, name: str) -> Iterator[Finding]:
    """Judge what came on a stream whose dialect is known.

    Args:
        heard: What came.
        name: What the dialect is called.
    """
    yield from about_time(heard)
    yield from _about_events(heard, name)
    yield from _about_cursors(heard)
    over = heard.end is End.CLEAN and heard.dialect.end == "finished"
    if over or heard.verdicts[Verdict.LAST]:
        yield Finding(Kind.ENDED_AS_IT_SHOULD, f"it ended as {name} ends")
    else:
        yield from about_the_end(heard)


def _about_events(heard: Heard, name: str) -> Iterator[Finding]:
    if not heard.count:
        yield Finding(Kind.NO_EVENTS, "no events came")
    else:
        skipped = heard.verdicts[Verdict.SKIP]
        text = f"read as {name}: {heard.count} events, and {skipped} that are not delivered"
        yield Finding(Kind.UNDERSTOOD, text)
    if heard.said_by_error:
        said = redact_text(heard.said_by_error)
        yield Finding(Kind.ERROR_EVENT, f"the server says that it failed: {said}")
    if heard.verdicts[Verdict.GAP]:
        yield Finding(Kind.GAP, "the server says that it cannot replay everything")


def _about_cursors(heard: Heard) -> Iterator[Finding]:
    if heard.dialect.resume is None:
        yield Finding(Kind.CANNOT_RESUME, "the server cannot resume what breaks")
    elif heard.events:
        found = f"{len(heard.identified)} of {len(heard.events)} events move the cursor"
        yield Finding(Kind.CURSORS_OK if heard.identified else Kind.NO_CURSOR, found)
