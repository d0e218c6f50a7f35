"""A server that replays changes as Wikimedia's EventStreams does.

    python examples/_wikimedia_server.py PORT

``GET /v2/stream/recentchange`` sends what came after ``Last-Event-ID``, or else from ``since`` on
(a time in ISO 8601 or in milliseconds), or else nothing old. As there, changes come out of two
topics, one for each data centre, and an id is a JSON array with the position in both: the time of
the last event in milliseconds, plus one. Every connection is cut after a few changes, in the
middle of one.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import uvicorn
from fastapi import FastAPI, Header
from fastapi.responses import StreamingResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

EVENTS_PER_CONNECTION = 5
FIRST = 1_763_700_000_000
TOPICS = ("eqiad.mediawiki.recentchange", "codfw.mediawiki.recentchange")


def message(number: int) -> dict[str, Any]:
    """Make a change, in the shape of ``mediawiki/recentchange``; every fourth is a canary's."""
    when = FIRST + number * 1000
    canary = number % 4 == 3  # noqa: PLR2004 - any would do
    return {
        "$schema": "/mediawiki/recentchange/1.0.0",
        "meta": {
            "domain": "canary" if canary else "en.wikipedia.org",
            "dt": datetime.fromtimestamp(when / 1000, UTC).isoformat(),
            "id": f"00000000-0000-4000-8000-{number:012}",
            "stream": "mediawiki.recentchange",
            "topic": TOPICS[number % 2],
        },
        "type": "categorize" if number % 5 == 4 else "edit",  # noqa: PLR2004
        "title": f"Page {number}",
        "user": "Somebody",
        "bot": number % 7 == 6,  # noqa: PLR2004
        "wiki": "enwiki",
        "timestamp": when // 1000,
    }


HISTORY = [message(number) for number in range(40)]


def time_of(change: dict[str, Any]) -> int:
    """Return the time of a change in milliseconds, as Kafka keeps it."""
    when: int = change["timestamp"] * 1000
    return when


def positions(last_event_id: str, since: str) -> dict[str, int]:
    """Read from which time on each topic is to be sent."""
    if last_event_id:
        return {entry["topic"]: entry["timestamp"] for entry in json.loads(last_event_id)}
    now = time_of(HISTORY[-1]) + 1
    start = now if not since else int(since) if since.isdigit() else _milliseconds(since)
    return dict.fromkeys(TOPICS, start)


def _milliseconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


async def events(position: dict[str, int]) -> AsyncIterator[str]:
    """Send the changes after the position, and break off in the middle of one."""
    due = [change for change in HISTORY if time_of(change) >= position[change["meta"]["topic"]]]
    for count, change in enumerate(due):
        position[change["meta"]["topic"]] = time_of(change) + 1
        cursor = [{"topic": t, "partition": 0, "timestamp": position[t]} for t in TOPICS]
        event = f"event: message\nid: {json.dumps(cursor)}\ndata: {json.dumps(change)}\n\n"
        if count == EVENTS_PER_CONNECTION:
            yield event[:100]
            raise ConnectionAbortedError  # the socket is closed, the body unfinished
        yield event


def application() -> FastAPI:
    """Make the web application; ``application.state.requests`` has what was asked for."""
    app = FastAPI()
    requests: list[tuple[str, str]] = []
    app.state.requests = requests

    @app.get("/v2/stream/recentchange")
    async def recentchange(
        since: str = "", last_event_id: Annotated[str, Header()] = ""
    ) -> StreamingResponse:
        requests.append((since, last_event_id))
        stream = events(positions(last_event_id, since))
        return StreamingResponse(stream, media_type="text/event-stream")

    return app


if __name__ == "__main__":
    # What breaks here breaks on purpose.
    uvicorn.run(application(), port=int(sys.argv[1]), log_level="critical")
